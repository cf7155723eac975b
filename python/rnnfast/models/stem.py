"""Input part and recurrent layer: what all models of one layer stack begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.layers import GRU, LSTM, RNN, CustomCell, CustomLayer, Trace
from rnnfast.models.parts import Embedding, InputPart, OneHot, Vectors
from rnnfast.params import Module, Parameter

Array = npt.NDArray[Any]
DType = np.dtype[Any]

CELLS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
LARGEST_SEED = 2**63


class Stem(Module):
    """``x -> embedding -> rnn -> y``, with parameters ``embedding.weight`` and ``rnn.*``.

    Parameters
    ----------
    input_size : int
        Features of x, or the size of the vocabulary.
    cell : "lstm", "gru", "rnn" or the name of a custom cell
    hidden_size, num_layers, bidirectional, dropout
        As of the layer.
    cell_options : dict or None
        Further options of the layer: ``{"activation": "relu"}``, ``{"forget_bias": 1.0}``, ...
    embedding : int or None
        Size of the vectors that stand for ids.
    one_hot : bool
        Without embedding, take ids and give the layer unit vectors.
    named : str
        What users call ``input_size``.
    """

    def __init__(
        self,
        input_size: int,
        *,
        cell: str,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        cell_options: Mapping[str, Any] | None,
        embedding: int | None,
        one_hot: bool,
        dtype: DType,
        rng: np.random.Generator,
        named: str = "input_size",
    ) -> None:
        self.dtype = dtype
        self.input: InputPart
        if embedding is not None:
            self.input = Embedding(input_size, embedding, dtype, rng, named)
        else:
            self.input = (OneHot if one_hot else Vectors)(input_size, dtype, named)
        self.custom = cell in CustomCell.known
        self.rnn: Any = make_layer(
            cell,
            cell_options or {},
            input_size=self.input.size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            dtype=dtype.name,
            seed=int(rng.integers(LARGEST_SEED)),
        )
        self.directions = 2 if bidirectional else 1
        self.states = self.rnn.cell.states if self.custom else len(self.rnn.state_sizes)
        self.size: int = self.rnn.output_size

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters of both parts under their names."""
        named = {f"embedding.{name}": p for name, p in self.input.parameters().items()}
        return {**named, **{f"rnn.{name}": p for name, p in self.rnn.parameters().items()}}

    def infer(self, x: Array, state: Any, lengths: Array | None, resets: Array | None = None) -> tuple[Array, Any]:
        """Return y (N, T, D*H) and the final state; nothing is kept."""
        y, last = self.rnn(self.input.forward(x), state, lengths=lengths, resets=resets)
        return y, last

    def forward(
        self, x: Array, state: Any, lengths: Array | None, resets: Array | None = None
    ) -> tuple[Array, Any, Any]:
        """Return y (N, T, D*H), the final state and the tape, with dropout."""
        y, last, tape = self.rnn.forward(self.input.forward(x), state, lengths=lengths, resets=resets, training=True)
        return y, last, (x, tape)

    def backward(self, tape: Any, dy: Array | None, dstate: Any = None) -> Any:
        """Add the parameters' gradients; return that of the initial state."""
        x, rnn_tape = tape
        dx, dinitial = self.rnn.backward(rnn_tape, dy, dstate, need_dx=bool(self.input.parameters()))
        self.input.backward(x, dx)
        return dinitial

    def trace(self, x: Array, state: Any, lengths: Array | None, resets: Array | None = None) -> Trace:
        """Return all states and gates of the layers."""
        found: Trace = self.rnn.trace(self.input.forward(x), state, lengths=lengths, resets=resets)
        return found

    def last_h(self, state: Any) -> Array:
        """Return the top layer's h of a final state, (N, D*H)."""
        h = state if self.states == 1 else state[0]
        top = h[-self.directions :].transpose(1, 0, 2)
        return np.ascontiguousarray(top).reshape(h.shape[1], self.size)

    def dstate_of_last_h(self, dh: Array) -> Any:
        """Return the gradient of a final state of which only the top layer's h, (N, D*H), was used."""
        layers = self.rnn.num_layers * self.directions
        full = np.zeros((layers, len(dh), self.size // self.directions), dh.dtype)
        parts = dh.reshape(len(dh), self.directions, -1)
        full[-self.directions :] = parts.transpose(1, 0, 2)
        return full if self.states == 1 else (full, *[None] * (self.states - 1))


def cell_name(cell: str | type[CustomCell]) -> str:
    """Return the name under which a model's configuration knows a cell; ValueError where nothing has it."""
    name: Any = cell.name if isinstance(cell, type) and issubclass(cell, CustomCell) else cell
    if isinstance(name, str) and name in CustomCell.known:
        return str(name)
    return checks.as_choice("cell", name, CELLS, others=" or a CustomCell")


def cell_class(name: str) -> type[Any]:
    """Return the layer of a built-in cell, or the class of a custom one: what ``cell_options`` belong to."""
    found: type[Any] = CELLS.get(name) or CustomCell.known[name]
    return found


def make_layer(cell: str, options: Mapping[str, Any], **sizes: Any) -> Any:
    """Return the layer of a cell; ``options`` are those of a built-in layer, or of a custom cell's constructor."""
    if cell in CELLS:
        return CELLS[cell](**sizes, **options)
    return CustomLayer(CustomCell.known[cell](**options), **sizes)

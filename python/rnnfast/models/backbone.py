"""What every model is built around: its input and its recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnnfast.arrays import Array, DType
from rnnfast.data import (
    Gaps,
    Sequences,
    as_id_sequences,
    as_real_sequences,
    check_finite,
    check_steps,
    read_with_gaps,
)
from rnnfast.layers import BlockTape, CustomCell, Embedding, Linear, State, StateLike, Trace
from rnnfast.models.config import Config, make_layer
from rnnfast.params import Module, Parameter
from rnnfast.text import AnyVocabulary, as_ids

LARGEST_SEED = 2**63


class Input(Protocol):
    """Reads what users give as x, and turns it into the rows (R, size) that the first layer reads.

    Attributes
    ----------
    size : int
        Features of a row.
    named : str
        What users call the number of features or ids.
    table : ndarray (V, size), int or None
        The row of every id; V where the rows are unit vectors; None where x holds vectors.
    vocabulary : AnyVocabulary or None
        What makes ids of texts.
    """

    size: int
    named: str
    vocabulary: AnyVocabulary | None

    @property
    def table(self) -> Array | int | None: ...  # noqa: D102

    def parameters(self) -> dict[str, Parameter]: ...  # noqa: D102

    def sequences(self, x: Any, lengths: npt.ArrayLike | None, name: str) -> Sequences: ...  # noqa: D102

    def vectors(self, s: Sequences) -> Sequences: ...  # noqa: D102

    def forward(self, s: Sequences) -> tuple[Sequences, Any]: ...  # noqa: D102

    def backward(self, tape: Any, drows: Array) -> None: ...  # noqa: D102


class Vectors(Module):
    """Real vectors, passed on as they are, without a copy."""

    def __init__(self, size: int, dtype: DType, named: str) -> None:
        self.size = size
        self.dtype = dtype
        self.named = named
        self.table = None
        self.vocabulary: AnyVocabulary | None = None

    def parameters(self) -> dict[str, Parameter]:
        """Return nothing."""
        return {}

    def sequences(self, x: Any, lengths: npt.ArrayLike | None, name: str) -> Sequences:
        """Convert the user's sequences to the model's dtype."""
        return as_real_sequences(x, self.size, self.dtype, lengths=lengths, name=name, size=self.named)

    def vectors(self, s: Sequences) -> Sequences:
        """Return the sequences themselves, in memory."""
        return s.loaded()

    def forward(self, s: Sequences) -> tuple[Sequences, None]:
        """Return the sequences themselves, in memory, and no tape."""
        return s.loaded(), None

    def backward(self, tape: None, drows: Array) -> None:
        """Do nothing: no parameter stands before the layers."""


class EmbeddedIds(Module):
    """Integer ids, each of which stands for a learned vector; parameter ``weight (V, size)``."""

    def __init__(
        self,
        count: int,
        size: int,
        dtype: DType,
        rng: np.random.Generator,
        named: str,
        vocabulary: AnyVocabulary | None = None,
    ) -> None:
        self.size = size
        self.named = named
        self.vocabulary = vocabulary
        self.embedding = Embedding(count, size, dtype=dtype, seed=rng)

    @property
    def table(self) -> Array:
        """The vectors of all ids (V, size)."""
        return self.embedding.weight.value

    def parameters(self) -> dict[str, Parameter]:
        """Return weight."""
        return self.embedding.parameters()

    def sequences(self, x: Any, lengths: npt.ArrayLike | None, name: str) -> Sequences:
        """Check the user's ids, or make them of texts."""
        ids = as_ids(self.vocabulary, [x] if isinstance(x, str) else x, name)
        return as_id_sequences(ids, len(self.table), lengths=lengths, name=name, size=self.named)

    def vectors(self, s: Sequences) -> Sequences:
        """Return the vectors of all ids."""
        return s.like(self.embedding(s.flat()))

    def forward(self, s: Sequences) -> tuple[Sequences, BlockTape]:
        """Return the vectors of all ids and the tape for ``backward``."""
        rows, tape = self.embedding.forward(s.flat())
        return s.like(rows), tape

    def backward(self, tape: BlockTape, drows: Array) -> None:
        """Add this call's gradient to that of weight."""
        self.embedding.backward(tape, drows)


class UnitVectors(Module):
    """Integer ids as unit vectors (R, V): an embedding that is not learned."""

    def __init__(self, count: int, dtype: DType, named: str, vocabulary: AnyVocabulary | None = None) -> None:
        self.size = count
        self.dtype = dtype
        self.named = named
        self.vocabulary = vocabulary

    @property
    def table(self) -> int:
        """The number of ids."""
        return self.size

    def parameters(self) -> dict[str, Parameter]:
        """Return nothing."""
        return {}

    def sequences(self, x: Any, lengths: npt.ArrayLike | None, name: str) -> Sequences:
        """Check the user's ids, or make them of texts."""
        ids = as_ids(self.vocabulary, [x] if isinstance(x, str) else x, name)
        return as_id_sequences(ids, self.size, lengths=lengths, name=name, size=self.named)

    def vectors(self, s: Sequences) -> Sequences:
        """Return the unit vectors of all ids."""
        return s.like(unit_vectors(s.flat(), self.size, self.dtype))

    def forward(self, s: Sequences) -> tuple[Sequences, None]:
        """Return the unit vectors of all ids, and no tape."""
        return self.vectors(s), None

    def backward(self, tape: None, drows: Array) -> None:
        """Do nothing: the vectors are fixed."""


def unit_vectors(ids: Array, size: int, dtype: DType) -> Array:
    """Return the unit vectors (..., V) of ids (...).

    Examples
    --------
    >>> unit_vectors(np.array([2, 0]), 3, np.dtype("float32"))
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    vectors = np.zeros((ids.size, size), dtype)
    vectors[np.arange(ids.size), ids.reshape(-1)] = 1
    return vectors.reshape(*ids.shape, size)


@dataclass(frozen=True, eq=False)
class BackboneTape:
    """What ``Backbone.backward`` needs: the tapes of the input and of the layers, and the penalty's gradient by y."""

    input: Any
    rnn: Any
    dpenalty: Array | None = None
    penalty: float = 0.0


class Backbone(Module):
    """``x -> input -> recurrent layers -> y``, with parameters ``embedding.weight`` and ``rnn.*``.

    Sequences go through as rows: y (R, D*H) has a row for every step of every sequence, one sequence after the other,
    and nothing is padded.

    Parameters
    ----------
    config : dict
        The model's configuration: cell, hidden_size, num_layers, dropout, activity_l2, cell_options, dtype.
    input_size : int
        Features of x, or the size of the vocabulary.
    rng : numpy.random.Generator
        Draws the initial values.
    embedding : int or None
        Size of the vectors that stand for ids.
    one_hot : bool
        Without an embedding: whether x holds ids, which become unit vectors; so it does with a vocabulary.
    bidirectional : bool
    named : str
        What users call ``input_size``.
    vocabulary : AnyVocabulary or None
        What makes ids of texts.

    Attributes
    ----------
    input : Input
    rnn : RNN, LSTM, GRU or CustomLayer
    """

    def __init__(
        self,
        config: Config,
        input_size: int,
        rng: np.random.Generator,
        *,
        embedding: int | None,
        one_hot: bool,
        bidirectional: bool,
        named: str = "input_size",
        vocabulary: AnyVocabulary | None = None,
    ) -> None:
        self.dtype = dtype = np.dtype(config["dtype"])
        self.input: Input
        if embedding is not None:
            self.input = EmbeddedIds(input_size, embedding, dtype, rng, named, vocabulary)
        elif one_hot or vocabulary is not None:
            self.input = UnitVectors(input_size, dtype, named, vocabulary)
        else:
            self.input = Vectors(input_size, dtype, named)
        self.custom = config["cell"] in CustomCell.known
        self.rnn: Any = make_layer(
            config["cell"],
            config["cell_options"] or {},
            input_size=self.input.size,
            hidden_size=config["hidden_size"],
            num_layers=config["num_layers"],
            bidirectional=bidirectional,
            dropout=config["dropout"],
            dtype=dtype.name,
            seed=int(rng.integers(LARGEST_SEED)),
        )
        self.activity_l2: float = config["activity_l2"]
        self.directions = 2 if bidirectional else 1
        self.states = len(self.rnn.state_sizes)
        self.size: int = self.rnn.output_size

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters of both parts under their names."""
        named = {f"embedding.{name}": p for name, p in self.input.parameters().items()}
        return {**named, **{f"rnn.{name}": p for name, p in self.rnn.parameters().items()}}

    def read(self, x: Any, lengths: npt.ArrayLike | None, mask: Any = None, *, warns: bool = False) -> Sequences:
        """Check and convert x; numbers that are not finite are an error, or a warning where it ``warns``."""
        found = read_with_gaps(self.input.sequences, x, lengths, mask)
        check_finite("x", found, self.dtype, warns=warns)
        check_steps("x", found)
        return found

    def random_state(self) -> dict[str, Any]:
        """Return the state of the layers' random numbers."""
        state: dict[str, Any] = self.rnn.random_state()
        return state

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the state of the layers' random numbers."""
        self.rnn.set_random_state(state)

    @property
    def is_random(self) -> bool:
        """Whether the layers draw random numbers in training."""
        return bool(self.rnn.is_random)

    def reseed(self, rng: np.random.Generator) -> None:
        """Let what the layers draw be a function of ``rng`` from now on."""
        self.rnn.reseed(rng)

    def infer(self, x: Sequences, state: StateLike, resets: Array | None = None) -> tuple[Array, State]:
        """Return y (R, D*H) and the final state; nothing is kept."""
        s = self.input.vectors(x)
        y, last = self.rnn.call_rows(s.values, s.offsets, s.lengths, state, resets=resets)
        return y, last

    def forward(self, x: Sequences, state: StateLike, resets: Array | None = None) -> tuple[Array, State, BackboneTape]:
        """Return y (R, D*H), the final state and the tape, with dropout."""
        s, read = self.input.forward(x)
        y, last, tape = self.rnn.forward_rows(s.values, s.offsets, s.lengths, state, resets=resets)
        if not self.activity_l2:
            return y, last, BackboneTape(read, tape)
        share = self.activity_l2 / len(x)
        penalty = share * float(np.square(y, dtype=np.float64).sum())
        return y, last, BackboneTape(read, tape, y * y.dtype.type(2 * share), penalty)

    def backward(self, tape: BackboneTape, dy: Array | None, dstate: StateLike = None) -> State:
        """Add the parameters' gradients, those of the penalty included; return that of the initial state."""
        if tape.dpenalty is not None:
            dy = tape.dpenalty if dy is None else dy + tape.dpenalty
        learned = bool(self.input.parameters())
        dinitial: State
        dx, dinitial = self.rnn.backward(tape.rnn, dy, dstate, need_dx=learned)
        if learned:
            self.input.backward(tape.input, dx)
        return dinitial

    def trace(self, x: Sequences, state: StateLike, resets: Array | None = None, *, gaps: Gaps | None = None) -> Trace:
        """Return all states and gates of the layers, arrays (N, T, D*H), with zeros at ``gaps``."""
        inputs = self.input.vectors(x)
        cuts = None if resets is None else x.pad(resets)
        found: Trace = self.rnn.trace(inputs.padded(), state, lengths=x.lengths, resets=cuts)
        if gaps is None:
            return found
        exists = np.arange(x.steps) < x.lengths[:, None]
        return found.mapped(lambda array: gaps.pad(array[exists]))

    def last_h(self, state: State) -> Array:
        """Return the top layer's h of a final state, (N, D*H)."""
        h = state[0] if isinstance(state, tuple) else state
        top = h[-self.directions :].transpose(1, 0, 2)
        return np.ascontiguousarray(top).reshape(h.shape[1], self.size)

    def dstate_of_last_h(self, dh: Array) -> StateLike:
        """Return the gradient of a final state of which only the top layer's h, (N, D*H), was used."""
        layers = self.rnn.num_layers * self.directions
        full = np.zeros((layers, len(dh), self.size // self.directions), dh.dtype)
        parts = dh.reshape(len(dh), self.directions, -1)
        full[-self.directions :] = parts.transpose(1, 0, 2)
        return full if self.states == 1 else (full, *[None] * (self.states - 1))


class ContextToState(Module):
    """``state = W v + b`` of vectors v (N, K): the initial states of all layers, learned.

    Parameters ``weight (S*L*H, K)``, ``bias (S*L*H,)``; rows are ordered by state (h, then c for an LSTM),
    layer, unit. ``sizes``: the H of each state; that of a projected h is P.
    """

    def __init__(
        self, features: int, layers: int, sizes: Sequence[int], dtype: DType, rng: np.random.Generator
    ) -> None:
        self.map = Linear(features, layers * sum(sizes), dtype=dtype, seed=rng)
        self.layers, self.sizes = layers, tuple(sizes)

    def parameters(self) -> dict[str, Parameter]:
        """Return weight and bias."""
        return self.map.parameters()

    def __call__(self, v: Array) -> State:
        """Return h (L, N, H), or the tuple (h, c)."""
        return self._states(self.map(v))

    def forward(self, v: Array) -> tuple[State, BlockTape]:
        """Return the states and the tape for ``backward``."""
        rows, tape = self.map.forward(v)
        return self._states(rows), tape

    def backward(self, tape: BlockTape, dstate: State) -> None:
        """Add the gradients of weight and bias, given that of the states."""
        parts = dstate if isinstance(dstate, tuple) else (dstate,)
        rows = [part.transpose(1, 0, 2).reshape(part.shape[1], -1) for part in parts]
        self.map.backward(tape, np.concatenate(rows, axis=1))

    def _states(self, rows: Array) -> State:
        columns = np.split(rows, np.cumsum(self.sizes)[:-1] * self.layers, axis=1)
        parts = [
            np.ascontiguousarray(each.reshape(len(rows), self.layers, size).transpose(1, 0, 2))
            for each, size in zip(columns, self.sizes, strict=True)
        ]
        return parts[0] if len(parts) == 1 else tuple(parts)

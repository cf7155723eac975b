"""Calls of the engine on tensors: CPU memory that NumPy arrays look at, never a copy in or out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rnnfast import _ops
from rnnfast.layers.call import LAYER_PARTS

Array = npt.NDArray[Any]
W = TypeVar("W", Tensor, Array)
NOTHING_RANDOM = (0.0,) * 6


@dataclass(frozen=True)
class Stack:
    """A stack of recurrent layers without its weights.

    Attributes
    ----------
    cell : Cell
        The engine's cell, with its activations and options.
    directions : int
        D, 1 or 2.
    parts : tuple of str
        Names of the weights that each layer and direction has, in the order of ``LAYER_PARTS``.
    batch_first : bool
        Whether x is (N, T, C), else (T, N, C); without meaning for packed sequences.
    random : tuple of six floats
        What is random, in the order of ``Randomness.numbers``; zeros outside training.
    text : str
        All of the above as JSON, for operators, whose arguments are tensors, numbers and text.
    has_cell_state : bool
        Whether the state is (h, c).
    places : tuple of int
        Index of every part in ``LAYER_PARTS``.
    """

    cell: _ops.Cell
    directions: int
    parts: tuple[str, ...]
    batch_first: bool
    random: tuple[float, ...] = NOTHING_RANDOM
    text: str = field(init=False, repr=False, compare=False)
    has_cell_state: bool = field(init=False, repr=False, compare=False)
    places: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        derived = {
            "text": json.dumps(vars(self) | {"cell": asdict(self.cell)}),
            "has_cell_state": self.cell.facts.states > 1,
            "places": tuple([LAYER_PARTS.index(part) for part in self.parts]),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def output_size(self, weights: Sequence[Tensor]) -> int:
        """D*H, or D*P of a projected h."""
        return self.directions * int(weights[1].shape[1])


@lru_cache(maxsize=1024)
def stack_of(text: str) -> Stack:
    """Return the stack that ``Stack.text`` describes."""
    fields = json.loads(text)
    cell = fields["cell"]
    cell["activations"] = tuple([tuple(each) for each in cell["activations"]])
    cell["zoneout"] = tuple(cell["zoneout"])
    fields |= {"cell": _ops.Cell(**cell), "parts": tuple(fields["parts"]), "random": tuple(fields["random"])}
    return Stack(**fields)


class Call(NamedTuple):
    """Tensors of one call.

    Attributes
    ----------
    x : Tensor (T, N, C), (N, T, C) if ``batch_first``, or (R, C) of packed sequences
    states : list of Tensor (L*D, N, H)
        h, or h and c; none for zeros, without gradients.
    weights : list of Tensor
        The stack's parts, one layer and direction after another, at index layer*D + direction.
    learned : list of Tensor (L*D, 1, H)
        The state that resets return to: as many as ``states``, or none for zeros.
    batch_sizes : int64 Tensor (T,) or None
        Number of sequences at every step of packed sequences.
    lengths : int64 Tensor (N,) or None
        Valid steps of every sequence; not beside ``batch_sizes``.
    resets : bool Tensor (N, T), (T, N) unless ``batch_first``, or None
        Steps that start from the initial state; not beside ``batch_sizes``.
    seed : int64 Tensor () or None
        Seed of the random masks; None where nothing is random.
    """

    x: Tensor
    states: Sequence[Tensor]
    weights: Sequence[Tensor]
    learned: Sequence[Tensor] = ()
    batch_sizes: Tensor | None = None
    lengths: Tensor | None = None
    resets: Tensor | None = None
    seed: Tensor | None = None


class Rows(NamedTuple):
    """Where the rows of packed sequences lie: they are sorted by step; the engine takes one sequence after another.

    Attributes
    ----------
    order : int64 array (R,)
        Row of the packed data that each of the engine's rows is.
    offsets, lengths : int64 arrays (N,)
        First row and number of rows of every sequence, in the engine's order.
    """

    order: Array
    offsets: Array
    lengths: Array


class Tape(NamedTuple):
    """What ``forward`` keeps for one ``backward``; the engine's tape points into the weights that were packed."""

    core: _ops.CoreTape
    packed: list[_ops.Weights]
    rows: Rows | None


def array_of(tensor: Tensor) -> Array:
    """Return the memory of a CPU tensor as an array."""
    array: Array = (tensor.detach() if tensor.requires_grad else tensor).numpy()
    return array


def pack(stack: Stack, weights: Sequence[Tensor]) -> list[_ops.Weights]:
    """Pack the weights of every layer and direction from the values they have now."""
    packed = []
    for own in _layers(stack, weights):
        arrays = [array_of(weight) for weight in own]
        w, r, *others = _by_place(stack, [a if a.flags.c_contiguous else np.ascontiguousarray(a) for a in arrays])
        assert w is not None
        assert r is not None
        packed.append(_ops.pack(stack.cell, w, r, *others))
    return packed


def _layers(stack: Stack, weights: Sequence[W]) -> list[Sequence[W]]:
    """Return the weights of each layer and direction."""
    count = len(stack.parts)
    return [weights[first : first + count] for first in range(0, len(weights), count)]


def _by_place(stack: Stack, own: Sequence[Array]) -> list[Array | None]:
    """Return the parts of a layer at their places in ``LAYER_PARTS``, None for those it lacks."""
    parts: list[Array | None] = [None] * len(LAYER_PARTS)
    for place, part in zip(stack.places, own, strict=True):
        parts[place] = part
    return parts


def rows_of(batch_sizes: Tensor) -> Rows:
    """Return where the rows of packed sequences lie; layers that read the same ones, one after another, share it."""
    return _rows(array_of(batch_sizes).tobytes())


@lru_cache(maxsize=4)
def _rows(batch_sizes: bytes) -> Rows:
    sizes = np.frombuffer(batch_sizes, np.int64)
    present = sizes[:, None] > np.arange(sizes[0])
    index = np.cumsum(present).reshape(present.shape) - 1
    lengths = np.count_nonzero(present, axis=0)
    return Rows(index.T[present.T], np.cumsum(lengths) - lengths, lengths)


def forward(
    stack: Stack, call: Call, packed: list[_ops.Weights], *, save: bool
) -> tuple[Tensor, Tensor, Tensor | None, Tape | None]:
    """Run the stack with its packed weights; return y, h, c or None, and a tape or None, if it is to ``save`` one."""
    x, dtype = array_of(call.x), _numpy_dtype(call.x)
    h0, c0, *_ = *[_contiguous(array_of(state)) for state in call.states], None, None
    learned = [array_of(state) for state in call.learned]
    rows = None if call.batch_sizes is None else rows_of(call.batch_sizes)
    time_major = rows is None and not stack.batch_first
    lengths = None if call.lengths is None else array_of(call.lengths)
    if rows is not None:
        x, lengths = x.take(rows.order, axis=0), rows.lengths
    else:
        x = _ops.sequences("x", x, x.shape[-1], dtype, time_major=time_major)
        lengths = _ops.lengths_array(lengths, *x.shape[:2])
    resets = None if call.resets is None else array_of(call.resets)
    y, h, c, core = _ops.rnn_forward(
        packed,
        x,
        h0,
        c0,
        lengths,
        resets=_ops.resets_array(resets, *x.shape[:2], own=None, time_major=time_major) if rows is None else None,
        reset_state=(learned[0], learned[1] if len(learned) > 1 else None) if learned and resets is not None else None,
        directions=stack.directions,
        time_major=time_major,
        save="all" if save else "nothing",
        random=None if call.seed is None else (stack.random, int(call.seed), 0),
        offsets=None if rows is None else rows.offsets,
    )
    tape = None if core is None else Tape(core, packed, rows)
    return _from_engine(y, rows, time_major), from_numpy(h), None if c is None else from_numpy(c), tape


def backward(
    stack: Stack, call: Call, tape: Tape, gradients: Sequence[Tensor | None], *, need_dx: bool
) -> tuple[Tensor | None, list[Tensor], list[Tensor], list[Tensor]]:
    """Go back through time from dy, dh and dc; return dx, and lists of the gradients of states, weights and learned.

    Parameters
    ----------
    tape : Tape
        From ``forward``; used up.
    gradients : sequence of Tensor or None
        dL/dy, dL/dh and, of an LSTM, dL/dc; None stands for zeros.
    need_dx : bool
        Whether dx is wanted, else None is returned.
    """
    rows, time_major = tape.rows, tape.rows is None and not stack.batch_first
    dy = None if gradients[0] is None else array_of(gradients[0])
    dh, dc, *_ = [None if d is None else _contiguous(array_of(d)) for d in (*gradients[1:], None)]
    if dy is not None:
        dy = dy.take(rows.order, axis=0) if rows is not None else _steps(dy, time_major)
    dweights = [np.zeros(weight.shape, _numpy_dtype(weight)) for weight in call.weights]
    by_layer: list[_ops.Gradients] = [_by_place(stack, own) for own in _layers(stack, dweights)]
    dx, dh0, dc0, *dreset = _ops.rnn_backward(tape.core, dy, dh, dc, by_layer, need_dx=need_dx)
    dstates = [from_numpy(d) for d in (dh0, dc0) if d is not None]
    learned = [
        torch.zeros_like(state) if d is None else from_numpy(d.sum(axis=1, keepdims=True))
        for state, d in zip(call.learned, dreset, strict=False)
    ]
    back = None if dx is None else _from_engine(dx, rows, time_major)
    return back, dstates, [from_numpy(d) for d in dweights], learned


def _numpy_dtype(tensor: Tensor) -> np.dtype[Any]:
    return _FLOAT64 if tensor.dtype == torch.float64 else _FLOAT32


_FLOAT32, _FLOAT64 = np.dtype("float32"), np.dtype("float64")
from_numpy = torch.from_numpy


def _from_engine(steps: Array, rows: Rows | None, time_major: bool) -> Tensor:
    """Return the engine's y or dx as a tensor in the order of the call's x."""
    if rows is not None:
        packed = np.empty_like(steps)
        packed[rows.order] = steps
        return from_numpy(packed)
    return from_numpy(steps.transpose(1, 0, 2) if time_major else steps)


def _steps(dy: Array, time_major: bool) -> Array:
    """Return dy batch-first, copied only where its numbers do not lie side by side."""
    return _ops.sequences("dy", dy, dy.shape[-1], dy.dtype, time_major=time_major)


def _contiguous(array: Array) -> Array:
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else np.require(array, requirements=("C", "A"))

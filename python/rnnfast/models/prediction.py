"""Predictions: in pieces, from given states, and many times under dropout."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Int64
from rnnfast.data import AlignedData, Batch, Sequences, VectorData
from rnnfast.layers import State, StateLike

Reader: TypeAlias = Callable[[dict[str, Array]], dict[str, Array]]
Places: TypeAlias = slice | Int64
WHOLE = slice(None)


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """How a model predicts; checked.

    Attributes
    ----------
    state
        Of N sequences, in which they begin; None for the model's own.
    return_state : bool
        Whether the states in which they end are returned.
    chunk : int or None
        Steps at once.
    samples : int or None
        Passes under dropout.
    seed : int or None
        Of these.
    """

    state: StateLike = None
    return_state: bool = False
    chunk: int | None = None
    samples: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        checks.as_flag("return_state", self.return_state)
        checks.as_seed(self.seed)
        if self.chunk is not None:
            checks.as_size("chunk", self.chunk)
        if self.samples is None:
            if self.seed is not None:
                raise ValueError(f"seed: None is required without samples, got {self.seed}")
            return
        checks.as_size("samples", self.samples)
        for name, unset in (("return_state", False), ("chunk", None)):
            if getattr(self, name) != unset:
                raise ValueError(f"{name}: {unset} is required beside samples, got {getattr(self, name)}")

    def check_model(self, model: Any) -> None:
        """Raise ValueError where the model cannot do what is asked for."""
        for name, unset in (("state", None), ("return_state", False), ("chunk", None)):
            value = getattr(self, name)
            if model.config["bidirectional"] and value is not unset:
                wanted = f"{name}: {unset} is required for a bidirectional model, which reads from the end too"
                raise ValueError(f"{wanted}; got {checks.shown(value)}")
        if self.samples is not None and not model.is_random:
            raise ValueError(
                "samples: a model with dropout is required (dropout, output_dropout, or recurrent_dropout and the like "
                "among its cell_options), got one without"
            )

    def drawing(self, model: Any) -> Any:
        """Return a copy that draws by ``seed``: the random numbers of the user's model stay where they are."""
        found = copy.copy(model)
        found.reseed(np.random.default_rng(self.seed))
        return found

    def arranged(self, rows: Array, split: Callable[[Array], Any]) -> Any:
        """Return rows (M, ...), or (samples, M, ...), as ``split`` returns those of each step to the user.

        Several arrays (T_i, ...) become arrays (samples, T_i, ...).
        """
        if self.samples is None:
            return split(rows)
        passes = [split(each) for each in rows]
        if isinstance(passes[0], list):
            return [np.stack(each) for each in zip(*passes, strict=True)]
        return np.stack(passes)


def predict(
    model: Any, data: VectorData | AlignedData, read: Reader, options: PredictionOptions
) -> tuple[dict[str, Array], State]:
    """Return what ``read`` makes of the outputs of each head, and the final states of all sequences.

    Parameters
    ----------
    model : ManyToOne, ManyToMany or OneToMany
    data : VectorData or AlignedData
        N sequences without targets; ``tbptt`` says how many steps are read at once.
    read : function
        Turns outputs (M, K) by head into predictions (M, ...), row by row.
    options : PredictionOptions

    Returns
    -------
    predictions : dict of str to ndarray (M, ...), with ``samples`` (samples, M, ...)
    state : array (L*D, N, H) or tuple of such
    """
    start = None if options.state is None else _states(model, data, options.state)
    if options.samples is None:
        return _pass(model, data, read, start, training=False)
    drawing = options.drawing(model)
    passes = [_pass(drawing, data, read, start, training=True) for _ in range(options.samples)]
    return {name: np.stack([found[name] for found, _ in passes]) for name in passes[0][0]}, passes[0][1]


def _states(model: Any, data: VectorData | AlignedData, state: StateLike) -> State:
    """Return the states in which N sequences begin, checked and complete: those in which no step leaves them."""
    found: State = model.backbone.infer(data.inputs.piece(0, 0), state)[1]
    return found


def _pass(
    model: Any, data: VectorData | AlignedData, read: Reader, start: State | None, *, training: bool
) -> tuple[dict[str, Array], State]:
    found: dict[str, Array] = {}
    last: list[State] = []
    for batch, own, places in _placed(data):
        state = last.pop() if batch.continues else _chosen(start, own)
        outputs, state, _ = model._outputs(batch, state, keep=training)
        last.append(state)
        if places is WHOLE:
            return read(outputs), state
        for name, values in read(outputs).items():
            if name not in found:
                total = len(data.inputs) if isinstance(data, VectorData) else data.inputs.count
                found[name] = np.empty((total, *values.shape[1:]), values.dtype)
            found[name][places] = values
    if not last:
        sizes = {name: part.output_size for name, part in model.heads.parts.items()}
        nothing = {name: np.zeros((0, size), model.dtype) for name, size in sizes.items()}
        return read(nothing), _states(model, data, None)
    return found, _joined(last)


def _placed(data: VectorData | AlignedData) -> Iterator[tuple[Batch, slice, Places]]:
    """Yield all batches in order, which of the N sequences each has, and where its outputs are among those of all."""
    own, begin, row = slice(0, 0), 0, 0
    for batch in data.batches():
        if not batch.continues:
            own, begin = slice(own.stop, own.stop + len(batch.inputs)), 0
        if data.tbptt is None and len(batch.inputs) == len(data.inputs):
            yield batch, own, WHOLE
        elif isinstance(data, VectorData):
            yield batch, own, own if batch.target_rows is None else batch.target_rows
        elif data.tbptt is None:
            yield batch, own, slice(row, row + batch.inputs.count)
            row += batch.inputs.count
        else:
            yield batch, own, _places(data.inputs, own, begin, begin + data.tbptt)
            begin += data.tbptt


def _places(inputs: Sequences, own: slice, begin: int, end: int) -> Places:
    """Return where steps ``begin..end`` of some sequences are among all steps; a slice where they lie side by side."""
    s = Sequences(inputs.values, inputs.starts[own], inputs.lengths[own], ragged=True).piece(begin, end)
    if len(s) == 1:
        first = int(s.offsets[0])
        return slice(first, first + s.count)
    return s.positions()


def _chosen(state: State | None, own: slice) -> State | None:
    if isinstance(state, tuple):
        return tuple(part[:, own] for part in state)
    return None if state is None else state[:, own]


def _joined(states: list[State]) -> State:
    if len(states) == 1:
        return states[0]
    if isinstance(states[0], tuple):
        return tuple(np.concatenate(parts, axis=1) for parts in zip(*states, strict=True))
    return np.concatenate(states, axis=1)

"""Batches: what a model sees in one optimiser step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Int64
from rnnfast.data.container import Sequences
from rnnfast.data.sources import BROUGHT, NO_SPLIT, BatchSource, is_source, named_arguments, without_brought

# Of the target elements of all heads alike, or of each head by its name.
Weights: TypeAlias = Array | dict[str, Array] | None

# Makes targets and weights, or None, those that count: with zeros in place of missing targets, and weights of 0 there.
Present: TypeAlias = Callable[[Array, Array | None], tuple[Array, Array | None]]

WINDOW = 32  # batches whose sequences are sorted by length together: little padding, yet random batches


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Inputs and targets of N sequences with R steps in all, of which M have a target.

    Attributes
    ----------
    inputs : Sequences
        Vectors in the model's dtype, or ids. Their values may be those of the whole data, or not yet read.
    targets : dict of str to ndarray (M,) or (M, K)
        The targets of each head; a single head has the name "".
    count : int
        M.
    weights : ndarray (M,) or (M, K), dict of str to these, or None
        Weight of each target element, or of each of its numbers; of all heads alike, or of each head.
    counts : int64 (N,) or None
        Target elements of each sequence; None means one each.
    target_rows : int64 (M,) or None
        Which outputs have a target: of R steps, sequence after sequence, or of N sequences. None means all of them.
    context : ndarray (N, K) or None
    resets : bool (R,) or None
        Steps before which the state becomes the layer's initial one.
    continues : bool
        The sequences go on where those of the batch before ended: its final states are the initial ones.
    """

    inputs: Sequences
    targets: Mapping[str, Array]
    count: int
    weights: Weights = None
    counts: Int64 | None = None
    target_rows: Int64 | None = None
    context: Array | None = None
    resets: Array | None = None
    continues: bool = False


@dataclass(frozen=True, kw_only=True)
class VectorData:
    """Sequences with one target each.

    Attributes
    ----------
    inputs : Sequences
    targets : dict of str to ndarray (N,) class ids or (N, K)
    weights : ndarray (N,) or (N, K), dict of str to these, or None
    batch_size : int
    tbptt : int or None
        The gradient goes back over this many steps, the last ones of each sequence. The steps before only move the
        state on, in pieces of the same number of steps.
    """

    inputs: Sequences
    targets: Mapping[str, Array]
    weights: Weights = None
    batch_size: int
    tbptt: int | None = None
    restartable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the batch size."""
        checks.as_size("batch_size", self.batch_size)

    def __len__(self) -> int:
        """Return the number of batches, pieces counted, in an epoch without shuffling."""
        groups = batch_indices(self.inputs.lengths, self.batch_size)
        return sum(1 + len(self._starts(self._lead(index))) for index in groups)

    @property
    def with_targets(self) -> int:
        """Number of batches with a target, in an epoch without shuffling."""
        return -(-len(self.inputs) // self.batch_size)

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch, shuffled by ``rng``; pieces of a batch follow each other."""
        for index in batch_indices(self.inputs.lengths, self.batch_size, rng):
            lead = self._lead(index)
            for start in self._starts(lead):
                assert lead is not None
                piece = self.inputs.select(index).first(lead).piece(start, start + (self.tbptt or 0))
                nothing = {name: values[:0] for name, values in self.targets.items()}
                yield Batch(inputs=piece, targets=nothing, count=0, target_rows=index[:0], continues=start > 0)
            yield self.batch(index, lead)

    def batch(self, index: Int64, lead: Int64 | None = None) -> Batch:
        """Return the sequences numbered by ``index`` as one batch, without the first ``lead`` steps of each."""
        own = self.inputs.select(index)
        return Batch(
            inputs=own if lead is None else own.without(lead),
            targets={name: values[index] for name, values in self.targets.items()},
            count=len(index),
            weights=None if self.weights is None else _each(self.weights, lambda own: own[index]),
            continues=lead is not None and bool(lead.any()),
        )

    def whole(self) -> Batch:
        """Return all sequences as one batch."""
        return self.batch(np.arange(len(self.inputs), dtype=np.int64))

    def require_targets(self, name: str) -> None:
        """Raise ValueError where there is no target: a mean of nothing does not exist. ``name``: what was given."""
        if len(self.inputs) == 0:
            raise ValueError(f"{name}: at least one sequence is required, got none")

    def _lead(self, index: Int64) -> Int64 | None:
        """Return the steps of each sequence over which no gradient goes back; None where it goes back over all."""
        return None if self.tbptt is None else np.maximum(self.inputs.lengths[index] - self.tbptt, 0)

    def _starts(self, lead: Int64 | None) -> range:
        return range(0) if lead is None else range(0, int(lead.max(initial=0)), self.tbptt or 1)

    def select(self, index: Int64) -> VectorData:
        """Return the data of the sequences numbered by ``index``."""
        return replace(
            self,
            inputs=self.inputs.select(index),
            targets={name: values[index] for name, values in self.targets.items()},
            weights=None if self.weights is None else _each(self.weights, lambda own: own[index]),
        )


@dataclass(frozen=True, kw_only=True)
class AlignedData:
    """Sequences with a target at every step.

    Attributes
    ----------
    inputs : Sequences
    targets : dict of str to Sequences
        The targets of each head, of the inputs' lengths.
    weights : ndarray (N,), Sequences, dict of str to these, or None
        Weight of every element of a sequence; or, of the inputs' lengths, of each element or of each of its numbers.
    context : ndarray (N, K) or None
    resets : Sequences of bool, or None
        Of the inputs' lengths: steps before which the state becomes the layer's initial one.
    batch_size : int
    tbptt : int or None
        Sequences are cut into pieces of this many steps; the state passes on, the gradient does not.
    burn_in : int
        The first steps of a sequence, where its state is still cold, get no loss.
    present : dict of str to function
        Of heads whose targets are read batch by batch: what leaves out the missing ones of a batch.
    """

    inputs: Sequences
    targets: Mapping[str, Sequences]
    weights: Any = None
    context: Array | None = None
    resets: Sequences | None = None
    batch_size: int
    tbptt: int | None = None
    burn_in: int = 0
    present: Mapping[str, Present] = field(default_factory=dict)
    restartable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the batch size."""
        checks.as_size("batch_size", self.batch_size)

    def require_targets(self, name: str) -> None:
        """Raise ValueError where there is no target: a mean of nothing does not exist. ``name``: what was given."""
        if len(self.inputs) == 0:
            raise ValueError(f"{name}: at least one sequence is required, got none")
        if not (self.inputs.lengths > self.burn_in).any():
            cold = f" (burn_in = {self.burn_in})" if self.burn_in else ""
            raise ValueError(f"{name}: at least one step with a target is required{cold}, got none")

    @property
    def sizes(self) -> Int64:
        """Steps of each sequence (N,); those of a batch should be alike."""
        return self.inputs.lengths

    def __len__(self) -> int:
        """Return the number of batches, pieces counted, in an epoch without shuffling."""
        groups = batch_indices(self.sizes, self.batch_size)
        return sum(len(self._starts(index)) for index in groups)

    @property
    def with_targets(self) -> int:
        """Number of batches with a target, in an epoch without shuffling."""
        count = 0
        for index in batch_indices(self.sizes, self.batch_size):
            T = int(self.inputs.lengths[index].max(initial=0))
            count += sum(min(start + (self.tbptt or T), T) > self.burn_in for start in self._starts(index))
        return count

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch, shuffled by ``rng``; pieces of a batch follow each other."""
        for index in batch_indices(self.sizes, self.batch_size, rng):
            for start in self._starts(index):
                yield self.batch(index, start, None if self.tbptt is None else start + self.tbptt)

    def select(self, index: Int64) -> AlignedData:
        """Return the data of the sequences numbered by ``index``."""
        return replace(
            self,
            inputs=self.inputs.select(index),
            targets={name: targets.select(index) for name, targets in self.targets.items()},
            weights=None if self.weights is None else _each(self.weights, lambda own: _selected(own, index)),
            context=None if self.context is None else self.context[index],
            resets=None if self.resets is None else self.resets.select(index),
        )

    def batch(self, index: Int64, start: int = 0, stop: int | None = None) -> Batch:
        """Return steps ``start..stop`` of the sequences numbered by ``index`` as one batch."""
        inputs = self.inputs.select(index).piece(start, stop)
        lead = max(self.burn_in - start, 0)
        counts = np.maximum(inputs.lengths - lead, 0)
        targets = {name: each.select(index).piece(start + lead, stop).flat() for name, each in self.targets.items()}
        weights = None if self.weights is None else self._weights(index, counts, start + lead, stop)
        if self.present:
            targets, weights = self._present(targets, weights)
        rows = None
        if lead:
            step = inputs.positions() - np.repeat(inputs.offsets, inputs.lengths)
            rows = np.flatnonzero(step >= lead)
        return Batch(
            inputs=inputs,
            targets=targets,
            count=int(counts.sum()) if targets else 0,
            weights=weights,
            counts=counts,
            target_rows=rows,
            context=None if self.context is None else self.context[index],
            resets=None if self.resets is None else self.resets.select(index).piece(start, stop).flat(),
            continues=start > 0,
        )

    def _weights(self, index: Int64, counts: Int64, start: int, stop: int | None) -> Any:
        """Return the weights of steps ``start..stop``, ``counts`` (N,) of each sequence numbered by ``index``."""

        def chosen(own: Array | Sequences) -> Array:
            if isinstance(own, Sequences):
                return own.select(index).piece(start, stop).flat()
            return np.repeat(own[index], counts)

        return _each(self.weights, chosen)

    def _present(self, targets: dict[str, Array], weights: Weights) -> tuple[dict[str, Array], Weights]:
        """Return what ``present`` makes of the targets of a batch and their weights."""
        own = {name: weights.get(name) if isinstance(weights, dict) else weights for name in targets}
        for name, present in self.present.items():
            targets[name], own[name] = present(targets[name], own[name])
        return targets, shared(own)

    def whole(self) -> Batch:
        """Return all sequences as one batch."""
        return self.batch(np.arange(len(self.inputs), dtype=np.int64))

    def _starts(self, index: Int64) -> range:
        longest = int(self.inputs.lengths[index].max(initial=0))
        return range(0, max(longest, 1), self.tbptt or max(longest, 1))


def _selected(weights: Array | Sequences, index: Int64) -> Array | Sequences:
    return weights.select(index) if isinstance(weights, Sequences) else weights[index]


def _each(weights: Any, change: Callable[[Any], Array | Sequences]) -> Any:
    """Return weights after a change: those of all heads alike, or those of each."""
    return {head: change(own) for head, own in weights.items()} if isinstance(weights, dict) else change(weights)


def shared(weights: Mapping[str, Any]) -> Any:
    """Return the weights of a single head, or the dict of those of several; None without any."""
    if list(weights) == [""]:
        return weights[""]
    found = {head: own for head, own in weights.items() if own is not None}
    return found or None


D = TypeVar("D", VectorData, AlignedData)


def batch_indices(lengths: Int64, batch_size: int, rng: np.random.Generator | None = None) -> list[Int64]:
    """Deal N sequences into batches of at most ``batch_size``.

    Without ``rng``, or in a single batch, the order is kept. Else the sequences are shuffled; when their lengths
    differ, those within a window of ``32 * batch_size`` are sorted by length before they are cut into batches,
    and the batches are shuffled, so that a batch holds little padding.

    Parameters
    ----------
    lengths : int64 (N,)
    batch_size : int
    rng : numpy Generator or None

    Returns
    -------
    list of int64 arrays
        Every number 0..N-1 once.

    Examples
    --------
    >>> import numpy as np
    >>> [b.tolist() for b in batch_indices(np.array([5, 5, 5]), 2)]
    [[0, 1], [2]]
    """
    checks.as_size("batch_size", batch_size)
    if not isinstance(rng, np.random.Generator | None):
        raise TypeError(f"rng: a numpy Generator or None is required, got {checks.shown(rng)}")
    lengths = checks.as_array("lengths", lengths)
    if lengths.ndim != 1:
        raise ValueError(f"lengths: integers (N,) are required, got shape {lengths.shape}")
    count = len(lengths)
    if rng is None or count <= batch_size:
        return _chunks(np.arange(count, dtype=np.int64), batch_size)
    order = rng.permutation(count)
    if count == 0 or lengths.min() == lengths.max():
        return _chunks(order, batch_size)
    batches = []
    for window in _chunks(order, WINDOW * batch_size):
        batches += _chunks(window[np.argsort(lengths[window], kind="stable")], batch_size)
    return [batches[i] for i in rng.permutation(len(batches))]


def _chunks(index: Int64, size: int) -> list[Int64]:
    return [index[i : i + size] for i in range(0, len(index), size)]


def hold_out(data: D, fraction: float) -> tuple[D, D]:
    """Split off the last ``fraction`` of the sequences; at least one is on either side.

    Raises
    ------
    ValueError
        A fraction outside (0, 1), fewer than two sequences.
    """
    check_fraction(fraction)
    count = len(data.inputs)
    if count < 2:
        raise ValueError(f"validation_split: at least 2 sequences are required, got {count}")
    kept = min(max(count - round(count * fraction), 1), count - 1)
    index = np.arange(count, dtype=np.int64)
    return data.select(index[:kept]), data.select(index[kept:])


def check_fraction(fraction: float) -> None:
    """Raise ValueError unless ``fraction`` is in (0, 1)."""
    checks.as_number("validation_split", fraction, "a number in [0, 1)", lambda f: 0 < f < 1)


def training_and_validation(
    read: Callable[..., D],
    x: Any,
    y: Any,
    *,
    batch_size: int,
    validation_data: Any,
    validation_split: float,
    known: Sequence[str],
    steps_per_epoch: int | None = None,
    tbptt: int | None = None,
    **accompanying: Any,
) -> tuple[D | BatchSource, D | BatchSource | None]:
    """Return the data to train on, and those to validate with.

    Parameters
    ----------
    read : function
        Makes data of x, y, ``batch_size`` and the arguments that accompany them; ``name``: what messages call them.
    known : sequence of str
        The arguments that ``validation_data`` may have.
    steps_per_epoch : int or None
        Batches in an epoch, where x brings batches.
    """
    pieces = {} if tbptt is None else {"tbptt": tbptt}
    data = evaluated(read, x, y, batch_size=batch_size, steps=steps_per_epoch, known=known, **pieces, **accompanying)
    fraction = checks.at_least_zero("validation_split", validation_split)
    if validation_data is not None:
        if is_source(validation_data):
            return data, _validated(read, validation_data, known, pieces)
        given = {**pieces, **named_arguments("validation_data", validation_data, known)}
        return data, read(**given, batch_size=batch_size, name="validation_data")
    if fraction:
        if isinstance(data, BatchSource):
            raise ValueError(NO_SPLIT.format(fraction))
        return hold_out(data, fraction)
    return data, None


def evaluated(
    read: Callable[..., D],
    x: Any,
    y: Any,
    *,
    batch_size: int,
    known: Sequence[str],
    steps: int | None = None,
    **accompanying: Any,
) -> D | BatchSource:
    """Return data of x and y or, without y, the batches that x brings; the arguments are as above."""
    if y is not None:
        if steps is not None:
            raise ValueError(f"steps_per_epoch: None is required beside y, got {steps}")
        return read(x, y, batch_size=batch_size, **accompanying)
    if not is_source(x):
        raise TypeError(f"y: targets are required, or batches in place of x and y, got None beside {checks.shown(x)}")
    return _of_batches(read, x, known, without_brought(accompanying), steps=steps, name="x")


def _validated(read: Callable[..., D], source: Any, known: Sequence[str], options: dict[str, Any]) -> BatchSource:
    if hasattr(source, "__next__"):
        raise ValueError(
            "validation_data: batches that can be had again are required, such as a callable that returns a new "
            f"iterator, got {checks.shown(source)}"
        )
    return _of_batches(read, source, known, options, name="validation_data")


def _of_batches(
    read: Callable[..., D],
    source: Any,
    known: Sequence[str],
    options: dict[str, Any],
    *,
    name: str,
    steps: int | None = None,
) -> BatchSource:
    own = [argument for argument in known if argument in ("x", "y", *BROUGHT)]
    whole = partial(read, batch_size=checks.LARGEST, **options)
    arguments = partial(named_arguments, "batch", known=own, names=("x", "y", "sample_weight"))
    pieces = options.get("tbptt") is not None
    return BatchSource(source, whole, arguments, name=name, steps=steps, pieces=pieces)

"""Batches: what a model sees in one optimiser step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rnnfast import checks
from rnnfast.data.order import batch_indices
from rnnfast.data.sequences import Array, Int64, Sequences


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Inputs and targets of N sequences, padded to T steps, with M target elements.

    Attributes
    ----------
    inputs : ndarray (N, T, C) in the model's dtype, or ids int64 (N, T)
    lengths : int64 (N,) or None
        None when no sequence is padded.
    targets : ndarray (M,) class ids or (M, K)
    weights : ndarray (M,) or None
        Weight of each target element.
    rows : int64 (M,) or None
        Which of the N*T outputs have a target, ``n*T + t``, or which of N; None means all of them.
    context : ndarray (N, K) or None
    resets : bool (N, T) or None
        Steps before which the state becomes zero.
    continues : bool
        The sequences go on where those of the batch before ended: its final states are the initial ones.
    """

    inputs: Array
    lengths: Int64 | None
    targets: Array
    weights: Array | None = None
    rows: Int64 | None = None
    context: Array | None = None
    resets: Array | None = None
    continues: bool = False


@dataclass(frozen=True, kw_only=True)
class VectorData:
    """Sequences with one target each.

    Attributes
    ----------
    inputs : Sequences
    targets : ndarray (N,) class ids or (N, K)
    weights : ndarray (N,) or None
    batch_size : int
    tbptt : int or None
        The gradient goes back over so many steps, the last ones of each sequence; those before only move the state on,
        so many at once.
    """

    inputs: Sequences
    targets: Array
    weights: Array | None = None
    batch_size: int
    tbptt: int | None = None

    def __post_init__(self) -> None:
        """Check the batch size."""
        checks.as_size("batch_size", self.batch_size)

    def __len__(self) -> int:
        """Return the number of batches, pieces counted, in an epoch without shuffling."""
        groups = batch_indices(self.inputs.lengths, self.batch_size)
        return sum(1 + len(self._starts(self._lead(index))) for index in groups)

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch, shuffled by ``rng``; pieces of a batch follow each other."""
        for index in batch_indices(self.inputs.lengths, self.batch_size, rng):
            lead = self._lead(index)
            every = np.arange(len(index), dtype=np.int64)
            begin = Sequences(self.inputs.values, self.inputs.offsets[index], lead, ragged=True)
            for start in self._starts(lead):
                inputs, lengths = begin.take(every, start, start + (self.tbptt or 0))
                nothing = self.targets[:0]
                yield Batch(inputs=inputs, lengths=lengths, targets=nothing, rows=every[:0], continues=start > 0)
            yield self.batch(index, lead)

    def batch(self, index: Int64, lead: Int64 | None = None) -> Batch:
        """Return the sequences numbered by ``index`` as one batch, without the first ``lead`` steps of each."""
        own = self.inputs.select(index).without(lead if lead is not None else np.zeros_like(index))
        inputs, lengths = own.take(np.arange(len(index), dtype=np.int64))
        weights = None if self.weights is None else self.weights[index]
        continues = lead is not None and bool(lead.any())
        return Batch(inputs=inputs, lengths=lengths, targets=self.targets[index], weights=weights, continues=continues)

    def require_targets(self, name: str) -> None:
        """Raise ValueError where there is no target: a mean of nothing does not exist. ``name``: what was given."""
        if len(self.inputs) == 0:
            raise ValueError(f"{name}: at least one sequence is required, got none")

    def _lead(self, index: Int64) -> Int64:
        """Return the steps of each sequence over which no gradient goes back."""
        lengths = self.inputs.lengths[index]
        return np.zeros_like(lengths) if self.tbptt is None else np.maximum(lengths - self.tbptt, 0)

    def _starts(self, lead: Int64) -> range:
        return range(0, int(lead.max(initial=0)), self.tbptt or 1)

    def select(self, index: Int64) -> VectorData:
        """Return the data of the sequences numbered by ``index``."""
        weights = None if self.weights is None else self.weights[index]
        return replace(self, inputs=self.inputs.select(index), targets=self.targets[index], weights=weights)


@dataclass(frozen=True, kw_only=True)
class AlignedData:
    """Sequences with a target at every step.

    Attributes
    ----------
    inputs, targets : Sequences
        Of equal lengths.
    weights : ndarray (N,), Sequences or None
        Weight of every element of a sequence; or, of the inputs' lengths, of each element.
    context : ndarray (N, K) or None
    resets : Sequences of bool, or None
        Of the inputs' lengths: steps before which the state becomes zero.
    batch_size : int
    tbptt : int or None
        Sequences are cut into pieces of so many steps; the state passes on, the gradient does not.
    burn_in : int
        So many steps at the start of a sequence, where its state is still cold, get no loss.
    """

    inputs: Sequences
    targets: Sequences
    weights: Array | Sequences | None = None
    context: Array | None = None
    resets: Sequences | None = None
    batch_size: int
    tbptt: int | None = None
    burn_in: int = 0

    def __post_init__(self) -> None:
        """Check the batch size."""
        checks.as_size("batch_size", self.batch_size)

    def require_targets(self, name: str) -> None:
        """Raise ValueError where there is no target: a mean of nothing does not exist. ``name``: what was given."""
        if len(self.inputs) == 0:
            raise ValueError(f"{name}: at least one sequence is required, got none")
        if not (self.targets.lengths > self.burn_in).any():
            cold = f" (burn_in = {self.burn_in})" if self.burn_in else ""
            raise ValueError(f"{name}: at least one step with a target is required{cold}, got none")

    @property
    def sizes(self) -> Int64:
        """Steps of each sequence (N,): what those of a batch should have alike."""
        return self.inputs.lengths

    def __len__(self) -> int:
        """Return the number of batches, pieces counted, in an epoch without shuffling."""
        groups = batch_indices(self.sizes, self.batch_size)
        return sum(len(self._starts(index)) for index in groups)

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch, shuffled by ``rng``; pieces of a batch follow each other."""
        for index in batch_indices(self.sizes, self.batch_size, rng):
            for start in self._starts(index):
                yield self.batch(index, start, None if self.tbptt is None else start + self.tbptt)

    def select(self, index: Int64) -> AlignedData:
        """Return the data of the sequences numbered by ``index``."""
        weights = self.weights
        if weights is not None:
            weights = weights.select(index) if isinstance(weights, Sequences) else weights[index]
        return replace(
            self,
            inputs=self.inputs.select(index),
            targets=self.targets.select(index),
            weights=weights,
            context=None if self.context is None else self.context[index],
            resets=None if self.resets is None else self.resets.select(index),
        )

    def batch(self, index: Int64, start: int = 0, stop: int | None = None) -> Batch:
        """Return steps ``start..stop`` of the sequences numbered by ``index`` as one batch."""
        inputs, lengths = self.inputs.take(index, start, stop)
        where, exists = self.targets.cut(index, start, stop)
        exists[:, : max(self.burn_in - start, 0)] = False
        rows = None if exists.all() else np.flatnonzero(exists)
        weights = None
        if isinstance(self.weights, Sequences):
            weights = self.weights.values[self.weights.cut(index, start, stop)[0][exists]]
        elif self.weights is not None:
            weights = np.repeat(self.weights[index], exists.sum(axis=1))
        return Batch(
            inputs=inputs,
            lengths=lengths,
            targets=self.targets.values[where[exists]],
            weights=weights,
            rows=rows,
            context=None if self.context is None else self.context[index],
            resets=None if self.resets is None else self.resets.take(index, start, stop)[0],
            continues=start > 0,
        )

    def _starts(self, index: Int64) -> range:
        longest = int(self.inputs.lengths[index].max(initial=0))
        return range(0, max(longest, 1), self.tbptt or max(longest, 1))

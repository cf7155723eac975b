"""Pairs of sequences of unequal lengths: one is read, the other written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnfast.arrays import Int64
from rnnfast.data.batches import AlignedData, Batch
from rnnfast.data.container import Sequences


@dataclass(frozen=True, kw_only=True)
class PairBatch(Batch):
    """A batch whose inputs and targets, aligned with each other, belong to other sequences: the sources."""

    sources: Sequences

    @property
    def sizes(self) -> Int64:
        """Steps that are computed of each pair (N,), both sequences counted."""
        return self.sources.lengths + self.inputs.lengths


@dataclass(frozen=True, kw_only=True)
class PairData(AlignedData):
    """Sources, and what is written of each: inputs and targets at every step of the writing."""

    sources: Sequences

    @property
    def sizes(self) -> Int64:
        """Steps of each pair (N,), both sequences counted."""
        return self.sources.lengths + self.inputs.lengths

    def select(self, index: Int64) -> PairData:
        """Return the data of the pairs numbered by ``index``."""
        chosen = super().select(index)
        assert isinstance(chosen, PairData)
        return replace(chosen, sources=self.sources.select(index))

    def batch(self, index: Int64, start: int = 0, stop: int | None = None) -> PairBatch:
        """Return the pairs numbered by ``index``, and steps ``start..stop`` of the writing, as one batch."""
        return PairBatch(**vars(super().batch(index, start, stop)), sources=self.sources.select(index))

    def whole(self) -> PairBatch:
        """Return all pairs as one batch."""
        return self.batch(np.arange(len(self.inputs), dtype=np.int64))


def framed(s: Sequences, first: Any, last: Any = None) -> Sequences:
    """Return every sequence with the element ``first`` before it and, if there is one, ``last`` behind it.

    Examples
    --------
    >>> from rnnfast.data import joined
    >>> s = framed(joined([np.array([3, 1]), np.array([4])], np.zeros(0, np.int64)), 8, 9)
    >>> s.values.tolist(), s.lengths.tolist()
    ([8, 3, 1, 9, 8, 4, 9], [4, 3])
    """
    lengths = s.lengths + (1 if last is None else 2)
    offsets = np.cumsum(lengths) - lengths
    values = np.full((int(lengths.sum()), *s.values.shape[1:]), first, s.values.dtype)
    own = np.ones(len(values), bool)
    own[offsets] = False
    if last is not None:
        own[offsets + lengths - 1] = False
        values[offsets + lengths - 1] = last
    values[own] = s.flat()
    return Sequences(values, offsets, lengths, ragged=s.ragged)

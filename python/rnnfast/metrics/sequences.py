"""Metrics of whole sequences."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Int64
from rnnfast.metrics.base import JudgingMetric


class SequenceMetric(JudgingMetric):
    """A metric that needs to know where the sequences of a batch begin."""

    elements: ClassVar[tuple[str, ...]] = ("id",)

    def update(self, outputs: Array, targets: Array, weights: Array | None) -> None:
        """Take a batch of one sequence into account."""
        self.update_sequences(outputs, targets, weights, np.array([len(targets)]))

    @abstractmethod
    def update_sequences(self, outputs: Array, targets: Array, weights: Array | None, lengths: Int64) -> None:
        """Take a batch into account: as ``update``, with the number of target elements of each sequence (N,)."""


class EditDistance(SequenceMetric):
    """Insertions, deletions and substitutions between predictions and targets, per target (Levenshtein 1966).

    ``sum of distances / sum of target lengths``, over all sequences: the error rate of characters, or words. The
    predictions are those at the steps of the targets, so that a model that writes reads the true elements before; use
    ``edit_distance`` for what ``predict`` writes freely. Elements of weight 0 are left out, other weights do not count.

    Parameters
    ----------
    stop : int or None
        The id behind which nothing is read; it is not part of a sequence.

    References
    ----------
    V. I. Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals", Soviet Physics Doklady
    10 (1966).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.EditDistance()
    >>> metric.update(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]), None)
    >>> metric.result()
    0.5
    """

    higher_is_better = False

    def __init__(self, stop: int | None = None) -> None:
        self.stop = None if stop is None else checks.as_integer("stop", stop)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._distance = self._length = 0

    def update_sequences(self, outputs: Array, targets: Array, weights: Array | None, lengths: Int64) -> None:
        """Take a batch of N sequences into account."""
        found, read = self.decide(outputs, targets), np.ones(len(targets), bool) if weights is None else weights > 0
        cuts = np.cumsum(lengths)[:-1]
        for a, b, own in zip(np.split(found, cuts), np.split(targets, cuts), np.split(read, cuts), strict=True):
            predicted, wanted = self._cut(a[own]), self._cut(b[own])
            self._distance += edit_distance(predicted, wanted)
            self._length += len(wanted)

    def _cut(self, ids: Array) -> Array:
        ends = np.flatnonzero(ids == self.stop)
        return ids[: ends[0]] if len(ends) else ids

    def result(self) -> float:
        """Return the distance per target element; 0.0 of nothing."""
        return self._distance / self._length if self._length else float(self._distance)


def edit_distance(a: Any, b: Any) -> int:
    """Return the least number of insertions, deletions and substitutions that make ``b`` of ``a``.

    Parameters
    ----------
    a, b : sequences of ids or of characters, or strings

    Examples
    --------
    >>> edit_distance("kitten", "sitting")
    3
    """
    first, second = _items("a", a), _items("b", b)
    places = np.arange(len(second) + 1)
    row = places
    for i, each in enumerate(first, start=1):
        changed = np.concatenate([[i], np.minimum(row[1:] + 1, row[:-1] + (second != each))])
        row = np.minimum.accumulate(changed - places) + places
    return int(row[-1])


def _items(name: str, given: Any) -> Array:
    items = np.array(list(checks.as_items(name, given)))
    if items.ndim != 1:
        raise ValueError(f"{name}: a sequence of single ids or characters is required, got shape {items.shape}")
    return items

"""Beam search step by step in NumPy, for several sequences of each prompt and for cells that the engine lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast.arrays import Array, Float64, Int64
from rnnfast.layers import Linear, State
from rnnfast.models.rows import as_rows, repeat_state, rows_of_state
from rnnfast.sampling import WritingOptions


@dataclass(frozen=True)
class Hypothesis:
    """Ids, a stop at their end included; log p of each; and of all, added from the first on."""

    ids: tuple[int, ...] = ()
    each: tuple[float, ...] = ()
    log_p: float = 0.0

    def with_id(self, i: int, log_p: float, total: float) -> Hypothesis:
        """Return the hypothesis that is longer by an id."""
        return Hypothesis((*self.ids, i), (*self.each, log_p), total)


class Beam:
    """The hypotheses of one prompt.

    At every element the 2 B most probable continuations are looked at. Those that stop, among the first B of them, are
    finished; the first B of the others live on. It is what the engine does, which keeps only the best.

    Parameters
    ----------
    options : WritingOptions
        ``beams`` B, ``stop``, ``length_penalty`` and ``num_sequences``.

    Examples
    --------
    >>> beam = Beam(WritingOptions(length=2, beams=2, num_sequences=2))
    >>> for _ in range(2):
    ...     parents, ids = beam.extend(np.log([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4]]))
    >>> [each.ids for each in beam.best()]
    [(0, 0), (0, 1)]
    """

    def __init__(self, options: WritingOptions) -> None:
        assert options.beams is not None
        self.beams = options.beams
        self.options = options
        self.alive = [Hypothesis()]
        self.finished: list[tuple[float, Hypothesis]] = []

    def extend(self, log_p: Float64) -> tuple[list[int], list[int]]:
        """Add an element; return the parent and the last id of every hypothesis that lives on.

        ``log_p`` (B, K) are the log-probabilities of the ids behind each of them, of which there may be fewer than B.
        """
        total = np.array([each.log_p for each in self.alive])[:, None] + log_p[: len(self.alive)]
        order = np.argsort(-total.ravel(), kind="stable")[: 2 * self.beams]
        before, self.alive = self.alive, []
        parents = []
        for rank, (parent, i) in enumerate(zip(*np.unravel_index(order, total.shape), strict=True)):
            longer = before[parent].with_id(int(i), float(log_p[parent, i]), float(total[parent, i]))
            if i == self.options.stop:
                if rank < self.beams:
                    self._finish(longer)
            elif len(self.alive) < self.beams:
                parents.append(int(parent))
                self.alive.append(longer)
        return parents, [each.ids[-1] for each in self.alive]

    def best(self) -> list[Hypothesis]:
        """Return the best ``num_sequences``, the best first, those that did not stop included.

        Raises
        ------
        ValueError
            Fewer were found.
        """
        for hypothesis in self.alive:
            self._finish(hypothesis)
        found = sorted(self.finished, key=lambda each: -each[0])[: self.options.num_sequences]
        if len(found) < self.options.num_sequences:
            wanted = f"at most {len(found)} is required, the sequences that {self.beams} beams find here"
            raise ValueError(f"num_sequences: {wanted}, got {self.options.num_sequences}")
        return [hypothesis for _, hypothesis in found]

    def _finish(self, own: Hypothesis) -> None:
        self.finished.append((own.log_p / ((5 + len(own.ids)) / 6) ** self.options.length_penalty, own))


def search(
    backbone: Any,
    head: Linear,
    state: State,
    options: WritingOptions,
    attend: Callable[[Array], Array] | None,
) -> tuple[Int64, Int64, Float64]:
    """Return the best ids (R * num_sequences, length) behind R states, their numbers before a stop, and log p of each.

    Parameters
    ----------
    backbone, head
        ``outputs = head(last h of the backbone)``.
    state
        Of R sequences.
    options : WritingOptions
    attend : function or None
        What stands between h and the head: a function of h (R*B, H).
    """
    R, B, n = len(backbone.last_h(state)), options.beams or 1, options.num_sequences
    beams = [Beam(options) for _ in range(R)]
    state = repeat_state(state, B)
    h = backbone.last_h(state)
    for t in range(options.length):
        read = h if attend is None else attend(h)
        log_p = _log_softmax(head(read)).reshape(R, B, -1)
        rows, ids = np.repeat(np.arange(R) * B, B).reshape(R, B), np.zeros((R, B), np.int64)
        for r, beam in enumerate(beams):
            parents, last = beam.extend(log_p[r])
            rows[r, : len(parents)] += parents
            ids[r, : len(last)] = last
        if t + 1 == options.length or not any(beam.alive for beam in beams):
            break
        h, state = backbone.infer(as_rows(ids.reshape(R * B, 1)), rows_of_state(state, rows.ravel()))
    ids, counts = np.zeros((R * n, options.length), np.int64), np.zeros(R * n, np.int64)
    each = np.zeros(ids.shape)
    for row, found in enumerate([hypothesis for beam in beams for hypothesis in beam.best()]):
        written = len(found.ids)
        ids[row, :written], each[row, :written] = found.ids, found.each
        counts[row] = written - (written > 0 and found.ids[-1] == options.stop)
    return ids, counts, each


def _log_softmax(outputs: Array) -> Float64:
    values = outputs.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    found: Float64 = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    return found

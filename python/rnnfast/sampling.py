"""Choosing the next element from a head's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """How ids are drawn from logits (M, K).

    ``p = softmax(logits / temperature)``, restricted to the ``top_k`` most probable ids, then to the smallest
    set of most probable ids whose probability reaches ``top_p`` (Holtzman et al. 2020), and renormalised.

    Parameters
    ----------
    temperature : float
        Below 1 sharpens, above 1 flattens.
    top_k : int or None
    top_p : float or None
        In (0, 1].
    greedy : bool
        Take the most probable id; the lowest of equals.

    Raises
    ------
    ValueError
        An option out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.array([[0.0, 2.0, 1.0]])
    >>> Sampler(top_k=2).probabilities(logits).round(3).tolist()
    [[0.0, 0.731, 0.269]]
    >>> Sampler(greedy=True)(logits, np.random.default_rng(0)).tolist()
    [1]
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool = False

    def __post_init__(self) -> None:
        """Check the options."""
        if not (0 < self.temperature < np.inf):
            raise ValueError(f"temperature: a number > 0 required (greedy=True is its limit 0), got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k: at least 1 required, got {self.top_k}")
        if self.top_p is not None and not (0 < self.top_p <= 1):
            raise ValueError(f"top_p: a number in (0, 1] required, got {self.top_p}")

    def probabilities(self, logits: Array) -> Float64:
        """Return the probabilities (M, K) that ids are drawn with."""
        if self.greedy:
            best: Float64 = np.eye(logits.shape[1])[np.argmax(logits, axis=1)]
            return best
        below_best = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        p: Float64 = _ops.softmax(below_best / self.temperature)
        if self.top_k is not None or self.top_p is not None:
            p = self._restrict(p)
        return p / _totals(p)

    def __call__(self, logits: Array, rng: np.random.Generator) -> Int64:
        """Draw one id a row, int64 (M,)."""
        if self.greedy:
            best: Int64 = np.argmax(logits, axis=1).astype(np.int64, copy=False)
            return best
        return draw(self.probabilities(logits), rng)

    def _restrict(self, p: Float64) -> Float64:
        order = np.argsort(-p, axis=1, kind="stable")
        ranked = np.take_along_axis(p, order, axis=1)
        if self.top_k is not None:
            ranked[:, self.top_k :] = 0
        if self.top_p is not None:
            before = np.cumsum(ranked, axis=1) - ranked
            ranked[before >= self.top_p * _totals(ranked)] = 0
        restricted = np.empty_like(p)
        np.put_along_axis(restricted, order, ranked, axis=1)
        return restricted


def draw(p: Float64, rng: np.random.Generator) -> Int64:
    """Draw one id a row by inverting the cumulative distribution of ``p`` (M, K); rows need not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> draw(np.array([[0.0, 1.0], [1.0, 0.0]]), np.random.default_rng(0)).tolist()
    [1, 0]
    """
    cumulative = np.cumsum(p, axis=1)
    u = rng.random(len(p)) * cumulative[:, -1]
    ids: Int64 = np.sum(cumulative <= u[:, None], axis=1, dtype=np.int64)
    return ids


def _totals(p: Float64) -> Float64:
    return np.cumsum(p, axis=1)[:, -1:]

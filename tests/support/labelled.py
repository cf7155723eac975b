"""Sequences with labels and numbers, as estimators are given them."""

from __future__ import annotations

from typing import Any

import numpy as np


def ragged(count: int, features: int = 1, seed: int = 0) -> list[Any]:
    """Walks of 2 to 12 steps; those of one feature have no axis for it."""
    rng = np.random.default_rng(seed)
    walks = [rng.normal(size=(length, features)).cumsum(axis=0) for length in rng.integers(2, 13, size=count)]
    return [walk[:, 0] for walk in walks] if features == 1 else walks


def dense(count: int, features: int = 2, seed: int = 0) -> Any:
    """An array (N, T, C)."""
    return np.random.default_rng(seed).normal(size=(count, 7, features)).cumsum(axis=1)


def directions(x: Any) -> Any:
    """A word for each sequence: whether its first feature ends above zero."""
    ends = np.array([np.ravel(walk[-1])[0] for walk in x])
    return np.where(ends > 0, "up", "down")


def peaks(x: Any) -> list[Any]:
    """A word for each step: whether the first feature is the highest so far."""
    firsts = [walk if walk.ndim == 1 else walk[:, 0] for walk in x]
    return [np.where(first == np.maximum.accumulate(first), "peak", "below") for first in firsts]


def as_objects(items: Any) -> Any:
    """An object array (N,) of arrays."""
    result = np.empty(len(items), object)
    result[:] = list(items)
    return result

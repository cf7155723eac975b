"""Which hidden units a picture shows, and in which order."""

from __future__ import annotations

import numpy as np

from rnnfast.arrays import Array


def by_strongest_step(h: Array) -> Array:
    """Return h (T, H) as a heat map (H, T), its units ordered by the step at which each is strongest."""
    units: Array = h.T
    return units[np.argsort(np.abs(units).argmax(axis=1), kind="stable")]


def slowest_units(h: Array, count: int) -> Array:
    """Return the ``count`` units of h (T, H) that change most slowly: small steps, large variance."""
    variance, steps = h.var(axis=0), np.diff(h, axis=0).var(axis=0)
    memory = variance / (steps + 0.01 * variance.max(initial=0.0) + 1e-12)
    chosen: Array = h[:, np.argsort(-memory, kind="stable")[:count]]
    return chosen


def most_varied(h: Array, count: int) -> Array:
    """Return the ``count`` units of h (T, H) that vary most over the steps."""
    chosen: Array = h[:, np.argsort(-h.var(axis=0), kind="stable")[:count]]
    return chosen

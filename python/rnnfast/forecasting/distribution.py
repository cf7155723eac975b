"""What a network's outputs say of each number: a point, quantiles at any levels, and draws."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from rnnfast.arrays import Array, Float64
from rnnfast.losses import Likelihood, Loss, Quantile
from rnnfast.losses.inverse import normal


def points(loss: Loss, outputs: Array) -> Float64:
    """Return the median of quantiles, or the mean of a likelihood, (M, K), of outputs (M, K P)."""
    if isinstance(loss, Quantile):
        return quantiles(loss, outputs, np.array([0.5]))[:, :, 0]
    return loss.point(outputs).astype(np.float64)


def quantiles(loss: Loss, outputs: Array, levels: Float64) -> Float64:
    """Return the quantiles (M, K, Q) at levels (Q,) within (0, 1)."""
    if isinstance(loss, Quantile):
        u = np.broadcast_to(levels, (len(outputs), outputs.shape[1] // loss.width, len(levels)))
        return between(loss.quantiles, loss.rearranged(outputs).astype(np.float64), u)
    assert isinstance(loss, Likelihood)
    return loss.predicted(outputs, levels).astype(np.float64)


def draws(loss: Loss, outputs: Array, rng: np.random.Generator) -> Float64:
    """Return a number (M, K) of each distribution."""
    u = rng.random((len(outputs), outputs.shape[1] // loss.width))
    if isinstance(loss, Quantile):
        u = np.clip(u, 2.0**-54, 1 - 2.0**-54)
        return between(loss.quantiles, loss.rearranged(outputs).astype(np.float64), u[..., None])[..., 0]
    assert isinstance(loss, Likelihood)
    return loss.draw(outputs, u).astype(np.float64)


def between(known: Float64, values: Float64, u: Float64) -> Float64:
    """Return the quantiles at u (..., Q), given those at the ascending levels ``known`` (P,), values (..., P).

    The quantile is linear in the normal quantile of its level between two known ones, and goes on so beyond them: a
    normal distribution whose known quantiles are right is found exactly. A single known quantile is all there is.

    Examples
    --------
    >>> between(np.array([0.1, 0.5, 0.9]), np.array([[-1.0, 0.0, 2.0]]), np.array([[0.5, 0.9, 0.7]])).round(4).tolist()
    [[0.0, 2.0, 0.8184]]
    """
    if len(known) == 1:
        return np.broadcast_to(values, u.shape).copy()
    z = np.array([NormalDist().inv_cdf(float(level)) for level in known])
    levels, places = np.unique(u, return_inverse=True)
    wanted = normal(levels)[places].reshape(u.shape)
    right = np.clip(np.searchsorted(known, u), 1, len(known) - 1)
    low = np.take_along_axis(values, right - 1, axis=-1)
    high = np.take_along_axis(values, right, axis=-1)
    share = (wanted - z[right - 1]) / (z[right] - z[right - 1])
    found: Float64 = low + share * (high - low)
    return found

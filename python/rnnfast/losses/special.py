"""Differences of the logarithm of the gamma function and of its derivative, which likelihoods need."""

from __future__ import annotations

import numpy as np

from rnnfast.arrays import Float64

SHIFT = 10  # the series are used at a + SHIFT, where their first omitted terms are below the rounding unit
# Coefficients of Stirling's series, of x^-1, x^-3, ...; Abramowitz and Stegun (1964), 6.1.41 and 6.3.18.
LOG_GAMMA = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760)  # of x^-2, x^-4, ...


def log_gamma_rise(a: Float64, y: Float64) -> Float64:
    """Return ``log gamma(a + y) - log gamma(a)`` of a > 0 and y >= 0, without the cancellation of large a.

    Examples
    --------
    >>> float(np.exp(log_gamma_rise(np.array(1.0), np.array(4.0))).round(12))
    24.0
    """
    steps = np.ones(np.broadcast_shapes(a.shape, y.shape))
    for k in range(SHIFT):
        steps *= (a + y + k) / (a + k)
    x, z = a + SHIFT, a + y + SHIFT
    series = _series(LOG_GAMMA, z) * z - _series(LOG_GAMMA, x) * x
    return np.asarray((x - 0.5) * np.log1p(y / x) + y * (np.log(z) - 1) + series - np.log(steps))


def digamma_rise(a: Float64, y: Float64) -> Float64:
    """Return ``digamma(a + y) - digamma(a)`` of a > 0 and y >= 0.

    Examples
    --------
    >>> float(digamma_rise(np.array(1.0), np.array(2.0)).round(12))
    1.5
    """
    found = np.zeros(np.broadcast_shapes(a.shape, y.shape))
    for k in range(SHIFT):
        found += y / ((a + k) * (a + y + k))
    x, z = a + SHIFT, a + y + SHIFT
    return np.asarray(found + np.log1p(y / x) + y / (2 * x * z) + _series(DIGAMMA, x) - _series(DIGAMMA, z))


def _series(coefficients: tuple[float, ...], x: Float64) -> Float64:
    """Return the sum of ``coefficients[i] x^-(2 i + 2)``."""
    inverse = 1 / x**2
    found = np.zeros_like(x)
    for c in reversed(coefficients):
        found = (found + c) * inverse
    return found

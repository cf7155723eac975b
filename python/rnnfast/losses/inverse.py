"""Quantiles of distributions: the inverses of their cumulative distribution functions.

What has converged is not changed any more, so that no result depends on what stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from rnnfast.arrays import Float64
from rnnfast.losses.special import log_gamma_rise

EPS = float(np.finfo(np.float64).eps)
TINY = 1e-300
TOLERANCE = 1e-13  # relative, of a quantile
STEPS = 200  # of Newton's method, each of which multiplies a quantile far in the tail by 1 + 1 / df
LARGE = 1e8  # the rate of a Poisson distribution beyond which terms are too many
MOST = 10_000  # terms of a continued fraction or series, which needs some sqrt(mean)


def normal(u: Float64) -> Float64:
    """Return the standard normal quantile z at every u within (0, 1)."""
    return np.asarray(np.frompyfunc(NormalDist().inv_cdf, 1, 1)(u), np.float64)


def student_t(u: Float64, df: Float64) -> Float64:
    """Return the quantile z of Student's t distribution at every u within (0, 1).

    Newton's steps start at the normal quantile. It is nearer to zero, and on that side they never pass the root, for
    the distribution function is concave above zero.
    """
    u, df = np.broadcast_arrays(u, df)
    tail = np.minimum(u, 1 - u)
    z = -normal(tail)
    log_scale = log_gamma_rise(df / 2, np.array(0.5)) - np.log(np.pi * df) / 2
    done = np.zeros(z.shape, bool)
    for _ in range(STEPS):
        x, rest = df / (df + z * z), z * z / (df + z * z)
        density = np.exp(log_scale + (df + 1) / 2 * np.log(x))
        step = (incomplete_beta(df / 2, np.array(0.5), x, rest) / 2 - tail) / np.maximum(density, TINY)
        z = np.where(done, z, z + step)
        done |= np.abs(step) <= TOLERANCE * (1 + z)
        if done.all():
            break
    return np.where(u < 0.5, -z, z)


def poisson(u: Float64, rate: Float64) -> Float64:
    """Return the least count k whose probability of at most k, ``Q(k + 1, rate)``, is u or more.

    Beyond ``LARGE`` it is rounded from the normal quantile, corrected for the skew (Cornish and Fisher 1938).
    """
    near, z = np.minimum(rate, LARGE), normal(u)
    found = _least_count(lambda k: 1 - incomplete_gamma(k + 1, near), u, near, near)
    with np.errstate(invalid="ignore"):
        far = np.round(rate + z * np.sqrt(rate) + (z * z - 1) / 6)
    return np.where(rate <= LARGE, found, np.where(np.isfinite(rate), far, rate))


def negative_binomial(u: Float64, mean: Float64, dispersion: Float64) -> Float64:
    """Return the least count k whose probability of at most k, ``I_p(r, k + 1)``, is u or more."""
    r, p = 1 / dispersion, 1 / (1 + mean * dispersion)
    return _least_count(
        lambda k: incomplete_beta(r, k + 1, p, p * mean * dispersion), u, mean, mean * (1 + mean * dispersion)
    )


def _least_count(cdf: Callable[[Float64], Float64], u: Float64, mean: Float64, variance: Float64) -> Float64:
    """Return the least k with ``cdf(k) >= u``, by bisection."""
    high = np.ceil(mean + 6 * np.sqrt(variance)) + np.zeros_like(u) + 4
    for _ in range(60):
        short = cdf(high) < u
        if not short.any():
            break
        high = np.where(short, 2 * high, high)
    low = np.full_like(high, -1)
    for _ in range(80):
        if not (high - low > 1).any():
            break
        middle = np.maximum(np.floor((low + high) / 2), 0)
        enough = cdf(middle) >= u
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    return np.asarray(high)


def log_gamma(a: Float64) -> Float64:
    """Return ``log gamma(a)`` of a > 0."""
    return np.asarray(log_gamma_rise(np.array(1.0), a) - np.log(a))


def incomplete_gamma(a: Float64, x: Float64) -> Float64:
    """Return the regularised ``P(a, x)``, by a series or a continued fraction (Press et al. 2007, 6.2).

    Examples
    --------
    >>> float(incomplete_gamma(np.array(1.0), np.array(2.0)).round(12))
    0.864664716763
    """
    a, x = np.broadcast_arrays(a, x)
    front = np.exp(a * np.log(np.maximum(x, TINY)) - x - log_gamma(a))
    term = 1 / a
    series, place = term.copy(), a.copy()
    below = np.where(x < a + 1, x, 0.0)
    for _ in range(MOST):
        place = place + 1
        term = term * below / place
        term = np.where(term <= EPS * series, 0.0, term)
        series = series + term
        if not term.any():
            break
    above = np.where(x < a + 1, a + 1, x)
    fraction = _fraction(lambda i: -i * (i - a) if i else np.ones_like(a), lambda i: above + 2 * i + 1 - a)
    return np.where(x < a + 1, front * series, 1 - front * fraction)


def incomplete_beta(a: Float64, b: Float64, x: Float64, rest: Float64) -> Float64:
    """Return the regularised ``I_x(a, b)``, ``rest = 1 - x``, by a continued fraction (Press et al. 2007, 6.4).

    Examples
    --------
    >>> float(incomplete_beta(np.array(2.0), np.array(1.0), np.array(0.5), np.array(0.5)).round(12))
    0.25
    """
    a, b, x, rest = np.broadcast_arrays(a, b, x, rest)
    turned = x > (a + 1) / (a + b + 2)
    p, q, y = np.where(turned, b, a), np.where(turned, a, b), np.where(turned, rest, x)
    log_front = p * np.log(np.maximum(y, TINY)) + q * np.log(np.maximum(np.where(turned, x, rest), TINY))
    front = np.exp(log_front + log_gamma_rise(q, p) - log_gamma(p)) / p

    def numerator(i: int) -> Float64:
        m = i // 2
        if i == 0:
            return np.ones_like(p)
        if i % 2:
            return np.asarray(-(p + m) * (p + q + m) * y / ((p + 2 * m) * (p + 2 * m + 1)))
        return np.asarray(m * (q - m) * y / ((p + 2 * m - 1) * (p + 2 * m)))

    found = front * _fraction(numerator, lambda i: np.ones_like(p))
    return np.asarray(np.where(turned, 1 - found, found))


def _fraction(numerator: Callable[[int], Float64], denominator: Callable[[int], Float64]) -> Float64:
    """Return ``n_0 / (d_0 + n_1 / (d_1 + n_2 / (d_2 + ...)))`` by Lentz's method (1976)."""
    d = 1 / _off_zero(denominator(0))
    c = np.full_like(d, 1 / TINY)
    value = numerator(0) * d
    done = np.zeros(d.shape, bool)
    for i in range(1, MOST):
        d = 1 / _off_zero(denominator(i) + numerator(i) * d)
        c = _off_zero(denominator(i) + numerator(i) / c)
        value = np.where(done, value, value * (c * d))
        done |= np.abs(c * d - 1) <= 16 * EPS
        if done.all():
            break
    return value


def _off_zero(x: Float64) -> Float64:
    return np.where(np.abs(x) < TINY, TINY, x)

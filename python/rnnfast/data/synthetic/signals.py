"""Made signals: sums of waves, seasonal series, and noisy evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Float64, Int64
from rnnfast.checks import names_arguments
from rnnfast.data.synthetic.chance import generator

GAPS = np.arange(1, 7)
"""Steps of a gap."""


@names_arguments
def two_sines(
    count: int, length: int, *, seed: int | np.random.Generator | np.random.RandomState | None = None
) -> Array:
    """Return sums of two waves of random frequency and phase, and noise.

    ``x(t) = 0.5 sin((t - a) (10 f + 10)) + 0.2 sin((t - b) (20 g + 20)) + 0.1 (u(t) - 0.5)`` at T times t from 0 to 1,
    with f, g, a, b and u(t) uniform in [0, 1).

    Parameters
    ----------
    count : int
        Series N.
    length : int
        Steps T.
    seed : int, Generator, RandomState or None
        Source of the random numbers. ``np.random.RandomState(42)`` gives the series of the textbook, which calls
        ``np.random.seed(42)``.

    Returns
    -------
    float32 (N, T, 1)
        ``windows`` and slices make inputs and targets of it.

    Notes
    -----
    Géron 2019, Hands-On Machine Learning, the chapter on sequences; there, N = 10000 and T = 51, and the last step is
    forecast from the others.

    Examples
    --------
    >>> series = two_sines(5, 51, seed=0)
    >>> x, y = series[:, :-1], series[:, -1]
    >>> x.shape, y.shape
    ((5, 50, 1), (5, 1))
    """
    N, T = checks.as_size("count", count), checks.as_size("length", length)
    rng = seed if isinstance(seed, np.random.RandomState) else generator(seed)
    # The order of the draws is the textbook's.
    f, g, a, b = rng.random((4, N, 1))
    t = np.linspace(0, 1, T)
    x = 0.5 * np.sin((t - a) * (f * 10 + 10))
    x += 0.2 * np.sin((t - b) * (g * 20 + 20))
    x += 0.1 * (rng.random((N, T)) - 0.5)
    series: Array = x[..., None].astype(np.float32)
    return series


@names_arguments
def seasonal_series(
    count: int,
    length: int,
    *,
    period: int = 12,
    scales: Sequence[float] = (1.0, 100.0, 10_000.0),
    missing: float = 0.05,
    seed: int | np.random.Generator | None = None,
) -> Float64:
    """Return series with a season, a trend that turns slowly, gaps, and scales that differ: for global models.

    ``y(t) = s (10 + l(t) + A(t mod P) + 0.3 e(t))``, ``l(t) = l(t-1) + b(t) + 0.05 u(t)`` and
    ``b(t) = b(t-1) + 0.002 v(t)``, where e, u and v are normal, b begins normal with deviation 0.03, and the season A
    is two waves of random sizes and phases. Each series has one of the scales s. A gap lasts one to six steps.

    Parameters
    ----------
    count : int
        Series N.
    length : int
        Steps T.
    period : int
        P, the steps of a season.
    scales : numbers
        What series are multiplied by, each drawn as often as the others.
    missing : float
        About the share of the steps that is missing, within [0, 1).
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    float64 (N, T)
        NaN where a value is missing.

    Notes
    -----
    The basic structural model of Harvey 1989, Forecasting, structural time series models and the Kalman filter, with a
    season that stays.

    Examples
    --------
    >>> series = seasonal_series(5, 48, seed=0)
    >>> series.shape
    (5, 48)
    """
    N, T, P = (checks.as_size(name, v) for name, v in (("count", count), ("length", length), ("period", period)))
    sizes = checks.as_reals("scales", scales, np.dtype(np.float64))
    if sizes.ndim != 1 or not len(sizes):
        raise ValueError(f"scales: at least one number is required, shape (S,), got shape {sizes.shape}")
    missing, rng = checks.as_probability("missing", missing), generator(seed)
    t, waves = np.arange(T), np.arange(1, 3)[:, None]
    amplitudes = rng.uniform(0.5, 2, (N, 1, 1)) * rng.uniform(0.2, 1, (N, 2, 1)) / waves
    season = (amplitudes * np.sin(2 * np.pi * (waves * t / P + rng.random((N, 2, 1))))).sum(axis=1)
    slope = rng.normal(0, 0.03, (N, 1)) + np.cumsum(rng.normal(0, 0.002, (N, T)), axis=1)
    level = np.cumsum(slope + rng.normal(0, 0.05, (N, T)), axis=1)
    y: Float64 = rng.choice(sizes, (N, 1)) * (10 + level + season + rng.normal(0, 0.3, (N, T)))
    left = np.where(rng.random((N, T)) < missing / GAPS.mean(), rng.choice(GAPS, (N, T)), 0)
    for step in range(1, T):
        left[:, step] = np.maximum(left[:, step], left[:, step - 1] - 1)
    y[left > 0] = np.nan
    return y


@names_arguments
def perceptual_decision(
    count: int,
    *,
    fixation: int = 5,
    stimulus: int = 20,
    decision: int = 5,
    noise: float = 1.0,
    seed: int | np.random.Generator | None = None,
) -> tuple[Float64, Int64]:
    """Return trials of a perceptual decision: which of two noisy stimuli is stronger on the whole.

    While the fixation cue is 1, the answer is to wait. During the stimulus each of two channels is noisy evidence,
    ``0.5 + 0.5 s c + noise n(t)``: c, one of 0.064, 0.128, 0.256 and 0.512, is the coherence of the trial, s is 1 for
    the stronger channel and -1 for the other, and n(t) is normal. When the cue ends, the answer is the stronger
    channel.

    Parameters
    ----------
    count : int
        Trials N.
    fixation, stimulus, decision : int
        Steps before the stimulus, with it, and to answer.
    noise : float
        Standard deviation of the evidence at a step.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    x : float64 (N, T, 3), T = fixation + stimulus + decision
        Cue and evidence of both channels.
    y : int64 (N, T)
        The class of each step: 0 to wait, 1 or 2 for the channels.

    Notes
    -----
    The random dots of Britten, Shadlen, Newsome and Movshon 1992; for networks Song, Yang and Wang 2016.

    Examples
    --------
    >>> x, y = perceptual_decision(2, fixation=2, stimulus=3, decision=2, seed=0)
    >>> x.shape, x[0, :, 0].tolist(), y.tolist()
    ((2, 7, 3), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0], [[0, 0, 0, 0, 0, 2, 2], [0, 0, 0, 0, 0, 1, 1]])
    """
    N, begin = checks.as_size("count", count), checks.as_integer("fixation", fixation, least=0)
    end = begin + checks.as_size("stimulus", stimulus)
    T = end + checks.as_size("decision", decision)
    noise, rng = checks.at_least_zero("noise", noise), generator(seed)
    coherence = rng.choice([0.064, 0.128, 0.256, 0.512], N)
    stronger = rng.integers(0, 2, N)
    x = np.zeros((N, T, 3))
    x[:, :end, 0] = 1
    sign = np.where(np.arange(2) == stronger[:, None], 1.0, -1.0)
    x[:, begin:end, 1:] = (0.5 + 0.5 * sign * coherence[:, None])[:, None]
    x[:, begin:end, 1:] += noise * rng.standard_normal((N, end - begin, 2))
    y = np.zeros((N, T), np.int64)
    y[:, end:] = 1 + stronger[:, None]
    return x, y

"""Metrics of forecasts: functions of arrays in which NaN is missing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Float64
from rnnfast.checks import names_arguments

FLOAT = np.dtype(np.float64)


@names_arguments
def rmse(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return ``sqrt(mean (forecast - truth)^2)`` over all numbers that are there.

    Parameters
    ----------
    truth, forecast : array (...)
        NaN is missing.

    Returns
    -------
    float
        NaN where nothing is there.

    Raises
    ------
    ValueError
        Different shapes.

    Examples
    --------
    >>> rmse([1.0, 2.0, np.nan], [1.0, 4.0, 0.0]).__round__(4)
    1.4142
    """
    t, f = _pair(truth, forecast)
    return float(np.sqrt(_mean((f - t) ** 2)))


@names_arguments
def mae(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return ``mean |forecast - truth|`` over all numbers that are there.

    Parameters
    ----------
    truth, forecast : array (...)
        NaN is missing.

    Returns
    -------
    float
        NaN where nothing is there.

    Raises
    ------
    ValueError
        Different shapes.

    Examples
    --------
    >>> mae([1.0, 2.0, np.nan], [1.0, 4.0, 0.0])
    1.0
    """
    t, f = _pair(truth, forecast)
    return _mean(abs(f - t))


@names_arguments
def mase(truth: npt.ArrayLike, forecast: npt.ArrayLike, history: npt.ArrayLike, *, season: int = 1) -> float:
    """Return the mean absolute scaled error: that of the forecast in units of the seasonal naive one's in the history.

    ``mean |forecast - truth| / mean |history(t) - history(t - season)|`` (Hyndman and Koehler 2006).

    Parameters
    ----------
    truth, forecast : array (...)
        Of one series; NaN is missing.
    history : array (T,)
        The values that the forecast was learned from.
    season : int
        Steps of a season; 1 for none.

    Returns
    -------
    float
        NaN where nothing is there, or where the history does not change.

    Raises
    ------
    ValueError
        Different shapes, or a history that is not longer than a season.

    References
    ----------
    R. J. Hyndman and A. B. Koehler, "Another look at measures of forecast accuracy", Int. J. Forecasting 22 (2006).

    Examples
    --------
    >>> mase([5.0, 6.0], [5.0, 5.0], [1.0, 2.0, 3.0, 4.0])
    0.5
    """
    scale = naive_error(history, season=season)
    return mae(truth, forecast) / scale if scale > 0 else float("nan")


@names_arguments
def naive_error(history: npt.ArrayLike, *, season: int = 1) -> float:
    """Return ``mean |history(t) - history(t - season)|``, in whose units ``mase`` counts.

    Parameters
    ----------
    history : array (T,)
        NaN is missing.
    season : int
        Steps of a season.

    Raises
    ------
    ValueError
        A history that is not longer than a season.

    Examples
    --------
    >>> naive_error([1.0, 2.0, 4.0])
    1.5
    """
    lag, values = checks.as_size("season", season), checks.as_reals("history", history, FLOAT)
    if values.ndim != 1 or len(values) <= lag:
        raise ValueError(f"history: shape (T,) with T > season = {lag} is required, got {values.shape}")
    return _mean(abs(values[lag:] - values[:-lag]))


@names_arguments
def crps(
    truth: npt.ArrayLike,
    forecast: npt.ArrayLike,
    *,
    quantiles: npt.ArrayLike | None = None,
) -> float:
    """Return the mean continuous ranked probability score, in the units of the truth; smaller is better.

    Of samples it is ``mean |x - y| - mean |x - x'| / 2`` over all pairs of different ones, which has no bias (Ferro
    2014). Of quantiles it is twice the mean pinball loss over the levels, which the score is in the limit of many
    (Gneiting and Raftery 2007).

    Parameters
    ----------
    truth : array (...)
        NaN is missing.
    forecast : array (..., S) or (..., Q)
        Samples, or the quantiles at the levels.
    quantiles : numbers (Q,) or None
        The levels within (0, 1); None: the forecast has samples.

    Returns
    -------
    float
        NaN where nothing is there.

    Raises
    ------
    ValueError
        Shapes that do not fit, levels outside (0, 1).

    References
    ----------
    T. Gneiting and A. E. Raftery, "Strictly proper scoring rules, prediction, and estimation", JASA 102 (2007);
    C. A. T. Ferro, "Fair scores for ensemble forecasts", Q. J. R. Meteorol. Soc. 140 (2014).

    Examples
    --------
    >>> crps([0.0], [[-1.0, 1.0]]), crps([1.0], [[0.0]], quantiles=[0.5])
    (0.0, 1.0)
    """
    t, x = checks.as_reals("truth", truth, FLOAT), checks.as_reals("forecast", forecast, FLOAT)
    if x.shape[:-1] != t.shape or x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"forecast: shape (..., S), beside truth (...) = {t.shape}, is required, got {x.shape}")
    if quantiles is not None:
        levels = checks.as_reals("quantiles", quantiles, FLOAT)
        if levels.shape != x.shape[-1:] or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"quantiles: {x.shape[-1]} numbers within (0, 1) are required, got {quantiles}")
        error = t[..., None] - x
        return 2 * _mean(np.maximum(levels * error, (levels - 1) * error).mean(axis=-1))
    ordered, S = np.sort(x, axis=-1), x.shape[-1]
    spread = (ordered * (2 * np.arange(S) - S + 1)).sum(axis=-1) / max(S * (S - 1), 1)
    return _mean(abs(x - t[..., None]).mean(axis=-1) - spread)


@names_arguments
def coverage(truth: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> float:
    """Return the share of numbers that lie within an interval, its bounds included.

    Parameters
    ----------
    truth, low, high : array (...)
        NaN in the truth is missing.

    Returns
    -------
    float
        NaN where nothing is there.

    Raises
    ------
    ValueError
        Different shapes.

    Examples
    --------
    >>> coverage([1.0, 5.0], [0.0, 0.0], [2.0, 2.0])
    0.5
    """
    t, a = _pair(truth, low, "low")
    _, b = _pair(truth, high, "high")
    return _mean(np.where(np.isnan(t), np.nan, (a <= t) & (t <= b)))


def _pair(truth: npt.ArrayLike, forecast: npt.ArrayLike, name: str = "forecast") -> tuple[Float64, Float64]:
    t, f = checks.as_reals("truth", truth, FLOAT), checks.as_reals(name, forecast, FLOAT)
    if t.shape != f.shape:
        raise ValueError(f"{name}: shape {t.shape}, that of truth, is required, got {f.shape}")
    return t, f


def _mean(values: Float64) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")

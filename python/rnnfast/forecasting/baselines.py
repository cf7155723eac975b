"""Forecasts that need no model, to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Float64, Int64
from rnnfast.checks import names_arguments
from rnnfast.forecasting.features import filled
from rnnfast.forecasting.series import numbers


@names_arguments
def naive(history: Any, horizon: int) -> Float64:
    """Return the last known value, (H,).

    Parameters
    ----------
    history : array (T,)
        NaN is missing.
    horizon : int
        H, the steps to forecast.

    Raises
    ------
    ValueError
        Another shape, or no value.

    Examples
    --------
    >>> naive([1.0, 2.0, float("nan")], 2).tolist()
    [2.0, 2.0]
    """
    return seasonal_naive(history, horizon, season=1)


@names_arguments
def seasonal_naive(history: Any, horizon: int, *, season: int) -> Float64:
    """Return the last known value of each step's phase, (H,).

    Parameters
    ----------
    history : array (T,)
        NaN is missing.
    horizon : int
        H, the steps to forecast.
    season : int
        Steps of a season, at most T.

    Raises
    ------
    ValueError
        Another shape, no value, or a history shorter than a season.

    Examples
    --------
    >>> seasonal_naive([1.0, 2.0, 3.0, 4.0], 3, season=2).tolist()
    [3.0, 4.0, 3.0]
    """
    values, steps, lag = _history(history), checks.as_size("horizon", horizon), checks.as_size("season", season)
    if len(values) < lag:
        raise ValueError(f"history: at least season = {lag} steps are required, got {len(values)}")
    found: Float64 = seasonal_naive_at(values, np.array([len(values)]), steps, lag)[0]
    return found


@names_arguments
def drift(history: Any, horizon: int) -> Float64:
    """Return the line through the first and the last known value, (H,).

    Parameters
    ----------
    history : array (T,)
        NaN is missing.
    horizon : int
        H, the steps to forecast.

    Raises
    ------
    ValueError
        Another shape, or no value.

    Examples
    --------
    >>> drift([1.0, 2.0, 3.0], 2).tolist()
    [4.0, 5.0]
    """
    values, steps = _history(history), checks.as_size("horizon", horizon)
    known = np.flatnonzero(~np.isnan(values))
    first, last = int(known[0]), int(known[-1])
    slope = (values[last] - values[first]) / max(last - first, 1)
    ahead = np.arange(len(values), len(values) + steps) - last
    found: Float64 = values[last] + slope * ahead
    return found


def seasonal_naive_at(values: Float64, origins: Int64, horizon: int, season: int) -> Float64:
    """Return the seasonal naive forecasts (O, H) from each of some origins on, numbers of steps known before it."""
    whole = filled(values, season)
    found: Float64 = whole[np.maximum(origins[:, None] - season, 0) + np.arange(horizon) % season]
    return found


def _history(history: Any) -> Float64:
    values = numbers("history", history)
    if values.ndim != 1 or not (~np.isnan(values)).any():
        raise ValueError(f"history: shape (T,) with at least one value is required, got shape {values.shape}")
    return values

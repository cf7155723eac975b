"""Metrics of forecasts: functions of arrays in which NaN is missing, and two that models report."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, Float64
from rnnfast.checks import names_arguments
from rnnfast.metrics.base import Judged, JudgingMetric, Mean
from rnnfast.metrics.numbers import MeanAbsoluteError

FLOAT = np.dtype(np.float64)
# Levels of the quantiles that stand for a whole distribution.
LEVELS = (np.arange(50) + 0.5) / 50


class MASE(MeanAbsoluteError):
    """The mean absolute error of a task of numbers, in units of the naive forecast's error in a history; see ``mase``.

    Parameters
    ----------
    history : array (T,)
        The values that the model was trained on; NaN is missing.
    season : int
        Steps of a season; 1 for none.

    Raises
    ------
    ValueError
        A history that is not longer than a season, or that does not change.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.MASE([1.0, 3.0, 5.0])
    >>> metric.update(np.array([[1.0], [4.0]]), np.array([[2.0], [2.0]]), None)
    >>> metric.result()
    0.75
    """

    name = "mase"

    @names_arguments
    def __init__(self, history: npt.ArrayLike, *, season: int = 1) -> None:
        self.scale = naive_error(history, season=season)
        if not self.scale > 0:
            raise ValueError(f"history: values that change from season to season are required, got {self.scale}")
        super().__init__()

    def result(self) -> float:
        """Return the scaled error; 0.0 of nothing."""
        return super().result() / self.scale


class CRPS(Mean, JudgingMetric):
    """The continuous ranked probability score of a task that predicts quantiles or a distribution; see ``crps``.

    Of quantiles it is that of the learned levels, of a distribution that of 50 quantiles.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> model = rf.ManyToOne(1, 1, task="gaussian", hidden_size=2, seed=0)
    >>> found = model.evaluate(np.zeros((4, 3, 1)), np.zeros((4, 1)), metrics=rf.metrics.CRPS())
    >>> sorted(found)
    ['crps', 'loss', 'mae']
    """

    name = "crps"
    higher_is_better = False
    elements = ("vector",)

    def __init__(self) -> None:
        super().__init__(self._scores)

    def bind(self, task: Judged) -> None:
        """Take note of the task; ValueError where it predicts no quantiles."""
        super().bind(task)
        if not getattr(task, "has_quantiles", False):
            raise ValueError(f"metrics: for 'crps' a task with quantiles is required, got task={task.name!r}")

    def _scores(self, outputs: Array, targets: Array) -> Array:
        task: Any = self._task
        levels = getattr(task.criterion, "quantiles", LEVELS)
        error = targets[..., None] - task.quantiles(outputs, levels)
        scores: Array = 2 * np.maximum(levels * error, (levels - 1) * error).mean(axis=-1)
        return scores


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

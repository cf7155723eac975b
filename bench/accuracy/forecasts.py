"""Tasks of forecasts: sunspots of years and of months, carbon dioxide of weeks, and many made series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import rnnfast as rf
from bench.accuracy import floors, readers
from bench.accuracy.metrics import Bounds, Metric, Part
from bench.accuracy.task import Data, Floor, Task
from rnnfast.metrics import mae, rmse

MONTHS, WEEKS = 12, 52
HORIZON = 12
"""Steps of a forecast, but for the years."""


def parts(series: Any, judged: int, cut: Callable[[Any, int], Any] = lambda series, end: series[:end]) -> Data:
    """Parts of series of T steps: the last ``judged`` steps are the test part, and as many before them validate."""
    first = len(series[0] if isinstance(series, list) else series) - judged
    known, earlier = cut(series, first), cut(series, first - judged)
    return Data(Part(known), Part(earlier), Part(known, first - judged), Part(series, first), ())


def yearly_sunspots() -> Data:
    """Means of 309 years; the last 50 are forecast one by one."""
    return parts(readers.table(readers.found("statsmodels", "sunspots.csv"))[:, 1], 50)


def monthly_sunspots() -> Data:
    """Means of 260 years of months; the last fifth is forecast, twelve months from every month on."""
    series = readers.months(readers.found("statsmodels", "sunspots_monthly.dat"))
    return parts(series, len(series) // 5)


def carbon_dioxide() -> Data:
    """Weeks of 44 years on Mauna Loa, 59 missing; the last fifth is forecast, twelve weeks from every week on."""
    import pandas as pd

    table = readers.table(readers.found("statsmodels", "co2.csv"))
    weeks = pd.to_datetime(table[:, 0].astype(int).astype(str), format="%Y%m%d")
    series = pd.Series(table[:, 1], index=weeks).asfreq("W-SAT")
    return parts(series, round(0.2 * len(series)))


def many_series() -> Data:
    """Five hundred made series of eleven years; the last two are forecast, twelve months from every month on."""
    series = list(rf.data.synthetic.seasonal_series(500, 132, seed=0))
    return parts(series, 2 * MONTHS, lambda series, end: [each[:end] for each in series])


def of_backtest(name: str) -> Callable[[Any, Part], float]:
    """A score of all forecasts from the part's first origin on."""
    return lambda model, part: float(model.backtest(part.x, start=part.y).scores()["model"][name])


def relative_mase(model: Any, part: Part) -> float:
    """The MASE of the forecasts divided by that of seasonal naive ones; both are means over the series."""
    scores = model.backtest(part.x, start=part.y, season=MONTHS).scores()
    return float(scores["model"]["mase"] / scores["seasonal_naive"]["mase"])


def relative_autoregression(data: Data) -> float:
    """The same of autoregressive forecasts, fitted to each series by itself."""
    series, known = data.test.x, data.test.y
    own = [floors.autoregression(each, known, 13, HORIZON, MONTHS) for each in series]
    naive = [floors.seasonal_naive(each, known, HORIZON, MONTHS) for each in series]
    errors = [
        np.mean([floors.mean_scaled_error(*pair, known, MONTHS) for pair in zip(series, forecasts, strict=True)])
        for forecasts in (own, naive)
    ]
    return float(errors[0] / errors[1])


def of_forecasts(forecast: Callable[..., Any], score: Callable[..., float], *arguments: int) -> Callable[[Data], float]:
    """The score of a simple method, called with the series, the steps known at first, and further arguments."""

    def found(data: Data) -> float:
        series = np.asarray(data.test.x, np.float64)
        forecasts = forecast(series, data.test.y, *arguments)
        return score(floors.truth(series, data.test.y, forecasts.shape[1]), forecasts)

    return found


COVERAGE = Bounds("80 % interval", of_backtest("coverage_80"), 0.7, 0.9)
RMSE = Metric("RMSE", of_backtest("rmse"), False)
MAE = Metric("MAE", of_backtest("mae"), False)
RELATIVE_MASE = Metric("MASE / seasonal naive's", relative_mase, False)

TASKS = (
    Task(
        "yearly-sunspots",
        rf.Forecaster,
        yearly_sunspots,
        RMSE,
        Floor("AR(9), least squares", of_forecasts(floors.autoregression, rmse, 9, 1)),
    ),
    Task(
        "monthly-sunspots",
        rf.Forecaster,
        monthly_sunspots,
        MAE,
        Floor("AR(132), Yule-Walker", of_forecasts(floors.yule_walker, mae, 132, HORIZON)),
        COVERAGE,
    ),
    Task(
        "co2",
        rf.Forecaster,
        carbon_dioxide,
        MAE,
        Floor("seasonal naive with drift", of_forecasts(floors.seasonal_naive_with_drift, mae, HORIZON, WEEKS)),
        COVERAGE,
    ),
    Task(
        "many-series",
        rf.Forecaster,
        many_series,
        RELATIVE_MASE,
        Floor("AR(13) of each, least squares", relative_autoregression),
    ),
)

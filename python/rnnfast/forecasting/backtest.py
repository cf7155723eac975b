"""Forecasts from every origin of series that are known, beside what came true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from rnnfast import checks, metrics
from rnnfast.arrays import Array, Float64, Int64
from rnnfast.forecasting.baselines import seasonal_naive_at
from rnnfast.forecasting.features import Features
from rnnfast.forecasting.fitted import Fitted
from rnnfast.forecasting.series import Panel, Series
from rnnfast.forecasting.strategies import Wanted, forecasts


@dataclass(frozen=True, kw_only=True, repr=False)
class Backtest:
    """Forecasts from O origins, of all series, each made of what was known before its origin.

    Attributes
    ----------
    forecast, truth : float64 (O, H)
        Points, and what came true; NaN where that is missing.
    quantiles : float64 (O, H, Q)
        At ``levels`` (Q,).
    origins : int64 (O,)
        The steps of its series that each forecast knew.
    labels : object (O,)
        The series of each forecast: its place in a list, its column, or its id.
    season : int
        Steps of a season of the seasonal naive forecast, and of MASE.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> series = np.sin(np.arange(120.0))
    >>> model = rf.Forecaster(window=8, horizon=2, hidden_size=4, epochs=1, seed=0)
    >>> found = model.fit(series[:100], progress=False).backtest(series, start=100)
    >>> found.forecast.shape, list(found.scores())
    ((19, 2), ['model', 'naive'])
    """

    forecast: Float64
    truth: Float64
    quantiles: Float64
    levels: tuple[float, ...]
    origins: Int64
    labels: Array
    season: int
    panel: Panel

    def __repr__(self) -> str:
        count, horizon = self.forecast.shape
        return f"<Backtest: {count} forecasts of {horizon} steps, series: {len(self._by_series())}>"

    def interval(self, level: float = 0.8) -> tuple[Float64, Float64]:
        """Return the lower and the upper bounds (O, H) of a central interval, whose quantiles are among the levels.

        Parameters
        ----------
        level : float
            The probability of the interval, such as 0.8 of the quantiles 0.1 and 0.9.

        Raises
        ------
        ValueError
            Quantiles that are not there.
        """
        bounds = [(1 - level) / 2, (1 + level) / 2]
        places = [int(np.argmin(np.abs(np.array(self.levels) - bound))) for bound in bounds] if self.levels else []
        if not places or not np.allclose([self.levels[place] for place in places], bounds, atol=1e-9):
            raise ValueError(f"level: an interval of the quantiles {self.levels} is required, got {level}")
        return self.quantiles[:, :, places[0]], self.quantiles[:, :, places[1]]

    def scores(self) -> dict[str, dict[str, float]]:
        """Return MASE, RMSE, MAE and CRPS of the model and of naive forecasts, and how often its intervals are right.

        MASE is the mean over the series, each in units of the naive error before its first origin. The CRPS of a point
        forecast is its MAE.
        """
        found = {"model": self._scores(self.forecast)}
        if self.levels:
            found["model"]["crps"] = metrics.crps(self.truth, self.quantiles, quantiles=self.levels)
            for low in (level for level in self.levels if level < 0.5):
                if any(abs(low + high - 1) < 1e-9 for high in self.levels):
                    bounds = self.interval(1 - 2 * low)
                    found["model"][f"coverage_{100 * (1 - 2 * low):g}"] = metrics.coverage(self.truth, *bounds)
        found["naive"] = self._scores(self._naive(1))
        if self.season > 1:
            found["seasonal_naive"] = self._scores(self._naive(self.season))
        return found

    def frame(self) -> Any:
        """Return a frame of pandas with a row for each origin and step.

        Its columns are series, origin, step, time, truth, forecast and the quantiles.
        """
        H = self.forecast.shape[1]
        steps = np.tile(np.arange(1, H + 1), len(self.origins))
        at = np.repeat(self.origins, H) + steps - 1
        columns = {"series": np.repeat(self.labels, H), "origin": np.repeat(self.origins, H), "step": steps}
        times: Array = at.astype(object)
        for one, rows in self._by_series():
            if one.times is not None:
                index = one.times.index(0, len(one))
                places = (rows[:, None] * H + np.arange(H)).ravel()
                times[places] = list(index[at[places]])
        columns |= {"time": times, "truth": self.truth.ravel(), "forecast": self.forecast.ravel()}
        columns |= {f"{level:g}": self.quantiles[:, :, i].ravel() for i, level in enumerate(self.levels)}
        return import_module("pandas").DataFrame(columns).infer_objects()

    def _by_series(self) -> list[tuple[Any, Int64]]:
        """Return each series that has origins, and their numbers."""
        cuts = np.flatnonzero(self._numbers[1:] != self._numbers[:-1]) + 1
        parts = np.split(np.arange(len(self.origins)), cuts) if len(self.origins) else []
        return [(self.panel.series[int(self._numbers[rows[0]])], rows) for rows in parts]

    @property
    def _numbers(self) -> Int64:
        places = {one.label: n for n, one in enumerate(self.panel.series)}
        return np.array([places[label] for label in self.labels], np.int64)

    def _naive(self, season: int) -> Float64:
        H = self.forecast.shape[1]
        return np.concatenate(
            [seasonal_naive_at(one.values, self.origins[rows], H, season) for one, rows in self._by_series()]
        )

    def _scores(self, forecast: Float64) -> dict[str, float]:
        error = metrics.mae(self.truth, forecast)
        scaled = []
        for one, rows in self._by_series():
            history = one.values[: int(self.origins[rows[0]])]
            if len(history) > self.season:
                scaled.append(metrics.mase(self.truth[rows], forecast[rows], history, season=self.season))
        own = np.array(scaled)[~np.isnan(scaled)] if scaled else np.zeros(0)
        return {
            "mase": float(own.mean()) if len(own) else float("nan"),
            "rmse": metrics.rmse(self.truth, forecast),
            "mae": error,
            "crps": error,
        }


def backtest(
    fitted: Fitted, panel: Panel, wanted: Wanted, start: Any, stride: int, season: int, seed: int | None
) -> Backtest:
    """Return the forecasts of all origins from ``start`` on."""
    firsts = [_first(fitted.features, one, start) for one in panel.series]
    behind = [len(one) - wanted.horizon + 1 for one in panel.series]
    origins = [np.arange(first, end, stride) for first, end in zip(firsts, behind, strict=True)]
    if not any(map(len, origins)):
        required = f"an origin with horizon = {wanted.horizon} steps behind it"
        raise ValueError(f"start: {required} is required, got {checks.shown(start)}")
    rows = fitted.rows(panel, firsts, fitted.features.scales_of(panel, firsts))
    own = np.repeat(np.arange(len(origins)), [len(each) for each in origins])
    known = np.concatenate(origins)
    windows = fitted.windows(rows, rows.starts[own] + known, own)
    found = [
        forecasts(fitted.networks, windows, each, np.random.default_rng(seed))
        for each in (replace(wanted, levels=None), wanted)
    ]
    assert wanted.levels is not None
    return Backtest(
        forecast=found[0],
        truth=rows.truth[windows.origins[:, None] + np.arange(wanted.horizon)],
        quantiles=found[1],
        levels=tuple(map(float, wanted.levels)),
        origins=known,
        labels=np.array([one.label for one in panel.series], object)[own],
        season=season,
        panel=panel,
    )


def _first(features: Features, one: Series, start: Any) -> int:
    """Return the number of steps that the first forecast of a series knows."""
    if start is None:
        return min(features.before, len(one))
    if isinstance(start, float | np.floating):
        share = checks.as_number("start", start, "a share within (0, 1)", lambda s: 0 < s < 1)
        return max(round(share * len(one)), 1)
    if isinstance(start, int | np.integer) and not isinstance(start, bool):
        return checks.as_integer("start", start, least=1)
    if one.times is None:
        wanted = "steps, or a share, are required for a series without times"
        raise TypeError(f"start: {wanted}, got {checks.shown(start)}")
    return max(one.times.place("start", start), 1)

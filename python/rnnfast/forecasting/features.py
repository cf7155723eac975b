"""From series to what a network reads: gaps filled, differences, scales, and all rows in one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rnnfast.arrays import Array, DType, Float64, Int64
from rnnfast.data import Scaler
from rnnfast.forecasting.series import Panel, Series
from rnnfast.forecasting.times import calendar_features
from rnnfast.forecasting.transforms import TRANSFORMS

Bools = npt.NDArray[np.bool_]

# The least scale, as a share of the values' magnitude: what is below is rounding.
LEAST_SHARE = 1e-8


def filled(values: Float64, lag: int) -> Float64:
    """Return values (T,) without gaps: each missing one is the last known one a multiple of ``lag`` steps before.

    Where there is none, it is the first known one of that phase, and of a phase without any the mean.

    Examples
    --------
    >>> filled(np.array([np.nan, 1.0, 2.0, np.nan, np.nan]), 2).tolist()
    [2.0, 1.0, 2.0, 1.0, 2.0]
    """
    rows = -(-len(values) // lag)
    padded = np.full(rows * lag, np.nan)
    padded[: len(values)] = values
    table = padded.reshape(rows, lag)
    known = ~np.isnan(table)
    last = np.maximum.accumulate(np.where(known, np.arange(rows)[:, None], -1), axis=0)
    first = np.where(known.any(axis=0), known.argmax(axis=0), 0)
    found = np.take_along_axis(table, np.where(last >= 0, last, first), axis=0)
    mean = values[~np.isnan(values)].mean() if known.any() else 0.0
    whole: Float64 = np.where(np.isnan(found), mean, found).reshape(-1)[: len(values)]
    return whole


def differences(values: Float64, lag: int) -> tuple[Float64, Float64, Bools]:
    """Return the filled values, ``d(t) = y(t) - y(t - lag)``, 0 in the first ``lag`` steps, and where both are known.

    With ``lag`` 0, d are the filled values.

    Examples
    --------
    >>> whole, d, known = differences(np.array([1.0, 3.0, np.nan, 6.0]), 1)
    >>> d.tolist(), known.tolist()
    ([0.0, 2.0, 0.0, 3.0], [False, True, False, False])
    """
    known, whole = ~np.isnan(values), filled(values, max(lag, 1))
    if lag == 0:
        return whole, whole, known
    d = np.zeros_like(whole)
    d[lag:] = whole[lag:] - whole[:-lag]
    return whole, d, np.concatenate([np.zeros(min(lag, len(known)), bool), known[lag:] & known[:-lag]])


@dataclass(frozen=True, kw_only=True)
class Rows:
    """All steps of N series, one series after the other, each with steps before it that pad and steps ahead of it.

    Attributes
    ----------
    truth : float64 (R,)
        What is known, NaN elsewhere.
    values, whole : float64 (R,)
        The same under the transform; and without gaps.
    differences : float64 (R,)
        What the network forecasts step by step, before it is scaled.
    known : bool (R,)
        Whether the differences are.
    inputs : (R, C)
        The network's inputs in its dtype: the scaled difference, whether it is known, then the covariates.
    ahead : (R, K)
        Those among the covariates that are known ahead.
    static : (N, S)
        Covariates of each series.
    starts : int64 (N,)
        The row of each series' first step.
    lengths : int64 (N,)
        The steps of each series.
    centre, scale : float64 (N,)
        ``scaled = (difference - centre) / scale``; a scale by the window's own values uses the scale as a bound.
    """

    truth: Float64
    values: Float64
    whole: Float64
    differences: Float64
    known: Bools
    inputs: Array
    ahead: Array
    static: Array
    starts: Int64
    lengths: Int64
    centre: Float64
    scale: Float64


@dataclass(kw_only=True)
class Features:
    """What is fitted before the network: scales of covariates, and how rows are made of series.

    Attributes
    ----------
    difference : int
        The lag of the differences; 0 for none.
    window, horizon : int
    scale : str
        "series": mean and deviation of each series; "window": those of each window; "mean": the mean magnitude of each
        series; or "none".
    transform : str or None
        One of ``TRANSFORMS``.
    calendar : tuple of str
    shifted : bool
        Whether the input of a step is the difference of the step before it, as where a network forecasts step by step.
    dtype : numpy dtype
    past, future, static : Scaler or None
        Of the covariates.
    """

    difference: int
    window: int
    horizon: int
    scale: str
    transform: str | None
    calendar: tuple[str, ...]
    shifted: bool
    dtype: DType
    past: Scaler | None = None
    future: Scaler | None = None
    static: Scaler | None = None

    @property
    def before(self) -> int:
        """The steps that a forecast reads: those of the window, and of the lag."""
        return self.window + self.difference

    def fit(self, panel: Panel) -> None:
        """Learn the scales of covariates."""
        past, future, static = panel.widths
        self.past = Scaler.fit([one.past for one in panel.series]) if past else None
        self.future = Scaler.fit([one.future[: len(one)] for one in panel.series]) if future else None
        self.static = Scaler.fit(np.stack([one.static for one in panel.series])) if static else None

    def transformed(self, values: Float64) -> Float64:
        """Return values under the transform."""
        if self.transform is None:
            return values
        found: Float64 = TRANSFORMS[self.transform].forward(values)
        return found

    def undone(self, values: Float64) -> Float64:
        """Return the values of which transforms are given."""
        return values if self.transform is None else TRANSFORMS[self.transform].undone(values)

    def scale_of(self, values: Float64) -> tuple[float, float]:
        """Return centre and scale of the differences of values (T,), under the transform."""
        _, d, known = differences(self.transformed(values), self.difference)
        own = d[known]
        if self.scale == "none" or not len(own):
            return 0.0, 1.0
        if self.scale == "mean":
            size = float(np.abs(own).mean())
            return 0.0, size if size > 0 else 1.0
        centre, deviation = float(own.mean()), float(own.std())
        return centre, deviation if deviation > LEAST_SHARE * max(abs(centre), float(np.abs(own).max())) else 1.0

    def scales_of(self, panel: Panel, counts: Sequence[int]) -> list[tuple[float, float]]:
        """Return centre and scale of each series, of the first ``counts`` of its values."""
        return [self.scale_of(one.values[:count]) for one, count in zip(panel.series, counts, strict=True)]

    def rows(
        self, panel: Panel, firsts: Sequence[int], *, scales: Sequence[tuple[float, float]], ahead: int = 0
    ) -> Rows:
        """Return the rows of all series, with ``ahead`` steps behind the end of each.

        ``firsts`` are the earliest origins of forecasts, before which a whole window is made; ``scales`` are centre and
        scale of each series.
        """
        pads = [max(0, self.before - first) for first in firsts]
        parts = [self._columns(one, pad, ahead) for one, pad in zip(panel.series, pads, strict=True)]
        centre, scale = (np.array(column, np.float64) for column in zip(*scales, strict=True))
        sizes = np.array([len(part[0]) for part in parts], np.int64)
        lengths = np.array([len(one) for one in panel.series], np.int64)
        truth, values, whole, d, known, past, future = (np.concatenate(column) for column in zip(*parts, strict=True))
        static = np.stack([one.static for one in panel.series])
        static = (static if self.static is None else _zeroed(self.static.transform(static))).astype(self.dtype)
        first = np.stack([(d - np.repeat(centre, sizes)) / np.repeat(scale, sizes), known], axis=1)
        if self.shifted:
            first = np.concatenate([np.zeros((1, 2)), first[:-1]])
        inputs = np.concatenate([first.astype(self.dtype), past, future, np.repeat(static, sizes, axis=0)], axis=1)
        starts = np.cumsum(sizes) - sizes + np.array(pads)
        return Rows(
            truth=truth, values=values, whole=whole, differences=d, known=known, inputs=inputs, ahead=future,
            static=static, starts=starts, lengths=lengths, centre=centre, scale=scale,
        )  # fmt: skip

    def _columns(self, one: Series, pad: int, ahead: int) -> tuple[Array, ...]:
        """Return truth, values, whole, differences, known, and the covariates of the past and of the future."""
        steps, around = len(one), (pad, ahead)
        values, given = self.transformed(one.values), one.future[: steps + ahead]
        whole, d, known = differences(values, self.difference)
        past = self._scaled(self.past, one.past[:steps])
        beyond = ((0, steps + ahead - len(given)), (0, 0))
        future = self._scaled(self.future, np.pad(given, beyond, constant_values=np.nan))
        calendar = calendar_features(one.times, steps + ahead, self.calendar).astype(self.dtype)
        return (
            np.pad(one.values, around, constant_values=np.nan),
            np.pad(values, around, constant_values=np.nan),
            np.pad(whole, around, mode="edge"),
            np.pad(d, around, mode="edge" if self.difference == 0 else "constant"),
            np.pad(known, around),
            np.pad(past, (around, (0, 0))),
            np.pad(np.concatenate([future, calendar], axis=1), ((pad, 0), (0, 0))),
        )

    def _scaled(self, scaler: Scaler | None, values: Float64) -> Array:
        return (values if scaler is None else _zeroed(scaler.transform(values))).astype(self.dtype)


def _zeroed(values: Float64) -> Float64:
    """Return scaled covariates in which missing ones are the mean."""
    return np.nan_to_num(values, nan=0.0)


def ends(panel: Panel, features: Features) -> Panel:
    """Return the end of every series: what forecasts behind it are made of, to the bit.

    The first steps of an end are filled, so that the gaps behind them are filled as they were.
    """
    lag = max(features.difference, 1)
    found = []
    for one in panel.series:
        cut = max(0, len(one) - features.before - 2 * lag)
        values = one.values[cut:].copy()
        if cut:
            values[:lag] = filled(one.values, lag)[cut : cut + lag]
        times = None if one.times is None else one.times.later(cut)
        found.append(replace(one, values=values, past=one.past[cut:], future=one.future[cut:], times=times))
    return replace(panel, series=found)

"""Windows of all series as batches: what a network reads of each, and what it should forecast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from rnnfast.arrays import Array, Float64, Int64
from rnnfast.data import Sequences, batch_indices
from rnnfast.forecasting.features import Features, Rows

# The least scale of a window, as a share of its series': a window without change has none of its own.
LEAST_SCALE = 0.01


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """N windows and what follows them.

    Attributes
    ----------
    inputs : Sequences
        What the recurrent layers read.
    lags : (N, window), or (N H, window) where each step has its own
        The scaled values that stand in the window.
    ahead : (N, H, K)
        Covariates of the steps to forecast.
    static : (N, S)
    targets : {"": (N, H)}, or {"": (N H, 1)} where each step has a row
        Scaled; zero where one is missing.
    weights : like the targets, or None where all are there
    count : int
        Target elements M.
    shift : (N,)
        What is added to the logarithm of a mean count.
    """

    inputs: Sequences
    lags: Array
    ahead: Array
    static: Array
    targets: Mapping[str, Array]
    weights: Array | None
    count: int
    shift: Array
    counts: None = None
    target_rows: None = None
    continues: bool = False


@dataclass(frozen=True, kw_only=True)
class Windows:
    """W windows of the rows of all series, in batches; nothing is copied before a batch is made.

    Attributes
    ----------
    rows : Rows
    features : Features
    origins : int64 (W,)
        The row of the first step that each forecast is of.
    series : int64 (W,)
        The series of each window.
    counts : bool
        Whether targets are counts, which are not scaled.
    by_step : bool
        Whether each step has a row of targets.
    batch_size : int
    """

    rows: Rows
    features: Features
    origins: Int64
    series: Int64
    counts: bool
    by_step: bool
    batch_size: int
    restartable: ClassVar[bool] = True

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.origins) // self.batch_size)

    @property
    def with_targets(self) -> int:
        """The number of batches: all of them have targets."""
        return len(self)

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[WindowBatch]:
        """Yield the batches of one epoch, shuffled by ``rng``."""
        for index in batch_indices(np.zeros(len(self.origins), np.int64), self.batch_size, rng):
            yield self.batch(index)

    def select(self, index: Int64) -> Windows:
        """Return the windows numbered by ``index``."""
        return replace(self, origins=self.origins[index], series=self.series[index])

    def scales(self, index: Int64) -> tuple[Float64, Float64]:
        """Return centre and scale (N,) of the windows numbered by ``index``."""
        own = self.series[index]
        centre, scale = self.rows.centre[own], self.rows.scale[own]
        if self.features.scale != "window":
            return centre, scale
        places = self.origins[index][:, None] + np.arange(-self.features.window, 0)
        d, known = self.rows.differences[places], self.rows.known[places]
        count = np.maximum(known.sum(axis=1), 1)
        mean: Float64 = np.where(known.any(axis=1), np.where(known, d, 0).sum(axis=1) / count, centre)
        variance: Float64 = np.where(known, (d - mean[:, None]) ** 2, 0).sum(axis=1) / count
        return mean, np.maximum(np.sqrt(variance), LEAST_SCALE * scale)

    def base(self, index: Int64, horizon: int) -> tuple[Float64, Float64]:
        """Return what forecasts (N, H) are relative to, and how many differences (H,) lie between.

        That is the last value of the same phase before the window's end.
        """
        lag, steps = self.features.difference, np.arange(horizon)
        if lag == 0:
            return np.zeros((len(index), horizon)), np.ones(horizon)
        base: Float64 = self.rows.whole[self.origins[index][:, None] - lag + steps % lag]
        return base, (steps // lag + 1).astype(np.float64)

    def targets(self, index: Int64, centre: Float64, scale: Float64) -> Float64:
        """Return the scaled targets (N, H), NaN where one is missing."""
        steps = self.origins[index][:, None] + np.arange(self.features.horizon)
        found: Float64 = self.rows.values[steps]
        if self.counts:
            return found
        if self.features.shifted:
            d = np.where(self.rows.known[steps], self.rows.differences[steps], np.nan)
            return np.asarray((d - centre[:, None]) / scale[:, None])
        base, between = self.base(index, self.features.horizon)
        return np.asarray((found - base - between * centre[:, None]) / scale[:, None])

    def batch(self, index: Int64) -> WindowBatch:
        """Return the windows numbered by ``index`` as one batch."""
        features, dtype = self.features, self.features.dtype
        centre, scale = self.scales(index)
        targets = self.targets(index, centre, scale)
        missing = np.isnan(targets)
        weights = None if not missing.any() else (~missing).astype(dtype)
        found = np.where(missing, 0, targets).astype(dtype)
        length = features.window + (features.horizon - 1 if features.shifted else 0)
        inputs = self.inputs(index, length, centre, scale)
        values = inputs.values[inputs.positions(), 0].reshape(len(index), length)
        if features.shifted:
            values = np.lib.stride_tricks.sliding_window_view(values, features.window, axis=1)
            values = values.reshape(-1, features.window)
        steps = self.origins[index][:, None] + np.arange(features.horizon)
        if self.by_step:
            found, weights = found.reshape(-1, 1), None if weights is None else weights.reshape(-1, 1)
        return WindowBatch(
            inputs=inputs,
            lags=np.ascontiguousarray(values),
            ahead=self.rows.ahead[steps],
            static=self.rows.static[self.series[index]],
            targets={"": found},
            weights=weights,
            count=len(found),
            shift=np.log(scale).astype(dtype),
        )

    def inputs(self, index: Int64, length: int, centre: Float64, scale: Float64) -> Sequences:
        """Return the first ``length`` inputs of each window; those by a series' scale are where the rows are."""
        first = self.origins[index] - self.features.window + self.features.shifted
        lengths = np.full(len(index), length, np.int64)
        whole = Sequences(self.rows.inputs, first, lengths, ragged=False)
        if self.features.scale != "window":
            return whole
        own, of_series = self.rows.inputs[whole.positions()], self.series[index]
        ratio = self.rows.scale[of_series] / scale
        shift = (self.rows.centre[of_series] - centre) / scale
        own[:, 0] = own[:, 0] * np.repeat(ratio, length) + np.repeat(shift, length)
        return whole.like(own)


def first_origin(features: Features, length: int) -> int:
    """Return the steps that are known before the first forecast to learn from, of a series of some length."""
    return max(min(features.before, length - features.horizon), 1)


def training_origins(rows: Rows, features: Features, held_out: float) -> tuple[Int64, Int64, Int64, Int64]:
    """Return rows and series of the forecasts to learn from, and of those to validate with.

    The latter lie in the last ``held_out`` share of each series, and no target of the former does. A series that is
    shorter than a window and a horizon has one window, which begins before it.
    """
    learned: list[Int64] = []
    judged: list[Int64] = []
    for start, length in zip(rows.starts.tolist(), rows.lengths.tolist(), strict=True):
        first = first_origin(features, length)
        cut = length - max(round(held_out * length), features.horizon) if held_out else length
        if cut - features.horizon < first:
            cut = length
        learned.append(start + np.arange(first, max(cut - features.horizon, 0) + 1))
        judged.append(start + np.arange(cut, length - features.horizon + 1))
    found = [_useful(rows, features, parts) for parts in (learned, judged)]
    return *found[0], *found[1]


def _useful(rows: Rows, features: Features, parts: list[Int64]) -> tuple[Int64, Int64]:
    """Return the origins, and their series, with something known in the window and something to forecast."""
    origins = np.concatenate(parts).astype(np.int64)
    series = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    there = np.concatenate([[0], np.cumsum(~np.isnan(rows.values))])
    known = np.concatenate([[0], np.cumsum(rows.known)])
    to_learn = there if not features.shifted else known
    useful = known[origins] > known[origins - features.window]
    useful &= to_learn[origins + features.horizon] > to_learn[origins]
    return origins[useful], series[useful]

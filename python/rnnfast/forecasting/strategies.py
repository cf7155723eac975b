"""How forecasts come from a network: all steps at once, or step by step from its own forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnfast.arrays import Array, Float64, Int64
from rnnfast.data import Sequences
from rnnfast.forecasting import distribution
from rnnfast.forecasting.network import Network
from rnnfast.forecasting.windows import WindowBatch, Windows

PATHS = 200  # that quantiles are computed of, where forecasts go step by step
ROWS = 2048  # paths that are computed together


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is wanted of each of H steps: a point, quantiles at ``levels`` (Q,), or ``paths`` that are drawn."""

    horizon: int
    levels: Float64 | None = None
    paths: int | None = None


def forecasts(networks: Sequence[Network], windows: Windows, wanted: Wanted, rng: np.random.Generator) -> Float64:
    """Return points (W, H), quantiles (W, H, Q) or paths (W, H, S) of all windows, in the units of their series.

    Of several networks these are the means of their points and of their quantiles; each draws its share of the paths.
    """
    if wanted.paths is None:
        return np.asarray(np.mean([_of_one(network, windows, wanted, rng) for network in networks], axis=0))
    share = replace(wanted, paths=-(-wanted.paths // len(networks)))
    return np.concatenate([_of_one(network, windows, share, rng) for network in networks], axis=2)[:, :, : wanted.paths]


def _of_one(network: Network, windows: Windows, wanted: Wanted, rng: np.random.Generator) -> Float64:
    recursive = network.strategy == "recursive"
    paths = wanted.paths or (PATHS if recursive and wanted.levels is not None else 1)
    size = max(1, ROWS // paths)
    find = step_by_step if recursive else at_once
    index = np.arange(len(windows.origins))
    parts = [find(network, windows, index[i : i + size], wanted, rng) for i in range(0, len(index), size)]
    return windows.features.undone(np.concatenate(parts))


def at_once(network: Network, windows: Windows, index: Int64, wanted: Wanted, rng: np.random.Generator) -> Float64:
    """Return the forecasts of windows by a network that forecasts all steps at once.

    Steps of a path are drawn by themselves.
    """
    found, _, _ = network._outputs(windows.batch(index), None, keep=False)
    loss, N = network.loss_of_numbers, len(index)
    rows = found[""].reshape(N, -1)[:, : wanted.horizon * loss.width]
    if wanted.levels is not None:
        z = distribution.quantiles(loss, rows, wanted.levels)
    elif wanted.paths is not None:
        drawn = distribution.draws(loss, np.repeat(rows, wanted.paths, axis=0), rng)
        z = drawn.reshape(N, wanted.paths, -1).transpose(0, 2, 1)
    else:
        z = distribution.points(loss, rows)[..., None]
    if not windows.counts:
        centre, scale = (each[:, None, None] for each in windows.scales(index))
        base, between = windows.base(index, wanted.horizon)
        z = base[..., None] + between[:, None] * centre + scale * z
    return z if wanted.levels is not None or wanted.paths is not None else z[..., 0]


def step_by_step(network: Network, windows: Windows, index: Int64, wanted: Wanted, rng: np.random.Generator) -> Float64:
    """Return the forecasts of windows by a network that reads its own forecasts: points, or what it draws of them."""
    drawn = wanted.levels is not None or wanted.paths is not None
    paths = (wanted.paths or PATHS) if drawn else 1
    steps = _Steps(network, windows, index, paths)
    loss = network.loss_of_numbers
    found = []
    for k in range(wanted.horizon):
        outputs = steps.outputs(k)
        found.append(
            steps.take(k, distribution.draws(loss, outputs, rng) if drawn else distribution.points(loss, outputs))
        )
    y = np.stack(found, axis=1).reshape(len(index), paths, wanted.horizon).transpose(0, 2, 1)
    if not drawn:
        return y[..., 0]
    return y if wanted.levels is None else np.moveaxis(np.quantile(y, wanted.levels, axis=2), 0, 2)


class _Steps:
    """Windows that go on with what was forecast: N windows with S paths each."""

    def __init__(self, network: Network, windows: Windows, index: Int64, paths: int) -> None:
        self.network, self.windows = network, windows
        self.window, self.lag = windows.features.window, windows.features.difference
        self.centre, self.scale = windows.scales(index)
        self.index = np.repeat(index, paths)
        inputs = windows.inputs(index, self.window, self.centre, self.scale)
        self.y, state = network.encoder.infer(inputs, None)
        self.y = np.repeat(self.y.reshape(len(index), self.window, -1)[:, -1], paths, axis=0)
        parts = tuple(np.repeat(part, paths, axis=1) for part in (state if isinstance(state, tuple) else (state,)))
        self.state: Any = parts if len(parts) > 1 else parts[0]
        self.lags = np.repeat(inputs.values[inputs.positions(), 0].reshape(len(index), self.window), paths, axis=0)
        self.centre, self.scale = np.repeat(self.centre, paths), np.repeat(self.scale, paths)
        before = windows.origins[index][:, None] + np.arange(-max(self.lag, 1), 0)
        self.last = np.repeat(windows.rows.whole[before], paths, axis=0)

    def outputs(self, k: int) -> Array:
        """Return the outputs (M, P) of step k."""
        rows, own = self.windows.rows, self.windows.origins[self.index] + k
        if k:
            inputs = rows.inputs[own]
            inputs[:, 0], inputs[:, 1] = self.lags[:, -1], 1
            each = Sequences(inputs, np.arange(len(own)), np.ones(len(own), np.int64), ragged=False)
            self.y, self.state = self.network.encoder.infer(each, self.state)
        batch = WindowBatch(
            inputs=Sequences(rows.inputs, own[:0], own[:0], ragged=False),
            lags=self.lags,
            ahead=rows.ahead[own][:, None],
            static=rows.static[self.windows.series[self.index]],
            targets={},
            weights=None,
            count=0,
            shift=np.log(self.scale).astype(self.y.dtype),
        )
        return self.network.of_hidden(self.y, batch)

    def take(self, k: int, z: Float64) -> Float64:
        """Go on with the numbers z (M, 1) of step k; return them (M,) in the units of the series."""
        d = z[:, 0] if self.windows.counts else self.centre + self.scale * z[:, 0]
        y = d + self.last[:, k % self.lag] if self.lag else d
        if self.lag:
            self.last[:, k % self.lag] = y
        scaled = ((d - self.centre) / self.scale).astype(self.lags.dtype)
        self.lags = np.concatenate([self.lags[:, 1:], scaled[:, None]], axis=1)
        return y

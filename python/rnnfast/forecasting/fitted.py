"""What a fit leaves: features, scales, networks and the ends of the series; how it is made, and how it forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnfast import train
from rnnfast.arrays import Float64, Int64
from rnnfast.callbacks import EarlyStopping
from rnnfast.data import Scaler
from rnnfast.forecasting.calibration import calibrate
from rnnfast.forecasting.features import Features, Rows, ends
from rnnfast.forecasting.linear import start_linear
from rnnfast.forecasting.network import Network, Sizes
from rnnfast.forecasting.options import loss_of, scale_of
from rnnfast.forecasting.series import Panel
from rnnfast.forecasting.strategies import Wanted, forecasts
from rnnfast.forecasting.transforms import TRANSFORMS
from rnnfast.forecasting.windows import Windows, first_origin, training_origins
from rnnfast.train import Callback, History, TrainingOptions, as_callbacks


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted forecaster.

    Attributes
    ----------
    options : dict
        Of the forecaster, checked.
    features : Features
    panel : Panel
        The ends of the series, which forecasts behind them read.
    scales : list of (float, float)
        Centre and scale of each series.
    networks : list of Network
    histories : list of History
        Of the trainings.
    """

    options: dict[str, Any]
    features: Features
    panel: Panel
    scales: list[tuple[float, float]]
    networks: list[Network]
    histories: list[History] = field(default_factory=list)

    def windows(self, rows: Rows, origins: Int64, series: Int64) -> Windows:
        """Return the windows before some origins, which are rows."""
        return Windows(
            rows=rows,
            features=self.features,
            origins=origins,
            series=series,
            counts=self.options["likelihood"] == "negative_binomial",
            by_step=self.options["strategy"] != "direct",
            batch_size=self.options["batch_size"],
        )

    def rows(self, panel: Panel, firsts: Sequence[int], scales: Sequence[tuple[float, float]]) -> Rows:
        """Return rows with all steps ahead that a batch of windows may read."""
        return self.features.rows(panel, firsts, ahead=self.options["horizon"], scales=scales)

    def behind(self, panel: Panel, wanted: Wanted, rng: np.random.Generator) -> Float64:
        """Return forecasts (N, H, ...) of the steps behind the end of N series: its own ones, or others."""
        lengths, ahead = [len(one) for one in panel.series], max(wanted.horizon, self.options["horizon"])
        scales = self.scales if self.continues(panel) else self.features.scales_of(panel, lengths)
        rows = self.features.rows(panel, lengths, scales=scales, ahead=ahead)
        origins = rows.starts + rows.lengths
        return forecasts(self.networks, self.windows(rows, origins, np.arange(len(origins))), wanted, rng)

    def continues(self, panel: Panel) -> bool:
        """Return whether series are those that were fitted, perhaps with other covariates ahead."""
        return [id(one.values) for one in panel.series] == [id(one.values) for one in self.panel.series]

    def check(self, panel: Panel) -> None:
        """Raise ValueError where other series lack what was fitted."""
        for name, own, wanted in zip(("past", "future", "static"), panel.widths, self.panel.widths, strict=True):
            if own != wanted:
                raise ValueError(f"{name}: {wanted} covariates, as in fit, are required, got {own}")
        check_values(self.options, panel)


def check_values(options: dict[str, Any], panel: Panel) -> None:
    """Raise ValueError for values or covariates that the options do not go with."""
    if panel.widths[0] and options["strategy"] == "recursive":
        raise ValueError(
            "past: None is required with strategy='recursive', which reads nothing of steps ahead, got some"
        )
    counts, name = options["likelihood"] == "negative_binomial", options["transform"]
    for n, one in enumerate(panel.series):
        if counts and (one.values < 0).any():
            raise ValueError(f"series[{n}]: counts >= 0 are required, got {np.nanmin(one.values)}")
        if name is not None and not TRANSFORMS[name].defined(one.values):
            wanted = f"{TRANSFORMS[name].wanted} are required with transform={name!r}"
            raise ValueError(f"series[{n}]: {wanted}, got {np.nanmin(one.values)}")


def fit(
    options: dict[str, Any], panel: Panel, callbacks: Callback | Sequence[Callback], progress: bool | None
) -> Fitted:
    """Fit scales and train networks."""
    given = as_callbacks(callbacks)
    found, learning = begun(options, panel)
    for n, network in enumerate(found.networks):
        found.histories.append(learning.train(network, n, given, progress))
    return found


def begun(options: dict[str, Any], panel: Panel, members: Sequence[int] | None = None) -> tuple[Fitted, Learning]:
    """Return what is fitted before any training, with some of the networks or all, and what these learn from."""
    check_values(options, panel)
    features = new_features(options)
    features.fit(panel)
    lengths = [len(one) for one in panel.series]
    scales = features.scales_of(panel, lengths)
    rows = features.rows(panel, [first_origin(features, length) for length in lengths], scales=scales)
    learned = training_origins(rows, features, options["validation"])
    if not len(learned[0]):
        wanted = f"more than horizon = {options['horizon']} steps, with values to learn from, are"
        raise ValueError(f"series: {wanted} required, got {max(lengths)} at most")
    found = untrained(options, ends(panel, features), features, scales, members)
    windows = found.windows(rows, *learned[:2])
    validation = found.windows(rows, *learned[2:]) if len(learned[2]) else None
    return found, Learning(options=options, windows=windows, validation=validation)


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What every network of an ensemble learns from, and how."""

    options: dict[str, Any]
    windows: Windows
    validation: Windows | None

    def train(self, network: Network, n: int, callbacks: list[Callback], progress: bool | None) -> History:
        """Train the network number n."""
        options, validation = self.options, self.validation
        if options["linear"] and not self.windows.counts:
            start_linear(network, self.windows, validation, options["ridge"])
        stops = options["patience"] is not None and validation is not None
        own = [EarlyStopping(patience=options["patience"]), *callbacks] if stops else callbacks
        history = train.fit(network, self.windows, _training(options, n, own, progress), validation)
        if options["calibrate"] and validation is not None:
            calibrate(network, validation)
        return history


def untrained(
    options: dict[str, Any],
    panel: Panel,
    features: Features,
    scales: list[tuple[float, float]],
    members: Sequence[int] | None = None,
) -> Fitted:
    """Return new networks, all or those numbered, for the covariates of a panel, and all else as it is given."""
    past, future, static = panel.widths
    ahead = future + 2 * len(options["calendar"])
    sizes = Sizes(
        inputs=2 + past + ahead + static,
        ahead=ahead,
        static=static,
        window=options["window"],
        horizon=options["horizon"],
    )
    rngs = np.random.default_rng(options["seed"]).spawn(options["ensemble"])
    chosen = rngs if members is None else [rngs[n] for n in members]
    networks = [Network(options, loss_of(options), sizes, rng) for rng in chosen]
    return Fitted(options=options, features=features, panel=panel, scales=scales, networks=networks)


def new_features(options: dict[str, Any], scalers: dict[str, Scaler | None] | None = None) -> Features:
    """Return the features of options, with scalers of covariates that were fitted before."""
    known = scalers or {}
    return Features(
        difference=options["difference"],
        window=options["window"],
        horizon=options["horizon"],
        scale=scale_of(options),
        transform=options["transform"],
        calendar=options["calendar"],
        shifted=options["strategy"] == "recursive",
        dtype=np.dtype(options["dtype"]),
        past=known.get("past"),
        future=known.get("future"),
        static=known.get("static"),
    )


def _training(options: dict[str, Any], n: int, callbacks: list[Callback], progress: bool | None) -> TrainingOptions:
    """Return how the network number n is trained."""
    return TrainingOptions(
        epochs=options["epochs"],
        optimizer=options["optimizer"],
        lr=options["lr"],
        clip_norm=options["clip_norm"],
        clip_value=None,
        accumulate=1,
        ema=None,
        metrics=(),
        callbacks=callbacks,
        progress=progress,
        shuffle=True,
        seed=None if options["seed"] is None else options["seed"] + n,
        initial_epoch=0,
        resume=None,
    )

"""The cases of forecasts: ``Forecaster``, forecasts without a model, and metrics of forecasts."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast import forecasting
from tests.support.argument_cases import Case

pd: Any = import_module("pandas")

INDEX = pd.date_range("2024-01-01", periods=20, freq="D")
SERIES = pd.Series(np.arange(20.0) % 5, INDEX)
BESIDE = np.ones((20, 1))
AHEAD = np.ones((22, 1))
FRAME = pd.DataFrame({"n": "a", "t": INDEX, "y": np.arange(20.0), "p": 1.0, "f": 2.0, "s": 3})
SMALL: dict[str, Any] = {
    "window": 4, "horizon": 2, "cell": "gru", "hidden_size": 2, "num_layers": 1, "strategy": "direct",
    "likelihood": "quantile", "quantiles": (0.1, 0.5, 0.9), "scale": True, "difference": 0, "transform": None,
    "calendar": (), "linear": True, "ridge": 1.0, "calibrate": False, "ensemble": 1, "epochs": 1,
    "batch_size": 8, "optimizer": "adam",
    "lr": 0.01, "clip_norm": 1.0, "validation": 0.0, "patience": None, "dropout": 0.0, "output_dropout": 0.0,
    "cell_options": None, "dtype": "float32", "seed": 0,
}  # fmt: skip
FIT: dict[str, Any] = {"past": BESIDE, "future": AHEAD, "static": [1.0], "freq": None}
TRAINING: dict[str, Any] = {"callbacks": (), "progress": False, "client": None}
MAYBE = {"past": "None", "future": "None", "static": "None -1 0 2**63", "freq": "None", "seed": "None 0 2**63"}


def new(**options: Any) -> rf.Forecaster:
    return rf.Forecaster(**{**SMALL, **options})


def fitted(*args: Any) -> rf.Forecaster:
    return new().fit(SERIES, *args, progress=False)


def pair(name: str, **more: Any) -> dict[str, Case]:
    valid = {"truth": np.ones(3), "forecast": np.zeros(3), **more}
    return {f"metrics.{name}": Case(make=lambda: getattr(rf.metrics, name), valid=lambda: valid)}


FORECASTS: dict[str, Case] = {
    "Forecaster": Case(
        make=lambda: rf.Forecaster,
        valid=lambda: SMALL,
        accepted={
            "quantiles": "", "difference": "0", "transform": "None", "ridge": "None 0 2**63", "lr": "2**63",
            "validation": "0", "patience": "None 0",
        },
    ),
    "Forecaster.fit": Case(
        make=lambda: new().fit, valid=lambda: {"series": SERIES, **FIT, **TRAINING}, accepted={**MAYBE}
    ),
    "Forecaster.fit_many": Case(
        make=lambda: new().fit_many,
        valid=lambda: {
            "frame": FRAME, "id": "n", "time": "t", "value": "y", "past": ["p"], "future": ["f"], "static": ["s"],
            "freq": None, **TRAINING,
        },
        accepted={"freq": "None"},
    ),
    "Forecaster.predict": Case(
        make=lambda: fitted(None, BESIDE).predict,
        valid=lambda: {
            "horizon": 2, "future": AHEAD, "quantiles": None, "num_samples": None, "series": SERIES, "past": None,
            "static": None, "freq": None, "seed": 0,
        },
        accepted={
            **MAYBE, "series": "None", "future": "", "static": "None", "horizon": "None", "num_samples": "None",
            "quantiles": "None",
        },
    ),
    "Forecaster.backtest": Case(
        make=lambda: fitted(BESIDE, AHEAD, [1.0]).backtest,
        valid=lambda: {
            "series": SERIES, **FIT, "start": 10, "stride": 2, "horizon": 2, "quantiles": [0.5], "season": 2, "seed": 0,
        },
        accepted={**MAYBE, "past": "", "future": "", "static": "-1 0 2**63", "start": "None", "horizon": "None",
                  "season": "None"},
    ),
    "forecasting.naive": Case(make=lambda: forecasting.naive, valid=lambda: {"history": [1.0], "horizon": 2}),
    "forecasting.drift": Case(make=lambda: forecasting.drift, valid=lambda: {"history": [1.0], "horizon": 2}),
    "forecasting.seasonal_naive": Case(
        make=lambda: forecasting.seasonal_naive, valid=lambda: {"history": [1.0, 2.0], "horizon": 2, "season": 2}
    ),
    **pair("rmse"),
    **pair("mae"),
    **pair("mase", history=np.arange(5.0), season=1),
    "metrics.naive_error": Case(
        make=lambda: rf.metrics.naive_error, valid=lambda: {"history": np.arange(5.0), "season": 1}
    ),
    "metrics.MASE": Case(make=lambda: rf.metrics.MASE, valid=lambda: {"history": np.arange(5.0), "season": 1}),
    "metrics.crps": Case(
        make=lambda: rf.metrics.crps,
        valid=lambda: {"truth": np.ones(3), "forecast": np.zeros((3, 1)), "quantiles": [0.5]},
    ),
    "metrics.coverage": Case(
        make=lambda: rf.metrics.coverage,
        valid=lambda: {"truth": np.ones(3), "low": np.zeros(3), "high": np.ones(3)},
    ),
}  # fmt: skip

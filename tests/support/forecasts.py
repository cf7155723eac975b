"""Small series and forecasters, which several test modules share."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast.arrays import Float64

STRATEGIES = ("direct", "recursive", "encoder_decoder")
LIKELIHOODS = ("quantile", "gaussian", "student_t")


def forecaster(**options: Any) -> rf.Forecaster:
    small = {"window": 8, "horizon": 3, "hidden_size": 4, "epochs": 1, "seed": 0}
    return rf.Forecaster(**{**small, **options})


def seasonal(count: int = 120, seed: int = 0, gaps: float = 0.0) -> Float64:
    rng = np.random.default_rng(seed)
    t = np.arange(count)
    series: Float64 = 20 + 0.05 * t + 4 * np.sin(2 * np.pi * t / 7) + rng.normal(size=count)
    series[rng.random(count) < gaps] = np.nan
    return series


def fitted(series: Any, *args: Any, **options: Any) -> rf.Forecaster:
    return forecaster(**options).fit(series, *args, progress=False)


def long_frame() -> Any:
    pd: Any = import_module("pandas")
    parts = []
    for n, name in enumerate(("x", "y", "z")):
        days = pd.date_range("2024-01-01", periods=30 + n, name="ds")
        price = np.random.default_rng(n).normal(size=len(days))
        parts.append(pd.DataFrame({"unique_id": name, "ds": days, "y": price + 10 * n, "price": price, "size": n}))
    return pd.concat(parts, ignore_index=True)

"""A forecaster as a file: options, scales, networks, and the end of every series that it was fitted to."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from rnnfast.arrays import Array, Float64
from rnnfast.data import Scaler
from rnnfast.forecasting.features import Features
from rnnfast.forecasting.series import Panel, Series
from rnnfast.forecasting.times import Times

PARTS = ("values", "past", "future", "static")
SCALERS = ("past", "future", "static")


def scalers_saved(features: Features) -> dict[str, str | None]:
    """Return the scalers of covariates as texts."""
    found = {name: getattr(features, name) for name in SCALERS}
    return {name: None if scaler is None else scaler.to_json() for name, scaler in found.items()}


def scalers_read(saved: dict[str, str | None]) -> dict[str, Scaler | None]:
    """Return the scalers of which ``scalers_saved`` made texts."""
    return {name: None if saved[name] is None else Scaler.from_json(str(saved[name])) for name in SCALERS}


def panel_saved(panel: Panel) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return all series as arrays, and what JSON holds of them."""
    tensors: dict[str, Array] = {}
    for part in PARTS:
        arrays = [np.atleast_2d(getattr(one, part).T).T for one in panel.series]
        whole = np.concatenate(arrays)
        tensors[f"series.{part}.lengths"] = np.array([len(array) for array in arrays], np.int64)
        if whole.size:
            tensors[f"series.{part}"] = whole
    described = [
        {"label": _plain(one.label), "name": _plain(one.name), "kind": one.kind,
         "times": None if one.times is None else {k: _plain(v) for k, v in asdict(one.times).items()}}
        for one in panel.series
    ]  # fmt: skip
    widths = {part: int(np.atleast_2d(getattr(panel.series[0], part).T).T.shape[1]) for part in PARTS}
    return tensors, {"form": panel.form, "columns": panel.columns, "widths": widths, "series": json.dumps(described)}


def panel_read(tensors: dict[str, Array], saved: dict[str, Any]) -> Panel:
    """Return the series of which ``panel_saved`` made arrays."""
    described = json.loads(saved["series"])
    parts = {part: _split(tensors, part, saved["widths"][part]) for part in PARTS}
    found = [
        Series(
            label=each["label"],
            values=parts["values"][n][:, 0],
            past=parts["past"][n],
            future=parts["future"][n],
            static=parts["static"][n][:, 0],
            times=None if each["times"] is None else Times(**each["times"]),
            kind=each["kind"],
            name=each["name"],
        )
        for n, each in enumerate(described)
    ]
    return Panel(series=found, form=saved["form"], columns=saved["columns"])


def _split(tensors: dict[str, Array], part: str, width: int) -> list[Float64]:
    lengths = tensors[f"series.{part}.lengths"]
    whole = tensors.get(f"series.{part}", np.zeros((int(lengths.sum()), width)))
    return np.split(whole, np.cumsum(lengths)[:-1])


def _plain(value: Any) -> Any:
    """Return a label as JSON holds it: numbers, texts and None as they are, all else as text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float | None) else str(value)

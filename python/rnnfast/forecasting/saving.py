"""A forecaster as a file: options, scales, networks, and the end of every series that it was fitted to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from rnnfast import checkpoint
from rnnfast.arrays import Array, Float64
from rnnfast.atomic import StrPath
from rnnfast.data import Scaler
from rnnfast.forecasting.features import Features
from rnnfast.forecasting.fitted import Fitted, new_features, untrained
from rnnfast.forecasting.series import Panel, Series
from rnnfast.forecasting.times import Times

PARTS = ("values", "past", "future", "static")
SCALERS = ("past", "future", "static")


def write(path: StrPath, fitted: Fitted) -> None:
    """Write all that was fitted to a file."""
    tensors, described = panel_saved(fitted.panel)
    for n, network in enumerate(fitted.networks):
        tensors |= {f"network{n}.{name}": value for name, value in network.state_dict().items()}
    saved = {
        "class": "Forecaster",
        "config": fitted.options,
        "scalers": scalers_saved(fitted.features),
        "panel": described,
        "scales": json.dumps(fitted.scales),
    }
    checkpoint.write(path, tensors, saved)


def read(path: StrPath, checked: Callable[[dict[str, Any]], dict[str, Any]]) -> Fitted:
    """Return what ``write`` wrote; ``checked`` checks the options.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no file of a forecaster, or is damaged.
    """
    tensors, saved = checkpoint.read(path)
    try:
        if saved["class"] != "Forecaster":
            raise ValueError(f"a file of class {saved['class']}")
        options = checked(saved["config"])
        panel = panel_read(tensors, saved["panel"])
        features = new_features(options, scalers_read(saved["scalers"]))
        found = untrained(options, panel, features, [(float(c), float(s)) for c, s in json.loads(saved["scales"])])
        for n, network in enumerate(found.networks):
            prefix = f"network{n}."
            network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        return found
    except MemoryError:
        raise
    except Exception as error:
        got = f"{error!r:.2000}"
        raise ValueError(f"{os.fsdecode(path)}: a file of Forecaster.save is required, got {got}") from error


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

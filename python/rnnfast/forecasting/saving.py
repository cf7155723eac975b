"""A forecaster as a file: options, scales, networks, and the end of every series that it was fitted to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
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
from rnnfast.models.base import BARE_LAYERS
from rnnfast.outline import outlines

PARTS = ("values", "past", "future", "static")
FORMS = ("one", "list", "wide", "long")
KINDS = ("array", "pandas", "polars")
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
        scales = [(float(centre), float(scale)) for centre, scale in json.loads(saved["scales"])]
        features = new_features(options, scalers_read(saved["scalers"]))
        states = _states(tensors)
        if len(states) != options["ensemble"] or len(scales) != len(panel.series):
            raise ValueError(f"{len(states)} networks and {len(scales)} scales")
        with outlines(layers=len(tensors) + BARE_LAYERS):
            _require_described(untrained(options, panel, features, scales), states)
        found = untrained(options, panel, features, scales)
        for network, state in zip(found.networks, states, strict=True):
            network.load_state_dict(state)
        return found
    except MemoryError:
        raise
    except Exception as error:
        got = f"{error!r:.2000}"
        raise ValueError(f"{os.fsdecode(path)}: a file of Forecaster.save is required, got {got}") from error


def _states(tensors: Mapping[str, Array]) -> list[dict[str, Array]]:
    """Return the parameters of each network by name."""
    found: dict[str, dict[str, Array]] = {}
    for name, values in tensors.items():
        network, _, parameter = name.partition(".")
        if network.startswith("network"):
            found.setdefault(network, {})[parameter] = values
    return [found[f"network{n}"] for n in range(len(found))]


def _require_described(outlined: Fitted, states: list[dict[str, Array]]) -> None:
    """Raise ValueError unless the options are those of networks with such parameters, before memory is claimed."""
    for network, state in zip(outlined.networks, states, strict=True):
        expected = {name: (p.shape, p.dtype) for name, p in network.parameters().items()}
        if expected != {name: (values.shape, values.dtype) for name, values in state.items()}:
            raise ValueError("parameters of other names, shapes or dtypes than the options describe")


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
    if saved["form"] not in FORMS or any(each["kind"] not in KINDS for each in described):
        raise ValueError("series of an unknown kind")
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

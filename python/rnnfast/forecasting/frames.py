"""Long frames of many series, with a row for each series and time, as series; and forecasts in the user's form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Float64, Int64
from rnnfast.forecasting.series import Panel, Series, checked, covariates, kind_of, numbers, read_panel
from rnnfast.forecasting.times import read_times


def read_long(
    frame: Any,
    *,
    id: str,
    time: str,
    value: str,
    past: Sequence[str] = (),
    future: Sequence[str] = (),
    static: Sequence[str] = (),
    freq: str | None = None,
) -> Panel:
    """Return the series of a long frame of pandas or polars, in the order in which their ids appear.

    Rows behind a series' last value, where ``future`` covariates are known, lie ahead of it.

    Raises
    ------
    ValueError
        Columns that are not there, a series without values, times that repeat or have no known frequency, static
        covariates that change.
    TypeError
        No frame, or columns that hold no real numbers.
    """
    whole = as_pandas("frame", frame)
    for name, column in (("id", id), ("time", time), ("value", value)):
        _require_columns(whole, name, [column])
    beside = {"past": past, "future": future, "static": static}
    columns = {name: _require_columns(whole, name, given) for name, given in beside.items()}
    if not len(whole):
        raise ValueError("frame: at least one row is required, got none")
    for name, column in (("id", id), ("time", time)):
        if whole[column].isna().any():
            raise ValueError(f"{name}: a value in every row is required, got missing ones in {column!r}")
    pandas = import_module("pandas")
    codes, labels = pandas.factorize(whole[id])
    order = pandas.Index(whole[time]).argsort()
    order = order[np.argsort(codes[order], kind="stable")]
    ordered = whole.iloc[order]
    read = {name: numbers(f"frame: {name}", ordered[given]) for name, given in columns.items()}
    read["value"] = numbers(f"frame[{value!r}]", ordered[value])
    index, ends = pandas.Index(ordered[time]), np.cumsum(np.bincount(codes))
    found = []
    for label, start, end in zip(labels.tolist(), [0, *ends[:-1]], ends, strict=True):
        times, places = read_times(f"frame[{label!r}]", index[start:end], freq)
        own = {name: values[start:end] for name, values in read.items()}
        one = _series(f"frame[{label!r}]", own, places)
        found.append(replace(one, label=label, times=times, kind=kind_of(frame), name=value))
    return checked(Panel(series=found, form="long", columns={"id": id, "time": time, "value": value, **columns}))


def read_like(fitted: Panel, series: Any, past: Any, future: Any, static: Any, freq: str | None) -> Panel:
    """Return series that a fitted forecaster is given: those of a long frame where it was fitted to one, else any."""
    if (
        fitted.form != "long"
        or kind_of(series) == "array"
        or fitted.columns["id"] not in getattr(series, "columns", ())
    ):
        return read_panel(series, past, future, static, freq=freq)
    for name, given in (("past", past), ("future", future), ("static", static)):
        if given is not None:
            raise ValueError(
                f"{name}: None is required beside a long frame, whose columns hold it, got {checks.shown(given)}"
            )
    return read_long(series, freq=freq, **fitted.columns)


def _require_columns(frame: Any, name: str, given: Sequence[Any]) -> list[Any]:
    """Return columns, all of which a frame has; ``name`` is the argument that names them."""
    columns = [given] if isinstance(given, str) else list(checks.as_items(name, given))
    for column in columns:
        if not np.isscalar(column) or column not in frame.columns:
            known = ", ".join(map(str, frame.columns))
            raise ValueError(f"{name}: columns of the frame ({known}) are required, got {checks.shown(column)}")
    return columns


def as_pandas(name: str, frame: Any) -> Any:
    """Return a frame of pandas, of one of pandas or polars."""
    kind = kind_of(frame)
    if kind == "array" or not hasattr(frame, "columns"):
        raise TypeError(f"{name}: a DataFrame of pandas or polars is required, got {checks.shown(frame)}")
    if kind == "pandas":
        return frame
    return import_module("pandas").DataFrame({column: frame[column].to_numpy() for column in frame.columns})


def _series(name: str, rows: dict[str, Float64], places: Int64) -> Series:
    """Return the series whose rows stand at some places of it."""
    steps = int(places[-1]) + 1
    known = places[~np.isnan(rows["value"])]
    if not len(known):
        raise ValueError(f"{name}: at least one value is required, got none")
    T, static = int(known[-1]) + 1, rows["static"]
    first = static[np.isnan(static).argmin(axis=0), np.arange(static.shape[1])]
    if np.isnan(first).any() or ((static != first) & ~np.isnan(static)).any():
        raise ValueError(f"{name}: static covariates that do not change are required, got several values, or none")
    return Series(
        label=None,
        values=_at(places, steps, rows["value"])[:T],
        past=_at(places, steps, rows["past"])[:T],
        future=_at(places, steps, rows["future"]),
        static=first,
    )


def _at(places: Int64, count: int, values: Float64) -> Float64:
    found = np.full((count, *values.shape[1:]), np.nan)
    found[places] = values
    return found


def with_future(panel: Panel, future: Any, horizon: int) -> Panel:
    """Return the series with covariates of ``horizon`` steps ahead of them, as ``predict`` is given them."""
    if future is None:
        return panel
    if panel.form == "long":
        columns = panel.columns
        frame = as_pandas("future", future)
        _require_columns(frame, "future", [columns["id"], columns["time"], *columns["future"]])
        by_id = {label: rows.set_index(columns["time"]) for label, rows in frame.groupby(columns["id"], sort=False)}
        given = [by_id[one.label][columns["future"]] if one.label in by_id else None for one in panel.series]
    elif panel.form != "one" and isinstance(future, list | tuple):
        given = list(future)
    else:
        given = [future] * len(panel.series)
    if len(given) != len(panel.series):
        raise ValueError(f"future: an entry for each of {len(panel.series)} series is required, got {len(given)}")
    found = []
    for n, (one, own) in enumerate(zip(panel.series, given, strict=True)):
        name = "future" if panel.form == "one" else f"future[{n}]"
        ahead = covariates(name, own, one.times, horizon, start=len(one))
        if own is not None and ahead.shape[1] != one.future.shape[1]:
            wanted = f"{one.future.shape[1]} covariates, as the model has, are"
            raise ValueError(f"{name}: {wanted} required, got {ahead.shape[1]}")
        found.append(one if own is None else replace(one, future=np.concatenate([one.future[: len(one)], ahead])))
    return replace(panel, series=found)


def in_form(panel: Panel, found: Float64, names: Sequence[Any] | None) -> Any:
    """Return forecasts (N, H) or (N, H, Q) of N series in the form in which the series came.

    ``names`` are those of the Q columns.
    """
    if panel.form == "long":
        return _long(panel, found, names)
    parts = [_one(one, own, names) for one, own in zip(panel.series, found, strict=True)]
    if panel.form == "one":
        return parts[0]
    if panel.form == "list":
        return parts
    return _side_by_side(panel, parts, names)


def _one(one: Series, found: Float64, names: Sequence[Any] | None) -> Any:
    if one.kind == "array":
        return found
    library = import_module(one.kind)
    if one.kind == "polars":
        if names is None:
            return library.Series("" if one.name is None else one.name, found)
        return library.DataFrame({str(name): found[:, i] for i, name in enumerate(names)})
    index = index_ahead(one, len(found))
    if names is None:
        return library.Series(found, index=index, name=one.name)
    return library.DataFrame(found, index=index, columns=list(names))


def index_ahead(one: Series, horizon: int) -> Any:
    """Return the index of pandas that follows a series."""
    assert one.times is not None
    return one.times.index(len(one), horizon)


def _side_by_side(panel: Panel, parts: list[Any], names: Sequence[Any] | None) -> Any:
    kind = panel.series[0].kind
    if kind == "array":
        return np.stack(parts, axis=1)
    library, labels = import_module(kind), [one.label for one in panel.series]
    if kind == "pandas":
        return library.concat(parts, axis=1, keys=labels)
    if names is None:
        return library.DataFrame(dict(zip(labels, parts, strict=True)))
    return library.DataFrame(
        {f"{label}_{name}": part[str(name)] for label, part in zip(labels, parts, strict=True) for name in names}
    )


def _long(panel: Panel, found: Float64, names: Sequence[Any] | None) -> Any:
    columns, horizon = panel.columns, found.shape[1]
    library = import_module("pandas")
    values = found.reshape(len(found) * horizon, -1)
    labels = np.repeat(np.array([one.label for one in panel.series], object), horizon)
    times = [time for one in panel.series for time in index_ahead(one, horizon)]
    written = [columns["value"]] if names is None else list(names)
    frame = library.DataFrame({columns["id"]: library.Series(labels).infer_objects(), columns["time"]: times})
    for i, name in enumerate(written):
        frame[name] = values[:, i]
    if panel.series[0].kind == "polars":
        polars = import_module("polars")
        return polars.DataFrame({str(name): frame[name].to_list() for name in frame.columns})
    return frame

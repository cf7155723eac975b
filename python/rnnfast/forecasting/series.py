"""What users give as series, as arrays: values with NaN where one is missing, covariates, and times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Float64
from rnnfast.forecasting.times import Times, has_times, read_times


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series and what is known beside it.

    Attributes
    ----------
    label : object
        Its place in a list, its column in a frame, or its id in a long frame.
    values : float64 (T,)
        NaN where a value is missing.
    past : float64 (T, P)
        Covariates known up to the last value.
    future : float64 (T + F, K)
        Covariates known F steps beyond it.
    static : float64 (S,)
        What does not change.
    times : Times or None
        The index that results continue.
    kind : "array", "pandas" or "polars"
        What the user gave.
    name : object
        The name that results take over.
    """

    label: Any
    values: Float64
    past: Float64
    future: Float64
    static: Float64
    times: Times | None = None
    kind: str = "array"
    name: Any = None

    def __len__(self) -> int:
        """Return T."""
        return len(self.values)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One series or many, and the form in which they came: "one", "list", "wide" or "long".

    ``columns`` names the columns of a long frame: those of ids, times and values.
    """

    series: list[Series]
    form: str
    columns: dict[str, Any] = field(default_factory=dict)

    @property
    def widths(self) -> tuple[int, int, int]:
        """The number of covariates of the past, of the future, and of static ones."""
        first = self.series[0]
        return first.past.shape[1], first.future.shape[1], len(first.static)


def read_panel(
    series: Any, past: Any = None, future: Any = None, static: Any = None, *, freq: str | None = None
) -> Panel:
    """Return what the user gives as series: one, a list of them, or the columns of an array or of a frame.

    Raises
    ------
    ValueError
        Other shapes, no values, infinite numbers, covariates that do not cover the series.
    TypeError
        Values that are no real numbers.
    """
    items, form = _items(series)
    if not items:
        raise ValueError("series: at least one series is required, got none")
    given = {
        name: _each(name, covariates, len(items), form) for name, covariates in (("past", past), ("future", future))
    }
    fixed = _static(static, len(items), form)
    found = [
        _series(f"series[{n}]" if form != "one" else "series", label, item, given["past"][n], given["future"][n],
                fixed[n], freq)
        for n, (label, item) in enumerate(items)
    ]  # fmt: skip
    if freq is not None and all(one.times is None or one.times.kind == "number" for one in found):
        raise ValueError(f"freq: None is required for series without dates, got {freq!r}")
    return checked(Panel(series=found, form=form))


def checked(panel: Panel) -> Panel:
    """Return the panel; ValueError unless all series have the same covariates."""
    first = panel.series[0]
    for n, one in enumerate(panel.series):
        for name in ("past", "future", "static"):
            own, wanted = getattr(one, name).shape[-1], getattr(first, name).shape[-1]
            if own != wanted:
                raise ValueError(f"{name}[{n}]: the {wanted} covariates of the first series are required, got {own}")
    return panel


def _items(series: Any) -> tuple[list[tuple[Any, Any]], str]:
    """Return the series with their labels, and the form in which they came."""
    if kind_of(series) != "array" and hasattr(series, "columns"):
        labels = list(series.columns)
        columns = [series[label] for label in labels]
        return list(zip(labels, columns, strict=True)), "one" if len(labels) == 1 else "wide"
    if isinstance(series, list | tuple) and any(np.ndim(item) > 0 for item in series):
        return list(enumerate(series)), "list"
    if kind_of(series) != "array":
        return [(0, series)], "one"
    array = checks.as_array("series", series)
    if array.ndim == 2 and array.shape[1] != 1:
        return list(enumerate(array.T)), "wide"
    return [(0, array[:, 0] if array.ndim == 2 else array)], "one"


def kind_of(value: Any) -> str:
    """Return the library a value comes from: "pandas", "polars", or "array" for anything else."""
    top = type(value).__module__.partition(".")[0]
    return top if top in ("pandas", "polars") else "array"


def _each(name: str, given: Any, count: int, form: str) -> list[Any]:
    """Return the covariates of each series: those of a list by series, all else shared."""
    if form != "one" and isinstance(given, list | tuple):
        if len(given) != count:
            raise ValueError(f"{name}: an entry for each of {count} series is required, got {len(given)}")
        return list(given)
    return [given] * count


def _static(static: Any, count: int, form: str) -> list[Float64]:
    if static is None:
        return [np.zeros(0)] * count
    values = numbers("static", static)
    if np.isnan(values).any():
        raise ValueError("static: finite numbers are required, got NaN")
    if form == "one" and values.ndim < 2:
        values = values.reshape(1, -1)
    elif values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or len(values) != count:
        raise ValueError(f"static: shape (N, S) with N = {count} series is required, got {np.shape(static)}")
    return list(values)


def _series(name: str, label: Any, item: Any, past: Any, future: Any, static: Float64, freq: str | None) -> Series:
    values, kind = numbers(name, item), kind_of(item)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"{name}: shape (T,) is required, got {values.shape}")
    times = None
    if kind == "pandas":
        times, places = read_times(name, item.index, freq)
        whole = np.full(int(places[-1]) + 1 if len(places) else 0, np.nan)
        whole[places] = values
        values = whole
    if not (~np.isnan(values)).any():
        raise ValueError(f"{name}: at least one value is required, got none")
    return Series(
        label=label,
        values=values,
        past=covariates(name.replace("series", "past"), past, times, len(values), exact=True),
        future=covariates(name.replace("series", "future"), future, times, len(values)),
        static=static,
        times=times,
        kind=kind,
        name=getattr(item, "name", None),
    )


def covariates(
    name: str, given: Any, times: Times | None, least: int, *, start: int = 0, exact: bool = False
) -> Float64:
    """Return covariates (M, C) of at least, or exactly, ``least`` steps from number ``start`` of the times on.

    Those with an index of pandas are put where their times say.
    """
    if given is None:
        return np.zeros((least, 0))
    values = numbers(name, given)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2:
        raise ValueError(f"{name}: shape (T,) or (T, C) is required, got {values.shape}")
    if kind_of(given) == "pandas" and times is not None and tells_time(given.index):
        last = times.place(name, given.index.max()) if len(given) else -1
        if last + 1 - start < least:
            raise ValueError(f"{name}: times up to {times.index(start + least - 1, 1)[0]} are required, got others")
        places = times.index(start, last + 1 - start).get_indexer(given.index)
        whole = np.full((last + 1 - start, values.shape[1]), np.nan)
        whole[places[places >= 0]] = values[places >= 0]
        values = whole
    if len(values) < least:
        raise ValueError(f"{name}: {least} steps are required, got {len(values)}")
    if exact and len(values) > least:
        raise ValueError(f"{name}: {least} steps, as many as the series has, are required, got {len(values)}")
    return values


def tells_time(index: Any) -> bool:
    """Return whether an index of pandas says when its rows are: not one that only counts them, or names them."""
    return has_times(index) and not (type(index).__name__ == "RangeIndex" and index.start == 0)


def numbers(name: str, given: Any) -> Float64:
    """Return real numbers as float64, with NaN where one is missing, as pandas and polars also write it.

    Raises
    ------
    ValueError
        Infinite numbers.
    TypeError
        Anything but real numbers.
    """
    kind = kind_of(given)
    array: Array
    if kind == "pandas" and hasattr(given, "to_numpy") and _numeric(given):
        array = given.to_numpy(dtype=np.float64, na_value=np.nan)
    elif kind == "polars" and _numeric(given):
        array = np.asarray(given.to_numpy(), np.float64)
    else:
        array = checks.as_array(name, given)
    values = checks.as_reals(name, array, np.dtype(np.float64))
    if np.isinf(values).any():
        raise ValueError(f"{name}: finite numbers, or NaN where one is missing, are required, got an infinite one")
    return values


def _numeric(given: Any) -> bool:
    dtypes = given.dtypes if hasattr(given, "columns") else [given.dtype]
    return all(getattr(dtype, "kind", "f" if _of_polars(dtype) else "O") in "fiub" for dtype in dtypes)


def _of_polars(dtype: Any) -> bool:
    return hasattr(dtype, "is_numeric") and (dtype.is_numeric() or str(dtype) == "Boolean")

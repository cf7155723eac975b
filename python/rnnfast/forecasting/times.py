"""Times of a series: where an index begins, how it goes on, and what the calendar says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Float64, Int64

# The share of its cycle at which each time of a pandas DatetimeIndex lies, within [0, 1).
CALENDAR: dict[str, Callable[[Any], Any]] = {
    "minute": lambda t: t.minute / 60,
    "hour": lambda t: (t.hour + t.minute / 60) / 24,
    "day_of_week": lambda t: t.day_of_week / 7,
    "day_of_month": lambda t: (t.day - 1) / t.days_in_month,
    "day_of_year": lambda t: (t.day_of_year - 1) / (365 + t.is_leap_year),
    "week_of_year": lambda t: (t.isocalendar().week.to_numpy(float) - 1) / 53,
    "month": lambda t: (t.month - 1) / 12,
    "quarter": lambda t: (t.quarter - 1) / 4,
}


@dataclass(frozen=True, kw_only=True)
class Times:
    """Regular times without an end: an index of pandas, of which any part can be made.

    Attributes
    ----------
    kind : "datetime", "period" or "number"
    start : str or int
        The first time.
    freq : str or int
        The frequency, as pandas writes it, or the step of numbers.
    zone : str or None
        The time zone of dates.
    name : str or None
        The name of the index.
    """

    kind: str
    start: str | int
    freq: str | int
    zone: str | None = None
    name: Any = None

    def index(self, start: int, count: int) -> Any:
        """Return the index of ``count`` times from number ``start`` on."""
        pandas = import_module("pandas")
        if self.kind == "number":
            first, step = int(self.start), int(self.freq)
            return pandas.RangeIndex(first + start * step, first + (start + count) * step, step, name=self.name)
        if self.kind == "period":
            return pandas.period_range(self.start, periods=start + count, freq=self.freq, name=self.name)[start:]
        first = pandas.Timestamp(self.start)
        first = first if self.zone is None else first.tz_convert(self.zone)
        return pandas.date_range(first, periods=start + count, freq=self.freq, name=self.name)[start:]

    def later(self, steps: int) -> Times:
        """Return the times from number ``steps`` on."""
        first = self.index(steps, 1)[0]
        return replace(
            self, start=first.isoformat() if self.kind == "datetime" else first if self.kind == "number" else str(first)
        )

    def place(self, name: str, time: Any) -> int:
        """Return the number of a time; ValueError for one that is none of them."""
        pandas = import_module("pandas")
        if self.kind == "number":
            return (checks.as_integer(name, time) - int(self.start)) // int(self.freq)
        first = self.index(0, 1)[0]
        try:
            wanted = pandas.Period(time, self.freq) if self.kind == "period" else pandas.Timestamp(time)
            if self.kind == "datetime" and wanted.tzinfo is None and self.zone is not None:
                wanted = wanted.tz_localize(self.zone)
            span = pandas.period_range if self.kind == "period" else pandas.date_range
            return len(span(first, wanted, freq=self.freq)) - (0 if wanted < first else 1)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: a time of the series is required, got {checks.shown(time)}: {error}") from None


def has_times(index: Any) -> bool:
    """Return whether an index of pandas has dates, periods or integers."""
    return type(index).__name__ in ("DatetimeIndex", "PeriodIndex") or index.dtype.kind in "iu"


def read_times(name: str, index: Any, freq: str | None) -> tuple[Times, Int64]:
    """Return the times of a pandas index, and the place of each of its entries among them.

    Entries of an index of other things than dates, periods or integers are counted.

    Parameters
    ----------
    name : str
        What messages call the data.
    index : pandas Index (T,)
        In ascending order. Times that the frequency has and the index lacks are gaps.
    freq : str or None
        The frequency of dates; None infers it. Periods have one.

    Raises
    ------
    ValueError
        Times that do not ascend, or that have no known frequency.
    """
    pandas = import_module("pandas")
    dates, periods = isinstance(index, pandas.DatetimeIndex), isinstance(index, pandas.PeriodIndex)
    if not has_times(index) or not len(index):
        return Times(kind="number", start=0, freq=1), np.arange(len(index), dtype=np.int64)
    if not (index.is_monotonic_increasing and index.is_unique):
        raise ValueError(f"{name}: times that ascend are required (sort_index() orders them), got others")
    if not (dates or periods):
        step = int(np.diff(index).min()) if len(index) > 1 else 1
        found = (np.asarray(index, np.int64) - int(index[0])) // step
        if (found * step + int(index[0]) != np.asarray(index)).any():
            raise ValueError(f"{name}: an index of integers in equal steps is required, got other steps")
        return Times(kind="number", start=int(index[0]), freq=step, name=index.name), found
    own = index.freqstr
    if own is None and len(index) > 2:
        own = pandas.DatetimeIndex(index, freq="infer").freqstr
    known = own if periods else _frequency(own if freq is None else freq)
    if known is None:
        raise ValueError(f"{name}: times of one frequency are required, or freq beside gaps, got none that is known")
    whole = (pandas.period_range if periods else pandas.date_range)(index[0], index[-1], freq=known)
    places = whole.get_indexer(index)
    if (places < 0).any():
        wrong = index[int(np.argmax(places < 0))]
        raise ValueError(f"{name}: times of the frequency {known!r} are required, got {wrong}")
    zone = str(index.tz) if dates and index.tz is not None else None
    start = str(index[0]) if periods else index[0].isoformat()
    kind = "period" if periods else "datetime"
    return Times(kind=kind, start=start, freq=known, zone=zone, name=index.name), places.astype(np.int64)


def _frequency(freq: str | None) -> str | None:
    """Return a frequency that pandas knows, or None; an error for anything else."""
    if freq is None:
        return None
    try:
        import_module("pandas.tseries.frequencies").to_offset(checks.as_text("freq", freq))
    except ValueError as error:
        raise ValueError(f"freq: a frequency of pandas is required, as 'D' or 'MS', got {freq!r}") from error
    return freq


def calendar_features(times: Times | None, count: int, names: Sequence[str]) -> Float64:
    """Return sine and cosine (count, 2 K) of the place of the first ``count`` times in each of K cycles.

    Examples
    --------
    >>> monthly = Times(kind="datetime", start="2000-01-01", freq="MS")
    >>> calendar_features(monthly, 4, ["month"]).round(3)[[0, 3]].tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if not names:
        return np.zeros((count, 0))
    if times is None or times.kind == "number":
        raise ValueError(f"calendar: a series with an index of dates is required for {', '.join(names)}, got none")
    index = times.index(0, count)
    index = index.to_timestamp() if times.kind == "period" else index
    shares = [2 * np.pi * np.asarray(CALENDAR[name](index), np.float64) for name in names]
    return np.stack([part for share in shares for part in (np.sin(share), np.cos(share))], axis=1)

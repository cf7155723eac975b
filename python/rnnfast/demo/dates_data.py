"""Dates as people write them, and as ISO 8601 does."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from rnnfast.text import Vocabulary

Ids = npt.NDArray[np.int64]
FIRST, DAYS = date(1969, 1, 1), 36525
"""The hundred years of POSIX's two digits: 69..99 are 1969..1999, 00..68 are 2000..2068."""
ISO = Vocabulary("-0123456789")


def ordinal(day: int) -> str:
    """Return "1st", "2nd", "3rd", "4th", ...

    Examples
    --------
    >>> [ordinal(n) for n in (1, 2, 3, 11, 22, 30)]
    ['1st', '2nd', '3rd', '11th', '22nd', '30th']
    """
    ending = "th" if day // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _month(d: date) -> str:
    return calendar.month_name[d.month]


def _abbreviated(d: date) -> str:
    return calendar.month_abbr[d.month]


def _weekday(d: date) -> str:
    return calendar.day_name[d.weekday()]


STYLES: dict[str, Callable[[date], str]] = {
    "%B %d, %Y": lambda d: f"{_month(d)} {d.day}, {d.year}",
    "%d %b %Y": lambda d: f"{d.day} {_abbreviated(d)} {d.year}",
    "%d %B %Y": lambda d: f"{d.day} {_month(d)} {d.year}",
    "%A, %m/%d/%Y": lambda d: f"{_weekday(d)}, {d.month}/{d.day}/{d.year}",
    "%m/%d/%y": lambda d: f"{d.month}/{d.day}/{d.year % 100:02}",
    "%d.%m.%Y": lambda d: f"{d.day:02}.{d.month:02}.{d.year}",
    "%a, %d %b %Y": lambda d: f"{_weekday(d)[:3]}, {d.day:02} {_abbreviated(d)} {d.year}",
    "%A, %B %dth, %Y": lambda d: f"{_weekday(d)}, {_month(d)} {ordinal(d.day)}, {d.year}",
    "the %dth of %B %Y": lambda d: f"the {ordinal(d.day)} of {_month(d)} {d.year}",
    "%d-%b-%y": lambda d: f"{d.day:02}-{_abbreviated(d)}-{d.year % 100:02}".upper(),
    "%b %d '%y": lambda d: f"{_abbreviated(d).lower()} {d.day} '{d.year % 100:02}",
    "%Y %B %d, %A": lambda d: f"{d.year} {_month(d)} {d.day}, {_weekday(d)}",
}
"""By format of ``datetime.strptime`` (with "th" for the ending of an ordinal), the function that writes a date."""


@dataclass(frozen=True)
class Dates:
    """Days, each written in a style.

    Attributes
    ----------
    days : list of date
    texts : list of str
    x, y : lists of ids
        The texts, and the days in ISO 8601.
    """

    days: list[date]
    texts: list[str]
    x: list[Ids]
    y: list[Ids]


class Calendar:
    """The days of a hundred years, of which a share is held out.

    Attributes
    ----------
    vocabulary : Vocabulary
        The characters that dates are written with.
    train, test : int64 arrays
        Days, counted from the first.
    first, last : date
    """

    def __init__(self, *, held_out: float, rng: np.random.Generator) -> None:
        self.first, self.last = FIRST, FIRST + timedelta(days=DAYS - 1)
        order = rng.permutation(DAYS)
        count = round(held_out * DAYS)
        self.test, self.train = np.sort(order[:count]), np.sort(order[count:])
        year = [FIRST + timedelta(days=n) for n in range(366)]
        letters = {c for write in STYLES.values() for d in year for c in write(d)} | set("0123456789")
        self.vocabulary = Vocabulary("".join(sorted(letters)))

    def written(self, numbers: Sequence[int] | Ids, rng: np.random.Generator) -> Dates:
        """Return these days, each in a random style."""
        days = [FIRST + timedelta(days=int(n)) for n in numbers]
        styles = list(STYLES.values())
        texts = [styles[k](d) for k, d in zip(rng.integers(len(styles), size=len(days)), days, strict=True)]
        return Dates(
            days=days,
            texts=texts,
            x=[self.vocabulary.encode(text) for text in texts],
            y=[ISO.encode(d.isoformat()) for d in days],
        )

    def unseen_near(self, day: date) -> date:
        """Return the held-out day that is closest to ``day``."""
        nearest = self.test[np.abs(self.test - (day - FIRST).days).argmin()]
        return FIRST + timedelta(days=int(nearest))


def read_with(style: str, text: str) -> date | None:
    """Return the date that ``datetime.strptime`` reads in a text of one style, None where it reads none.

    Examples
    --------
    >>> read_with("%d %b %Y", "22 Apr 2019"), read_with("%d %b %Y", "April 22, 2019")
    (datetime.date(2019, 4, 22), None)
    """
    try:
        return datetime.strptime(text, style).date()
    except ValueError:
        return None

"""Made texts, each with the text that it stands for."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np

from rnnfast import checks
from rnnfast.checks import names_arguments
from rnnfast.data.synthetic.chance import generator

FIRST, DAYS = date(1969, 1, 1), 36525
"""The hundred years of POSIX's two digits: 69..99 are 1969..1999, 00..68 are 2000..2068."""


@names_arguments
def addition(
    count: int, *, digits: int = 3, seed: int | np.random.Generator | None = None
) -> tuple[list[str], list[str]]:
    """Return sums as texts: "535+61" and "596".

    Parameters
    ----------
    count : int
        Sums N.
    digits : int
        Most digits of a number, at most 18. Each number has a random number of digits, so that short ones are as
        frequent as long ones.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    asked, answered : lists of N str
        Characters "+0123456789"; ``rnnfast.text.Vocabulary`` makes ids of them for an ``EncoderDecoder``.

    Notes
    -----
    Zaremba and Sutskever 2014, "Learning to Execute".

    Examples
    --------
    >>> addition(3, seed=0)
    (['75+1', '17+8', '6+9'], ['76', '25', '15'])
    """
    count, digits = checks.as_size("count", count), checks.as_integer("digits", digits, least=1, most=18)
    rng = generator(seed)
    lengths = rng.integers(1, digits + 1, (count, 2))
    pairs = rng.integers(0, 10**lengths).tolist()
    return [f"{a}+{b}" for a, b in pairs], [str(a + b) for a, b in pairs]


@names_arguments
def dates(count: int, *, seed: int | np.random.Generator | None = None) -> tuple[list[str], list[str]]:
    """Return dates as people write them, and as ISO 8601 does: "April 22, 2019" and "2019-04-22".

    Days are uniform over the years 1969 to 2068, and each is written in one of twelve styles (``DATE_STYLES``).

    Parameters
    ----------
    count : int
        Dates N.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    written, iso : lists of N str

    Notes
    -----
    A problem of many tutorials of attention (Bahdanau et al. 2015).

    Examples
    --------
    >>> dates(2, seed=0)
    (['Sat, 24 Jan 2054', 'Sunday, 9/12/2032'], ['2054-01-24', '2032-09-12'])
    """
    count, rng = checks.as_size("count", count), generator(seed)
    days = [FIRST + timedelta(days=int(n)) for n in rng.integers(0, DAYS, count)]
    styles = list(DATE_STYLES.values())
    written = [styles[k](day) for k, day in zip(rng.integers(0, len(styles), count), days, strict=True)]
    return written, [day.isoformat() for day in days]


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


DATE_STYLES: dict[str, Callable[[date], str]] = {
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

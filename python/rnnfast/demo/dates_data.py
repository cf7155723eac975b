"""Dates as people write them, and as ISO 8601 does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from rnnfast.data.synthetic.texts import DATE_STYLES, DAYS, FIRST
from rnnfast.text import Vocabulary

Ids = npt.NDArray[np.int64]
ISO = Vocabulary("-0123456789")


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
        letters = {c for write in DATE_STYLES.values() for d in year for c in write(d)} | set("0123456789")
        self.vocabulary = Vocabulary("".join(sorted(letters)))

    def written(self, numbers: Sequence[int] | Ids, rng: np.random.Generator) -> Dates:
        """Return these days, each in a random style."""
        days = [FIRST + timedelta(days=int(n)) for n in numbers]
        styles = list(DATE_STYLES.values())
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

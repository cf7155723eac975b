"""The demo's dates: what is written, what is held out, and the yard-stick that reads one style."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from rnnfast.data.synthetic.texts import DATE_STYLES, DAYS, FIRST, ordinal
from rnnfast.demo.dates import SHOWN, exact
from rnnfast.demo.dates_data import ISO, Calendar, read_with

DAY = date(2019, 4, 2)
WRITTEN = [
    "April 2, 2019",
    "2 Apr 2019",
    "2 April 2019",
    "Tuesday, 4/2/2019",
    "4/2/19",
    "02.04.2019",
    "Tue, 02 Apr 2019",
    "Tuesday, April 2nd, 2019",
    "the 2nd of April 2019",
    "02-APR-19",
    "apr 2 '19",
    "2019 April 2, Tuesday",
]


@pytest.fixture(scope="module")
def days() -> Calendar:
    return Calendar(held_out=0.1, rng=np.random.default_rng(0))


def test_the_styles_are_what_people_write() -> None:
    assert [write(DAY) for write in DATE_STYLES.values()] == WRITTEN
    assert set(SHOWN) <= set(DATE_STYLES)


@pytest.mark.parametrize("style", DATE_STYLES)
def test_strptime_reads_its_own_style(style: str) -> None:
    """It reads ordinals that end in "th", and returns the right day or nothing for every style."""
    for n in range(0, DAYS, 97):
        day = FIRST + timedelta(days=n)
        found = read_with(style, DATE_STYLES[style](day))
        assert found == day or ("th" in style and found is None and not ordinal(day.day).endswith("th"))


def test_every_date_has_one_meaning() -> None:
    """No two days look alike in any two styles."""
    seen: dict[str, date] = {}
    for n in range(DAYS):
        day = FIRST + timedelta(days=n)
        for write in DATE_STYLES.values():
            assert seen.setdefault(write(day), day) == day


def test_held_out_days_are_not_learned(days: Calendar) -> None:
    assert len(days.test) == round(0.1 * DAYS)
    assert sorted([*days.train, *days.test]) == list(range(DAYS))
    assert (days.first, days.last) == (date(1969, 1, 1), date(2068, 12, 31))
    near = days.unseen_near(DAY)
    assert (near - FIRST).days in days.test
    assert abs((near - DAY).days) < 60


def test_texts_and_ids_belong_together(days: Calendar) -> None:
    found = days.written(days.test[:300], np.random.default_rng(1))
    for day, text, x, y in zip(found.days, found.texts, found.x, found.y, strict=True):
        assert days.vocabulary.decode(x) == text
        assert text in {write(day) for write in DATE_STYLES.values()}
        assert ISO.decode(y) == day.isoformat()
    styles = {
        name for name in DATE_STYLES for d, t in zip(found.days, found.texts, strict=True) if DATE_STYLES[name](d) == t
    }
    assert styles == set(DATE_STYLES)


def test_all_days_have_letters(days: Calendar) -> None:
    for n in range(0, DAYS, 31):
        for write in DATE_STYLES.values():
            assert set(write(FIRST + timedelta(days=n))) <= set(days.vocabulary.characters)


def test_a_date_counts_when_all_of_it_is_right() -> None:
    y = [ISO.encode("2019-04-02"), ISO.encode("2020-01-01")]
    assert exact(y, y) == 1.0
    assert exact([y[0], y[1][:-1]], y) == 0.5
    assert exact([ISO.encode("2019-04-03"), np.append(y[1], 0)], y) == 0.0

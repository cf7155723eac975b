"""Teams that lose a processor: who is there takes the work of who is not, and the bits stay."""

from __future__ import annotations

import sys

import pytest

from rnnfast._core import testing
from tests.support.comparison import KINDS
from tests.support.processes import needs_limits, not_sanitized, output

on_one_processor = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs processor affinity of Linux")

# Two members on one processor: at each meeting one of them sleeps, and the other one goes on alone.
ONE_PROCESSOR = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
import rnnfast as rf
from rnnfast._core import testing
from tests.support.comparison import KINDS, assert_same_bits, make_problem, run_engine
from tests.support.state import forced_split

testing.oversubscribe(True)

def spells(cell, units, ragged):
    problem = make_problem(cell, N=4, T=60, C=5, H=70, ragged=ragged)
    with rf.threads(1):
        expected = run_engine(problem, "float32")
    before = testing.spells_alone()
    with rf.threads(2), forced_split(units):
        for _ in range(3):
            assert_same_bits(run_engine(problem, "float32"), expected)
    return testing.spells_alone() - before
"""


@on_one_processor
@needs_limits
@not_sanitized
@pytest.mark.parametrize("units", [True, False], ids=["by units", "by sequences"])
@pytest.mark.parametrize("ragged", [False, True], ids=["equal", "ragged"])
def test_bits_on_one_processor(ragged: bool, units: bool) -> None:
    found = output(ONE_PROCESSOR + f"print(*(spells(cell, {units}, {ragged}) for cell in KINDS))").split()
    assert len(found) == len(KINDS)
    assert all(int(spells) > 0 or not units for spells in found)


CallTimes = tuple[float, float, float, float, int, bool, bool]


def calls(
    waits: list[float], *, lasted: float = 1.0, slept: float = 0.0, awake: bool = True, shared: bool = False
) -> list[CallTimes]:
    """Calls of two members, of which the caller waits for so long at the end; milliseconds."""
    ends = [(i + 1) * lasted for i in range(len(waits))]
    return [(end - lasted, end - wait, end, slept, 2, awake, shared) for end, wait in zip(ends, waits, strict=True)]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (calls([0.0] * 50), [False] * 50),
        (calls([0.04] * 50, lasted=0.1), [False] * 50),  # shares that differ
        (calls([0.15] * 50, lasted=0.2, awake=False), [False] * 50),  # a member that was asleep
        (calls([0.15] * 3, lasted=0.2), [False, False, True]),
        (calls([0.2] * 50), [False] * 50),
        (calls([0.7] * 3), [False, False, True]),
        (calls([0.0] * 3, slept=0.7), [False, False, True]),
        (calls([0.0] * 3, shared=True), [False, False, True]),
        (calls([4.0], lasted=5.0), [True]),
        (calls([0.0] * 40 + [2.0], lasted=3.0), [False] * 41),
    ],
    ids=["quiet", "uneven", "asleep", "short", "rarely", "at the end", "at barriers", "shared", "long", "once"],
)
def test_standing_back(what: list[CallTimes], expected: list[bool]) -> None:
    assert testing.stands_back(what) == expected


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_threads_do_together(threads: int) -> None:
    barrier, efficiency = testing.together(threads)
    assert barrier > 0.0
    assert 1.0 / threads <= efficiency <= 1.0

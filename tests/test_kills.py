"""A training whose process is killed at any moment goes on from its checkpoint to the same bits."""

from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from tests.support import kills
from tests.support.processes import not_sanitized
from tests.support.trainings import PROBLEMS

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL"),
    not_sanitized,
]
every_problem = pytest.mark.parametrize("problem", PROBLEMS)


@cache
def undisturbed(problem: str) -> tuple[Any, dict[str, bytes], float]:
    """What a training returns and leaves, and the seconds that it takes."""
    with TemporaryDirectory() as folder:
        begin = time.perf_counter()
        found = kills.train(problem, Path(folder))
        return found, kills.left_in(Path(folder)), time.perf_counter() - begin


def assert_kills_leave_no_trace(problem: str, folder: Path, places: list[tuple[str, int]]) -> None:
    """Each place kills the process that goes on from the one before."""
    expected, files, _ = undisturbed(problem)
    assert all([kills.killed(problem, folder, *place) for place in places])
    kills.assert_goes_on(problem, folder, expected, files)


@pytest.mark.parametrize("place", [("on_gradient", 5), ("on_epoch_end", 1), ("replace", 1)])
@every_problem
def test_one_kill(problem: str, place: tuple[str, int], tmp_path: Path) -> None:
    """In the middle of an epoch, at its end before the others have acted, and before a file is replaced."""
    assert_kills_leave_no_trace(problem, tmp_path, [place])


def test_a_kill_before_the_first_checkpoint_starts_again(tmp_path: Path) -> None:
    assert_kills_leave_no_trace("many_to_one", tmp_path, [("on_gradient", 0)])


@pytest.mark.slow
@every_problem
def test_several_kills(problem: str, tmp_path: Path) -> None:
    """Each continuation gets a little further."""
    places = [("on_step_end", 2), ("fsync", 1), ("on_epoch_begin", 0), ("on_state", 2)]
    assert_kills_leave_no_trace(problem, tmp_path, places)


@pytest.mark.weekly
@pytest.mark.parametrize("seed", range(25))
@every_problem
def test_a_hundred_kills(problem: str, seed: int, tmp_path: Path) -> None:
    """At random events and writes; and after a random time, wherever the process then is."""
    rng = np.random.default_rng([seed, *problem.encode()])
    expected, files, seconds = undisturbed(problem)
    events = [str(event) for event in rng.choice(kills.EVENTS + kills.WRITES, 2)]
    places = [(event, int(rng.integers(2 if "epoch" in event else 4))) for event in events]  # there are two epochs
    died = [kills.killed(problem, tmp_path, *place) for place in places]
    kills.killed(problem, tmp_path, "", 0, after=float(rng.uniform(0.2, 1 + seconds)))
    assert died[0]
    kills.assert_goes_on(problem, tmp_path, expected, files)

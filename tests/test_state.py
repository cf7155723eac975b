"""The guard around every test: a change of the process's global state is noticed and taken back."""

from __future__ import annotations

import os
import random
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _core
from rnnfast._core import testing
from tests.support.matrix import ISAS
from tests.support.state import STATE, forced_lanes, forced_split, one_way_panels, unchanged, using_isa


def another_isa() -> str:
    others = [isa for isa in ISAS if isa != testing.get_isa()]
    if not others:
        pytest.skip("one instruction set on this machine")
    return others[0]


CHANGES: dict[str, Callable[[], Any]] = {
    "source of threads": lambda: _core.set_thread_source("own" if _core.thread_source() != "own" else ""),
    "threads": lambda: rf.set_num_threads(rf.get_num_threads() + 1),
    "instruction set": lambda: testing.set_isa(another_isa()),
    "forced split": lambda: testing.force_split(False),
    "forced lanes": lambda: testing.force_lanes(False),
    "one-way panels": lambda: testing.set_one_way_panels(True),
    "random numbers of NumPy": lambda: np.random.random(),  # noqa: NPY002
    "random numbers of Python": random.random,
    "floating-point errors": lambda: np.seterr(all="raise"),
    "print options": lambda: np.set_printoptions(precision=3),
    "environment": lambda: os.environ.update(RNNFAST_A_TEST="1"),
    "working directory": lambda: os.chdir("/"),
    "import path": lambda: sys.path.append("nowhere"),
    "warning filters": lambda: warnings.simplefilter("ignore"),
    "switch interval": lambda: sys.setswitchinterval(1),
    "handler of SIGINT": lambda: signal.signal(signal.SIGINT, lambda *_: None),
}


@pytest.mark.parametrize("name", STATE)
def test_a_change_is_noticed_and_taken_back(name: str) -> None:
    read = STATE[name][0]
    before = read()
    with pytest.raises(AssertionError, match=f"left changed: {name}$"), unchanged():
        CHANGES[name]()
    assert read() == before


def test_what_is_excused_is_taken_back_all_the_same() -> None:
    before = dict(os.environ)
    with unchanged(excused=lambda: ["environment"]):
        os.environ["RNNFAST_A_TEST"] = "1"
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["instruction set", "forced split", "forced lanes", "one-way panels"])
def test_a_block_that_raises_ends_where_it_began(name: str) -> None:
    """This holds inside another block, too."""
    blocks: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "instruction set": partial(using_isa, another_isa()),
        "forced split": partial(forced_split, True),
        "forced lanes": partial(forced_lanes, True),
        "one-way panels": one_way_panels,
    }
    block, read = blocks[name], STATE[name][0]
    before, seen = read(), []

    def enter(depth: int) -> None:
        with block():
            seen.append(read())
            if depth:
                enter(depth - 1)
            raise KeyError

    with pytest.raises(KeyError):
        enter(1)
    assert before not in seen
    assert read() == before

"""Who brings the engine's threads: we ourselves, or the OpenMP runtime of the process. Each test is a process."""

from __future__ import annotations

import textwrap

import pytest

from tests.support import openmp
from tests.support.processes import needs_limits, not_sanitized, output, run

pytestmark = needs_limits

# A layer shared by hidden units, whose members wait for each other at every step, and what it computes alone.
LAYER = """
import ctypes, os, threading, time
import numpy as np
import rnnfast as rf
from rnnfast import _core
_core.testing.oversubscribe(True)
layer, x = rf.LSTM(16, 160, seed=0), np.ones((2, 12, 16), np.float32)
_core.testing.force_split(True)
with rf.threads(1):
    expected = layer(x)[0]

def same():
    return bool((layer(x)[0] == expected).all())

def threads_of_process():
    return len(os.listdir("/proc/self/task"))

def load():
    global gomp
    gomp = ctypes.CDLL("libgomp.so.1")

region = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
"""
ALONE = {"OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def runtime() -> None:
    openmp.require()


@pytest.mark.parametrize("name", ["gomp", "OpenMP", "own "])
def test_an_unknown_source_raises_at_import(name: str) -> None:
    done = run("import rnnfast", RNNFAST_THREADS=name)
    assert done.returncode == 1
    assert (
        f"RNNFAST_THREADS: own or openmp is required (RNNFAST_NUM_THREADS is the number), got '{name}'" in done.stderr
    )


def shown(before: str = "", **environment: str) -> str:
    """The line of ``show_config`` on where threads come from."""
    text = output(before + "import rnnfast as rf; rf.show_config()", **environment)
    label = "threads from"
    return next(line.removeprefix(label).strip() for line in text.splitlines() if line.startswith(label))


def test_the_source_is_shown() -> None:
    assert shown(RNNFAST_THREADS="") == "own (no OpenMP runtime is loaded)"
    assert shown(RNNFAST_THREADS="own") == "own (RNNFAST_THREADS)"
    asked = shown(RNNFAST_THREADS="openmp")
    assert asked.startswith("openmp (RNNFAST_THREADS; ")
    assert openmp.RUNTIME in asked
    assert shown(openmp.LOADING, RNNFAST_THREADS="").startswith("own (no other code was seen to use the threads of ")
    passive = shown(openmp.LOADING, RNNFAST_THREADS="", OMP_WAIT_POLICY="PASSIVE")
    assert passive.endswith("sleep when they wait)")


def test_a_runtime_that_is_loaded_later() -> None:
    """Until then the threads are our own; the choice is made again without a word."""
    code = """
    rf.set_num_threads(2)
    first = same()
    own = threads_of_process()
    before = _core.describe_thread_source()
    load()
    deadline = time.monotonic() + 60
    good = True
    while threads_of_process() == own and time.monotonic() < deadline:
        good = good and same()
    print(own, threads_of_process(), first, good, before)
    """
    asked_for = "import os; os.environ['RNNFAST_THREADS'] = 'openmp'\n"  # here, or the process would load it at once
    found = output(asked_for + LAYER + textwrap.dedent(code), RNNFAST_THREADS="", **ALONE)
    assert found == "2 3 True True own (no OpenMP runtime is loaded)"


def test_a_team_smaller_than_asked_for() -> None:
    code = """
    rf.set_num_threads(4)
    print(all([same() for _ in range(20)]))
    """
    for limit in ({"OMP_THREAD_LIMIT": "2"}, {"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}):
        assert output(LAYER + textwrap.dedent(code), RNNFAST_THREADS="openmp", **limit) == "True"


def test_inside_a_parallel_region() -> None:
    """There the engine computes alone: no region inside the region, no threads of our own."""
    code = """
    load()
    rf.set_num_threads(2)
    found = [same()]
    before = threads_of_process()
    body = region(lambda data: found.append(same()))
    for _ in range(5):
        gomp.GOMP_parallel(body, None, 2, 0)
    print(len(found), all(found), threads_of_process() == before)
    """
    assert (
        output(LAYER + textwrap.dedent(code), RNNFAST_THREADS="openmp", OMP_NUM_THREADS="2", **ALONE) == "11 True True"
    )


def test_threads_do_not_pile_up() -> None:
    """A runtime keeps a pool for each thread that calls it: four of them may, the others have our own."""
    code = """
    rf.set_num_threads(3)
    turn, leave = threading.Lock(), threading.Event()
    found = []

    def call(done):
        with turn:
            found.append(same())
        done.set()
        leave.wait()

    for _ in range(8):
        done = threading.Event()
        threading.Thread(target=call, args=(done,)).start()
        done.wait()
    most = threads_of_process()
    leave.set()
    print(all(found), most)
    """
    pools, own = 4 * 2, 2
    expected = f"True {1 + 8 + pools + own}"
    assert output(LAYER + textwrap.dedent(code), RNNFAST_THREADS="openmp", OMP_NUM_THREADS="3", **ALONE) == expected


def test_a_thread_that_ends_leaves_its_place() -> None:
    code = """
    rf.set_num_threads(3)
    found = []
    for _ in range(12):
        caller = threading.Thread(target=lambda: found.append(same()))
        caller.start()
        caller.join()
    print(all(found), threads_of_process() <= 1 + 2 + 2)
    """
    assert output(LAYER + textwrap.dedent(code), RNNFAST_THREADS="openmp", OMP_NUM_THREADS="3", **ALONE) == "True True"


@not_sanitized
def test_a_pool_that_other_code_uses_is_shared() -> None:
    """By default; a pool that nobody else uses is left alone, although its runtime is loaded.

    The engine sees processor time of the pool's threads. They hardly spin here, so that it is that of the region: an
    idle thread that shares its processor may still spin long after the engine has had it started.
    """
    code = """
    load()
    rf.set_num_threads(2)
    found, end = [], time.monotonic() + 0.1
    while time.monotonic() < end:
        found.append(same())
    idle = _core.describe_thread_source()
    body = region(lambda data: sum(range(50_000)))
    deadline = time.monotonic() + 60
    while not _core.describe_thread_source().startswith("openmp") and time.monotonic() < deadline:
        gomp.GOMP_parallel(body, None, 2, 0)
        found.append(same())
    print(all(found), idle.split()[0], _core.describe_thread_source().split()[0])
    """
    environment = {"RNNFAST_THREADS": "", "OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "100"}
    assert output(LAYER + textwrap.dedent(code), **environment, **ALONE) == "True own openmp"

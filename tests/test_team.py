"""The team of threads where cores are missing: the same bits, and no call that hangs, whoever brings the threads.

Nothing here is measured and nothing sleeps. Each test runs in a process of its own, beside others that keep every core
busy; one that hangs is ended and fails. Without a hog the spinning members meet at once; beside one they run out of
patience, fall asleep, are woken, and give up on the team for a while.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from tests.support.processes import needs_limits, not_sanitized, output

pytestmark = needs_limits

# Layers shared by hidden units, with a barrier every step, by sequences, and by both products of a stage.
PROBLEMS = """
import os, sys, threading, time, warnings
import numpy as np
import rnnfast as rf
from rnnfast._core import testing

testing.oversubscribe(True)
rng = np.random.default_rng(0)
sizes = [(rf.LSTM, 1, 12, 160, {}), (rf.GRU, 2, 10, 128, {"reset_after": False}), (rf.RNN, 48, 6, 64, {}),
         (rf.GRU, 40, 5, 48, {"num_layers": 2}), (rf.LSTM, 2, 3, 8, {})]
problems = []
for make, N, T, H, options in sizes:
    layer = make(16, H, seed=0, **options)
    problems.append((layer, *(rng.normal(size=(N, T, width)).astype(np.float32) for width in (16, H))))

def results(k):
    layer, x, dy = problems[k % len(problems)]
    y, _, tape = layer.forward(x)
    dx, _ = layer.backward(tape, dy)
    return y.tobytes(), dx.tobytes()

with rf.threads(1):
    expected = [results(k) for k in range(len(problems))]

def same(k):
    return results(k) == expected[k % len(problems)]
"""


@pytest.fixture(params=[0, 2], ids=["alone", "beside others"])
def hogs(request: pytest.FixtureRequest) -> Iterator[int]:
    """Processes that never wait; they end by themselves when this one is gone."""
    loop = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100000))"
    busy = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(request.param)]
    yield request.param
    for process in busy:
        process.kill()
        process.wait()


@pytest.mark.parametrize("threads", [2, 4])
def test_results_beside_other_processes(hogs: int, threads: int, source: str) -> None:
    code = f"""
    rf.set_num_threads({threads})
    print(all([same(k) for k in range(50)]))
    """
    assert output(PROBLEMS + textwrap.dedent(code), RNNFAST_THREADS=source) == "True"


def test_pauses_of_every_length(hogs: int, source: str) -> None:
    """A team is called again while it spins, while it falls asleep, and when it sleeps; pauses are spent computing."""
    code = """
    rf.set_num_threads(3)
    good = True
    for k in range(120):
        good = good and same(k)
        resume = time.perf_counter() + k % 60 * 5e-6
        while time.perf_counter() < resume:
            pass
    print(good)
    """
    assert output(PROBLEMS + textwrap.dedent(code), RNNFAST_THREADS=source) == "True"


def test_the_number_of_threads_changes_between_calls(hogs: int, source: str) -> None:
    """Members that were hired and are not wanted now sleep through; new ones join."""
    code = """
    good = True
    for k, threads in enumerate([1, 4, 2, 3, 1, 2, 4, 3] * 5):
        rf.set_num_threads(threads)
        good = good and same(k)
    print(good)
    """
    assert output(PROBLEMS + textwrap.dedent(code), RNNFAST_THREADS=source) == "True"


def test_user_threads_at_once(hogs: int, source: str) -> None:
    """One of them has the team, the others compute alone, while yet another changes the team's size."""
    code = """
    rf.set_num_threads(2)
    found, running = [], [True]

    def call(first):
        for k in range(20):
            found.append(same(first + k))

    def change():
        k = 0
        while running[0]:
            k += 1
            rf.set_num_threads(1 + k % 4)

    callers = [threading.Thread(target=call, args=(first,)) for first in range(4)]
    changer = threading.Thread(target=change)
    for thread in (*callers, changer): thread.start()
    for thread in callers: thread.join()
    running[0] = False
    changer.join()
    print(len(found), all(found))
    """
    assert output(PROBLEMS + textwrap.dedent(code), RNNFAST_THREADS=source) == "80 True"


# GCC 12's AddressSanitizer holds its allocator's locks across fork(): a child may find one taken for good.
@not_sanitized
def test_a_fork_while_the_team_is_at_work(hogs: int, source: str) -> None:
    """A child is born amid another thread's call: the threads of the team are gone, its locks as they were."""
    code = """
    warnings.simplefilter("ignore")
    rf.set_num_threads(3)
    found, running = [], [True]

    def call():
        k = 0
        while running[0]:
            found.append(same(k))
            k += 1

    caller = threading.Thread(target=call)
    caller.start()
    statuses = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            os._exit(0 if all([same(k) for k in range(5)]) else 1)
        statuses.append(os.waitpid(child, 0)[1])
    running[0] = False
    caller.join()
    print(set(statuses), len(found) > 0, all(found), all([same(k) for k in range(5)]))
    """
    assert output(PROBLEMS + textwrap.dedent(code), RNNFAST_THREADS=source) == "{0} True True True"

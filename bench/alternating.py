"""``python -m bench.alternating``: PyTorch and rnnfast alternating in one process.

It needs both in one environment. The ratio is the time of a pair of alternating operations divided by the sum of their
times alone, with rnnfast's own threads and with those of PyTorch's OpenMP runtime. ``--busy`` measures rnnfast alone
instead, beside a process that never waits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np

MILLISECONDS = (5, 10, 20, 50)
SOURCES = ("own", "openmp", "")
"""Values of RNNFAST_THREADS: the engine's own threads, those of PyTorch's OpenMP runtime, or the engine's choice."""

BATCH, UNITS = 32, 128
REST = 0.02
"""Seconds after which waiting threads of either library have fallen asleep."""

Operation = Callable[[], object]


def ours(steps: int) -> Operation:
    """Inference of an LSTM by rnnfast."""
    import rnnfast

    layer, x = rnnfast.LSTM(UNITS, UNITS, seed=0), np.zeros((BATCH, steps, UNITS), np.float32)
    return lambda: layer(x)


def theirs(steps: int) -> Operation:
    """The same by PyTorch."""
    import torch

    layer, x = torch.nn.LSTM(UNITS, UNITS, batch_first=True), torch.zeros(BATCH, steps, UNITS)

    def run() -> None:
        with torch.no_grad():
            layer(x)

    return run


def seconds_of(operations: tuple[Operation, ...], repeats: int) -> float:
    """Mean time of one round of the operations; threads are asleep at first."""
    sleep(REST)
    for run in operations:
        run()
    start = perf_counter()
    for _ in range(repeats):
        for run in operations:
            run()
    return (perf_counter() - start) / repeats


def at_least(make: Callable[[int], Operation], milliseconds: float) -> Operation:
    """An operation that takes about ``milliseconds``, by its number of steps."""
    steps = 16
    while (taken := 1e3 * seconds_of((make(steps),), 3)) < milliseconds:
        steps = max(steps + 1, int(steps * min(4.0, 1.05 * milliseconds / taken)))
    return make(steps)


@contextmanager
def threads_from(source: str) -> Iterator[None]:
    """Set the source of the engine's threads, one of :data:`SOURCES`."""
    from rnnfast import _core

    before = _core.thread_source()
    _core.set_thread_source(source)
    try:
        yield
    finally:
        _core.set_thread_source(before)


class Turns(NamedTuple):
    """Seconds of ours alone and of theirs alone, and the time of both alternating divided by the sum of the two."""

    ours: float
    theirs: float
    ratio: float


def turns(a: Operation, b: Operation, repeats: int) -> Turns:
    """Measure one round; the order does not matter, because threads fall asleep in between."""
    alone, other, both = (seconds_of(turn, repeats) for turn in ((a,), (b,), (a, b)))
    return Turns(alone, other, both / (alone + other))


def ratios(milliseconds: float, rounds: int = 15) -> dict[str, Turns]:
    """Medians over rounds for each source of threads; the sources alternate."""
    a, b = at_least(ours, milliseconds), at_least(theirs, milliseconds)
    repeats = max(3, int(100 / milliseconds))
    found: dict[str, list[Turns]] = {source: [] for source in SOURCES}
    for _ in range(rounds):
        for source in SOURCES:
            with threads_from(source):
                found[source].append(turns(a, b, repeats))
    return {source: Turns(*(median(column) for column in zip(*rows, strict=True))) for source, rows in found.items()}


def beside_a_busy_process(milliseconds: float, rounds: int = 9) -> dict[str, float]:
    """Medians over rounds of the mean time of ours alone, for each source of threads."""
    run = at_least(ours, milliseconds)
    found: dict[str, list[float]] = {source: [] for source in SOURCES}
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            for _ in range(rounds):
                for source in SOURCES:
                    with threads_from(source):
                        found[source].append(seconds_of((run,), int(100 / milliseconds)))
        finally:
            busy.kill()
    return {source: median(times) for source, times in found.items()}


def main() -> None:
    """Measure on two threads."""
    import torch

    import rnnfast
    from rnnfast import _core

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", action="store_true")
    torch.set_num_threads(2)
    rnnfast.set_num_threads(2)
    if parser.parse_args().busy:
        for source, seconds in beside_a_busy_process(1.0).items():
            print(f"beside a busy process, {source or 'chosen'} threads: {seconds * 1e3:.2f} ms")
        return
    for milliseconds in MILLISECONDS:
        for source, (alone, other, ratio) in ratios(milliseconds).items():
            parts = f"rnnfast {alone * 1e3:.1f} ms, torch {other * 1e3:.1f} ms, alternating {ratio:.2f} of the sum"
            print(f"{milliseconds} ms, {source or 'chosen'} threads: {parts}", flush=True)
        print(f"chosen: {_core.describe_thread_source()}", flush=True)


if __name__ == "__main__":
    main()

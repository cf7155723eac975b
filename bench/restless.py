"""``python -m bench.restless``: what calls keep of their speed where other programs take processors away.

Everything runs on two processors. *Loads* take 5 to 50 % of one of them in bursts; a call on two threads is compared
with the better of one quiet thread and of the share of two quiet threads that is left. *Company* runs all the time, on
one processor, or a copy of the row on both; there two threads are compared with one. *Libraries* run threads of their
own on both processors; the speed is compared with what a fair scheduler deals.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

from bench.neighbours import Neighbour
from bench.problem import make_problem
from bench.rounds import Estimate, estimate
from bench.shapes import Case, Row, cases

THREADS = 2
DUTIES, BURSTS = (0.05, 0.10, 0.25, 0.50), (0.2e-3, 2e-3, 20e-3)
LIBRARIES = ("torch", "openblas", "joblib")
KEPT, OF_ONE, SLOWER = 0.9, 0.95, 1.03
"""The least of what is dealt and of one quiet thread's speed; the most that two threads may take of one's time."""
PERIODS, LONG = 3, 1.0
"""Bursts of a turn; seconds of a turn in which a library's use of the processors is seen."""
ROWS: tuple[Row, ...] = tuple(
    Row("x".join(map(str, size)), ("lstm",), 1, *size, use, group="small", quick=size[0] == 4)
    for size, use in (
        ((1, 100, 128, 128), "one sequence, units shared"),
        ((4, 128, 64, 192), "few sequences, units shared"),
        ((16, 512, 1, 24), "small layer, neural-amp-modeler"),
        ((100, 20, 24, 48), "small layer, many sequences"),
    )
)

Operation = Callable[[], object]


def rows(ids: Sequence[str] | None = None, *, quick: bool = False) -> list[Case]:
    """The cases of this benchmark, or those of ``bench.shapes`` that ids name."""
    return cases(rows=ROWS, modes=("infer", "train"), quick=quick) if ids is None else cases(ids=ids)


def loaded(name: str, threads: int) -> Operation:
    """What runs a case by its name, with the engine set to a number of threads."""
    from bench.peer_rnnfast import RnnfastPeer

    case = next(case for case in (*rows(), *cases()) if case.name == name)
    peer = RnnfastPeer(threads)
    peer.load(make_problem(case))
    assert peer.run is not None
    return peer.run


def speed(run: Operation, threads: int, seconds: float) -> float:
    """Calls a second on a number of threads."""
    import rnnfast

    with rnnfast.threads(threads):
        run()
        start, calls = perf_counter(), 0
        while (passed := perf_counter() - start) < seconds or calls == 0:
            run()
            calls += 1
    return calls / passed


@dataclass(frozen=True)
class Kept:
    """Speed beside a neighbour that takes so many processors: of what is dealt, and of one quiet thread's."""

    taken: float
    of_dealt: Estimate
    of_one: Estimate

    def __str__(self) -> str:
        short = "  below" if self.of_dealt.middle < KEPT else ""
        return f"{self.taken:5.2f} {self.of_dealt!s:>18} {self.of_one!s:>18}{short}"


def beside_nothing(run: Operation, *, rounds: int, seconds: float) -> Kept:
    """Two threads against themselves: the noise of all that follows."""
    found = []
    for _ in range(rounds):
        one, two, again = (speed(run, threads, seconds) for threads in (1, THREADS, THREADS))
        found.append((again / two, again / one))
    of_dealt, of_one = zip(*found, strict=True)
    return Kept(0.0, estimate(of_dealt), estimate(of_one))


def beside_load(run: Operation, duty: float, burst: float, *, rounds: int, seconds: float) -> Kept:
    """Two threads where a load takes ``duty`` of the last processor; d is what it did take."""
    found = []
    with Neighbour("load", max(os.sched_getaffinity(0)), duty, burst) as load:
        for _ in range(rounds):
            one, two = (speed(run, threads, seconds) for threads in (1, THREADS))
            with load.running():
                before, start = load.seconds(), perf_counter()
                kept = speed(run, THREADS, max(seconds, PERIODS * burst / duty))
                d = (load.seconds() - before) / (perf_counter() - start)
            found.append((d, kept / max(one, (1 - d / THREADS) * two), kept / one))
    taken, of_dealt, of_one = zip(*found, strict=True)
    return Kept(estimate(taken).middle, estimate(of_dealt), estimate(of_one))


def beside_library(run: Operation, library: str, *, rounds: int, seconds: float) -> Kept:
    """Two threads beside as many of a library: half of the processors, and what it leaves idle when it is alone."""
    found = []
    with Neighbour(library, THREADS) as other:
        with other.running():
            before, start = other.seconds(), perf_counter()
            sleep(LONG)
            busy = (other.seconds() - before) / (perf_counter() - start)
        for _ in range(rounds):
            one, two = (speed(run, threads, seconds) for threads in (1, THREADS))
            with other.running():
                kept = speed(run, THREADS, seconds)
            found.append((kept / (max(0.5, 1 - busy / THREADS) * two), kept / one))
    of_dealt, of_one = zip(*found, strict=True)
    return Kept(busy, estimate(of_dealt), estimate(of_one))


@contextmanager
def company(kind: str, case: Case) -> Iterator[dict[int, Neighbour]]:
    """The neighbours beside which rnnfast runs on one thread and on two."""
    if kind == "load":
        with Neighbour("load", max(os.sched_getaffinity(0)), 1.0, BURSTS[-1]) as load:
            yield {1: load, THREADS: load}
        return
    with Neighbour("copy", case.name, 1) as one, Neighbour("copy", case.name, THREADS) as two:
        yield {1: one, THREADS: two}


def two_to_one(run: Operation, neighbours: dict[int, Neighbour], *, rounds: int, seconds: float) -> Estimate:
    """Time on two threads divided by that on one, in company."""
    found = []
    for turn in range(rounds):
        speeds = {}
        for threads in (1, THREADS) if turn % 2 else (THREADS, 1):
            with neighbours[threads].running():
                speeds[threads] = speed(run, threads, seconds)
        found.append(speeds[1] / speeds[THREADS])
    return estimate(found)


def report(chosen: Sequence[Case], *, rounds: int, seconds: float) -> Iterator[str]:
    """The lines of all tables."""
    options: dict[str, Any] = {"rounds": rounds, "seconds": seconds}
    lowest: list[tuple[float, float]] = []
    for case in chosen:
        run = loaded(case.name, THREADS)
        yield f"{case.name + ', beside':34} {'taken':>5} {'of what is dealt':>18} {'of one thread':>18}"
        yield f"{'  nothing':34} {beside_nothing(run, **options)}"
        for burst in BURSTS:
            for duty in DUTIES:
                kept = beside_load(run, duty, burst, **options)
                lowest.append((kept.of_dealt.middle, kept.of_one.middle))
                yield f"{f'  load of {duty:.0%} in {1e3 * burst:g} ms':34} {kept}"
        for library in LIBRARIES:
            yield f"{f'  {library}, {THREADS} threads':34} {beside_library(run, library, **options)}"
        for kind in ("load", "copy"):
            with company(kind, case) as neighbours:
                ratio = two_to_one(run, neighbours, **options)
            name = "a constant load" if kind == "load" else "a copy of itself"
            late = "  above" if ratio.middle > SLOWER else ""
            yield f"{f'  {name}':34} {'':5} two threads take {ratio} of the time of one{late}"
    of_dealt, of_one = (min(column) for column in zip(*lowest, strict=True))
    yield (
        f"lowest beside loads: {of_dealt:.2f} of what is dealt (at least {KEPT} is wanted), "
        f"{of_one:.2f} of one quiet thread ({OF_ONE})"
    )


def main() -> None:
    """Measure on the last two processors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn, at least")
    parser.add_argument("--shapes", nargs="+", metavar="ID", help="rows of bench.shapes instead")
    parser.add_argument("--quick", action="store_true", help="one row")
    given = parser.parse_args()
    available = sorted(os.sched_getaffinity(0))
    if len(available) < THREADS:
        parser.error(f"{THREADS} processors are required, got {len(available)}")
    os.sched_setaffinity(0, available[-THREADS:])
    for line in report(rows(given.shapes, quick=given.quick), rounds=given.rounds, seconds=given.seconds):
        print(line, flush=True)


if __name__ == "__main__":
    main()

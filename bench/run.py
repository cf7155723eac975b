"""Measurement: compare results first, then time the peers in interleaved rounds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from math import sqrt
from statistics import median
from typing import Any

import numpy as np

from bench.limits import Constants, bound, least_seconds, typical
from bench.peers import BASELINE, PEERS
from bench.problem import Results
from bench.process import Worker
from bench.rounds import Estimate, estimate
from bench.shapes import Case

SETTLE = 0.03
"""Seconds before each turn: idle threads of the peer that ran last stop spinning."""
LOST, TICKS, PAUSE = 0.15, 0.02, 0.2
"""A turn that lost more processors than this is repeated after a pause; two ticks of the system's clock are noise."""


@dataclass(frozen=True)
class Settings:
    """``rounds`` turns of ``seconds`` for each peer, each tried up to ``attempts`` times; interpreters of peers."""

    rounds: int = 15
    seconds: float = 0.05
    attempts: int = 6
    python: Mapping[str, str] = field(default_factory=dict)

    def interpreter(self, name: str) -> str:
        """The interpreter of a peer: its own, or the running one."""
        return self.python.get(name, sys.executable)


@dataclass
class Record:
    """What was measured for one case on a number of threads.

    Seconds by peer and round, the machine's constants before rnnfast's turn in each round, processors that others took
    in each turn, the largest relative difference by rival, notes by peer.
    """

    case: Case
    threads: int = 1
    times: dict[str, list[list[float]]] = field(default_factory=dict)
    constants: list[Constants] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def least(self, peer: str) -> float:
        """The least time of a peer in seconds."""
        return min(min(turn) for turn in self.times[peer])

    def typical(self, peer: str) -> float:
        """The median time of a peer in seconds."""
        middle: float = median(chain.from_iterable(self.times[peer]))
        return middle

    def ratio(self, rival: str) -> Estimate:
        """The times of a rival divided by those of rnnfast, medians of the same round each; the median of rounds."""
        pairs = zip(self.times[rival], self.times[BASELINE], strict=True)
        return estimate([median(theirs) / median(ours) for theirs, ours in pairs])

    def ratio_of_least(self, rival: str) -> float:
        """A rival's least time divided by that of rnnfast; other load on the machine changes it less."""
        return self.least(rival) / self.least(BASELINE)

    @property
    def best(self) -> str | None:
        """The fastest rival that does the whole work."""
        rivals = [name for name in self.times if name != BASELINE and not PEERS[name].yardstick]
        return min(rivals, key=self.typical, default=None)

    @property
    def bound(self) -> str:
        """What limits the case on this machine: products, cells, l2 or l3."""
        return bound(self.case, self.machine, self.threads)

    @property
    def machine(self) -> Constants:
        """The machine's constants while this was measured."""
        return typical(self.constants)

    @property
    def disturbed(self) -> float:
        """Processors that others took, in the mean of turns."""
        return sum(self.lost) / max(1, len(self.lost))

    def of_fma(self, peer: str = BASELINE) -> float:
        """Rate of the products as a fraction of that of multiply-adds in the same round; the median of rounds."""
        return self._fraction(peer, lambda machine: self.case.flops / (self.threads * machine.fma))

    def of_limit(self, peer: str = BASELINE) -> float:
        """Least time of ``bench.limits`` as a fraction of the time taken in the same round; the median of rounds."""
        return self._fraction(peer, lambda machine: least_seconds(self.case, machine, self.threads))

    def _fraction(self, peer: str, least: Callable[[Constants], float]) -> float:
        pairs = zip(self.constants, self.times[peer], strict=True)
        middle: float = median(least(machine) / median(turn) for machine, turn in pairs)
        return middle


def tolerance(case: Case) -> float:
    """The relative norm that two float32 evaluations may differ by: rounding of T steps, each a sum of I + H terms."""
    row = case.row
    return 8 * float(np.finfo(np.float32).eps) * sqrt(row.T + row.I + row.H)


def difference(actual: Results, expected: Results, *, limit: float, label: str) -> float:
    """The largest ``|a - e| / |e|`` over all arrays.

    Raises AssertionError naming an array that is missing, misshaped or farther off than ``limit``.
    """
    if set(actual) != set(expected):
        raise AssertionError(f"{label}: results must be {sorted(expected)}, got {sorted(actual)}")
    worst = 0.0
    for name, e in expected.items():
        a = actual[name]
        if a.shape != e.shape:
            raise AssertionError(f"{label}: {name} must have shape {e.shape}, got {a.shape}")
        distance = float(np.linalg.norm(a.ravel() - e.ravel()))
        off = distance / max(float(np.linalg.norm(e.ravel())), float(np.finfo(np.float32).tiny))
        if not off <= limit:
            raise AssertionError(f"{label}: {name} must agree within {limit:.1e} (relative norm), got {off:.1e}")
        worst = max(worst, off)
    return worst


@dataclass(frozen=True)
class Turn:
    """Times of a peer, how many processors others took meanwhile, of rnnfast also the machine's constants before."""

    times: list[float]
    lost: float
    constants: Constants | None


class Referee:
    """Detects turns in which the machine was slower than it can be.

    Other processes show in the system's accounts. Other guests of the same hardware do not, but multiply-adds on all
    threads, run by rnnfast after every turn, are then slower than the fastest seen so far.
    """

    def __init__(self, baseline: Worker, threads: int) -> None:
        self.baseline, self.threads = baseline, threads
        self.fastest = 0.0
        self.slowness()

    def slowness(self) -> float:
        """The number of processors that seem to be missing now."""
        time.sleep(SETTLE)
        rate: float = self.baseline.ask_peer("speed")
        self.fastest = max(self.fastest, rate)
        return self.threads * (1.0 - rate / self.fastest)

    def attempt(self, worker: Worker, seconds: float) -> Turn:
        """Take one turn, disturbed or not."""
        time.sleep(SETTLE)
        constants: Constants | None = None
        if worker is self.baseline:
            constants = worker.ask_peer("constants")
        sample = worker.sample(seconds)
        return Turn(sample.times, sample.foreign + self.slowness(), constants)

    def turn(self, worker: Worker, settings: Settings) -> Turn:
        """The first undisturbed turn, or the least disturbed one of a few."""
        turns = [self.attempt(worker, settings.seconds)]
        while turns[-1].lost > LOST + TICKS / settings.seconds and len(turns) < settings.attempts:
            time.sleep(PAUSE)
            turns.append(self.attempt(worker, settings.seconds))
        return min(turns, key=lambda turn: turn.lost)


def measure(case: Case, workers: Mapping[str, Worker], settings: Settings, referee: Referee) -> Record:
    """Load a case everywhere it can run, assert that all results agree with those of rnnfast, then time it.

    Raises AssertionError where results differ and WorkerError where a peer fails.
    """
    record = Record(case, referee.threads)
    names = [name for name in workers if PEERS[name].can(case)]
    expected: Results = {}
    for name in names:
        record.notes[name] = workers[name].load(case)
        results = workers[name].results()
        if name == BASELINE:
            expected = results
        elif results:
            label = f"{case.name}: {name}"
            record.differences[name] = difference(results, expected, limit=tolerance(case), label=label)
    del expected, results
    record.times = {name: [] for name in names}
    for turn in range(settings.rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            taken = referee.turn(workers[name], settings)
            record.times[name].append(taken.times)
            record.lost.append(taken.lost)
            if taken.constants is not None:
                record.constants.append(taken.constants)
    return record


def start(stack: ExitStack, name: str, threads: int, settings: Settings) -> Worker:
    """Start a peer; raises WorkerError where it cannot be imported."""
    worker = stack.enter_context(Worker(name, threads=threads, python=settings.interpreter(name)))
    worker.start()
    return worker


def run(cases: Sequence[Case], rivals: Sequence[str], settings: Settings, *, threads: int) -> Iterator[Record]:
    """Measure every case against the rivals, each in its own process; yield each record when it is there."""
    with ExitStack() as stack:
        workers = {name: start(stack, name, threads, settings) for name in (BASELINE, *rivals)}
        referee = Referee(workers[BASELINE], threads)
        for case in cases:
            yield measure(case, workers, settings, referee)

"""Measuring: compare results first, then time the peers in interleaved rounds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import sqrt
from statistics import median
from typing import Any

import numpy as np

from bench.peers import BASELINE, YARDSTICK
from bench.problem import Results
from bench.process import Worker
from bench.shapes import Case

SETTLE = 0.03
"""Seconds before each turn: idle threads of the peer that ran last stop spinning."""


@dataclass(frozen=True)
class Settings:
    """``rounds`` turns of ``seconds`` for each peer, on ``threads`` threads."""

    threads: int
    rounds: int = 7
    seconds: float = 0.15


@dataclass
class Record:
    """What was measured for one case: seconds by peer, the largest relative difference by rival, notes by peer."""

    case: Case
    times: dict[str, list[float]] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def least(self, peer: str) -> float:
        """The least time of a peer in seconds."""
        return min(self.times[peer])

    def typical(self, peer: str) -> float:
        """The median time of a peer in seconds."""
        middle: float = median(self.times[peer])
        return middle

    def ratio(self, rival: str) -> float:
        """How many times faster rnnfast is than a rival, by medians."""
        return self.typical(rival) / self.typical(BASELINE)


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


def measure(case: Case, workers: dict[str, Worker], settings: Settings) -> Record:
    """Load a case everywhere, assert that all results agree with those of rnnfast, then time it.

    Raises AssertionError where results differ and WorkerError where a peer fails.
    """
    record = Record(case)
    expected: Results = {}
    for name, worker in workers.items():
        record.notes[name] = worker.load(case)
        results = worker.results()
        if name == BASELINE:
            expected = results
        elif results:
            label = f"{case.name}: {name}"
            record.differences[name] = difference(results, expected, limit=tolerance(case), label=label)
    del expected, results
    record.times = {name: [] for name in workers}
    for turn in range(settings.rounds):
        for name in workers if turn % 2 == 0 else reversed(workers):
            time.sleep(SETTLE)
            record.times[name] += workers[name].sample(settings.seconds)
    return record


def run(cases: Sequence[Case], rivals: Sequence[str], settings: Settings) -> Iterator[Record]:
    """Measure every case against the rivals and bare BLAS, each in a process of its own; yields as it goes."""
    with ExitStack() as stack:
        names = (BASELINE, *rivals, YARDSTICK)
        workers = {name: stack.enter_context(Worker(name, threads=settings.threads)) for name in names}
        for case in cases:
            yield measure(case, workers, settings)

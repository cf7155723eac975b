"""Rows, measured: each configuration is trained with several seeds, and the test part is read once a model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.accuracy.rows import Row
from bench.accuracy.tasks import Data
from bench.accuracy.training import trained

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Record:
    """What a row reached: a score and the CPU seconds of training for each seed, and the floor."""

    row: Row
    scores: Sequence[float]
    seconds: Sequence[float]
    parameters: int
    floor: float | None

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return fmean(self.scores)

    @property
    def verdict(self) -> str:
        """Which of the row's two goals the mean has reached."""
        goals = {"aim": self.row.aim, "goal": self.row.goal}
        reached = self.row.task.metric.reached
        return next((name for name, goal in goals.items() if reached(self.mean, goal)), "missed")


def measure(row: Row, data: Data, *, seeds: Sequence[int] = SEEDS, choosing: bool = False) -> Record:
    """Train with each seed, and judge.

    With ``choosing`` models learn without the validation part and are judged by it; the test part is not read.
    """
    learned, judged = (data.inner, "validation") if choosing else (data.train, "test")
    floor = None if choosing or row.task.floor is None else row.task.floor.score(data)
    scores, seconds, parameters = list[float](), list[float](), 0
    for seed in seeds:
        start = time.process_time()
        model = trained(row.task, row.configuration, data, learned, seed=seed)
        seconds.append(time.process_time() - start)
        scores.append(row.task.metric.score(model, getattr(data, judged)))
        parameters = sum(p.value.size for p in model.parameters().values())
    return Record(row, scores, seconds, parameters, floor)

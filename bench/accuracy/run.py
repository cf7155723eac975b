"""Rows, measured: each configuration is trained with several seeds, and the test part is read once a model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bench.accuracy.rows import Row
from bench.accuracy.task import Data

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Record:
    """What a row reached: a score and the CPU seconds of training for each seed, and the floor.

    ``bounded`` are the scores that have bounds, empty where the task has none.
    """

    row: Row
    scores: Sequence[float]
    seconds: Sequence[float]
    parameters: int
    floor: float | None
    bounded: Sequence[float] = ()

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return fmean(self.scores)

    @property
    def verdict(self) -> str:
        """Which of the row's two goals the mean has reached; neither where a score is out of its bounds."""
        bounds = self.row.task.bounds
        if bounds is not None and not bounds.least <= fmean(self.bounded) <= bounds.most:
            return "missed"
        goals = {"aim": self.row.aim, "goal": self.row.goal}
        reached = self.row.task.metric.reached
        return next((name for name, goal in goals.items() if reached(self.mean, goal)), "missed")


def measure(row: Row, data: Data, *, seeds: Sequence[int] = SEEDS, choosing: bool = False) -> Record:
    """Train with each seed, and judge.

    With ``choosing`` models learn without the validation part and are judged by it; the test part is not read.
    """
    learned, judged = (data.inner, "validation") if choosing else (data.train, "test")
    floor = None if choosing or row.task.floor is None else row.task.floor.score(data)
    scores, bounded, seconds, parameters = list[float](), list[float](), list[float](), 0
    bounds, part = row.task.bounds, getattr(data, judged)
    for seed in seeds:
        start = time.process_time()
        model = row.configuration.trained(row.task, data, learned, seed=seed)
        seconds.append(time.process_time() - start)
        scores.append(row.task.metric.score(model, part))
        if bounds is not None:
            bounded.append(bounds.score(model, part))
        parameters = count(model)
    return Record(row, scores, seconds, parameters, floor, bounded)


def count(model: Any) -> int:
    """The number of parameters of a model, or of the networks of a forecaster."""
    networks = getattr(model, "networks", [model])
    return sum(p.value.size for network in networks for p in network.parameters().values())

"""What a task is: data in parts, the model that learns them, how it is judged, and what a simple method reaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rnnfast as rf
from bench.accuracy.metrics import Bounds, Metric, Part
from rnnfast.rl import ActorCritic

MODES: dict[type[Any], str] = {
    rf.ManyToOne: "many-to-one",
    rf.ManyToMany: "many-to-many, aligned",
    rf.EncoderDecoder: "encoder-decoder",
    rf.OneToMany: "one-to-many",
    rf.Forecaster: "forecast",
    ActorCritic: "reinforcement learning",
}
"""The kinds of tasks, by their model."""


@dataclass(frozen=True)
class Data:
    """The parts of a task's data.

    ``train`` is what a recorded model learns from. Choices are made with models that learn from ``inner`` and are
    judged by ``validation``; neither has anything of ``test``. ``sizes`` are the first arguments of the model.
    """

    train: Part
    inner: Part
    validation: Part
    test: Part
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Floor:
    """A simple method, and its score on the same parts."""

    name: str
    score: Callable[[Data], float]


@dataclass(frozen=True)
class Task:
    """What is learned, by which model, from which data, how it is judged, and what a simple method reaches.

    ``bounds`` is a further score, which a row must keep within bounds to reach its goal.
    """

    name: str
    model: type[Any]
    load: Callable[[], Data]
    metric: Metric
    floor: Floor | None = None
    bounds: Bounds | None = None

    @property
    def mode(self) -> str:
        """The kind of task."""
        return MODES[self.model]


def split(train: Part, test: Part, sizes: tuple[int, int], *, share: float = 0.1) -> Data:
    """Parts whose validation part is the last share of the training part."""
    kept = len(train) - round(share * len(train))
    return Data(train, train[:kept], train[kept:], test, sizes)

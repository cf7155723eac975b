"""How models are judged: scores of a model on a part of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast.demo.dates import exact

ANSWER = 3
"""Characters of an answer to an addition, after spaces that fill it up."""


@dataclass(frozen=True)
class Part:
    """Sequences x and their targets y; y is None where the sequences are their own targets.

    Of forecasts x is a series, or a list of several, and y is how many steps are known before the first forecast; None
    where the model learns from all of them.
    """

    x: Any
    y: Any = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: slice) -> Part:
        return Part(self.x[which], None if self.y is None else self.y[which])

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What ``fit`` and ``evaluate`` take first."""
        return (self.x,) if self.y is None else (self.x, self.y)


@dataclass(frozen=True)
class Metric:
    """A score of a model on a part, and whether more of it is better."""

    name: str
    score: Callable[[Any, Part], float]
    higher_is_better: bool

    def reached(self, value: float, goal: float) -> bool:
        """Whether a score is as good as the goal."""
        return value >= goal if self.higher_is_better else value <= goal


@dataclass(frozen=True)
class Bounds:
    """A score of a model on a part that should be neither lower nor higher than its bounds."""

    name: str
    score: Callable[[Any, Part], float]
    least: float
    most: float


def accuracy(model: Any, part: Part) -> float:
    """The share of the elements of y that are right."""
    return float(model.evaluate(*part.arguments)["accuracy"])


def squared_error(model: Any, part: Part) -> float:
    """The mean squared error."""
    return float(np.mean((model.predict(part.x).astype(np.float64) - part.y) ** 2))


def nats(model: Any, part: Part) -> float:
    """Nats an element: the mean of -log p; a long text is read in one go."""
    return float(model.evaluate(part.x)["loss"])


def exact_matches(model: Any, part: Part) -> float:
    """The share of the sequences that the model writes right from beginning to end."""
    return exact(model.predict(part.x), part.y)


def characters(model: Any, part: Part) -> float:
    """The share of the characters that the model writes right, of answers filled up to the same length."""
    written, true = (np.array([filled(ids) for ids in y]) for y in (model.predict(part.x, max_length=ANSWER), part.y))
    return float(np.mean(written == true))


def filled(ids: Any) -> list[int]:
    """The digits of an answer, filled up with -1."""
    return [*map(int, ids), *[-1] * (ANSWER - len(ids))]


ACCURACY = Metric("accuracy", accuracy, True)
SQUARED_ERROR = Metric("mean squared error", squared_error, False)
NATS = Metric("nats a character", nats, False)
EXACT = Metric("exact matches", exact_matches, True)
CHARACTERS = Metric("characters", characters, True)

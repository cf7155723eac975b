"""What a task is given, and what it hands over to the reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of a run.

    Attributes
    ----------
    seed : int
        Decides the split of the data, the initial parameters, the batches and the drawn text.
    quick : bool
        A few seconds with little data and small models: everything runs, and the yard-sticks win.
    progress : bool
        Show bars.
    """

    seed: int = 0
    quick: bool = False
    progress: bool = True


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of a chart: ``y`` over ``x``; with a single ``y``, a level that the others are compared with."""

    name: str
    x: Sequence[float] = ()
    y: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves with common axes."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """Numbers as colours.

    Attributes
    ----------
    values : ndarray (rows, columns)
    columns : sequence of str
        What was read at each step.
    rows : sequence of str
        Names of the rows; empty when there are too many to name.
    low, high : float
        Ends of the scale of colours; a scale around 0 has a neutral middle.
    """

    title: str
    values: Array
    columns: Sequence[str]
    rows: Sequence[str] = ()
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A text to read."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Colours:
    """A text whose characters have classes, for the page.

    Attributes
    ----------
    classes : sequence of str
        Names of the classes, ten at most.
    found, true : sequence of int
        Of every character, the class it was given and the class it has.
    """

    title: str
    text: str
    classes: Sequence[str]
    found: Sequence[int]
    true: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of one task.

    Attributes
    ----------
    mode, task, metric : str
    higher_is_better : bool
        Of the metric.
    value : float
        The model's, on data it was not trained on.
    yardsticks : dict of float
        The same metric of what the model must beat.
    seconds : float
        Of the whole task: data, yard-sticks, training, judgement.
    sequences_per_second : float
        Of training.
    speedup_vs_numpy : float
        Seconds of a training step in NumPy alone, divided by the model's.
    about, model : str
        What is learned from what, and the model's table of parameters.
    charts, heat_maps, samples, colours
        For the report.
    """

    mode: str
    task: str
    metric: str
    higher_is_better: bool
    value: float
    yardsticks: Mapping[str, float]
    seconds: float
    sequences_per_second: float
    speedup_vs_numpy: float
    about: str = ""
    model: str = ""
    charts: Sequence[Chart] = field(default=())
    heat_maps: Sequence[HeatMap] = field(default=())
    samples: Sequence[Sample] = field(default=())
    colours: Sequence[Colours] = field(default=())

    @property
    def beats_all(self) -> bool:
        """Whether the model is strictly better than every yard-stick.

        Examples
        --------
        >>> common = dict(mode="", task="", metric="", seconds=1, sequences_per_second=1, speedup_vs_numpy=1)
        >>> Result(**common, higher_is_better=True, value=0.9, yardsticks={"a": 0.8, "b": 0.9}).beats_all
        False
        >>> Result(**common, higher_is_better=False, value=1.0, yardsticks={"a": 1.1}).beats_all
        True
        """
        sign = 1.0 if self.higher_is_better else -1.0
        return all(sign * self.value > sign * y for y in self.yardsticks.values())

    @property
    def hardest(self) -> tuple[str, float]:
        """Name and value of the best yard-stick."""
        best = max if self.higher_is_better else min
        return best(self.yardsticks.items(), key=lambda item: item[1])

    def as_json(self) -> dict[str, Any]:
        """Return the entry of ``report.json``."""
        return {
            "mode": self.mode,
            "task": self.task,
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "value": self.value,
            "yardsticks": dict(self.yardsticks),
            "beats_all": self.beats_all,
            "seconds": round(self.seconds, 3),
            "speedup_vs_numpy": round(self.speedup_vs_numpy, 3),
        }


def by_strongest_step(h: Array) -> Array:
    """Order the units of ``h (T, H)`` by the step at which each is strongest; return (H, T) for a heat map."""
    units: Array = h.T
    return units[np.argsort(np.abs(units).argmax(axis=1), kind="stable")]


def slowest_units(h: Array, count: int) -> Array:
    """Return the ``count`` units of ``h (T, H)`` that remember: those with small steps and a large variance."""
    variance, steps = h.var(axis=0), np.diff(h, axis=0).var(axis=0)
    memory = variance / (steps + 0.01 * variance.max(initial=0.0) + 1e-12)
    chosen: Array = h[:, np.argsort(-memory, kind="stable")[:count]]
    return chosen

"""The arguments and results of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from rnnfast.report.pictures import Picture

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of a run.

    Attributes
    ----------
    seed : int
        Determines the split of the data, the initial parameters, the batches and the generated text.
    quick : bool
        Whether data and models are small: everything runs in a few seconds, and the yard-sticks win.
    progress : bool
        Whether progress bars are shown.
    """

    seed: int = 0
    quick: bool = False
    progress: bool = True


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of a chart, ``y`` over ``x``; a single ``y`` is a level that other curves are compared with."""

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
    x_label, y_label, label : str
        What columns, rows and colours stand for.
    """

    title: str
    values: Array
    columns: Sequence[str]
    rows: Sequence[str] = ()
    low: float = -1.0
    high: float = 1.0
    x_label: str = "what is read at each step"
    y_label: str = "hidden units"
    label: str = "h(t)"


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
        The predicted class and the true class of every character.
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
        What is learned, and how it is judged.
    higher_is_better : bool
        Whether a higher value of the metric is better.
    value : float
        The metric of the model on held-out data.
    yardsticks : dict of float
        The metric of each yard-stick, which the model must beat.
    seconds : float
        The time of the whole task: data, yard-sticks, training, evaluation.
    sequences_per_second : float
        Sequences learned in a second of training.
    speedup_vs_numpy : float
        Seconds of a training step in NumPy alone, divided by the model's.
    about, model : str
        A description of the task, and the model's table of parameters.
    charts, heat_maps, pictures, samples, colours
        What the report shows.
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
    pictures: Sequence[Picture] = field(default=())
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

"""Answers that need no model, and the metrics by which both are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.metrics import F1, R2, Accuracy, BalancedAccuracy, MeanAbsoluteError, Metric, RootMeanSquaredError
from rnnfast.report.outcomes import Outcome

# What each metric means, in a sentence.
MEANINGS = {
    "loss": "What training makes small ({}), here on the judged data; lower is better.",
    "accuracy": "Share of right answers, from 0 to 1; higher is better.",
    "balanced_accuracy": "Mean over the classes of the share of their members that is found; higher is better.",
    "f1_macro": "Mean over the labels of the harmonic mean of precision and recall; higher is better.",
    "mae": "Mean absolute error, in the units of the targets; lower is better.",
    "rmse": "Root of the mean squared error, in the units of the targets; lower is better.",
    "r2": "Share of the targets' variance that is explained: 1 is perfect, 0 is the mean; higher is better.",
    "most frequent class": "Always answers the class that is most frequent in the judged data. Its loss is that of "
    "giving every class its share.",
    "most frequent answers": "Always answers what is most frequent in the judged data, label by label.",
    "mean": "Always answers the mean of the judged targets.",
    "last value": "Answers the last true value before each target.",
}
BY_ELEMENT: dict[str, tuple[Callable[[], Metric], ...]] = {
    "id": (Accuracy, BalancedAccuracy),
    "labels": (Accuracy, lambda: F1("macro")),
    "vector": (MeanAbsoluteError, RootMeanSquaredError, R2),
}


@dataclass(frozen=True)
class Score:
    """A metric of the model and of each baseline, None where it has no meaning."""

    name: str
    higher_is_better: bool
    model: float
    baselines: dict[str, float | None]


@dataclass(frozen=True)
class _Answers:
    """A task whose predictions are known, whatever the outputs."""

    element: str
    answers: Array
    name: ClassVar[str] = "answers"

    def decide(self, outputs: Array) -> Array:
        """Return the answers."""
        return self.answers


def constant(outcome: Outcome) -> dict[str, Array]:
    """Return the best constant answers (M,) or (M, K) by name: the most frequent class or answers, or the mean.

    They are fitted to the judged data, so that none that was learned from other data is better.
    """
    t, w = outcome.targets, outcome.weights
    if t.ndim == 1:
        best = np.bincount(t, w, 1).argmax()
        return {"most frequent class": np.full(t.shape, best)}
    mean = (np.where(w > 0, t, 0) * w).sum(axis=0) / np.maximum(w.sum(axis=0), np.finfo(np.float64).tiny)
    if outcome.task.element == "labels":
        return {"most frequent answers": np.broadcast_to((mean > 0.5).astype(np.int64), t.shape)}
    return {"mean": np.broadcast_to(mean, t.shape)}


def given(name: str, baselines: Any, outcome: Outcome) -> dict[str, Array]:
    """Return a user's baselines as arrays like the targets; ValueError where one has another shape."""
    found = {}
    for called, values in checks.as_mapping(name, baselines).items():
        where = f"{name}[{called!r}]"
        ragged = isinstance(values, list | tuple) and len(values) > 0 and np.ndim(values[0]) > 0
        array = np.concatenate([np.asarray(v) for v in values]) if ragged else checks.as_array(where, values)
        if array.size != outcome.targets.size or array.dtype.kind not in "biuf":
            raise ValueError(
                f"{where}: as many numbers as targets, {outcome.targets.shape}, are required, got {array.shape}"
            )
        found[str(called)] = array.reshape(outcome.targets.shape)
    return found


def scores(outcome: Outcome, baselines: Mapping[str, Array]) -> list[Score]:
    """Return the loss and the metrics that fit the targets."""
    found = [Score("loss", False, outcome.loss, {name: _loss(name, outcome) for name in baselines})]
    for make in BY_ELEMENT[outcome.task.element]:
        values: dict[str, float | None] = {
            name: _value(make(), outcome, answers) for name, answers in baselines.items()
        }
        metric = make()
        found.append(Score(metric.name, metric.higher_is_better, _value(metric, outcome, outcome.predicted), values))
    return found


def _value(metric: Metric, outcome: Outcome, answers: Array) -> float:
    metric.bind(_Answers(outcome.task.element, answers))
    outputs = np.broadcast_to(0.0, (len(answers), outcome.size))  # metrics read how many there are
    metric.update(outputs, outcome.targets, outcome.weights)
    return metric.result()


def _loss(name: str, outcome: Outcome) -> float | None:
    """Return the cross-entropy of the frequencies of the classes, where the task learns by it."""
    criterion = getattr(outcome.task, "criterion", None)
    if name != "most frequent class" or getattr(criterion, "name", "") != "cross_entropy":
        return None
    p = np.bincount(outcome.targets, outcome.weights)
    p = p[p > 0] / p.sum()
    return float(-(p * np.log(p)).sum())

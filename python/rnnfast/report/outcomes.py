"""What a model answers to data, beside what is true, for every target element of each head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rnnfast.arrays import Array, Int64
from rnnfast.losses import Quantile
from rnnfast.metrics.sequences import SequenceMetric
from rnnfast.tasks import Task

LEVELS = (0.1, 0.5, 0.9)
Float64 = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What one head answers to N sequences with M target elements, sequence after sequence.

    Attributes
    ----------
    task : Task
    predicted, targets : array (M,) of ids, or (M, K)
        In the units of the data.
    weights : float64 array (M,) or (M, K)
        Of elements that count for nothing 0.
    costs : float64 array (M,)
        How wrong each answer is: of ids and labels the surprise -log p of what is true, in nats; of a task without
        probabilities 0 or 1; of numbers the distance, in standard deviations of the targets.
    sure : float64 array (M,) or None
        The probability of the predicted id.
    quantiles : array (M, K, Q) or None
        Those of ``levels``, in the units of the data.
    levels : array (Q,)
    lengths : int64 array (N,)
        Target elements of each sequence.
    loss : float
    """

    task: Task
    predicted: Array
    targets: Array
    weights: Float64
    costs: Float64
    sure: Float64 | None
    quantiles: Array | None
    levels: Float64
    lengths: Int64
    loss: float

    @property
    def size(self) -> int:
        """The number K of classes that occur, or of numbers or labels of an element."""
        if self.targets.ndim == 2:
            return int(self.targets.shape[1])
        return 1 + int(max(self.targets.max(initial=0), self.predicted.max(initial=0)))

    @property
    def rows(self) -> Float64:
        """Weight (M,) of the elements."""
        return self.weights if self.weights.ndim == 1 else self.weights.mean(axis=1)

    def part(self, n: int) -> slice:
        """Return where the elements of sequence n stand."""
        stop = int(self.lengths[: n + 1].sum())
        return slice(stop - int(self.lengths[n]), stop)

    def costs_by_sequence(self) -> Float64:
        """Return the mean cost (N,) of the elements of each sequence; NaN where none counts."""
        owner = np.repeat(np.arange(len(self.lengths)), self.lengths)
        counts = np.bincount(owner, self.rows, len(self.lengths))
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Float64 = np.bincount(owner, self.rows * self.costs, len(self.lengths)) / counts
        return found


class _Record(SequenceMetric):
    """A metric that keeps what a head predicts."""

    name = "record"
    higher_is_better = False
    elements: ClassVar[tuple[str, ...]] = ("id", "labels", "vector")

    def __init__(self, task: Task) -> None:
        self.task = task
        criterion = getattr(task, "criterion", None)
        self.levels = np.asarray(criterion.quantiles if isinstance(criterion, Quantile) else LEVELS, np.float64)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._parts: dict[str, list[Array]] = {}

    def update_sequences(self, outputs: Array, targets: Array, weights: Array | None, lengths: Int64) -> None:
        """Keep what is told about a batch; the outputs themselves may be large."""
        found = {"predicted": self.decide(outputs, targets), "targets": targets, "lengths": lengths}
        own = np.ones(targets.shape) if weights is None else weights.astype(np.float64)
        wide = own if own.ndim == targets.ndim else np.broadcast_to(own[:, None], targets.shape)
        found["weights"] = np.ascontiguousarray(wide)
        if self.task.has_probabilities and self.task.element != "vector":
            found |= _of_probabilities(self.task.probabilities(outputs).astype(np.float64), found)
        if self.task.has_quantiles:
            found["quantiles"] = self.task.quantiles(outputs, self.levels)
        for name, values in found.items():
            self._parts.setdefault(name, []).append(np.array(values))

    def result(self) -> float:
        """Return nothing of interest."""
        return 0.0

    def outcome(self, loss: float, single: bool, scaler: Any) -> Outcome:
        """Return everything; ``single`` says that all elements belong to one sequence."""
        kept: dict[str, Any] = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        if single:
            kept["lengths"] = kept["lengths"].sum(keepdims=True)
        if scaler is not None:
            kept |= {name: scaler.inverse_transform(kept[name]) for name in ("predicted", "targets")}
            if "quantiles" in kept:
                kept["quantiles"] = np.stack(
                    [scaler.inverse_transform(q) for q in np.moveaxis(kept["quantiles"], 2, 0)], 2
                )
        if "costs" not in kept:
            kept["costs"] = _distances(kept["predicted"], kept["targets"], kept["weights"])
        more = {name: kept.pop(name, None) for name in ("sure", "quantiles")}
        return Outcome(task=self.task, levels=self.levels, loss=loss, **kept, **more)


def outcomes(
    model: Any, x: Any, y: Any, data: Mapping[str, Any], *, single: bool, scaler: Any = None
) -> dict[str, Outcome]:
    """Return what each head of a model answers; a single head has the name "".

    Parameters
    ----------
    model : any of the four
    x, y, data
        As ``evaluate`` takes them; y is None where the model's targets are x.
    single : bool
        Whether x is one sequence.
    scaler : Scaler or None
        What the targets were transformed with, of a model with one head.
    """
    records = {head: _Record(task) for head, task in model.tasks.items()}
    given: Any = records[""] if list(records) == [""] else records
    own = (x,) if y is None else (x, y)
    found = model.evaluate(*own, metrics=given, **data)
    return {
        head: record.outcome(found[f"{head}_loss" if head else "loss"], single, scaler)
        for head, record in records.items()
    }


def _of_probabilities(p: Float64, found: Mapping[str, Array]) -> dict[str, Array]:
    """Return surprises at what is true and, of ids, the probability of what was predicted."""
    targets, rows = found["targets"], np.arange(len(p))
    least = float(np.finfo(np.float32).tiny)
    if targets.ndim == 1:
        surprise = -np.log(np.maximum(p[rows, targets], least))
        return {"costs": surprise, "sure": p[rows, found["predicted"]]}
    right = targets * np.log(np.maximum(p, least)) + (1 - targets) * np.log(np.maximum(1 - p, least))
    return {"costs": -np.where(found["weights"] > 0, right, 0.0).mean(axis=1)}


def _distances(predicted: Array, targets: Array, weights: Float64) -> Float64:
    """Return how far predictions are from targets, in standard deviations of these; of ids whether they differ."""
    if targets.ndim == 1:
        wrong: Float64 = (predicted != targets).astype(np.float64)
        return wrong
    counts = weights > 0
    t = np.where(counts, targets, np.nan).astype(np.float64)
    with np.errstate(invalid="ignore"):
        spread = np.array([np.nanstd(column) if (column == column).any() else 1.0 for column in t.T])
    off = np.where(counts, np.abs(predicted - targets), 0.0) / np.where(spread > 0, spread, 1.0)
    found: Float64 = off.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    return found

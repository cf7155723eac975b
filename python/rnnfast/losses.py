"""What a head's outputs mean: the loss, the targets it takes, the prediction it makes.

A task is the last piece of a model. Adding one is one class here and one entry in ``TASKS``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks

Array = npt.NDArray[Any]
DType = np.dtype[Any]


class Task(ABC):
    """Loss, targets and predictions of outputs (M, K)."""

    name: str

    @abstractmethod
    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str = "y") -> Array:
        """Check ``y`` and convert it: class ids (M,) or numbers (M, K), K = ``size``."""

    @abstractmethod
    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the weighted mean over all target elements and its gradient (M, K)."""

    @abstractmethod
    def decide(self, outputs: Array) -> Array:
        """Return the prediction made from outputs (M, K)."""

    def probabilities(self, outputs: Array) -> Array:
        """Return the probabilities (M, K) behind the prediction."""
        raise ValueError(f"predict_proba: a task with probabilities is required, got task={self.name!r}")

    @abstractmethod
    def metrics(self, outputs: Array, targets: Array, weights: Array | None) -> dict[str, float]:
        """Return what ``evaluate`` reports besides the loss; each is a weighted mean over elements."""


class Classification(Task):
    """One of K classes: ``loss = -log softmax(outputs)[target]``, the target an integer 0..K-1."""

    name = "classification"

    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str = "y") -> Array:
        """Return class ids int64 (M,)."""
        ids = checks.as_array(name, y)
        wanted = f"{name}: integer class ids 0..K-1 (K = output_size = {size})"
        if ids.ndim != 1:
            raise ValueError(f"{wanted} of shape (N,) is required, got shape {ids.shape}")
        if ids.size == 0:
            return np.zeros(0, np.int64)
        if ids.dtype.kind not in "iub":
            raise ValueError(f"{wanted} is required, got dtype {ids.dtype}")
        lowest, highest = int(ids.min()), int(ids.max())
        if lowest < 0 or highest >= size:
            raise ValueError(f"{wanted} is required, got {lowest if lowest < 0 else highest}")
        return ids.astype(np.int64)

    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the mean cross-entropy in nats and its gradient."""
        return _ops.mean_loss("softmax_cross_entropy", outputs, targets, weights)

    def decide(self, outputs: Array) -> Array:
        """Return the most probable class ids int64 (M,)."""
        ids: Array = np.argmax(outputs, axis=1).astype(np.int64, copy=False)
        return ids

    def probabilities(self, outputs: Array) -> Array:
        """Return ``softmax(outputs)`` (M, K)."""
        return _ops.softmax(outputs)

    def metrics(self, outputs: Array, targets: Array, weights: Array | None) -> dict[str, float]:
        """Return the accuracy."""
        return {"accuracy": weighted_mean(self.decide(outputs) == targets, weights)}


class _Numbers(Task):
    """A task whose targets are numbers (M, K)."""

    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str = "y") -> Array:
        """Return numbers (M, K); (M,) is accepted for K = 1."""
        values = checks.as_reals(name, y, dtype)
        if values.ndim == 1 and (size == 1 or len(values) == 0):
            values = values.reshape(-1, size)
        if values.ndim != 2 or values.shape[1] != size:
            raise ValueError(
                f"{name}: shape (N, K) with K = output_size = {size} is required, got shape {values.shape}"
            )
        return values


class Regression(_Numbers):
    """K real numbers: ``loss = mean (outputs - target)^2``."""

    name = "regression"

    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the mean squared error and its gradient."""
        return _ops.mean_loss("mean_squared_error", outputs, targets, weights)

    def decide(self, outputs: Array) -> Array:
        """Return the outputs themselves."""
        return outputs

    def metrics(self, outputs: Array, targets: Array, weights: Array | None) -> dict[str, float]:
        """Return the mean absolute error."""
        return {"mae": weighted_mean(abs(outputs - targets), weights)}


class Multilabel(_Numbers):
    """K yes-no questions: binary cross-entropy of ``sigmoid(outputs)`` with targets in [0, 1]."""

    name = "multilabel"

    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str = "y") -> Array:
        """Return numbers in [0, 1], (M, K)."""
        values = super().targets(y, size, dtype, name=name)
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            wrong = values.max() if values.max() > 1 else values.min()
            raise ValueError(f"{name}: values in [0, 1] are required for task='multilabel', got {wrong}")
        return values

    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the mean binary cross-entropy and its gradient."""
        return _ops.mean_loss("binary_cross_entropy", outputs, targets, weights)

    def decide(self, outputs: Array) -> Array:
        """Return 1 where the probability exceeds one half, else 0, int64 (M, K)."""
        return (outputs > 0).astype(np.int64)

    def probabilities(self, outputs: Array) -> Array:
        """Return ``sigmoid(outputs)`` (M, K), as the softmax of the pair (outputs, 0)."""
        pairs = np.stack([outputs.reshape(-1), np.zeros(outputs.size, outputs.dtype)], axis=1)
        return np.ascontiguousarray(_ops.softmax(pairs)[:, 0]).reshape(outputs.shape)

    def metrics(self, outputs: Array, targets: Array, weights: Array | None) -> dict[str, float]:
        """Return the share of right answers."""
        return {"accuracy": weighted_mean(self.decide(outputs) == (targets > 0.5), weights)}


TASKS: dict[str, Task] = {task.name: task for task in (Classification(), Regression(), Multilabel())}


def task_named(name: str) -> Task:
    """Return the task called ``name``; ValueError names the known ones.

    Examples
    --------
    >>> task_named("regression").name
    'regression'
    """
    return TASKS[checks.as_choice("task", name, TASKS)]


def weighted_mean(values: Array, weights: Array | None) -> float:
    """Return the mean of ``values`` (M,) or (M, K), row m counted ``weights[m]`` times; 0.0 of nothing.

    The sums are exact (``math.fsum``), so they have the same bits on every machine.
    """
    rows = values.reshape(len(values), values.size // max(len(values), 1))
    counts = np.ones(len(rows)) if weights is None else weights.astype(np.float64)
    rows, counts = rows[counts > 0], counts[counts > 0]
    total = math.fsum(counts) * rows.shape[1]
    return math.fsum((rows * counts[:, None]).ravel()) / total if total else 0.0

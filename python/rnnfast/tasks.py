"""Tasks: what the outputs of a head mean.

A task says which targets a head learns, the loss, the width of the head and the prediction. A new task is one class
with a ``name``; models then accept the name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.arrays import Array, DType
from rnnfast.copies import CopiedWhole
from rnnfast.metrics import Accuracy, MeanAbsoluteError, Metric


class Task(CopiedWhole, ABC):
    """The targets, the loss and the predictions of a head with outputs (M, K).

    M is the number of target elements in a batch. ``size`` is the number of classes, numbers or labels of an
    element, which the user calls ``output_size``.

    Attributes
    ----------
    name : str
        The name by which ``task=`` and a model's file refer to the class. A subclass with a name is known at once.
    element : "id", "labels" or "vector"
        What one target element is: an integer id, ``size`` labels 0 or 1, or ``size`` real numbers.
    writes : bool
        Whether ``OneToMany`` and ``EncoderDecoder`` may have the task. The engine writes ids drawn from the softmax of
        the outputs, labels drawn from their sigmoid, or the outputs themselves as the next vector; a task for which
        that is right sets True.

    Examples
    --------
    The negative log-likelihood of normal distributions, whose head has 2K outputs for K numbers:

    >>> import numpy as np
    >>> import rnnfast as rf
    >>> class Normal(rf.Task):
    ...     name = "normal"
    ...
    ...     def outputs(self, size):
    ...         return 2 * size
    ...
    ...     def loss(self, outputs, targets, weights):
    ...         mean, log_std = np.split(outputs, 2, axis=1)
    ...         z = (targets - mean) * np.exp(-log_std)
    ...         w = np.ones(len(z)) if weights is None else weights
    ...         share = (w / (w.sum() * z.shape[1]))[:, None]
    ...         loss = float((share * (0.5 * z**2 + log_std)).sum())
    ...         gradient = np.concatenate([-z * np.exp(-log_std), 1 - z**2], axis=1)
    ...         return loss, (share * gradient).astype(outputs.dtype)
    ...
    ...     def decide(self, outputs):
    ...         return np.split(outputs, 2, axis=1)[0]
    >>> model = rf.ManyToOne(3, 2, task="normal", hidden_size=4, seed=0)
    >>> model.head.weight.shape, model.predict(np.zeros((5, 7, 3))).shape
    ((4, 4), (5, 2))
    """

    name: ClassVar[str]
    writes: ClassVar[bool] = False
    element: ClassVar[Literal["id", "labels", "vector"]] = "vector"
    known: ClassVar[dict[str, type[Task]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Make the class known by its name."""
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            Task.known[cls.name] = cls

    @property
    def has_probabilities(self) -> bool:
        """Whether ``probabilities`` is defined."""
        return type(self).probabilities is not Task.probabilities

    @property
    def ids(self) -> bool:
        """Whether a target element is an id."""
        return self.element == "id"

    def options(self) -> dict[str, Any]:
        """Return the constructor's arguments, which a model's file keeps; none by default."""
        return {}

    def outputs(self, size: int) -> int:
        """Return the number K of a head's outputs for elements of ``size``."""
        return size

    def dtype(self, model: DType) -> DType:
        """Return the dtype of predictions, given the model's."""
        return model if self.element == "vector" else np.dtype(np.int64)

    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str = "y") -> Array:
        """Check ``y`` and return it as class ids (M,) or numbers (M, size); (M,) is accepted for ``size`` 1."""
        values = checks.as_reals(name, y, dtype)
        if values.ndim == 1 and (size == 1 or len(values) == 0):
            values = values.reshape(-1, size)
        if values.ndim != 2 or values.shape[1] != size:
            raise ValueError(
                f"{name}: shape (N, K) with K = output_size = {size} is required, got shape {values.shape}"
            )
        return values

    @abstractmethod
    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the weighted mean over all target elements and its gradient (M, K)."""

    @abstractmethod
    def decide(self, outputs: Array) -> Array:
        """Return the prediction made from outputs (M, K)."""

    def probabilities(self, outputs: Array) -> Array:
        """Return the probabilities (M, K) behind the prediction; ValueError where the task has none."""
        raise ValueError(f"predict_proba: a task with probabilities is required, got task={self.name!r}")

    def metrics(self) -> list[Metric]:
        """Return new accumulators of what ``evaluate`` reports besides the loss; none by default."""
        return []


class Classification(Task):
    """One of K classes: ``loss = -log softmax(outputs)[target]``, the target an integer 0..K-1."""

    name = "classification"
    element = "id"
    writes = True

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

    def metrics(self) -> list[Metric]:
        """Return the accuracy: the share of right class ids."""
        return [Accuracy(lambda outputs, targets: self.decide(outputs) == targets)]


class Regression(Task):
    """K real numbers: ``loss = mean (outputs - target)^2``."""

    name = "regression"
    writes = True

    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the mean squared error and its gradient."""
        return _ops.mean_loss("mean_squared_error", outputs, targets, weights)

    def decide(self, outputs: Array) -> Array:
        """Return the outputs themselves."""
        return outputs

    def metrics(self) -> list[Metric]:
        """Return the mean absolute error."""
        return [MeanAbsoluteError(self.decide)]


class Multilabel(Task):
    """K yes-no questions: binary cross-entropy of ``sigmoid(outputs)`` with targets in [0, 1]."""

    name = "multilabel"
    element = "labels"
    writes = True

    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str = "y") -> Array:
        """Return numbers in [0, 1], (M, K)."""
        values = super().targets(y, size, dtype, name=name)
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            wrong = values.max() if values.max() > 1 else values.min()
            raise ValueError(f"{name}: values in [0, 1] are required for task={self.name!r}, got {wrong}")
        return values

    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the mean binary cross-entropy and its gradient."""
        return _ops.mean_loss("binary_cross_entropy", outputs, targets, weights)

    def decide(self, outputs: Array) -> Array:
        """Return 1 where the probability exceeds one half, else 0, int64 (M, K)."""
        return (outputs > 0).astype(np.int64)

    def probabilities(self, outputs: Array) -> Array:
        """Return ``sigmoid(outputs)`` (M, K), the softmax of the pair (outputs, 0)."""
        pairs = np.stack([outputs.reshape(-1), np.zeros(outputs.size, outputs.dtype)], axis=1)
        return np.ascontiguousarray(_ops.softmax(pairs)[:, 0]).reshape(outputs.shape)

    def metrics(self) -> list[Metric]:
        """Return the accuracy: the share of right answers."""
        return [Accuracy(lambda outputs, targets: self.decide(outputs) == (targets > 0.5))]


def as_task(name: str, given: Any) -> Task:
    """Return the task that a user or a configuration means: an object, a name, or a dict of a name and options.

    Raises
    ------
    ValueError
        Another name; the message lists the known ones.
    TypeError
        Anything else.

    Examples
    --------
    >>> as_task("task", "regression").name
    'regression'
    """
    if isinstance(given, Task):
        return given
    if isinstance(given, Mapping):
        options = dict(given)
        return Task.known[checks.as_choice(name, options.pop("name", None), Task.known)](**options)
    return Task.known[checks.as_choice(name, given, Task.known)]()


def task_config(task: Task) -> str | dict[str, Any]:
    """Return what a model's configuration says of a task: its name, or a dict of the name and its options."""
    options = task.options()
    return {"name": task.name, **options} if options else task.name

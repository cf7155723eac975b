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
from rnnfast.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Likelihood,
    Loss,
    MeanSquaredError,
    Quantile,
    as_loss,
    class_ids,
    loss_config,
    require_labels,
    total_weight,
    without_missing,
)
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
    direct : bool
        Whether that is right. Else the elements are those of ``draw``, written step by step in NumPy.
    weighs, weighs_elements : bool
        Whether ``loss`` takes weights, and weights (M, K), one for each number of a target element. NaN is a missing
        value then.
    ignores : bool
        Whether some integer, which ``missing`` knows, stands for a target without a class.

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
    writes: bool = False
    direct: bool = True
    weighs: bool = True
    weighs_elements: bool = False
    ignores: bool = False
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
    def has_quantiles(self) -> bool:
        """Whether ``quantiles`` is defined."""
        return type(self).quantiles is not Task.quantiles

    @property
    def has_distribution(self) -> bool:
        """Whether ``distribution`` is defined."""
        return type(self).distribution is not Task.distribution

    @property
    def ids(self) -> bool:
        """Whether a target element is an id."""
        return self.element == "id"

    @property
    def title(self) -> str:
        """The name as messages and summaries show it."""
        return self.name

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

    def missing(self, targets: Array) -> npt.NDArray[np.bool_] | None:
        """Return which targets have no value and count for nothing, bool like ``targets``; None where all have one."""
        return None

    def counted(
        self, targets: Array, weights: Array | None, dtype: DType, *, finite: bool = False, name: str = "y"
    ) -> tuple[Array, Array | None]:
        """Return targets with zeros in place of missing ones, and weights (M,) or (M, K) that are 0 there.

        ``dtype`` is that of new weights; ``finite`` says that all numbers are known to be finite; ``name`` is what
        messages call the targets. ValueError where no target has a value, or where there are weights, but the loss
        takes none.
        """
        if weights is not None and not self.weighs:
            wanted = "a loss with an argument weights"
            raise ValueError(f"loss: {wanted} is required beside weights, got a function of (outputs, y) alone")
        missing = None if finite and not self.ignores else self.missing(targets)
        if missing is not None and missing.all():
            raise ValueError(f"{name}: at least one target that is not missing is required, got none")
        return without_missing(targets, weights, missing, dtype)

    def present(self, targets: Array, weights: Array | None, dtype: DType) -> tuple[Array, Array | None]:
        """Return what ``counted`` does of targets that are only a part of all, so that each of them may be missing."""
        return without_missing(targets, weights, self.missing(targets), dtype)

    def total(self, targets: Array, weights: Array | None) -> float:
        """Return the weight of all target elements together: that of a batch's loss in the mean over batches."""
        return total_weight(targets, weights)

    @abstractmethod
    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the weighted mean over all target elements and its gradient (M, K)."""

    @abstractmethod
    def decide(self, outputs: Array) -> Array:
        """Return the prediction made from outputs (M, K)."""

    def probabilities(self, outputs: Array) -> Array:
        """Return the probabilities (M, K) behind the prediction; ValueError where the task has none."""
        raise ValueError(f"predict_proba: a task with probabilities is required, got task={self.name!r}")

    def quantiles(self, outputs: Array, levels: Any = None) -> Array:
        """Return the quantiles (M, K, Q) that outputs predict; ValueError where the task has none."""
        wanted = "a task that predicts quantiles (task='quantile')"
        raise ValueError(f"predict_quantiles: {wanted} is required, got task={self.name!r}")

    def distribution(self, outputs: Array) -> dict[str, Array]:
        """Return the parameters (M, K) of the predicted distribution by name; ValueError where the task has none."""
        wanted = "a task that predicts a distribution (task='gaussian')"
        raise ValueError(f"predict_distribution: {wanted} is required, got task={self.name!r}")

    def draw(self, outputs: Array, u: Array) -> Array:
        """Return vectors (M, K) drawn by random numbers u (M, K) within [0, 1); by default the predictions."""
        return self.decide(outputs)

    def metrics(self) -> list[Metric]:
        """Return new accumulators of what ``evaluate`` reports besides the loss; none by default."""
        return []


class LossTask(Task):
    """A task that learns by a loss of ``rnnfast.losses``, or by a user's function.

    Parameters
    ----------
    loss : str, dict, Loss or function, optional
        See ``rnnfast.losses.as_loss``; by default that of the class.

    Raises
    ------
    ValueError
        A loss of other target elements.
    """

    default: ClassVar[type[Loss]]

    def __init__(self, loss: Any = None) -> None:
        self.criterion = self.default() if loss is None else as_loss("loss", loss)
        if self.criterion.element not in (None, self.element):
            fitting = ", ".join(name for name, cls in Loss.known.items() if cls.element == self.element)
            wanted = f"one of {fitting}, or a function"
            raise ValueError(f"loss: {wanted} is required for task={self.name!r}, got {self.criterion.name!r}")
        self.weighs = self.criterion.weighs
        self.weighs_elements = self.criterion.weighs_elements and self.element != "id"
        self.ignores = getattr(self.criterion, "ignore_index", None) is not None

    @property
    def title(self) -> str:
        """The name, with that of the loss where it is not the default."""
        default = type(self.criterion) is self.default
        return self.name if default else f"{self.name} ({getattr(self.criterion, 'name', 'a function')})"

    def options(self) -> dict[str, Any]:
        """Return the loss, unless it is the default."""
        config = loss_config(self.criterion)
        return {} if config == self.default.name else {"loss": config}

    def outputs(self, size: int) -> int:
        """Return the number of a head's outputs for elements of ``size``."""
        return size * self.criterion.width

    def missing(self, targets: Array) -> npt.NDArray[np.bool_] | None:
        """Return which targets have no value; None where all have one."""
        return self.criterion.missing(targets)

    def total(self, targets: Array, weights: Array | None) -> float:
        """Return the weight of all target elements together."""
        return self.criterion.total(targets, weights)

    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the weighted mean of the loss over all target elements and its gradient."""
        return self.criterion.mean(outputs, targets, weights)


class Classification(LossTask):
    """One of K classes: ``loss = -log softmax(outputs)[target]``, the target an integer 0..K-1."""

    name = "classification"
    element = "id"
    writes = True
    default = CrossEntropy

    def outputs(self, size: int) -> int:
        """Return K; ValueError where the loss has weights of another number of classes."""
        if isinstance(self.criterion, CrossEntropy):
            self.criterion.require_size(size)
        return size

    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str = "y") -> Array:
        """Return class ids int64 (M,)."""
        ids = checks.as_array(name, y)
        wanted = f"{name}: integer class ids 0..K-1 (K = output_size = {size})"
        if ids.ndim != 1:
            raise ValueError(f"{wanted} of shape (N,) is required, got shape {ids.shape}")
        return class_ids(ids, size, wanted, getattr(self.criterion, "ignore_index", None))

    def decide(self, outputs: Array) -> Array:
        """Return the most probable class ids int64 (M,)."""
        ids: Array = np.argmax(outputs, axis=1).astype(np.int64, copy=False)
        return ids

    def probabilities(self, outputs: Array) -> Array:
        """Return ``softmax(outputs)`` (M, K)."""
        return _ops.softmax(outputs)

    def metrics(self) -> list[Metric]:
        """Return the accuracy: the share of right class ids."""
        return [Accuracy()]


class Regression(LossTask):
    """K real numbers: ``loss = mean (outputs - target)^2``, or another loss of numbers."""

    name = "regression"
    writes = True
    default = MeanSquaredError

    def __init__(self, loss: Any = None) -> None:
        super().__init__(loss)
        self.direct = self.criterion.direct

    @property
    def has_quantiles(self) -> bool:
        """Whether the loss is one of quantiles, or a likelihood, whose quantiles are known."""
        return isinstance(self.criterion, Quantile | Likelihood)

    @property
    def has_distribution(self) -> bool:
        """Whether the loss is a likelihood."""
        return isinstance(self.criterion, Likelihood)

    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str = "y") -> Array:
        """Return numbers (M, size)."""
        values = super().targets(y, size, dtype, name=name)
        self.criterion.check(name, values)
        return values

    def decide(self, outputs: Array) -> Array:
        """Return the outputs themselves, or the numbers that the loss makes of them."""
        return self.criterion.point(outputs)

    def quantiles(self, outputs: Array, levels: Any = None) -> Array:
        """Return the quantiles (M, K, Q) of the levels."""
        if not isinstance(self.criterion, Quantile | Likelihood):
            return super().quantiles(outputs, levels)
        return self.criterion.predicted(outputs, levels)

    def distribution(self, outputs: Array) -> dict[str, Array]:
        """Return the parameters (M, K) of the predicted distribution by name."""
        if not isinstance(self.criterion, Likelihood):
            return super().distribution(outputs)
        return self.criterion.parameters(outputs)

    def draw(self, outputs: Array, u: Array) -> Array:
        """Return numbers drawn from the predicted distribution; where there is none, the predictions."""
        return self.criterion.draw(outputs, u) if isinstance(self.criterion, Likelihood) else self.decide(outputs)

    def metrics(self) -> list[Metric]:
        """Return the mean absolute error."""
        return [MeanAbsoluteError()]


class Multilabel(LossTask):
    """K yes-no questions: binary cross-entropy of ``sigmoid(outputs)`` with targets in [0, 1]."""

    name = "multilabel"
    element = "labels"
    writes = True
    default = BinaryCrossEntropy

    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str = "y") -> Array:
        """Return numbers in [0, 1], (M, K)."""
        values = super().targets(y, size, dtype, name=name)
        require_labels(name, values, f" for task={self.name!r}")
        return values

    def decide(self, outputs: Array) -> Array:
        """Return 1 where the probability exceeds one half, else 0, int64 (M, K)."""
        return (outputs > 0).astype(np.int64)

    def probabilities(self, outputs: Array) -> Array:
        """Return ``sigmoid(outputs)`` (M, K), the softmax of the pair (outputs, 0)."""
        pairs = np.stack([outputs.reshape(-1), np.zeros(outputs.size, outputs.dtype)], axis=1)
        return np.ascontiguousarray(_ops.softmax(pairs)[:, 0]).reshape(outputs.shape)

    def metrics(self) -> list[Metric]:
        """Return the accuracy: the share of right answers."""
        return [Accuracy()]


LEARN_BY: dict[str | None, type[LossTask]] = {
    "id": Classification,
    None: Classification,
    "labels": Multilabel,
    "vector": Regression,
}


def as_task(name: str, given: Any, loss: Any = None) -> Task:
    """Return the task that a user or a configuration means.

    Parameters
    ----------
    name : str
        What messages call it.
    given : Task, str, dict of a name and options, or None
        The name of a loss stands for the task that learns by it. None does so, too: for that of ``loss`` or, without
        one, for classification.
    loss : str, dict, Loss, function or None
        What the task learns by; None for the task's own.

    Raises
    ------
    ValueError
        Another name; the message lists the known ones. A loss that does not fit the task, or beside a task that has its
        own.
    TypeError
        Anything else.

    Examples
    --------
    >>> as_task("task", "regression").name, as_task("task", None, "huber").name
    ('regression', 'regression')
    """
    if given is None:
        criterion = None if loss is None else as_loss("loss", loss)
        return LEARN_BY["id" if criterion is None else criterion.element](criterion)
    if isinstance(given, Task):
        _no_loss(loss, f"the task {given.name!r}")
        return given
    options = dict(given) if isinstance(given, Mapping) else {}
    named = options.pop("name", None) if isinstance(given, Mapping) else given
    if isinstance(named, str) and named in Loss.known and named not in Task.known:
        _no_loss(loss, f"task={named!r}")
        return as_task(name, None, {"name": named, **options})
    cls = Task.known[checks.as_choice(name, named, [*Task.known, *Loss.known])]
    if loss is None:
        return cls(**options)
    if not issubclass(cls, LossTask) or "loss" in options:
        _no_loss(loss, f"task={named!r}")
    return cls(**{**options, "loss": loss})


def _no_loss(loss: Any, beside: str) -> None:
    if loss is not None:
        raise ValueError(f"loss: None is required beside {beside}, which has its own, got {checks.shown(loss)}")


def task_config(task: Task) -> str | dict[str, Any]:
    """Return what a model's configuration says of a task: its name, or a dict of the name and its options."""
    options = task.options()
    return {"name": task.name, **options} if options else task.name

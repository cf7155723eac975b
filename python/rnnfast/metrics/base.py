"""What a metric is: a quantity that is accumulated over all data."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np

from rnnfast.arrays import Array
from rnnfast.copies import CopiedWhole


class Judged(Protocol):
    """The part of a task that metrics need: what one target element is, and the prediction made from outputs."""

    name: ClassVar[str]

    @property
    def element(self) -> str: ...  # noqa: D102

    def decide(self, outputs: Array) -> Array: ...  # noqa: D102


class Metric(CopiedWhole, ABC):
    """A quantity of all outputs and targets, accumulated batch by batch.

    ``fit`` and ``evaluate`` call ``reset``, then ``update`` for every batch, then ``result``.

    Attributes
    ----------
    name : str
        The key in ``evaluate`` and, behind "val_", in the history; by default the class's name in snake case.
    higher_is_better : bool
        What ``EarlyStopping`` and ``Checkpoint`` watch for.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> class F1(rf.Metric):
    ...     higher_is_better = True
    ...
    ...     def reset(self):
    ...         self.hits = self.found = self.wanted = 0
    ...
    ...     def update(self, outputs, targets, weights):
    ...         chosen = outputs.argmax(axis=1)
    ...         self.hits += int(((chosen == 1) & (targets == 1)).sum())
    ...         self.found += int((chosen == 1).sum())
    ...         self.wanted += int((targets == 1).sum())
    ...
    ...     def result(self):
    ...         return 2 * self.hits / max(self.found + self.wanted, 1)
    >>> model = rf.ManyToOne(3, 2, hidden_size=4, seed=0)
    >>> x, y = np.zeros((4, 5, 3)), [0, 1, 1, 0]
    >>> sorted(model.evaluate(x, y, metrics=F1()))
    ['accuracy', 'f1', 'loss']
    """

    name: str
    higher_is_better: ClassVar[bool]

    def __init_subclass__(cls, **options: Any) -> None:
        """Give the class a name where it has none of its own."""
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    def bind(self, task: Judged) -> None:
        """Take note of the task whose outputs will come; ValueError where the metric has no meaning for it."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything."""

    @abstractmethod
    def update(self, outputs: Array, targets: Array, weights: Array | None) -> None:
        """Take a batch into account.

        Parameters
        ----------
        outputs : ndarray (M, K)
            The head's outputs before the task's decision: logits of a classification, numbers of a regression.
        targets : ndarray (M,) or (M, K)
            Class ids, or numbers.
        weights : ndarray (M,), (M, K) or None
            The weight of every target element, or of each of its numbers; None where all are 1. Missing numbers have
            weight 0.
        """

    @abstractmethod
    def result(self) -> float:
        """Return the quantity over everything since ``reset``."""


class Mean(Metric):
    """The weighted mean of values that belong to target elements.

    The sums are exact (``math.fsum``), so they have the same bits on every machine.

    Parameters
    ----------
    values : function of (outputs, targets)
        Returns the values, (M,) or (M, K).
    """

    def __init__(self, values: Callable[[Array, Array], Array]) -> None:
        self._values = values
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._sums: list[float] = []
        self._counts: list[float] = []

    def update(self, outputs: Array, targets: Array, weights: Array | None) -> None:
        """Add the values of a batch; elements of weight 0 are not read."""
        values = self._values(outputs, targets)
        if weights is None:
            self._sums.append(math.fsum(values.ravel().tolist()))
            self._counts.append(float(values.size))
            return
        rows = values.reshape(len(values), values.size // max(len(values), 1))
        counts = weights.astype(np.float64)
        if counts.ndim == 2:
            rows, counts = rows.reshape(-1, 1), counts.ravel()
        rows, counts = rows[counts > 0], counts[counts > 0]
        self._sums.append(math.fsum((rows * counts[:, None]).ravel()))
        self._counts.append(math.fsum(counts) * rows.shape[1])

    def result(self) -> float:
        """Return the mean; 0.0 of nothing."""
        total = math.fsum(self._counts)
        return math.fsum(self._sums) / total if total else 0.0


class JudgingMetric(Metric):
    """A metric of the task's predictions.

    Attributes
    ----------
    elements : tuple of str
        The kinds of target elements that it has a meaning for.
    """

    elements: ClassVar[tuple[str, ...]] = ("id", "labels")
    _task: Judged | None = None

    def bind(self, task: Judged) -> None:
        """Take note of the task; ValueError where the metric has no meaning for its targets."""
        if task.element not in self.elements:
            kinds = {"id": "classes", "labels": "labels", "vector": "numbers"}
            wanted = " or ".join(kinds[element] for element in self.elements)
            raise ValueError(f"metrics: for {self.name!r} a task of {wanted} is required, got task={task.name!r}")
        self._task = task

    def decide(self, outputs: Array, targets: Array) -> Array:
        """Return the predictions; without a task the largest output of ids, and numbers or labels as they are."""
        if self._task is not None:
            found = self._task.decide(outputs)
        elif targets.ndim == 1:
            found = outputs.argmax(axis=1)
        else:
            found = outputs if self.elements == ("vector",) else outputs > 0
        if found.shape != targets.shape:
            wanted = f"predictions of the targets' shape {targets.shape}"
            raise ValueError(f"metrics: for {self.name!r} {wanted} are required, got {found.shape}")
        return found

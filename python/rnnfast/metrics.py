"""Metrics: quantities that are accumulated over all data."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.copies import CopiedWhole


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
        weights : ndarray (M,) or None
            The weight of every target element; None where all are 1.
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
        rows = values.reshape(len(values), values.size // max(len(values), 1))
        counts = np.ones(len(rows)) if weights is None else weights.astype(np.float64)
        rows, counts = rows[counts > 0], counts[counts > 0]
        self._sums.append(math.fsum((rows * counts[:, None]).ravel()))
        self._counts.append(math.fsum(counts) * rows.shape[1])

    def result(self) -> float:
        """Return the mean; 0.0 of nothing."""
        total = math.fsum(self._counts)
        return math.fsum(self._sums) / total if total else 0.0


class Accuracy(Mean):
    """The share of right answers; ``values`` says which are right."""

    higher_is_better = True


class MeanAbsoluteError(Mean):
    """``mean |prediction - target|``.

    Parameters
    ----------
    decide : function of outputs
        Returns the predictions (M, K).
    """

    name = "mae"
    higher_is_better = False

    def __init__(self, decide: Callable[[Array], Array]) -> None:
        super().__init__(lambda outputs, targets: abs(decide(outputs) - targets))


class Metrics:
    """The accumulators of an evaluation, those of several heads under the heads' names.

    Parameters
    ----------
    own : dict of str to list of Metric
        The metrics of each head's task; a single head has the name "".
    given : Metric, several of them, or a dict of these by head
        What the user adds.

    Raises
    ------
    TypeError
        Anything but metrics.
    ValueError
        Two metrics of one name; several heads without a dict, or an unknown head.
    """

    def __init__(self, own: Mapping[str, list[Metric]], given: Any = ()) -> None:
        by_head = _by_head(given, list(own))
        self.given = any(by_head.values())
        self._items: list[tuple[str, str, Metric]] = []
        for head, metrics in own.items():
            for metric in (*metrics, *by_head.get(head, ())):
                name = f"{head}_{metric.name}" if head else metric.name
                if name == "loss" or name in self.directions:
                    raise ValueError(f"metrics: different names are required, got {name!r} twice")
                self._items.append((name, head, metric))

    @property
    def directions(self) -> dict[str, bool]:
        """Whether higher is better, by name."""
        return {name: metric.higher_is_better for name, _, metric in self._items}

    def reset(self) -> None:
        """Forget everything."""
        for _, _, metric in self._items:
            metric.reset()

    def update(self, outputs: Mapping[str, Array], targets: Mapping[str, Array], weights: Array | None) -> None:
        """Take a batch of every head into account."""
        for _, head, metric in self._items:
            metric.update(outputs[head], targets[head], weights)

    def results(self) -> dict[str, float]:
        """Return every quantity by name."""
        return {name: float(metric.result()) for name, _, metric in self._items}


def _by_head(given: Any, heads: list[str]) -> dict[str, list[Metric]]:
    if isinstance(given, Mapping):
        if heads == [""]:
            raise TypeError("metrics: a Metric, or several, is required for a model with one head, got a dict")
        for head in given:
            if head not in heads:
                raise ValueError(f"metrics: names of heads ({', '.join(heads)}) are required, got {head!r}")
        return {head: _listed(metrics) for head, metrics in given.items()}
    found = _listed(given)
    if found and heads != [""]:
        raise ValueError(f"metrics: a dict by head ({', '.join(heads)}) is required for several heads, got none")
    return {heads[0]: found}


def _listed(given: Any) -> list[Metric]:
    items: Iterable[Any] = [given] if isinstance(given, Metric | type) else checks.as_items("metrics", given)
    found = list(items)
    for item in found:
        if not isinstance(item, Metric):
            hint = " (an object, not its class)" if isinstance(item, type) else ""
            raise TypeError(f"metrics: a Metric, or several, is required{hint}, got {checks.shown(item)}")
        if not isinstance(getattr(item, "higher_is_better", None), bool):
            raise TypeError(f"metrics: {type(item).__name__}.higher_is_better = True or False is required, got none")
    return found

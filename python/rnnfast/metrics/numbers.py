"""Metrics of real numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnnfast.arrays import Array, Float64
from rnnfast.metrics.base import JudgingMetric, Mean


class MeanAbsoluteError(Mean, JudgingMetric):
    """``mean |prediction - target|``.

    Parameters
    ----------
    decide : function of outputs, optional
        Returns the predictions (M, K); by default the task's.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.MeanAbsoluteError()
    >>> metric.update(np.array([[1.0], [4.0]]), np.array([[2.0], [2.0]]), None)
    >>> metric.result()
    1.5
    """

    name = "mae"
    higher_is_better = False
    elements = ("vector",)

    def __init__(self, decide: Callable[[Array], Array] | None = None) -> None:
        self._decide = decide
        super().__init__(self._errors)

    def _errors(self, outputs: Array, targets: Array) -> Array:
        found = self.decide(outputs, targets) if self._decide is None else self._decide(outputs)
        return abs(found - targets)


class ColumnMetric(JudgingMetric):
    """A metric of each of K numbers, averaged over the numbers, as scikit-learn's ``uniform_average``.

    Squares of errors and of deviations from the mean are accumulated for each number; means of two batches are merged
    as Chan et al. (1983) do, which loses no digits.
    """

    elements = ("vector",)

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._weight: Float64 = np.zeros(1)
        self._errors: Float64 = np.zeros(1)
        self._mean: Float64 = np.zeros(1)
        self._deviations: Float64 = np.zeros(1)

    def update(self, outputs: Array, targets: Array, weights: Array | None) -> None:
        """Take a batch into account; numbers of weight 0 are not read."""
        found, t = self.decide(outputs, targets).astype(np.float64), targets.astype(np.float64)
        w = np.ones(t.shape)
        if weights is not None:
            w *= weights if weights.ndim == 2 else weights[:, None]
        found, t = np.where(w > 0, found, 0.0), np.where(w > 0, t, 0.0)
        own = w.sum(axis=0)
        mean = (w * t).sum(axis=0) / np.where(own > 0, own, 1.0)
        total = self._weight + own
        step = mean - self._mean
        share = own / np.where(total > 0, total, 1.0)
        self._errors = self._errors + (w * (found - t) ** 2).sum(axis=0)
        self._deviations = self._deviations + (w * (t - mean) ** 2).sum(axis=0) + step**2 * self._weight * share
        self._mean = self._mean + step * share
        self._weight = total


class RootMeanSquaredError(ColumnMetric):
    """``sqrt(mean (prediction - target)^2)`` of each of K numbers, and the mean of these.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.RootMeanSquaredError()
    >>> metric.update(np.array([[1.0], [4.0]]), np.array([[2.0], [2.0]]), None)
    >>> round(metric.result(), 4)
    1.5811
    """

    name = "rmse"
    higher_is_better = False

    def result(self) -> float:
        """Return the mean over the numbers that have a target; 0.0 of nothing."""
        seen = self._weight > 0
        return float(np.sqrt(self._errors[seen] / self._weight[seen]).mean()) if seen.any() else 0.0


class R2(ColumnMetric):
    """``1 - sum (prediction - target)^2 / sum (target - mean)^2`` of each of K numbers, and the mean of these.

    Of targets that are all equal it is 1 where the predictions are right, else 0, as in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.R2()
    >>> metric.update(np.array([[1.0], [4.0]]), np.array([[2.0], [4.0]]), None)
    >>> metric.result()
    0.5
    """

    name = "r2"
    higher_is_better = True

    def result(self) -> float:
        """Return the mean over the numbers that have a target; NaN of nothing."""
        seen = self._weight > 0
        errors, deviations = self._errors[seen], self._deviations[seen]
        constant = deviations == 0
        ratio = errors / np.where(constant, 1.0, deviations)
        each = np.where(constant, (errors == 0).astype(np.float64), 1 - ratio)
        return float(each.mean()) if seen.any() else float("nan")

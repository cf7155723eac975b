"""Metrics of classes and labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Float64
from rnnfast.metrics.base import JudgingMetric, Mean


class Accuracy(Mean, JudgingMetric):
    """The share of right answers.

    Parameters
    ----------
    values : function of (outputs, targets), optional
        Says which answers are right; by default those where the task's prediction is the target.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.Accuracy()
    >>> metric.update(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 1]), None)
    >>> round(metric.result(), 4)
    0.6667
    """

    higher_is_better = True

    def __init__(self, values: Callable[[Array, Array], Array] | None = None) -> None:
        super().__init__(self._right if values is None else values)

    def _right(self, outputs: Array, targets: Array) -> Array:
        found = self.decide(outputs, targets)
        right: Array = found == (targets if targets.ndim == 1 else targets > 0.5)
        return right


class TopKAccuracy(Mean, JudgingMetric):
    """The share of targets that are among the k classes with the largest outputs.

    Parameters
    ----------
    k : int
        At least 1. An output equal to the target's does not count against it.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.TopKAccuracy(2)
    >>> metric.update(np.array([[3.0, 2.0, 1.0]]), np.array([1]), None)
    >>> metric.name, metric.result()
    ('top_2_accuracy', 1.0)
    """

    name = "top_k_accuracy"
    elements = ("id",)
    higher_is_better = True

    def __init__(self, k: int = 5) -> None:
        self.k = checks.as_size("k", k)
        if self.k != 5:
            self.name = f"top_{self.k}_accuracy"
        super().__init__(self._right)

    def _right(self, outputs: Array, targets: Array) -> Array:
        own = outputs[np.arange(len(targets)), targets]
        right: Array = (outputs > own[:, None]).sum(axis=1) < self.k
        return right


class Perplexity(Mean, JudgingMetric):
    """``exp(mean of -log softmax(outputs)[target])``: the number of equally probable classes that are as surprising.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.Perplexity()
    >>> metric.update(np.array([[0.0, 0.0, 0.0]]), np.array([1]), None)
    >>> round(metric.result(), 12)
    3.0
    """

    elements = ("id",)
    higher_is_better = False

    def __init__(self) -> None:
        super().__init__(self._surprise)

    @staticmethod
    def _surprise(outputs: Array, targets: Array) -> Array:
        surprise: Array = -log_softmax(outputs)[np.arange(len(targets)), targets]
        return surprise

    def result(self) -> float:
        """Return the perplexity; 1.0 of nothing, infinity beyond all floats."""
        mean = super().result()
        return math.exp(mean) if mean < 709 else math.inf


class CountingMetric(JudgingMetric):
    """A metric made of the weights of targets, predictions and hits of each class or label."""

    higher_is_better = True

    def reset(self) -> None:
        """Forget everything."""
        self._wanted: Float64 = np.zeros(1)
        self._found: Float64 = np.zeros(1)
        self._hits: Float64 = np.zeros(1)
        self._labels = False

    def update(self, outputs: Array, targets: Array, weights: Array | None) -> None:
        """Take a batch into account."""
        found = self.decide(outputs, targets)
        self._labels = targets.ndim == 2
        if self._labels:
            w = np.ones(targets.shape)
            if weights is not None:
                w *= weights if weights.ndim == 2 else weights[:, None]
            wanted, chosen = targets > 0.5, found > 0
            parts = [(w * each).sum(axis=0) for each in (wanted, chosen, wanted & chosen)]
        else:
            own, K = np.ones(len(targets)) if weights is None else weights.astype(np.float64), outputs.shape[1]
            hit = found == targets
            parts = [np.bincount(targets, own, K), np.bincount(found, own, K), np.bincount(targets[hit], own[hit], K)]
        self._wanted, self._found, self._hits = (
            before + part for before, part in zip((self._wanted, self._found, self._hits), parts, strict=True)
        )


class BalancedAccuracy(CountingMetric):
    """The mean over classes of the share of right answers among their targets; classes without any are left out.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.BalancedAccuracy()
    >>> metric.update(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 1]), None)
    >>> metric.result()
    0.75
    """

    elements = ("id",)

    def __init__(self) -> None:
        self.reset()

    def result(self) -> float:
        """Return the mean; 0.0 of nothing."""
        seen = self._wanted > 0
        return float((self._hits[seen] / self._wanted[seen]).mean()) if seen.any() else 0.0


class F1(CountingMetric):
    """The harmonic mean of precision and recall, ``2 hits / (predictions + targets)``, as scikit-learn defines it.

    Parameters
    ----------
    average : {"binary", "macro", "micro", "weighted"} or None
        The value of class 1; the mean over the classes that occur among targets or predictions, or over all labels;
        the value of all counts together; or the mean weighted by targets. None: "binary" for two classes, else "macro".

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.F1()
    >>> metric.update(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 1]), None)
    >>> round(metric.result(), 4)
    0.6667
    """

    AVERAGES = ("binary", "macro", "micro", "weighted")

    def __init__(self, average: str | None = None) -> None:
        self.average = (
            None if average is None else checks.as_choice("average", average, self.AVERAGES, others=" or None")
        )
        self.name = "f1" if average is None else f"f1_{average}"
        self.reset()

    def result(self) -> float:
        """Return the score; 0.0 where there are neither targets nor predictions."""
        binary = not self._labels and len(self._wanted) == 2
        average = self.average or ("binary" if binary else "macro")
        if average == "binary" and not binary:
            raise ValueError(f"average: 'macro', 'micro' or 'weighted' is required for {len(self._wanted)} classes")
        total = self._wanted + self._found
        if average == "micro":
            return float(2 * self._hits.sum() / total.sum()) if total.any() else 0.0
        each = 2 * self._hits / np.where(total > 0, total, 1.0)
        if average == "binary":
            return float(each[1])
        counted = self._wanted if average == "weighted" else (total > 0) | self._labels
        return float((each * counted).sum() / counted.sum()) if counted.any() else 0.0


class AUC(JudgingMetric):
    """The area under the curve of true against false positives (Hanley and McNeil 1982).

    It is the probability that a positive has a higher score than a negative, where ties count one half. Of two classes
    the score is that of class 1; of more, or of labels, the result is the mean of the areas of each against the rest.
    Those without positives or without negatives are left out. All scores are kept until the result is asked for.

    References
    ----------
    J. A. Hanley and B. J. McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC)
    curve", Radiology 143 (1982).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> metric = rf.metrics.AUC()
    >>> metric.update(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 1]), None)
    >>> metric.result()
    0.5
    """

    name = "auc"
    higher_is_better = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._scores: list[Array] = []
        self._positives: list[Array] = []
        self._weights: list[Array] = []

    def update(self, outputs: Array, targets: Array, weights: Array | None) -> None:
        """Keep the scores of a batch."""
        if targets.ndim == 2:
            scores, positives = outputs, targets > 0.5
        elif outputs.shape[1] == 2:
            scores, positives = outputs[:, 1:] - outputs[:, :1], (targets == 1)[:, None]
        else:
            scores, positives = log_softmax(outputs), targets[:, None] == np.arange(outputs.shape[1])
        own = np.ones((len(scores), 1)) if weights is None else weights.reshape(len(scores), -1)
        self._scores.append(scores.astype(np.float64))
        self._positives.append(positives)
        self._weights.append(np.broadcast_to(own, scores.shape).astype(np.float64))

    def result(self) -> float:
        """Return the area, or the mean of several; NaN where none is defined."""
        if not self._scores:
            return float("nan")
        columns = [np.concatenate(parts).T for parts in (self._scores, self._positives, self._weights)]
        areas = [area(*each) for each in zip(*columns, strict=True)]
        defined = [a for a in areas if not math.isnan(a)]
        return math.fsum(defined) / len(defined) if defined else float("nan")


def area(scores: Float64, positive: Array, weights: Float64) -> float:
    """Return the area under the curve of scores (M,); NaN without positives or without negatives.

    Examples
    --------
    >>> import numpy as np
    >>> area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]), np.ones(4))
    0.75
    """
    read = weights > 0
    levels, place = np.unique(scores[read], return_inverse=True)
    w, p = weights[read], positive[read]
    above = np.bincount(place, w * p, len(levels))
    below = np.bincount(place, w * ~p, len(levels))
    total = float(above.sum() * below.sum())
    return float((above * (np.cumsum(below) - below / 2)).sum()) / total if total else float("nan")


def log_softmax(outputs: Array) -> Float64:
    """Return ``log(softmax(outputs))`` (M, K) in float64.

    Examples
    --------
    >>> log_softmax(np.array([[0.0, 0.0]])).round(4)
    array([[-0.6931, -0.6931]])
    """
    x = outputs.astype(np.float64)
    x = x - x.max(axis=1, keepdims=True)
    found: Float64 = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    return found

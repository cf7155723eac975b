"""The metrics of an evaluation: those of all heads, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rnnfast import checks
from rnnfast.arrays import Array, Int64
from rnnfast.metrics.base import Judged, Metric
from rnnfast.metrics.classes import AUC, F1, Accuracy, BalancedAccuracy, Perplexity, TopKAccuracy
from rnnfast.metrics.numbers import R2, MeanAbsoluteError, RootMeanSquaredError
from rnnfast.metrics.sequences import EditDistance, SequenceMetric

NAMED: dict[str, Any] = {
    "accuracy": Accuracy,
    "balanced_accuracy": BalancedAccuracy,
    "top_k_accuracy": TopKAccuracy,
    "f1": F1,
    "f1_macro": lambda: F1("macro"),
    "f1_micro": lambda: F1("micro"),
    "f1_weighted": lambda: F1("weighted"),
    "auc": AUC,
    "perplexity": Perplexity,
    "edit_distance": EditDistance,
    "mae": MeanAbsoluteError,
    "rmse": RootMeanSquaredError,
    "r2": R2,
}


class Metrics:
    """The accumulators of an evaluation, those of several heads under the heads' names.

    Parameters
    ----------
    own : dict of str to list of Metric
        The metrics of each head's task; a single head has the name "".
    given : name or Metric, several of them, or a dict of these by head
        What the user adds. A name that the task reports anyway adds nothing.
    tasks : dict of str to task
        The task of each head.

    Raises
    ------
    TypeError
        Anything but metrics.
    ValueError
        An unknown name, a metric without a meaning for the task, two metrics of one name; several heads without a dict,
        or an unknown head.
    """

    def __init__(self, own: Mapping[str, list[Metric]], given: Any, tasks: Mapping[str, Judged]) -> None:
        by_head = _by_head(given, list(own))
        self.given = any(by_head.values())
        self._items: list[tuple[str, str, Metric]] = []
        for head, metrics in own.items():
            reported = {metric.name for metric in metrics}
            added = [_made(each) for each in by_head.get(head, ()) if each not in reported]
            for metric in (*metrics, *added):
                metric.bind(tasks[head])
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

    def update(
        self,
        outputs: Mapping[str, Array],
        targets: Mapping[str, Array],
        weights: Array | dict[str, Array] | None,
        lengths: Int64,
    ) -> None:
        """Take a batch of every head into account; ``lengths`` (N,) are the target elements of each sequence."""
        for _, head, metric in self._items:
            own = weights.get(head) if isinstance(weights, dict) else weights
            given = outputs[head], targets[head], own
            if isinstance(metric, SequenceMetric):
                metric.update_sequences(*given, lengths)
            else:
                metric.update(*given)

    def results(self) -> dict[str, float]:
        """Return every quantity by name."""
        return {name: float(metric.result()) for name, _, metric in self._items}


def _by_head(given: Any, heads: list[str]) -> dict[str, list[str | Metric]]:
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


def _listed(given: Any) -> list[str | Metric]:
    items: Iterable[Any] = [given] if isinstance(given, Metric | type | str) else checks.as_items("metrics", given)
    found = list(items)
    for item in found:
        if isinstance(item, str):
            checks.as_choice("metrics", item, NAMED, others=", or a Metric")
            continue
        if not isinstance(item, Metric):
            hint = " (an object, not its class)" if isinstance(item, type) else ""
            raise TypeError(f"metrics: a Metric, or several, is required{hint}, got {checks.shown(item)}")
        if not isinstance(getattr(item, "higher_is_better", None), bool):
            raise TypeError(f"metrics: {type(item).__name__}.higher_is_better = True or False is required, got none")
    return found


def _made(given: str | Metric) -> Metric:
    metric: Metric = NAMED[given]() if isinstance(given, str) else given
    return metric

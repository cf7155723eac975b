"""How good a model is on data: its loss and metrics over all batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from rnnfast.metrics import Metric, Metrics
from rnnfast.processes import Processes
from rnnfast.stepping import BatchLoss, Learner
from rnnfast.tasks import Task


class Judged(Learner, Protocol):
    """What an evaluation needs of a model."""

    def metrics(self) -> dict[str, list[Metric]]: ...  # noqa: D102

    @property
    def loss_shares(self) -> dict[str, float]: ...  # noqa: D102

    @property
    def tasks(self) -> dict[str, Task]: ...  # noqa: D102


class Batches(Protocol):
    """What has batches."""

    def batches(self) -> Iterator[Any]: ...  # noqa: D102


def evaluate(model: Judged, data: Batches, metrics: Any = (), processes: Processes | None = None) -> dict[str, float]:
    """Return the loss and the metrics of ``model`` over ``data``, without dropout; ``processes`` share the work.

    The loss is the mean over all target elements, whatever batches they sit in. Several heads have a loss each.
    """
    accumulated = metrics if isinstance(metrics, Metrics) else Metrics(model.metrics(), metrics, model.tasks)
    accumulated.reset()
    results = []
    for batch, result in _judged(model, data, processes or Processes()):
        counts = np.ones(batch.count, np.int64) if batch.counts is None else batch.counts
        accumulated.update(result.outputs, batch.targets, batch.weights, counts)
        results.append(replace(result, outputs={}))
    return _means(results, model.loss_shares) | accumulated.results()


def _judged(model: Judged, data: Batches, processes: Processes) -> Iterator[tuple[Any, BatchLoss]]:
    """Yield every batch and what the model computes of it; several processes compute a batch each, with its pieces."""
    if processes.size == 1:
        yield from _computed(model, data.batches())
        return
    waiting: list[list[Any]] = []
    for batch in data.batches():
        if batch.continues:
            waiting[-1].append(batch)
            continue
        if len(waiting) == processes.size:
            yield from _dealt_out(model, waiting, processes)
            waiting = []
        waiting.append([batch])
    yield from _dealt_out(model, waiting, processes)


def _dealt_out(model: Judged, waiting: list[list[Any]], processes: Processes) -> Iterator[tuple[Any, BatchLoss]]:
    own = waiting[processes.rank] if processes.rank < len(waiting) else []
    found = [replace(result, state=None) for _, result in _computed(model, own)]
    for batches, results in zip(waiting, processes.gather(found), strict=False):
        yield from zip(batches, results, strict=True)


def _computed(model: Judged, batches: Iterable[Any]) -> Iterator[tuple[Any, BatchLoss]]:
    state = None
    for batch in batches:
        result = model.batch_loss(batch, state if batch.continues else None)
        state = result.state
        yield batch, replace(result, state=None)


def _means(results: list[BatchLoss], shares: dict[str, float]) -> dict[str, float]:
    """Return the loss over all batches, and that of each of several heads, which have ``shares`` in it."""

    def mean(values: list[float], weights: list[float]) -> float:
        total = math.fsum(weights)
        return math.fsum(v * w for v, w in zip(values, weights, strict=True)) / total if total else 0.0

    if not results:
        return {"loss": 0.0}
    heads = {
        name: mean([r.losses[name] for r in results], [r.weights[name] for r in results]) for name in results[0].losses
    }
    if all(len(set(r.weights.values())) == 1 for r in results):
        loss = mean([r.loss for r in results], [r.weight for r in results])
    else:
        loss = math.fsum(shares[name] * own for name, own in heads.items())
    return {"loss": loss, **{f"{name}_loss": own for name, own in heads.items() if name}}

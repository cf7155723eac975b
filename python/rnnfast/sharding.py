"""The gradient of a step as a sum over fixed parts of its batches, which several processes may make."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Float64
from rnnfast.data import Batch, deal, part_of
from rnnfast.params import Parameter
from rnnfast.processes import Processes
from rnnfast.stepping import BatchLoss, Learner, Totals, check_loss

SHARDS = 8


class Divisible(Learner, Protocol):
    """What the gradient of parts needs of a model."""

    def parameters(self) -> dict[str, Parameter]: ...  # noqa: D102

    def random_state(self) -> dict[str, Any]: ...  # noqa: D102

    def set_random_state(self, state: Mapping[str, Any]) -> None: ...  # noqa: D102

    @property
    def loss_shares(self) -> dict[str, float]: ...  # noqa: D102


class Sharding:
    """How batches are cut into parts, and whose they are.

    The gradient of each part is a vector of its own, and all are added in one tree. Nothing of that depends on the
    number of processes, so that the trained parameters are the same bits for any.

    Parameters
    ----------
    shards : int or None
        Parts of a batch; None stands for 8.
    processes : Processes
        At most as many as there are parts.

    Raises
    ------
    ValueError
        More processes than parts.
    """

    def __init__(self, shards: int | None, processes: Processes) -> None:
        self.shards = SHARDS if shards is None else checks.as_size("shards", shards)
        if processes.size > self.shards:
            raise ValueError(
                f"shards: at least one part for every process ({processes.size}) is required, got {self.shards}"
            )
        self.processes = processes
        self.own = processes.share(self.shards)

    def gradient(self, model: Divisible, batches: list[Any], state: Any, place: str) -> list[BatchLoss]:
        """Give every parameter the gradient of all parts; see ``stepping.gradient``.

        The state that is returned is that of this process's own parts; see ``whole_state``.
        """
        dealt = [deal(batch, self.shards) for batch in batches]
        weights = [model.batch_weights(batch) for batch in batches]
        totals, random = Totals.of(batches, weights), model.random_state()
        params = list({id(p): p for p in model.parameters().values()}.values())
        rows, vectors, last = [], list[Array](), _Merged()
        for part in self.own:
            model.zero_grad()
            model.set_random_state(random)
            chosen = [parts == part for parts in dealt]
            found = _part(model, list(map(part_of, batches, chosen)), totals, state)
            vectors.append(np.concatenate([p.grad.ravel() for p in params]))
            rows.append([number for each in zip(found, weights, strict=True) for number in _losses(*each)])
            last.take(found[-1].state, chosen[-1])
        losses = self._of_all(np.array(rows), batches).reshape(self.shards, len(batches), -1)
        results = [_joined(model, own, losses[:, i], last.state) for i, own in enumerate(weights)]
        for result in results:
            check_loss(result.loss, place)
        total = self.processes.sum(vectors, self.shards)
        ends = np.cumsum([p.grad.size for p in params])
        for p, own in zip(params, np.split(total, ends[:-1]), strict=True):
            p.grad[...] = own.reshape(p.shape)
        return results

    def _of_all(self, own: Float64, batches: list[Any]) -> Float64:
        """Return the rows (parts, K) of all parts; ValueError where another process has other batches."""
        if self.processes.size == 1:
            return own
        mark = 0
        for batch in batches:
            for array in (batch.sizes, *batch.targets.values()):
                mark = zlib.crc32(array.tobytes(), mark)
        marks = np.full((len(own), 1), float(mark))
        every = self.processes.rows(np.concatenate([own, marks], axis=1), self.shards)
        others = np.flatnonzero(every[:, -1] != mark)
        if len(others):
            rank = next(r for r in range(self.processes.size) if others[0] in self.processes.share(self.shards, r))
            raise ValueError(f"communicator: the same data in all processes are required, got others in process {rank}")
        return every[:, :-1]

    def whole_state(self, state: Any, batch: Batch) -> Any:
        """Return the state of all parts of ``batch``; ``state`` is that of this process's own."""
        if state is None or self.processes.size == 1:
            return state
        dealt = deal(batch, self.shards)
        whole = _Merged()
        for rank, given in enumerate(self.processes.gather(state)):
            whole.take(given, np.isin(dealt, list(self.processes.share(self.shards, rank))))
        return whole.state


def _part(model: Learner, parts: list[Any], totals: Totals, state: Any) -> list[BatchLoss]:
    """Add the gradients of a part of each batch."""
    found = list[BatchLoss]()
    for part in parts:
        shares = totals.shares(part, model.batch_weights(part))
        result = model.batch_loss(part, state if part.continues else None, gradient=True, shares=shares)
        found.append(replace(result, outputs={}))
        state = result.state
    return found


def _losses(part: BatchLoss, weights: dict[str, float]) -> list[float]:
    """Return the shares that a part of a batch with these ``weights`` has in the heads' losses, and its penalty."""
    heads = [loss * part.weights[head] / (weights[head] or 1.0) for head, loss in part.losses.items()]
    return [*heads, part.penalty]


def _joined(model: Divisible, weights: dict[str, float], losses: Float64, state: Any) -> BatchLoss:
    """Return what the parts of a batch, whose ``_losses`` are rows, are together."""
    *each, penalty = [math.fsum(column) for column in losses.T.tolist()]
    heads = dict(zip(weights, each, strict=True))
    loss = sum([own * model.loss_shares[head] for head, own in heads.items()])
    return BatchLoss(loss=loss + penalty, losses=heads, weights=weights, outputs={}, state=state, penalty=penalty)


def as_sharding(shards: Any, communicator: Any) -> tuple[Processes, Sharding | None]:
    """Return the processes of what ``fit`` was given, and how batches are cut; None for whole ones."""
    processes = Processes(communicator)
    whole = shards is None and communicator is None
    return processes, None if whole else Sharding(shards, processes)


class _Merged:
    """States (L, N, H) of chosen sequences, put together; ``state`` is one array, a tuple of several, or None."""

    def __init__(self) -> None:
        self.state: Any = None

    def take(self, state: Any, chosen: Array) -> None:
        """Take over the states of the ``chosen`` sequences, bool (N,)."""
        if state is None:
            return
        if self.state is None:
            self.state = tuple(map(np.zeros_like, state)) if isinstance(state, tuple) else np.zeros_like(state)
        pairs = zip(self.state, state, strict=True) if isinstance(state, tuple) else [(self.state, state)]
        for own, part in pairs:
            own[:, chosen] = part[:, chosen]

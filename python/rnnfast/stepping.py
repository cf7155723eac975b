"""How batches become steps: gradients that accumulate, clipping, the optimiser's step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.optim import Optimizer, clip_grad_norm, clip_grad_value

_ADVICE = "the parameters are those before this step (check the data, lower lr, set clip_norm)"


@dataclass(frozen=True, kw_only=True)
class BatchLoss:
    """What a model computes of a batch.

    Attributes
    ----------
    loss : float
        Weighted mean over the batch's target elements; the weighted sum over the heads, where there are several. With a
        gradient also the penalties, which count in training only.
    losses : dict of str to float
        The mean of each head.
    weights : dict of str to float
        Of each head the number of target elements, or the sum of their weights.
    outputs : dict of str to ndarray (M, K)
        The outputs of each head; a single head has the name "".
    state : states of the recurrent layers at the end, for a batch that continues this one
    penalty : float
        The penalties' part of the loss.
    """

    loss: float
    losses: dict[str, float]
    weights: dict[str, float]
    outputs: dict[str, Array]
    state: Any
    penalty: float = 0.0

    @property
    def weight(self) -> float:
        """The largest weight of a head: 0 where no head has a target."""
        return max(self.weights.values())


@dataclass(frozen=True)
class Shares:
    """What a batch contributes to a step over several of them.

    Attributes
    ----------
    heads : dict of str to float
        The share that each head's target elements have in all of them.
    sequences : float
        The share of the sequences.
    """

    heads: dict[str, float]
    sequences: float


@dataclass(frozen=True)
class Totals:
    """What the batches of a step have together: by head the weight of target elements; and sequences."""

    heads: dict[str, float]
    sequences: int

    @classmethod
    def of(cls, batches: Sequence[Any], weights: Sequence[Mapping[str, float]]) -> Totals:
        """Return those of batches, whose heads have these ``weights``."""
        heads = {head: math.fsum(own[head] for own in weights) for head in weights[0]}
        return cls(heads, sum(len(batch.inputs) for batch in batches if batch.count))

    def shares(self, batch: Any, weights: Mapping[str, float]) -> Shares:
        """Return what a batch contributes."""
        heads = {head: weights[head] / total if total else 0.0 for head, total in self.heads.items()}
        return Shares(heads, len(batch.inputs) / max(1, self.sequences))


class Learner(Protocol):
    """What a step needs of a model."""

    def zero_grad(self) -> None: ...  # noqa: D102

    def batch_weights(self, batch: Any) -> dict[str, float]: ...  # noqa: D102

    def batch_loss(  # noqa: D102
        self, batch: Any, state: Any = None, *, gradient: bool = False, shares: Shares | None = None
    ) -> BatchLoss: ...


class Stepping:
    """How the batches of an epoch become steps.

    Parameters
    ----------
    accumulate : int
        Batches with targets of a step.
    clip_norm, clip_value : float or None
        Bounds of the gradient: of its norm, and of each element.
    """

    def __init__(self, *, accumulate: int, clip_norm: float | None, clip_value: float | None) -> None:
        self.accumulate = checks.as_size("accumulate", accumulate)
        self.clip_norm = None if clip_norm is None else checks.above_zero("clip_norm", clip_norm)
        self.clip_value = None if clip_value is None else checks.above_zero("clip_value", clip_value)

    def steps(self, batches: int) -> int:
        """Return the number of steps that so many batches make."""
        return -(-batches // self.accumulate)

    def groups(self, batches: Iterator[Any]) -> Iterator[list[Any]]:
        """Yield the batches of each step: ``accumulate`` of them that have targets, fewer at the end of the epoch.

        Batches without a target, which only move the state on, come along, or alone where a step would begin with them.
        """
        if self.accumulate == 1:
            yield from ([batch] for batch in batches)
        group: list[Any] = []
        full = 0
        for batch in batches:
            group.append(batch)
            full += batch.count > 0
            if full in (0, self.accumulate):
                yield group
                group, full = [], 0
        if group:
            yield group

    def clip(self, optimizer: Optimizer, place: str) -> None:
        """Clip the gradients, by value first, so that the norm holds afterwards; ``place`` is for messages."""
        params = optimizer.params or {}
        if self.clip_value is not None:
            _check_finite("gradient's norm", clip_grad_norm(params, math.inf), place)
            clip_grad_value(params, self.clip_value)
        if self.clip_norm is not None:
            _check_finite("gradient's norm", clip_grad_norm(params, self.clip_norm), place)


def gradient(model: Learner, batches: list[Any], state: Any, place: str) -> list[BatchLoss]:
    """Give every parameter the gradient that the batches have when they are joined to one.

    That is the gradient of the heads' losses, each the mean over its target elements of all batches, and of penalties,
    each the mean over the sequences. A batch that
    continues another one begins with that one's final state; ``state`` is what was before the first.
    """
    model.zero_grad()
    results = list[BatchLoss]()
    for batch, shares in zip(batches, _shares(model, batches), strict=True):
        result = model.batch_loss(batch, state if batch.continues else None, gradient=True, shares=shares)
        check_loss(result.loss, place)
        state = result.state
        results.append(replace(result, outputs={}))
    return results


def _shares(model: Learner, batches: list[Any]) -> list[Shares | None]:
    """Return what each batch contributes; None for a single one."""
    if len(batches) == 1:
        return [None]
    weights = [model.batch_weights(batch) for batch in batches]
    totals = Totals.of(batches, weights)
    return [totals.shares(batch, own) for batch, own in zip(batches, weights, strict=True)]


def check_loss(loss: float, place: str) -> None:
    """Raise FloatingPointError unless the loss is finite."""
    _check_finite("loss", loss, place)


def take_step(optimizer: Optimizer, place: str) -> None:
    """Let the optimiser take its step; its error says where."""
    try:
        optimizer.step()
    except FloatingPointError as error:
        raise FloatingPointError(f"fit: {error}, {place}; {_ADVICE}") from error


def _check_finite(name: str, value: float, place: str) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(f"fit: a finite {name} is required, got {value} {place}; {_ADVICE}")

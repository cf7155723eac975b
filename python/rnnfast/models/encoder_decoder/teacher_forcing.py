"""What the decoder reads in training: true elements, or its own predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.data import PairBatch
from rnnfast.models.encoder_decoder.network import EncoderDecoderNetwork
from rnnfast.models.generation import write_on
from rnnfast.models.rows import as_rows
from rnnfast.optim import LearningRate
from rnnfast.params import Module, Parameter
from rnnfast.sampling import WritingOptions
from rnnfast.schedules import Rate
from rnnfast.train import Run


class TeacherForcing(Module):
    """Replaces elements that the decoder reads by its own predictions, each with probability 1 - ratio.

    A prediction is the likeliest element, made of what the decoder has read so far, predictions included (Bengio et al.
    2015). It is made step by step and without dropout, before the pass that learns; that pass then reads true elements
    and predictions alike, so that no gradient goes through a prediction.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws which elements are replaced.

    Attributes
    ----------
    ratio : float
        1 outside of ``following``.

    References
    ----------
    S. Bengio et al., "Scheduled sampling for sequence prediction with recurrent neural networks", NeurIPS (2015).
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.ratio = 1.0

    def parameters(self) -> dict[str, Parameter]:
        """Return nothing: no parameter decides what is read."""
        return {}

    def random_state(self) -> dict[str, Any]:
        """Return the state of the generator."""
        return {"generator": self.rng.bit_generator.state}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the state of the generator; a state of an earlier version has none."""
        if "generator" in state:
            self.rng.bit_generator.state = state["generator"]

    @contextmanager
    def following(self, ratio: LearningRate) -> Iterator[Callable[[Run], None]]:
        """Return what sets the ratio before every step of a training; at the end it is 1 again."""
        rate = Rate("teacher_forcing", ratio, check=_as_probability)

        def before_step(run: Run) -> None:
            rate.end_with(steps=run.steps, epochs=run.epochs)
            rate.move(step=run.step, epoch=run.epoch - 1)
            self.ratio = rate.value

        try:
            yield before_step
        finally:
            self.ratio = 1.0

    def mixed(self, network: EncoderDecoderNetwork, batch: PairBatch) -> PairBatch:
        """Return the batch with what the decoder reads."""
        if self.ratio == 1:
            return batch
        place = batch.place
        drawn = self.rng.random(batch.inputs.count if place is None else place.all_steps)
        own = (drawn if place is None else drawn[place.steps]) >= self.ratio
        if not own.any():
            return batch
        there = np.flatnonzero(batch.inputs.lengths)
        some = replace(batch, inputs=batch.inputs.select(there), sources=batch.sources.select(there))
        read, chosen = some.inputs.padded().copy(), some.inputs.pad(own)
        read[:, 1:] = _written(network, some, read, chosen)
        exists = np.arange(some.inputs.steps) < some.inputs.lengths[:, None]
        return replace(batch, inputs=batch.inputs.like(read[exists]))


def _as_probability(name: str, value: Any) -> float:
    return checks.as_number(name, value, "a probability within [0, 1]", lambda p: 0 <= p <= 1)


def _written(network: EncoderDecoderNetwork, batch: PairBatch, read: Array, own: Array) -> Array:
    """Return what stands behind the first element of ``read`` (N, T, ...), with predictions where ``own`` (N, T)."""
    memory, state = network.read(batch.sources)
    ids = network.framing.ids
    attention = network.attending(batch.sources.like(memory), function=not ids or network.decoder.custom)
    if not ids:
        return _vectors(network, state, attention, read, own)
    _, state = network.decoder.infer(network.framing.first(len(read)), state)
    prefix = np.ascontiguousarray(np.where(own, -1, read)[:, 1:])
    options, head = WritingOptions(length=prefix.shape[1], greedy=True, seed=0), network.heads.parts[""]
    return write_on(network.decoder, head, network.task, state, options, prefix, attention)[0]


def _vectors(network: EncoderDecoderNetwork, state: Any, attention: Any, read: Array, own: Array) -> Array:
    """Return vectors step by step; the engine forces ids only."""
    found, x = [], read[:, :1]
    for t in range(1, read.shape[1]):
        h, state = network.decoder.infer(as_rows(np.ascontiguousarray(x)), state)
        outputs = network.heads.parts[""](h if attention is None else attention(h))
        predicted = network.task.decide(outputs).astype(read.dtype)
        x = np.where(own[:, t, None], predicted, read[:, t])[:, None]
        found.append(x)
    return np.concatenate(found, axis=1)

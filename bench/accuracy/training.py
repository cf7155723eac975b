"""One recorded configuration, and a model trained by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import rnnfast as rf
from bench.accuracy.metrics import Part
from bench.accuracy.task import Data, Task
from rnnfast.train import Run

SHAPES: Mapping[str, Callable[[float], float]] = {
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}
"""What the learning rate is multiplied by when this share of the training is done."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """How a model is made and trained.

    ``model`` and ``fit`` are arguments of the model and of its ``fit``. The learning rate rises to ``lr`` over the
    first ``warm_up`` of the training and then falls as ``fall`` says. ``memory`` is T of ``remember``.
    """

    model: Mapping[str, Any]
    epochs: int
    batch_size: int
    lr: float
    clip_norm: float = 1.0
    warm_up: float = 0.02
    fall: str = "linear"
    optimizer: type[Any] = rf.Adam
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    memory: int | None = None

    def trained(self, task: Task, data: Data, part: Part, *, seed: int) -> Any:
        """Return a model that has learned from the part."""
        model = task.model(*data.sizes, **self.model, seed=seed)
        if self.memory is not None:
            remember(model.rnn, self.memory, np.random.default_rng(seed))
        model.fit(
            *part.arguments,
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer(lr=self.lr, **self.optimizer_options),
            clip_norm=self.clip_norm,
            callbacks=Schedule(self),
            seed=seed,
            progress=False,
            **self.fit,
        )
        return model


@dataclass(frozen=True, kw_only=True)
class Forecasting(Configuration):
    """How a forecaster is made and trained: ``model`` are its options beside those that are named here."""

    def trained(self, task: Task, data: Data, part: Part, *, seed: int) -> Any:
        """Return a forecaster that has learned from the part."""
        options = {"epochs": self.epochs, "batch_size": self.batch_size, "lr": self.lr, "clip_norm": self.clip_norm}
        model = task.model(**self.model, **options, validation=0.0, seed=seed)
        return model.fit(*part.arguments, callbacks=Schedule(self), progress=False, **self.fit)


class Schedule(rf.Callback):
    """Set the learning rate before each step."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration

    def on_train_begin(self, run: Run) -> None:
        """Set the rate of the first step."""
        self.on_step_end(run)

    def on_step_end(self, run: Run) -> None:
        """Set the rate of the next step."""
        c, steps = self.configuration, run.epochs * run.batches
        rising = (run.step + 1) / (c.warm_up * steps + 1)
        run.optimizer.lr = c.lr * min(1.0, rising) * SHAPES[c.fall](min(run.step / steps, 1.0))


def remember(layer: rf.LSTM, T: int, rng: np.random.Generator) -> None:
    """Let each unit of the first layer of an LSTM remember 1 to T steps at first (Tallec and Ollivier 2018, "chrono").

    ``b_f = log u``, ``b_i = -log u``, where u is uniform on [1, T - 1).
    """
    H, parameters = layer.hidden_size, layer.parameters()
    log_u = np.log(rng.uniform(1, T - 1, H))
    parameters["bias_ih_l0"][: 2 * H] = np.r_[-log_u, log_u]
    parameters["bias_hh_l0"][: 2 * H] = 0.0

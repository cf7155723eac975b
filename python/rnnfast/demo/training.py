"""What the tasks share: learning rate, measurements during training, comparison with NumPy, hidden states."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from rnnfast.demo.results import Curve
from rnnfast.optim import Adam, clip_grad_norm
from rnnfast.train import Callback, Run

Array = npt.NDArray[Any]
WARM_UP = 0.02


class Decay(Callback):
    """Raise the learning rate over the first 2 % of ``steps``, then lower it linearly to 0."""

    def __init__(self, lr: float, steps: int) -> None:
        self.lr = lr
        self.steps = steps

    def on_train_begin(self, run: Run) -> None:
        """Set the rate of the first step."""
        self.on_step_end(run)

    def on_step_end(self, run: Run) -> None:
        """Set the rate of the next step."""
        done = run.step / self.steps
        run.optimizer.lr = self.lr * min((run.step + 1) / (WARM_UP * self.steps + 1), 1.0, max(1.0 - done, 0.0))


class Recorder(Callback):
    """Measure the model ``times`` times during its training, the last time at the end.

    Attributes
    ----------
    at, values : list of float
        The fractions of the training that were done, and the measurements.
    seconds : float
        The time that the measurements took.
    """

    def __init__(self, measure: Callable[[], float], *, times: int, steps: int) -> None:
        self.measure = measure
        self.every = max(1, -(-steps // times))
        self.steps = steps
        self.at: list[float] = []
        self.values: list[float] = []
        self.seconds = 0.0

    def on_step_end(self, run: Run) -> None:
        """Measure at the chosen steps."""
        if run.step % self.every == 0 or run.step == self.steps:
            start = time.perf_counter()
            self.at.append(run.step / self.steps)
            self.values.append(self.measure())
            self.seconds += time.perf_counter() - start

    def curve(self, name: str, scale: float = 1.0) -> Curve:
        """Return the measurements as a curve over the fraction of the training, times ``scale``."""
        return Curve(name=name, x=[scale * a for a in self.at], y=self.values)


class Trainer:
    """Training step by step through the public methods, with the steps of ``fit``.

    Parameters
    ----------
    model : a model
        It is trained.
    lr, clip_norm : float
        Learning rate, and the largest norm of the gradient.
    """

    def __init__(self, model: Any, *, lr: float, clip_norm: float) -> None:
        self.model = model
        self.clip_norm = clip_norm
        self.optimizer = Adam(model.parameters(), lr=lr)

    def step(self, *data: Any, **options: Any) -> float:
        """Return the loss before the step; arguments are those of ``loss_and_grad``."""
        self.model.zero_grad()
        loss: float = self.model.loss_and_grad(*data, **options)
        clip_grad_norm(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss


def check_same_loss(ours: float, by_numpy: float) -> None:
    """Check that the two losses agree; the tasks call it before anything is timed.

    Raises
    ------
    ArithmeticError
        If they differ by more than a thousandth.
    """
    if not abs(ours - by_numpy) <= 1e-3 * abs(ours):
        raise ArithmeticError(f"NumPy's loss: that of the model = {ours:.6g} is required, got {by_numpy:.6g}")


def hidden_states(model: Any, ids: Array) -> Array:
    """Return h (T, H) of a model of one layer that reads ``ids`` (T,)."""
    h: Array = model.trace([ids]).h[0][0]
    return h

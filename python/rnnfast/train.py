"""The training loop: batches, steps, validation, callbacks, history."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.callbacks import Callback, as_callbacks
from rnnfast.copies import CopiedWhole
from rnnfast.optim import Optimizer, clip_grad_norm, optimizer_for
from rnnfast.params import Parameter

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class BatchLoss:
    """What a model says of a batch.

    Attributes
    ----------
    loss : float
        Weighted mean over the batch's target elements.
    weight : float
        Their number, or the sum of their weights.
    outputs : ndarray (M, K)
    state : state of the recurrent layers at the end, for a batch that continues this one
    """

    loss: float
    weight: float
    outputs: Array
    state: Any


class Piece(Protocol):
    """A batch; ``continues`` asks for the state of the one before."""

    @property
    def continues(self) -> bool: ...  # noqa: D102


class Data(Protocol):
    """Batches, in an order that ``rng`` decides."""

    def __len__(self) -> int: ...

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Any]: ...  # noqa: D102


class Trainable(Protocol):
    """What ``fit`` needs of a model; it sets ``history``."""

    history: History

    def parameters(self) -> dict[str, Parameter]: ...  # noqa: D102

    def zero_grad(self) -> None: ...  # noqa: D102

    def batch_loss(self, batch: Any, state: Any = None, *, gradient: bool = False) -> BatchLoss: ...  # noqa: D102

    def batch_metrics(self, batch: Any, outputs: Array) -> dict[str, float]: ...  # noqa: D102


@dataclass
class History(CopiedWhole):
    """One value an epoch of every quantity.

    Attributes
    ----------
    history : dict
        ``history["loss"]``, ``history["val_loss"]``, ``history["val_accuracy"]``, ...

    Examples
    --------
    >>> h = History()
    >>> h.append({"loss": 0.5})
    >>> h.history
    {'loss': [0.5]}
    """

    history: dict[str, list[float]] = field(default_factory=dict)

    def append(self, logs: dict[str, float]) -> None:
        """Add the values of an epoch."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


@dataclass
class Run:
    """A running ``fit``, as callbacks see it.

    Attributes
    ----------
    model, optimizer, history
        What is trained, by what, and the epochs so far.
    epochs, epoch : int
        Their number and the current one, from 1.
    step : int
        Completed batches, over all epochs.
    logs : dict
        ``loss`` so far in this epoch; after it, also the validation's values.
    stop : bool
        Set it to end training after this epoch.
    """

    model: Any
    optimizer: Optimizer
    history: History
    epochs: int
    epoch: int = 0
    step: int = 0
    logs: dict[str, float] = field(default_factory=dict)
    stop: bool = False

    @property
    def place(self) -> str:
        """Where training stands, for messages."""
        return f"in epoch {self.epoch}, after {self.step} steps"


def fit(
    model: Trainable,
    data: Data,
    *,
    epochs: int,
    optimizer: str | Optimizer = "adam",
    lr: float | None = None,
    clip_norm: float | None = None,
    validation: Data | None = None,
    callbacks: Callback | Sequence[Callback] = (),
    progress: bool = True,
    shuffle: bool = True,
    seed: int | None = None,
) -> History:
    """Train ``model`` on ``data``.

    An exception, ``KeyboardInterrupt`` included, leaves parameters and optimiser as after the last completed
    step, or as a callback leaves them that acts on it (``EarlyStopping`` restores the best ones). ``model.history``
    holds the completed epochs from the first one on, also then.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        The loss or a gradient is not finite, or a parameter would not be after the step; the step is not taken.
    """
    epochs, seed = checks.as_integer("epochs", epochs, least=0), checks.as_seed(seed)
    shuffle, progress = checks.as_flag("shuffle", shuffle), checks.as_flag("progress", progress)
    clip_norm = None if clip_norm is None else checks.above_zero("clip_norm", clip_norm)
    called = as_callbacks(callbacks)
    bound = optimizer_for(optimizer, model.parameters(), lr)
    run = Run(model=model, optimizer=bound, history=History(), epochs=epochs)
    model.history = run.history
    rng = np.random.default_rng(seed) if shuffle else None
    with _Progress(total=epochs * len(data), shown=progress) as bar, _telling(called, run):
        _each(called, "on_train_begin", run)
        while run.epoch < epochs and not run.stop:
            run.epoch += 1
            _each(called, "on_epoch_begin", run)
            _train_epoch(run, data, rng, clip_norm, called, bar)
            if validation is not None:
                run.logs.update({f"val_{k}": v for k, v in evaluate(model, validation).items()})
            run.history.append(run.logs)
            bar.show(run, 0)
            _each(called, "on_epoch_end", run)
        _each(called, "on_train_end", run)
    return run.history


@contextmanager
def _telling(callbacks: Sequence[Callback], run: Run) -> Iterator[None]:
    """Let every callback act on an exception that ends training."""
    try:
        yield
    except BaseException:
        _each(callbacks, "on_train_error", run)
        raise


def evaluate(model: Trainable, data: Data) -> dict[str, float]:
    """Return the loss and the metrics of ``model`` over ``data``, without dropout.

    Each is the mean over all target elements, whatever batches they sit in.
    """
    sums: dict[str, list[float]] = {"loss": []}
    weights: list[float] = []
    state = None
    for batch in data.batches():
        result = model.batch_loss(batch, state if batch.continues else None)
        state = result.state
        weights.append(result.weight)
        values = {"loss": result.loss, **model.batch_metrics(batch, result.outputs)}
        for name, value in values.items():
            sums.setdefault(name, []).append(value * result.weight)
    total = math.fsum(weights)
    return {name: math.fsum(values) / total if total else 0.0 for name, values in sums.items()}


def _train_epoch(
    run: Run,
    data: Data,
    rng: np.random.Generator | None,
    clip_norm: float | None,
    callbacks: Sequence[Callback],
    bar: _Progress,
) -> None:
    state, total, weight = None, 0.0, 0.0
    run.logs = {"loss": 0.0}
    for batch in data.batches(rng):
        run.model.zero_grad()
        result = run.model.batch_loss(batch, state if batch.continues else None, gradient=True)
        state = result.state
        _check_finite("loss", result.loss, run)
        if result.weight > 0:
            if clip_norm is not None:
                _check_finite("gradient's norm", clip_grad_norm(run.optimizer.params or {}, clip_norm), run)
            _step(run)
        run.step += 1
        total += result.loss * result.weight
        weight += result.weight
        run.logs["loss"] = total / weight if weight else 0.0
        bar.show(run, 1)
        _each(callbacks, "on_step_end", run)


_ADVICE = "the parameters are those before this step (check the data, lower lr, set clip_norm)"


def _check_finite(name: str, value: float, run: Run) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(f"fit: a finite {name} is required, got {value} {run.place}; {_ADVICE}")


def _step(run: Run) -> None:
    try:
        run.optimizer.step()
    except FloatingPointError as error:
        raise FloatingPointError(f"fit: {error}, {run.place}; {_ADVICE}") from error


def _each(callbacks: Sequence[Callback], event: str, run: Run) -> None:
    for callback in callbacks:
        getattr(callback, event)(run)


class _Progress:
    """A tqdm bar over all steps, or nothing."""

    def __init__(self, *, total: int, shown: bool) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(total=total, unit="step", dynamic_ncols=True, disable=not shown)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, run: Run, steps: int) -> None:
        """Move on by ``steps`` and show the values of the moment."""
        if not self._bar.disable:
            self._bar.set_description(f"epoch {run.epoch}/{run.epochs}", refresh=False)
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in run.logs.items()}, refresh=steps == 0)
            self._bar.update(steps)

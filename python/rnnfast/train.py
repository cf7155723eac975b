"""The training loop: batches, steps, validation, callbacks, history."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.atomic import StrPath
from rnnfast.callbacks import Callback, as_callbacks
from rnnfast.metrics import Metric, Metrics
from rnnfast.optim import Optimizer, clip_grad_norm, optimizer_for
from rnnfast.run import History, Run, Trained, TrainingState

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class BatchLoss:
    """What a model computes of a batch.

    Attributes
    ----------
    loss : float
        Weighted mean over the batch's target elements; the weighted sum over the heads, where there are several.
    losses : dict of str to float
        The mean of each head.
    weight : float
        Number of target elements, or the sum of their weights.
    outputs : dict of str to ndarray (M, K)
        The outputs of each head; a single head has the name "".
    state : states of the recurrent layers at the end, for a batch that continues this one
    """

    loss: float
    losses: dict[str, float]
    weight: float
    outputs: dict[str, Array]
    state: Any


class Batch(Protocol):
    """A part of the data. ``continues``: it begins with the states in which the batch before ended."""

    @property
    def continues(self) -> bool: ...  # noqa: D102

    @property
    def targets(self) -> Mapping[str, Array]: ...  # noqa: D102

    @property
    def weights(self) -> Array | None: ...  # noqa: D102


class Data(Protocol):
    """Batches, in an order that ``rng`` decides."""

    def __len__(self) -> int: ...

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Any]: ...  # noqa: D102


class Trainable(Trained, Protocol):
    """What training needs of a model."""

    def zero_grad(self) -> None: ...  # noqa: D102

    def batch_loss(self, batch: Any, state: Any = None, *, gradient: bool = False) -> BatchLoss: ...  # noqa: D102

    def metrics(self) -> dict[str, list[Metric]]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The arguments of ``fit`` that all models share; see ``ManyToOne.fit``."""

    epochs: int
    optimizer: str | Optimizer
    lr: float | None
    clip_norm: float | None
    metrics: Any
    callbacks: Callback | Sequence[Callback]
    progress: bool
    shuffle: bool
    seed: int | None
    resume: TrainingState | StrPath | None


def fit(model: Trainable, data: Data, options: TrainingOptions, validation: Data | None = None) -> History:
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
    epochs, seed = checks.as_integer("epochs", options.epochs, least=0), checks.as_seed(options.seed)
    shuffle, progress = checks.as_flag("shuffle", options.shuffle), checks.as_flag("progress", options.progress)
    clip_norm = None if options.clip_norm is None else checks.above_zero("clip_norm", options.clip_norm)
    callbacks = as_callbacks(options.callbacks)
    metrics = Metrics(model.metrics(), options.metrics)
    state = _state(options.resume)
    run = Run(
        model=model,
        optimizer=optimizer_for(options.optimizer, model.parameters(), options.lr),
        history=History(),
        epochs=epochs,
        rng=np.random.default_rng(seed) if shuffle else None,
        callbacks=callbacks,
        higher_is_better=metrics.directions,
    )
    model.history = run.history
    with _Progress(total=epochs * len(data), shown=progress) as bar, _telling(run):
        _each(run, "on_train_begin")
        if state is not None:
            run.resume(state)
            bar.skip(run)
        while (run.epoch < epochs or run.batch) and not run.stop:
            _train_epoch(run, data, clip_norm, bar)
            if validation is not None:
                run.logs.update({f"val_{k}": v for k, v in evaluate(model, validation, metrics).items()})
            run.end_epoch()
            bar.show(run, 0)
            _each(run, "on_epoch_end")
        _each(run, "on_train_end")
    return run.history


def evaluate(model: Trainable, data: Data, metrics: Any = ()) -> dict[str, float]:
    """Return the loss and the metrics of ``model`` over ``data``, without dropout.

    The loss is the mean over all target elements, whatever batches they sit in. Several heads have a loss each.
    """
    accumulated = metrics if isinstance(metrics, Metrics) else Metrics(model.metrics(), metrics)
    accumulated.reset()
    sums: dict[str, list[float]] = {"loss": []}
    weights: list[float] = []
    state = None
    for batch in data.batches():
        result = model.batch_loss(batch, state if batch.continues else None)
        state = result.state
        weights.append(result.weight)
        heads = {f"{name}_loss": loss for name, loss in result.losses.items() if name}
        for name, value in {"loss": result.loss, **heads}.items():
            sums.setdefault(name, []).append(value * result.weight)
        accumulated.update(result.outputs, batch.targets, batch.weights)
    total = math.fsum(weights)
    means = {name: math.fsum(values) / total if total else 0.0 for name, values in sums.items()}
    return means | accumulated.results()


def _state(resume: Any) -> TrainingState | None:
    if resume is None or isinstance(resume, TrainingState):
        return resume
    return TrainingState.read(checks.as_path("resume", resume))


@contextmanager
def _telling(run: Run) -> Iterator[None]:
    """Let every callback act on an exception that ends training."""
    try:
        yield
    except BaseException:
        _each(run, "on_train_error")
        raise


def _train_epoch(run: Run, data: Data, clip_norm: float | None, bar: _Progress) -> None:
    done = run.begin_epoch()
    if done == 0:
        _each(run, "on_epoch_begin")
    for batch in islice(data.batches(run.rng), done, None):
        run.model.zero_grad()
        result = run.model.batch_loss(batch, run.carried if batch.continues else None, gradient=True)
        _check_finite("loss", result.loss, run)
        if result.weight > 0:
            _each(run, "on_gradient")
            if clip_norm is not None:
                _check_finite("gradient's norm", clip_grad_norm(run.optimizer.params or {}, clip_norm), run)
            _step(run)
        run.carried = result.state
        run.add(result.loss, result.weight)
        bar.show(run, 1)
        _each(run, "on_step_end")


_ADVICE = "the parameters are those before this step (check the data, lower lr, set clip_norm)"


def _check_finite(name: str, value: float, run: Run) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(f"fit: a finite {name} is required, got {value} {run.place}; {_ADVICE}")


def _step(run: Run) -> None:
    try:
        run.optimizer.step()
    except FloatingPointError as error:
        raise FloatingPointError(f"fit: {error}, {run.place}; {_ADVICE}") from error


def _each(run: Run, event: str) -> None:
    for callback in run.callbacks:
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

    def skip(self, run: Run) -> None:
        """Count the steps of an earlier training as done."""
        self._bar.update(run.step)

    def show(self, run: Run, steps: int) -> None:
        """Move on by ``steps`` and show the current values."""
        if not self._bar.disable:
            self._bar.set_description(f"epoch {run.epoch}/{run.epochs}", refresh=False)
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in run.logs.items()}, refresh=steps == 0)
            self._bar.update(steps)

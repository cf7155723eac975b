"""The training loop: batches, steps, validation, callbacks, history."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, ClassVar, Protocol

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.atomic import StrPath
from rnnfast.copies import CopiedWhole
from rnnfast.metrics import Metric, Metrics
from rnnfast.optim import Optimizer, clip_grad_norm, optimizer_for
from rnnfast.params import Parameter, write_all
from rnnfast.tasks import Task
from rnnfast.training_state import TrainingState


@dataclass
class History(CopiedWhole):
    """One value per epoch of every quantity.

    Attributes
    ----------
    history : dict
        ``history["loss"]``, ``history["val_loss"]``, ``history["val_accuracy"]``, ...

    Examples
    --------
    >>> h = History()
    >>> h.append({"loss": 0.5})
    >>> h.history, h["loss"]
    ({'loss': [0.5]}, [0.5])
    """

    history: dict[str, list[float]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> list[float]:
        return self.history[name]

    def append(self, logs: dict[str, float]) -> None:
        """Add the values of an epoch."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


class Callback(CopiedWhole):
    """Base of all callbacks: override what is needed.

    ``run`` gives the model, the optimiser, the history, the epoch and the current values (see ``Run``);
    ``run.stop = True`` ends training after the epoch, and ``run.state()`` returns a ``TrainingState``.

    Examples
    --------
    >>> class Halve(Callback):
    ...     def on_epoch_end(self, run):
    ...         run.optimizer.lr /= 2
    """

    acts_last: ClassVar[bool] = False
    """Whether the callback acts on an exception after all others, because it changes the parameters."""

    def on_train_begin(self, run: Run) -> None:
        """Act before the first epoch."""

    def on_epoch_begin(self, run: Run) -> None:
        """Act before an epoch."""

    def on_gradient(self, run: Run) -> None:
        """Act between the gradient of a batch and the step: every ``p.grad`` is complete, and not yet clipped."""

    def on_step_end(self, run: Run) -> None:
        """Act after a step; ``run.logs["loss"]`` is the epoch's mean so far."""

    def on_epoch_end(self, run: Run) -> None:
        """Act after an epoch and its validation, whose values are in ``run.logs``."""

    def on_train_end(self, run: Run) -> None:
        """Act after the last epoch; not called when an exception ends training."""

    def on_train_error(self, run: Run) -> None:
        """Act when an exception ends training, KeyboardInterrupt included; the exception then goes on."""

    def state(self) -> dict[str, Any]:
        """Return what a ``TrainingState`` must keep of the callback: numbers, texts and arrays by name."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` returned, after ``on_train_begin``."""


def as_callbacks(callbacks: Any) -> list[Callback]:
    """Return the callbacks that ``fit`` was given, one or several, as a list; TypeError for anything else."""
    found = [callbacks] if isinstance(callbacks, Callback) else list(checks.as_items("callbacks", callbacks))
    for item in found:
        if not isinstance(item, Callback):
            hint = " (an object, not its class)" if isinstance(item, type) else ""
            raise TypeError(f"callbacks: a Callback, or several, is required{hint}, got {checks.shown(item)}")
    return found


@dataclass
class Run:
    """A running ``fit``, as callbacks see it.

    Parameters
    ----------
    model : Model
        What is trained.
    optimizer : Optimizer
        Bound to the model's parameters.
    history : History
        The completed epochs.
    epochs : int
        Number of epochs to train.
    rng : numpy.random.Generator or None
        Shuffles the data.
    callbacks : list of Callback
    higher_is_better : dict of str to bool
        The direction of every metric, by its name in ``evaluate``.
    batches : int
        Number of batches in an epoch.

    Attributes
    ----------
    epoch : int
        The current epoch, from 1.
    step, batch : int
        Completed batches, over all epochs and in this one.
    logs : dict
        ``loss`` so far in this epoch; after it, also the values of the validation.
    stop : bool
        Set it to end training after this epoch.
    carried
        The recurrent states that the next batch begins with, where it continues the one before.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> class Patient(rf.Callback):
    ...     def on_epoch_end(self, run):
    ...         run.stop = run.epoch == 2
    >>> model = rf.ManyToOne(3, 2, hidden_size=4, seed=0)
    >>> x, y = np.zeros((4, 5, 3)), [0, 1, 1, 0]
    >>> len(model.fit(x, y, epochs=9, callbacks=Patient(), progress=False).history["loss"])
    2
    """

    model: Any
    optimizer: Optimizer
    history: History
    epochs: int
    rng: np.random.Generator | None = None
    callbacks: list[Callback] = field(default_factory=list)
    higher_is_better: dict[str, bool] = field(default_factory=dict)
    epoch: int = field(default=0, init=False)
    step: int = field(default=0, init=False)
    batch: int = field(default=0, init=False)
    logs: dict[str, float] = field(default_factory=dict, init=False)
    stop: bool = field(default=False, init=False)
    carried: Any = field(default=None, init=False)
    batches: int = 0
    _loss: float = field(default=0.0, init=False)
    _weight: float = field(default=0.0, init=False)
    _shuffle: Any = field(default=None, init=False)
    _random: Any = field(default=None, init=False)

    @property
    def place(self) -> str:
        """Where training stands, for messages."""
        return f"in epoch {self.epoch}, after {self.step} steps"

    def begin_epoch(self) -> int:
        """Begin the next epoch, or go on with the one that a state was taken in; return its completed batches."""
        self._random = self.model.random_state()
        if self.batch == 0:
            self.epoch += 1
            self._loss = self._weight = 0.0
            self._shuffle = None if self.rng is None else self.rng.bit_generator.state
            self.logs = {"loss": 0.0}
        return self.batch

    def add(self, loss: float, weight: float) -> None:
        """Count a completed batch."""
        self.step += 1
        self.batch += 1
        self._loss += loss * weight
        self._weight += weight
        self.logs["loss"] = self._loss / self._weight if self._weight else 0.0
        self._random = self.model.random_state()

    def end_epoch(self) -> None:
        """Keep the values of the epoch in the history."""
        self.batch = 0
        self.carried = None
        self._shuffle = None if self.rng is None else self.rng.bit_generator.state
        self.history.append(self.logs)

    def state(self) -> TrainingState:
        """Return the state of the training after the last completed batch or epoch."""
        carried = self.carried
        parts = [] if carried is None else list(carried) if isinstance(carried, tuple) else [carried]
        return TrainingState(
            parameters={name: np.array(p.value) for name, p in self.model.parameters().items()},
            optimizer=self.optimizer.state_dict(),
            random={"shuffle": self._shuffle, "model": self._random},
            epoch=self.epoch,
            batch=self.batch,
            step=self.step,
            loss=self._loss,
            weight=self._weight,
            carried=[np.array(part) for part in parts],
            history={name: list(values) for name, values in self.history.history.items()},
            callbacks=[{"class": type(callback).__name__, **callback.state()} for callback in self.callbacks],
            batches=self.batches,
        )

    def resume(self, state: TrainingState) -> None:
        """Bring model, optimiser, random numbers, history and callbacks to where ``state`` was taken.

        Raises
        ------
        ValueError
            The state is that of another model, optimiser or number of callbacks; nothing is changed then.
        """
        params = self.model.parameters()
        wanted = {name: p.shape for name, p in params.items()}
        given = {name: array.shape for name, array in state.parameters.items()}
        if wanted != given:
            raise ValueError(f"resume: the state of a model with parameters {wanted} is required, got {given}")
        if state.batches != self.batches:
            raise ValueError(
                f"resume: data of {state.batches} batches per epoch are required, as the state was taken with, "
                f"got {self.batches}"
            )
        wanted_callbacks = [remembered["class"] for remembered in state.callbacks]
        given_callbacks = [type(callback).__name__ for callback in self.callbacks]
        if wanted_callbacks != given_callbacks:
            raise ValueError(
                f"resume: the callbacks {wanted_callbacks} of the state are required, got {given_callbacks}"
            )
        if (state.random["shuffle"] is None) != (self.rng is None):
            raise ValueError(f"resume: shuffle={self.rng is None} is required, as the state was taken with")
        self.optimizer.load_state_dict(state.optimizer)
        write_all(params.values(), [state.parameters[name] for name in params])
        self.model.set_random_state(state.random["model"])
        if self.rng is not None:
            self.rng.bit_generator.state = state.random["shuffle"]
        for callback, remembered in zip(self.callbacks, state.callbacks, strict=True):
            callback.set_state(remembered)
        self.history.history.update({name: list(values) for name, values in state.history.items()})
        self.epoch, self.batch, self.step = state.epoch, state.batch, state.step
        self._loss, self._weight, self._shuffle = state.loss, state.weight, state.random["shuffle"]
        carried = [np.array(part) for part in state.carried]
        self.carried = None if not carried else carried[0] if len(carried) == 1 else tuple(carried)
        self.logs = {"loss": self._loss / self._weight if self._weight and math.isfinite(self._weight) else 0.0}


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
    """

    loss: float
    losses: dict[str, float]
    weights: dict[str, float]
    outputs: dict[str, Array]
    state: Any

    @property
    def weight(self) -> float:
        """The largest weight of a head: 0 where no head has a target."""
        return max(self.weights.values())


class Data(Protocol):
    """Batches, in an order that ``rng`` decides."""

    def __len__(self) -> int: ...

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Any]: ...  # noqa: D102


class Trainable(Protocol):
    """What training needs of a model; it sets ``history``."""

    history: History

    def parameters(self) -> dict[str, Parameter]: ...  # noqa: D102

    def random_state(self) -> dict[str, Any]: ...  # noqa: D102

    def set_random_state(self, state: Mapping[str, Any]) -> None: ...  # noqa: D102

    def zero_grad(self) -> None: ...  # noqa: D102

    def batch_loss(self, batch: Any, state: Any = None, *, gradient: bool = False) -> BatchLoss: ...  # noqa: D102

    def metrics(self) -> dict[str, list[Metric]]: ...  # noqa: D102

    @property
    def loss_shares(self) -> dict[str, float]: ...  # noqa: D102

    @property
    def tasks(self) -> dict[str, Task]: ...  # noqa: D102


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
    metrics = Metrics(model.metrics(), options.metrics, model.tasks)
    if validation is None and metrics.given:
        raise ValueError("metrics: validation data are required, which metrics are computed of, got none")
    state = _state(options.resume)
    run = Run(
        model=model,
        optimizer=optimizer_for(options.optimizer, model.parameters(), options.lr),
        history=History(),
        epochs=epochs,
        rng=np.random.default_rng(seed) if shuffle else None,
        callbacks=callbacks,
        higher_is_better=metrics.directions,
        batches=len(data),
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
    accumulated = metrics if isinstance(metrics, Metrics) else Metrics(model.metrics(), metrics, model.tasks)
    accumulated.reset()
    results, state = [], None
    for batch in data.batches():
        result = model.batch_loss(batch, state if batch.continues else None)
        state = result.state
        counts = np.ones(batch.count, np.int64) if batch.counts is None else batch.counts
        accumulated.update(result.outputs, batch.targets, batch.weights, counts)
        results.append(replace(result, outputs={}, state=None))
    return _means(results, model.loss_shares) | accumulated.results()


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
        for callback in sorted(run.callbacks, key=lambda callback: callback.acts_last):
            callback.on_train_error(run)
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

"""The training loop: batches, steps, validation, callbacks, history."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, ClassVar, Protocol

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.atomic import StrPath
from rnnfast.copies import CopiedWhole
from rnnfast.evaluation import Judged
from rnnfast.evaluation import evaluate as evaluate
from rnnfast.following import begin_alike, require_alike, tell
from rnnfast.history import History as History
from rnnfast.metrics import Metrics
from rnnfast.optim import AveragedWeights, LearningRate, Optimizer, as_average, optimizer_for
from rnnfast.params import write_all
from rnnfast.processes import Processes
from rnnfast.progress import Progress, as_shown
from rnnfast.sharding import Divisible, Sharding, as_sharding
from rnnfast.stepping import BatchLoss, Stepping, gradient, take_step
from rnnfast.training_state import TrainingState, state_to_resume


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

    def on_state(self, run: Run) -> None:
        """Act after a step or an epoch, when all callbacks have acted on it: ``run.state()`` is complete then.

        ``run.batch`` is 0 after an epoch.
        """

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
        Number of batches in an epoch; 0 where nobody knows.
    steps : int
        Number of steps in all epochs, without shuffling; 0 where nobody knows.
    average : AveragedWeights or None
        Of the parameters over the steps.
    validated : bool
        Whether there are validation data.
    sharding : Sharding or None
        How batches are cut into parts, and the processes that train together; None for whole batches.

    Attributes
    ----------
    epoch : int
        The current epoch, from 1; before the first one the epochs that ``initial_epoch`` leaves out.
    step : int
        Completed steps over all epochs. A step takes the batches whose gradients are accumulated.
    batch : int
        Completed batches of this epoch.
    logs : dict
        ``loss`` so far in this epoch; after it, also the values of the validation.
    stop : bool
        Set it to end training after this epoch.
    shows_lr : bool
        Whether the history has the learning rate: where it follows a schedule, or a callback sets this.
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
    shows_lr: bool = field(default=False, init=False)
    batches: int = 0
    steps: int = 0
    average: AveragedWeights | None = None
    validated: bool = False
    sharding: Sharding | None = None
    _own: dict[str, Array] | None = field(default=None, init=False)
    _loss: float = field(default=0.0, init=False)
    _weight: float = field(default=0.0, init=False)
    _shuffle: Any = field(default=None, init=False)
    _random: Any = field(default=None, init=False)

    @property
    def place(self) -> str:
        """Where training stands, for messages."""
        return f"in epoch {self.epoch}, after {self.step} steps"

    @property
    def processes(self) -> Processes:
        """Those that train together: this one, where there is no communicator."""
        return Processes() if self.sharding is None else self.sharding.processes

    @property
    def shards(self) -> int | None:
        """The parts that batches are cut into; None for whole batches."""
        return None if self.sharding is None else self.sharding.shards

    def begin_epoch(self) -> int:
        """Begin the next epoch, or go on with the one that a state was taken in; return its completed batches."""
        self._take_average_out()
        self._random = self.model.random_state()
        if self.batch == 0:
            self.epoch += 1
            self._loss = self._weight = 0.0
            self._shuffle = None if self.rng is None else self.rng.bit_generator.state
            self.logs = {"loss": 0.0}
        self.optimizer.epoch = self.epoch - 1
        return self.batch

    def add(self, results: Iterable[BatchLoss]) -> None:
        """Count a completed step, and its batches."""
        self.step += 1
        for result in results:
            self.batch += 1
            self._loss += result.loss * result.weight
            self._weight += result.weight
        self.logs["loss"] = self._loss / self._weight if self._weight else 0.0
        self._random = self.model.random_state()

    def end_epoch(self) -> None:
        """Keep the values of the epoch in the history."""
        if self.shows_lr:
            self.logs["lr"] = self.optimizer.lr
        self.batch = 0
        self.carried = None
        self._shuffle = None if self.rng is None else self.rng.bit_generator.state
        self.history.append(self.logs)

    def put_average_in(self) -> None:
        """Give the model its averaged weights, where there are some, until the next epoch begins."""
        if self.average is None or not self.average.steps or self._own is not None:
            return
        params = self.optimizer.params or {}
        averaged = {id(p) for p in params.values()}
        self._own = {name: np.array(p.value) for name, p in self.model.parameters().items() if id(p) in averaged}
        averages = self.average.values()
        write_all(params.values(), [averages[name] for name in params])

    def _take_average_out(self) -> None:
        if self._own is not None:
            params = self.model.parameters()
            write_all([params[name] for name in self._own], self._own.values())
            self._own = None

    def state(self) -> TrainingState:
        """Return the state of the training after the last completed step or epoch."""
        carried = self.carried
        parts = [] if carried is None else list(carried) if isinstance(carried, tuple) else [carried]
        return TrainingState(
            parameters={name: np.array(p.value) for name, p in self.model.parameters().items()} | (self._own or {}),
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
            stop=self.stop,
            initial_epoch=self.history.initial_epoch,
            average={} if self.average is None else self.average.state_dict(),
            shards=self.shards,
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
        if state.shards != self.shards:
            raise ValueError(
                f"resume: shards={state.shards} is required, as the state was taken with, got {self.shards}"
            )
        if bool(state.average) != (self.average is not None):
            given_average = "None" if self.average is None else "one"
            raise ValueError(f"resume: the ema that the state was taken with is required, got {given_average}")
        self.optimizer.load_state_dict(state.optimizer)
        if self.average is not None:
            self.average.load_state_dict(state.average)
        write_all(params.values(), [state.parameters[name] for name in params])
        self.model.set_random_state(state.random["model"])
        if self.rng is not None:
            self.rng.bit_generator.state = state.random["shuffle"]
        self.history.history.update({name: list(values) for name, values in state.history.items()})
        self.history.initial_epoch = state.initial_epoch
        self.epoch, self.batch, self.step, self.stop = state.epoch, state.batch, state.step, state.stop
        for callback, remembered in zip(self.callbacks, state.callbacks, strict=True):
            callback.set_state(remembered)
        self._loss, self._weight, self._shuffle = state.loss, state.weight, state.random["shuffle"]
        carried = [np.array(part) for part in state.carried]
        self.carried = None if not carried else carried[0] if len(carried) == 1 else tuple(carried)
        self.logs = {"loss": self._loss / self._weight if self._weight and math.isfinite(self._weight) else 0.0}


class Data(Protocol):
    """Batches, in an order that ``rng`` decides; ``restartable``: whether those of an epoch can be had again."""

    @property
    def restartable(self) -> bool: ...  # noqa: D102

    def __len__(self) -> int: ...

    @property
    def with_targets(self) -> int: ...  # noqa: D102

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Any]: ...  # noqa: D102


class Trainable(Divisible, Judged, Protocol):
    """What training needs of a model; it sets ``history``."""

    history: History


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The arguments of ``fit`` that all models share; see ``ManyToOne.fit``."""

    epochs: int
    optimizer: str | Optimizer
    lr: LearningRate | None
    clip_norm: float | None
    clip_value: float | None
    accumulate: int
    ema: float | AveragedWeights | None
    metrics: Any
    callbacks: Callback | Sequence[Callback]
    progress: bool | None
    shuffle: bool
    seed: int | None
    initial_epoch: int
    resume: TrainingState | StrPath | None
    shards: int | None = None
    communicator: Any = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> TrainingOptions:
        """Return those among all arguments of a model's ``fit``."""
        return cls(**{each.name: arguments[each.name] for each in fields(cls)})


def fit(
    model: Trainable,
    data: Data,
    options: TrainingOptions,
    validation: Data | None = None,
    before_step: Callable[[Run], None] | None = None,
) -> History:
    """Train ``model`` on ``data``; ``before_step`` is called before the gradients of every step.

    An exception, ``KeyboardInterrupt`` included, leaves parameters and optimiser as after the last completed
    step, or as a callback leaves them that acts on it (``EarlyStopping`` restores the best ones); with ``ema`` the
    model has its averages. ``model.history`` holds the completed epochs from the first one on, also then.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        The loss or a gradient is not finite, or a parameter would not be after the step; the step is not taken.
    """
    epochs, seed = checks.as_integer("epochs", options.epochs, least=0), checks.as_seed(options.seed)
    shuffle, shown = checks.as_flag("shuffle", options.shuffle), as_shown(options.progress)
    initial_epoch = checks.as_integer("initial_epoch", options.initial_epoch, least=0, most=epochs)
    processes, sharding = as_sharding(options.shards, options.communicator)
    stepping = Stepping(accumulate=options.accumulate, clip_norm=options.clip_norm, clip_value=options.clip_value)
    metrics = Metrics(model.metrics(), options.metrics, model.tasks)
    if validation is None and metrics.given:
        raise ValueError("metrics: validation data are required, which metrics are computed of, got none")
    state = processes.once(lambda: state_to_resume(options.resume, initial_epoch, restartable=data.restartable))
    left = epochs - (initial_epoch if state is None else state.initial_epoch)
    run = Run(
        model=model,
        optimizer=optimizer_for(options.optimizer, model.parameters(), options.lr),
        history=History(initial_epoch=initial_epoch),
        epochs=epochs,
        rng=np.random.default_rng(seed) if shuffle else None,
        callbacks=as_callbacks(options.callbacks),
        higher_is_better=metrics.directions,
        batches=len(data),
        validated=validation is not None,
        steps=left * stepping.steps(data.with_targets),
        average=as_average(options.ema),
        sharding=sharding,
    )
    begin_alike(processes, run)
    run.epoch = initial_epoch
    run.optimizer.end_with(steps=run.steps, epochs=epochs)
    run.shows_lr = run.optimizer.scheduled
    model.history = run.history
    with (
        Progress(total=left * stepping.steps(run.batches), epochs=epochs, shown=shown and processes.leads) as bar,
        _telling(run),
    ):
        _each(run, "on_train_begin")
        if state is not None:
            run.resume(state)
            bar.skip(run.step)
        while run.batch or (run.epoch < epochs and not run.stop):
            _train_epoch(run, data, stepping, before_step, bar)
            _end_epoch(run, validation, metrics, bar)
        run.put_average_in()
        _each(run, "on_train_end")
    return run.history


@contextmanager
def _telling(run: Run) -> Iterator[None]:
    """Let every callback act on an exception that ends training."""
    try:
        yield
    except BaseException:
        run.put_average_in()
        for callback in sorted(run.callbacks, key=lambda callback: callback.acts_last):
            if run.processes.leads:
                callback.on_train_error(run)
        raise


def _train_epoch(
    run: Run, data: Data, stepping: Stepping, before_step: Callable[[Run], None] | None, bar: Progress
) -> None:
    make_gradient = gradient if run.sharding is None else run.sharding.gradient
    done = run.begin_epoch()
    if done == 0:
        _each(run, "on_epoch_begin")
    for batches in stepping.groups(islice(data.batches(run.rng), done, None)):
        if before_step is not None:
            before_step(run)
        results = make_gradient(run.model, batches, run.carried, run.place)
        if any(result.weight > 0 for result in results):
            _each(run, "on_gradient")
            stepping.clip(run.optimizer, run.place)
            take_step(run.optimizer, run.place)
            if run.average is not None:
                run.average.update(run.optimizer.params or {})
        run.carried = results[-1].state
        if run.sharding is not None and _listen(run, "on_step_end", "on_state"):
            run.carried = run.sharding.whole_state(run.carried, batches[-1])
        run.add(results)
        bar.show(run.epoch, run.logs, steps=1)
        _each(run, "on_step_end")
        _each(run, "on_state")


def _end_epoch(run: Run, validation: Data | None, metrics: Metrics, bar: Progress) -> None:
    run.put_average_in()
    if validation is not None:
        found = evaluate(run.model, validation, metrics, run.processes)
        run.logs.update({f"val_{name}": value for name, value in found.items()})
    run.end_epoch()
    require_alike(run.processes, run)
    bar.show(run.epoch, run.logs, steps=0)
    _each(run, "on_epoch_end")
    _each(run, "on_state")


def _each(run: Run, event: str) -> None:
    def act() -> None:
        for callback in run.callbacks:
            getattr(callback, event)(run)

    if run.processes.size == 1 or _listen(run, event):
        tell(run.processes, run, event, act)


def _listen(run: Run, *events: str) -> bool:
    """Return whether a callback acts on one of these events."""
    return any(
        getattr(getattr(callback, event), "__func__", None) is not getattr(Callback, event)
        for callback in run.callbacks
        for event in events
    )

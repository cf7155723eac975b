"""A running training: what callbacks see of it, and its state as an object that can be written and read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnnfast import checkpoint
from rnnfast.atomic import StrPath
from rnnfast.copies import CopiedWhole
from rnnfast.optim import Optimizer
from rnnfast.params import Parameter, write_all

Array = npt.NDArray[Any]


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
    >>> h.history
    {'loss': [0.5]}
    """

    history: dict[str, list[float]] = field(default_factory=dict)

    def append(self, logs: dict[str, float]) -> None:
        """Add the values of an epoch."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


@dataclass(kw_only=True)
class TrainingState(CopiedWhole):
    """Everything that a training needs to go on where it stood, bit for bit.

    ``run.state()`` makes one; see ``Run``.

    Parameters
    ----------
    parameters : dict of str to ndarray
        The model's ``state_dict()``.
    optimizer : dict of str to ndarray
        The optimiser's ``state_dict()``.
    random : dict
        The states of the random numbers: of the shuffling at the begin of the epoch, and of the model's dropout.
    epoch, batch, step : int
        The current epoch, from 1; the batches completed in it; the batches completed in all epochs.
    loss, weight : float
        Sums over the epoch so far: loss times weight, and weight.
    carried : list of ndarray
        The recurrent states that the next batch begins with, where it continues the one before.
    history : dict of str to list of float
        The completed epochs.
    callbacks : list of dict
        What each callback must remember, such as the best epoch of ``EarlyStopping``.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> class Keep(rf.Callback):
    ...     def on_step_end(self, run):
    ...         if run.step == 3:
    ...             self.state_of_run = run.state()
    >>> x, y, keep = np.ones((8, 5, 3), np.float32), np.arange(8) % 2, Keep()
    >>> def train(**options):
    ...     model = rf.ManyToOne(3, 2, hidden_size=4, seed=0)
    ...     return model.fit(x, y, epochs=3, batch_size=4, seed=0, progress=False, **options).history["loss"]
    >>> whole = train(callbacks=keep)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "state.safetensors")
    ...     keep.state_of_run.save(path)
    ...     state = rf.TrainingState.read(path)
    >>> state.epoch, train(resume=state, callbacks=Keep()) == whole
    (2, True)
    """

    parameters: dict[str, Array]
    optimizer: dict[str, Array]
    random: dict[str, Any]
    epoch: int
    batch: int
    step: int
    loss: float
    weight: float
    carried: list[Array]
    history: dict[str, list[float]]
    callbacks: list[dict[str, Any]]

    def save(self, path: StrPath) -> None:
        """Write the state to a safetensors file, completely or not at all.

        Raises
        ------
        OSError
            The file cannot be written. An older file is whole then.
        """
        tensors = {f"parameters/{name}": array for name, array in self.parameters.items()}
        tensors |= {f"optimizer/{name}": array for name, array in self.optimizer.items()}
        tensors |= {f"carried/{i}": array for i, array in enumerate(self.carried)}
        plain: list[dict[str, Any]] = [{} for _ in self.callbacks]
        for i, remembered in enumerate(self.callbacks):
            for name, value in remembered.items():
                if isinstance(value, np.ndarray):
                    tensors[f"callbacks/{i}/{name}"] = value
                else:
                    plain[i][name] = value
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        checkpoint.write(path, tensors, {"class": "TrainingState", "callbacks": plain, **numbers})

    @classmethod
    def read(cls, path: StrPath) -> TrainingState:
        """Return the state in a file.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is no file of a training's state, or is damaged.
        """
        tensors, saved = checkpoint.read(path)
        if saved.get("class") != "TrainingState":
            raise ValueError(f"path: a file that TrainingState.save wrote is required, got one of {saved.get('class')}")
        groups: dict[str, dict[str, Array]] = {"parameters": {}, "optimizer": {}, "carried": {}, "callbacks": {}}
        for key, array in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = array
        callbacks: list[dict[str, Any]] = [dict(each) for each in saved["callbacks"]]
        for key, array in groups["callbacks"].items():
            i, _, name = key.partition("/")
            callbacks[int(i)][name] = array
        carried = [groups["carried"][str(i)] for i in range(len(groups["carried"]))]
        numbers = {name: saved[name] for name in _NUMBERS}
        return cls(
            parameters=groups["parameters"],
            optimizer=groups["optimizer"],
            carried=carried,
            callbacks=callbacks,
            **numbers,
        )


_NUMBERS = ("random", "epoch", "batch", "step", "loss", "weight", "history")


class Trained(Protocol):
    """What a run needs of a model; it sets ``history``."""

    history: History

    def parameters(self) -> dict[str, Parameter]: ...  # noqa: D102

    def random_state(self) -> dict[str, Any]: ...  # noqa: D102

    def set_random_state(self, state: Mapping[str, Any]) -> None: ...  # noqa: D102


class Remembers(Protocol):
    """What a run needs of a callback to write its state."""

    def state(self) -> dict[str, Any]: ...  # noqa: D102

    def set_state(self, state: Mapping[str, Any]) -> None: ...  # noqa: D102


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
    callbacks: list[Any] = field(default_factory=list)
    higher_is_better: dict[str, bool] = field(default_factory=dict)
    epoch: int = field(default=0, init=False)
    step: int = field(default=0, init=False)
    batch: int = field(default=0, init=False)
    logs: dict[str, float] = field(default_factory=dict, init=False)
    stop: bool = field(default=False, init=False)
    carried: Any = field(default=None, init=False)
    _loss: float = field(default=0.0, init=False)
    _weight: float = field(default=0.0, init=False)
    _shuffle: Any = field(default=None, init=False)

    @property
    def place(self) -> str:
        """Where training stands, for messages."""
        return f"in epoch {self.epoch}, after {self.step} steps"

    def begin_epoch(self) -> int:
        """Begin the next epoch, or go on with the one that a state was taken in; return its completed batches."""
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
            random={"shuffle": self._shuffle, "model": self.model.random_state()},
            epoch=self.epoch,
            batch=self.batch,
            step=self.step,
            loss=self._loss,
            weight=self._weight,
            carried=[np.array(part) for part in parts],
            history={name: list(values) for name, values in self.history.history.items()},
            callbacks=[callback.state() for callback in self.callbacks],
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
        if len(state.callbacks) != len(self.callbacks):
            count = len(state.callbacks)
            raise ValueError(
                f"resume: {count} callbacks are required, as the state was taken with, got {len(self.callbacks)}"
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

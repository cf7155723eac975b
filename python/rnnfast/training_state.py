"""The state of a training, as an object that can be written and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnfast import checkpoint, checks
from rnnfast.arrays import Array
from rnnfast.atomic import StrPath
from rnnfast.copies import CopiedWhole


@dataclass(kw_only=True, repr=False)
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
    batches : int
        Number of batches in an epoch; 0 where nobody knows.
    stop : bool
        Whether a callback has asked to stop.
    initial_epoch : int
        The epochs before the first one of the history.
    average : dict of str to ndarray
        The ``state_dict()`` of the averaged weights; {} without these.
    shards : int or None
        The parts that batches are cut into; None for whole batches.

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
    batches: int
    stop: bool = False
    initial_epoch: int = 0
    average: dict[str, Array] = field(default_factory=dict)
    shards: int | None = None

    def __repr__(self) -> str:
        return f"TrainingState(epoch={self.epoch}, batch={self.batch} of {self.batches}, step={self.step})"

    def save(self, path: StrPath) -> None:
        """Write the state to a safetensors file, completely or not at all.

        Raises
        ------
        OSError
            The file cannot be written. An older file is whole then.
        """
        tensors, numbers = self.parts()
        checkpoint.write(path, tensors, {"class": "TrainingState", **numbers})

    def parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return all arrays by name, and the rest, which JSON can hold."""
        tensors = {f"parameters/{name}": array for name, array in self.parameters.items()}
        tensors |= {f"optimizer/{name}": array for name, array in self.optimizer.items()}
        tensors |= {f"average/{name}": array for name, array in self.average.items()}
        tensors |= {f"carried/{i}": array for i, array in enumerate(self.carried)}
        plain: list[dict[str, Any]] = [{} for _ in self.callbacks]
        for i, remembered in enumerate(self.callbacks):
            for name, value in remembered.items():
                if isinstance(value, np.ndarray):
                    tensors[f"callbacks/{i}/{name}"] = value
                else:
                    plain[i][name] = value.item() if isinstance(value, np.generic) else value
        return tensors, {"callbacks": plain, **{name: getattr(self, name) for name in _NUMBERS}}

    @classmethod
    def read(cls, path: StrPath) -> TrainingState:
        """Return the state in a file, which ``save`` wrote, or ``save`` of a model together with the model.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is no file of a training's state, or is damaged.
        """
        tensors, saved = checkpoint.read(path)
        if saved.get("class") == "TrainingState":
            return cls.from_parts(tensors, saved)
        if "training" not in saved:
            got = f"one of {saved.get('class')} without a state"
            raise ValueError(f"path: a file that TrainingState.save wrote is required, got {got}")
        own, beside = split_tensors(tensors)
        for name, array in own.items():
            beside.setdefault(f"parameters/{name}", array)
        return cls.from_parts(beside, saved["training"])

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Array], numbers: Mapping[str, Any]) -> TrainingState:
        """Return the state that ``parts`` took apart."""
        names = ("parameters", "optimizer", "average", "carried", "callbacks")
        groups: dict[str, dict[str, Array]] = {name: {} for name in names}
        for key, array in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = array
        callbacks: list[dict[str, Any]] = [dict(each) for each in numbers["callbacks"]]
        for key, array in groups["callbacks"].items():
            i, _, name = key.partition("/")
            callbacks[int(i)][name] = array
        return cls(
            parameters=groups["parameters"],
            optimizer=groups["optimizer"],
            carried=[groups["carried"][str(i)] for i in range(len(groups["carried"]))],
            average=groups["average"],
            callbacks=callbacks,
            **{name: numbers[name] for name in _NUMBERS if name in numbers or name not in _LATER},
        )

    def beside(self, model: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what a file that holds the parameters of ``model`` needs for the state, see ``parts``."""
        tensors, numbers = self.parts()
        kept = {
            name: array
            for name, array in tensors.items()
            if not _same(array, model.get(name.removeprefix("parameters/")) if name.startswith("parameters/") else None)
        }
        return {f"{_PREFIX}{name}": array for name, array in kept.items()}, numbers


def state_to_resume(given: Any, initial_epoch: int, *, restartable: bool) -> TrainingState | None:
    """Return the state, or the one in the file, that ``fit(resume=)`` was given; None for None."""
    if given is None:
        return None
    if initial_epoch:
        raise ValueError(f"initial_epoch: 0 is required beside resume, which knows its epoch, got {initial_epoch}")
    if not restartable:
        raise ValueError(
            "resume: data that can be read again from the begin of an epoch are required (arrays, an object with a "
            "length and items, or a callable that returns a new iterator), got an iterator, which cannot be set back"
        )
    return given if isinstance(given, TrainingState) else TrainingState.read(checks.as_path("resume", given))


def split_tensors(tensors: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the parameters of the model in a file, and the arrays of the state that stands beside it."""
    own = {name: array for name, array in tensors.items() if not name.startswith(_PREFIX)}
    beside = {name.removeprefix(_PREFIX): array for name, array in tensors.items() if name not in own}
    return own, beside


def _same(array: Array, other: Array | None) -> bool:
    """Return whether two arrays hold the same bits."""
    return (
        other is not None
        and (array.shape, array.dtype) == (other.shape, other.dtype)
        and (array.tobytes() == other.tobytes())
    )


_PREFIX = "training/"  # no name of a parameter begins like this
_LATER = ("stop", "initial_epoch", "shards")  # files of earlier versions lack these
_NUMBERS = ("random", "batches", "epoch", "batch", "step", "loss", "weight", "history", *_LATER)

"""The state of a training, as an object that can be written and read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnfast import checkpoint
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
        Number of batches in an epoch.
    average : dict of str to ndarray
        The ``state_dict()`` of the averaged weights; {} without these.

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
    average: dict[str, Array] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"TrainingState(epoch={self.epoch}, batch={self.batch} of {self.batches}, step={self.step})"

    def save(self, path: StrPath) -> None:
        """Write the state to a safetensors file, completely or not at all.

        Raises
        ------
        OSError
            The file cannot be written. An older file is whole then.
        """
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
        names = ("parameters", "optimizer", "average", "carried", "callbacks")
        groups: dict[str, dict[str, Array]] = {name: {} for name in names}
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
            average=groups["average"],
            carried=carried,
            callbacks=callbacks,
            **numbers,
        )


_NUMBERS = ("random", "batches", "epoch", "batch", "step", "loss", "weight", "history")

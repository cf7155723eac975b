"""Callbacks that come with the package: early stopping, checkpoints, a learning rate that falls on a plateau."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.checks import names_arguments
from rnnfast.params import write_all
from rnnfast.train import Callback, Run

_HINT = "; give fit validation_data or a validation_split, or watch monitor='loss'"


class _Best(Callback):
    """Watches one quantity of ``run.logs``; ``better`` tells whether this epoch is the best so far.

    Without a ``mode`` a metric's own ``higher_is_better`` decides; a loss is better where it is lower.
    """

    def __init__(self, monitor: str, mode: str | None, min_delta: float = 0.0) -> None:
        if mode is not None:
            checks.as_choice("mode", mode, ("min", "max"), others=" or None")
        self.monitor = checks.as_text("monitor", monitor)
        self.mode = mode
        self.min_delta = checks.at_least_zero("min_delta", min_delta)
        self.best: float | None = None
        self.best_epoch = 0

    def on_train_begin(self, run: Run) -> None:
        """Forget an earlier training."""
        self.best, self.best_epoch = None, run.epoch
        own = all(type(callback).__module__.startswith("rnnfast.") for callback in run.callbacks)
        if self.monitor.startswith("val_") and not run.validated and own:  # another callback may add the quantity
            raise self._missing("loss")

    def _missing(self, names: str) -> ValueError:
        lacks = self.monitor.startswith("val_") and "val_" not in names
        why, hint = (" (there are no validation data)", _HINT) if lacks else ("", "")
        return ValueError(f"monitor: one of {names} is required{why}, got {self.monitor!r}{hint}")

    def state(self) -> dict[str, Any]:
        """Return the best value and its epoch."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over the best value and its epoch."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]

    def better(self, run: Run) -> bool:
        """Compare the quantity with its best value so far, and note an improvement."""
        if self.monitor not in run.logs:
            raise self._missing(", ".join(run.logs))
        higher = run.higher_is_better.get(self.monitor.removeprefix("val_"), False)
        sign = 1 if (self.mode == "max" if self.mode else higher) else -1
        value, before = run.logs[self.monitor], -sign * math.inf if self.best is None else self.best
        if not sign * value > sign * before + self.min_delta:
            return False
        self.best, self.best_epoch = value, run.epoch
        return True


class EarlyStopping(_Best):
    """Stop when a quantity has not improved for ``patience`` epochs.

    Parameters
    ----------
    monitor : str
        A key of the history.
    patience : int
        Epochs without improvement that are borne.
    min_delta : float
        A smaller change is no improvement.
    restore_best : bool
        Give the model, at the end, the parameters of its best epoch; also where an exception, such as Ctrl-C, is the
        end.
    mode : "min", "max" or None
        Whether lower or higher values are better. None: the metric says it (``higher_is_better``); "min" for a loss.

    Attributes
    ----------
    best : float or None
        The best value so far; None before the first epoch ends.
    best_epoch : int
        Its epoch, from 1.

    Examples
    --------
    >>> EarlyStopping("val_accuracy", patience=3).patience
    3
    """

    acts_last = True

    @names_arguments
    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = checks.as_integer("patience", patience, least=0)
        self.restore_best = checks.as_flag("restore_best", restore_best)
        self._kept: dict[str, Array] = {}

    def on_train_begin(self, run: Run) -> None:
        """Forget an earlier training."""
        super().on_train_begin(run)
        self._kept = {}

    def state(self) -> dict[str, Any]:
        """Return the best value, its epoch and its parameters."""
        return super().state() | {f"kept/{name}": array for name, array in self._kept.items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over the best value, its epoch and its parameters."""
        super().set_state(state)
        kept = {name: value for name, value in state.items() if name.startswith("kept/")}
        self._kept = {name.removeprefix("kept/"): np.array(value) for name, value in kept.items()}

    def on_epoch_end(self, run: Run) -> None:
        """Keep the parameters of a best epoch; ask to stop when patience is out."""
        if self.better(run):
            if self.restore_best:
                self._kept = {name: np.array(p.value) for name, p in run.model.parameters().items()}
        elif run.epoch - self.best_epoch >= self.patience:
            run.stop = True

    def on_train_end(self, run: Run) -> None:
        """Give the model the parameters of its best epoch."""
        params = run.model.parameters()
        write_all([params[name] for name in self._kept], self._kept.values())
        self._kept = {}

    def on_train_error(self, run: Run) -> None:
        """Give the model the parameters of its best epoch, after all other callbacks have acted."""
        self.on_train_end(run)


class Checkpoint(_Best):
    """Save the model, and the state of its training beside it, after every epoch, after every best one, or more often.

    ``rf.load(path)`` returns the model, and ``fit(resume=path)`` goes on with the training, to the same bits. The state
    is taken when all callbacks have acted, wherever this one stands among them. A file is replaced as a whole, so that
    a process that is killed at any moment leaves the file before.

    Parameters
    ----------
    path : str or path
        ``{epoch}`` and ``{step}`` in it are replaced by the epoch's number and by the steps of all epochs.
    monitor : str or None
        Save only when this key of the history has improved; None saves always.
    mode : "min", "max" or None
        Whether lower or higher values are better. None: the metric says it (``higher_is_better``); "min" for a loss.
    every_steps : int or None
        Save also after every so many steps of the optimiser, counted over all epochs. None beside ``monitor``.
    training : bool
        Whether the file keeps the state of the training. A file without it is that of ``model.save``, and smaller.

    Examples
    --------
    >>> Checkpoint("model-{epoch}.safetensors", monitor="val_loss").monitor
    'val_loss'
    """

    @names_arguments
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        monitor: str | None = None,
        mode: str | None = None,
        every_steps: int | None = None,
        training: bool = True,
    ) -> None:
        super().__init__("loss" if monitor is None else monitor, mode)
        self.path = os.fsdecode(checks.as_path("path", path))
        self.always = monitor is None
        self.every_steps = None if every_steps is None else checks.as_size("every_steps", every_steps)
        if self.every_steps and monitor is not None:
            raise ValueError(f"every_steps: None is required beside monitor={monitor!r}, got {every_steps}")
        self.training = checks.as_flag("training", training)
        self._due = False

    def on_step_end(self, run: Run) -> None:
        """Note whether the step is one after which to save."""
        self._due = self.every_steps is not None and run.step % self.every_steps == 0

    def on_epoch_end(self, run: Run) -> None:
        """Note whether the epoch is one after which to save."""
        self._due = self.always or self.better(run)

    def on_state(self, run: Run) -> None:
        """Save."""
        if self._due:
            self._due = False
            path = self.path.replace("{epoch}", str(run.epoch)).replace("{step}", str(run.step))
            run.model.save(path, training=run.state() if self.training else None)


class ReduceLROnPlateau(_Best):
    """Lower the learning rate when a quantity has not improved for ``patience`` epochs.

    ``lr = max(factor lr, min_lr)``, also for groups of parameters that have a learning rate of their own. The history
    has the rate of each epoch as ``"lr"``.

    Parameters
    ----------
    monitor : str
        A key of the history.
    factor : float
        What the learning rate is multiplied by, within (0, 1).
    patience : int
        Epochs without improvement, at least 1, after which it is.
    min_delta : float
        A smaller change is no improvement.
    cooldown : int
        Epochs after a change that do not count.
    min_lr : float
        The least learning rate.
    mode : "min", "max" or None
        Whether lower or higher values are better. None: the metric says it (``higher_is_better``); "min" for a loss.

    Raises
    ------
    ValueError
        If a number is out of its range; in ``fit`` if the learning rate follows a schedule.
    TypeError
        If an argument has another type.

    Examples
    --------
    >>> ReduceLROnPlateau("loss", factor=0.5, patience=2).patience
    2
    """

    @names_arguments
    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 0.0,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: str | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = checks.as_number("factor", factor, "a number within (0, 1)", lambda v: 0 < v < 1)
        self.patience = checks.as_size("patience", patience)
        self.cooldown = checks.as_integer("cooldown", cooldown, least=0)
        self.min_lr = checks.at_least_zero("min_lr", min_lr)
        self._waited = self._resting = 0

    def on_train_begin(self, run: Run) -> None:
        """Forget an earlier training, and let the history show the learning rate."""
        super().on_train_begin(run)
        if run.optimizer.scheduled:
            raise ValueError("lr: a number is required beside ReduceLROnPlateau, got a schedule")
        self._waited = self._resting = 0
        run.shows_lr = True

    def state(self) -> dict[str, Any]:
        """Return the best value, its epoch, and the epochs waited and to rest."""
        return super().state() | {"waited": self._waited, "resting": self._resting}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` returned."""
        super().set_state(state)
        self._waited, self._resting = state["waited"], state["resting"]

    def on_epoch_end(self, run: Run) -> None:
        """Lower the learning rate when patience is out."""
        self._waited = 0 if self.better(run) else self._waited + 1
        if self._resting:
            self._waited, self._resting = 0, self._resting - 1
        if self._waited >= self.patience:
            run.optimizer.scale_lr(self.factor, least=self.min_lr)
            self._waited, self._resting = 0, self.cooldown

"""Callbacks that write the values of a training down for others to read."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from rnnfast import checks
from rnnfast.checks import names_arguments
from rnnfast.train import Callback, Run


class CSVLogger(Callback):
    """Append a line to a file of comma-separated values after every epoch.

    The first line of a new file names the columns: ``epoch``, from 1, and the keys of the history. Numbers are written
    with all their digits. A file that exists goes on, also from one ``fit`` to the next. A training that goes on from
    a state (``fit(resume=)``) first removes the lines that were written after the state was taken.

    Parameters
    ----------
    path : str or path
        The file.

    Raises
    ------
    OSError
        The file cannot be written.
    ValueError
        After the first epoch, where an existing file has other columns.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> model, x, y = rf.ManyToOne(3, 2, hidden_size=4, seed=0), np.ones((8, 5, 3)), np.arange(8) % 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "log.csv")
    ...     history = model.fit(x, y, epochs=2, callbacks=rf.CSVLogger(path), progress=False)
    ...     with open(path) as file:
    ...         lines = file.read().splitlines()
    >>> lines[0], lines[2] == f"2,{history['loss'][1]}"
    ('epoch,loss', True)
    """

    @names_arguments
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fsdecode(checks.as_path("path", path))

    def state(self) -> dict[str, Any]:
        """Return the size of the file in bytes."""
        return {"size": os.path.getsize(self.path) if os.path.exists(self.path) else 0}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Remove what was written after the state was taken."""
        if os.path.exists(self.path) and os.path.getsize(self.path) > state["size"]:
            os.truncate(self.path, state["size"])

    def on_epoch_end(self, run: Run) -> None:
        """Append the values of the epoch."""
        values = {"epoch": run.epoch, **run.logs}
        with open(self.path, "a+", encoding="utf-8", newline="") as file:
            file.seek(0)
            columns = next(csv.reader(file), None)
            if columns and columns != list(values):
                raise ValueError(
                    f"path: a file with the columns {', '.join(values)} is required, "
                    f"got {', '.join(columns)} in {self.path}"
                )
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            if not columns:
                writer.writerow(values)
            writer.writerow(values.values())
            file.write(text.getvalue())


class TensorBoard(Callback):
    """Write the history and the learning rate for TensorBoard after every epoch.

    ``tensorboard --logdir folder`` shows them. The package tensorboardX is required, which the extra ``tensorboard``
    installs. A training that goes on from a state (``fit(resume=)``) hides what was written after the state was taken.

    Parameters
    ----------
    folder : str or path
        Where the files of events are put; each ``fit`` adds one.

    Raises
    ------
    ImportError
        When training begins, where tensorboardX is not installed.

    Examples
    --------
    >>> TensorBoard("runs/first").folder
    'runs/first'
    """

    @names_arguments
    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fsdecode(checks.as_path("folder", folder))
        self._writer: Any = None
        self._purged = False

    def on_train_begin(self, run: Run) -> None:
        """Raise ImportError where the package is missing."""
        if find_spec("tensorboardX") is None:
            raise ImportError("TensorBoard: tensorboardX is required, which rnnfast[tensorboard] installs; got none")
        self._purged = False

    def state(self) -> dict[str, Any]:
        """Return that there is something to go on from."""
        return {"continued": True}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Note that a training goes on: what follows its state is to be hidden."""
        self._purged = True

    def on_epoch_end(self, run: Run) -> None:
        """Write the values of the epoch."""
        if self._writer is None:
            from tensorboardX import SummaryWriter

            # Files are named by the second, and read in the order of their names.
            suffix = f".{time.time_ns() % 10**9:09}"
            purged = run.epoch if self._purged else None
            self._writer = SummaryWriter(self.folder, purge_step=purged, filename_suffix=suffix)
        for name, value in {**run.logs, "learning_rate": run.optimizer.lr}.items():
            self._writer.add_scalar(name, value, run.epoch)
        self._writer.flush()

    def on_train_end(self, run: Run) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def on_train_error(self, run: Run) -> None:
        """Close the file."""
        self.on_train_end(run)

"""A training that kills its own process, and what an undisturbed one leaves.

Run: ``python -m tests.support.kills <problem> <folder> <event> <count>``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import rnnfast as rf
from tests.support.trainings import trained

ROOT = Path(__file__).parents[2]
EVENTS = ("on_epoch_begin", "on_gradient", "on_step_end", "on_state", "on_epoch_end")
WRITES = ("fsync", "replace")  # before the draft is on the disk, and before it takes the file's place
EVERY_STEPS = 2
# Everything whose state a training carries from step to step.
OPTIONS: dict[str, Any] = {
    "epochs": 5,
    "batch_size": 2,
    "accumulate": 2,
    "optimizer": "nadam",
    "lr": rf.schedules.Cosine(0.02, length=3, by="epoch"),
    "ema": 0.9,
    "clip_norm": 1.0,
    "clip_value": 0.5,
}


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killer(rf.Callback):
    """Kills the process at an event's ``count``-th time."""

    def __init__(self, event: str = "", count: int = 0) -> None:
        self.event, self.left = event, count

    def __getattribute__(self, name: str) -> Any:
        if name in EVENTS and name == self.event:
            self.left -= 1
            if self.left < 0:
                kill()
        return super().__getattribute__(name)


def kill_in_write(function: str, count: int) -> None:
    """Kill the process at the ``count``-th call of a function of ``os`` by what replaces files."""
    original, left = getattr(os, function), [count]

    def called(*args: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            kill()
        return original(*args)

    setattr(os, function, called)


def train(problem: str, folder: Path, killer: Killer | None = None) -> Any:
    """Train, from the checkpoint on where there is one; return parameters, history and what stopping has found."""
    path = folder / "checkpoint.safetensors"
    stopping = rf.EarlyStopping(patience=1)
    callbacks = [
        rf.Checkpoint(path, every_steps=EVERY_STEPS),
        killer or Killer(),
        stopping,
        rf.CSVLogger(folder / "log.csv"),
    ]
    model, history = trained(problem, callbacks=callbacks, resume=path if path.exists() else None, **OPTIONS)
    return model.state_dict(), history, (stopping.best, stopping.best_epoch)


def left_in(folder: Path) -> dict[str, bytes]:
    """The files of a training."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def killed(problem: str, folder: Path, event: str, count: int, *, after: float | None = None) -> bool:
    """Train in a process of its own, which dies at an event or ``after`` seconds; return whether it died."""
    command = [sys.executable, "-m", "tests.support.kills", problem, str(folder), event, str(count)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            _, errors = process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode != 0


def assert_goes_on(problem: str, folder: Path, expected: Any, files: dict[str, bytes]) -> None:
    """Continue what a kill has left, and compare it with the undisturbed training."""
    parameters, history, stopping = train(problem, folder)
    wanted_parameters, wanted_history, wanted_stopping = expected
    assert (history, stopping) == (wanted_history, wanted_stopping)
    for name, value in wanted_parameters.items():
        np.testing.assert_array_equal(parameters[name], value)
    assert left_in(folder) == files


def main(problem: str, folder: str, event: str, count: str) -> None:
    if event in WRITES:
        kill_in_write(event, int(count))
    train(problem, Path(folder), Killer(event, int(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])

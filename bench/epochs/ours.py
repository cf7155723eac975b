"""Training by ``fit``."""

from __future__ import annotations

from time import perf_counter

import rnnfast as rf
from bench.epochs.problems import Problem


class Clock(rf.Callback):
    """Seconds of each epoch, with its validation."""

    def __init__(self) -> None:
        self.begin, self.times = 0.0, list[float]()

    def on_epoch_begin(self, run: rf.Run) -> None:
        self.begin = perf_counter()

    def on_epoch_end(self, run: rf.Run) -> None:
        self.times.append(perf_counter() - self.begin)


def train(problem: Problem, dtype: str, epochs: int) -> tuple[list[float], list[float]]:
    """Seconds and loss of each epoch."""
    clock, model = Clock(), problem.model(dtype)
    given = {"validation_data": problem.validation, "tbptt": problem.tbptt}
    history = model.fit(
        problem.x,
        *(() if problem.y is None else (problem.y,)),
        epochs=epochs,
        batch_size=problem.batch_size,
        lr=problem.lr,
        clip_norm=problem.clip_norm,
        callbacks=clock,
        progress=False,
        shuffle=False,
        **{name: value for name, value in given.items() if value is not None},
    )
    return clock.times, history["loss"]

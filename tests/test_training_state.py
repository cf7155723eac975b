"""The state of a training: an object that can be written, read and gone on from, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.trainings import FIT, PROBLEMS, C, trained


class Interrupted(Exception):
    """Raised by a callback."""


class StopAt(rf.Callback):
    """Takes the state after a step, or after an epoch, and ends training by an exception."""

    def __init__(self, step: int | None = None, epoch: int | None = None) -> None:
        self.step, self.epoch = step, epoch
        self.taken: rf.TrainingState | None = None

    def on_step_end(self, run: rf.Run) -> None:
        if run.step == self.step:
            self.taken = run.state()
            raise Interrupted

    def on_epoch_end(self, run: rf.Run) -> None:
        if run.epoch == self.epoch:
            self.taken = run.state()
            raise Interrupted


OPTIMIZERS = ["sgd", "adam", "adamw", "nadam", "rmsprop"]


@pytest.mark.parametrize("place", [{"step": 1}, {"step": 5}, {"epoch": 1}, {"epoch": 2}])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_training_goes_on_bit_for_bit(problem: str, place: dict[str, int], shuffle: bool, tmp_path: Path) -> None:
    """Over dropout, shuffling, carried states, early stopping and the optimiser's buffers."""

    def callbacks(stop: StopAt) -> list[rf.Callback]:
        return [rf.EarlyStopping(patience=2), stop]

    whole, history = trained(problem, callbacks=callbacks(StopAt()), shuffle=shuffle)
    stop = StopAt(**place)
    with pytest.raises(Interrupted):
        trained(problem, callbacks=callbacks(stop), shuffle=shuffle)
    assert stop.taken is not None
    stop.taken.save(tmp_path / "state.safetensors")
    again, found = trained(
        problem, callbacks=callbacks(StopAt()), shuffle=shuffle, resume=tmp_path / "state.safetensors"
    )
    assert found == history
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], value)


def grouped(lr: Any) -> dict[str, Any]:
    groups = [{"params": "head*", "lr": rf.schedules.Cosine(0.02)}, {"params": "*bias*", "weight_decay": 0.1}]
    return {"optimizer": rf.NAdam(lr=lr, groups=groups), "lr": None}


# Everything that a training may have beside its data, each by itself and all together; made anew for every training.
ADDITIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "schedule": lambda: {"lr": rf.schedules.WarmUp(rf.schedules.OneCycle(0.02), length=2)},
    "schedule by epochs": lambda: {"lr": rf.schedules.Exponential(0.02, factor=0.5, by="epoch")},
    "function": lambda: {"lr": lambda step: 0.02 / (1 + step)},
    "groups": lambda: grouped(0.01),
    "amsgrad": lambda: {"optimizer": rf.AdamW(lr=0.01, amsgrad=True), "lr": None},
    "accumulated": lambda: {"accumulate": 2},
    "clipped": lambda: {"clip_value": 0.01, "clip_norm": 0.02},
    "averaged": lambda: {"ema": 0.7},
    "corrected average": lambda: {"ema": rf.AveragedWeights(0.7, bias_correction=True)},
    "all": lambda: {**grouped(rf.schedules.Cosine(0.01)), "accumulate": 2, "clip_value": 0.01, "ema": 0.7},
}


@pytest.mark.parametrize("place", [{"step": 1}, {"step": 3}, {"epoch": 1}, {"epoch": 2}])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("addition", ADDITIONS)
def test_a_training_with_additions_goes_on_bit_for_bit(
    problem: str, place: dict[str, int], addition: str, tmp_path: Path
) -> None:
    def options(stop: StopAt) -> dict[str, Any]:
        forcing = {"teacher_forcing": 0.5} if problem == "encoder_decoder" else {}
        return {"callbacks": [rf.EarlyStopping(patience=2), stop], **forcing, **ADDITIONS[addition]()}

    whole, history = trained(problem, **options(StopAt()))
    stop = StopAt(**place)
    with pytest.raises(Interrupted):
        trained(problem, **options(stop))
    assert stop.taken is not None
    stop.taken.save(tmp_path / "state.safetensors")
    again, found = trained(problem, **options(StopAt()), resume=tmp_path / "state.safetensors")
    assert found == history
    assert "lr" in history or addition not in ("schedule", "schedule by epochs", "function", "groups", "all")
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], value)


def test_a_plateau_goes_on_bit_for_bit() -> None:
    """The rate, what is the best so far, the epochs waited and those of rest."""

    def callbacks(stop: StopAt) -> list[rf.Callback]:
        return [rf.ReduceLROnPlateau("loss", patience=1, min_delta=0.1, factor=0.5, cooldown=1), stop]

    whole, history = trained("many_to_one", callbacks=callbacks(StopAt()), epochs=8)
    assert len(set(history["lr"])) > 2
    for epoch in range(1, 8):
        stop = StopAt(epoch=epoch)
        with pytest.raises(Interrupted):
            trained("many_to_one", callbacks=callbacks(stop), epochs=8)
        again, found = trained("many_to_one", callbacks=callbacks(StopAt()), epochs=8, resume=stop.taken)
        assert found == history
        for name, value in whole.state_dict().items():
            np.testing.assert_array_equal(again.state_dict()[name], value)


class SaveOnError(rf.Callback):
    """Keeps the state when training ends by an exception."""

    taken: rf.TrainingState | None = None

    def on_train_error(self, run: rf.Run) -> None:
        self.taken = run.state()


class StopBeforeStep(rf.Callback):
    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_gradient(self, run: rf.Run) -> None:
        if self.step is not None and run.step >= self.step:
            raise Interrupted


@pytest.mark.parametrize("first", ["saver", "stopping"])
def test_a_state_taken_on_an_error_is_that_of_the_last_batch(first: str) -> None:
    """Wherever early stopping stands, which gives the model other parameters, and after dropout was drawn again."""

    def callbacks(step: int | None, saver: SaveOnError) -> list[rf.Callback]:
        pair: list[rf.Callback] = [saver, rf.EarlyStopping(patience=3)]
        return [*(pair if first == "saver" else pair[::-1]), StopBeforeStep(step)]

    whole, history = trained("many_to_one", callbacks=callbacks(None, SaveOnError()))
    saver = SaveOnError()
    with pytest.raises(Interrupted):
        trained("many_to_one", callbacks=callbacks(7, saver))
    again, found = trained("many_to_one", callbacks=callbacks(None, SaveOnError()), resume=saver.taken)
    assert found == history
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], value)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on(optimizer: str) -> None:
    whole, _ = trained("many_to_one", callbacks=StopAt(), optimizer=optimizer)
    stop = StopAt(step=4)
    with pytest.raises(Interrupted):
        trained("many_to_one", callbacks=stop, optimizer=optimizer)
    again, _ = trained("many_to_one", callbacks=StopAt(), optimizer=optimizer, resume=copy.deepcopy(stop.taken))
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], value)


def taken() -> rf.TrainingState:
    stop = StopAt(step=2)
    with pytest.raises(Interrupted):
        trained("many_to_one", callbacks=stop)
    assert stop.taken is not None
    return stop.taken


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        ("one_to_many", {"callbacks": StopAt()}, "resume: the state of a model with parameters"),
        ("many_to_one", {}, r"resume: the callbacks \['StopAt'\] of the state are required, got \[\]"),
        ("many_to_one", {"callbacks": rf.EarlyStopping()}, r"required, got \['EarlyStopping'\]"),
        ("many_to_one", {"callbacks": StopAt(), "batch_size": 3}, "resume: data of .* batches per epoch are required"),
        ("many_to_one", {"callbacks": StopAt(), "shuffle": False}, "resume: shuffle=True is required"),
        ("many_to_one", {"callbacks": StopAt(), "optimizer": "sgd"}, "state: the entries of this optimiser"),
    ],
)
def test_another_training_is_refused(problem: str, options: dict[str, Any], message: str) -> None:
    state, rng = taken(), np.random.default_rng(0)
    model, data, own = PROBLEMS[problem](rng)
    before = model.state_dict()
    with pytest.raises(ValueError, match=message):
        model.fit(*data, **{**FIT, **own, **options}, resume=state)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_another_file_is_refused(tmp_path: Path) -> None:
    model = rf.ManyToOne(C, 2, hidden_size=4)
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"a file that TrainingState.save wrote is required, got one of ManyToOne"):
        rf.TrainingState.read(tmp_path / "model.safetensors")
    taken().save(tmp_path / "state.safetensors")
    with pytest.raises(ValueError, match=r"a model file is required, got a state, which TrainingState.read reads"):
        rf.load(tmp_path / "state.safetensors")


def test_the_event_between_gradient_and_step(rng: np.random.Generator) -> None:
    """What a callback does to the gradients there is what the optimiser sees, before clipping."""

    class Halve(rf.Callback):
        def on_gradient(self, run: rf.Run) -> None:
            for p in run.model.parameters().values():
                p.grad = p.grad * 0.5

    x, y = rng.normal(size=(6, 4, C)), rng.integers(0, 2, 6)
    model, twin = (rf.ManyToOne(C, 2, hidden_size=4, seed=0, dtype="float64") for _ in range(2))
    model.fit(x, y, epochs=1, optimizer="sgd", lr=0.5, callbacks=Halve(), progress=False, shuffle=False)
    twin.fit(x, y, epochs=1, optimizer="sgd", lr=0.25, progress=False, shuffle=False)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value, twin.state_dict()[name], rtol=1e-14)

"""The callbacks that come with the package, the bar, and how epochs are numbered."""

from __future__ import annotations

import csv
import importlib.util
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.trainings import PROBLEMS, trained


class Interrupted(Exception):
    """Raised by a callback."""


class InterruptAt(rf.Callback):
    """Ends training by an exception when an epoch ends."""

    def __init__(self, epoch: int | None = None) -> None:
        self.epoch = epoch

    def on_epoch_end(self, run: rf.Run) -> None:
        if run.epoch == self.epoch:
            raise Interrupted


def without_validation(**options: Any) -> tuple[Any, dict[str, list[float]]]:
    return trained("many_to_one", validation_split=0, **options)


@pytest.mark.parametrize("make", [rf.EarlyStopping, lambda: rf.Checkpoint("never", monitor="val_accuracy")])
def test_without_validation_data_an_error_says_what_is_missing(make: Any) -> None:
    """Before any step is taken, and with a callback of the user's, which may add the quantity, after an epoch."""
    seen: list[int] = []
    optimizer = rf.Adam()

    class Count(rf.Callback):
        def on_step_end(self, run: rf.Run) -> None:
            seen.append(run.epoch)

    message = (
        r"^monitor: one of loss is required \(there are no validation data\), got 'val_\w+'; "
        r"give fit validation_data or a validation_split, or watch monitor='loss'$"
    )
    with pytest.raises(ValueError, match=message):
        without_validation(callbacks=make(), optimizer=optimizer, lr=None)
    assert optimizer.state_dict()["step"] == 0
    with pytest.raises(ValueError, match=message):
        without_validation(callbacks=[make(), Count()])
    assert set(seen) == {1}


def test_early_stopping_on_the_loss_needs_no_validation_data() -> None:
    """A single callback, not in a list; a rate of zero leaves nothing to improve but what dropout brings."""
    stopping = rf.EarlyStopping("loss", patience=2)
    _, history = without_validation(callbacks=stopping, epochs=50, optimizer=rf.SGD(lr=0.0), lr=None)
    best = int(np.argmin(history["loss"]))
    assert stopping.best_epoch == best + 1
    assert len(history["loss"]) == best + 3 < 50


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_checkpoint_is_a_model_and_a_training(problem: str, tmp_path: Path) -> None:
    path = tmp_path / "{epoch}-{step}.safetensors"
    model, history = trained(problem, callbacks=rf.Checkpoint(path, every_steps=3))
    steps = len(list(tmp_path.glob("1-*"))) and max(int(p.stem.split("-")[1]) for p in tmp_path.glob("1-*"))
    found = {tuple(map(int, p.stem.split("-"))) for p in tmp_path.iterdir()}
    ends = {(epoch, epoch * steps) for epoch in (1, 2, 3)}
    assert found == ends | {(-(-step // steps), step) for step in range(3, 3 * steps + 1, 3)}
    last = tmp_path / f"3-{3 * steps}.safetensors"
    loaded, state = rf.load(last), rf.TrainingState.read(last)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[name], value)
        np.testing.assert_array_equal(state.parameters[name], value)
    assert (state.epoch, state.batch, state.history) == (3, 0, history)
    longer, more = trained(problem, epochs=5, callbacks=rf.Checkpoint(path, every_steps=3), resume=last)
    whole, wanted = trained(problem, epochs=5, callbacks=rf.Checkpoint(tmp_path / "whole"))
    assert more == wanted
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(longer.state_dict()[name], value)


def test_a_checkpoint_without_a_training_is_a_model_file(tmp_path: Path) -> None:
    small, whole = tmp_path / "small", tmp_path / "whole"
    model, _ = trained("many_to_one", callbacks=[rf.Checkpoint(small, training=False), rf.Checkpoint(whole)])
    model.save(tmp_path / "saved")
    assert small.read_bytes() == (tmp_path / "saved").read_bytes()
    assert whole.stat().st_size > 3 * small.stat().st_size
    with pytest.raises(ValueError, match=r"a file that TrainingState.save wrote is required, got one of ManyToOne"):
        trained("many_to_one", resume=small)
    with pytest.raises(ValueError, match=r"every_steps: None is required beside monitor='loss', got 3"):
        rf.Checkpoint(small, monitor="loss", every_steps=3)
    with pytest.raises(TypeError, match=r"training: a TrainingState or None is required, got 3"):
        model.save(small, training=3)


def test_a_model_file_may_hold_other_parameters_than_the_training(tmp_path: Path) -> None:
    """As where the model is an average of what is trained."""

    class Average(rf.Callback):
        def on_state(self, run: rf.Run) -> None:
            state, model = run.state(), rf.ManyToOne(**run.model.config)
            model.load_state_dict({name: value + 1 for name, value in state.parameters.items()})
            model.save(tmp_path / "average", training=state)

    model, _ = trained("many_to_one", callbacks=Average())
    state, loaded = rf.TrainingState.read(tmp_path / "average"), rf.load(tmp_path / "average")
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(state.parameters[name], value)
        np.testing.assert_array_equal(loaded.state_dict()[name], value + 1)


def test_a_state_knows_that_training_was_to_stop(tmp_path: Path) -> None:
    class Stop(rf.Callback):
        def on_step_end(self, run: rf.Run) -> None:
            run.stop = run.stop or run.step == 1

    path = tmp_path / "state"
    whole, history = trained("many_to_one", callbacks=[Stop(), rf.Checkpoint(path, every_steps=2)])
    assert len(history["loss"]) == 1
    again, found = trained("many_to_one", callbacks=[Stop(), rf.Checkpoint(path, every_steps=2)], resume=path)
    assert found == history
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], value)


def test_a_callback_of_the_users_goes_on(tmp_path: Path) -> None:
    """What it returns from ``state``, numbers, texts and arrays, comes back after everything else has been restored."""

    class Average(rf.Callback):
        def on_train_begin(self, run: rf.Run) -> None:
            self.remembered: dict[str, Any] = {"mean": np.zeros(2, np.float32), "best": np.float32(9), "last": ""}

        def on_epoch_end(self, run: rf.Run) -> None:
            bias = run.model.parameters()["head.bias"].value
            self.remembered["mean"] = (self.remembered["mean"] + bias) / 2
            self.remembered["best"] = min(self.remembered["best"], np.float32(run.logs["loss"]))
            self.remembered["last"] += f"{run.epoch} "

        def state(self) -> dict[str, Any]:
            return dict(self.remembered)

        def set_state(self, state: Any) -> None:
            self.remembered = {name: state[name] for name in self.remembered}

    path, whole, again = tmp_path / "{epoch}", Average(), Average()
    trained("many_to_one", callbacks=[rf.Checkpoint(path), whole])
    trained("many_to_one", callbacks=[rf.Checkpoint(path), again], resume=tmp_path / "1")
    assert whole.remembered["last"] == "1 2 3 "
    np.testing.assert_equal(again.remembered, whole.remembered)


def test_csv_lines_are_the_history(tmp_path: Path) -> None:
    """They go on from one fit to the next, and in other columns not at all."""
    path = tmp_path / "log.csv"
    _, first = trained("many_to_one", callbacks=rf.CSVLogger(path))
    _, second = trained("many_to_one", callbacks=rf.CSVLogger(path), epochs=5, initial_epoch=3)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row.pop("epoch")) for row in rows] == [1, 2, 3, 4, 5]
    for name in first:
        assert [float(row[name]) for row in rows] == first[name] + second[name]
    with pytest.raises(ValueError, match=r"path: .* columns epoch, loss is required, got epoch, loss, val"):
        without_validation(callbacks=rf.CSVLogger(path))


def test_csv_lines_behind_a_state_are_removed(tmp_path: Path) -> None:
    whole, path, state = tmp_path / "whole.csv", tmp_path / "log.csv", tmp_path / "state"

    def callbacks(log: Path, epoch: int | None = None) -> list[rf.Callback]:
        return [rf.Checkpoint(state), rf.CSVLogger(log), InterruptAt(epoch)]

    trained("many_to_one", callbacks=callbacks(whole))
    with pytest.raises(Interrupted):
        trained("many_to_one", callbacks=callbacks(path, 2))
    assert len(path.read_text().splitlines()) == 3
    trained("many_to_one", callbacks=callbacks(path), resume=state)
    assert path.read_bytes() == whole.read_bytes()


def events(folder: Path) -> list[Any]:
    """Every event in a folder, file by file: records of a length, its checksum, the event and its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            found.append(Event.FromString(data[place + 12 : place + 12 + length]))
            place += length + 16
    return found


def test_tensorboard_reads_the_history(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")

    def callbacks(epoch: int | None = None) -> list[rf.Callback]:
        return [rf.TensorBoard(tmp_path / "runs"), InterruptAt(epoch), rf.Checkpoint(tmp_path / "state")]

    with pytest.raises(Interrupted):
        trained("many_to_one", callbacks=callbacks(2))
    _, history = trained("many_to_one", callbacks=callbacks(), resume=tmp_path / "state")
    seen: dict[tuple[str, int], float] = {}
    for event in events(tmp_path / "runs"):
        if event.session_log.status == 1:  # START: what has this step or a later one is hidden
            seen = {key: value for key, value in seen.items() if key[1] < event.step}
            assert (1 in {step for _, step in seen}, 2 in {step for _, step in seen}) == (True, False)
        for value in event.summary.value:
            seen[value.tag, event.step] = value.simple_value
    rates = {("learning_rate", epoch): 0.01 for epoch in (1, 2, 3)}
    wanted = {(name, i + 1): value for name, values in history.items() for i, value in enumerate(values)} | rates
    assert seen == {key: np.float32(value) for key, value in wanted.items()}


def test_tensorboard_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("rnnfast.loggers.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"TensorBoard: tensorboardX is required, which rnnfast\[tensorboard\]"):
        trained("many_to_one", callbacks=rf.TensorBoard(tmp_path))


def test_epochs_are_numbered_from_where_an_earlier_fit_ended(tmp_path: Path) -> None:
    class Record(rf.Callback):
        def __init__(self) -> None:
            self.epochs: list[int] = []

        def on_epoch_end(self, run: rf.Run) -> None:
            self.epochs.append(run.epoch)

    record = Record()
    model, history = trained("many_to_one", epochs=5, initial_epoch=3, callbacks=record)
    assert record.epochs == [4, 5]
    assert (model.history.initial_epoch, len(history["loss"])) == (3, 2)
    _, plain = trained("many_to_one", epochs=2)
    assert history == plain
    path = tmp_path / "{epoch}"
    trained("many_to_one", epochs=5, initial_epoch=3, callbacks=rf.Checkpoint(path))
    model, found = trained("many_to_one", epochs=5, callbacks=rf.Checkpoint(path), resume=tmp_path / "4")
    assert (model.history.initial_epoch, found) == (3, history)
    with pytest.raises(ValueError, match=r"initial_epoch: at most 3 is required, got 4"):
        trained("many_to_one", initial_epoch=4)
    with pytest.raises(ValueError, match=r"initial_epoch: 0 is required beside resume, which knows its epoch, got 3"):
        trained("many_to_one", epochs=5, initial_epoch=3, resume=tmp_path / "4", callbacks=rf.Checkpoint(path))


@pytest.mark.parametrize(("progress", "watched", "shown"), [(True, False, True), (None, True, True)])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_bar_shows_values_speed_and_time(
    progress: bool | None,
    watched: bool,
    shown: bool,
    resumed: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "state"
    options: dict[str, Any] = {"callbacks": rf.Checkpoint(path)}
    if resumed:
        trained("many_to_one", epochs=2, **options)
        options["resume"] = path
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched, raising=False)
    trained("many_to_one", progress=progress, **options)
    text = capsys.readouterr().err
    for part in ("epoch 3/3", "val_accuracy=", "val_loss=", "step/s", "<00:00"):
        assert part in text
    assert ("epoch 1/3" in text) != resumed


@pytest.mark.parametrize("progress", [None, False])
@pytest.mark.parametrize("stderr", ["file", "none"])
def test_no_bar_where_nobody_watches(
    progress: bool | None, stderr: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is tqdm imported."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    if stderr == "none":
        monkeypatch.setattr(sys, "stderr", None)
    trained("many_to_one", progress=progress)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    trained("many_to_one", progress=None)
    assert "epoch 3/3" in capsys.readouterr().err
    with pytest.raises(TypeError, match=r"progress: True, False or None is required, got 1"):
        trained("many_to_one", progress=1)

"""Batches cut into parts: the same bits of parameters and history for any number of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.data.container import StoredSequences
from tests.support import mpi
from tests.support.communicators import Communicator, in_processes
from tests.support.custom import Told
from tests.support.distributed import PROBLEMS, C, bits, trained


def trained_together(size: int, problem: str, **options: Any) -> list[Any]:
    found, world = in_processes(size, lambda own: trained(problem, communicator=own, **options))
    for result in found:
        if isinstance(result, BaseException):
            raise result
    assert size == 1 or world.calls > 0
    return found


@pytest.mark.parametrize("problem", PROBLEMS)
def test_any_number_of_processes_trains_to_the_same_bits(problem: str) -> None:
    alone = bits(trained(problem, shards=8))
    for size in (1, 2, 3, 8):
        assert [bits(model) for model in trained_together(size, problem)] == [alone] * size


@pytest.mark.parametrize("problem", PROBLEMS)
def test_one_part_is_the_whole_batch(problem: str) -> None:
    """To the bit, dropout included."""
    whole, parts = trained(problem), trained(problem, shards=1)
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(parts.state_dict()[name], value)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_parts_have_the_gradient_of_the_whole_batch(problem: str) -> None:
    """Up to rounding: random masks are those of the rows of the whole batch, means are over all its elements."""
    options: dict[str, Any] = {"model": {"dtype": "float64"}, "optimizer": "sgd", "lr": 0.05, "epochs": 1}
    whole = trained(problem, **options)
    for shards in (2, 5, 30):
        parts = trained(problem, shards=shards, **options)
        for name, value in whole.state_dict().items():
            np.testing.assert_allclose(parts.state_dict()[name], value, rtol=1e-9, atol=1e-11)
        for name, values in whole.history.history.items():
            np.testing.assert_allclose(parts.history[name], values, rtol=1e-9)


def test_a_custom_cell_under_dropout() -> None:
    """Its masks, too, are functions of the row and the step, whatever sequences share a part."""
    model = {"cell": Told, "dropout": 0.3, "dtype": "float64"}
    options: dict[str, Any] = {"random": False, "model": model}
    found = [bits(own) for own in trained_together(3, "many_to_one", **options)]
    whole, parts = trained("many_to_one", **options), trained("many_to_one", shards=8, **options)
    assert found == [bits(parts)] * 3
    for name, value in whole.state_dict().items():
        np.testing.assert_allclose(parts.state_dict()[name], value, rtol=1e-7, atol=1e-9)


def test_fewer_sequences_than_parts() -> None:
    alone = bits(trained("many_to_one", shards=8, batch_size=2))
    assert [bits(model) for model in trained_together(8, "many_to_one", batch_size=2)] == [alone] * 8


def test_a_memory_map_is_read_where_its_rows_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process reads its own parts, in all processes together every row once an epoch."""
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(16, 6, C))
    x[...] = np.random.default_rng(0).normal(size=x.shape)
    y, read = np.arange(16) % 2, []
    flat = StoredSequences.flat

    def noted(self: StoredSequences) -> Any:
        rows = flat(self)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(StoredSequences, "flat", noted)

    def train(own: Communicator | None) -> str:
        model = rf.ManyToOne(C, 2, hidden_size=4, seed=0)
        model.fit(x, y, epochs=2, batch_size=8, seed=1, shards=8, communicator=own, progress=False)
        return bits(model)

    alone = train(None)
    assert sum(read) == 2 * 16 * 6
    read.clear()
    assert in_processes(2, train)[0] == [alone] * 2
    assert sum(read) == 2 * 16 * 6


class Meddling(rf.Callback):
    """Changes whatever a callback may, and remembers where."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def on_train_begin(self, run: rf.Run) -> None:
        self.events.append("begin")
        run.optimizer.lr = 0.04

    def on_gradient(self, run: rf.Run) -> None:
        for p in run.model.parameters().values():
            p.grad[...] *= 0.5

    def on_step_end(self, run: rf.Run) -> None:
        run.optimizer.scale_lr(0.9)

    def on_epoch_end(self, run: rf.Run) -> None:
        self.events.append(f"{run.logs['loss']}")
        for p in run.model.parameters().values():
            p[...] = p.value * np.float32(0.9)
        run.stop = run.epoch == 2


def test_what_a_callback_changes_is_changed_in_all_processes() -> None:
    given = [Meddling() for _ in range(4)]
    alone = bits(trained("many_to_one", shards=8, callbacks=given[3]))
    found, _ = in_processes(3, lambda own: trained("many_to_one", communicator=own, callbacks=given[own.rank]))
    assert [bits(model) for model in found] == [alone] * 3
    assert given[0].events == given[3].events
    assert len(given[0].events) == 3
    assert given[1].events == given[2].events == []


def test_decisions_of_callbacks_are_those_of_one_process() -> None:
    def options() -> dict[str, Any]:
        plateau = rf.ReduceLROnPlateau("loss", patience=1, min_delta=1.0)
        stopping = rf.EarlyStopping("val_accuracy", patience=3, min_delta=1.0)
        return {"callbacks": [plateau, stopping], "epochs": 9, "ema": 0.9, "metrics": ["f1", "auc"]}

    alone = trained("many_to_one", shards=8, **options())
    assert len(alone.history["loss"]) == 4
    found, _ = in_processes(3, lambda own: trained("many_to_one", communicator=own, **options()))
    assert [bits(model) for model in found] == [bits(alone)] * 3


@pytest.mark.parametrize("problem", ["many_to_many", "streams", "translated"])
def test_a_training_goes_on_in_another_number_of_processes(problem: str, tmp_path: Path) -> None:
    """From within a batch that is cut in time, where states of all parts pass on."""
    kept = tmp_path / "{step}.safetensors"

    def options() -> dict[str, Any]:
        return {"shards": 8, "callbacks": rf.Checkpoint(kept, every_steps=1)}

    alone = bits(trained(problem, **options()))
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    trained_together(3, problem, **options())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
    for step, size in ((1, 2), (4, 1)):
        state = tmp_path / f"{step}.safetensors"
        found = trained_together(size, problem, resume=state, **options())
        assert [bits(model) for model in found] == [alone] * size
    with pytest.raises(ValueError, match=r"resume: shards=8 is required, .* got 4"):
        trained(problem, resume=state, **{**options(), "shards": 4})


def test_models_without_a_seed_become_alike() -> None:
    """Parameters, order and random masks are those of the first process."""

    def train(own: Communicator) -> str:
        model = rf.ManyToOne(C, 2, hidden_size=4, output_dropout=0.5)
        x = np.random.default_rng(0).normal(size=(16, 5, C))
        model.fit(x, np.arange(16) % 2, epochs=2, batch_size=4, communicator=own, progress=False)
        return bits(model)

    found, _ = in_processes(2, train)
    assert found[0] == found[1]


def test_an_exception_in_one_process_ends_all(capfd: pytest.CaptureFixture[str]) -> None:
    def batches(own: Communicator) -> Any:
        def batch() -> Any:
            rng = np.random.default_rng(0)
            for i in range(4):
                if own.rank == 1 and i == 2:
                    raise OSError("the disk is gone")
                yield rng.normal(size=(8, 5, C)), np.arange(8) % 2

        return batch

    def train(own: Communicator) -> None:
        model = rf.ManyToOne(C, 2, hidden_size=4, seed=0)
        model.fit(batches(own), epochs=2, communicator=own, progress=False)

    found, world = in_processes(3, train)
    assert isinstance(found[1], OSError)
    assert world.aborted[0] == 1
    assert "process 1 of 3" in capfd.readouterr().err


@pytest.mark.parametrize("what", ["epochs", "hidden_size", "data"])
def test_processes_that_differ_are_refused(what: str) -> None:
    def train(own: Communicator) -> None:
        model = rf.ManyToOne(C, 2, hidden_size=4 + (what == "hidden_size") * own.rank, seed=0)
        y = (np.arange(16) + (what == "data") * own.rank) % 2
        epochs = 2 + (what == "epochs") * own.rank
        model.fit(np.ones((16, 5, C)), y, epochs=epochs, communicator=own, progress=False)

    wanted = "the same data" if what == "data" else "the same call"
    found, _ = in_processes(2, train)
    assert any(isinstance(error, ValueError) and wanted in str(error) for error in found)


def test_arguments() -> None:
    for error, match, options in (
        (TypeError, "communicator: one of mpi4py or None is required, got 3", {"communicator": 3}),
        (ValueError, r"shards: .* got 0", {"shards": 0}),
    ):
        given: dict[str, Any] = options
        with pytest.raises(error, match=match):
            trained("many_to_one", **given)
    found, _ = in_processes(3, lambda own: trained("many_to_one", communicator=own, shards=2))
    assert all("shards: at least one part for every process (3) is required, got 2" in str(error) for error in found)


def test_two_processes_of_an_mpi() -> None:
    mpi.require()
    done = mpi.run(2, "bits", "many_to_many", "translated")
    assert done.returncode == 0, done.stderr
    found = dict(line.split()[:2] for line in done.stdout.splitlines())
    assert found == {problem: bits(trained(problem, shards=8)) for problem in ("many_to_many", "translated")}


@pytest.mark.parametrize(("what", "named"), [("raise", "process 1 of 2"), ("full", "process 0 of 2")])
def test_an_mpi_ends_all_processes_where_one_fails(what: str, named: str) -> None:
    """In the data of one process, and in a callback, which is only called in the first one."""
    mpi.require()
    done = mpi.run(2, what, timeout=60)
    assert done.returncode != 0
    assert named in done.stderr

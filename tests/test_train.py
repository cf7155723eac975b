"""The training loop: epochs, validation, callbacks, interruption, repetition."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

RNG = np.random.default_rng(0)
X = [RNG.normal(size=(n, 2)) for n in RNG.integers(1, 9, 60)]
Y = np.array([int(x[:, 0].sum() > x[:, 1].sum()) for x in X])
TEXT = np.tile([0, 1, 2, 1, 3], 60)


def classifier(**options: Any) -> Any:
    return rf.ManyToOne(2, 2, cell="gru", hidden_size=6, seed=0, **options)


def train(model: Any, **options: Any) -> Any:
    return model.fit(X, Y, **{"epochs": 3, "batch_size": 10, "progress": False, "seed": 0, **options})


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_the_loss_falls(optimizer: str) -> None:
    model = classifier()
    before = model.loss(X, Y)
    history = train(
        model, epochs=25, lr=0.3 if optimizer == "sgd" else 0.02, optimizer=optimizer, clip_norm=1.0
    ).history
    assert list(history) == ["loss"]
    assert len(history["loss"]) == 25
    assert model.loss(X, Y) < 0.6 * before


def test_a_long_sequence_is_learned_with_carried_state() -> None:
    model = rf.OneToMany(4, hidden_size=12, embedding=4, seed=0)
    history = model.fit(TEXT, epochs=15, batch_size=4, tbptt=16, lr=0.03, validation_split=0.2, progress=False)
    assert history.history["val_loss"][-1] < 0.1
    assert history.history["val_accuracy"][-1] > 0.95
    assert model.evaluate(TEXT)["loss"] < 0.1


def test_real_elements_are_learned() -> None:
    wave = np.sin(0.3 * np.arange(400))
    model = rf.OneToMany(1, task="regression", cell="lstm", hidden_size=12, seed=0)
    first = model.evaluate(wave)["loss"]
    model.fit(wave, epochs=40, batch_size=8, lr=0.02, progress=False)
    assert model.evaluate(wave, burn_in=20)["loss"] < 0.02 * first


def test_a_seed_repeats_everything() -> None:
    """Initial values, shuffling and dropout."""
    states = []
    for seed in (0, 0, 1):
        model = classifier(num_layers=2, dropout=0.3)
        train(model, seed=seed)
        states.append(model.state_dict())
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_dropout_acts_in_training_only() -> None:
    model = classifier(num_layers=2, dropout=0.5)
    assert len({model.loss_and_grad(X, Y) for _ in range(3)}) == 3
    assert model.loss(X, Y) == model.loss(X, Y) == pytest.approx(model.evaluate(X, Y)["loss"], rel=1e-6)


def test_the_history_is_the_mean_over_elements() -> None:
    """With a learning rate of zero the epoch's loss is the model's, whatever the batches."""
    model = classifier(dtype="float64")
    weights = RNG.uniform(size=60)
    history = train(model, optimizer=rf.SGD(lr=0.0), sample_weight=weights, batch_size=7).history
    np.testing.assert_allclose(history["loss"], model.loss(X, Y, sample_weight=weights), rtol=1e-12)


def test_validation_is_an_evaluation() -> None:
    model = classifier()
    history = train(model, validation_data=(X[:20], Y[:20])).history
    found = model.evaluate(X[:20], Y[:20])
    assert history["val_loss"][-1] == pytest.approx(found["loss"], rel=1e-6)
    assert history["val_accuracy"][-1] == pytest.approx(found["accuracy"])
    arrays = np.zeros((20, 8, 2))
    for row, x in zip(arrays, X, strict=False):
        row[: len(x)] = x
    given = {"x": arrays, "y": Y[:20], "lengths": [len(x) for x in X[:20]]}
    assert train(classifier(), validation_data=given).history == history
    split = train(classifier(), validation_split=0.3).history
    apart = classifier().fit(
        X[:42], Y[:42], epochs=3, batch_size=10, validation_data=(X[42:], Y[42:]), progress=False, seed=0
    )
    assert split == apart.history


def test_zero_epochs_change_nothing() -> None:
    model = classifier()
    before = model.state_dict()
    assert train(model, epochs=0).history == {}
    assert same(before, model.state_dict())


def test_fit_goes_on_with_a_bound_optimiser() -> None:
    whole, cut = classifier(), classifier()
    optimizer = rf.Adam(cut.parameters(), lr=0.01)
    train(whole, epochs=4, lr=0.01, shuffle=False)
    for _ in range(2):
        train(cut, epochs=2, optimizer=optimizer, shuffle=False)
    assert same(whole.state_dict(), cut.state_dict())
    with pytest.raises(ValueError, match=r"optimizer: one bound to this model, or an unbound one, is required"):
        train(whole, optimizer=optimizer)


def test_an_optimiser_of_some_parameters_freezes_the_others() -> None:
    model = classifier()
    before = model.state_dict()
    params = model.parameters()
    train(model, optimizer=rf.SGD({name: params[name] for name in ("head.weight", "head.bias")}, lr=0.1))
    changed = {name for name, value in model.state_dict().items() if not np.array_equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}


class Recorder(rf.Callback):
    """Everything that happens, and the state after every step."""

    def __init__(self, act: Any = None, at: int = -1) -> None:
        self.events: list[str] = []
        self.states: list[Any] = []
        self.act, self.at = act, at

    def on_train_begin(self, run: Any) -> None:
        self.events.append("begin")

    def on_epoch_begin(self, run: Any) -> None:
        self.events.append(f"epoch {run.epoch}")

    def on_step_end(self, run: Any) -> None:
        self.states.append((run.model.state_dict(), run.optimizer.state_dict()))
        if run.step == self.at:
            self.act()

    def on_epoch_end(self, run: Any) -> None:
        self.events.append(f"end {run.epoch} {sorted(run.logs)}")

    def on_train_end(self, run: Any) -> None:
        self.events.append("finished")


def test_callbacks_are_called_in_order() -> None:
    recorder = Recorder()
    train(classifier(), epochs=2, validation_split=0.2, callbacks=[recorder])
    logs = "['loss', 'val_accuracy', 'val_loss']"
    assert recorder.events == ["begin", "epoch 1", f"end 1 {logs}", "epoch 2", f"end 2 {logs}", "finished"]
    assert len(recorder.states) == 2 * 5


def test_early_stopping_restores_the_best_epoch() -> None:
    class Script(rf.Callback):
        """A validation loss that falls and rises."""

        def __init__(self) -> None:
            self.states: list[Any] = []

        def on_epoch_end(self, run: Any) -> None:
            self.states.append(run.model.state_dict())
            run.logs["val_loss"] = [3.0, 2.0, 1.0, 1.5, 0.99, 2.0, 2.0, 2.0][run.epoch - 1]

    for options, length, best in (
        ({"patience": 3}, 8, 4),
        ({"patience": 1}, 4, 2),
        ({"patience": 2, "min_delta": 0.1}, 5, 2),
        ({"patience": 1, "restore_best": False}, 4, 3),
        ({"patience": 1, "mode": "max"}, 2, 0),
    ):
        model, script = classifier(), Script()
        train(model, epochs=8, callbacks=[script, rf.EarlyStopping(**options)])
        assert len(script.states) == length
        assert same(model.state_dict(), script.states[best])


def test_checkpoints(tmp_path: Path) -> None:
    model = classifier()
    every = rf.Checkpoint(tmp_path / "{epoch}.safetensors")
    best = rf.Checkpoint(tmp_path / "best.safetensors", monitor="val_accuracy")
    train(model, callbacks=[every, best], validation_split=0.2)
    assert {p.name for p in tmp_path.iterdir()} == {
        "1.safetensors",
        "2.safetensors",
        "3.safetensors",
        "best.safetensors",
    }
    assert same(rf.load(tmp_path / "3.safetensors").state_dict(), model.state_dict())
    with pytest.raises(
        ValueError, match=r"monitor: one of loss is required \(there are no validation data\), got 'val_loss'"
    ):
        train(model, callbacks=[rf.EarlyStopping()])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_last_completed_step(error: type[BaseException]) -> None:
    def act() -> None:
        raise error

    model, recorder = classifier(), Recorder(act, at=8)
    optimizer = rf.Adam()
    with pytest.raises(error):
        train(model, callbacks=[recorder], optimizer=optimizer)
    params, state = recorder.states[-1]
    assert len(recorder.states) == 8
    assert same(params, model.state_dict())
    assert same(state, optimizer.state_dict())


class Alarm(Recorder):
    """Asks for a signal some seconds after training has begun."""

    def __init__(self, delay: float) -> None:
        super().__init__()
        self.delay = delay

    def on_train_begin(self, run: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, self.delay)


def test_ctrl_c_at_any_moment_leaves_a_completed_step() -> None:
    """The signal comes from outside, in the middle of whatever is going on."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")
    for delay in (0.02, 0.031, 0.047):
        model, recorder, optimizer = classifier(num_layers=2), Alarm(delay), rf.Adam()
        start = model.state_dict()
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                train(model, epochs=10**6, callbacks=[recorder], optimizer=optimizer)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        steps = int(optimizer.state_dict()["step"][0])
        twin, replay = classifier(num_layers=2), rf.Adam()
        log = Recorder()
        train(twin, epochs=steps // 6 + 1, callbacks=[log], optimizer=replay)
        states = [(start, None), *log.states]
        assert same(model.state_dict(), states[steps][0])
        assert steps == 0 or same(optimizer.state_dict(), states[steps][1])


def test_divergence_is_an_error_and_destroys_nothing() -> None:
    def model_of() -> Any:
        return rf.ManyToOne(2, 1, cell="gru", hidden_size=6, task="regression", dtype="float64", seed=0)

    model, recorder = model_of(), Recorder()
    far = np.where(np.arange(len(Y)) == 0, 1e200, Y)
    with pytest.raises(FloatingPointError, match=r"fit: a finite loss is required, got inf in epoch 1"):
        model.fit(X, far, epochs=1, batch_size=10, callbacks=[recorder], progress=False, seed=0)
    expected = recorder.states[-1][0] if recorder.states else model_of().state_dict()
    assert same(model.state_dict(), expected)


def test_the_bar_is_shown_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    train(classifier())
    assert capsys.readouterr() == ("", "")
    train(classifier(), progress=True, validation_split=0.2)
    shown = capsys.readouterr().err
    assert "epoch 3/3" in shown
    assert "val_loss=" in shown
    assert "15/15" in shown

"""Averages of weights against PyTorch, and in training."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.params import Parameter

X, Y = np.random.default_rng(0).normal(size=(20, 4, 3)), np.arange(20) % 2


def fit(model: Any, **options: Any) -> dict[str, list[float]]:
    history = model.fit(X, Y, **{"epochs": 3, "batch_size": 5, "lr": 0.05, "progress": False, "seed": 0, **options})
    return dict(history.history)


def classifier(**options: Any) -> Any:
    return rf.ManyToOne(3, 2, hidden_size=4, seed=0, **options)


def assert_same(a: dict[str, Any], b: dict[str, Any], tolerance: float = 0.0) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_allclose(b[name], value, rtol=tolerance, atol=tolerance)


@pytest.mark.torch
@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999])
def test_averages_are_those_of_pytorch(decay: float) -> None:
    torch = pytest.importorskip("torch")
    swa = torch.optim.swa_utils
    module = torch.nn.Linear(3, 2).double()
    theirs = swa.AveragedModel(module, multi_avg_fn=swa.get_ema_multi_avg_fn(decay))
    params = {name: Parameter(p.detach().numpy()) for name, p in module.named_parameters()}
    average, rng = rf.AveragedWeights(decay), np.random.default_rng(0)
    for _ in range(100):
        for name, p in module.named_parameters():
            params[name][...] = rng.normal(size=p.shape)
            p.data = torch.tensor(params[name].value.copy())
        average.update(params)
        theirs.update_parameters(module)
    expected = {name: p.detach().numpy() for name, p in theirs.module.named_parameters()}
    assert_same(expected, average.values(), 1e-12)


def test_the_corrected_average_is_a_mean_of_all_values(dtype: str) -> None:
    decay, p, rng = 0.7, Parameter(np.zeros(3, dtype)), np.random.default_rng(0)
    average, values = rf.AveragedWeights(decay, bias_correction=True), []
    for steps in range(1, 20):
        p[...] = rng.normal(size=3)
        values.append(p.value.astype(np.float64))
        average.update([p])
        weights = decay ** np.arange(steps)[::-1]
        expected = (weights[:, None] * np.array(values)).sum(axis=0) / weights.sum()
        assert average.values()["0"].dtype == dtype
        np.testing.assert_allclose(average.values()["0"], expected, rtol=1e-12 if dtype == "float64" else 1e-5)


def test_a_block_with_averages_gives_the_values_back() -> None:
    p, average = Parameter(np.zeros(2)), rf.AveragedWeights(0.5)
    with pytest.raises(ValueError, match=r"params: those of the average are required \(\{\}\), got"):
        average.applied([p]).__enter__()
    for value in (1.0, 3.0):
        p[...] = value
        average.update([p])
    inside = []

    def fail() -> None:
        with average.applied([p]):
            inside.append(p.value.copy())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (inside[0] == 2).all()
    assert (p.value == 3).all()
    with pytest.raises(ValueError, match=r"params: those of the average are required"):
        average.update([Parameter(np.zeros(3))])


class Watch(rf.Callback):
    """The parameters after every step and epoch, and what states hold of them."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.epochs: list[Any] = []
        self.states: list[rf.TrainingState] = []

    def on_step_end(self, run: rf.Run) -> None:
        self.steps.append(run.model.state_dict())
        self.states.append(run.state())

    def on_epoch_end(self, run: rf.Run) -> None:
        self.epochs.append(run.model.state_dict())
        self.states.append(run.state())


@pytest.mark.parametrize("given", [0.8, rf.AveragedWeights(0.8, bias_correction=True)], ids=["decay", "object"])
def test_training_goes_on_beside_the_averages(given: Any) -> None:
    """Steps are those without averages; validation, epoch ends and the end see averages, states see both."""
    plain, watched, model = Watch(), Watch(), classifier()
    fit(classifier(), callbacks=plain)
    fit(model, callbacks=watched, ema=given)
    average, params = rf.AveragedWeights(0.8, bias_correction=isinstance(given, rf.AveragedWeights)), None
    for step, (expected, found) in enumerate(zip(plain.steps, watched.steps, strict=True), 1):
        assert_same(expected, found)
        params = {name: Parameter(value) for name, value in expected.items()}
        average.update(params)
        if step % 4 == 0:
            assert_same(average.values(), watched.epochs[step // 4 - 1])
    assert_same(average.values(), model.state_dict())
    for ours, theirs in zip(watched.states, plain.states, strict=True):
        assert_same(theirs.parameters, ours.parameters)
    assert {name.removeprefix("average.") for name in watched.states[-1].average} == {"steps", *model.parameters()}
    assert plain.states[-1].average == {}


def test_validation_and_early_stopping_use_the_averages() -> None:
    model, watched = classifier(), Watch()
    stopping = rf.EarlyStopping("val_loss", patience=9, mode="max")
    history = fit(model, ema=0.8, validation_data=(X, Y), callbacks=[watched, stopping], epochs=4)
    for values, loss in zip(watched.epochs, history["val_loss"], strict=True):
        twin = classifier()
        twin.load_state_dict(values)
        assert twin.evaluate(X, Y)["loss"] == loss
    assert_same(watched.epochs[stopping.best_epoch - 1], model.state_dict())


def test_an_object_forgets_an_earlier_training() -> None:
    average = rf.AveragedWeights(0.8)
    first, second = classifier(), classifier()
    fit(first, ema=average)
    fit(second, ema=average)
    assert average.steps == 12
    assert_same(first.state_dict(), second.state_dict())
    assert_same(average.values(), first.state_dict())


def test_parameters_that_are_not_trained_stay() -> None:
    model = classifier()
    before, params = model.state_dict(), model.parameters()
    head = [params["head.weight"], params["head.bias"]]
    fit(model, optimizer=rf.SGD(head, lr=0.1), lr=None, ema=rf.AveragedWeights(0.9, bias_correction=True))
    for name, value in model.state_dict().items():
        assert np.array_equal(value, before[name]) == (not name.startswith("head"))


def test_an_exception_leaves_the_averages_in_the_model() -> None:
    class Stop(Watch):
        def on_train_error(self, run: rf.Run) -> None:
            self.states.append(run.state())

        def on_step_end(self, run: rf.Run) -> None:
            super().on_step_end(run)
            if run.step == 6:
                raise KeyboardInterrupt

    model, stop, average = classifier(), Stop(), rf.AveragedWeights(0.8)
    with pytest.raises(KeyboardInterrupt):
        fit(model, ema=average, callbacks=stop)
    assert_same(average.values(), model.state_dict())
    assert_same(stop.states[-1].parameters, stop.steps[-1])


def test_a_state_goes_on_where_it_stood() -> None:
    params, average = [Parameter(np.zeros(2))], rf.AveragedWeights(0.6)
    twin = rf.AveragedWeights(0.6)
    for step in range(6):
        params[0][...] = step
        average.update(params)
        twin.update(params)
        twin.load_state_dict(copy.deepcopy(twin.state_dict()))
    assert_same(average.state_dict(), twin.state_dict())
    with pytest.raises(ValueError, match=r"state: steps and averages are required"):
        twin.load_state_dict({"average.0": np.zeros(2)})
    watched = Watch()
    fit(classifier(), ema=0.8, callbacks=watched)
    with pytest.raises(ValueError, match=r"resume: the ema that the state was taken with is required, got None"):
        fit(classifier(), callbacks=Watch(), resume=watched.states[2])

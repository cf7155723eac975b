"""Copies: they compute the same bits, train as the original would, and share nothing with it."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numpy as np
import pytest

import rnnfast as rf
from rnnfast.params import Module, Parameter
from rnnfast.rl import Gaussian
from rnnfast.text import ByteVocabulary, Vocabulary, WordVocabulary
from tests.support.argument_cases_data import dataset
from tests.support.argument_cases_rl import collector
from tests.support.examples import LABELS, SMALL_LAYERS, SMALL_MODELS, X

Copy = Callable[[Any], Any]
GROUPED = [
    partial(rf.Adam, amsgrad=True, groups=[{"params": "head.*", "lr": rf.schedules.Exponential(0.1, factor=0.9)}]),
    partial(rf.SGD, momentum=0.5, groups=[{"params": "*bias*", "weight_decay": 0.1}]),
]


def by_joblib(value: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


def by_pickle(value: Any, protocol: int) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


WAYS: dict[str, Copy] = {"copy": copy.copy, "deepcopy": copy.deepcopy, "joblib": by_joblib}
WAYS |= {f"pickle {protocol}": partial(by_pickle, protocol=protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


every_layer = pytest.mark.parametrize("make", SMALL_LAYERS.values(), ids=SMALL_LAYERS.keys())
every_model = pytest.mark.parametrize(("make", "data"), SMALL_MODELS.values(), ids=SMALL_MODELS.keys())


def arrays_in(value: Any, seen: set[int]) -> list[np.ndarray[Any, Any]]:
    """All arrays that can be reached from an object of this package."""
    if id(value) in seen:
        return []
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, Parameter):
        inside: Any = [value._data, value.value, value.grad, value._bounds]
    elif isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, (list, tuple)):
        inside = value
    elif type(value).__module__.startswith(("rnnfast.", "tests.")) and hasattr(value, "__dict__"):
        inside = vars(value).values()
    else:
        return []
    return [array for each in inside for array in arrays_in(each, seen)]


def assert_apart(a: Any, b: Any) -> None:
    """No array of the one shares memory with one of the other."""
    ours, theirs = arrays_in(a, set()), arrays_in(b, set())
    assert len(ours) == len(theirs)
    for one in ours:
        assert not any(np.shares_memory(one, other) for other in theirs)


def train_layer(layer: Any, steps: int = 2) -> list[Any]:
    optimizer, seen = rf.Adam(layer.parameters(), lr=0.1), []
    x = np.random.default_rng(1).normal(size=(4, 4, 3)).astype(layer.dtype)
    for _ in range(steps):
        y, _, tape = layer.forward(x)
        layer.zero_grad()
        layer.backward(tape, y)
        optimizer.step()
        seen += [y.copy(), layer(x)[0]]
    return seen


@every_way
@every_layer
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_layers(make: Callable[[], Any], way: Copy, used: bool) -> None:
    layer = make()
    layer.parameters()[next(iter(layer.parameters()))].constrain(limit=0.5)
    if used:
        train_layer(layer)
        next(iter(layer.parameters().values())).grad[...] = 7
    copied = way(layer)
    assert_apart(layer, copied)
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(p.value, copied.parameters()[name].value)
        np.testing.assert_array_equal(p.grad, copied.parameters()[name].grad)
    np.testing.assert_equal(train_layer(copied, 3), train_layer(layer, 3))


def fit(model: Any, data: tuple[Any, ...], optimizer: Any = "adam") -> Any:
    history = model.fit(*data, epochs=2, batch_size=5, optimizer=optimizer, progress=False, seed=3).history
    return history, model.state_dict(), model.evaluate(*data)


@every_way
@every_model
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_models(make: Callable[[], Any], data: tuple[Any, ...], way: Copy, used: bool) -> None:
    model = make()
    if used:
        model.metadata["classes"] = "a b"
        fit(model, data)
    copied = way(model)
    assert_apart(model, copied)
    assert (copied.metadata, copied.config, copied.history) == (model.metadata, model.config, model.history)
    np.testing.assert_equal(fit(copied, data), fit(model, data))


@every_way
@pytest.mark.parametrize("make", [rf.SGD, rf.RMSprop, rf.Adam, rf.AdamW, rf.NAdam, *GROUPED])
def test_an_optimiser_goes_with_its_model(make: Any, way: Copy) -> None:
    make_model, data = SMALL_MODELS["many to one"]
    model = make_model()
    optimizer = make(model.parameters(), lr=0.05)
    fit(model, data, optimizer)
    for pair in ((model, optimizer), (optimizer, model)):
        copies = way(pair) if way is not copy.copy else copy.deepcopy(pair)
        twin, bound = sorted(copies, key=lambda each: not isinstance(each, Module))
        assert all(p is bound.params[name] for name, p in twin.parameters().items())
        assert_apart(pair, copies)
        expected = copy.deepcopy((model, optimizer))
        np.testing.assert_equal(fit(twin, data, bound), fit(expected[0], data, expected[1]))


@every_way
@pytest.mark.parametrize("make", [rf.SGD, rf.RMSprop, rf.Adam, rf.AdamW, rf.NAdam, *GROUPED])
def test_an_optimiser_alone_comes_unbound_with_its_state(make: Any, way: Copy) -> None:
    make_model, data = SMALL_MODELS["many to one"]
    model = make_model()
    optimizer = make(model.parameters(), lr=0.05)
    fit(model, data, optimizer)
    alone, twin = way(optimizer), copy.deepcopy(model)
    assert alone.params is None
    with pytest.raises(RuntimeError, match="parameters are required"):
        alone.step()
    other = rf.ManyToOne(3, 2, hidden_size=5)
    with pytest.raises(ValueError, match="params: those of the optimizer's state are required"):
        alone.bind(other.parameters())
    np.testing.assert_equal(fit(twin, data, alone), fit(model, data, optimizer))


class Halve(rf.Callback):
    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_epoch_end(self, run: Any) -> None:
        self.rates.append(run.optimizer.lr)
        run.optimizer.lr /= 2


def trained_callback() -> rf.Callback:
    stopping = rf.EarlyStopping("loss", patience=1)
    make, data = SMALL_MODELS["many to one"]
    make().fit(*data, epochs=2, progress=False, callbacks=[stopping])
    return stopping


def averaged() -> rf.AveragedWeights:
    average = rf.AveragedWeights(0.5, bias_correction=True)
    average.update([Parameter(np.ones(3))])
    return average


def accumulated_metric() -> rf.Metric:
    metric = rf.metrics.AUC()
    metric.update(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 0]), np.ones(2))
    return metric


THINGS: dict[str, Callable[[], Any]] = {
    "parameter": lambda: Parameter(np.arange(3.0)),
    "history": lambda: rf.ManyToOne(3, 2, hidden_size=2).fit(X, LABELS, epochs=2, progress=False),
    "early stopping": trained_callback,
    "checkpoint": lambda: rf.Checkpoint("m-{epoch}", monitor="val_loss"),
    "csv logger": lambda: rf.CSVLogger("log.csv"),
    "tensorboard": lambda: rf.TensorBoard("runs"),
    "callback": Halve,
    "plateau": lambda: rf.ReduceLROnPlateau("loss", patience=2),
    "schedule": lambda: rf.schedules.PiecewiseConstant([0.1, 0.2], boundaries=[3]),
    "averaged weights": averaged,
    "trace": lambda: rf.LSTM(3, 4, num_layers=2, seed=0).trace(X.astype("f")),
    "vocabulary": lambda: Vocabulary("hello"),
    "loss": lambda: rf.losses.CrossEntropy(class_weights=[1, 2], label_smoothing=0.1),
    "quantiles": lambda: rf.losses.Quantile([0.1, 0.9]),
    "metric": lambda: rf.metrics.F1("macro"),
    "accumulated metric": accumulated_metric,
    "scaler": lambda: rf.data.Scaler.fit(X),
    "dataset": dataset,
    "words": lambda: WordVocabulary("hello world", padding=True),
    "bytes": ByteVocabulary,
    "rollout": lambda: collector().collect(3),
    "policy": lambda: Gaussian(np.ones((2, 3)), np.zeros(3)),
}


@every_way
@pytest.mark.parametrize("make", THINGS.values(), ids=THINGS.keys())
def test_everything_else(make: Callable[[], Any], way: Copy) -> None:
    thing = make()
    copied = way(thing)
    assert type(copied) is type(thing)
    assert_apart(thing, copied)
    np.testing.assert_equal(arrays_in(copied, set()), arrays_in(thing, set()))
    for name, value in getattr(thing, "__dict__", {}).items():
        mine = vars(copied)[name]
        assert mine is not value or not isinstance(value, (dict, list, np.ndarray))
        assert isinstance(value, (dict, list, tuple, np.ndarray)) or mine == value


@every_way
def test_a_copy_made_in_training_trains_on_alike(way: Copy) -> None:
    """The copy is made in the middle of an epoch, with its gradients and counters."""

    class Take(rf.Callback):
        twin: Any = None

        def on_step_end(self, run: Any) -> None:
            if run.step == 3:
                self.twin = (
                    way((run.model, run.optimizer))
                    if way is not copy.copy
                    else copy.deepcopy((run.model, run.optimizer))
                )
            elif run.step > 3:
                model, optimizer = self.twin
                model.zero_grad()
                model.loss_and_grad(X, LABELS)
                optimizer.step()
                run.model.load_state_dict(model.state_dict())

    make, data = SMALL_MODELS["many to one"]
    taken = Take()
    model = make()
    model.fit(*data, epochs=2, batch_size=5, progress=False, callbacks=[taken], seed=0)
    np.testing.assert_equal(taken.twin[0].state_dict(), model.state_dict())
    np.testing.assert_equal(taken.twin[0].predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("kind", ["stream", "tape", "custom tape"])
@every_way
def test_what_cannot_be_copied_says_what_to_do(kind: str, way: Copy) -> None:
    layer = SMALL_LAYERS["custom" if kind == "custom tape" else "rnn"]()
    thing = layer.stream() if kind == "stream" else layer.forward(np.zeros((1, 2, 3), np.float32))[2]
    words = r"make another one with stream\(\)" if kind == "stream" else "call forward of the copied layer"
    with pytest.raises(TypeError, match=f"cannot be copied or pickled; {words}"):
        way(thing)

"""Metrics: accumulated over all data, from outside too."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnfast as rf
from rnnfast.metrics import Accuracy, Mean, MeanAbsoluteError

Array = npt.NDArray[Any]


class F1(rf.Metric):
    """The harmonic mean of precision and recall of class 1: no mean of batches."""

    higher_is_better = True

    def reset(self) -> None:
        self.hits = self.found = self.wanted = 0.0

    def update(self, outputs: Array, targets: Array, weights: Array | None) -> None:
        w = np.ones(len(targets)) if weights is None else weights
        chosen = outputs.argmax(axis=1) == 1
        self.hits += float(w[chosen & (targets == 1)].sum())
        self.found += float(w[chosen].sum())
        self.wanted += float(w[targets == 1].sum())

    def result(self) -> float:
        return 2 * self.hits / max(self.found + self.wanted, 1)


def problem(rng: np.random.Generator) -> tuple[rf.ManyToOne, Array, Array]:
    return rf.ManyToOne(3, 2, hidden_size=4, seed=1), rng.normal(size=(40, 5, 3)), rng.integers(0, 2, 40)


@pytest.mark.parametrize("batch_size", [1, 7, 40])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_metric_from_outside_sees_all_data(batch_size: int, weighted: bool, rng: np.random.Generator) -> None:
    model, x, y = problem(rng)
    weights = rng.integers(0, 3, 40).astype(float) if weighted else None
    w = np.ones(40) if weights is None else weights
    chosen = model.predict(x)
    hits = w[(chosen == 1) & (y == 1)].sum()
    expected = 2 * hits / (w[chosen == 1].sum() + w[y == 1].sum())
    found = model.evaluate(x, y, batch_size=batch_size, sample_weight=weights, metrics=F1())
    assert found["f1"] == pytest.approx(expected, rel=1e-12)
    assert found["accuracy"] == pytest.approx((w * (chosen == y)).sum() / w.sum(), rel=1e-12)


def test_fit_reports_metrics_of_the_validation_data(rng: np.random.Generator) -> None:
    model, x, y = problem(rng)
    history = model.fit(x, y, epochs=2, validation_split=0.5, metrics=[F1()], progress=False, seed=0).history
    assert set(history) == {"loss", "val_loss", "val_accuracy", "val_f1"}
    assert history["val_f1"][-1] == model.evaluate(x[20:], y[20:], metrics=F1())["f1"]


def test_the_metric_says_what_is_better(rng: np.random.Generator) -> None:
    """Early stopping watches F1 for its highest value, the mean absolute error for its lowest."""
    model, x, y = problem(rng)
    seen: list[float] = []

    class Watch(rf.Callback):
        def on_epoch_end(self, run: rf.Run) -> None:
            seen.append(run.logs["val_f1"])

    stopping = rf.EarlyStopping("val_f1", patience=50)
    fit: dict[str, Any] = {
        "epochs": 8,
        "progress": False,
        "seed": 0,
        "lr": 0.05,
        "metrics": F1(),
        "callbacks": [Watch(), stopping],
    }
    model.fit(x, y, validation_data=(x, y), **fit)
    assert stopping.best == max(seen)
    number = rf.ManyToOne(3, 1, task="regression", hidden_size=4, seed=1)
    stopping = rf.EarlyStopping("val_mae", patience=50)
    history = number.fit(
        x, y.astype(float), epochs=8, lr=0.05, validation_data=(x, y.astype(float)), callbacks=stopping, progress=False
    ).history
    assert stopping.best == min(history["val_mae"])


def test_the_heads_have_metrics_of_their_own(rng: np.random.Generator) -> None:
    model = rf.ManyToOne(3, outputs={"a": 2, "b": 2}, hidden_size=4, seed=0)
    x = rng.normal(size=(9, 5, 3))
    y = {"a": rng.integers(0, 2, 9), "b": rng.integers(0, 2, 9)}
    found = model.evaluate(x, y, metrics={"b": [F1()]})
    assert "b_f1" in found
    assert "a_f1" not in found


class Loss(F1):
    name = "loss"


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        (F1, TypeError, r"metrics: a Metric, or several, is required \(an object, not its class\)"),
        ([F1], TypeError, r"metrics: a Metric, or several, is required \(an object, not its class\)"),
        ([4], TypeError, "metrics: a Metric, or several, is required, got 4"),
        (["f1_makro"], ValueError, "metrics: one of .*, or a Metric is required, got .*; did you mean 'f1_macro'"),
        ("mae", ValueError, "metrics: for 'mae' a task of numbers is required, got task='classification'"),
        (3, TypeError, "metrics: a sequence is required, got 3"),
        ([F1(), F1()], ValueError, "metrics: different names are required, got 'f1' twice"),
        ([Loss()], ValueError, "metrics: different names are required, got 'loss' twice"),
        ({"a": F1()}, TypeError, "metrics: a Metric, or several, is required for a model with one head, got a dict"),
    ],
)
def test_what_is_refused(metrics: Any, error: type[Exception], message: str, rng: np.random.Generator) -> None:
    model, x, y = problem(rng)
    with pytest.raises(error, match=message):
        model.evaluate(x, y, metrics=metrics)
    before = model.state_dict()
    with pytest.raises(error, match=message):
        model.fit(x, y, epochs=1, metrics=metrics, validation_split=0.5, progress=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_metric_says_its_direction_and_needs_validation_data(rng: np.random.Generator) -> None:
    class Nameless(F1):
        higher_is_better = None  # type: ignore[assignment]

    model, x, y = problem(rng)
    with pytest.raises(TypeError, match=r"metrics: Nameless.higher_is_better = True or False is required, got none"):
        model.evaluate(x, y, metrics=Nameless())
    with pytest.raises(ValueError, match="metrics: validation data are required"):
        model.fit(x, y, epochs=1, metrics=F1(), progress=False)
    with pytest.raises(ValueError, match=r"monitor: one of loss is required \(there are no validation data\)"):
        model.fit(x, y, epochs=1, callbacks=rf.EarlyStopping(), progress=False)


def test_several_heads_need_a_dict(rng: np.random.Generator) -> None:
    model = rf.ManyToOne(3, outputs={"a": 2, "b": 2}, hidden_size=4)
    x, y = np.zeros((2, 5, 3)), {"a": [0, 1], "b": [0, 1]}
    with pytest.raises(ValueError, match=r"metrics: a dict by head \(a, b\) is required for several heads"):
        model.evaluate(x, y, metrics=F1())
    with pytest.raises(ValueError, match=r"metrics: names of heads \(a, b\) are required, got 'c'"):
        model.evaluate(x, y, metrics={"c": F1()})


def test_means_are_exact_and_read_nothing_of_weight_zero() -> None:
    metric = Mean(lambda outputs, targets: outputs - targets)
    big = np.array([[1e16], [1.0], [-1e16], [np.nan]])
    metric.update(big, np.zeros((4, 1)), np.array([1.0, 1.0, 1.0, 0.0]))
    metric.update(np.array([[2.0]]), np.zeros((1, 1)), None)
    assert metric.result() == 3 / 4
    metric.reset()
    assert metric.result() == 0.0


def test_names() -> None:
    class MeanSquaredError(Mean):
        higher_is_better = False

    assert (MeanSquaredError.name, F1.name, Accuracy.name, MeanAbsoluteError.name) == (
        "mean_squared_error",
        "f1",
        "accuracy",
        "mae",
    )


def test_a_copy_accumulates_for_itself() -> None:
    metric = F1()
    metric.reset()
    twin = copy.deepcopy(metric)
    metric.update(np.array([[0.0, 1.0]]), np.array([1]), None)
    assert (metric.result(), twin.result()) == (1.0, 0.0)

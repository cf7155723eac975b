"""Metrics: accumulated over all data, from outside too."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnfast as rf
from rnnfast.metrics import Accuracy, EditDistance, Mean, MeanAbsoluteError, Perplexity, TopKAccuracy, edit_distance
from rnnfast.metrics.collection import NAMED

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
    metric.update(big[:3], np.zeros((3, 1)), None)
    assert metric.result() == 4 / 7
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


@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_metrics_by_name(batch_size: int, rng: np.random.Generator) -> None:
    """Batches do not matter, and a name that the task reports anyway adds nothing."""
    names = [name for name in NAMED if name not in ("mae", "rmse", "r2")]
    model, x, y = problem(rng)
    weights = rng.random(40)
    found = model.evaluate(x, y, batch_size=batch_size, sample_weight=weights, metrics=names)
    assert set(found) == {"loss", *names}
    whole = model.evaluate(x, y, batch_size=40, sample_weight=weights, metrics=names)
    assert found == pytest.approx(whole, rel=1e-12)
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]), rel=1e-6)
    assert found["f1"] == pytest.approx(model.evaluate(x, y, sample_weight=weights, metrics=F1())["f1"])
    history = model.fit(x, y, epochs=2, validation_split=0.5, metrics="auc", progress=False, seed=0).history
    assert set(history) == {"loss", "val_loss", "val_accuracy", "val_auc"}


def test_metrics_have_a_kind_of_targets() -> None:
    kinds = {"classification": ("mae", "rmse", "r2"), "regression": tuple(set(NAMED) - {"mae", "rmse", "r2"})}
    kinds["multilabel"] = ("mae", "r2", "perplexity", "balanced_accuracy", "top_k_accuracy", "edit_distance")
    for task, names in kinds.items():
        model = rf.ManyToOne(2, 2, task=task, hidden_size=2)
        y = [0, 1] if task == "classification" else np.ones((2, 2))
        for name in names:
            with pytest.raises(
                ValueError, match=rf"^metrics: for '{name}' a task of .* is required, got task='{task}'"
            ):
                model.evaluate(np.zeros((2, 3, 2)), y, metrics=name)


def test_perplexity_of_characters(rng: np.random.Generator) -> None:
    model = rf.OneToMany(5, hidden_size=4, seed=0, dtype="float64")
    ids = rng.integers(0, 5, (6, 9))
    p = model.predict_proba(ids[:, :-1])
    expected = np.exp(-np.log(np.take_along_axis(p, ids[:, 1:, None], axis=2)).mean())
    assert model.evaluate(ids, batch_size=4, metrics="perplexity")["perplexity"] == pytest.approx(expected, rel=1e-12)
    far = Perplexity()
    far.update(np.array([[0.0, 2000.0]]), np.array([0]), None)
    assert far.result() == np.inf


def levenshtein(a: list[int], b: list[int]) -> int:
    """By its recursion."""
    if not a or not b:
        return len(a) + len(b)
    changed = levenshtein(a[1:], b[1:]) + (a[0] != b[0])
    return min(changed, levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1)


def test_edit_distances(rng: np.random.Generator) -> None:
    for _ in range(60):
        a, b = (rng.integers(0, 3, rng.integers(0, 6)).tolist() for _ in range(2))
        assert edit_distance(a, b) == levenshtein(a, b)
    assert edit_distance("flaw", "lawn") == 2
    with pytest.raises(TypeError, match=r"^a: a sequence is required, got 3"):
        edit_distance(3, [3])


@pytest.mark.parametrize("batch_size", [1, 2, 9])
def test_edit_distance_of_sequences(batch_size: int, rng: np.random.Generator) -> None:
    """Of each sequence by itself, without steps of weight 0; of what precedes a stop, where there is one."""
    model = rf.ManyToMany(2, 4, hidden_size=5, seed=3)
    x = [rng.normal(size=(n, 2)) for n in (4, 1, 6, 3, 5)]
    y, w = [rng.integers(0, 4, len(s)) for s in x], [rng.integers(0, 2, len(s)).astype(float) for s in x]
    w[0][:] = 1
    p = model.predict(x)
    pairs = [(a[own > 0].tolist(), b[own > 0].tolist()) for a, b, own in zip(p, y, w, strict=True)]
    expected = sum(levenshtein(a, b) for a, b in pairs) / sum(len(b) for _, b in pairs)
    found = model.evaluate(x, y, sample_weight=w, batch_size=batch_size, metrics="edit_distance")
    assert found["edit_distance"] == pytest.approx(expected, rel=1e-12)
    stop = int(p[2][3])
    cut = [[each[: each.index(stop)] if stop in each else each for each in pair] for pair in pairs]
    expected = sum(levenshtein(a, b) for a, b in cut) / max(sum(len(b) for _, b in cut), 1)
    found = model.evaluate(x, y, sample_weight=w, batch_size=batch_size, metrics=EditDistance(stop))
    assert found["edit_distance"] == pytest.approx(expected, rel=1e-12)
    whole = EditDistance()
    whole.update(np.eye(4)[p[2]], y[2], None)
    assert whole.result() == levenshtein(p[2].tolist(), y[2].tolist()) / len(y[2])


def test_top_k_has_its_k_in_its_name() -> None:
    assert (TopKAccuracy().name, TopKAccuracy(3).name) == ("top_k_accuracy", "top_3_accuracy")
    with pytest.raises(ValueError, match=r"^k: at least 1 is required, got 0"):
        TopKAccuracy(0)
    with pytest.raises(ValueError, match=r"^average: one of binary, .* or None is required, got 'mean'"):
        rf.metrics.F1("mean")
    with pytest.raises(TypeError, match=r"^stop: an integer is required, got 'x'"):
        EditDistance("x")  # type: ignore[arg-type]


def test_metrics_of_nothing() -> None:
    values = {name: NAMED[name]() for name in NAMED}
    for metric in values.values():
        metric.reset()
    found = {name: metric.result() for name, metric in values.items()}
    undefined = {name for name, value in found.items() if np.isnan(value)}
    assert undefined == {"auc", "r2"}
    assert {value for name, value in found.items() if name not in undefined} == {0.0, 1.0}


def test_metrics_of_heads_by_name(rng: np.random.Generator) -> None:
    model = rf.ManyToMany(2, outputs={"a": 2, "b": 1}, loss={"b": "mae"}, hidden_size=4, seed=0)
    x = rng.normal(size=(9, 5, 2))
    y = {"a": rng.integers(0, 2, (9, 5)), "b": rng.normal(size=(9, 5, 1))}
    y["b"][0] = np.nan
    found = model.evaluate(x, y, metrics={"a": ["f1", "edit_distance"], "b": "rmse"}, batch_size=4)
    names = {"loss", "a_loss", "a_accuracy", "a_f1", "a_edit_distance", "b_loss", "b_mae", "b_rmse"}
    assert set(found) == names
    error = model.predict(x)["b"][1:] - y["b"][1:]
    assert found["b_rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)


def test_predictions_of_another_shape_have_no_errors() -> None:
    class Pairs(rf.Task):
        name = "test_pairs"

        def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
            return 0.0, outputs * 0

        def decide(self, outputs: Array) -> Array:
            return np.stack([outputs, outputs], axis=2)

    model = rf.ManyToOne(2, 2, task=Pairs(), hidden_size=2)
    with pytest.raises(ValueError, match=r"^metrics: for 'r2' predictions of the targets' shape \(2, 2\) are required"):
        model.evaluate(np.zeros((2, 3, 2)), np.ones((2, 2)), metrics="r2")

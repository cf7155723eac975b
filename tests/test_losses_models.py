"""Losses in models: gradients, files, missing values, and weights of elements, classes and heads."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.tasks import as_task, task_config
from tests.support.loss_problems import (
    CASES,
    KINDS,
    LENGTHS,
    LOSSES,
    Array,
    C,
    N,
    T,
    assert_alike,
    data,
    gradients,
    headed,
    heads,
    make,
    targets,
)


@pytest.mark.parametrize(("kind", "loss"), CASES)
def test_gradients_and_files(kind: str, loss: str, tmp_path: Path, rng: np.random.Generator) -> None:
    model, given = make(kind, loss), data(kind, loss, rng)
    rf.check_gradient(lambda: model.loss_and_grad(**given), model.parameters(), samples=4)
    first, *others = given
    history = model.fit(
        given[first], *(given[name] for name in others), epochs=15, lr=0.05, progress=False, seed=0
    ).history
    assert history["loss"][-1] < history["loss"][0]
    model.save(tmp_path / "model.safetensors")
    same = rf.load(tmp_path / "model.safetensors")
    assert same.config == model.config
    assert task_config(same.task) == task_config(model.task)
    assert same.loss(**given) == model.loss(**given) == copy.deepcopy(model).loss(**given)
    assert model.evaluate(**given, batch_size=2)["loss"] == pytest.approx(model.loss(**given), rel=1e-12)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "cross_entropy"])
@pytest.mark.parametrize("kind", ["ManyToOne", "ManyToMany", "EncoderDecoder"])
def test_missing_targets_are_numbers_of_weight_zero(kind: str, loss: str, rng: np.random.Generator) -> None:
    """Element by element, for a model of any kind; what the decoder of a pair reads there is 0."""
    model, given = make(kind, loss), data(kind, loss, rng)
    whole = [given["y"]] if kind == "ManyToOne" else given["y"]
    gone = [rng.random(each.shape) < 0.3 for each in whole]
    zeros = [np.where(mask, 0.0, each) for each, mask in zip(whole, gone, strict=True)]
    holes = [np.where(mask, np.nan, each) for each, mask in zip(whole, gone, strict=True)]
    weights = [1.0 - mask for mask in gone]
    if kind == "ManyToOne":
        weighed = gradients(model, {**given, "y": zeros[0], "sample_weight": weights[0]})
        missing = {**given, "y": holes[0]}
    else:
        weighed = gradients(model, {**given, "y": zeros, "sample_weight": weights})
        missing = {**given, "y": holes}
    assert_alike(gradients(model, missing), weighed)
    assert model.loss(**missing) == weighed["loss"]
    assert model.evaluate(**missing, batch_size=2)["loss"] == pytest.approx(float(weighed["loss"]), rel=1e-12)
    wide = [np.where(mask, np.inf, each) for each, mask in zip(whole, gone, strict=True)]
    with pytest.raises(ValueError, match=r"^y: (finite numbers|values in \[0, 1\]) are required.*, got inf"):
        model.loss(**{**given, "y": wide[0] if kind == "ManyToOne" else wide})


@pytest.mark.parametrize("loss", ["mse", "huber", "gaussian"])
def test_missing_targets_equal_the_loss_over_the_rest(loss: str, rng: np.random.Generator) -> None:
    """Sequences without targets, and steps without targets, might as well not be there."""
    one, given = make("ManyToOne", loss), data("ManyToOne", loss, rng)
    kept = [0, 2, 3]
    expected = gradients(one, {"x": [given["x"][n] for n in kept], "y": given["y"][kept]})
    given["y"][[1, 4, 5]] = np.nan
    assert_alike(gradients(one, given), expected)
    many, given = make("ManyToMany", loss), data("ManyToMany", loss, rng)
    shorter = {"x": [s[:2] for s in given["x"]], "y": [s[:2] for s in given["y"]]}
    for each in given["y"]:
        each[2:] = np.nan
    assert_alike(gradients(many, given), gradients(many, shorter))
    history = many.fit(**given, epochs=2, batch_size=1, progress=False).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("kind", ["ManyToOne", "ManyToMany", "OneToMany", "EncoderDecoder"])
def test_ignored_ids_are_targets_of_weight_zero(kind: str, rng: np.random.Generator) -> None:
    ignoring = make(kind, "cross_entropy", loss={"name": "cross_entropy", "ignore_index": 1})
    plain, given = make(kind, "cross_entropy", loss=None), data(kind, "cross_entropy", rng)
    name = "sequences" if kind == "OneToMany" else "y"
    values = given[name]
    weights = [1.0 * (s != 1) for s in values] if isinstance(values, list) else 1.0 * (values != 1)
    if (
        kind == "EncoderDecoder"
    ):  # the weight of a stop is that of the element before it, so there are no targets 1 last
        for s, w in zip(values, weights, strict=True):
            s[-1], w[-1] = 2, 1.0
    assert_alike(gradients(ignoring, given), gradients(plain, {**given, "sample_weight": weights}))
    if kind == "ManyToOne":
        given["y"] = np.where(values == 1, -100, values)
        marked = make(kind, "cross_entropy", loss={"name": "cross_entropy", "ignore_index": -100})
        found = marked.evaluate(**given, metrics=["f1"])
        assert found["loss"] == pytest.approx(float(gradients(ignoring, {**given, "y": values})["loss"]))
        read = values != 1
        assert found["accuracy"] == pytest.approx((marked.predict(given["x"]) == values)[read].mean())


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_elements_of_sequences_that_predict_themselves_have_weights(loss: str, rng: np.random.Generator) -> None:
    """The weight of an element counts where it is the target; of a long sequence too, cut into streams or held out."""
    model, given = make("OneToMany", loss), data("OneToMany", loss, rng)
    weights = rng.random((N, T))
    weights[:, -1] = 0
    shorter = {"sequences": given["sequences"][:, :-1], "sample_weight": weights[:, :-1]}
    assert_alike(gradients(model, {**given, "sample_weight": weights}), gradients(model, shorter))
    long, own = targets(loss, (33,), rng), rng.random(33)
    expected = gradients(model, {"sequences": long[None], "sample_weight": own[None]})
    assert_alike(gradients(model, {"sequences": long, "sample_weight": own}), expected)
    found = model.evaluate(long, sample_weight=own, tbptt=5)["loss"]
    assert found == pytest.approx(float(expected["loss"]), rel=1e-12)
    kept = {"sequences": long[:20], "sample_weight": own[:20]}
    history = model.fit(
        long, sample_weight=own, validation_split=13 / 33, batch_size=2, epochs=1, lr=1e-9, progress=False
    ).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(long[20:], sample_weight=own[20:])["loss"])
    assert history["loss"][0] == pytest.approx(model.evaluate(**kept, batch_size=2, tbptt=9)["loss"], rel=1e-6)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("kind", ["ManyToMany", "EncoderDecoder"])
def test_equal_weights_of_steps_are_those_of_their_sequence(kind: str, loss: str, rng: np.random.Generator) -> None:
    """Of ids also the stop's, which is that of the element before; an empty sequence's stop has weight 1."""
    model, given = make(kind, loss, loss="mse" if loss == "mse" else None), data(kind, loss, rng)
    w = rng.random(N)
    each = [np.full(len(s), own) for s, own in zip(given["y"], w, strict=True)]
    assert_alike(gradients(model, {**given, "sample_weight": each}), gradients(model, {**given, "sample_weight": w}))
    if kind == "EncoderDecoder" and loss == "cross_entropy":
        given["y"][2], each[2], w[2] = given["y"][2][:0], each[2][:0], 1.0
        expected = gradients(model, {**given, "sample_weight": w})
        assert_alike(gradients(model, {**given, "sample_weight": each}), expected)


@pytest.mark.parametrize(
    ("options", "tasks"),
    [
        ({"loss": {"b": "huber"}}, {"a": "classification", "b": {"name": "regression", "loss": "huber"}}),
        ({"task": {"a": "classification", "b": "gaussian"}}, {"b": {"name": "regression", "loss": "gaussian"}}),
        (
            {"task": {"a": "classification", "b": "regression"}, "loss": {"b": {"name": "huber", "delta": 2}}},
            {"b": {"name": "regression", "loss": {"name": "huber", "delta": 2.0}}},
        ),
    ],
)
def test_several_heads_have_losses_of_their_own(
    options: dict[str, Any], tasks: dict[str, Any], tmp_path: Path, rng: np.random.Generator
) -> None:
    model, (x, y) = heads(**options), headed(rng)
    for name, config in tasks.items():
        assert model.config["task"][name] == config
    y["b"][1][:] = np.nan
    y["b"][0][:, 1] = np.nan
    rf.check_gradient(lambda: model.loss_and_grad(x, y), model.parameters(), samples=5)
    found = model.evaluate(x, y, batch_size=2)
    assert found["loss"] == pytest.approx(found["a_loss"] + 0.3 * found["b_loss"], rel=1e-12)
    assert found["loss"] == pytest.approx(model.loss(x, y), rel=1e-12)
    model.save(tmp_path / "heads.safetensors")
    assert rf.load(tmp_path / "heads.safetensors").evaluate(x, y, batch_size=2) == found


def test_heads_have_weights_of_their_own(rng: np.random.Generator) -> None:
    """A head without any keeps ones; its loss is what it is without the other head's weights."""
    model, (x, y) = heads(loss={"b": "huber"}), headed(rng)
    w = {"b": [rng.random((n, 2)) for n in LENGTHS]}
    found = model.evaluate(x, y, sample_weight=w, batch_size=2)
    assert found["a_loss"] == pytest.approx(model.evaluate(x, y)["a_loss"], rel=1e-12)
    number = rf.ManyToMany(C, 2, loss="huber", cell="gru", hidden_size=4, dtype="float64", seed=0)
    state = model.state_dict()
    number.load_state_dict({k.replace("heads.b", "head"): v for k, v in state.items() if "heads.a" not in k})
    assert found["b_loss"] == pytest.approx(number.loss(x, y["b"], sample_weight=w["b"]), rel=1e-12)
    rf.check_gradient(lambda: model.loss_and_grad(x, y, sample_weight=w), model.parameters(), samples=5)
    with pytest.raises(ValueError, match=r"^sample_weight: names of heads \(a, b\) are required, got 'c'"):
        model.loss(x, y, sample_weight={"c": None})
    with pytest.raises(ValueError, match=r"^sample_weight\['b'\]: finite numbers >= 0"):
        model.loss(x, y, sample_weight={"b": -np.ones(N)})
    with pytest.raises(TypeError, match=r"^sample_weight: an array is required for a model with one head, got a dict"):
        number.loss(x, y["b"], sample_weight={"b": None})


def squared(outputs: Array, y: Array) -> tuple[float, Array]:
    return float(((outputs - y) ** 2).mean()), 2 * (outputs - y) / outputs.size


def weighed(outputs: Array, y: Array, weights: Array | None = None) -> tuple[float, Array]:
    return rf.losses.MeanSquaredError()(outputs, y, weights)


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_is_a_loss(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """It gives what the loss of its formula gives; a file cannot keep it."""
    given, plain = data(kind, "mse", rng), make(kind, "mse")
    for function in (squared, weighed):
        model = make(kind, "mse", task="regression", loss=function)
        assert_alike(gradients(model, given), gradients(plain, given))
        twin = copy.deepcopy(model)
        assert twin.loss(**given) == model.loss(**given)
        with pytest.raises(TypeError, match=r"^loss: a loss that a file can name is required .*, got <function"):
            model.save(tmp_path / "model.safetensors")
        assert not list(tmp_path.iterdir())
    model, weights = make(kind, "mse", task="regression", loss=weighed), rng.random(N)
    assert model.loss(**given, sample_weight=weights) == plain.loss(**given, sample_weight=weights)
    model = make(kind, "mse", task="regression", loss=squared)
    with pytest.raises(ValueError, match=r"^loss: a loss with an argument weights is required beside weights"):
        model.loss(**given, sample_weight=weights)
    if kind != "OneToMany":
        given["y"][0][..., 0] = np.nan
        assert np.isfinite(make(kind, "mse", task="regression", loss=weighed).loss(**given))
        left_out = np.arange(N) > 0
        assert np.isfinite(make(kind, "mse", task="regression", loss=weighed).loss(**given, sample_weight=left_out))
        with pytest.raises(ValueError, match=r"^y: finite numbers are required, got nan"):
            model.loss(**given)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda outputs, y: 0.0, TypeError, r"loss: a function that returns \(loss, gradient\) is required, got 0.0"),
        (lambda outputs, y: (0.0, y[:1]), ValueError, r"loss: a gradient of the outputs' shape \(6, 2\) is required"),
    ],
)
def test_a_function_returns_a_loss_and_a_gradient(function: Any, error: Any, message: str, rng: Any) -> None:
    model = make("ManyToOne", "mse", task="regression", loss=function)
    with pytest.raises(error, match=f"^{message}"):
        model.loss(**data("ManyToOne", "mse", rng))


def test_a_loss_implies_its_task() -> None:
    implied = {"huber": "regression", "cross_entropy": "classification", "binary_cross_entropy": "multilabel"}
    for loss, task in implied.items():
        assert rf.ManyToOne(3, 2, loss=loss, hidden_size=2).task.name == task
    assert rf.ManyToOne(3, 2, hidden_size=2).config["task"] == "classification"
    assert rf.ManyToOne(3, 2, hidden_size=2, loss=squared).task.name == "classification"
    model = rf.ManyToOne(3, 2, hidden_size=2, task={"name": "quantile", "quantiles": [0.1, 0.9]})
    assert model.head.weight.shape == (4, 2)
    assert "task=regression (quantile)" in repr(model)
    assert rf.ManyToOne(3, 1, hidden_size=2, task="regression", loss=squared).summary().count("(a function)") == 1


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"loss": "hubert"}, ValueError, "loss: one of .* did you mean 'huber'"),
    ({"loss": 3}, TypeError, "loss: one of .*, a Loss or a function is required, got 3"),
    ({"task": "classification", "loss": "huber"}, ValueError, "loss: one of cross_entropy, or a function is required"),
    ({"task": "regression", "loss": "cross_entropy"}, ValueError, "loss: one of .*mse, .* is required for task"),
    ({"task": "gaussian", "loss": "huber"}, ValueError, "loss: None is required beside task='gaussian', which has"),
    ({"task": as_task("task", "regression"), "loss": "huber"}, ValueError, "loss: None is required beside the task"),
    ({"task": "quantiles"}, ValueError, "task: one of .* did you mean 'quantile'"),
    ({"loss": {"name": "cross_entropy", "class_weights": [1.0]}}, ValueError, "class_weights: a weight for each class"),
    ({"activity_l2": -1}, ValueError, "activity_l2: a finite number of at least 0 is required, got -1"),
    ({"outputs": {"a": 2}, "output_size": None, "loss": {"b": "huber"}}, ValueError, "loss: names of heads"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        rf.ManyToOne(3, **{"output_size": 2, "hidden_size": 2, **options})

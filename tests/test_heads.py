"""Several heads: targets, losses, predictions, metrics and files by the heads' names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

N, T, C = 6, 5, 3
MODELS: dict[str, Any] = {"many-to-one": rf.ManyToOne, "many-to-many": rf.ManyToMany}
OUTPUTS = {"policy": 2, "value": 1}
TASKS = {"policy": "classification", "value": "regression"}
each_model = pytest.mark.parametrize("kind", MODELS)


def made(kind: str, **options: Any) -> Any:
    return MODELS[kind](C, outputs=OUTPUTS, task=TASKS, hidden_size=4, seed=0, **{"dtype": "float64", **options})


def data(kind: str, rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    lengths = [5, 2, 4, 1, 3, 5]
    x = [rng.normal(size=(length, C)) for length in lengths]
    if kind == "many-to-one":
        return x, {"policy": rng.integers(0, 2, N), "value": rng.normal(size=(N, 1))}
    return x, {
        "policy": [rng.integers(0, 2, length) for length in lengths],
        "value": [rng.normal(size=(length, 1)) for length in lengths],
    }


@each_model
def test_names_and_shapes(kind: str, rng: np.random.Generator) -> None:
    model = made(kind)
    shapes = {name: p.shape for name, p in model.parameters().items() if name.startswith("head")}
    assert shapes == {
        "heads.policy.weight": (2, 4),
        "heads.policy.bias": (2,),
        "heads.value.weight": (1, 4),
        "heads.value.bias": (1,),
    }
    x, _ = data(kind, rng)
    found = model.predict(x)
    assert list(found) == ["policy", "value"]
    lead = (N,) if kind == "many-to-one" else (5,)
    first = found if kind == "many-to-one" else {name: values[0] for name, values in found.items()}
    assert (first["policy"].shape, first["policy"].dtype) == (lead, np.int64)
    assert first["value"].shape == (*lead, 1)
    with pytest.raises(AttributeError, match="one head is required, got several"):
        model.head  # noqa: B018
    assert model.rnn.output_size == 4


@each_model
def test_the_loss_is_the_weighted_sum_of_the_heads(kind: str, rng: np.random.Generator) -> None:
    x, y = data(kind, rng)
    model = made(kind, loss_weights={"value": 0.25})
    found = model.evaluate(x, y)
    assert sorted(found) == ["loss", "policy_accuracy", "policy_loss", "value_loss", "value_mae"]
    assert found["loss"] == pytest.approx(found["policy_loss"] + 0.25 * found["value_loss"], rel=1e-14)
    singles: dict[str, Any] = {}
    for name, size in OUTPUTS.items():
        single: Any = MODELS[kind](C, size, task=TASKS[name], hidden_size=4, seed=0, dtype="float64")
        state = {k: v for k, v in model.state_dict().items() if k.startswith("rnn.")}
        head = {f"head.{part}": model.state_dict()[f"heads.{name}.{part}"] for part in ("weight", "bias")}
        single.load_state_dict(state | head)
        singles[name] = single
        assert single.loss(x, y[name]) == found[f"{name}_loss"]
        assert single.evaluate(x, y[name])["loss"] == found[f"{name}_loss"]
    model.loss_and_grad(x, y)
    for name, single in singles.items():
        single.loss_and_grad(x, y[name])
        np.testing.assert_array_equal(
            model.parameters()[f"heads.{name}.weight"].grad,
            single.head.weight.grad * (0.25 if name == "value" else 1),
        )


@each_model
@pytest.mark.parametrize("output_dropout", [0.0, 0.4])
def test_the_gradient_is_that_of_the_loss(kind: str, output_dropout: float, rng: np.random.Generator) -> None:
    x, y = data(kind, rng)
    model = made(kind, loss_weights={"value": 0.5}, output_dropout=output_dropout)
    random = model.random_state()

    def loss() -> float:
        model.set_random_state(random)
        value: float = model.loss_and_grad(x, y)
        return value

    rf.check_gradient(loss, model.parameters())


@each_model
def test_fit_learns_every_head_and_files_keep_them(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    x, y = data(kind, rng)
    model = made(kind)
    history = model.fit(x, y, epochs=30, validation_data=(x, y), progress=False, seed=0, lr=0.03).history
    assert set(history) == {
        "loss",
        "val_loss",
        "val_policy_loss",
        "val_value_loss",
        "val_policy_accuracy",
        "val_value_mae",
    }
    assert history["val_policy_loss"][-1] < history["val_policy_loss"][0]
    assert history["val_value_loss"][-1] < history["val_value_loss"][0]
    model.save(tmp_path / "model.safetensors")
    same = rf.load(tmp_path / "model.safetensors")
    assert same.loss(x, y) == model.loss(x, y)
    stream, again = model.stream(), same.stream()
    step = np.ones(C)
    np.testing.assert_array_equal(stream.step(step), again.step(step))


def test_a_stream_has_the_outputs_side_by_side(rng: np.random.Generator) -> None:
    model = rf.ManyToMany(C, outputs={"value": 1, "policy": 2}, task=TASKS, hidden_size=4, seed=0)
    x = rng.normal(size=(1, T, C)).astype(np.float32)
    found = model.stream().process(x)
    np.testing.assert_array_equal(found[..., :2].argmax(-1), model.predict(x)["policy"])
    np.testing.assert_array_equal(found[..., 2:], model.predict(x)["value"])
    np.testing.assert_array_equal(model.split_outputs(found)["value"], found[..., 2:])
    assert list(model.predict(x)) == ["policy", "value"]


def test_probabilities_are_those_of_the_heads_that_have_some(rng: np.random.Generator) -> None:
    model, x = made("many-to-one"), rng.normal(size=(2, T, C))
    assert list(model.predict_proba(x)) == ["policy"]
    numbers = rf.ManyToOne(C, outputs={"a": 1, "b": 2}, task="regression", hidden_size=4)
    with pytest.raises(ValueError, match="predict_proba: a head whose task has probabilities is required, got none"):
        numbers.predict_proba(x)


def test_one_task_stands_for_all_heads() -> None:
    model = rf.ManyToOne(C, outputs={"a": 2, "b": 3}, hidden_size=4)
    assert model.config["task"] == {"a": "classification", "b": "classification"}
    assert sorted(model.predict_proba(np.zeros((2, T, C)))) == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": {"a": 2}, "output_size": 2}, "output_size: None is required beside outputs, got 2"),
        ({"outputs": {}}, "outputs: at least one head is required, got none"),
        ({"outputs": {"a.b": 2}}, "outputs: names that are identifiers are required, got 'a.b'"),
        ({"outputs": {"a": 0}}, r"outputs\['a'\]: at least 1 is required, got 0"),
        ({}, "output_size: a size is required, or outputs=.name: size, ....?, got None"),
        ({"outputs": {"a": 2}, "task": {"b": "regression"}}, r"task: names of heads \(a\) are required, got 'b'"),
        ({"outputs": {"a": 2, "b": 1}, "task": {"a": "regression"}}, "task: an entry for every head.* none for b"),
        ({"outputs": {"a": 2}, "task": {"a": "no"}}, r"task\['a'\]: one of .* is required, got 'no'"),
        ({"outputs": {"a": 2}, "loss_weights": {"a": -1}}, r"loss_weights\['a'\]: .* is required, got -1"),
        ({"outputs": {"a": 2}, "loss_weights": {"b": 1}}, r"loss_weights: names of heads \(a\) are required, got 'b'"),
        ({"output_size": 2, "loss_weights": {"a": 1}}, "loss_weights: None is required without outputs"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rf.ManyToOne(C, **options)


@each_model
def test_targets_come_by_head(kind: str, rng: np.random.Generator) -> None:
    x, y = data(kind, rng)
    model = made(kind)
    with pytest.raises(TypeError, match="y: a dict with the keys policy, value is required"):
        model.loss(x, y["policy"])
    with pytest.raises(ValueError, match="y: the keys policy, value are required, got policy"):
        model.loss(x, {"policy": y["policy"]})
    wrong = y["policy"][:-1]
    with pytest.raises(ValueError, match=r"y\['policy'\]: "):
        model.loss(x, {**y, "policy": wrong})

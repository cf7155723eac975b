"""Predicted quantiles and distributions, and the penalty on activities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnfast as rf

Array = npt.NDArray[Any]
PARAMETERS = {
    "gaussian": ["loc", "scale"],
    "student_t": ["loc", "scale", "df"],
    "poisson": ["rate"],
    "negative_binomial": ["mean", "dispersion"],
}


def make(kind: str, **options: Any) -> Any:
    return getattr(rf, kind)(3, 2, **{"hidden_size": 4, "seed": 0, **options})


@pytest.mark.parametrize("kind", ["ManyToOne", "ManyToMany"])
@pytest.mark.parametrize("task", PARAMETERS)
def test_distributions_have_parameters(kind: str, task: str, rng: np.random.Generator) -> None:
    """Arrays like the predictions, of any batch size; the prediction is the first of them."""
    model, x = make(kind, task=task), [rng.normal(size=(n, 3)) for n in (4, 2, 5)]
    found, predicted = model.predict_distribution(x), model.predict(x)
    assert list(found) == PARAMETERS[task]
    again = model.predict_distribution(x, batch_size=1)
    for name, values in found.items():
        np.testing.assert_equal(again[name], values)
        assert [v.shape for v in values] == [p.shape for p in predicted]
        for each in values:
            assert each.dtype == np.float32
            assert (name == "loc") or (np.asarray(each) > (2 if name == "df" else 0)).all()
    np.testing.assert_equal(found[PARAMETERS[task][0]], predicted)
    median = model.predict_quantiles(x, 0.5)
    if task in ("gaussian", "student_t"):
        for a, b in zip(median, predicted, strict=True):
            np.testing.assert_allclose(a[..., 0], b, atol=1e-6)
    plain = make(kind, task="regression")
    with pytest.raises(
        ValueError, match=r"^predict_quantiles: a task that predicts quantiles .* got task='regression'"
    ):
        plain.predict_quantiles(x)
    with pytest.raises(ValueError, match=r"^quantiles: numbers within \(0, 1\) are required, got \[0.5, 1\]"):
        model.predict_quantiles(x, [0.5, 1])


@pytest.mark.parametrize("kind", ["ManyToOne", "ManyToMany"])
def test_quantiles_ascend(kind: str, rng: np.random.Generator) -> None:
    levels = [0.1, 0.25, 0.5, 0.9]
    model, x = make(kind, task={"name": "quantile", "quantiles": levels}), rng.normal(size=(5, 6, 3))
    steps = (5,) if kind == "ManyToOne" else (5, 6)
    found = model.predict_quantiles(x)
    assert found.shape == (*steps, 2, 4)
    assert (np.diff(found, axis=-1) >= 0).all()
    np.testing.assert_array_equal(model.predict(x), found[..., 2])
    np.testing.assert_array_equal(model.predict_quantiles(x, [0.9, 0.25]), found[..., [3, 1]])
    np.testing.assert_array_equal(model.predict_quantiles(x, 0.5, batch_size=2), found[..., [2]])
    for wrong in (0.3, [0.1, 0.95], [[0.1]]):
        with pytest.raises(ValueError, match=r"^quantiles: some of 0.1, 0.25, 0.5, 0.9, which are learned, are requ"):
            model.predict_quantiles(x, wrong)
    with pytest.raises(ValueError, match=r"^predict_distribution: a task that predicts a distribution .* is required"):
        model.predict_distribution(x)


def test_heads_that_have_quantiles_or_distributions(rng: np.random.Generator) -> None:
    tasks = {"a": "classification", "b": "quantile", "c": "gaussian"}
    model = rf.ManyToMany(3, outputs={"a": 2, "b": 1, "c": 2}, task=tasks, hidden_size=4)
    x = rng.normal(size=(2, 5, 3))
    shapes = {name: v.shape for name, v in model.predict_quantiles(x).items()}
    assert shapes == {"b": (2, 5, 1, 3), "c": (2, 5, 2, 3)}
    found = model.predict_distribution(x)
    assert {name: v.shape for name, v in found["c"].items()} == {"loc": (2, 5, 2), "scale": (2, 5, 2)}
    plain = rf.ManyToOne(3, outputs={"a": 2, "b": 1}, hidden_size=4)
    for method in (plain.predict_quantiles, plain.predict_distribution):
        with pytest.raises(
            ValueError, match=r"^predict_(quantiles|distribution): a head whose task has .* is required"
        ):
            method(x)


def test_quantiles_and_a_distribution_learn_what_the_targets_have(rng: np.random.Generator) -> None:
    """Of targets that do not depend on x: deciles, and mean and standard deviation."""
    x, y = np.zeros((2000, 2, 1)), 3 + 2 * rng.normal(size=(2000, 1))
    fit: dict[str, Any] = {"epochs": 60, "batch_size": 200, "lr": 0.05, "progress": False, "seed": 0}
    model = rf.ManyToOne(1, 1, task="quantile", hidden_size=2, seed=0)
    model.fit(x, y, **fit)
    np.testing.assert_allclose(model.predict_quantiles(x[:1])[0, 0], np.quantile(y, [0.1, 0.5, 0.9]), atol=0.2)
    model = rf.ManyToOne(1, 1, task="gaussian", hidden_size=2, seed=0)
    model.fit(x, y, **fit)
    found = model.predict_distribution(x[:1])
    assert found["loc"][0, 0] == pytest.approx(y.mean(), abs=0.15)
    assert found["scale"][0, 0] == pytest.approx(y.std(), abs=0.15)


def test_counts_are_not_negative() -> None:
    for task in ("poisson", "negative_binomial"):
        with pytest.raises(ValueError, match=r"^y: counts >= 0 are required, got -1.0"):
            make("ManyToOne", task=task).loss(np.zeros((2, 4, 3)), [[1, 2], [0, -1]])


KINDS = ("ManyToOne", "ManyToMany", "OneToMany", "EncoderDecoder")
LENGTHS = (4, 2, 5)


def penalised(kind: str, rng: np.random.Generator, **options: Any) -> tuple[Any, dict[str, Any]]:
    own = {"cell": "lstm", "num_layers": 2, "hidden_size": 4, "dtype": "float64", "seed": 0, **options}
    x = [rng.normal(size=(n, 3)) for n in LENGTHS]
    if kind == "OneToMany":
        return rf.OneToMany(5, context_size=2, **own), {
            "sequences": rng.integers(0, 5, (3, 6)),
            "context": rng.normal(size=(3, 2)),
        }
    if kind == "EncoderDecoder":
        return rf.EncoderDecoder(3, 5, bidirectional=True, **own), {"x": x, "y": [np.arange(n) % 5 for n in LENGTHS]}
    y = [0, 1, 1] if kind == "ManyToOne" else [np.arange(n) % 2 for n in LENGTHS]
    return getattr(rf, kind)(3, 2, bidirectional=True, **own), {"x": x, "y": y}


def squares(kind: str, model: Any, given: dict[str, Any]) -> float:
    """The sum of h^2 of the top layers, by their traces, in which nothing stands past a length."""
    if kind == "EncoderDecoder":
        return sum(float((trace.h[-1] ** 2).sum()) for trace in model.trace(given["x"], given["y"]).values())
    if kind == "OneToMany":
        trace = model.trace(given["sequences"][:, :-1], context=given["context"])
    else:
        trace = model.trace(given["x"])
    return float((trace.h[-1] ** 2).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_activities_cost_their_squares(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """In training only; the gradient is that of the loss and the penalty together."""
    model, given = penalised(kind, rng, activity_l2=0.3)
    plain = model.loss(**given)
    expected = plain + 0.3 / 3 * squares(kind, model, given)
    assert model.loss_and_grad(**given) == pytest.approx(expected, rel=1e-12)
    rf.check_gradient(lambda: model.loss_and_grad(**given), model.parameters(), samples=4)
    assert model.evaluate(**given)["loss"] == pytest.approx(plain, rel=1e-12)
    model.save(tmp_path / "model.safetensors")
    same = rf.load(tmp_path / "model.safetensors")
    assert same.loss_and_grad(**given) == model.loss_and_grad(**given)
    first, *others = given
    options = {name: given[name] for name in others if name != "y"}
    positional = [given[first], *([given["y"]] if "y" in given else [])]
    fit: dict[str, Any] = {"epochs": 40, "lr": 0.05, "progress": False, "seed": 0, **options}
    free, _ = penalised(kind, np.random.default_rng(0))
    model.fit(*positional, **fit)
    free.fit(*positional, **fit)
    assert squares(kind, model, given) < squares(kind, free, given)


def test_without_a_penalty_nothing_changes(rng: np.random.Generator) -> None:
    a, given = penalised("ManyToMany", rng)
    b, _ = penalised("ManyToMany", np.random.default_rng(0), activity_l2=0.0)
    assert a.loss_and_grad(**given) == b.loss_and_grad(**given)


class Sum(rf.CustomCell, name="test_summing"):
    """``h = h_prev / 2 + w x``."""

    def shapes(self, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {"w": (hidden, inputs)}

    def forward(self, p: Any, x: Any, state: Any) -> Any:
        return (state[0] / 2 + x @ p["w"].T,), x

    def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
        return dstate[0] @ p["w"], (dstate[0] / 2,), {"w": dstate[0].T @ saved}


@pytest.mark.parametrize("cell", ["gru", "test_summing"])
@pytest.mark.parametrize("task", [*PARAMETERS, "quantile"])
def test_writing_from_a_distribution(cell: str, task: str, rng: np.random.Generator) -> None:
    """Drawn by the seed, each sequence by itself; greedy goes on from predictions, as step by step by hand."""
    model = rf.OneToMany(2, task=task, cell=cell, hidden_size=4, seed=1, dtype="float64")
    prompt = rng.poisson(2, size=(3, 4, 2)).astype(float)
    found = model.generate(prompt, 5, seed=3)
    assert found.shape == (3, 5, 2)
    np.testing.assert_array_equal(found, model.generate(prompt, 5, seed=3))
    alone = model.generate(prompt[:1], 5, seed=3)
    np.testing.assert_allclose(found[:1], alone, rtol=1e-12)
    assert cell != "gru" or np.array_equal(found[:1], alone)
    assert (task == "quantile") == np.array_equal(found, model.generate(prompt, 5, seed=4))
    greedy, x = model.generate(prompt, 3, greedy=True), prompt
    for t in range(3):
        x = np.concatenate([x, model.predict(x)[:, -1:]], axis=1)
        np.testing.assert_allclose(greedy[:, t], x[:, 4 + t], rtol=1e-12)
    if task in ("poisson", "negative_binomial"):
        np.testing.assert_array_equal(found, np.round(found))
    values = model.predict_quantiles(prompt)
    assert values.shape == (3, 4, 2, 3)
    assert (np.diff(values, axis=-1) >= 0).all()
    if task != "quantile":
        assert list(model.predict_distribution(prompt[0])) == PARAMETERS[task]
        assert model.predict_distribution(prompt[0])[PARAMETERS[task][0]].shape == (4, 2)


def test_what_is_written_has_the_predicted_distribution(rng: np.random.Generator) -> None:
    model = rf.OneToMany(1, task="student_t", hidden_size=4, seed=1, dtype="float64")
    prompt = rng.normal(size=(4, 1))
    drawn = model.generate(prompt, 1, num_sequences=4000, seed=0)[:, 0, 0]
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    expected = model.predict_quantiles(prompt, levels)[-1, 0]
    shares = [(drawn < q).mean() for q in expected]
    np.testing.assert_allclose(shares, levels, atol=0.03)


@pytest.mark.parametrize("attention", [None, "dot"])
@pytest.mark.parametrize("task", [*PARAMETERS, "quantile"])
def test_pairs_of_distributions(task: str, attention: str | None, rng: np.random.Generator) -> None:
    """A decoder goes on from its predictions; what it says of each element is that of the true elements before."""
    model = rf.EncoderDecoder(3, 2, task=task, attention=attention, cell="gru", hidden_size=4, seed=0, dtype="float64")
    x = [rng.normal(size=(n, 3)) for n in (4, 2, 5)]
    found = model.predict(x, max_length=4)
    assert found.shape == (3, 4, 2)
    np.testing.assert_array_equal(model.predict(x, max_length=4, batch_size=1), found)
    values = model.predict_quantiles(x, 0.5, max_length=4)
    assert values.shape == (3, 4, 2, 1)
    if task in ("gaussian", "student_t", "quantile"):
        np.testing.assert_allclose(values[..., 0], found, rtol=1e-9, atol=1e-9)
    if task != "quantile":
        parameters = model.predict_distribution(x, max_length=4)
        assert list(parameters) == PARAMETERS[task]
        np.testing.assert_allclose(parameters[PARAMETERS[task][0]], found, rtol=1e-9, atol=1e-12)
    plain = rf.EncoderDecoder(3, 2, task="regression", hidden_size=4)
    for method in (plain.predict_quantiles, plain.predict_distribution):
        with pytest.raises(ValueError, match=r"^predict_(quantiles|distribution): a task that predicts .* is required"):
            method(x, max_length=2)

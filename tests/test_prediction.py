"""Predictions in pieces and from given states, bit for bit those of one call; and many passes under dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import CELLS
from tests.support.examples import Decay
from tests.support.matrix import DTYPES

N, T, C, K = 5, 11, 3, 4
LENGTHS = [3, 0, 11, 5, 7]
RANDOM: dict[str, Any] = {"output_dropout": 0.4}
equal = np.testing.assert_array_equal


def same(found: Any, expected: Any, cell: str) -> None:
    """Equal bits; of a custom cell, whose products NumPy makes in another order for other batches, equal numbers."""
    if cell == "custom":
        np.testing.assert_allclose(found, expected, rtol=1e-5 if found.dtype == np.float32 else 1e-13, strict=True)
    else:
        equal(found, expected, strict=True)


BUILDERS: dict[str, Callable[..., Any]] = {
    "ManyToOne": lambda **options: rf.ManyToOne(C, K, **options),
    "ManyToMany": lambda **options: rf.ManyToMany(C, K, **options),
    "OneToMany": lambda **options: rf.OneToMany(K, **options),
}
every_model = pytest.mark.parametrize("name", BUILDERS)
every_cell = pytest.mark.parametrize("cell", [*CELLS, "custom"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def build(name: str, cell: str = "lstm", **options: Any) -> Any:
    kind, own = CELLS.get(cell, (Decay, {}))
    layer = {"cell": kind, "cell_options": {**own, **options.pop("cell_options", {})}, "hidden_size": 6}
    return BUILDERS[name](**layer, num_layers=2, seed=0, **options)


def data(name: str, rng: np.random.Generator, steps: int = T) -> Any:
    return rng.integers(0, K, (N, steps)) if name == "OneToMany" else rng.normal(size=(N, steps, C))


def listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, tuple) else [values]


@every_dtype
@every_cell
@every_model
def test_two_calls_are_one(name: str, cell: str, dtype: str, rng: np.random.Generator) -> None:
    model, x = build(name, cell, dtype=dtype), data(name, rng)
    whole, end = model.predict_proba(x, return_state=True)
    first, state = model.predict_proba(x[:, :4], return_state=True, batch_size=2)
    second, last = model.predict_proba(x[:, 4:], state=state, return_state=True, batch_size=3)
    same(second if name == "ManyToOne" else np.concatenate([first, second], axis=1), whole, cell)
    for found, expected in zip(listed(last), listed(end), strict=True):
        same(found, expected, cell)


@every_dtype
@every_cell
@every_model
@pytest.mark.parametrize("chunk", [1, 3, T, 50])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["dense", "ragged"])
def test_chunks_are_one_call(
    name: str, cell: str, dtype: str, chunk: int, lengths: Any, rng: np.random.Generator
) -> None:
    model, x = build(name, cell, dtype=dtype), data(name, rng)
    expected, end = model.predict_proba(x, lengths=lengths, return_state=True)
    found, last = model.predict_proba(x, lengths=lengths, chunk=chunk, batch_size=2, return_state=True)
    assert len(found) == len(expected)
    for one, other in zip([*found, *listed(last)], [*expected, *listed(end)], strict=True):
        same(one, other, cell)


@pytest.mark.parametrize("name", ["ManyToOne", "ManyToMany"])
def test_chunks_of_several_heads(name: str, rng: np.random.Generator) -> None:
    options: dict[str, Any] = {"outputs": {"a": 2, "b": 3}, "task": {"a": "classification", "b": "regression"}}
    model = getattr(rf, name)(C, hidden_size=6, seed=0, **options)
    x = data(name, rng)
    expected, found = model.predict(x), model.predict(x, chunk=4, batch_size=3)
    assert found.keys() == expected.keys()
    for head in expected:
        equal(found[head], expected[head], strict=True)


def test_chunks_and_states_with_resets(rng: np.random.Generator) -> None:
    model, x = build("ManyToMany", cell_options={"learn_initial_state": True}), data("ManyToMany", rng)
    model.parameters()["rnn.h0"].assign(rng.normal(size=(2, 1, 6)).astype(np.float32))
    resets = rng.random((N, T)) < 0.3
    expected = model.predict_proba(x, resets=resets)
    equal(model.predict_proba(x, resets=resets, chunk=3), expected)
    first, state = model.predict_proba(x[:, :5], resets=resets[:, :5], return_state=True)
    equal(np.concatenate([first, model.predict_proba(x[:, 5:], resets=resets[:, 5:], state=state)], axis=1), expected)


def test_a_context_starts_and_a_state_goes_on(rng: np.random.Generator) -> None:
    model, x = build("OneToMany", context_size=2), data("OneToMany", rng)
    context = rng.normal(size=(N, 2))
    expected = model.predict_proba(x, context=context)
    equal(model.predict_proba(x, context=context, chunk=2, batch_size=2), expected)
    first, state = model.predict_proba(x[:, :4], context=context, return_state=True)
    equal(np.concatenate([first, model.predict_proba(x[:, 4:], state=state)], axis=1), expected)
    with pytest.raises(ValueError, match="context: None is required beside state"):
        model.predict(x, state=state, context=context)


@every_model
def test_a_single_state_goes_on_as_a_stream_does(name: str, rng: np.random.Generator) -> None:
    """Against the engine's own way of one step at a time."""
    model, x = build(name, "gru", dtype="float64"), data(name, rng)
    stream = model.stream(N)
    outputs = stream.process(x)
    _, state = model.predict(x, return_state=True)
    equal(state, stream.state)
    if name != "ManyToOne":
        equal(model.predict(x, chunk=2), outputs.argmax(axis=2))


@every_model
@pytest.mark.parametrize("shape", [(0, T), (N, 0)], ids=str)
def test_nothing(name: str, shape: tuple[int, int]) -> None:
    model = build(name, "gru")
    x = np.zeros(shape, np.int64) if name == "OneToMany" else np.zeros((*shape, C))
    expected = model.predict(x)
    for options in ({"chunk": 2}, {"return_state": True}):
        found = model.predict(x, **options)
        if "return_state" in options:
            found, state = found
            equal(state, np.zeros((2, shape[0], 6), np.float32), strict=True)
        equal(found, expected, strict=True)


# Dropout in prediction


@pytest.mark.parametrize(
    "options",
    [RANDOM, {"dropout": 0.4}, {"cell_options": {"recurrent_dropout": 0.4}}, {"cell_options": {"input_dropout": 0.4}}],
    ids=["output", "between", "recurrent", "input"],
)
@every_dtype
@every_model
def test_samples_are_functions_of_the_seed(
    name: str, dtype: str, options: dict[str, Any], rng: np.random.Generator
) -> None:
    model, x = build(name, dtype=dtype, **options), data(name, rng)
    numbers, certain = model.random_state(), model.predict_proba(x)
    found = model.predict_proba(x, samples=6, seed=3)
    assert found.shape == (6, *certain.shape)
    assert found.dtype == certain.dtype
    equal(found, model.predict_proba(x, samples=6, seed=3))
    equal(found[:2], model.predict_proba(x, samples=2, seed=3))
    assert (found != model.predict_proba(x, samples=6, seed=4)).any()
    for i in range(1, 6):
        assert (found[i] != found[0]).any()
    assert model.random_state() == numbers
    equal(model.predict_proba(x), certain)


def test_samples_do_not_depend_on_the_model_being_another_object(rng: np.random.Generator, tmp_path: Any) -> None:
    model = rf.ManyToOne(C, K, hidden_size=6, output_dropout=0.4)
    model.save(tmp_path / "model")
    x = data("ManyToOne", rng)
    equal(rf.load(tmp_path / "model").predict_proba(x, samples=3, seed=0), model.predict_proba(x, samples=3, seed=0))


def test_dropout_of_the_outputs_is_that_of_a_bernoulli(rng: np.random.Generator) -> None:
    """Mean and variance of ``W (m h / (1 - p)) + b`` against their formulas."""
    p, count = 0.4, 4000
    model = rf.ManyToOne(C, 2, cell="gru", hidden_size=6, task="regression", output_dropout=p, dtype="float64", seed=0)
    x = data("ManyToOne", rng)
    passes = model.predict(x, samples=count, seed=0)
    h = model.backbone.last_h(model.predict(x, return_state=True)[1])
    variance = p / (1 - p) * h**2 @ model.head.weight.value.T**2
    np.testing.assert_allclose(passes.mean(axis=0), model.predict(x), atol=5 * np.sqrt(variance.max() / count))
    np.testing.assert_allclose(passes.var(axis=0), variance, rtol=0.15)


@every_model
def test_samples_of_ragged_data(name: str, rng: np.random.Generator) -> None:
    model, x = build(name, **RANDOM), data(name, rng)
    found = model.predict(x, lengths=LENGTHS, samples=3, seed=0)
    if name == "ManyToOne":
        assert found.shape == (3, N)
    else:
        assert [item.shape for item in found] == [(3, length) for length in LENGTHS]


def test_samples_of_a_single_sequence_and_from_a_state(rng: np.random.Generator) -> None:
    model, x = build("OneToMany", **RANDOM), data("OneToMany", rng)
    assert model.predict(x[0], samples=3, seed=0).shape == (3, T)
    _, state = model.predict(x[:, :4], return_state=True)
    expected = model.predict_proba(x[:, 4:], samples=2, seed=0)
    assert (model.predict_proba(x[:, 4:], state=state, samples=2, seed=0) != expected).any()


def test_samples_of_custom_cells(rng: np.random.Generator) -> None:
    model, x = build("ManyToMany", "custom", dropout=0.4), data("ManyToMany", rng)
    found = model.predict_proba(x, samples=2, seed=0)
    equal(found, model.predict_proba(x, samples=2, seed=0))
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("options", [{"attention": "dot", "bidirectional": True}, {"task": "multilabel"}], ids=str)
def test_samples_of_what_an_encoder_decoder_wrote(options: dict[str, Any], rng: np.random.Generator) -> None:
    """The passes read the prediction itself; their mean is near the probabilities without dropout."""
    model = rf.EncoderDecoder(C, K, hidden_size=6, dtype="float64", seed=0, **RANDOM, **options)
    x, more = data("ManyToMany", rng).astype(np.float64), {"max_length": 4}
    numbers, certain = model.random_state(), model.predict_proba(x, **more)
    found = model.predict_proba(x, samples=200, seed=3, **more)
    again = model.predict_proba(x, samples=2, seed=3, **more)
    assert len(found) == (200 if "task" in options else len(certain))
    for n, one in enumerate(certain):
        each = found[:, n] if "task" in options else found[n]
        assert each.shape == (200, *one.shape)
        equal(each[:2], again[:, n] if "task" in options else again[n])
        assert not len(one) or (each[0] != each[1]).any()
        np.testing.assert_allclose(each.mean(axis=0), one, atol=0.05)
    assert model.random_state() == numbers
    equal(model.predict_proba(x[:0], samples=2, **more), np.zeros((2, 0, 4, K)) if "task" in options else [])
    with pytest.raises(ValueError, match="samples: a model with dropout is required"):
        rf.EncoderDecoder(C, K, hidden_size=6).predict_proba(x, samples=2)
    with pytest.raises(ValueError, match="seed: None is required without samples, got 1"):
        model.predict_proba(x, seed=1)


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 2}, "samples: a model with dropout is required"),
        ({"seed": 1}, "seed: None is required without samples, got 1"),
        ({"samples": 2, "chunk": 3}, "chunk: None is required beside samples, got 3"),
        ({"samples": 2, "return_state": True}, "return_state: False is required beside samples, got True"),
        ({"state": np.zeros((2, 3, 6), np.float32)}, r"state: shape \(L\*D, N, H\) = \(2, 5, 6\) is required"),
    ],
)
@every_model
def test_refusals(name: str, options: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, "gru").predict(data(name, rng), **options)


@pytest.mark.parametrize("name", ["ManyToOne", "ManyToMany"])
@pytest.mark.parametrize("options", [{"chunk": 2}, {"return_state": True}, {"state": np.zeros((4, 5, 6))}], ids=str)
def test_both_directions_need_the_whole_sequence(name: str, options: Any, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: .* is required for a bidirectional model"):
        build(name, "gru", bidirectional=True).predict(data(name, rng), **options)


@every_model
def test_a_forecast_is_found(name: str) -> None:
    """Users of other libraries ask ``predict`` for further steps."""
    model = build(name)
    with pytest.raises(TypeError, match=r"predict: unknown argument 'steps' \(.*OneToMany.*generate"):
        model.predict(np.zeros((1, 2, C)), steps=12)

"""Cells written in NumPy: the sequence around them is that of the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import Problem, assert_matches, build_layer, bundle, collect, make_problem, unbundle
from tests.support.custom import TOLD, Told, ToldLstm, layer_of
from tests.support.examples import Decay

SHAPES: dict[str, dict[str, Any]] = {
    "ragged": {"N": 5, "T": 9, "H": 9, "L": 2},
    "dense": {"N": 3, "T": 6, "H": 5, "ragged": False, "start": False},
    "both ways": {"N": 4, "T": 7, "H": 6, "L": 2, "bidirectional": True},
    "resets": {"N": 4, "T": 8, "H": 5, "L": 2, "resets": True},
    "resets both ways": {"N": 4, "T": 8, "H": 5, "resets": True, "bidirectional": True},
    "no step": {"N": 3, "T": 0, "H": 8, "ragged": False},
}


def calls(problem: Problem, dtype: str) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """x, state, dy, dstate and the options of a call."""
    state = None if problem.state is None else bundle([s.astype(dtype) for s in problem.state])
    dstate = bundle([d.astype(dtype) for d in problem.dstate])
    options = {"lengths": problem.lengths, "resets": problem.resets}
    return problem.x.astype(dtype), state, problem.dy.astype(dtype), dstate, options


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("shape", SHAPES)
def test_results_and_gradients(kind: str, shape: str, dtype: str) -> None:
    problem = make_problem(kind, **SHAPES[shape])
    x, state, dy, dstate, options = calls(problem, dtype)
    layer = layer_of(problem, dtype)
    y, last, tape = layer.forward(x, state, **options)
    dx, dfirst = layer.backward(tape, dy, dstate)
    grads = {name: p.grad for name, p in layer.parameters().items()}
    wanted = problem.expected
    found = collect(y, last, dx, dfirst, grads)
    assert_matches(problem, {name: found[name] for name in wanted}, dtype)
    again, final = layer(x, state, **options)
    np.testing.assert_array_equal(again, y)
    for part, expected in zip(unbundle(final), unbundle(last), strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("kind", TOLD)
def test_what_else_a_layer_does(kind: str) -> None:
    """Axes, norms of gradients, traces and lists of arrays agree with the built-in layer, up to rounding."""
    problem = make_problem(kind, N=4, T=7, H=6, L=2)
    x, state, dy, dstate, options = calls(problem, "float64")
    own, built_in = layer_of(problem, "float64"), build_layer(problem, "float64")
    norms = []
    for layer in (own, built_in):
        tape = layer.forward(x, state, **options)[2]
        dx, _ = layer.backward(tape, dy, dstate, gradient_norms=True)
        norms.append(tape.gradient_norms)
    assert norms[0] is not None
    assert norms[1] is not None
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-10, atol=1e-12)
    for h, expected in zip(own.trace(x, state, **options).h, built_in.trace(x, state, **options).h, strict=True):
        np.testing.assert_allclose(h, expected, rtol=1e-10, atol=1e-12)
    turned = layer_of(problem, "float64", time_major=True)
    y, _, tape = turned.forward(x.swapaxes(0, 1), state, **options)
    np.testing.assert_array_equal(y.swapaxes(0, 1), own(x, state, **options)[0])
    np.testing.assert_allclose(
        turned.backward(tape, dy.swapaxes(0, 1), dstate)[0].swapaxes(0, 1), dx, rtol=1e-9, atol=1e-12
    )
    assert problem.lengths is not None
    items = [row[:length] for row, length in zip(x, problem.lengths, strict=True)]
    np.testing.assert_array_equal(own(items, state)[0], own(x[:, : max(problem.lengths)], state, **options)[0])
    assert own.backward(own.forward(x, state, **options)[2], dy, need_dx=False)[0].shape == (4, 7, 0)


def test_dropout_acts_between_layers_and_goes_back(rng: np.random.Generator) -> None:
    """Gradients against central differences, under the masks of one call."""
    layer = rf.CustomLayer(Told(), 3, 4, num_layers=2, dropout=0.5, dtype="float64", seed=0)
    x, dy = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 4))
    before = layer._masks.bit_generator.state

    def run(inputs: Any) -> Any:
        layer._masks.bit_generator.state = before
        return layer.forward(inputs)

    y, _, tape = run(x)
    assert (y != layer(x)[0]).any()
    np.testing.assert_array_equal(layer.forward(x, training=False)[0], layer(x)[0])
    dx, _ = layer.backward(tape, dy)
    v = rng.normal(size=x.shape)
    slope = ((run(x + 1e-6 * v)[0] - run(x - 1e-6 * v)[0]) * dy).sum() / 2e-6
    assert np.vdot(dx, v) == pytest.approx(slope, rel=1e-7)


def test_a_right_derivative_and_wrong_ones() -> None:
    class Wrong(Told, name="wrong"):
        def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
            dx, before, dp = super().backward(p, saved, dstate)
            return dx, before, {**dp, "bias_hh": dp["bias_ih"]}

    class Late(ToldLstm, name="late", states=2):
        def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
            return super().backward(p, saved, (dstate[0], 0 * dstate[1]))

    assert Told().gradient_error() < 1e-8
    assert ToldLstm().gradient_error(5, 3, sequences=1, seed=4) < 1e-8
    assert Wrong().gradient_error() > 1e-3
    assert Late().gradient_error() > 1e-3


def twins(kind: str, make: Any, *sizes: int, **options: Any) -> tuple[Any, Any]:
    """The same model with a custom and with a built-in cell."""
    options = {"hidden_size": 6, "num_layers": 2, "dtype": "float64", "seed": 3, **options}
    own, built_in = make(*sizes, cell=TOLD[kind], **options), make(*sizes, cell=kind, **options)
    built_in.load_state_dict(own.state_dict())
    return own, built_in


def assert_alike(own: Any, built_in: Any, x: Any, y: Any, *, tbptt: int | None = None, **options: Any) -> None:
    data = (x,) if y is None else (x, y)
    assert own.loss_and_grad(*data, **options) == pytest.approx(built_in.loss_and_grad(*data, **options), rel=1e-12)
    for name, p in own.parameters().items():
        np.testing.assert_allclose(p.grad, built_in.parameters()[name].grad, rtol=1e-8, atol=1e-12, err_msg=name)
    pieces = {} if tbptt is None else {"tbptt": tbptt}
    histories = [
        m.fit(*data, epochs=3, progress=False, seed=0, **pieces, **options).history["loss"] for m in (own, built_in)
    ]
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-9)


def back(model: Any, folder: Path) -> Any:
    model.save(folder / "model")
    return rf.load(folder / "model")


@pytest.mark.parametrize("kind", TOLD)
def test_many_to_one_and_many_to_many(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    x = [rng.normal(size=(length, 3)) for length in (4, 7, 1)]
    own, built_in = twins(kind, rf.ManyToOne, 3, 2, bidirectional=True)
    assert_alike(own, built_in, x, [0, 1, 1])
    np.testing.assert_array_equal(back(own, tmp_path).predict_proba(x), own.predict_proba(x))
    own, built_in = twins(kind, rf.ManyToMany, 3, 2)
    assert_alike(own, built_in, x, [rng.integers(0, 2, len(item)) for item in x], tbptt=3)
    for p, expected in zip(back(own, tmp_path).predict_proba(x), built_in.predict_proba(x), strict=True):
        np.testing.assert_allclose(p, expected, rtol=1e-7)


@pytest.mark.parametrize("kind", TOLD)
def test_one_to_many(kind: str, tmp_path: Path) -> None:
    text = np.tile([0, 1, 2, 3, 4], 40)
    own, built_in = twins(kind, rf.OneToMany, 5, embedding=4, context_size=2)
    context = np.ones((1, 2))
    ids = [text[:30]]
    assert_alike(own, built_in, ids, None, context=context)
    model = back(own, tmp_path)
    for options in ({"greedy": True}, {"greedy": True, "prefix": [3, 1]}, {"greedy": True, "stop": 4}):
        found, expected = (m.generate([1, 2], 9, context=[1, 1], **options) for m in (model, built_in))
        np.testing.assert_array_equal(found, expected)
    found, log_p = model.generate(
        [[1], [2]], 6, context=np.ones((2, 2)), num_sequences=50, seed=1, return_log_probs=True
    )
    assert found.shape == log_p.shape == (100, 6)
    np.testing.assert_array_equal(found[:50], model.generate([1], 6, context=np.ones((1, 2)), num_sequences=50, seed=1))
    p = model.predict_proba([np.r_[1, found[0]]], context=context)[0]
    np.testing.assert_allclose(log_p[0], np.log(p[np.arange(6), found[0]]), rtol=1e-6)


def test_what_is_drawn_has_its_probability() -> None:
    model = rf.OneToMany(4, cell=Told, hidden_size=5, dtype="float64", seed=0)
    model.parameters()["head.bias"][...] = [0.0, 1.0, 2.0, -1.0]
    p = model.predict_proba([[0, 0]])[0][0]
    for options, expected in (
        ({}, p),
        ({"temperature": 0.5}, p**2 / (p**2).sum()),
        ({"top_k": 2}, np.where(p >= np.sort(p)[-2], p, 0) / np.sort(p)[-2:].sum()),
        ({"top_p": p.max() / 2}, (p == p.max()).astype(float)),
    ):
        drawn = model.generate([0], 1, num_sequences=4000, seed=0, **options)[:, 0]
        share = np.bincount(drawn, minlength=4) / 4000
        assert (np.abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / 4000)).all()


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_vectors_are_written(task: str, rng: np.random.Generator) -> None:
    own, built_in = twins("gru", rf.OneToMany, 3, task=task)
    x = (rng.random((2, 4, 3)) < 0.5).astype(float)
    written = [m.generate(x, 5, greedy=True) for m in (own, built_in)]
    np.testing.assert_allclose(written[0], written[1], rtol=1e-10, atol=1e-12)
    assert written[0].dtype == written[1].dtype


@pytest.mark.parametrize("attention", [None, "dot", "additive"])
@pytest.mark.parametrize("kind", TOLD)
def test_encoder_decoder(kind: str, attention: str | None, tmp_path: Path) -> None:
    x, y = [[3, 1, 4], [2], [0, 0, 1, 2]], [[1, 2], [0], [2, 2, 1]]
    own, built_in = twins(kind, rf.EncoderDecoder, 5, 3, source_embedding=4, bidirectional=True, attention=attention)
    assert_alike(own, built_in, x, y)
    found, expected = back(own, tmp_path).predict(x), built_in.predict(x)
    for ids, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ids, wanted)


class Scaled(rf.CustomCell, name="scaled"):
    """h = a h_prev + x, where a is no parameter."""

    def __init__(self, a: float = 0.5) -> None:
        self.a = a

    def shapes(self, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {"W": (hidden, inputs)}

    def forward(self, p: Mapping[str, Any], x: Any, state: Any) -> Any:
        return (self.a * state[0] + x @ p["W"].T,), x

    def backward(self, p: Mapping[str, Any], saved: Any, dstate: Any) -> Any:
        return dstate[0] @ p["W"], (self.a * dstate[0],), {"W": dstate[0].T @ saved}


def test_options_reach_the_cell_and_its_file(tmp_path: Path) -> None:
    x = np.ones((1, 3, 2))
    model = rf.ManyToOne(2, 2, cell="scaled", hidden_size=4, cell_options={"a": 0.25}, dtype="float64", seed=0)
    W = model.state_dict()["rnn.W_l0"]
    np.testing.assert_allclose(model.trace(x).h[0][0, 2], (1 + 0.25 + 0.0625) * W.sum(axis=1))
    assert model.config["cell_options"] == {"a": 0.25}
    np.testing.assert_array_equal(back(model, tmp_path).predict_proba(x), model.predict_proba(x))
    known = rf.CustomCell.known.pop("scaled")
    with pytest.raises(ValueError, match=r"cell: one of rnn, lstm, gru or a CustomCell is required, got 'scaled'"):
        rf.load(tmp_path / "model")
    rf.CustomCell.known["scaled"] = known


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"name: another one than rnn, lstm, gru is required, got 'lstm'"):

        class Lstm(Scaled, name="lstm"):
            pass

    class Short(Scaled, name="short"):
        def forward(self, p: Any, x: Any, state: Any) -> Any:
            return (state[0][:, 1:],), x

        def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
            return dstate[0], dstate, {}

    class Silent(Scaled, name="silent"):
        def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
            return dstate[0] @ p["W"], dstate, {}

    x = np.ones((2, 3, 2), np.float32)
    with pytest.raises(
        ValueError, match=r"Short.forward: a tuple of 1 states of shape \(N, H\) = \(2, 4\) is required"
    ):
        rf.CustomLayer(Short(), 2, 4)(x)
    layer = rf.CustomLayer(Silent(), 2, 4)
    tape = layer.forward(x)[2]
    with pytest.raises(
        ValueError, match=r"Silent.backward: gradients {'x': \(2, 2\), 'W': \(4, 2\)} are required, got"
    ):
        layer.backward(tape, None, np.ones((1, 2, 4), np.float32))
    with pytest.raises(RuntimeError, match="tape: a new one is required"):
        layer.backward(tape, None)
    with pytest.raises(TypeError, match=r"state: one array is required, got tuple"):
        layer(x, (np.ones((1, 2, 4), np.float32),))
    with pytest.raises(TypeError, match=r"state: a tuple of 2 arrays is required, got ndarray"):
        rf.CustomLayer(ToldLstm(), 2, 4)(x, np.ones((1, 2, 4), np.float32))
    with pytest.raises(ValueError, match=r"state: shape \(L\*D, N, H\) = \(1, 2, 4\) is required"):
        layer(x, np.ones((1, 3, 4), np.float32))
    model = rf.OneToMany(4, cell=Told, hidden_size=5)
    with pytest.raises(ValueError, match="stream: a built-in cell is required"):
        model.stream()


def test_a_tape_says_how_many_bytes_it_holds() -> None:
    layer = rf.CustomLayer(Decay(), 3, 4, seed=0)
    sizes = [layer.forward(np.ones((2, steps, 3), np.float32))[2].nbytes for steps in (1, 2, 4)]
    assert 0 < sizes[0] < sizes[1]
    assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0])


def test_first_values_have_the_parameter_s_shape() -> None:
    class Wrong(Decay, name="wrong_first_value"):
        def first_value(self, shape: Any, hidden: int, rng: Any, *, name: str) -> Any:
            return np.zeros(7)

    with pytest.raises(ValueError, match=r"^first_value: shape \(4, 3\) is required for w.*, got \(7,\)"):
        rf.CustomLayer(Wrong(), 3, 4)


def test_labels_are_drawn_with_the_seed() -> None:
    model = rf.OneToMany(2, task="multilabel", cell=Decay, hidden_size=3, seed=0)
    drawn = model.generate(np.zeros((1, 2)), 5, num_sequences=8, seed=0)
    assert set(np.unique(drawn)) == {0, 1}
    np.testing.assert_array_equal(model.generate(np.zeros((1, 2)), 5, num_sequences=8, seed=0), drawn)
    assert (model.generate(np.zeros((1, 2)), 5, num_sequences=8, seed=1) != drawn).any()

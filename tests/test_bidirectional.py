"""Layers that read both ways: against the reference, and the same bits whatever surrounds a sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from tests.support.bits import check_vector_width, slice_problem
from tests.support.comparison import (
    CELLS,
    Problem,
    assert_matches,
    assert_same_bits,
    build_layer,
    bundle,
    make_problem,
    run_engine,
    tolerance,
    unbundle,
)
from tests.support.derivatives import derivative
from tests.support.matrix import several_widths

SHAPES: dict[str, dict[str, Any]] = {
    "one sequence": {"N": 1, "T": 7, "H": 9, "ragged": False},
    "one step": {"N": 3, "T": 1, "H": 8, "ragged": False, "L": 2},
    "ragged": {"N": 5, "T": 6, "H": 9, "L": 2},
    "resets": {"N": 5, "T": 9, "H": 17, "L": 2, "resets": True},
    "dense resets": {"N": 4, "T": 9, "H": 8, "ragged": False, "resets": True, "start": False},
    "three layers": {"N": 4, "T": 5, "H": 7, "L": 3, "bias": False},
    "many units": {"N": 3, "T": 7, "H": 140, "C": 33},
    "many rows": {"N": 40, "T": 30, "H": 8, "C": 3},
}

every_shape = pytest.mark.parametrize("shape", SHAPES)


def problem_of(cell: str, shape: str) -> Problem:
    return make_problem(cell, bidirectional=True, **SHAPES[shape])


def single_direction(problem: Problem, direction: int) -> Problem:
    """One direction of a layer as a problem of its own, the reverse one with its sequences turned round."""
    H = problem.hidden
    names = [name for name in problem.params if name.endswith("_reverse") == bool(direction)]
    x, dy = problem.x, problem.dy[..., direction * H : (direction + 1) * H]
    if direction:
        x, dy = turned(problem, x), turned(problem, dy)
    return replace(
        problem,
        params={name.removesuffix("_reverse"): problem.params[name] for name in names},
        x=x,
        dy=dy,
        state=problem.state and tuple(s[direction : direction + 1] for s in problem.state),
        dstate=tuple(d[direction : direction + 1] for d in problem.dstate),
        bidirectional=False,
    )


def turned(problem: Problem, values: np.ndarray) -> np.ndarray:
    """Every sequence from its end to its beginning, the padding where it was."""
    result = values.copy()
    for n in range(len(values)):
        steps = values.shape[1] if problem.lengths is None else int(problem.lengths[n])
        result[n, :steps] = values[n, :steps][::-1]
    return result


@every_shape
def test_results_and_gradients(cell: str, isa: str, dtype: str, shape: str) -> None:
    problem = problem_of(cell, shape)
    assert_matches(problem, run_engine(problem, dtype), dtype)


@pytest.mark.parametrize("shape", ["ragged", "resets"])
def test_gradients_are_derivatives(cell: str, dtype: str, shape: str) -> None:
    problem = problem_of(cell, shape)
    actual, rng = run_engine(problem, dtype), np.random.default_rng(3)
    for name in [name for name in problem.expected if name not in ("y", "h", "c")]:
        v = rng.normal(size=problem.expected[name].shape)
        expected = derivative(problem, name, v, resets=problem.resets)
        error = abs(np.vdot(actual[name].astype(np.float64), v) - expected)
        assert error <= tolerance(problem, dtype) * np.linalg.norm(problem.expected[name]) * np.linalg.norm(v), name


@pytest.mark.parametrize("sizes", [{"N": 5, "T": 6, "H": 9}, {"N": 2, "T": 40, "H": 5, "ragged": False}], ids=str)
def test_each_direction_is_a_layer_of_its_own(cell: str, isa: str, dtype: str, sizes: dict[str, Any]) -> None:
    """The reverse direction is a layer that reads each sequence from its end; only dx is a sum of two."""
    problem = make_problem(cell, bidirectional=True, **sizes)
    both, H = run_engine(problem, dtype), problem.hidden
    for direction in (0, 1):
        alone = run_engine(single_direction(problem, direction), dtype)
        y = turned(problem, alone["y"]) if direction else alone["y"]
        np.testing.assert_array_equal(both["y"][..., direction * H : (direction + 1) * H], y)
        for name in {"h", "c", "dh", "dc"} & set(both):
            np.testing.assert_array_equal(both[name][direction], alone[name][0], err_msg=name)


@every_shape
def test_threads(cell: str, dtype: str, shape: str) -> None:
    problem = problem_of(cell, shape)
    with rf.threads(1):
        alone = run_engine(problem, dtype)
    for count in (2, 3, 5):
        with rf.threads(count):
            assert_same_bits(run_engine(problem, dtype), alone)


@several_widths
@every_shape
def test_vector_width(cell: str, dtype: str, shape: str) -> None:
    check_vector_width(problem_of(cell, shape), dtype)


@pytest.mark.parametrize("shape", ["ragged", "many units", "many rows"])
def test_each_sequence_alone(cell: str, isa: str, dtype: str, shape: str) -> None:
    problem = problem_of(cell, shape)
    batch = run_engine(problem, dtype)
    assert problem.lengths is not None
    for n, length in list(enumerate(problem.lengths))[:8]:
        alone = run_engine(slice_problem(problem, n, length), dtype)
        for name in ("y", "dx"):
            np.testing.assert_array_equal(alone[name][0], batch[name][n, :length], err_msg=name)
        for name in {"h", "c", "dh", "dc"} & set(batch):
            np.testing.assert_array_equal(alone[name][:, 0], batch[name][:, n], err_msg=name)


def test_content_of_the_padding(cell: str, dtype: str) -> None:
    problem = problem_of(cell, "ragged")
    result = run_engine(problem, dtype)
    for content in (0.0, np.inf):
        x, dy = problem.x.copy(), problem.dy.copy()
        x[problem.padding], dy[problem.padding] = content, -content
        assert_same_bits(run_engine(replace(problem, x=x, dy=dy), dtype), result)


@pytest.mark.parametrize("shape", ["ragged", "resets", "dense resets"])
def test_inference_equals_training(cell: str, isa: str, dtype: str, shape: str) -> None:
    problem = problem_of(cell, shape)
    layer, expected = build_layer(problem, dtype), run_engine(problem, dtype)
    state = None if problem.state is None else bundle([s.astype(dtype) for s in problem.state])
    y, last = layer(problem.x.astype(dtype), state, lengths=problem.lengths, resets=problem.resets)
    np.testing.assert_array_equal(y, expected["y"])
    for name, part in zip(("h", "c"), unbundle(last), strict=False):
        np.testing.assert_array_equal(part, expected[name])


def test_layouts_of_time(cell: str, dtype: str) -> None:
    problem = problem_of(cell, "ragged")
    expected, layer = run_engine(problem, dtype), build_layer(problem, dtype, time_major=True)
    x, dy = (np.ascontiguousarray(a.astype(dtype).swapaxes(0, 1)) for a in (problem.x, problem.dy))
    y, _, tape = layer.forward(x, bundle([s.astype(dtype) for s in problem.state or ()]), lengths=problem.lengths)
    dx, _ = layer.backward(tape, dy, bundle([d.astype(dtype) for d in problem.dstate]))
    np.testing.assert_array_equal(y.swapaxes(0, 1), expected["y"])
    np.testing.assert_array_equal(dx.swapaxes(0, 1), expected["dx"])


def test_without_dx(cell: str) -> None:
    """Leaving out dx changes no other gradient."""
    problem = problem_of(cell, "ragged")
    expected, layer = run_engine(problem, "float32"), build_layer(problem, "float32")
    state = bundle([s.astype("float32") for s in problem.state or ()])
    _, _, tape = layer.forward(problem.x.astype("float32"), state, lengths=problem.lengths)
    dstate = bundle([d.astype("float32") for d in problem.dstate])
    dx, _ = layer.backward(tape, problem.dy.astype("float32"), dstate, need_dx=False)
    assert dx.shape == (5, 6, 0)
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(p.grad, expected[name])


def test_dropout(cell: str, dtype: str) -> None:
    """Masks fall on the outputs of both directions, do not depend on threads, and are those of the reference's mask."""
    problem = make_problem(cell, bidirectional=True, N=4, T=6, H=9, L=2, start=False)
    kind, choice = CELLS[cell]
    results = []
    for count in (1, 2, 3):
        layer = build_layer(problem, dtype, dropout=0.4, seed=3)
        with rf.threads(count):
            y, _, tape = layer.forward(problem.x.astype(dtype), lengths=problem.lengths)
            dx, _ = layer.backward(tape, problem.dy.astype(dtype))
        results.append([y, dx, *(p.grad for p in layer.parameters().values())])
    for other in results[1:]:
        for a, b in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, b)
    mask = observed_mask(cell, problem, dtype)
    assert 0.2 < (mask[~problem.padding] == 0).mean() < 0.6
    expected, _, tape = reference.forward(
        kind, problem.params, problem.x, lengths=problem.lengths, masks=[mask], **choice
    )
    dx, _, grads = reference.backward(tape, problem.dy)
    bound = tolerance(problem, dtype)
    for a, b in zip(results[0], [expected, dx, *grads.values()], strict=True):
        assert np.linalg.norm(a - b) <= 2 * bound * np.linalg.norm(b)


def observed_mask(cell: str, problem: Problem, dtype: str) -> np.ndarray:
    """The mask (N, T, 2H) between two layers of that seed: h of ones below, and a layer above that passes it on."""
    N, T = problem.x.shape[:2]
    H = problem.hidden
    probe = rf.RNN(1, H, num_layers=2, activation="identity", bidirectional=True, dropout=0.4, dtype=dtype, seed=3)
    twin = build_layer(problem, dtype, dropout=0.4, seed=3)
    for name, p in probe.parameters().items():
        p[...] = np.zeros(p.shape, dtype)
        if name.startswith("bias_ih_l0"):
            p[...] = np.ones(p.shape, dtype)
        if name.startswith("weight_ih_l1"):
            columns = slice(H, None) if name.endswith("_reverse") else slice(0, H)
            p[...] = np.eye(2 * H, dtype=dtype)[columns]
    probe._dropout_seed = twin._dropout_seed
    return np.asarray(probe.forward(np.zeros((N, T, 1), dtype))[0], np.float64)


def test_a_stream_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stream: a layer of one direction is required, .*got two"):
        rf.GRU(3, 5, bidirectional=True).stream()


def test_shapes_and_names() -> None:
    layer = rf.LSTM(3, 5, num_layers=2, bidirectional=True, forget_bias=1.0, seed=0)
    shapes = {name: p.shape for name, p in layer.parameters().items()}
    assert shapes["weight_ih_l0_reverse"] == (20, 3)
    assert shapes["weight_ih_l1"] == shapes["weight_ih_l1_reverse"] == (20, 10)
    assert shapes["weight_hh_l1_reverse"] == (20, 5)
    assert all((p.value[5:10] == 1).all() for name, p in layer.parameters().items() if "bias_ih" in name)
    y, (h, c) = layer(np.zeros((2, 7, 3), np.float32))
    assert (y.shape, h.shape, c.shape) == ((2, 7, 10), (4, 2, 5), (4, 2, 5))
    assert "bidirectional=True" in repr(layer)
    with pytest.raises(
        ValueError, match=r"state\[0\]: shape \(L\*D, N, H\) = \(4, 2, 5\) is required, got \(2, 2, 5\)"
    ):
        layer(np.zeros((2, 7, 3), np.float32), (h[:2], c[:2]))
    with pytest.raises(ValueError, match=r"dy: .*C = 10"):
        layer.backward(layer.forward(np.zeros((2, 7, 3), np.float32))[2], np.zeros((2, 7, 5), np.float32))

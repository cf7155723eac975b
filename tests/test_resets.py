"""Resets against the reference and against sequences that are cut by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.bits import check_vector_width
from tests.support.comparison import (
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
    "ragged": {"N": 5, "T": 9, "H": 9, "L": 2},
    "dense": {"N": 9, "T": 12, "H": 17, "ragged": False},
    "many units": {"N": 3, "T": 7, "H": 140, "C": 33},
    "no state": {"N": 4, "T": 8, "H": 6, "start": False, "L": 2},
    "many rows": {"N": 40, "T": 30, "H": 8, "C": 3},
}

every_shape = pytest.mark.parametrize("shape", SHAPES)


def problem_of(cell: str, shape: str) -> Problem:
    return make_problem(cell, resets=True, **SHAPES[shape])


@every_shape
def test_results_and_gradients(cell: str, isa: str, dtype: str, shape: str) -> None:
    problem = problem_of(cell, shape)
    assert_matches(problem, run_engine(problem, dtype), dtype)


def test_gradients_are_derivatives(cell: str, dtype: str) -> None:
    problem = problem_of(cell, "ragged")
    actual, rng = run_engine(problem, dtype), np.random.default_rng(3)
    for name in [name for name in problem.expected if name not in ("y", "h", "c")]:
        v = rng.normal(size=problem.expected[name].shape)
        expected = derivative(problem, name, v, resets=problem.resets)
        error = abs(np.vdot(actual[name].astype(np.float64), v) - expected)
        assert error <= tolerance(problem, dtype) * np.linalg.norm(problem.expected[name]) * np.linalg.norm(v), name


def cuts(problem: Problem, n: int) -> list[tuple[int, int]]:
    """The pieces of sequence n between its resets."""
    steps = problem.x.shape[1] if problem.lengths is None else int(problem.lengths[n])
    assert problem.resets is not None
    starts = [0, *(np.flatnonzero(problem.resets[n, 1:steps]) + 1)]
    return list(zip(starts, [*starts[1:], steps], strict=True))


def by_hand(problem: Problem, n: int, dtype: str) -> dict[str, Any]:
    """Sequence n in a call for each of its pieces."""
    pieces, rows, layer = cuts(problem, n), slice(n, n + 1), build_layer(problem, dtype)
    assert problem.resets is not None
    zeros = tuple(np.zeros((problem.layers, 1, problem.hidden), dtype) for _ in problem.dstate)
    first = zeros if problem.state is None else tuple(s[:, rows].astype(dtype) for s in problem.state)
    replaced = problem.x.shape[1] > 0 and pieces[0][1] > 0 and problem.resets[n, 0]
    ys, dxs = [], []
    for begin, end in pieces:
        start = bundle(zeros if begin > 0 or replaced else first)
        y, last, tape = layer.forward(problem.x[rows, begin:end].astype(dtype), start)
        own = tuple(d[:, rows].astype(dtype) for d in problem.dstate) if (begin, end) == pieces[-1] else zeros
        dx, dfirst = layer.backward(tape, problem.dy[rows, begin:end].astype(dtype), bundle(own))
        if begin == 0:
            dstate = zeros if replaced else unbundle(dfirst)
        ys.append(y[0])
        dxs.append(dx[0])
    states = dict(zip(("h", "c"), unbundle(last), strict=False))
    dstates = dict(zip(("dh", "dc"), dstate, strict=False))
    return {"y": np.concatenate(ys), "dx": np.concatenate(dxs), **states, **dstates}


@every_shape
def test_a_reset_is_a_cut(cell: str, isa: str, dtype: str, shape: str) -> None:
    problem = problem_of(cell, shape)
    whole = run_engine(problem, dtype)
    for n in range(min(len(problem.x), 6)):
        for name, expected in by_hand(problem, n, dtype).items():
            actual = whole[name][n, : len(expected)] if name in ("y", "dx") else whole[name][:, n : n + 1]
            np.testing.assert_array_equal(actual, expected, err_msg=f"{name} of sequence {n}")


def test_inference_equals_training(cell: str, dtype: str) -> None:
    problem = problem_of(cell, "ragged")
    layer, expected = build_layer(problem, dtype), run_engine(problem, dtype)
    state = bundle([s.astype(dtype) for s in problem.state or ()])
    y, last = layer(problem.x.astype(dtype), state, lengths=problem.lengths, resets=problem.resets)
    np.testing.assert_array_equal(y, expected["y"])
    for name, part in zip(("h", "c"), unbundle(last), strict=False):
        np.testing.assert_array_equal(part, expected[name])


@every_shape
def test_threads(cell: str, dtype: str, shape: str) -> None:
    problem = problem_of(cell, shape)
    with rf.threads(1):
        alone = run_engine(problem, dtype)
    for count in (2, 3):
        with rf.threads(count):
            assert_same_bits(run_engine(problem, dtype), alone)


@several_widths
def test_vector_width(cell: str, dtype: str) -> None:
    check_vector_width(problem_of(cell, "ragged"), dtype)


def test_no_reset_is_no_array_of_resets(cell: str, dtype: str) -> None:
    problem = make_problem(cell, N=5, T=6, L=2)
    assert_same_bits(run_engine(replace(problem, resets=np.zeros((5, 6), bool)), dtype), run_engine(problem, dtype))


def test_resets_past_a_length_say_nothing(cell: str) -> None:
    problem = problem_of(cell, "ragged")
    resets = problem.resets ^ problem.padding
    assert (resets != problem.resets).any()
    assert_same_bits(run_engine(replace(problem, resets=resets), "float32"), run_engine(problem, "float32"))


def test_layouts(cell: str) -> None:
    """A list of arrays has a list of resets or an array of them; with ``time_major`` time comes first."""
    problem = problem_of(cell, "ragged")
    assert problem.lengths is not None
    assert problem.resets is not None
    layer, x, longest = build_layer(problem, "float32"), problem.x.astype("float32"), problem.lengths.max()
    y, _ = layer(x, lengths=problem.lengths, resets=problem.resets)
    lists = [[a[:length] for a, length in zip(rows, problem.lengths, strict=True)] for rows in (x, problem.resets)]
    np.testing.assert_array_equal(layer(lists[0], resets=lists[1])[0], y[:, :longest])
    np.testing.assert_array_equal(layer(lists[0], resets=problem.resets[:, :longest])[0], y[:, :longest])
    turned = build_layer(problem, "float32", time_major=True)
    y2, _ = turned(x.swapaxes(0, 1), lengths=problem.lengths, resets=problem.resets.T)
    np.testing.assert_array_equal(y2.swapaxes(0, 1), y)
    np.testing.assert_array_equal(turned(lists[0], resets=lists[1])[0].swapaxes(0, 1), y[:, :longest])


@pytest.mark.parametrize(
    ("resets", "error", "message"),
    [
        (np.zeros((2, 5), bool), ValueError, r"resets: shape \(N, T\) = \(3, 5\) is required, got \(2, 5\)"),
        (np.zeros((3, 5, 1), bool), ValueError, r"resets: shape \(N, T\) = \(3, 5\) is required, got \(3, 5, 1\)"),
        (np.zeros((3, 5)), TypeError, r"resets: dtype bool is required, got float64"),
        ([[0] * 5] * 3, TypeError, r"resets: dtype bool is required, got int64"),
    ],
)
def test_refusals(resets: Any, error: type[Exception], message: str) -> None:
    layer = rf.GRU(4, 8)
    for call in (layer, layer.forward):
        with pytest.raises(error, match=message):
            call(np.ones((3, 5, 4), np.float32), resets=resets)


def test_refusals_of_lists() -> None:
    layer, x = rf.GRU(4, 8), [np.ones((n, 4), np.float32) for n in (2, 3)]
    with pytest.raises(ValueError, match=r"resets: one array for each of N = 2 sequences is required, got 1"):
        layer(x, resets=[[True, False]])
    with pytest.raises(ValueError, match=r"resets\[1\]: shape \(T,\) = \(3,\) is required, got \(2,\)"):
        layer(x, resets=[[True, False], [True, False]])
    with pytest.raises(TypeError, match=r"resets\[0\]: dtype bool is required, got int64"):
        layer(x, resets=[[1, 0], [1, 0, 0]])
    with pytest.raises(ValueError, match=r"resets: shape \(T, N\) = \(3, 2\) is required, got \(2, 3\)"):
        rf.GRU(4, 8, time_major=True)(np.ones((3, 2, 4), np.float32), resets=np.zeros((2, 3), bool))


def tagger(seed: int = 1) -> Any:
    return rf.ManyToMany(3, 4, cell="gru", hidden_size=6, num_layers=2, dtype="float64", seed=seed)


def cut_by_hand(values: list[np.ndarray], resets: list[np.ndarray]) -> list[np.ndarray]:
    """All pieces between the resets, one after the other."""
    return [piece for v, r in zip(values, resets, strict=True) for piece in np.split(v, np.flatnonzero(r[1:]) + 1)]


@pytest.mark.parametrize("ragged", [False, True])
def test_a_model_with_resets_is_one_of_pieces(ragged: bool, rng: np.random.Generator) -> None:
    lengths = rng.integers(5, 12, 6) if ragged else np.full(6, 9)
    x, y = [rng.normal(size=(n, 3)) for n in lengths], [rng.integers(0, 4, n) for n in lengths]
    resets = [rng.random(n) < 0.3 for n in lengths]
    given: Any = (x, y, resets) if ragged else [np.array(values) for values in (x, y, resets)]
    model, twin = tagger(), tagger()
    loss = model.loss_and_grad(given[0], given[1], resets=given[2])
    xs, ys = cut_by_hand(x, resets), cut_by_hand(y, resets)
    assert loss == model.loss(given[0], given[1], resets=given[2]) == pytest.approx(twin.loss_and_grad(xs, ys), 1e-13)
    for key, p in model.parameters().items():
        np.testing.assert_allclose(p.grad, twin.parameters()[key].grad, rtol=1e-9, atol=1e-13, err_msg=key)
    whole = np.concatenate(list(model.predict_proba(given[0], resets=given[2])))
    np.testing.assert_array_equal(whole, np.concatenate(twin.predict_proba(xs)))
    history = model.fit(given[0], given[1], resets=given[2], epochs=2, batch_size=4, progress=False, seed=0)
    assert history.history["loss"][0] == pytest.approx(loss, rel=0.1)
    assert model.evaluate(given[0], given[1], resets=given[2])["loss"] < loss


def test_refusals_of_models(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(2, 5, 3)), np.zeros((2, 5), int)
    with pytest.raises(TypeError, match=r"resets: dtype bool is required, got int64"):
        tagger().loss(x, y, resets=np.zeros((2, 5), int))
    with pytest.raises(ValueError, match=r"resets: a value for every step is required, shape \(N, T\) = \(2, 5\)"):
        tagger().predict(x, resets=np.zeros((2, 4), bool))
    model: Any = rf.ManyToOne(3, 2)
    with pytest.raises(TypeError, match=r"fit: unknown argument 'resets'"):
        model.fit(x, [0, 1], epochs=1, resets=np.zeros((2, 5), bool), progress=False)

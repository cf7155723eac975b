"""Every result of the engine against the reference: cells, vector widths, precisions, sizes around lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from tests.support.comparison import (
    KINDS,
    SIZES,
    Problem,
    assert_matches,
    build_layer,
    bundle,
    make_problem,
    run_engine,
    tolerance,
    unbundle,
)
from tests.support.derivatives import STEP, bumped, check_results_and_gradients


@pytest.mark.parametrize("H", SIZES)
def test_results_and_gradients(cell: str, isa: str, dtype: str, H: int) -> None:
    check_results_and_gradients(make_problem(cell, H=H), dtype)


@pytest.mark.parametrize("C", SIZES)
def test_sizes_of_the_input(cell: str, isa: str, dtype: str, C: int) -> None:
    problem = make_problem(cell, C=C, H=6, N=4)
    assert_matches(problem, run_engine(problem, dtype), dtype)


@pytest.mark.parametrize("N", [1, 2, 3, 5, 6, 7, 8, 13, 14, 15, 29])
def test_sizes_of_the_batch(cell: str, isa: str, dtype: str, N: int) -> None:
    problem = make_problem(cell, C=3, H=9, N=N, T=6, ragged=N > 2)
    assert_matches(problem, run_engine(problem, dtype), dtype)


@pytest.mark.parametrize(
    "sizes",
    [
        {"L": 2},
        {"L": 3, "N": 5, "T": 4, "H": 17},
        {"bias": False},
        {"bias": False, "L": 2},
        {"start": False},
        {"ragged": False, "start": False},
        {"T": 1, "N": 3, "ragged": False},
        {"T": 40, "N": 9, "H": 20, "C": 33},
        {"T": 300, "N": 2, "H": 5, "C": 3, "ragged": False},
        {"T": 3, "N": 300, "H": 5, "C": 3},
        {"T": 7, "N": 3, "H": 130, "C": 70},
    ],
    ids=lambda sizes: " ".join(f"{k}={v}" for k, v in sizes.items()),
)
def test_shapes_of_the_network(cell: str, isa: str, dtype: str, sizes: dict[str, Any]) -> None:
    problem = make_problem(cell, **sizes)
    assert_matches(problem, run_engine(problem, dtype), dtype)


def test_gradients_with_several_threads(cell: str, dtype: str, threads: int) -> None:
    for sizes in ({"N": 20, "T": 30, "H": 33, "C": 9}, {"N": 3, "T": 20, "H": 200, "C": 9}):
        problem = make_problem(cell, **sizes)
        assert_matches(problem, run_engine(problem, dtype), dtype)


def test_calls_add_their_gradients(cell: str, dtype: str) -> None:
    problem = make_problem(cell, ragged=False)
    layer = build_layer(problem, dtype)
    state = bundle([s.astype(dtype) for s in problem.state or ()])
    once: dict[str, np.ndarray] = {}
    for _ in range(2):
        _, _, tape = layer.forward(problem.x.astype(dtype), state)
        layer.backward(tape, problem.dy.astype(dtype), bundle([d.astype(dtype) for d in problem.dstate]))
        once = once or {name: p.grad.copy() for name, p in layer.parameters().items()}
    for name, p in layer.parameters().items():
        np.testing.assert_allclose(p.grad, 2 * once[name], rtol=tolerance(problem, dtype), atol=1e-6)


def test_gradients_may_be_partial(cell: str, dtype: str) -> None:
    """``dy=None``, ``dstate=None`` and a None inside the LSTM's pair stand for zeros."""
    problem = make_problem(cell, ragged=False)
    x, dy = problem.x.astype(dtype), problem.dy.astype(dtype)
    parts = [d.astype(dtype) for d in problem.dstate]
    zeros = [np.zeros_like(d) for d in parts]
    cases: list[tuple[Any, Any, Any, Any]] = [
        (None, bundle(parts), np.zeros_like(dy), bundle(parts)),
        (dy, None, dy, bundle(zeros)),
        (None, None, np.zeros_like(dy), bundle(zeros)),
    ]
    if len(parts) == 2:
        cases += [
            (dy, (parts[0], None), dy, (parts[0], zeros[1])),
            (dy, (None, parts[1]), dy, (zeros[0], parts[1])),
        ]
    for given_dy, given_dstate, full_dy, full_dstate in cases:
        results = []
        for pair in ((given_dy, given_dstate), (full_dy, full_dstate)):
            layer = build_layer(problem, dtype)
            _, _, tape = layer.forward(x)
            dx, dfirst = layer.backward(tape, *pair)
            results.append([dx, *unbundle(dfirst), *(p.grad for p in layer.parameters().values())])
        for partial, full in zip(*results, strict=True):
            np.testing.assert_array_equal(partial, full)


def unrolled(problem: Problem) -> list[dict[str, np.ndarray]]:
    """Gradients of an explicit network of T layers, each with weights of its own that happen to be equal.

    Layer t is ``h_t = f(x_t, h_{t-1}; W_t)``; the copies are independent parameters and get a gradient each.
    """
    kind, choice = KINDS[problem.cell]
    f = reference.make_cell(kind, **choice)
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    copies = [reference.Weights(*(problem.params[n].copy() for n in names)) for _ in range(problem.x.shape[1])]
    state, saved = tuple(s[0] for s in problem.state or ()), []
    for t, weights in enumerate(copies):
        state, kept = f.step(weights, problem.x[:, t], state)
        saved.append(kept)
    dstate, grads = tuple(d[0] for d in problem.dstate), []
    for t in reversed(range(len(copies))):
        dstate = (dstate[0] + problem.dy[:, t], *dstate[1:])
        _, dstate, own = f.step_backward(copies[t], saved[t], dstate)
        grads.append(dict(zip(names, (own.W, own.R, own.b_ih, own.b_hh), strict=True)))
    return grads[::-1]


def unrolled_loss(problem: Problem, copy: int, name: str, direction: np.ndarray) -> float:
    """Derivative of the loss when the weights of one copy alone move along a direction."""
    kind, choice = KINDS[problem.cell]
    state, total = bundle(problem.state), 0.0
    for t in range(problem.x.shape[1]):
        params = bumped(problem, name, direction).params if t == copy else problem.params
        y, state, _ = reference.forward(kind, params, problem.x[:, t : t + 1], state, **choice)
        total += (y[:, 0] * problem.dy[:, t]).sum()
    total += sum((s * d).sum() for s, d in zip(unbundle(state), problem.dstate, strict=True))
    return float(np.imag(total)) / STEP


def test_shared_weights_collect_the_gradients_of_their_copies(cell: str, dtype: str, rng: np.random.Generator) -> None:
    """Back-propagation through time is back-propagation through T layers whose equal weights are shared."""
    problem = make_problem(cell, T=6, ragged=False)
    copies = unrolled(problem)
    actual = run_engine(problem, dtype)
    for name in problem.params:
        total = sum(grads[name] for grads in copies)
        error = np.linalg.norm(actual[name] - total)
        assert error <= tolerance(problem, dtype) * np.linalg.norm(total), name
        v = rng.normal(size=problem.params[name].shape)
        for t, grads in enumerate(copies):
            scale = np.linalg.norm(grads[name]) * np.linalg.norm(v)
            expected = unrolled_loss(problem, t, name, v)
            assert abs(np.vdot(grads[name], v) - expected) <= 1e-13 * scale, (name, t)


def test_linear_arithmetic_is_exact(isa: str, dtype: str, rng: np.random.Generator) -> None:
    """With the identity and small integers nothing rounds: every bit of every result must be right."""
    problem = make_problem("rnn-identity", N=4, T=5, H=9)
    layer = rf.RNN(4, 9, activation="identity", dtype=dtype)
    params = {name: rng.integers(-1, 2, p.shape).astype(dtype) for name, p in layer.parameters().items()}
    layer.load_state_dict(params)
    x = rng.integers(-3, 4, problem.x.shape).astype(dtype)
    dy = rng.integers(-3, 4, problem.dy.shape).astype(dtype)
    lengths = problem.lengths
    y, state, tape = layer.forward(x, lengths=lengths)
    dx, dstate = layer.backward(tape, dy)
    wide = {name: p.astype(np.float64) for name, p in params.items()}
    y2, state2, tape2 = reference.forward("rnn", wide, x, lengths=lengths, activation="identity")
    dx2, dstate2, grads = reference.backward(tape2, dy)
    pairs = [(y, y2), (state, state2), (dx, dx2), (dstate, dstate2)]
    pairs += [(p.grad, grads[name]) for name, p in layer.parameters().items()]
    for actual, expected in pairs:
        assert np.abs(expected).max() < 2**24, "a float32 holds these integers"
        np.testing.assert_array_equal(actual, expected)

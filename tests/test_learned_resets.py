"""A reset begins with the learned initial state: against the reference, sequences cut by hand, and streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnfast._core import testing
from rnnfast.layers import recurrent
from tests.support.bits import check_vector_width, run_saving
from tests.support.comparison import (
    KINDS,
    Problem,
    Result,
    assert_matches,
    assert_same_bits,
    assert_threads_agree,
    build_layer,
    bundle,
    collect,
    run_engine,
    run_reference,
    tolerance,
    unbundle,
)
from tests.support.derivatives import derivative
from tests.support.learned import SHAPES, reset_problem, small
from tests.support.matrix import several_widths
from tests.support.mutants import edit_scans, solve

every_kind = pytest.mark.parametrize("kind", KINDS)
every_shape = pytest.mark.parametrize("shape", SHAPES)


def starts_of(problem: Problem) -> list[str]:
    return ["h0", "c0"][: len(problem.dstate)]


@every_shape
@every_kind
def test_results_and_gradients(kind: str, dtype: str, shape: str) -> None:
    for given in (False, True):
        problem = reset_problem(kind, given=given, **SHAPES[shape])
        assert all(problem.expected[name].any() for name in starts_of(problem))
        assert_matches(problem, run_engine(problem, dtype), dtype)


@small
@every_kind
def test_every_instruction_set(kind: str, isa: str, shape: str) -> None:
    problem = reset_problem(kind, **SHAPES[shape])
    assert_matches(problem, run_engine(problem, "float32"), "float32")


@small
@every_kind
@pytest.mark.parametrize("given", [False, True], ids=["", "given"])
def test_gradients_are_derivatives(kind: str, shape: str, given: bool, rng: np.random.Generator) -> None:
    """A reset at the first step passes the gradient of the given state to the learned one."""
    problem = reset_problem(kind, given=given, **SHAPES[shape])
    actual, states = run_engine(problem, "float64"), ["dh", "dc"][: len(problem.dstate)] if given else []
    for name in [*problem.params, "dx", *states]:
        v = rng.normal(size=problem.expected[name].shape)
        expected = derivative(problem, name, v, resets=problem.resets)
        scale = np.linalg.norm(problem.expected[name]) * np.linalg.norm(v)
        limit = 1e-13 if "normed" in kind else 1e-14
        assert abs(np.vdot(problem.expected[name], v) - expected) <= limit * scale, name
        assert abs(np.vdot(actual[name], v) - expected) <= tolerance(problem, "float64") * scale, name


def pieces_of(problem: Problem, n: int) -> list[tuple[int, int]]:
    """The pieces of sequence n between its resets."""
    assert problem.resets is not None
    steps = problem.x.shape[1] if problem.lengths is None else int(problem.lengths[n])
    starts = [0, *(np.flatnonzero(problem.resets[n, 1:steps]) + 1)]
    return list(zip(starts, [*starts[1:], steps], strict=True))


def run_pieces(problem: Problem, n: int, dtype: str) -> list[tuple[Any, ...]]:
    """y, final state, dx and the first state's gradient of every piece of sequence n, each from the learned state."""
    layer, pieces, D, rows = build_layer(problem, dtype), pieces_of(problem, n), 1 + problem.bidirectional, [n]
    found = []
    for begin, end in pieces:
        dlast = [np.zeros_like(d[:, rows], dtype) for d in problem.dstate]
        for direction in range(D):
            if (begin, end) == pieces[0 if direction else -1]:
                for own, d in zip(dlast, problem.dstate, strict=True):
                    own[direction::D] = d[direction::D, rows]
        y, last, tape = layer.forward(problem.x[rows, begin:end].astype(dtype))
        dx, dfirst = layer.backward(tape, problem.dy[rows, begin:end].astype(dtype), bundle(dlast))
        found.append((y[0], unbundle(last), dx[0], unbundle(dfirst)))
    return found


def by_hand(problem: Problem, dtype: str) -> Result:
    """The whole of sequences that were cut by hand: the first states' gradients are summed as the engine does."""
    D, N, names = 1 + problem.bidirectional, len(problem.x), starts_of(problem)
    assert problem.resets is not None
    ys, dxs = (np.zeros((*problem.x.shape[:2], a.shape[2]), dtype) for a in (problem.dy, problem.x))
    last, first, anew = ([np.zeros_like(d, dtype) for d in problem.dstate] for _ in range(3))
    for n in range(N):
        pieces, found = pieces_of(problem, n), run_pieces(problem, n, dtype)
        for (begin, end), (y, _, dx, _) in zip(pieces, found, strict=True):
            ys[n, begin:end], dxs[n, begin:end] = y, dx
        for d in range(D):
            against_time = found[::-1] if d == 0 else found
            replaced = d == 0 and pieces[0][1] > 0 and problem.resets[n, 0]
            for i in range(len(names)):
                for piece in against_time if replaced else against_time[:-1]:
                    anew[i][d::D, n] += piece[3][i][d::D, 0]
                first[i][d::D, n] = 0 if replaced else against_time[-1][3][i][d::D, 0]
                last[i][d::D, n] = against_time[0][1][i][d::D, 0]
    sums = {
        name: a.sum(1, keepdims=True) + b.sum(1, keepdims=True) for name, a, b in zip(names, first, anew, strict=True)
    }
    return collect(ys, bundle(last), dxs, bundle(first), sums)


@every_shape
@every_kind
def test_a_reset_is_a_cut(kind: str, dtype: str, shape: str) -> None:
    problem = reset_problem(kind, **SHAPES[shape])
    whole, expected = run_engine(problem, dtype), by_hand(problem, dtype)
    assert_same_bits({name: whole[name] for name in expected}, expected)


@every_kind
@pytest.mark.parametrize("N", [1, 5])
@pytest.mark.parametrize("given", [False, True], ids=["", "given"])
def test_a_stream_with_resets(kind: str, dtype: str, N: int, given: bool, rng: np.random.Generator) -> None:
    """A stream that was given a state is reset to the layer's own."""
    problem = reset_problem(kind, N=N, T=9, H=9, L=2, ragged=False, given=given)
    layer, x, resets = build_layer(problem, dtype), problem.x.astype(dtype), problem.resets
    assert resets is not None
    state = None if problem.state is None else bundle([s.astype(dtype) for s in problem.state])
    y, last = layer(x, state, resets=resets)
    stream = layer.stream(N, state)
    for t in range(9):
        if resets[:, t].all():
            stream.reset()
        elif resets[:, t].any():
            stream.reset(resets[:, t])
        np.testing.assert_array_equal(stream.step(x[:, t]), y[:, t])
    for actual, expected in zip(unbundle(stream.state), unbundle(last), strict=True):
        np.testing.assert_array_equal(actual, expected)


@small
@every_kind
def test_inference_layouts_and_pieces_of_time(kind: str, dtype: str, shape: str) -> None:
    problem = reset_problem(kind, given=True, **SHAPES[shape])
    layer, x, resets = build_layer(problem, dtype), problem.x.astype(dtype), problem.resets
    assert resets is not None
    assert problem.lengths is not None
    expected, state = run_engine(problem, dtype), bundle([s.astype(dtype) for s in problem.state or ()])
    y, last = layer(x, state, lengths=problem.lengths, resets=resets)
    np.testing.assert_array_equal(y, expected["y"])
    for name, part in zip(("h", "c"), unbundle(last), strict=False):
        np.testing.assert_array_equal(part, expected[name])
    np.testing.assert_array_equal(layer.trace(x, state, lengths=problem.lengths, resets=resets).h[-1], y)
    turned = build_layer(problem, dtype, time_major=True)
    by_time = turned(x.swapaxes(0, 1), state, lengths=problem.lengths, resets=resets.T)
    np.testing.assert_array_equal(by_time[0].swapaxes(0, 1), y)
    longest = problem.lengths.max()
    lists = [[a[:length] for a, length in zip(rows, problem.lengths, strict=True)] for rows in (x, resets)]
    np.testing.assert_array_equal(layer(lists[0], state, resets=lists[1])[0], y[:, :longest])
    if problem.bidirectional:
        return
    left = problem.lengths
    for begin, end in ((0, 4), (4, x.shape[1])):
        piece, state = layer(x[:, begin:end], state, lengths=left.clip(0, end - begin), resets=resets[:, begin:end])
        np.testing.assert_array_equal(piece, y[:, begin:end])
        left = (left - (end - begin)).clip(0)


@every_shape
@every_kind
def test_threads(kind: str, shape: str) -> None:
    problem = reset_problem(kind, **SHAPES[shape])
    assert_threads_agree(lambda: run_engine(problem, "float32"))


@pytest.mark.parametrize("units", [False, True], ids=["by sequences", "by units"])
@small
@every_kind
def test_shares(kind: str, shape: str, units: bool) -> None:
    problem = reset_problem(kind, **SHAPES[shape] | {"H": 41})
    testing.force_split(units)
    try:
        assert_threads_agree(lambda: run_engine(problem, "float32"))
    finally:
        testing.force_split(None)


@several_widths
@small
@every_kind
def test_vector_width(kind: str, dtype: str, shape: str) -> None:
    check_vector_width(reset_problem(kind, **SHAPES[shape]), dtype)


LONG: dict[str, dict[str, Any]] = {
    "ragged": {"N": 4, "T": 400, "H": 65},
    "both ways": {"N": 3, "T": 300, "H": 65, "bidirectional": True},
}
CHANCES = {
    "rnn-tanh": {"recurrent_dropout": 0.4, "zoneout": 0.2},
    "gru": {"recurrent_dropout": 0.4, "zoneout": 0.2},
    "lstm": {"recurrent_dropout": 0.4, "zoneout": (0.2, 0.1)},
    "gru-before": {"zoneout": 0.3},
}


@pytest.mark.parametrize("shape", LONG)
@pytest.mark.parametrize(("kind", "options"), [*((kind, {}) for kind in KINDS), *CHANCES.items()], ids=str)
def test_recomputed_gates(kind: str, options: dict[str, Any], shape: str) -> None:
    problem = reset_problem(kind, **LONG[shape])
    kept, again = (run_saving(problem, "float32", save, **options)[0] for save in ("all", "recompute"))
    assert_same_bits(again, kept)


@small
@every_kind
def test_a_learned_state_of_zeros_changes_no_bit(kind: str, dtype: str, shape: str) -> None:
    problem = reset_problem(kind, **SHAPES[shape])
    names = starts_of(problem)
    plain = replace(problem, params={name: p for name, p in problem.params.items() if name not in names})
    zero = replace(problem, params=plain.params | {name: 0 * problem.params[name] for name in names})
    expected, found = run_engine(plain, dtype), run_engine(zero, dtype)
    assert_same_bits({name: found[name] for name in expected}, expected)


def to_zero(problem: Problem) -> Result:
    """Resets go to zero, sequences still start from the learned state."""
    first = tuple(np.repeat(problem.params[name], len(problem.x), axis=1) for name in starts_of(problem))
    cleared = problem.params | {name: 0 * problem.params[name] for name in starts_of(problem)}
    result = run_reference(replace(problem, params=cleared, state=first))
    return result | {
        name: result[name] + result[d].sum(1, keepdims=True)
        for name, d in zip(starts_of(problem), ("dh", "dc"), strict=False)
    }


def changed_gradients(problem: Problem, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Result:
    result = problem.expected
    of_first = {n: result[d].sum(1, keepdims=True) for n, d in zip(starts_of(problem), ("dh", "dc"), strict=False)}
    return result | {name: change(result[name], first) for name, first in of_first.items()}


FAULTS: dict[str, Callable[[Problem], Result]] = {
    "resets go to zero": to_zero,
    "no gradient of resets": lambda problem: changed_gradients(problem, lambda whole, first: first),
    "no gradient of first states": lambda problem: changed_gradients(problem, lambda whole, first: whole - first),
    "gradients of resets twice": lambda problem: changed_gradients(problem, lambda whole, first: 2 * whole - first),
    "gradients cross": lambda problem: solve(problem, edit_scans(cut=lambda scan: np.zeros_like(scan.cut))),
    "states of layers exchanged": lambda problem: run_reference(
        replace(problem, params=problem.params | {n: problem.params[n][::-1] for n in starts_of(problem)})
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault: str, cell: str) -> None:
    problem = reset_problem(cell, **SHAPES["ragged"])
    answer = {name: value.astype("float32") for name, value in FAULTS[fault](problem).items()}
    assert list(answer) == list(problem.expected)
    with pytest.raises(AssertionError):
        assert_matches(problem, answer, "float32")


def test_a_fault_planted_in_the_engine_is_caught(cell: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = reset_problem(cell, **SHAPES["ragged"])
    assert_matches(problem, run_engine(problem, dtype), dtype)
    monkeypatch.setattr(recurrent, "reset_states", lambda learned: (None, None))
    with pytest.raises(AssertionError):
        assert_matches(problem, run_engine(problem, dtype), dtype)

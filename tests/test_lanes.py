"""Sequences in the lanes of vectors: a layer's numbers have the bits that its units in lanes give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import (
    CELLS,
    Problem,
    assert_matches,
    assert_same_bits,
    build_layer,
    bundle,
    make_problem,
    run_engine,
)
from tests.support.matrix import BEST_GROUP, THREADS
from tests.support.state import forced_lanes, forced_split, using_isa

# Around one vector of float32, two of them, and more; one feature, more features than a vector holds.
SHAPES: dict[str, dict[str, Any]] = {
    "one sequence": {"N": 1, "T": 5, "C": 3, "H": 5},
    "part of a vector": {"N": 15, "T": 3, "C": 1, "H": 20},
    "one vector": {"N": 16, "T": 4, "C": 2, "H": 16},
    "one more": {"N": 17, "T": 3, "C": 15, "H": 25},
    "two vectors": {"N": 32, "T": 2, "C": 33, "H": 33},
    "odd vectors": {"N": 45, "T": 3, "C": 4, "H": 7},
    "one unit": {"N": 40, "T": 3, "C": 4, "H": 1},
    "two layers": {"N": 20, "T": 4, "C": 5, "H": 9, "L": 2},
}
FAST = list(CELLS)


@pytest.fixture(autouse=True)
def by_sequences() -> Iterator[None]:
    """Threads share sequences, so that lanes are free for them."""
    with forced_split(False):
        yield


def by_units(problem: Problem, dtype: str) -> dict[str, np.ndarray]:
    with forced_lanes(False), rf.threads(1):
        return run_engine(problem, dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", FAST)
def test_bits(cell: str, shape: str, isa: str, dtype: str) -> None:
    problem = make_problem(cell, ragged=False, **SHAPES[shape])
    expected = by_units(problem, dtype)
    for count in THREADS:
        with forced_lanes(True), rf.threads(count):
            assert_same_bits(run_engine(problem, dtype), expected)


@pytest.mark.parametrize("cell", FAST)
def test_the_reference(cell: str, isa: str, dtype: str) -> None:
    problem = make_problem(cell, N=19, T=6, C=3, H=10, ragged=False)
    with forced_lanes(True):
        assert_matches(problem, run_engine(problem, dtype), dtype)


@pytest.mark.parametrize("cell", FAST)
def test_resets(cell: str, isa: str, dtype: str) -> None:
    """A sequence that begins again does so in its lane alone, at the first step of a call, too."""
    problem = make_problem(cell, N=37, T=7, C=3, H=10, ragged=False)
    resets = np.random.default_rng(5).random((37, 7)) < 0.3
    resets[3, 0] = resets[4, 6] = True
    problem = replace(problem, resets=resets)
    with forced_lanes(True):
        assert_same_bits(run_engine(problem, dtype), by_units(problem, dtype))


def outputs(layer: Any, x: np.ndarray, **options: Any) -> dict[str, np.ndarray]:
    """Of a call that keeps nothing, and of two that train."""
    y, last = layer(x, **options)
    parts = {"y": y} | {f"last {i}": part for i, part in enumerate(last if isinstance(last, tuple) else (last,))}
    for save in ("all", "recompute"):
        parts[f"y, {save}"], _, tape = layer.forward(x, save=save, **options)
        parts[f"dx, {save}"], _ = layer.backward(tape, np.ones_like(y))
        for name, parameter in layer.parameters().items():
            parts[f"{name}, {save}"] = parameter.grad.copy()
            parameter.grad[...] = 0
    return parts


@pytest.mark.parametrize("kind", [rf.RNN, rf.LSTM, rf.GRU])
@pytest.mark.parametrize(
    "options",
    [{}, {"bidirectional": True}, {"num_layers": 3}, {"learn_initial_state": True}],
    ids=["plain", "both directions", "three layers", "learned states"],
)
@pytest.mark.parametrize("resets", [False, True], ids=["", "resets"])
def test_options(kind: Any, options: dict[str, Any], resets: bool, isa: str, dtype: str) -> None:
    layer = kind(3, 12, seed=0, dtype=dtype, **options)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((35, 90, 3)).astype(dtype)  # more steps than a chunk
    given = {"resets": rng.random((35, 90)) < 0.1} if resets else {}
    with forced_lanes(False), rf.threads(1):
        expected = outputs(layer, x, **given)
    for count in THREADS:
        with forced_lanes(True), rf.threads(count):
            assert_same_bits(outputs(layer, x, **given), expected)


@pytest.mark.parametrize("cell", FAST)
def test_calls_that_go_on(cell: str, isa: str, dtype: str) -> None:
    """Two calls, the second from the states of the first, and each kind of lanes once."""
    problem = make_problem(cell, N=18, T=9, C=2, H=6, ragged=False)
    layer, x = build_layer(problem, dtype), problem.x.astype(dtype)
    with forced_lanes(False):
        y, last = layer(x)
    with forced_lanes(True):
        first, state = layer(x[:, :4])
        second, end = layer(x[:, 4:], state)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), y)
    for actual, expected in zip(bundle([end]), bundle([last]), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("kind", [rf.RNN, rf.LSTM, rf.GRU])
def test_views(kind: Any, isa: str, dtype: str) -> None:
    """x of any strides, rows of one array, and outputs by time."""
    layer = kind(3, 12, seed=0, dtype=dtype)
    wide = np.random.default_rng(0).standard_normal((20, 11, 6)).astype(dtype)
    x = wide[::-1, 1::2, 2:5]
    with forced_lanes(False):
        expected, _ = layer(np.ascontiguousarray(x))
    with forced_lanes(True):
        np.testing.assert_array_equal(layer(x)[0], expected)
        by_time = kind(3, 12, seed=0, dtype=dtype, time_major=True)
        np.testing.assert_array_equal(by_time(x.transpose(1, 0, 2))[0].transpose(1, 0, 2), expected)
        rows = x.reshape(100, 3)
        y, _ = layer.call_rows(rows, np.arange(20) * 5, [5] * 20)
        np.testing.assert_array_equal(y.reshape(20, 5, 12), expected)
        y, _ = layer.call_rows(rows, np.arange(20)[::-1] * 5, [5] * 20)
        np.testing.assert_array_equal(y.reshape(20, 5, 12)[::-1], expected)


@pytest.mark.parametrize("kind", [rf.LSTM, rf.GRU])
def test_instruction_sets(kind: Any, dtype: str) -> None:
    layer = kind(4, 21, seed=0, dtype=dtype)
    x = np.random.default_rng(0).standard_normal((50, 8, 4)).astype(dtype)
    results = []
    for isa in BEST_GROUP:
        for lanes in (False, True):
            with using_isa(isa), forced_lanes(lanes):
                results.append(outputs(kind(4, 21, seed=0, dtype=dtype), x))
    for result in results[1:]:
        assert_same_bits(result, results[0])
    assert layer.hidden_size == 21

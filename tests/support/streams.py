"""Streams against one call over all steps."""

from __future__ import annotations

from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast.layers import Stream
from tests.support.comparison import Problem, build_layer, bundle, make_problem, unbundle

# Steps that are shared among threads by rows, and by units.
LARGE = {"rows": {"N": 300, "C": 64, "H": 96}, "units": {"N": 1, "C": 300, "H": 700}}


def problem_of(cell: str, size: dict[str, Any], T: int = 7) -> Problem:
    return make_problem(cell, T=T, ragged=False, **size)


def inputs(problem: Problem, dtype: str) -> tuple[np.ndarray, Any]:
    """x (N, T, C) and the initial state of a problem."""
    assert problem.state is not None
    return problem.x.astype(dtype), bundle([s.astype(dtype) for s in problem.state])


def assert_same_state(actual: Any, expected: Any) -> None:
    for a, b in zip(unbundle(actual), unbundle(expected), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def steps_of(stream: Stream, x: np.ndarray) -> np.ndarray:
    return np.stack([stream.step(x[:, t]) for t in range(x.shape[1])], axis=1)


def check_steps(cell: str, dtype: str, size: dict[str, Any]) -> None:
    """Steps one by one have the bits of one call."""
    problem = problem_of(cell, size)
    layer = build_layer(problem, dtype)
    x, state = inputs(problem, dtype)
    y, last = layer(x, state)
    stream = layer.stream(len(x), state)
    np.testing.assert_array_equal(steps_of(stream, x), y, strict=True)
    assert_same_state(stream.state, last)


def check_blocks(cell: str, dtype: str, size: dict[str, Any]) -> None:
    """Blocks of steps have the bits of one call."""
    problem = problem_of(cell, size)
    layer = build_layer(problem, dtype)
    x, state = inputs(problem, dtype)
    y, last = layer(x, state)
    stream = layer.stream(len(x), state)
    parts = [
        stream.process(x[:, :2]),
        stream.step(x[:, 2])[:, None],
        stream.process(x[:, 3:3]),
        stream.process(x[:, 3:]),
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), y, strict=True)
    assert_same_state(stream.state, last)


def check_large_steps(cell: str, size: dict[str, Any]) -> None:
    """Steps long enough to be shared among threads have the bits of one thread."""
    problem = problem_of(cell, {**size, "L": 2}, T=3)
    layer = build_layer(problem, "float32")
    x, state = inputs(problem, "float32")
    with rf.threads(1):
        alone = steps_of(layer.stream(len(x), state), x)
    stream = layer.stream(len(x), state)
    for t, count in enumerate((2, 1, 3)):
        with rf.threads(count):
            np.testing.assert_array_equal(stream.step(x[:, t]), alone[:, t])
    assert_same_state(stream.state, layer(x, state)[1])

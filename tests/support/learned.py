"""Problems whose sequences start from a learned state, and begin again with it after a reset."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.comparison import Problem, assert_matches, make_problem, run_engine, tolerance
from tests.support.derivatives import derivative

SHAPES: dict[str, dict[str, Any]] = {
    "ragged": {"N": 6, "T": 9, "H": 9, "L": 2},
    "both ways": {"N": 5, "T": 8, "H": 9, "L": 2, "bidirectional": True},
    "dense": {"N": 9, "T": 12, "H": 17, "ragged": False},
    "many units": {"N": 3, "T": 7, "H": 140, "C": 33},
    "many rows": {"N": 40, "T": 30, "H": 8, "C": 3},
    "one sequence": {"N": 1, "T": 130, "H": 12, "C": 4, "L": 3, "ragged": False},
}
small = pytest.mark.parametrize("shape", ["ragged", "both ways"])


def learned(cell: str, **sizes: Any) -> Problem:
    """A problem whose sequences all start from the first one's state, which is a parameter."""
    problem = make_problem(cell, **sizes)
    assert problem.state is not None
    first = {name: s[:, :1] for name, s in zip(("h0", "c0"), problem.state, strict=False)}
    return replace(problem, params=problem.params | first, state=None)


def reset_problem(kind: str, *, given: bool = False, **sizes: Any) -> Problem:
    """Resets, some of them in the longest sequence, and learned states; with ``given`` beside given states."""
    problem = learned(kind, resets=True, **sizes)
    assert problem.resets is not None
    resets = problem.resets.copy()
    resets[0 if problem.lengths is None else problem.lengths.argmax(), [0, 3, 4, -1]] = True
    state = make_problem(kind, resets=True, **sizes).state if given else None
    return replace(problem, resets=resets, state=state)


def check_learned_state(cell: str, dtype: str, L: int, rng: np.random.Generator) -> None:
    """Results, and gradients along a random direction, of layers that start from a learned state."""
    problem = learned(cell, N=6, T=4, H=9, L=L)
    actual = run_engine(problem, dtype)
    assert_matches(problem, actual, dtype)
    for name in {"h0", "c0"} & set(problem.params):
        v = rng.normal(size=problem.params[name].shape)
        scale = np.linalg.norm(problem.expected[name]) * np.linalg.norm(v)
        expected = derivative(problem, name, v)
        assert abs(np.vdot(problem.expected[name], v) - expected) <= 1e-14 * scale
        assert abs(np.vdot(actual[name].astype(np.float64), v) - expected) <= tolerance(problem, dtype) * scale

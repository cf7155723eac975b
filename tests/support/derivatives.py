"""Exact derivatives of the reference by a complex step, and comparisons with them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from rnnfast import reference
from tests.support.comparison import KINDS, Problem, assert_matches, bundle, run_engine, tolerance, unbundle

STEP = 1e-30
REFERENCE_SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"ragged": False},
    "stacked": {"L": 2},
    "both directions": {"L": 2, "bidirectional": True},
}


def loss(problem: Problem, **options: Any) -> Any:
    """A scalar whose gradients are ``problem.dy`` and ``problem.dstate``."""
    kind, choice = KINDS[problem.cell]
    choice = {"lengths": problem.lengths, **choice, **options}
    state = None if problem.state is None else bundle(problem.state)
    y, last, _ = reference.forward(kind, problem.params, problem.x, state, **choice)
    dy = np.where(problem.padding[..., None], 0, problem.dy)
    return (y * dy).sum() + sum((s * d).sum() for s, d in zip(unbundle(last), problem.dstate, strict=True))


def bumped(problem: Problem, name: str, direction: np.ndarray) -> Problem:
    """The problem with an imaginary step in one of its inputs."""
    if name in problem.params:
        change = problem.params[name] + 1j * STEP * direction
        return replace(problem, params=problem.params | {name: change})
    if name == "dx":
        return replace(problem, x=problem.x + 1j * STEP * direction)
    state = list(problem.state or ())
    state[("dh", "dc").index(name)] = state[("dh", "dc").index(name)] + 1j * STEP * direction
    return replace(problem, state=tuple(state))


def derivative(problem: Problem, name: str, direction: np.ndarray, **options: Any) -> float:
    """The derivative of the loss along a direction of one input, exact to rounding (Squire and Trapp, 1998)."""
    return float(loss(bumped(problem, name, direction), **options).imag / STEP)


def random_options(problem: Problem, rng: np.random.Generator) -> dict[str, Any]:
    shape = (*problem.x.shape[:2], problem.dy.shape[2])
    masks = [rng.integers(0, 2, shape) * 2.0 for _ in range(problem.layers - 1)]
    return {"resets": rng.random(problem.x.shape[:2]) < 0.3, "masks": masks}


def check_reference(problem: Problem, extras: bool, rng: np.random.Generator) -> None:
    """Every gradient of the reference along a random direction, with ``extras`` under random resets and masks."""
    options = random_options(problem, rng) if extras else {}
    kind, choice = KINDS[problem.cell]
    choice = {"lengths": problem.lengths, **choice, **options}
    _, _, tape = reference.forward(kind, problem.params, problem.x, bundle(problem.state), **choice)
    dx, dfirst, grads = reference.backward(tape, problem.dy, bundle(problem.dstate))
    gradients = {"dx": dx, **dict(zip(("dh", "dc"), unbundle(dfirst), strict=False)), **grads}
    for name, gradient in gradients.items():
        v = rng.normal(size=gradient.shape)
        expected = derivative(problem, name, v, **options)
        scale = np.linalg.norm(gradient) * np.linalg.norm(v)
        limit = (
            1e-13 if "normed" in problem.cell else 1e-14
        )  # in a norm of few numbers the largest part of a gradient cancels
        assert abs(np.vdot(gradient, v) - expected) <= limit * scale, name


@cache
def derivatives(problem: Problem) -> dict[str, tuple[np.ndarray, float]]:
    """For every input, state and parameter: a random direction, and the loss's exact derivative along it."""
    rng = np.random.default_rng(7)
    result = {}
    for name in [n for n in problem.expected if n not in ("y", "h", "c")]:
        v = rng.normal(size=problem.expected[name].shape)
        result[name] = (v, derivative(problem, name, v))
    return result


def check_results_and_gradients(problem: Problem, dtype: str) -> None:
    """Every result of the engine against the reference, and every gradient against the exact derivative."""
    actual = run_engine(problem, dtype)
    assert_matches(problem, actual, dtype)
    for name, (v, expected) in derivatives(problem).items():
        scale = np.linalg.norm(problem.expected[name]) * np.linalg.norm(v)
        error = abs(np.vdot(actual[name].astype(np.float64), v) - expected)
        assert error <= tolerance(problem, dtype) * scale, name

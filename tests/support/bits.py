"""Equal bits: the ways to compute one problem, and the assertions that they agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.support.comparison import (
    Problem,
    Result,
    assert_same_bits,
    assert_threads_agree,
    build_layer,
    bundle,
    collect,
    run_engine,
    unbundle,
)
from tests.support.matrix import EXACT
from tests.support.state import using_isa

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"N": 5, "T": 6, "H": 9, "L": 2},
    "many sequences": {"N": 67, "T": 9, "H": 17, "C": 5},
    "many units": {"N": 3, "T": 7, "H": 140, "C": 33},
    "one sequence": {"N": 1, "T": 7, "H": 140, "C": 5},
    "many rows": {"N": 40, "T": 30, "H": 8, "C": 3},
    "one feature": {"N": 20, "T": 30, "H": 21, "C": 1},
}


def assert_alone(problem: Problem, together: Result, n: int, dtype: str) -> None:
    """Sequence n by itself gives the same bits as among the others, also if it is empty."""
    assert problem.lengths is not None
    length = int(problem.lengths[n])
    alone = run_engine(slice_problem(problem, n, length), dtype)
    for name in {"y", "dx"}:
        np.testing.assert_array_equal(alone[name][0], together[name][n, :length], err_msg=name)
    for name in {"h", "c", "dh", "dc"} & set(together):
        np.testing.assert_array_equal(alone[name][:, 0], together[name][:, n], err_msg=name)


def joined(pieces: list[Any]) -> np.ndarray:
    return np.concatenate(pieces, axis=1)


def states_of(problem: Problem, dtype: str) -> Any:
    return bundle([s.astype(dtype) for s in problem.state or ()])


def slice_problem(problem: Problem, n: int, length: int) -> Problem:
    """Sequence n of a problem, alone and without its padding."""
    rows = slice(n, n + 1)
    return replace(
        problem,
        x=problem.x[rows, :length],
        dy=problem.dy[rows, :length],
        lengths=None,
        state=problem.state and tuple(s[:, rows] for s in problem.state),
        dstate=tuple(d[:, rows] for d in problem.dstate),
    )


def check_threads(problem: Problem, dtype: str) -> None:
    """Any number of threads gives the same bits."""
    assert_threads_agree(lambda: run_engine(problem, dtype))


def check_vector_width(problem: Problem, dtype: str) -> None:
    """Every vector width with fused multiply-adds gives the same bits."""
    results = []
    for name in EXACT:
        with using_isa(name):
            results.append(run_engine(problem, dtype))
    for result in results[1:]:
        assert_same_bits(result, results[0])


def check_each_sequence_alone(problem: Problem, dtype: str) -> None:
    """Ragged or not, a sequence has its own results, whatever shares its batch."""
    batch = run_engine(problem, dtype)
    lengths = [] if problem.lengths is None else problem.lengths.tolist()
    for n, length in list(enumerate(lengths))[:12]:
        alone = run_engine(slice_problem(problem, n, length), dtype)
        for name in ("y", "dx"):
            np.testing.assert_array_equal(alone[name][0], batch[name][n, :length], err_msg=name)
        for name in {"h", "c", "dh", "dc"} & set(batch):
            np.testing.assert_array_equal(alone[name][:, 0], batch[name][:, n], err_msg=name)


def check_padding(problem: Problem, dtype: str) -> None:
    """NaN, infinity or numbers past the lengths: nothing differs, gradients of parameters included."""
    result = run_engine(problem, dtype)
    for content in (0.0, 1e30, np.inf):
        x, dy = problem.x.copy(), problem.dy.copy()
        x[problem.padding] = content
        dy[problem.padding] = -content
        assert_same_bits(run_engine(replace(problem, x=x, dy=dy), dtype), result)


def check_inference(problem: Problem, dtype: str) -> None:
    """Training and inference give the same bits."""
    layer = build_layer(problem, dtype)
    x, state = problem.x.astype(dtype), states_of(problem, dtype)
    y, last = layer(x, state, lengths=problem.lengths)
    for training in (True, False):
        y2, last2, _ = layer.forward(x, state, lengths=problem.lengths, training=training)
        np.testing.assert_array_equal(y2, y)
        for a, b in zip(unbundle(last2), unbundle(last), strict=True):
            np.testing.assert_array_equal(a, b)


def run_saving(problem: Problem, dtype: str, save: str, **options: Any) -> tuple[Result, int]:
    """All results of forward and backward, and the bytes that the tape holds."""
    layer = build_layer(problem, dtype, seed=3, **options)
    state = None if problem.state is None else bundle([s.astype(dtype) for s in problem.state])
    x, dy = problem.x.astype(dtype), problem.dy.astype(dtype)
    y, last, tape = layer.forward(x, state, lengths=problem.lengths, resets=problem.resets, save=save)
    held = tape.nbytes
    dx, dfirst = layer.backward(tape, dy, bundle([d.astype(dtype) for d in problem.dstate]), gradient_norms=True)
    results = collect(y, last, dx, dfirst, {name: p.grad for name, p in layer.parameters().items()})
    return {**results, "norms": tape.gradient_norms}, held

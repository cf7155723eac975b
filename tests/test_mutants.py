"""The comparison the engine is judged by must refuse every planted fault."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnfast import _ops
from tests.support.comparison import (
    CELLS,
    Problem,
    Result,
    assert_matches,
    gates_of,
    make_problem,
    run_engine,
    run_reference,
)
from tests.support.matrix import DTYPES
from tests.support.mutants import MUTANTS

PROBLEMS: dict[str, dict[str, Any]] = {
    "plain": {"ragged": False, "start": False},
    "ragged": {"N": 4, "T": 6},
    "stacked": {"N": 4, "T": 6, "L": 2},
    "both directions": {"N": 4, "T": 6, "L": 2, "bidirectional": True},
    "resets": {"N": 4, "T": 6, "L": 2, "resets": True},
}


def problems(cell: str) -> dict[str, Problem]:
    return {name: make_problem(cell, C=3, H=5, **sizes) for name, sizes in PROBLEMS.items()}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_reference_itself_passes(cell: str, dtype: str) -> None:
    for problem in problems(cell).values():
        assert_matches(problem, run_reference(problem, dtype), dtype)


@pytest.mark.parametrize("fault", MUTANTS)
def test_a_planted_fault_is_caught(fault: str) -> None:
    planted = 0
    for cell in CELLS:
        for name, problem in problems(cell).items():
            answer = MUTANTS[fault](problem)
            if answer is None:
                continue
            planted += 1
            assert_well_formed(answer, problem, finite="padding" not in fault or "over" in fault)
            for dtype in DTYPES:
                assert is_refused(problem, astype(answer, dtype), dtype), f"{fault} passed for {cell}, {name}"
    assert planted, "a fault that fits no problem proves nothing"


@pytest.mark.parametrize("cell", CELLS)
def test_a_small_error_is_caught(cell: str) -> None:
    """An error as that of a 14-bit reciprocal, or of float32 arithmetic in a float64 run, stands out."""
    for problem in problems(cell).values():
        for name, value in problem.expected.items():
            coarse = problem.expected | {name: value * (1 + 2.0**-14)}
            with pytest.raises(AssertionError, match=name):
                assert_matches(problem, astype(coarse, "float32"), "float32")
        assert is_refused(problem, astype(run_reference(problem, "float32"), "float64"), "float64")


def test_a_single_wrong_element_is_caught() -> None:
    problem = make_problem("lstm", N=4, T=6, C=3, H=5)
    for name, value in problem.expected.items():
        wrong = value.copy()
        wrong.flat[np.abs(wrong).argmax()] *= 1.001
        with pytest.raises(AssertionError, match=name):
            assert_matches(problem, astype(problem.expected | {name: wrong}, "float32"), "float32")


def exchange(w: np.ndarray, gates: int) -> np.ndarray:
    return np.concatenate(np.split(w, gates)[::-1])


def transpose(r: np.ndarray, gates: int) -> np.ndarray:
    return np.concatenate([block.T for block in np.split(r, gates)])


FAULTY_PACKS: dict[str, Callable[..., tuple[np.ndarray, ...]]] = {
    "gates permuted": lambda w, r, b_w, b_r, g: (exchange(w, g), r, b_w, b_r),
    "recurrent gates permuted": lambda w, r, b_w, b_r, g: (w, exchange(r, g), b_w, b_r),
    "transposed": lambda w, r, b_w, b_r, g: (w, transpose(r, g), b_w, b_r),
    "input bias dropped": lambda w, r, b_w, b_r, g: (w, r, 0 * b_w, b_r),
    "recurrent bias dropped": lambda w, r, b_w, b_r, g: (w, r, b_w, 0 * b_r),
    "biases exchanged": lambda w, r, b_w, b_r, g: (w, r, b_r, b_w),
    "last column of R dropped": lambda w, r, b_w, b_r, g: (w, r * (np.arange(len(r[0])) < len(r[0]) - 1), b_w, b_r),
}


@pytest.mark.parametrize("fault", FAULTY_PACKS)
def test_a_fault_planted_in_the_engine_is_caught(
    fault: str, cell: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine works on wrong weights, and the tests' own comparison must notice."""
    gates = gates_of(cell)
    if (gates == 1 and "permuted" in fault) or (cell != "gru" and "exchanged" in fault):
        pytest.skip("is no fault in this cell")
    pack = _ops.pack

    def wrong(kind: _ops.Cell, *arrays: np.ndarray) -> Any:
        changed = (np.ascontiguousarray(a, dtype) for a in FAULTY_PACKS[fault](*arrays[:4], gates))
        return pack(kind, *changed, *arrays[4:])

    problem = make_problem(cell, N=4, T=6, C=3, H=5, L=2)
    assert not is_refused(problem, run_engine(problem, dtype), dtype)
    monkeypatch.setattr(_ops, "pack", wrong)
    assert is_refused(problem, run_engine(problem, dtype), dtype)


@pytest.mark.parametrize("fault", [lambda a: None, lambda a: np.maximum(a - 1, 0), lambda a: a[::-1].copy()])
def test_lengths_lost_in_the_engine_are_noticed(
    fault: Callable[[np.ndarray], Any], cell: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make_problem(cell, N=4, T=6, C=3, H=5, L=2)
    check: Callable[..., Any] = _ops.lengths_array
    monkeypatch.setattr(_ops, "lengths_array", lambda *arguments: fault(check(*arguments)))
    assert is_refused(problem, run_engine(problem, dtype), dtype)


def is_refused(problem: Problem, answer: Result, dtype: str) -> bool:
    try:
        assert_matches(problem, answer, dtype)
    except AssertionError:
        return True
    return False


def assert_well_formed(answer: Result, problem: Problem, *, finite: bool) -> None:
    """A fault must be caught for its values, not for a missing name or a stray NaN."""
    assert {n: v.shape for n, v in answer.items()} == {n: v.shape for n, v in problem.expected.items()}
    assert list(answer) == list(problem.expected)
    assert finite == all(np.isfinite(value).all() for value in answer.values())


def astype(result: Result, dtype: str) -> Result:
    return {name: value.astype(dtype) for name, value in result.items()}

"""The same bits for problems of any shape: all ways to compute one of them at once.

`test_consistency` takes the ways one by one on chosen shapes; here shapes are drawn, so that tails of vectors, of tiles
and of panels, shares of threads and lengths meet in every combination.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnnfast as rf
from tests.support.bits import assert_alone, joined, states_of
from tests.support.comparison import (
    CELLS,
    assert_same_bits,
    build_layer,
    bundle,
    make_problem,
    run_engine,
    unbundle,
)
from tests.support.matrix import DTYPES, GROUPS
from tests.support.state import using_isa

UNITS = st.one_of(st.integers(1, 40), st.sampled_from([47, 48, 49, 63, 64, 65, 127, 128, 129, 160]))
every_group = pytest.mark.parametrize("isas", GROUPS, ids=lambda isas: isas[0])
shapes = given(
    cell=st.sampled_from(list(CELLS)),
    N=st.integers(1, 33),
    T=st.integers(1, 24),
    C=st.integers(1, 40),
    H=UNITS,
    L=st.integers(1, 2),
    dtype=st.sampled_from(DTYPES),
    pick=st.integers(0, 10**6),
)


@every_group
@shapes
def test_threads_vectors_and_batches(
    isas: list[str], cell: str, N: int, T: int, C: int, H: int, L: int, dtype: str, pick: int
) -> None:
    problem = make_problem(cell, N=N, T=T, C=C, H=H, L=L)
    padded = replace(problem, x=problem.x.copy(), dy=problem.dy.copy())
    padded.x[problem.padding], padded.dy[problem.padding] = np.inf, 1.0
    with using_isa(isas[0]), rf.threads(1):
        expected = run_engine(problem, dtype)
        assert_alone(problem, expected, pick % N, dtype)
    for isa in isas:
        for count in (1, 2, 3):
            with using_isa(isa), rf.threads(count):
                assert_same_bits(run_engine(padded, dtype), expected)


@every_group
@shapes
def test_time_in_one_call_in_two_and_step_by_step(
    isas: list[str], cell: str, N: int, T: int, C: int, H: int, L: int, dtype: str, pick: int
) -> None:
    problem = make_problem(cell, N=N, T=T, C=C, H=H, L=L, ragged=False)
    layer, x, first = build_layer(problem, dtype), problem.x.astype(dtype), states_of(problem, dtype)
    cut = pick % (T + 1)
    with using_isa(isas[0]):
        y, last = layer(x, first)
        _, _, tape = layer.forward(x, first)
        dx, dfirst = layer.backward(tape, problem.dy.astype(dtype), bundle([d.astype(dtype) for d in problem.dstate]))
    for isa, count in [(isa, count) for isa in isas for count in (1, 3)]:
        with using_isa(isa), rf.threads(count):
            left, middle, lower = layer.forward(x[:, :cut], first)
            right, final, upper = layer.forward(x[:, cut:], middle)
            dright, dmiddle = layer.backward(
                upper, problem.dy[:, cut:].astype(dtype), bundle([d.astype(dtype) for d in problem.dstate])
            )
            dleft, dinitial = layer.backward(lower, problem.dy[:, :cut].astype(dtype), dmiddle)
            steps, blocks = (layer.stream(batch_size=N, state=first) for _ in range(2))
            streamed = np.stack([np.atleast_2d(steps.step(x[:, t])) for t in range(T)], axis=1)
            processed = [blocks.process(x[:, :cut]), blocks.process(x[:, cut:])]
        np.testing.assert_array_equal(joined([left, right]), y)
        np.testing.assert_array_equal(streamed, y)
        np.testing.assert_array_equal(joined(processed), y)
        np.testing.assert_array_equal(joined([dleft, dright]), dx)
        for states, wanted in [(final, last), (steps.state, last), (blocks.state, last), (dinitial, dfirst)]:
            for a, b in zip(unbundle(states), unbundle(wanted), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_long_sequences_of_a_cell_that_saves_no_gates(bidirectional: bool, ragged: bool, dtype: str) -> None:
    """A batch of several windows of du, where there is a window, against sequences that fit into one."""
    problem = make_problem("rnn-tanh", N=8, T=1024, H=140, bidirectional=bidirectional, ragged=ragged)
    if problem.lengths is None:
        problem = replace(problem, lengths=np.full(8, 1024))
    with rf.threads(1):
        together = run_engine(problem, dtype)
        for n in range(8):
            assert_alone(problem, together, n, dtype)
    with rf.threads(3):
        assert_same_bits(run_engine(problem, dtype), together)

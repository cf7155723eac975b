"""The same bits: whatever the threads, the vector width, the batch, the padding, and the way time is cut."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import rnnfast as rf
from tests.support.bits import (
    SHAPES,
    check_each_sequence_alone,
    check_inference,
    check_padding,
    check_threads,
    check_vector_width,
    states_of,
)
from tests.support.comparison import (
    assert_same_bits,
    build_layer,
    bundle,
    make_problem,
    run_engine,
    unbundle,
)
from tests.support.matrix import BEST_GROUP, ISAS, several_widths
from tests.support.state import one_way_panels, using_isa

every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_shape
def test_threads(cell: str, isa: str, dtype: str, shape: str) -> None:
    check_threads(make_problem(cell, **SHAPES[shape]), dtype)


@every_shape
def test_order_of_the_panels(cell: str, isa: str, dtype: str, shape: str) -> None:
    problem = make_problem(cell, **SHAPES[shape])
    by_turns = run_engine(problem, dtype)
    with one_way_panels():
        one_way = run_engine(problem, dtype)
    assert_same_bits(one_way, by_turns)


@several_widths
@every_shape
def test_vector_width(cell: str, dtype: str, shape: str) -> None:
    check_vector_width(make_problem(cell, **SHAPES[shape]), dtype)


@every_shape
def test_each_sequence_alone(cell: str, isa: str, dtype: str, shape: str) -> None:
    check_each_sequence_alone(make_problem(cell, **SHAPES[shape]), dtype)


def test_order_of_the_batch(cell: str, dtype: str, rng: np.random.Generator) -> None:
    problem = make_problem(cell, N=21, T=9, H=17)
    order = rng.permutation(21)
    shuffled = replace(
        problem,
        x=problem.x[order],
        dy=problem.dy[order],
        lengths=problem.lengths[order] if problem.lengths is not None else None,
        state=tuple(s[:, order] for s in problem.state or ()),
        dstate=tuple(d[:, order] for d in problem.dstate),
    )
    first, second = run_engine(problem, dtype), run_engine(shuffled, dtype)
    for name in ("y", "dx"):
        np.testing.assert_array_equal(second[name], first[name][order], err_msg=name)
    for name in {"h", "c", "dh", "dc"} & set(first):
        np.testing.assert_array_equal(second[name], first[name][:, order], err_msg=name)


@every_shape
def test_content_of_the_padding(cell: str, isa: str, dtype: str, shape: str) -> None:
    check_padding(make_problem(cell, **SHAPES[shape]), dtype)


def test_length_of_the_padding(cell: str, dtype: str) -> None:
    problem = make_problem(cell, N=5, T=6, H=9, L=2)
    result = run_engine(problem, dtype)
    wide = ((0, 0), (0, 11), (0, 0))
    x, dy = (np.pad(a, wide, constant_values=np.nan) for a in (problem.x, problem.dy))
    padded = run_engine(replace(problem, x=x, dy=dy), dtype)
    for name in ("y", "dx"):
        assert not padded[name][:, 6:].any()
        padded[name] = padded[name][:, :6]
    assert_same_bits(padded, result)


def test_full_lengths_are_no_lengths(cell: str, isa: str, dtype: str) -> None:
    problem = make_problem(cell, N=5, T=6, H=9, L=2, ragged=False)
    explicit = replace(problem, lengths=np.full(5, 6))
    assert_same_bits(run_engine(explicit, dtype), run_engine(problem, dtype))


@every_shape
def test_training_equals_inference(cell: str, isa: str, dtype: str, shape: str) -> None:
    check_inference(make_problem(cell, **SHAPES[shape]), dtype)


@pytest.mark.parametrize("pieces", [[1] * 12, [5, 7], [4, 1, 0, 7]], ids=str)
def test_time_cut_into_calls(cell: str, isa: str, dtype: str, pieces: list[int]) -> None:
    """``out, state = f(input, state)``, T times one step or in any pieces, equals one call of T steps."""
    problem = make_problem(cell, N=3, T=12, H=17, L=2, ragged=False)
    layer = build_layer(problem, dtype)
    x, state = problem.x.astype(dtype), states_of(problem, dtype)
    whole, last = layer(x, state)
    outputs, start = [], 0
    for steps in pieces:
        y, state = layer(x[:, start : start + steps], state)
        outputs.append(y)
        start += steps
    np.testing.assert_array_equal(np.concatenate(outputs, axis=1), whole)
    for a, b in zip(unbundle(state), unbundle(last), strict=True):
        np.testing.assert_array_equal(a, b)


def test_backward_through_time_cut_into_calls(cell: str, dtype: str) -> None:
    """The gradient of a piece's first state is the gradient of the last state of the piece before."""
    problem = make_problem(cell, N=3, T=12, H=17, L=2, ragged=False)
    whole = run_engine(problem, dtype)
    layer = build_layer(problem, dtype)
    x, dy, state = problem.x.astype(dtype), problem.dy.astype(dtype), states_of(problem, dtype)
    tapes = []
    for start in range(0, 12, 4):
        _, state, tape = layer.forward(x[:, start : start + 4], state)
        tapes.append((start, tape))
    dstate = bundle([d.astype(dtype) for d in problem.dstate])
    for start, tape in reversed(tapes):
        dx, dstate = layer.backward(tape, dy[:, start : start + 4].copy(), dstate)
        np.testing.assert_array_equal(dx, whole["dx"][:, start : start + 4])
    for name, d in zip(("dh", "dc"), unbundle(dstate), strict=False):
        np.testing.assert_array_equal(d, whole[name])


@pytest.mark.parametrize("count", [1, 3])
def test_backward_over_many_chunks(cell: str, dtype: str, count: int) -> None:
    """A long call is its pieces of 128 steps, whole blocks of rows: also where du is kept in a window that slides."""
    problem = make_problem(cell, N=8, T=1024, H=140, ragged=False)
    layer, pieces = build_layer(problem, dtype), build_layer(problem, dtype)
    x, dy, state = problem.x.astype(dtype), problem.dy.astype(dtype), states_of(problem, dtype)
    dstate = bundle([d.astype(dtype) for d in problem.dstate])
    with rf.threads(count):
        _, _, tape = layer.forward(x, state)
        dx, dfirst = layer.backward(tape, dy, dstate)
    tapes = []
    for start in range(0, 1024, 128):
        _, state, tape = pieces.forward(x[:, start : start + 128], state)
        tapes.append((start, tape))
    for start, tape in reversed(tapes):
        piece, dstate = pieces.backward(tape, dy[:, start : start + 128].copy(), dstate)
        np.testing.assert_array_equal(piece, dx[:, start : start + 128])
    for a, b in zip(unbundle(dstate), unbundle(dfirst), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, p in pieces.parameters().items():
        np.testing.assert_array_equal(p.grad, layer.parameters()[name].grad, err_msg=name)


def test_layouts_of_time(cell: str, isa: str, dtype: str) -> None:
    problem = make_problem(cell, N=5, T=6, H=9, L=2)
    expected = run_engine(problem, dtype)
    layer = build_layer(problem, dtype, time_major=True)
    x, dy = (np.ascontiguousarray(a.astype(dtype).swapaxes(0, 1)) for a in (problem.x, problem.dy))
    y, last, tape = layer.forward(x, states_of(problem, dtype), lengths=problem.lengths)
    dx, _ = layer.backward(tape, dy, bundle([d.astype(dtype) for d in problem.dstate]))
    np.testing.assert_array_equal(y.swapaxes(0, 1), expected["y"])
    np.testing.assert_array_equal(dx.swapaxes(0, 1), expected["dx"])
    np.testing.assert_array_equal(unbundle(last)[0], expected["h"])
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(p.grad, expected[name])


def test_list_of_sequences(cell: str, isa: str, dtype: str) -> None:
    problem = make_problem(cell, N=5, T=6, H=9, L=2)
    lengths = problem.lengths if problem.lengths is not None else np.full(5, 6)
    layer = build_layer(problem, dtype)
    x, state = problem.x.astype(dtype), states_of(problem, dtype)
    y, last = layer([sequence[:length] for sequence, length in zip(x, lengths, strict=True)], state)
    expected, last2 = layer(x, state, lengths=lengths)
    np.testing.assert_array_equal(y, expected[:, : lengths.max()])
    np.testing.assert_array_equal(unbundle(last)[0], unbundle(last2)[0])


def test_repeated_calls(cell: str, dtype: str, threads: int) -> None:
    problem = make_problem(cell, **SHAPES["many sequences"])
    first = run_engine(problem, dtype)
    for _ in range(3):
        assert_same_bits(run_engine(problem, dtype), first)


@pytest.mark.parametrize("shape", ["small", "many sequences"])
def test_dropout_does_not_depend_on_threads_or_instruction_set(cell: str, dtype: str, shape: str) -> None:
    problem = make_problem(cell, **{**SHAPES[shape], "L": 2})
    results = []
    for name, count in product(ISAS, (1, 3)):
        layer = build_layer(problem, dtype, dropout=0.4, seed=3)
        with using_isa(name), rf.threads(count):
            y, _, tape = layer.forward(problem.x.astype(dtype), lengths=problem.lengths)
            dx, _ = layer.backward(tape, problem.dy.astype(dtype))
        results.append((name, y, dx, [p.grad for p in layer.parameters().values()]))
    exact = [r for r in results if r[0] in BEST_GROUP]
    for _, y, dx, grads in exact[1:]:
        np.testing.assert_array_equal(y, exact[0][1])
        np.testing.assert_array_equal(dx, exact[0][2])
        for a, b in zip(grads, exact[0][3], strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(results[0][1] == 0, exact[0][1] == 0)

"""A batch of rows of an array: the bits of the padded call, without padding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops
from rnnfast._core import testing
from tests.support.comparison import (
    CELLS,
    KINDS,
    Problem,
    Result,
    assert_same_bits,
    build_layer,
    bundle,
    collect,
    make_problem,
    unbundle,
)
from tests.support.custom import layer_of as custom_layer
from tests.support.learned import learned
from tests.support.randomness import DROPPING, RANDOM_OPTIONS
from tests.support.state import using_isa

LAYOUTS = ["dense", "ragged", "overlapping", "resets"]
RANDOM = [*RANDOM_OPTIONS, *((kind, "input_dropout") for kind in DROPPING)]


@dataclass(frozen=True, eq=False)
class Rows:
    """A problem and the same sequences as rows of ``values (M, C)``."""

    problem: Problem
    values: np.ndarray
    offsets: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        return ~self.problem.padding

    @property
    def lengths(self) -> np.ndarray:
        lengths: np.ndarray = self.valid.sum(axis=1)
        return lengths

    @property
    def resets(self) -> np.ndarray | None:
        return None if self.problem.resets is None else self.problem.resets[self.valid]


def rows_of(problem: Problem, *, overlapping: bool = False, seed: int = 0) -> Rows:
    """The problem's sequences in another order with gaps of NaN; or others, that share rows."""
    rng = np.random.default_rng(seed)
    lengths = (~problem.padding).sum(axis=1)
    N, T, C = problem.x.shape
    if overlapping:
        values = rng.normal(size=(T + 3, C)).astype(np.float32).astype(np.float64)
        offsets = rng.integers(0, len(values) - lengths + 1)
        x = np.full_like(problem.x, np.nan)
        for n in range(N):
            x[n, : lengths[n]] = values[offsets[n] : offsets[n] + lengths[n]]
        return Rows(replace(problem, x=x), values, offsets)
    values, offsets = np.full((lengths.sum() + 2 * N + 1, C), np.nan), np.zeros(N, np.int64)
    end = 1
    for n in rng.permutation(N):
        offsets[n], end = end, end + lengths[n] + 2
        values[offsets[n] : offsets[n] + lengths[n]] = problem.x[n, : lengths[n]]
    return Rows(problem, values, offsets)


def layout(cell: str, name: str, **sizes: Any) -> Rows:
    problem = make_problem(cell, ragged=name != "dense", resets=name == "resets", **sizes)
    return rows_of(problem, overlapping=name == "overlapping")


def starts_of(rows: Rows, dtype: str) -> tuple[Any, Any]:
    """The first state and the gradient of the last one."""
    state, dstate = rows.problem.state, rows.problem.dstate
    first = None if state is None else bundle([s.astype(dtype) for s in state])
    return first, bundle([d.astype(dtype) for d in dstate])


def padded(rows: Rows, layer: Any, dtype: str, **options: Any) -> Result:
    """Results of the padded call; of y and dx the rows that exist."""
    problem, valid = rows.problem, rows.valid
    state, dstate = starts_of(rows, dtype)
    call = {"lengths": rows.lengths, "resets": problem.resets}
    silent, final = layer(problem.x.astype(dtype), state, **call)
    y, last, tape = layer.forward(problem.x.astype(dtype), state, **call, **options)
    dx, dfirst = layer.backward(tape, problem.dy.astype(dtype), dstate, gradient_norms=True)
    longest = rows.lengths.max(initial=0)
    own = {"norms": tape.gradient_norms[:, :, :longest], **inference(silent[valid], final)}
    return collect(y[valid], last, dx[valid], dfirst, {name: p.grad for name, p in layer.parameters().items()} | own)


def inference(y: np.ndarray, final: Any) -> Result:
    """Results of a call without a tape."""
    return {"y of a call": y, **{f"state {i} of a call": s for i, s in enumerate(unbundle(final))}}


def by_rows(rows: Rows, layer: Any, dtype: str, **options: Any) -> Result:
    """The same of the call by rows."""
    values, (state, dstate) = rows.values.astype(dtype), starts_of(rows, dtype)
    silent, final = layer.call_rows(values, rows.offsets, rows.lengths, state, resets=rows.resets)
    y, last, tape = layer.forward_rows(values, rows.offsets, rows.lengths, state, resets=rows.resets, **options)
    dy = rows.problem.dy.astype(dtype)[rows.valid]
    dx, dfirst = layer.backward(tape, dy, dstate, gradient_norms=True)
    own = {"norms": tape.gradient_norms, **inference(silent, final)}
    return collect(y, last, dx, dfirst, {name: p.grad for name, p in layer.parameters().items()} | own)


def assert_rows_match(rows: Rows, dtype: str, *, save: str = "all", **options: Any) -> None:
    """Equal in every bit: y, states, dx, every gradient, and the norms of dL/dh."""
    expected = padded(rows, build_layer(rows.problem, dtype, seed=3, **options), dtype, save=save)
    assert_same_bits(by_rows(rows, build_layer(rows.problem, dtype, seed=3, **options), dtype, save=save), expected)


@contextmanager
def split(units: bool | None) -> Iterator[None]:
    """Layers of several threads share their units, or the batch."""
    testing.force_split(units)
    try:
        yield
    finally:
        testing.force_split(None)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_of_the_padded_call(kind: str, bidirectional: bool, name: str, dtype: str) -> None:
    rows = layout(kind, name, N=6, T=9, C=5, H=17, L=2, bidirectional=bidirectional)
    assert_rows_match(rows, dtype)


@pytest.mark.parametrize("units", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_threads(cell: str, name: str, units: bool) -> None:
    rows = layout(cell, name, N=9, T=60, C=20, H=70, L=2)
    with rf.threads(1):
        alone = by_rows(rows, build_layer(rows.problem, "float32"), "float32")
        assert_rows_match(rows, "float32")
    for count in (2, 3):
        with rf.threads(count), split(units):
            assert_same_bits(by_rows(rows, build_layer(rows.problem, "float32"), "float32"), alone)


def test_instruction_sets(cell: str, isa: str, dtype: str) -> None:
    with using_isa(isa):
        assert_rows_match(layout(cell, "overlapping", N=7, T=12, C=9, H=33), dtype)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("kind", [*CELLS, "lstm-projected", "lstm-normed", "gru-normed"])
def test_gates_that_are_computed_again(kind: str, name: str, bidirectional: bool) -> None:
    rows = layout(kind, name, N=4, T=130, C=3, H=20, L=2, bidirectional=bidirectional)
    assert_rows_match(rows, "float32", save="recompute")


@pytest.mark.parametrize("name", ["ragged", "dense"])
def test_one_sequence_and_one_step(cell: str, name: str) -> None:
    assert_rows_match(layout(cell, name, N=1, T=1, H=8), "float32")
    assert_rows_match(layout(cell, "dense", N=1, T=40, H=8), "float32")
    assert_rows_match(layout(cell, "dense", N=5, T=1, H=8), "float32")


@pytest.mark.parametrize("save", ["all", "recompute"])
@pytest.mark.parametrize(("kind", "random"), RANDOM, ids=str)
def test_random_numbers_are_those_of_the_sequence_and_step(kind: str, random: str, save: str) -> None:
    for bidirectional in (False, True):
        rows = layout(kind, "overlapping", N=5, T=40, C=3, H=20, L=2, bidirectional=bidirectional)
        assert_rows_match(rows, "float32", save=save, **{random: 0.4})


@pytest.mark.parametrize("save", ["all", "recompute"])
def test_learned_states(cell: str, save: str, dtype: str) -> None:
    problem = learned(cell, N=6, T=40, H=9, L=2, resets=True, bidirectional=True)
    assert_rows_match(rows_of(problem), dtype, save=save)


@pytest.mark.parametrize("name", ["ragged", "resets"])
def test_a_trace(cell: str, name: str) -> None:
    """Padded arrays, as of the padded call."""
    rows = layout(cell, name, N=5, T=7, H=9, L=2)
    layer, x = build_layer(rows.problem, "float32"), rows.problem.x.astype("float32")
    tape = layer.forward(x, lengths=rows.lengths, resets=rows.problem.resets)[2]
    found = layer.forward_rows(rows.values.astype("float32"), rows.offsets, rows.lengths, resets=rows.resets)[2]
    for own, expected in zip(_ops.trace(found.core), _ops.trace(tape.core), strict=True):
        for a, b in [(own[0], expected[0]), (own[1], expected[1]), *zip(own[2], expected[2], strict=True)]:
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_custom_cell(cell: str, bidirectional: bool, resets: bool, dtype: str) -> None:
    problem = make_problem(cell, N=4, T=7, H=6, L=2, bidirectional=bidirectional, resets=resets)
    problem = replace(problem, x=np.nan_to_num(problem.x), dy=np.nan_to_num(problem.dy))
    rows = rows_of(problem)
    make = {"seed": 0, "dropout": 0.3}
    expected = padded(rows, custom_layer(problem, dtype, **make), dtype)
    assert_same_bits(by_rows(rows, custom_layer(problem, dtype, **make), dtype), expected)


def test_options_of_backward(cell: str) -> None:
    rows = layout(cell, "ragged", N=4, T=6, H=5)
    layer, values = build_layer(rows.problem, "float32", time_major=True), rows.values.astype("float32")
    y, _, tape = layer.forward_rows(values, rows.offsets, rows.lengths)
    assert y.shape == (rows.lengths.sum(), 5)
    assert layer.backward(tape, None, need_dx=False)[0].shape == (len(y), 0)
    tape = layer.forward_rows(values, rows.offsets, rows.lengths)[2]
    dy = np.ones((len(y), 15), np.float32)[:, 4:9]
    dx = layer.backward(tape, dy)[0]
    tape = layer.forward_rows(values, rows.offsets, rows.lengths)[2]
    np.testing.assert_array_equal(layer.backward(tape, np.ascontiguousarray(dy))[0], dx)


def test_columns_of_a_larger_array_are_read_in_place(cell: str) -> None:
    rows = layout(cell, "ragged", N=4, T=6, H=5)
    wide = np.full((2 * len(rows.values), 9), np.nan, np.float32)
    part = wide[::2, 3:7]
    part[...] = rows.values
    layer = build_layer(rows.problem, "float32")
    y, _ = layer.call_rows(part, rows.offsets, rows.lengths)
    np.testing.assert_array_equal(y, layer.call_rows(np.ascontiguousarray(part), rows.offsets, rows.lengths)[0])
    assert _ops.row_array("values", part, 4, np.dtype("float32")) is part


def test_offsets_and_lengths_may_change_after_the_call(cell: str) -> None:
    rows = layout(cell, "ragged", N=4, T=6, H=5)
    layer, values = build_layer(rows.problem, "float32"), rows.values.astype("float32")
    offsets, lengths = rows.offsets.copy(), rows.lengths.copy()
    y, _, tape = layer.forward_rows(values, offsets, lengths)
    offsets[:], lengths[:] = 10**6, 10**6
    dx = layer.backward(tape, y)[0]
    tape = layer.forward_rows(values, rows.offsets, rows.lengths)[2]
    np.testing.assert_array_equal(layer.backward(tape, y)[0], dx)


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_no_rows(cell: str, lengths: list[int]) -> None:
    layer = build_layer(make_problem(cell, H=8), "float32")
    starts, N = np.zeros(len(lengths), np.int64), len(lengths)
    y, last, tape = layer.forward_rows(np.zeros((0, 4), np.float32), starts, np.array(lengths, np.int64))
    dx, _ = layer.backward(tape, y, gradient_norms=True)
    assert y.shape == (0, 8)
    assert dx.shape == (0, 4)
    assert unbundle(last)[0].shape == (1, N, 8)
    assert tape.gradient_norms is not None
    assert tape.gradient_norms.shape == (1, N, 0)
    assert all((p.grad == 0).all() for p in layer.parameters().values())


VALUES = np.zeros((9, 4), np.float32)
WRONG: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("three axes", {"values": np.zeros((3, 3, 4), np.float32)}, ValueError, "values: two axes"),
    ("width", {"values": np.zeros((9, 5), np.float32)}, ValueError, "values: shape"),
    ("dtype", {"values": np.zeros((9, 4))}, TypeError, "values: dtype float32"),
    ("before the first row", {"offsets": [-1, 3]}, ValueError, r"offsets: each within 0\.\.M - lengths"),
    ("behind the last row", {"offsets": [0, 6]}, ValueError, r"M = 9, lengths\[n\] = 4\), got 6 at index 1"),
    ("no integers", {"offsets": [0.0, 3.0]}, TypeError, "offsets: integers"),
    ("offsets of two axes", {"offsets": [[0, 3]]}, ValueError, "offsets: one axis"),
    ("lengths beyond M", {"lengths": [10, 4]}, ValueError, "lengths: values 0"),
    ("a length below zero", {"lengths": [3, -1]}, ValueError, "lengths: values 0"),
    ("more lengths", {"lengths": [3, 4, 1]}, ValueError, "lengths: shape"),
    ("resets of another shape", {"resets": np.zeros((2, 4), bool)}, ValueError, r"resets: shape \(R,\)"),
    ("resets of another type", {"resets": np.zeros(7, np.uint8)}, TypeError, "resets: dtype bool"),
    ("a state of another shape", {"state": np.zeros((1, 9, 5), np.float32)}, ValueError, "state: shape"),
]


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize(("wrong", "error", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_errors(wrong: dict[str, Any], error: type[Exception], message: str, custom: bool) -> None:
    problem = make_problem("gru", H=5)
    layer = custom_layer(problem, "float32") if custom else build_layer(problem, "float32")
    arguments = {"values": VALUES, "offsets": [0, 3], "lengths": [3, 4], **wrong}
    for call in (layer.call_rows, layer.forward_rows):
        with pytest.raises(error, match=message):
            call(**arguments)


@pytest.mark.parametrize("custom", [False, True])
def test_errors_of_backward(custom: bool) -> None:
    problem = make_problem("gru", H=5)
    layer = custom_layer(problem, "float32") if custom else build_layer(problem, "float32")
    tape = layer.forward_rows(VALUES, [0, 3], [3, 4])[2]
    with pytest.raises(ValueError, match="dy: two axes"):
        layer.backward(tape, np.zeros((2, 4, 5), np.float32))
    with pytest.raises(ValueError, match="dy: the shape of y, R = 7 rows, is required"):
        layer.backward(tape, np.zeros((8, 5), np.float32))
    assert layer.backward(tape, np.zeros((7, 5), np.float32))[0].shape == (7, 4)


CORE: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"x": np.zeros((3, 3, 4), np.float32)}, ValueError, "x: two axes"),
    ({"x": np.zeros((9, 5), np.float32)}, ValueError, "x: shape"),
    ({"lengths": None}, ValueError, "lengths: an array is required beside offsets"),
    ({"lengths": np.array([3, 10])}, ValueError, "lengths: each within"),
    ({"offsets": np.array([0, 3], np.int32)}, TypeError, "offsets: dtype int64"),
    ({"offsets": np.array([[0, 3]])}, ValueError, "offsets: shape"),
    ({"offsets": np.array([0, 6])}, ValueError, "offsets: each within"),
    ({"offsets": np.array([-1, 0])}, ValueError, "offsets: each within"),
    ({"resets": np.zeros((2, 4), np.uint8)}, ValueError, "resets: shape"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), CORE, ids=str)
def test_the_core_stays_within_the_arrays(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    layer = build_layer(make_problem("gru", H=5), "float32")
    call: dict[str, Any] = {"x": VALUES, "offsets": np.array([0, 3]), "lengths": np.array([3, 4]), "resets": None}
    call |= wrong
    with pytest.raises(error, match=message):
        _ops.rnn_forward(
            layer.packed(),
            call["x"],
            None,
            None,
            call["lengths"],
            directions=1,
            time_major=False,
            save="all",
            resets=call["resets"],
            offsets=call["offsets"],
        )

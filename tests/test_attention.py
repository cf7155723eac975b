"""Attention: every instruction set and type against the reference, gradients, lengths, and bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops, reference
from rnnfast.models.config import ATTENTION
from rnnfast.models.encoder_decoder.attention import Attention
from tests.support.matrix import EXACT, several_widths
from tests.support.state import using_isa

Array = np.ndarray
SIZES = [(1, 1, 1, 1), (3, 5, 7, 9), (17, 33, 16, 20), (2, 300, 5, 3)]  # T, S, A, M


def problem(rng: np.random.Generator, kind: str, sizes: tuple[int, int, int, int], dtype: str, n: int = 3) -> Any:
    T, S, A, M = sizes
    shapes = [(n, T, A), (n, S, A), (n, S, M), (A,), (n, T, M)]
    query, keys, memory, v, dcontext = (rng.normal(size=shape).astype(dtype) for shape in shapes)
    return query, keys, memory, v if kind == "additive" else None, dcontext


def solve(
    query: Array,
    keys: Array,
    memory: Array,
    v: Array | None,
    dcontext: Array,
    lengths: Array | None = None,
    source_lengths: Array | None = None,
) -> list[Array]:
    """The results of arrays (N, T or S, ...), of which the engine is given what lies within the lengths."""
    queries = Rows(query.shape, lengths)
    steps = Rows(memory.shape, source_lengths)
    rows = queries.of(query), steps.of(keys), steps.of(memory), v
    sizes: dict[str, Any] = {"lengths": queries.lengths, "source_lengths": steps.lengths}
    context, weights = _ops.attend(*rows, **sizes)
    dv = None if v is None else np.zeros_like(v)
    dquery, dkeys, dmemory = _ops.attend_backward(queries.of(dcontext), weights, *rows, dv, **sizes)
    found = [queries.padded(context), queries.padded(weights), queries.padded(dquery)]
    return [*found, steps.padded(dkeys), steps.padded(dmemory), *([] if dv is None else [dv])]


class Rows:
    """Arrays (N, T, ...) without what lies past the lengths, and back."""

    def __init__(self, shape: tuple[int, ...], lengths: Array | None) -> None:
        count, steps = shape[:2]
        self.lengths = np.full(count, steps) if lengths is None else lengths
        self.within = np.arange(steps) < self.lengths[:, None]

    def of(self, array: Array) -> Array:
        return array[self.within]

    def padded(self, rows: Array) -> Array:
        array = np.zeros((*self.within.shape, *rows.shape[1:]), rows.dtype)
        array[self.within] = rows
        return array


def expected(query: Array, keys: Array, memory: Array, v: Array | None, dcontext: Array) -> list[Array]:
    """The reference's answer for one sequence in long double."""
    wide: list[Any] = [None if a is None else a.astype(np.longdouble) for a in (query, keys, memory, v)]
    parts = [*reference.attend(*wide), *reference.attend_backward(dcontext.astype(np.longdouble), *wide)]
    return [part for part in parts if part is not None]


def close(actual: Array, wanted: Array, sizes: tuple[int, int, int, int]) -> None:
    """Scores grow with A, so do their errors; every sum adds roundings."""
    bound = 40 * sum(sizes) * np.finfo(actual.dtype).eps
    assert np.linalg.norm(actual - wanted) <= bound * max(np.linalg.norm(wanted), 1e-3)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ATTENTION)
def test_agrees_with_the_reference(
    kind: str, sizes: tuple[int, int, int, int], dtype: str, isa: str, rng: np.random.Generator
) -> None:
    arrays = problem(rng, kind, sizes, dtype)
    results = solve(*arrays)
    query, keys, memory, v, dcontext = arrays
    dv = np.zeros(sizes[2], np.longdouble)
    for n in range(len(query)):
        wanted = expected(query[n], keys[n], memory[n], v, dcontext[n])
        for actual, one in zip(results, wanted[:5], strict=False):
            close(actual[n], one, sizes)
        if v is not None:
            dv += wanted[5]
    if v is not None:
        close(results[5], dv, sizes)


@pytest.mark.parametrize("kind", ATTENTION)
def test_gradients_of_the_reference_by_complex_step(kind: str, rng: np.random.Generator) -> None:
    shared = problem(rng, "dot", (3, 4, 5, 2), "float64")
    query, keys, memory, dcontext = (shared[k][0] for k in (0, 1, 2, 4))
    v: Any = None if kind == "dot" else rng.normal(size=5)
    gradients = reference.attend_backward(dcontext, query, keys, memory, v)
    inputs: list[Any] = [query, keys, memory, v]
    for position, (value, gradient) in enumerate(zip(inputs, gradients, strict=True)):
        if gradient is None:
            continue
        for index in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[index] += 1e-30j
            changed = [*inputs[:position], moved, *inputs[position + 1 :]]
            slope = (reference.attend(*changed)[0] * dcontext).sum().imag / 1e-30
            assert slope == pytest.approx(gradient[index], rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("kind", ATTENTION)
def test_lengths_cut_what_lies_beyond_them(kind: str, dtype: str, rng: np.random.Generator) -> None:
    query, keys, memory, v, dcontext = problem(rng, kind, (6, 9, 5, 4), dtype, 4)
    lengths, source = np.array([6, 0, 3, 5]), np.array([9, 4, 0, 2])
    for n in range(4):
        query[n, lengths[n] :] = dcontext[n, lengths[n] :] = np.nan
        keys[n, source[n] :] = memory[n, source[n] :] = np.nan
    results = solve(query, keys, memory, v, dcontext, lengths=lengths, source_lengths=source)
    dv = np.zeros(5, dtype)
    for n in range(4):
        t, s = slice(0, lengths[n]), slice(0, source[n])
        row = slice(n, n + 1)
        alone = solve(query[row, t], keys[row, s], memory[row, s], v, dcontext[row, t])
        cuts = [(t,), (t, s), (t,), (s,), (s,)]
        for actual, one, cut in zip(results, alone[:5], cuts, strict=False):
            np.testing.assert_array_equal(actual[n][cut], one[0])
            assert np.count_nonzero(actual[n]) == np.count_nonzero(one)
        if v is not None:
            dv += alone[5]
    if v is not None:
        np.testing.assert_array_equal(results[5], dv)


@pytest.mark.parametrize("kind", ATTENTION)
def test_threads_change_no_bit(kind: str, dtype: str, threads: int, rng: np.random.Generator) -> None:
    arrays = problem(rng, kind, (20, 30, 40, 50), dtype, 7)
    results = solve(*arrays)
    with rf.threads(1):
        for actual, one in zip(results, solve(*arrays), strict=True):
            np.testing.assert_array_equal(actual, one)


@several_widths
@pytest.mark.parametrize("kind", ATTENTION)
def test_vector_width_changes_no_bit(kind: str, dtype: str, rng: np.random.Generator) -> None:
    arrays, found = problem(rng, kind, (5, 19, 37, 23), dtype), []
    for isa in EXACT:
        with using_isa(isa):
            found.append(solve(*arrays))
    for first, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_array_equal(first, other)


def test_refusals(rng: np.random.Generator) -> None:
    query, keys, memory = (rng.normal(size=shape).astype("float32") for shape in ((4, 4), (6, 4), (6, 5)))
    lengths, source_lengths = np.array([2, 2]), np.array([2, 4])
    sizes: dict[str, Any] = {"lengths": lengths, "source_lengths": source_lengths}
    with pytest.raises(ValueError, match=r"keys: shape \(R, A\)"):
        _ops.attend(query, keys[:2], memory, **sizes)
    with pytest.raises(ValueError, match="two axes each"):
        _ops.attend(query[None], keys, memory, **sizes)
    with pytest.raises(TypeError, match="memory: dtype float32"):
        _ops.attend(query, keys, memory.astype(np.float64), **sizes)
    with pytest.raises(ValueError, match=r"source_lengths: each within 0\.\.6"):
        _ops.attend(query, keys, memory, lengths=lengths, source_lengths=np.array([1, 7]))
    with pytest.raises(ValueError, match="source_lengths: a sum of 6 rows is required, got 5"):
        _ops.attend(query, keys, memory, lengths=lengths, source_lengths=np.array([1, 4]))
    with pytest.raises(ValueError, match=r"source_lengths: shape \(N,\)"):
        _ops.attend(query, keys, memory, lengths=lengths, source_lengths=np.array([6]))
    with pytest.raises(ValueError, match="attention: one of additive, dot"):
        Attention("cosine", 3, 3, np.dtype("float32"), rng)

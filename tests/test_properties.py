"""Whatever the layout of the memory and the sizes, the results are those of a plain C-ordered copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import rnnfast as rf
from tests.support.comparison import CELLS, assert_matches, bundle, make_problem, run_engine, unbundle
from tests.support.matrix import DTYPES, LAYERS

SIZES = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33]
UNITS = SIZES[1:]


def fortran(a: np.ndarray) -> np.ndarray:
    return np.asfortranarray(a)


def backwards(a: np.ndarray) -> np.ndarray:
    """The same values in memory that runs backwards along every axis."""
    flip = (slice(None, None, -1),) * a.ndim
    return a[flip].copy()[flip]


def strided(a: np.ndarray) -> np.ndarray:
    """Every second element of a larger array; the rest is NaN."""
    wide = np.full([2 * n + 1 for n in a.shape], np.nan, a.dtype)
    view = wide[tuple(slice(0, 2 * n, 2) for n in a.shape)]
    view[...] = a
    return view


def transposed(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1)


def read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def offset(a: np.ndarray) -> np.ndarray:
    """One element past the start of its buffer: no alignment beyond the element's."""
    buffer = np.empty(a.size + 1, a.dtype)[1:]
    buffer[:] = a.ravel()
    return buffer.reshape(a.shape)


def unaligned(a: np.ndarray) -> np.ndarray:
    """An array whose elements are not aligned."""
    buffer = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype)
    buffer[:] = a.ravel()
    return buffer.reshape(a.shape)


def swapped(a: np.ndarray) -> np.ndarray:
    """The other byte order."""
    return a.astype(a.dtype.newbyteorder())


LAYOUTS = [np.ascontiguousarray, fortran, backwards, strided, transposed, read_only, offset, unaligned]
layouts = st.sampled_from(LAYOUTS)


def make_layer(cell: str, C: int, H: int, **options: Any) -> Any:
    kind, choice = CELLS[cell]
    return LAYERS[kind](C, H, seed=0, **choice, **options)


@given(
    cell=st.sampled_from(list(CELLS)),
    N=st.sampled_from(SIZES),
    T=st.sampled_from(SIZES),
    C=st.sampled_from(UNITS),
    H=st.sampled_from(UNITS),
    layout=st.tuples(layouts, layouts, layouts, layouts),
    ragged=st.booleans(),
    time_major=st.booleans(),
    data=st.data(),
)
def test_layouts(
    cell: str, N: int, T: int, C: int, H: int, layout: Any, ragged: bool, time_major: bool, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    states = 2 if cell == "lstm" else 1
    shape = (T, N) if time_major else (N, T)
    x, dy = (rng.normal(size=(*shape, k)).astype(np.float32) for k in (C, H))
    parts = [rng.normal(size=(1, N, H)).astype(np.float32) for _ in range(2 * states)]
    state, dstate = tuple(parts[:states]), tuple(parts[states:])
    lengths = rng.integers(0, T + 1, N) if ragged else None
    results = []
    for change in (layout, (np.ascontiguousarray,) * 4):
        layer = make_layer(cell, C, H, time_major=time_major)
        given_state = bundle([change[1](s) for s in state])
        given_dstate = bundle([change[2](d) for d in dstate])
        y, last, tape = layer.forward(change[0](x), given_state, lengths=lengths)
        dx, dfirst = layer.backward(tape, change[3](dy), given_dstate)
        grads = [p.grad for p in layer.parameters().values()]
        results.append([y, *unbundle(last), dx, *unbundle(dfirst), *grads])
    for actual, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(actual, expected)


@given(
    cell=st.sampled_from(list(CELLS)),
    N=st.sampled_from(SIZES),
    T=st.sampled_from(SIZES),
    C=st.sampled_from(UNITS),
    H=st.sampled_from(UNITS),
    L=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    options=st.fixed_dictionaries({"ragged": st.booleans(), "bias": st.booleans(), "start": st.booleans()}),
)
def test_sizes(cell: str, N: int, T: int, C: int, H: int, L: int, dtype: str, options: dict[str, bool]) -> None:
    problem = make_problem(cell, N=N, T=T, C=C, H=H, L=L, **options)
    assert_matches(problem, run_engine(problem, dtype), dtype)


@given(cell=st.sampled_from(list(CELLS)), axis=st.sampled_from([0, 1, 2]), T=st.sampled_from(UNITS))
def test_broadcast_arrays(cell: str, axis: int, T: int) -> None:
    """Arrays whose elements share memory: one sequence for all, one step for ever, one feature."""
    rng = np.random.default_rng(T)
    shape = [5, T, 3]
    shape[axis] = 1
    x = np.broadcast_to(rng.normal(size=shape).astype(np.float32), (5, T, 3))
    layer, twin = make_layer(cell, 3, 8), make_layer(cell, 3, 8)
    dy = np.broadcast_to(np.float32(1), (5, T, 8))
    dx, _ = layer.backward(layer.forward(x)[2], dy)
    expected, _ = twin.backward(twin.forward(x.copy())[2], dy.copy())
    np.testing.assert_array_equal(dx, expected)
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(p.grad, twin.parameters()[name].grad)


@given(layout=layouts, kind=st.sampled_from(list(LAYERS.values())))
def test_layouts_of_parameters(layout: Any, kind: Any) -> None:
    layer, other = kind(3, 8, seed=0), kind(3, 8, seed=1)
    other.load_state_dict({n: layout(v) if v.ndim > 1 else v for n, v in layer.state_dict().items()})
    x = np.ones((2, 3, 3), np.float32)
    np.testing.assert_array_equal(layer(x)[0], other(x)[0])


INTEGERS = ["int8", "uint16", "int32", "int64", ">i4"]


@given(strides=st.sampled_from([1, 2, -1, -3]), dtype=st.sampled_from(INTEGERS))
def test_layouts_of_lengths(strides: int, dtype: str) -> None:
    layer = rf.GRU(3, 8, seed=0)
    lengths = np.arange(12).astype(dtype)[::strides] % 5
    x = np.ones((len(lengths), 5, 3), np.float32)
    expected, _ = layer(x, lengths=[int(n) for n in lengths])
    np.testing.assert_array_equal(layer(x, lengths=lengths)[0], expected)


@given(kind=st.sampled_from(list(LAYERS.values())))
def test_the_other_byte_order_is_refused_or_understood(kind: Any) -> None:
    layer = kind(3, 8, seed=0)
    x = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    try:
        y, _ = layer(swapped(x))
    except TypeError:
        return
    np.testing.assert_array_equal(y, layer(x)[0])

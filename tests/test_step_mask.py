"""Masks of layers: the bits of a call without the steps that do not exist, forward, backward and in traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import CELLS
from tests.support.examples import SMALL_LAYERS
from tests.support.matrix import DTYPES

N, T, C = 5, 8, 3
MASK = np.random.default_rng(3).random((N, T)) < 0.6
MASK[3] = False
RESETS = np.random.default_rng(4).random((N, T)) < 0.3
equal = np.testing.assert_array_equal


def of_a_cell(cell: str, dtype: str, **options: Any) -> Callable[[], Any]:
    kind, own = CELLS[cell]
    return lambda: getattr(rf, kind.upper())(C, 6, num_layers=2, dtype=dtype, seed=0, **own, **options)


LAYERS: dict[str, Callable[[], Any]] = {
    **SMALL_LAYERS,
    **{f"{cell} {dtype}": of_a_cell(cell, dtype) for cell in CELLS for dtype in DTYPES},
    **{f"{cell} both ways": of_a_cell(cell, "float64", bidirectional=True) for cell in CELLS},
    "time major": of_a_cell("gru", "float32", time_major=True, bidirectional=True),
    "learned": of_a_cell("lstm", "float64", learn_initial_state=True),
}
every_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
every_resets = pytest.mark.parametrize("resets", [None, RESETS], ids=["whole", "cut"])


def parts(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def user(layer: Any, array: Any) -> Any:
    """An array (N, T, ...) with the layer's axes."""
    return np.swapaxes(array, 0, 1) if layer.time_major and array is not None else array


def compacted(values: Any) -> Any:
    """The existing steps of (N, T, ...) at the front, zeros behind them."""
    found = np.zeros_like(values)
    for row, given, own in zip(found, values, MASK, strict=True):
        row[: own.sum()] = given[own]
    return found


def spread(values: Any) -> Any:
    found = np.zeros_like(values)
    for row, given, own in zip(found, values, MASK, strict=True):
        row[own] = given[: own.sum()]
    return found


LENGTHS = MASK.sum(axis=1)


@every_resets
@every_layer
def test_a_call_leaves_the_steps_out(make: Callable[[], Any], resets: Any, rng: np.random.Generator) -> None:
    layer = make()
    x = rng.normal(size=(N, T, C)).astype(layer.dtype)
    short = user(layer, compacted(x))
    x[~MASK] = np.nan
    cuts = None if resets is None else user(layer, compacted(resets))
    y, state = layer(user(layer, x), mask=user(layer, MASK), resets=user(layer, resets))
    expected, final = layer(short, lengths=LENGTHS, resets=cuts)
    equal(user(layer, y), spread(user(layer, expected)), strict=True)
    for found, own in zip(parts(state), parts(final), strict=True):
        equal(found, own, strict=True)


@every_resets
@every_layer
def test_gradients_leave_the_steps_out(make: Callable[[], Any], resets: Any, rng: np.random.Generator) -> None:
    a, b = make(), make()
    x, dy = rng.normal(size=(N, T, C)).astype(a.dtype), rng.normal(size=(N, T, a.output_size)).astype(a.dtype)
    cuts = None if resets is None else user(a, compacted(resets))
    y, state, tape = a.forward(user(a, x), mask=user(a, MASK), resets=user(a, resets))
    expected, _, other = b.forward(user(b, compacted(x)), lengths=LENGTHS, resets=cuts)
    equal(user(a, y), spread(user(b, expected)))
    dstate = tuple(rng.normal(size=part.shape).astype(a.dtype) for part in parts(state))
    given: Any = dstate if len(dstate) > 1 else dstate[0]
    dx, dinitial = a.backward(tape, user(a, dy), given, gradient_norms=True)
    wanted, dfirst = b.backward(other, user(b, compacted(dy)), given, gradient_norms=True)
    equal(user(a, dx), spread(user(b, wanted)), strict=True)
    for found, own in zip(parts(dinitial), parts(dfirst), strict=True):
        equal(found, own, strict=True)
    for name, p in a.parameters().items():
        equal(p.grad, b.parameters()[name].grad, strict=True)
    for found, own in zip(tape.gradient_norms, other.gradient_norms, strict=True):
        equal(found, spread(own), strict=True)


@every_layer
def test_traces_leave_the_steps_out(make: Callable[[], Any], rng: np.random.Generator) -> None:
    layer = make()
    x = rng.normal(size=(N, T, C)).astype(layer.dtype)
    found = layer.trace(user(layer, x), mask=user(layer, MASK))
    expected = layer.trace(user(layer, compacted(x)), lengths=LENGTHS)
    for ours, theirs in [(found.h, expected.h), (found.c, expected.c)]:
        for array, own in zip(ours, theirs, strict=True):
            equal(user(layer, array), spread(user(layer, own)), strict=True)
    for name, gates in expected.gates.items():
        for array, own in zip(found.gates[name], gates, strict=True):
            equal(user(layer, array), spread(user(layer, own)), strict=True)


def test_a_gradient_through_gaps_is_that_of_differences(rng: np.random.Generator) -> None:
    layer = rf.GRU(C, 4, bidirectional=True, dtype="float64", seed=0)
    x, dy = rng.normal(size=(2, 6, C)), rng.normal(size=(2, 6, 8))
    mask = np.array([[1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 1, 1]], bool)
    _, _, tape = layer.forward(x, mask=mask)
    dx, _ = layer.backward(tape, dy)
    for index in [(0, 0, 1), (0, 1, 0), (1, 2, 2), (1, 5, 0)]:
        step = np.zeros_like(x)
        step[index] = 1e-6
        change = (layer(x + step, mask=mask)[0] - layer(x - step, mask=mask)[0]) / 2e-6
        assert (change * dy).sum() == pytest.approx(dx[index], abs=1e-8)


def test_lists_have_lists_of_masks(rng: np.random.Generator) -> None:
    layer = rf.LSTM(C, 4, time_major=False, seed=0)
    x = [rng.normal(size=(length, C)).astype(np.float32) for length in (4, 1, 7)]
    mask = [rng.random(len(item)) < 0.6 for item in x]
    resets = [rng.random(len(item)) < 0.4 for item in x]
    y, (h, _) = layer(x, mask=mask, resets=resets)
    kept, cuts = ([item[own] for item, own in zip(each, mask, strict=True)] for each in (x, resets))
    expected, (final, _) = layer(kept, resets=cuts)
    for found, own, row in zip(y, mask, expected, strict=True):
        equal(found[: len(own)][own], row[: own.sum()])
        assert not found[: len(own)][~own].any()
        assert not found[len(own) :].any()
    equal(h, final)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (MASK.astype(int), TypeError, "mask: dtype bool is required, got int64"),
        (MASK.T, ValueError, r"mask: shape \(N, T\) = \(5, 8\) is required, got \(8, 5\)"),
        (MASK[0], ValueError, r"mask: shape \(N, T\) = \(5, 8\) is required, got \(8,\)"),
    ],
)
@pytest.mark.parametrize("make", [SMALL_LAYERS["gru"], SMALL_LAYERS["custom"]], ids=["gru", "custom"])
def test_refusals(make: Callable[[], Any], mask: Any, error: type[Exception], message: str) -> None:
    layer = make()
    x = np.zeros((N, T, C), layer.dtype)
    for call in (layer, layer.forward, layer.trace):
        with pytest.raises(error, match=message):
            call(x, mask=mask)
        with pytest.raises(ValueError, match="lengths: None is required beside mask"):
            call(x, mask=MASK, lengths=LENGTHS)
    with pytest.raises(ValueError, match=r"mask: one array for each of N = 5 sequences"):
        layer(list(x), mask=list(MASK[1:]))

"""The errors of a stream; a refused call changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.layers import Stream
from tests.support.comparison import unbundle
from tests.support.matrix import LAYERS

F32 = np.float32


def ones(*shape: int, dtype: Any = F32) -> np.ndarray:
    return np.ones(shape, dtype)


def read_only() -> np.ndarray:
    out = ones(3, 5)
    out.flags.writeable = False
    return out


@pytest.fixture(params=LAYERS.values(), ids=lambda kind: kind.__name__)
def stream(request: pytest.FixtureRequest) -> Iterator[Stream]:
    """A stream of N = 3, C = 5, H = 5 whose states must be unchanged after every refusal."""
    stream = request.param(5, 5, num_layers=2, seed=0).stream(3)
    stream.step(ones(3, 5))
    before = unbundle(stream.state)
    yield stream
    for now, then in zip(unbundle(stream.state), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.step(ones(3, 4)), ValueError, r"x: shape \(N, C\) = \(3, 5\) is required, got \(3, 4\)"),
        (lambda s: s.step(ones(2, 5)), ValueError, r"x: .*got \(2, 5\)"),
        (lambda s: s.step(ones(5)), ValueError, r"x: .*got \(5,\)"),
        (lambda s: s.step(ones(1, 3, 5)), ValueError, r"x: .*got \(1, 3, 5\)"),
        (lambda s: s.step(None), TypeError, r"x: dtype float32 is required, got object"),
        (lambda s: s.step(ones(3, 5, dtype="f8")), TypeError, r"x: dtype float32 is required, got float64"),
        (lambda s: s.step(ones(3, 5, dtype=">f4")), TypeError, r"x: dtype float32 is required, got >f4"),
        (lambda s: s.step(ones(3, 5, dtype="i4")), TypeError, r"x: dtype float32 is required, got int32"),
        (lambda s: s.step(), TypeError, r"step: x and, by name, out are required"),
        (lambda s: s.step(ones(3, 5), ones(3, 5)), TypeError, r"step: x and, by name, out"),
        (lambda s: s.step(ones(3, 5), to=ones(3, 5)), TypeError, r"step: .*another name"),
        (lambda s: s.step(x=ones(3, 5)), TypeError, r"step: x and, by name, out"),
        (lambda s: s.process(ones(3, 5)), ValueError, r"block: three axes \(N, T, C\)"),
        (lambda s: s.process(ones(2, 7, 5)), ValueError, r"block: shape \(N, T, C\) = \(3, 7, 5\).*got \(2, 7, 5\)"),
        (lambda s: s.process(ones(3, 7, 4)), ValueError, r"block: .*C = 5"),
        (lambda s: s.process(ones(3, 7, 5, dtype="f8")), TypeError, r"block: dtype float32"),
        (lambda s: s.reset([True, False]), ValueError, r"mask: shape \(N,\) = \(3,\) is required, got \(2,\)"),
        (lambda s: s.reset([1, 0, 1]), TypeError, r"mask: dtype bool is required, got int64"),
        (lambda s: setattr(s, "state", ones(2, 3, 4)), (ValueError, TypeError), r"state: "),
        (lambda s: s.__init__(rf.RNN(5, 5), 3, None), RuntimeError, r"once"),
    ],
)
def test_refusals(stream: Stream, call: Callable[[Any], Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call(stream)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([[0.0] * 5] * 3, TypeError, r"out: an array is required"),
        (ones(3, 5, dtype="f8"), TypeError, r"out: dtype float32 is required, got float64"),
        (ones(3, 4), ValueError, r"out: shape .* = \(3, 5\) is required, got \(3, 4\)"),
        (ones(15), ValueError, r"out: shape .* = \(3, 5\) is required, got \(15,\)"),
        (ones(3, 1, 5), ValueError, r"out: shape .* = \(3, 5\) is required, got \(3, 1, 5\)"),
        (ones(5, 3).T, ValueError, r"out: a C-contiguous, aligned array"),
        (ones(6, 5)[::2], ValueError, r"out: a C-contiguous, aligned array"),
        (ones(61, dtype="u1")[1:].view(F32).reshape(3, 5), ValueError, r"out: a C-contiguous, aligned array"),
        (read_only(), ValueError, r"out: a writable array"),
    ],
    ids=range(9),
)
def test_out_must_fit(stream: Stream, out: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        stream.step(ones(3, 5), out=out)


def test_out_shares_no_memory_with_x(stream: Stream) -> None:
    both = ones(7, 5)
    for x, out in ((both[:3], both[:3]), (both[:3], both[2:5]), (both[4:], both[2:5]), (both[3:0:-1], both[:3])):
        with pytest.raises(ValueError, match=r"out: memory of its own is required"):
            stream.step(x, out=out)
    state = stream.state
    stream.step(both[:3], out=both[3:6])
    stream.step(both[6:3:-1].copy(), out=both[:3])
    stream.state = state


def test_out_of_a_single_sequence() -> None:
    stream = rf.GRU(5, 4, seed=0).stream()
    with pytest.raises(ValueError, match=r"out: shape \(outputs,\) = \(4,\) is required, got \(1, 4\)"):
        stream.step(ones(5), out=ones(1, 4))
    with pytest.raises(ValueError, match=r"out: shape \(N, outputs\) = \(1, 4\) is required, got \(4,\)"):
        stream.step(ones(1, 5), out=ones(4))
    assert not unbundle(stream.state)[0].any()


@pytest.mark.parametrize("size", [0, -1])
def test_batch_size(size: int) -> None:
    with pytest.raises(ValueError, match=r"batch_size: at least 1 is required"):
        rf.RNN(2, 3).stream(size)


def test_batch_size_is_an_integer() -> None:
    with pytest.raises(TypeError, match=r"batch_size: an integer is required"):
        rf.RNN(2, 3).stream(1.5)


def test_a_batch_beyond_memory() -> None:
    with pytest.raises((OverflowError, MemoryError)):
        rf.LSTM(2, 3).stream(2**61)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (ones(2, 1, 4), TypeError, r"state: a tuple \(h, c\) is required"),
        ((ones(2, 1, 4), ones(2, 2, 4)), ValueError, r"state\[1\]: shape .* = \(2, 1, 4\) is required"),
        ((ones(2, 1, 4, dtype="f8"), None), TypeError, r"state\[0\]: dtype float32"),
    ],
)
def test_first_state(state: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rf.LSTM(3, 4, num_layers=2).stream(1, state)


def test_a_bare_object_refuses() -> None:
    with pytest.raises(RuntimeError, match=r"__init__ must be called first"):
        Stream.__new__(Stream).step(ones(3))

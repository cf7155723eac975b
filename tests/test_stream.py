"""Streams: the bits of one call over all steps, however time is cut, and states of their own."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import build_layer, bundle, unbundle
from tests.support.streams import (
    LARGE,
    assert_same_state,
    check_blocks,
    check_large_steps,
    check_steps,
    inputs,
    problem_of,
    steps_of,
)

# Units below, at and above a vector; inputs fewer and more than units; rows below and above a tile.
SIZES = [
    {"N": 1, "C": 8, "H": 16},
    {"N": 1, "C": 37, "H": 5, "L": 2},
    {"N": 2, "C": 3, "H": 33, "L": 3},
    {"N": 3, "C": 4, "H": 8, "L": 2, "bias": False},
    {"N": 5, "C": 2, "H": 70},
    {"N": 23, "C": 6, "H": 17, "L": 2},
]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)


@every_size
def test_steps_are_one_call(cell: str, isa: str, dtype: str, size: dict[str, Any]) -> None:
    check_steps(cell, dtype, size)


@every_size
def test_blocks_are_steps(cell: str, isa: str, dtype: str, threads: int, size: dict[str, Any]) -> None:
    check_blocks(cell, dtype, size)


@pytest.mark.parametrize("size", LARGE.values(), ids=LARGE.keys())
def test_large_steps_on_several_threads(cell: str, isa: str, size: dict[str, Any]) -> None:
    check_large_steps(cell, size)


def test_parameters_may_change(cell: str, dtype: str) -> None:
    """A stream keeps the weights of the moment it was made; a new one has the new."""
    problem = problem_of(cell, {"N": 2, "C": 3, "H": 9, "L": 2})
    layer = build_layer(problem, dtype)
    x, state = inputs(problem, dtype)
    y = layer(x, state)[0]
    by_step, by_block = layer.stream(2, state), layer.stream(2, state)
    for parameter in layer.parameters().values():
        parameter[...] = parameter.value + 1
    np.testing.assert_array_equal(steps_of(by_step, x), y)
    np.testing.assert_array_equal(by_block.process(x), y)
    changed = layer(x, state)[0]
    assert (changed != y).any()
    np.testing.assert_array_equal(steps_of(layer.stream(2, state), x), changed)
    del layer
    by_step.state = by_block.state = state
    np.testing.assert_array_equal(steps_of(by_step, x), by_block.process(x))


def test_a_single_sequence_without_its_axis(cell: str, dtype: str) -> None:
    problem = problem_of(cell, {"N": 1, "C": 6, "H": 12})
    layer = build_layer(problem, dtype)
    x, state = inputs(problem, dtype)
    flat, axis = layer.stream(state=state), layer.stream(1, state)
    for t in range(x.shape[1]):
        h = flat.step(x[0, t])
        assert h.shape == (12,)
        np.testing.assert_array_equal(h, axis.step(x[:, t])[0], strict=True)


@pytest.mark.parametrize("N", [1, 4])
def test_out_is_written_to_and_returned(cell: str, dtype: str, N: int) -> None:
    problem = problem_of(cell, {"N": N, "C": 6, "H": 12})
    layer = build_layer(problem, dtype)
    x, state = inputs(problem, dtype)
    first, second = layer.stream(N, state), layer.stream(N, state)
    out = np.full((N, 12), np.nan, dtype)
    for t in range(x.shape[1]):
        assert first.step(x[:, t], out=out) is out
        np.testing.assert_array_equal(out, second.step(x[:, t], out=None), strict=True)
    if N == 1:
        assert first.step(x[0, 0], out=out[0]).shape == (12,)


def test_results_are_the_callers_own(cell: str) -> None:
    """No later step reaches an array that an earlier one returned."""
    problem = problem_of(cell, {"N": 2, "C": 6, "H": 12})
    x, _ = inputs(problem, "float32")
    stream = build_layer(problem, "float32").stream(2)
    h, state = stream.step(x[:, 0]), stream.state
    kept, kept_state = h.copy(), [s.copy() for s in unbundle(state)]
    stream.step(x[:, 1])
    h_second = stream.step(x[:, 2])
    h[...] = 7
    np.testing.assert_array_equal(stream.state[0][-1] if isinstance(state, tuple) else stream.state[-1], h_second)
    assert (kept != 7).all()
    assert_same_state(state, bundle(kept_state))


def test_strided_inputs(dtype: str, rng: np.random.Generator) -> None:
    """Rows that lie apart, backwards, or column-wise, lists, and other byte orders' twins."""
    layer = rf.LSTM(4, 6, dtype=dtype, seed=0)
    x = rng.normal(size=(3, 4)).astype(dtype)
    expected = layer.stream(3).step(x)
    wide = np.zeros((6, 9), dtype)
    wide[::2, 2:6] = x
    for given in (wide[::2, 2:6], x[::-1].copy()[::-1], np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(layer.stream(3).step(given), expected)
    if dtype == "float64":
        np.testing.assert_array_equal(layer.stream(3).step(x.tolist()), expected)
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(dtype).reshape(x.shape)
    unaligned[...] = x
    np.testing.assert_array_equal(layer.stream(3).step(unaligned), expected)


def test_time_major(cell: str, rng: np.random.Generator) -> None:
    problem = problem_of(cell, {"N": 2, "C": 6, "H": 12})
    layer = build_layer(problem, "float32", time_major=True)
    x = inputs(problem, "float32")[0].transpose(1, 0, 2)
    stream = layer.stream(2)
    np.testing.assert_array_equal(stream.process(x), layer(x)[0], strict=True)
    stream.reset()
    np.testing.assert_array_equal(stream.step(x[0]), layer(x)[0][0])


def test_states_are_read_and_set(cell: str, dtype: str) -> None:
    problem = problem_of(cell, {"N": 3, "C": 4, "H": 9, "L": 2})
    layer = build_layer(problem, dtype)
    x, state = inputs(problem, dtype)
    stream = layer.stream(3)
    stream.state = state
    assert_same_state(stream.state, state)
    np.testing.assert_array_equal(stream.process(x), layer(x, state)[0])
    middle = layer.stream(3, stream.state)
    np.testing.assert_array_equal(middle.step(x[:, 0]), stream.step(x[:, 0]))
    stream.state = None
    np.testing.assert_array_equal(stream.process(x), layer(x)[0])


def test_reset(cell: str, dtype: str) -> None:
    """Sequences that are reset begin with zeros, as every stream does unless it is told otherwise; others go on."""
    problem = problem_of(cell, {"N": 3, "C": 4, "H": 9, "L": 2})
    layer = build_layer(problem, dtype)
    x, state = inputs(problem, dtype)
    stream = layer.stream(3, state)
    stream.process(x)
    last = layer(x, state)[1]
    mask = np.array([False, True, False])
    stream.reset(mask)
    expected = bundle([np.where(mask[:, None], s.dtype.type(0), s) for s in unbundle(last)])
    assert_same_state(stream.state, expected)
    np.testing.assert_array_equal(stream.process(x), layer(x, expected)[0])
    stream.reset()
    np.testing.assert_array_equal(stream.process(x), layer(x)[0])


def test_denormal_inputs_are_zero(dtype: str) -> None:
    """The engine flushes denormals as in a call over all steps; the caller's own arithmetic keeps them."""
    tiny = np.finfo(dtype).smallest_subnormal
    layer = rf.RNN(2, 3, activation="identity", bias=False, dtype=dtype, seed=0)
    x = np.full((1, 1, 2), tiny)
    assert not layer.stream().step(x[0, 0]).any()
    np.testing.assert_array_equal(layer.stream().process(x), layer(x)[0])
    assert tiny * np.ones(1, dtype) > 0


def test_a_step_allocates_nothing() -> None:
    stream = rf.LSTM(8, 16, num_layers=2, seed=0).stream(4)
    x, out = np.ones((4, 8), np.float32), np.empty((4, 16), np.float32)
    stream.step(x, out=out)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(100):
            stream.step(x, out=out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (
        peak - before < 1024
    )  # the loop's own objects; one array of results is 256 bytes plus its header, a hundred more


def test_nothing_leaks() -> None:
    """Memory and references stay the same, in refused calls, too."""
    stream = rf.LSTM(8, 16, num_layers=2, seed=0).stream(4)
    x, out, wrong = np.ones((4, 8), np.float32), np.empty((4, 16), np.float32), np.ones((4, 7), np.float32)
    before = [sys.getrefcount(a) for a in (x, out, wrong, x.dtype)]
    resident = peak_memory()
    for _ in range(20_000):
        stream.step(x, out=out)
        stream.step(x)
    for _ in range(3000):
        with pytest.raises(ValueError, match="x: "):
            stream.step(wrong)
        with pytest.raises(ValueError, match="out: "):
            stream.step(x, out=wrong)
        stream.state = stream.state
    assert peak_memory() - resident < 1 << 20
    assert [sys.getrefcount(a) for a in (x, out, wrong, x.dtype)] == before


def peak_memory() -> int:
    """The process's peak of memory, in bytes."""
    resource = pytest.importorskip("resource")
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on() -> None:
    layer = rf.LSTM(300, 520, seed=0)  # large enough for two threads
    x = np.random.default_rng(0).normal(size=(3, 300)).astype(np.float32)
    expected = layer(x[None])[0][0]
    with rf.threads(2):
        stream = layer.stream()
        stream.step(x[0])
        child = os.fork()
        if child == 0:
            same = all(np.array_equal(stream.step(x[t]), expected[t]) for t in (1, 2))
            os._exit(0 if same else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        np.testing.assert_array_equal(stream.step(x[1]), expected[1])


def run_together(*jobs: Any) -> list[Any]:
    """Results or exceptions of functions that run in threads of their own, at once."""
    results: list[Any] = [None] * len(jobs)
    ready = threading.Barrier(len(jobs))

    def run(i: int) -> None:
        ready.wait()
        try:
            results[i] = jobs[i]()
        except RuntimeError as error:
            results[i] = error

    workers = [threading.Thread(target=run, args=(i,)) for i in range(len(jobs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


@pytest.mark.parametrize("H", [16, 400])
def test_two_threads_on_two_streams(H: int, rng: np.random.Generator) -> None:
    layer = rf.LSTM(8, H, seed=0)
    xs = rng.normal(size=(2, 1, 60, 8)).astype(np.float32)
    streams = [layer.stream(), layer.stream()]
    found = run_together(*(lambda i=i: steps_of(streams[i], xs[i]) for i in range(2)))
    for i in range(2):
        np.testing.assert_array_equal(found[i], layer(xs[i])[0])


def test_two_threads_on_one_stream(rng: np.random.Generator) -> None:
    """Each call is done as a whole or refused; none is lost, none crashes."""
    layer = rf.LSTM(8, 500, seed=0)
    x = rng.normal(size=8).astype(np.float32)
    stream = layer.stream()

    def work() -> None:
        done = 0
        while done < 30:
            with contextlib.suppress(RuntimeError):
                stream.step(x)
                done += 1

    with rf.threads(1):
        assert run_together(work, work) == [None, None]
    assert_same_state(stream.state, layer(np.broadcast_to(x, (1, 60, 8)))[1])


def test_a_second_thread_is_refused() -> None:
    stream = rf.LSTM(8, 200, seed=0).stream()
    block = np.zeros((1, 30_000, 8), np.float32)
    worker = threading.Thread(target=stream.process, args=(block,))
    worker.start()
    refusals: list[str] = []
    while worker.is_alive() and not refusals:
        try:
            stream.step(block[0, 0])
        except RuntimeError as error:
            refusals.append(str(error))
    worker.join()
    assert refusals == ["stream: one call at a time is required, got two from different threads"]
    assert stream.step(block[0, 0]).shape == (200,)


def test_its_text_names_its_sizes() -> None:
    text = "Stream(num_layers=2, batch_size=3, hidden_size=4, dtype=float32)"
    assert repr(rf.GRU(2, 4, num_layers=2).stream(3)) == text

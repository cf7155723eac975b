"""Layers computed at the same time, each a chunk of time behind the layer below, give the bits of layers in turn."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast._core import testing
from tests.support.comparison import assert_same_bits, make_problem, run_engine
from tests.support.matrix import LAYERS
from tests.support.processes import needs_limits, output

SHAPES: dict[str, dict[str, Any]] = {
    "one sequence": {"N": 1, "T": 500, "C": 5, "H": 17, "L": 2},
    "five layers": {"N": 1, "T": 130, "C": 3, "H": 9, "L": 5},
    "a few steps": {"N": 1, "T": 40, "C": 4, "H": 33, "L": 3},
    "two sequences": {"N": 2, "T": 150, "H": 16, "L": 2},
    "resets": {"N": 1, "T": 200, "H": 12, "L": 3, "resets": True},
}


def layers_at_once(cell: str, threads: int, *, N: int, T: int, H: int, L: int, C: int = 4, **_: Any) -> int:
    sizes = [C, *[H] * L]
    return testing.wavefront_threads(cell, sizes, N, T, threads)


@pytest.mark.parametrize("shape", SHAPES)
def test_same_bits_as_in_turn(cell: str, isa: str, dtype: str, shape: str) -> None:
    problem = make_problem(cell, ragged=SHAPES[shape]["N"] > 1, **SHAPES[shape])
    with rf.threads(1):
        expected = run_engine(problem, dtype)
    for threads in (2, 3, 4):
        with rf.threads(threads):
            for _ in range(3):
                assert_same_bits(run_engine(problem, dtype), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_inference(cell: str, dtype: str, shape: str, rng: np.random.Generator) -> None:
    """Without a tape layers share memory: what one has written must stay until two others have read it."""
    N, T, C, H, L = (SHAPES[shape].get(k, 4) for k in "NTCHL")
    layer = LAYERS[cell.split("-")[0]](C, H, num_layers=L, dtype=dtype, seed=1)
    x = rng.normal(size=(N, T, C)).astype(dtype)
    with rf.threads(1):
        y, last, _ = layer.forward(x)
    for threads in (2, 3, 4):
        with rf.threads(threads):
            for _ in range(3):
                found, state = layer(x)
                np.testing.assert_array_equal(found, y)
                np.testing.assert_array_equal(state, last)


@pytest.mark.skipif("lib" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer changes what steps and waits cost")
def test_is_chosen_where_it_pays() -> None:
    """A batch of one over small layers; many sequences have enough to share, one layer or step has none to wait for."""
    assert layers_at_once("lstm", 2, N=1, T=500, H=17, L=2) == 2
    assert layers_at_once("gru", 3, N=1, T=130, H=9, L=5) == 3
    assert layers_at_once("rnn", 4, N=1, T=200, H=64, L=3) == 3
    assert layers_at_once("lstm", 2, N=32, T=100, H=128, L=2) == 1
    assert layers_at_once("lstm", 2, N=1, T=500, H=64, L=1) == 1
    assert layers_at_once("lstm", 2, N=1, T=1, H=64, L=2) == 1
    assert layers_at_once("lstm", 1, N=1, T=500, H=17, L=2) == 1


@needs_limits
@pytest.mark.parametrize("call", ["layer(x)", "layer.forward(x)", "layer.backward(*tape)"])
def test_ctrl_c(call: str, source: str) -> None:
    """No layer waits for one that has stopped."""
    code = f"""
import os, signal, threading
import numpy as np
import rnnfast as rf
signal.signal(signal.SIGINT, signal.default_int_handler)
rf.set_num_threads(2)
layer = rf.LSTM(8, 64, num_layers=3, seed=0)
backward = "backward" in {call!r}
x = np.zeros((1, 100_000 if backward else 200_000, 8), np.float32)
if backward:
    y, _, kept = layer.forward(x)
    tape = kept, y
entering = threading.Event()
def interrupt():
    entering.wait()
    os.kill(os.getpid(), signal.SIGINT)
helper = threading.Thread(target=interrupt)
helper.start()
try:
    entering.set()
    {call}
    print("finished")
except KeyboardInterrupt:
    print("interrupted")
helper.join()
print(np.isfinite(layer(x[:, :100])[0]).all())
"""
    assert output(code, RNNFAST_THREADS=source).split() == ["interrupted", "True"]

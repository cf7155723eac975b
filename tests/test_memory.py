"""Memory of training against formulas: bytes for each step of a sequence, and memory that does not grow with T."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import textwrap

import pytest

from tests.support.comparison import CELLS

# Numbers a unit, sequence and step that a layer's tape holds beyond its output y.
SAVED = {"rnn": 0, "lstm": 5, "gru": 4}
SIZE = {"float32": 4, "float64": 8}
N, C, H = 16, 8, 64
STEPS = (500, 4500)
LONG = (2000, 20_000)  # where a step takes few bytes

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory's peak from /proc"),
    pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer keeps memory of its own"),
]

# A child for every peak, which begins with what the parent has. Huge pages would round every array up to 2 MB. Linux
# counts a process's pages in steps, on each processor: one peak may be a megabyte off, the median is not.
REPEATS = 3
PEAKS = """
import ctypes, os, re, warnings
warnings.simplefilter("ignore")
import numpy as np
import rnnfast as rf
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)

def work(T):
{work}

for steps in {steps} * {repeats}:
    if os.fork() == 0:
        work(10)
        work(steps)
        print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], flush=True)
        os._exit(0)
    os.wait()
"""


def bytes_per_row(work: str, steps: tuple[int, int] = STEPS) -> float:
    """Growth of the peak with every further step of a sequence."""
    code = PEAKS.format(work=textwrap.indent(textwrap.dedent(work), "    "), steps=steps, repeats=REPEATS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    peaks = [int(kilobytes) for kilobytes in done.stdout.split()]
    first, second = (statistics.median(peaks[i :: len(steps)]) for i in range(len(steps)))
    return 1024 * (second - first) / (N * (steps[1] - steps[0]))


def assert_within(measured: float, expected: float, addresses: int = 0) -> None:
    """Within two per cent and 8 bytes: pages, and the interpreter's own ups and downs."""
    assert measured - 0.98 * expected >= -8, f"{measured:.1f} bytes instead of {expected:.1f}"
    assert measured - 1.02 * expected <= 8 + addresses, f"{measured:.1f} bytes instead of {expected:.1f}"


def layer(cell: str, dtype: str, layers: int, directions: int = 1) -> str:
    kind, options = CELLS[cell]
    sizes = f"{C}, {H}, num_layers={layers}, bidirectional={directions == 2}"
    return f"rf.{kind.upper()}({sizes}, dtype='{dtype}', seed=0, **{options})"


every_cell = pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru", "gru-before"])


@pytest.mark.parametrize(
    ("dtype", "layers"),
    [
        ("float32", 1),
        pytest.param("float64", 1, marks=pytest.mark.slow),
        pytest.param("float32", 3, marks=pytest.mark.slow),
    ],
)
@every_cell
def test_a_step_of_training(cell: str, dtype: str, layers: int) -> None:
    """x and dx (C each), y of every layer, the tape; between the layers of a stack two gradients in turn."""
    measured = bytes_per_row(f"""
        layer = {layer(cell, dtype, layers)}
        x = np.ones(({N}, T, {C}), "{dtype}")
        y, _, tape = layer.forward(x)
        dx, _ = layer.backward(tape, y)
        """)
    numbers = 2 * C + layers * (1 + SAVED[CELLS[cell][0]]) * H + min(layers - 1, 2) * H
    assert_within(measured, SIZE[dtype] * numbers)


def test_a_step_of_training_with_a_projection() -> None:
    """y and its gradient have P numbers; what is projected is kept beside gates and c."""
    measured = bytes_per_row(f"""
        layer = rf.LSTM({C}, {H}, proj_size={H // 2}, num_layers=2, seed=0)
        x = np.ones(({N}, T, {C}), np.float32)
        y, _, tape = layer.forward(x)
        dx, _ = layer.backward(tape, y)
        """)
    P = H // 2
    assert_within(measured, 4 * (2 * C + 2 * (2 * P + 6 * H) + P))


def test_a_step_with_zoneout() -> None:
    """No part of it is kept."""
    measured = bytes_per_row(f"""
        layer = rf.LSTM({C}, {H}, zoneout=(0.1, 0.1), seed=0)
        x = np.ones(({N}, T, {C}), np.float32)
        y, _, tape = layer.forward(x)
        dx, _ = layer.backward(tape, y)
        """)
    assert_within(measured, 4 * (C + 6 * H))


@pytest.mark.parametrize(("kind", "numbers"), [("LSTM", 14), ("GRU", 11)])
def test_a_step_with_layer_norm(kind: str, numbers: int) -> None:
    """The products of all gates are kept beside y, gates and c, or q_n."""
    measured = bytes_per_row(f"""
        layer = rf.{kind}({C}, {H}, layer_norm=True, seed=0)
        x = np.ones(({N}, T, {C}), np.float32)
        y, _, tape = layer.forward(x)
        dx, _ = layer.backward(tape, y)
        """)
    assert_within(measured, 4 * (2 * C + numbers * H))


@every_cell
def test_a_step_of_training_that_computes_gates_again(cell: str) -> None:
    """The tape leaves a start, of an LSTM, for every eighth step or fewer."""
    measured = bytes_per_row(f"""
        layer = {layer(cell, "float32", 1)}
        x = np.ones(({N}, T, {C}), np.float32)
        y, _, tape = layer.forward(x, save="recompute")
        dx, _ = layer.backward(tape, y)
        """)
    starts = H / 16 if cell == "lstm" else 0
    assert_within(measured, 4 * (2 * C + H + starts), addresses=12)


def test_a_step_forward_with_dropout() -> None:
    """x, and y and the tape of every layer; neither masks nor masked values are stored."""
    measured = bytes_per_row(f"""
        layer = rf.GRU({C}, {H}, num_layers=3, dropout=0.5, seed=0)
        y, _, tape = layer.forward(np.ones(({N}, T, {C}), np.float32))
        """)
    assert_within(measured, 4 * (C + 3 * (1 + SAVED["gru"]) * H))


@pytest.mark.slow
@every_cell
@pytest.mark.parametrize("layers", [1, 3])
def test_a_step_of_training_in_both_directions(cell: str, layers: int) -> None:
    """Twice the numbers of each unit, and du where no gates are saved, because dx is a sum over both directions."""
    measured = bytes_per_row(f"""
        layer = {layer(cell, "float32", layers, directions=2)}
        x = np.ones(({N}, T, {C}), np.float32)
        y, _, tape = layer.forward(x)
        dx, _ = layer.backward(tape, y)
        """)
    saved = SAVED[CELLS[cell][0]]
    assert_within(measured, 4 * (2 * C + 2 * H * (layers * (1 + (saved or 1)) + min(layers - 1, 2))))


@pytest.mark.parametrize("layers", [pytest.param(1, marks=pytest.mark.slow), 3])
@every_cell
def test_a_step_of_inference(cell: str, layers: int) -> None:
    """x and the last y; between the layers of a stack two outputs in turn."""
    measured = bytes_per_row(f"""
        x = np.ones(({N}, T, {C}), np.float32)
        y, _ = {layer(cell, "float32", layers)}(x)
        """)
    assert_within(measured, 4 * (C + (1 + min(layers - 1, 2)) * H))


def test_a_step_of_a_model_with_an_output_at_every_step() -> None:
    """Besides the layer's: ids of targets, K logits and their gradients, dy, the addresses of a product's rows."""
    measured = bytes_per_row(f"""
        model = rf.ManyToMany({C}, 10, cell="lstm", hidden_size={H}, seed=0)
        model.loss_and_grad(np.ones(({N}, T, {C}), np.float32), np.zeros(({N}, T), int))
        """)
    assert_within(measured, 4 * (C + 6 * H + 2 * 10 + H) + 8, addresses=64)


def test_a_step_of_a_model_with_one_output() -> None:
    """No copy of x, no gradient of y, none of x."""
    measured = bytes_per_row(f"""
        model = rf.ManyToOne({C}, 10, cell="lstm", hidden_size={H}, seed=0)
        model.loss_and_grad(np.ones(({N}, T, {C}), np.float32), np.zeros({N}, int))
        """)
    assert_within(measured, 4 * (2 * C + 6 * H))


# A row's entry in the plan of a ragged batch: five integers.
PLANNED = 40


@every_cell
def test_a_step_of_a_ragged_batch_by_rows(cell: str) -> None:
    """Only steps that exist cost anything, and the rows of a data set that the batch leaves out cost no copy."""
    measured = bytes_per_row(f"""
        rf.set_num_threads(1)
        T *= 2  # as many rows as a dense batch has, which fill a chunk
        layer = {layer(cell, "float32", 2)}
        values = np.ones((3 * {N} * T, {C}), np.float32)
        offsets, lengths = 2 * T * np.arange({N}), T * np.arange({N}) // {N}
        y, _, tape = layer.forward_rows(values, offsets, lengths)
        dx, _ = layer.backward(tape, y)
        """)
    existing = (N - 1) / 2 / N
    numbers = C + 2 * (1 + SAVED[CELLS[cell][0]]) * H + H
    assert_within(measured / 2, 4 * (3 * C + existing * numbers) + existing * PLANNED)


@pytest.mark.parametrize(
    ("model", "x", "bytes_of_a_step"),
    [
        (f"ManyToMany({C}, 3", f"np.ones(({N}, T, {C}), np.float32)", 4 * C + 8),
        (f"ManyToMany({C}, 3, task='regression'", f"np.ones(({N}, T, {C}), np.float32)", 4 * C + 4 * 3),
        (f"ManyToOne({C}, 3", f"np.ones(({N}, T, {C}), np.float32)", 4 * C),
        ("OneToMany(9", f"np.ones(({N}, T), np.int64)", 8 + 8),
    ],
    ids=["ids", "numbers", "one", "next"],
)
def test_a_step_of_a_prediction_in_chunks(model: str, x: str, bytes_of_a_step: int) -> None:
    """x and the result, nothing else."""
    work = f"""
        model = rf.{model}, hidden_size={H}, seed=0)
        x = {x}
        found = model.predict(x, chunk=50)
        """
    assert_within(bytes_per_row(work, LONG), bytes_of_a_step)

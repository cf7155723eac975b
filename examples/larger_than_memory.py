"""Train on a file of data that the process cannot hold, for the operating system forbids it.

The adding problem (Hochreiter and Schmidhuber 1997): two of the numbers in a sequence are marked, and the answer is
their sum. The sequences are written to a memory map in a temporary folder, block by block. Then the process gives up
the right to allocate more than a part of the file's size (``RLIMIT_DATA`` of Linux). To read the file as a whole fails;
``fit`` and ``evaluate`` read the map batch by batch. The baseline says the mean of all answers.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast.data.synthetic import adding

STEPS, BLOCK = 100, 1000


def write(folder: Path, count: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Write ``count`` sequences; return the map of them (N, T, 2) and their answers (N, 1)."""
    path = folder / "sequences.npy"
    x = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(count, STEPS, 2))
    y = np.empty((count, 1), np.float32)
    for first in range(0, count, BLOCK):
        x[first : first + BLOCK], y[first : first + BLOCK] = adding(BLOCK, STEPS, seed=rng)
    x.flush()
    return np.load(path, mmap_mode="r"), y


def allocated() -> int:
    """Return the bytes that the process has allocated."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmData:")[1].split()[0]) * 1024


def limit(room: int) -> None:
    """Let the process allocate ``room`` bytes more than it has, and no more."""
    resource.setrlimit(resource.RLIMIT_DATA, (allocated() + room, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def main(*, short: bool = False, seed: int = 0) -> tuple[float, float]:
    """Return the mean squared error of the model and of the mean."""
    rng, count, room = np.random.default_rng(seed), 40_000 if short else 400_000, 16 << 20 if short else 64 << 20
    model = rf.ManyToOne(2, 1, task="regression", cell="gru", hidden_size=32, seed=seed)
    # The first training starts the threads, which have memory of their own.
    model.fit(*adding(32, STEPS, seed=0), epochs=1, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        x, y = write(Path(folder), count, rng)
        limit(room)
        print(f"the file has {x.nbytes >> 20} MB, the process may allocate {room >> 20} MB more")
        try:
            np.array(x)
            print("the limit does not hold here")
        except MemoryError:
            print("reading the file as a whole: MemoryError")
        learned = count * 9 // 10
        lr = rf.schedules.Cosine(1e-2)
        model.fit(x[:learned], y[:learned], epochs=1, batch_size=32, lr=lr, clip_norm=1.0, seed=seed)
        found = model.evaluate(x[learned:], y[learned:])["loss"]
    return found, float(((y[learned:] - y[:learned].mean()) ** 2).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the data")
    parser.add_argument("--seed", type=int, default=0)
    ours, mean = main(**vars(parser.parse_args()))
    print(f"mean squared error {ours:.5f}; the mean {mean:.5f}")
    sys.exit(None if ours < mean else "the model does not beat the mean")

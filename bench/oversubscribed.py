"""``python -m bench.oversubscribed``: more threads than processors, alternating with as many, in one process.

The ratio is that of the speeds: 1 where asking for too many threads costs nothing. ``--force`` makes a team with more
members than processors.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np

import rnnfast as rf
from rnnfast._core import testing

Operation = Callable[[], object]


def inference(layer: rf.LSTM | rf.GRU, x: np.ndarray) -> Operation:
    """Inference, without a tape."""
    return lambda: layer(x)


def training(layer: rf.LSTM | rf.GRU, x: np.ndarray) -> Operation:
    """Forward and backward."""

    def run() -> None:
        y, _, tape = layer.forward(x)
        layer.backward(tape, y)

    return run


LAYERS = {
    "LSTM 32x100x128": (rf.LSTM, (32, 100, 128), 128),
    "GRU 1x100x16, 256 units": (rf.GRU, (1, 100, 16), 256),
}


def seconds_of(run: Operation, threads: int, seconds: float) -> float:
    """Mean time of a call, measured over ``seconds``."""
    with rf.threads(threads):
        run()
        start, calls = perf_counter(), 0
        while perf_counter() - start < seconds:
            run()
            calls += 1
        return (perf_counter() - start) / calls


def main() -> None:
    """Print, for each operation, the median over the rounds of speed with too many threads to speed with enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--enough", type=int, default=2)
    parser.add_argument("--many", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--force", action="store_true")
    given = parser.parse_args()
    testing.oversubscribe(given.force)
    for name, (make, shape, units) in LAYERS.items():
        for kind in (inference, training):
            run = kind(make(shape[2], units, seed=0), np.ones(shape, np.float32))
            rounds = [
                [seconds_of(run, threads, given.seconds) for threads in (given.enough, given.many)]
                for _ in range(given.rounds)
            ]
            ratio = median(enough / many for enough, many in rounds)
            fastest = 1e6 * min(enough for enough, _ in rounds)
            print(
                f"{name}, {kind.__name__}: {fastest:.0f} us with {given.enough} threads, "
                f"speed with {given.many}: {ratio:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

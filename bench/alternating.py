"""``python -m bench.alternating``: PyTorch and rnnfast by turns in one process, each with threads of its own.

Needs both in one environment. The ratio is that of a pair of operations by turns to the sum of both by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter, sleep

import numpy as np

MILLISECONDS = (5, 10, 20, 50)
BATCH, UNITS = 32, 128
REST = 0.02
"""Seconds after which waiting threads of either library have fallen asleep."""

Operation = Callable[[], object]


def ours(steps: int) -> Operation:
    """Inference of an LSTM by rnnfast."""
    import rnnfast

    layer, x = rnnfast.LSTM(UNITS, UNITS, seed=0), np.zeros((BATCH, steps, UNITS), np.float32)
    return lambda: layer(x)


def theirs(steps: int) -> Operation:
    """The same by PyTorch."""
    import torch

    layer, x = torch.nn.LSTM(UNITS, UNITS, batch_first=True), torch.zeros(BATCH, steps, UNITS)

    def run() -> None:
        with torch.no_grad():
            layer(x)

    return run


def seconds_of(operations: tuple[Operation, ...], repeats: int) -> float:
    """Mean time of one turn of the operations, from threads that are asleep on."""
    sleep(REST)
    for run in operations:
        run()
    start = perf_counter()
    for _ in range(repeats):
        for run in operations:
            run()
    return (perf_counter() - start) / repeats


def at_least(make: Callable[[int], Operation], milliseconds: float) -> Operation:
    """An operation of so many milliseconds, of as many steps as that takes."""
    steps = 16
    while (taken := 1e3 * seconds_of((make(steps),), 3)) < milliseconds:
        steps = max(steps + 1, int(steps * min(4.0, 1.05 * milliseconds / taken)))
    return make(steps)


def ratio(milliseconds: float, rounds: int = 7) -> tuple[float, float, float]:
    """Medians of ours alone, theirs alone, and both by turns over the sum of the two."""
    a, b = at_least(ours, milliseconds), at_least(theirs, milliseconds)
    repeats = max(3, int(150 / milliseconds))
    times = [[seconds_of(turn, repeats) for turn in ((a,), (b,), (a, b))] for _ in range(rounds)]
    alone, other, both = (median(column) for column in zip(*times, strict=True))
    return alone, other, both / (alone + other)


def main() -> None:
    """Measure operations of several lengths on two threads."""
    import torch

    import rnnfast

    torch.set_num_threads(2)
    rnnfast.set_num_threads(2)
    for milliseconds in MILLISECONDS:
        alone, other, both = ratio(milliseconds)
        parts = f"rnnfast {alone * 1e3:.1f} ms, torch {other * 1e3:.1f} ms"
        print(f"{milliseconds} ms: {parts}, by turns {both:.2f} of the sum", flush=True)


if __name__ == "__main__":
    main()

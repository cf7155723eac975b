"""Weights larger than the caches, one sequence: panels in alternating order, against the same order in every step."""

from __future__ import annotations

import time
from statistics import median

import numpy as np

UNITS, STEPS = 512, 100


def measure(*, threads: int, rounds: int) -> float:
    """Return the time of an LSTM (B = 1, H = 512, I = 1) with alternating order, divided by that with one order."""
    import rnnfast
    from rnnfast._core import testing

    layer = rnnfast.LSTM(1, UNITS, seed=0)
    x = np.zeros((1, STEPS, 1), np.float32)
    times: dict[bool, list[float]] = {True: [], False: []}
    with rnnfast.threads(threads):
        try:
            for turn in range(8 * rounds):
                one_way = turn % 2 == 0
                testing.set_one_way_panels(one_way)
                layer(x)
                start = time.perf_counter()
                layer(x)
                times[one_way].append(time.perf_counter() - start)
        finally:
            testing.set_one_way_panels(False)
    return median(times[False]) / median(times[True])

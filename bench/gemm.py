"""Large products alone, with the right operand packed before: their fraction of the rate of multiply-adds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from statistics import median

import numpy as np

from bench.limits import speed

SIZES: tuple[tuple[int, int, int], ...] = tuple(product((128, 768, 3200), (256, 1024, 2048), (128, 256, 512)))
"""M rows, N columns, K terms: steps times sequences, gates times units, inputs or units."""
QUICK_SIZES = ((128, 256, 128), (768, 1024, 256), (3200, 2048, 512))
SECONDS = 0.03
ATTEMPTS, UNDISTURBED = 4, 0.9
"""A turn is repeated where multiply-adds around it fell below this fraction of the fastest seen."""


@dataclass(frozen=True)
class GemmRecord:
    """One product on a number of threads: operations a second by least and median time.

    ``of_fma`` is the rate as a fraction of that of multiply-adds in the same round; the median of rounds.
    """

    M: int
    N: int
    K: int
    threads: int
    best: float
    typical: float
    of_fma: float


def measure(size: tuple[int, int, int], *, threads: int, rounds: int) -> GemmRecord:
    """Alternate probes of multiply-adds with products, check the product, and take medians."""
    from rnnfast._core import testing

    M, N, K = size
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((M, K), (K, N)))
    c = np.empty((M, N), np.float32)
    flops = 2.0 * M * N * K
    times, fractions = list[float](), list[float]()
    once = min(testing.gemm_times(a, b, c, threads, 2))
    assert np.allclose(c[:4], a[:4].astype(np.float64) @ b, rtol=0, atol=1e-5 * K**0.5), "gemm: the product is wrong"
    repeats, fastest = max(1, round(SECONDS / once)), 0.0
    for _ in range(rounds):
        for _ in range(ATTEMPTS):
            before = speed(threads)
            turn = testing.gemm_times(a, b, c, threads, repeats)
            probes = (before, speed(threads))
            fastest = max(fastest, *probes)
            if min(probes) > UNDISTURBED * fastest:
                break
        times += turn
        fractions.append(flops / median(turn) / (sum(probes) / 2))
    return GemmRecord(M, N, K, threads, flops / min(times), flops / median(times), median(fractions))


def run(*, threads: int, rounds: int, quick: bool = False) -> Iterator[GemmRecord]:
    """Measure every size; yield each result when it is there."""
    for size in QUICK_SIZES if quick else SIZES:
        time.sleep(SECONDS)
        yield measure(size, threads=threads, rounds=rounds)


def header() -> str:
    """The head of the table."""
    return f"{'product':>20}{'p':>3}{'best GFLOP/s':>14}{'median':>8}{'of fma':>8}"


def line(record: GemmRecord) -> str:
    """One line of the table."""
    size = f"{record.M}x{record.N}x{record.K}"
    rates = f"{record.best / 1e9:>14.1f}{record.typical / 1e9:>8.1f}{record.of_fma:>8.0%}"
    return f"{size:>20}{record.threads:>3}{rates}"


def closing(records: list[GemmRecord]) -> str:
    """Median and lowest fraction by number of threads."""
    lines = []
    for threads in sorted({record.threads for record in records}):
        parts = [record.of_fma for record in records if record.threads == threads]
        lines.append(
            f"products on {threads} threads: median {median(parts):.0%} of multiply-adds, lowest {min(parts):.0%}"
        )
    return "\n".join(lines)

"""Large products on their own: which part of the rate of multiply-adds they reach, the right operand packed before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from statistics import median
from typing import Any

import numpy as np

SIZES: tuple[tuple[int, int, int], ...] = tuple(product((128, 768, 3200), (256, 1024, 2048), (128, 256, 512)))
"""M rows, N columns, K terms: steps times sequences, gates times units, inputs or units."""
QUICK_SIZES = ((128, 256, 128), (768, 1024, 256), (3200, 2048, 512))
SECONDS, PROBE_SECONDS = 0.03, 0.003


@dataclass(frozen=True)
class GemmRecord:
    """One product on so many threads: operations a second, least and median time, and of multiply-adds next to it."""

    M: int
    N: int
    K: int
    threads: int
    best: float
    typical: float
    fma: float

    @property
    def of_fma(self) -> float:
        """Median rate as a fraction of the rate of multiply-adds."""
        return self.typical / self.fma

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return asdict(self) | {"of_fma": self.of_fma}


def measure(size: tuple[int, int, int], *, threads: int, rounds: int) -> GemmRecord:
    """Alternate probes of multiply-adds with products, check the product, and take medians."""
    from rnnfast._core import testing

    M, N, K = size
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((M, K), (K, N)))
    c = np.empty((M, N), np.float32)
    flops = 2.0 * M * N * K
    times, probes = list[float](), list[float]()
    once = min(testing.gemm_times(a, b, c, threads, 2))
    assert np.allclose(c[:4], a[:4].astype(np.float64) @ b, rtol=0, atol=1e-5 * K**0.5), "gemm: the product is wrong"
    for _ in range(rounds):
        probes.append(testing.fma_rate(threads, PROBE_SECONDS))
        times += testing.gemm_times(a, b, c, threads, max(1, round(SECONDS / once)))
    return GemmRecord(M, N, K, threads, flops / min(times), flops / median(times), median(probes))


def run(*, threads: int, rounds: int, quick: bool = False) -> Iterator[GemmRecord]:
    """Measure every size; yields as it goes."""
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

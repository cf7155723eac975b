"""The cost of raggedness, resets, directions, layers and recomputed gates, in interleaved rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from bench.shapes import CELLS

RAGGED, RESETS, DIRECTIONS, LAYERS, RECOMPUTE = 1.15, 1.05, 1 / 1.7, 1.0, 1.4
"""The largest ratio allowed for each."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a layer over x (N, T, C) on a number of threads."""

    layer: Any
    x: Any
    threads: int
    call: dict[str, Any]
    save: str = "all"

    def infer(self) -> None:
        """Forward."""
        self.layer(self.x, **self.call)

    def train(self) -> None:
        """Forward and backward."""
        y, _, tape = self.layer.forward(self.x, **self.call, save=self.save)
        self.layer.backward(tape, y)


@dataclass(frozen=True)
class StructureRecord:
    """Median time of a measured side divided by that of its yard-stick: another batch, or another number of threads."""

    name: str
    cell: str
    mode: str
    threads: int
    ratio: float
    limit: float


def time_of(run: Callable[[], None], seconds: float) -> float:
    """The mean time of the calls that fit in ``seconds``, at least one, after a first untimed call."""
    run()
    start, calls = perf_counter(), 0
    while calls == 0 or perf_counter() - start < seconds:
        run()
        calls += 1
    return (perf_counter() - start) / calls


def ratio(sides: tuple[Side, Side], mode: str, *, rounds: int, seconds: float) -> float:
    """Median time of the first side divided by that of the second; the sides alternate."""
    import rnnfast

    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(2 * rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            with rnnfast.threads(sides[which].threads):
                times[which].append(time_of(getattr(sides[which], mode), seconds))
    return median(times[0]) / median(times[1])


def _normal(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _layer(cell: str, inputs: int, units: int, **options: Any) -> Any:
    import rnnfast

    kind = CELLS[cell]
    if kind.reset_after is not None:
        options["reset_after"] = kind.reset_after
    return getattr(rnnfast, kind.layer)(inputs, units, seed=0, **options)


def ragged(cell: str, threads: int) -> tuple[Side, Side]:
    """Lengths uniform in 10..200, I = 64, H = 128, B = 32; and a dense batch with as many steps."""
    lengths = np.random.default_rng(0).permutation(np.linspace(10, 200, 32).astype(np.int64))
    layer = _layer(cell, 64, 128)
    dense = _normal(32, int(lengths.sum()) // 32, 64)
    return Side(layer, _normal(32, 200, 64), threads, {"lengths": lengths}), Side(layer, dense, threads, {})


def resets(cell: str, threads: int, units: int) -> tuple[Side, Side]:
    """B = 32, T = 100, I = H with a reset at 3 % of the steps; and without."""
    starts = np.random.default_rng(0).random((32, 100)) < 0.03
    layer, x = _layer(cell, units, units), _normal(32, 100, units)
    return Side(layer, x, threads, {"resets": starts}), Side(layer, x, threads, {})


def parallel(cell: str, **options: Any) -> tuple[Side, Side]:
    """One sequence, T = 200, H = 64, on two threads; and on one."""
    layer, x = _layer(cell, 64, 64, **options), _normal(1, 200, 64)
    return Side(layer, x, 2, {}), Side(layer, x, 1, {})


def recompute(cell: str, threads: int) -> tuple[Side, Side]:
    """B = 32, T = 200, H = 128 with recomputed gates; and with gates kept."""
    layer, x = _layer(cell, 64, 128), _normal(32, 200, 64)
    return Side(layer, x, threads, {}, "recompute"), Side(layer, x, threads, {})


def comparisons(threads: int) -> Iterator[tuple[str, str, float, tuple[Side, Side]]]:
    """Name, cell, limit and both sides of every comparison on ``threads`` threads."""
    for cell in CELLS:
        yield "ragged / dense", cell, RAGGED, ragged(cell, threads)
        for units in (64, 128):
            yield f"3 % resets / none, H={units}", cell, RESETS, resets(cell, threads, units)
        yield "recompute / all", cell, RECOMPUTE, recompute(cell, threads)
        if threads == 2:
            yield "both directions, 2 threads / 1", cell, DIRECTIONS, parallel(cell, bidirectional=True)
            yield "two layers, 2 threads / 1", cell, LAYERS, parallel(cell, num_layers=2)


def run(*, threads: int, rounds: int, seconds: float) -> Iterator[StructureRecord]:
    """Measure all comparisons in inference and training; gates are recomputed in training only."""
    for name, cell, limit, sides in comparisons(threads):
        for mode in ("train",) if sides[0].save != "all" else ("infer", "train"):
            value = ratio(sides, mode, rounds=rounds, seconds=seconds)
            yield StructureRecord(name, cell, mode, threads, value, limit)


def header() -> str:
    """The head of the table."""
    return f"{'median time of':34} {'cell':>10} {'mode':>6} {'threads':>8} {'ratio':>6} {'limit':>6}"


def line(record: StructureRecord) -> str:
    """One line of the table."""
    mark = "" if record.ratio <= record.limit else "  above"
    return (
        f"{record.name:34} {record.cell:>10} {record.mode:>6} {record.threads:8} "
        f"{record.ratio:6.2f} {record.limit:6.2f}{mark}"
    )

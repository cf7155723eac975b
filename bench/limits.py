"""How fast a case could run on this machine: measured constants, and a model of the least time that they allow.

The model adds, step by step, what cannot overlap. Operations of the products divide by the rate of multiply-adds; the
recurrent weights are read once a step from the cache that holds them; activations and the chain of dependent operations
within a step take the cycles below; shared steps end with a barrier. Products over all steps (inputs, gradients of
weights) run at the rate of multiply-adds on all threads. The best way of sharing a step counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from statistics import median

from bench.machine import cache_bytes
from bench.shapes import CELLS, Case

BLIP = 0.001
BARRIER_WAITS = 5000
ALONE, LOOKS, PAUSE = 1e-9, 20, 0.02
"""A barrier that takes less has nobody to wait for; how often and after how many seconds to look again."""
WIDE_FLOPS = 64.0
"""Operations a cycle of the core for which the cycles below were counted: two 512-bit multiply-adds."""

NUMBER = 4
L1_USABLE, L2_USABLE = 0.75, 0.8
SMALL_ROWS = 8
"""Fewer rows than this leave nothing to overlap with the chain of a step."""


@dataclass(frozen=True)
class Constants:
    """Clock in hertz; independent additions a second of each of all threads, fewer where another guest shares a core.

    Multiply-adds in flop/s, of one thread alone and of each of all; reads in bytes/s, of each of all from its own
    block; one wait for all in seconds.
    """

    clock: float
    issue: float
    fma_one: float
    fma: float
    l1: float
    l2: float
    l3: float
    barrier: float

    @property
    def slowdown(self) -> float:
        """Cycles of vector code divided by those on the core of ``WIDE_FLOPS``."""
        return WIDE_FLOPS * self.clock / self.fma_one


def best_rate(probe: Callable[[float], float]) -> float:
    """The best of three short probes, which skips blips and calls for which the team was smaller than asked for."""
    return max(probe(BLIP) for _ in range(3))


def speed(threads: int) -> float:
    """Multiply-adds a second on all threads, now."""
    from rnnfast._core import testing

    return best_rate(lambda seconds: testing.fma_rate(threads, seconds))


def barrier_time(threads: int) -> float:
    """Seconds of a barrier; 0 of one thread. Waits while rnnfast computes alone, as it does after contention."""
    from rnnfast._core import testing

    for _ in range(LOOKS if threads > 1 else 0):
        if (seconds := testing.barrier_time(threads, BARRIER_WAITS)) > ALONE:
            return seconds
        time.sleep(PAUSE)
    return 0.0


def measure_constants(threads: int) -> Constants:
    """Measure this machine now, on ``threads`` threads of rnnfast's own team; takes about 25 ms."""
    from rnnfast._core import testing

    barrier = barrier_time(threads)

    def read(size: int) -> float:
        return best_rate(lambda seconds: testing.read_rate(threads, size, seconds)) / threads

    sizes = cache_bytes()
    third = min(4 * sizes["L2"], max(sizes["L3"] // (2 * threads), 2 * sizes["L2"]))
    return Constants(
        clock=best_rate(testing.clock_rate),
        issue=best_rate(lambda seconds: testing.issue_rate(threads, seconds)) / threads,
        fma_one=speed(1),
        fma=speed(threads) / threads,
        l1=read(sizes["L1d"] // 2),
        l2=read(sizes["L2"] // 2),
        l3=read(third),
        barrier=barrier,
    )


def typical(measured: Iterable[Constants]) -> Constants:
    """The median of every constant."""
    rows = [asdict(constants) for constants in measured]
    return Constants(**{field.name: float(median(row[field.name] for row in rows)) for field in fields(Constants)})


@dataclass(frozen=True)
class Costs:
    """Costs of one step: cycles of a unit's activations and of the chain between states, numbers moved for a unit."""

    unit: float
    chain: float
    moved: float


def costs(cell: str, mode: str) -> Costs:
    """Costs estimated from instruction counts of the float32 activations; ``mode`` is infer, train or backward."""
    unit, chain, kept = {"rnn": (1.1, 110.0, 2.0), "gru": (2.6, 160.0, 8.0), "lstm": (4.4, 180.0, 10.0)}[cell]
    gates = CELLS[cell].gates
    if mode == "backward":
        return Costs(unit * 0.4, chain * 0.6, kept + 2.0)
    return Costs(unit, chain, gates + 2.0 if mode == "infer" else kept)


def step_seconds(rows: float, columns: float, weights: int, gates: int, cost: Costs, machine: Constants) -> float:
    """One step of one thread: ``rows`` sequences, ``columns`` units of a layer with ``weights`` bytes of its own."""
    inner = weights / (NUMBER * gates * columns)
    product = max(2.0 * gates * inner * columns * rows / machine.fma, weights / bandwidth(weights, machine))
    units = rows * columns
    activation = cost.unit * units * machine.slowdown / machine.clock
    if rows < SMALL_ROWS:
        return product + activation + cost.chain / machine.clock
    return max(product, activation + NUMBER * cost.moved * units / machine.l2)


def bandwidth(size: int, machine: Constants) -> float:
    """Bytes a second from the smallest cache that holds ``size`` bytes beside the rest of a step."""
    sizes = cache_bytes()
    if size <= L1_USABLE * sizes["L1d"]:
        return machine.l1
    return machine.l2 if size <= L2_USABLE * sizes["L2"] else machine.l3


def recurrence_seconds(case: Case, hidden: int, mode: str, machine: Constants, threads: int) -> float:
    """The least time of one step, whether it is not shared, shared by sequences, or shared by units with a barrier."""
    cell = "gru" if case.cell == "gru_before" else case.cell
    gates, batch, cost = CELLS[cell].gates, sum(case.lengths) / case.steps, costs(cell, mode)
    weights = NUMBER * gates * hidden * hidden
    ways = [step_seconds(batch, hidden, weights, gates, cost, machine)]
    if threads > 1:
        ways.append(
            step_seconds(batch / threads, hidden, weights, gates, cost, machine) if batch >= threads else ways[0]
        )
        share = step_seconds(batch, hidden / threads, weights // threads, gates, cost, machine)
        ways.append(share + machine.barrier)
    return min(ways)


def least_seconds(case: Case, machine: Constants, threads: int) -> float:
    """The least time of a case that the model allows."""
    mode, steps = "train" if case.mode == "train" else "infer", case.steps
    total = 0.0
    for inputs, hidden in case.products:
        columns = 2.0 * CELLS[case.cell].gates * hidden * sum(case.lengths) / (threads * machine.fma)
        total += steps * recurrence_seconds(case, hidden, mode, machine, threads) + columns * inputs
        if mode == "train":
            total += steps * recurrence_seconds(case, hidden, "backward", machine, threads)
            total += columns * (2 * inputs + hidden)
    return total

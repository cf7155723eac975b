"""How fast a case could run on this machine: measured constants, and the least time that they allow.

The limit of a case is the largest of what each port of a thread's core needs, with nothing added: the products at the
rate of multiply-adds; activations and cell at the rate of a loop over numbers in L1; the bytes that come from L2 and
from L3, at the rates of these caches. Threads share all of it evenly, and everything overlaps. Waiting for the state of
the step before and for other threads is left out, so that the limit is far below what one sequence can reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from statistics import median

import numpy as np

from bench.machine import cache_bytes
from bench.shapes import CELLS, Case

BLIP = 0.001
BARRIER_WAITS = 5000
ALONE, LOOKS, PAUSE = 1e-9, 20, 0.02
"""A barrier that takes less has nobody to wait for; how often and after how many seconds to look again."""
NUMBER = 4
L1_USABLE, L2_USABLE = 0.75, 0.8
"""The share of a cache that holds the same numbers from one use to the next, beside the rest of a step."""
UNARY_REPEATS = 200

ACTIVATIONS = {"rnn": (0, 1), "gru": (2, 1), "lstm": (3, 2)}
"""Sigmoids and tanhs of a unit in a step."""
ACTIVATIONS_BACK = {"rnn": (0, 0), "gru": (0, 0), "lstm": (0, 1)}
"""Those that a tape leaves to the way back."""
TAPE = {"rnn": 0, "gru": 4, "lstm": 5}
"""Numbers of a unit that a tape keeps of a step, beside its output."""


@dataclass(frozen=True)
class Constants:
    """Clock in hertz; independent additions a second of each of all threads, fewer where another guest shares a core.

    Multiply-adds in flop/s, of one thread alone and of each of all; reads in bytes/s, of each of all from its own
    block; activations a second of numbers in L1, of one thread; one wait for all in seconds.
    """

    clock: float
    issue: float
    fma_one: float
    fma: float
    l1: float
    l2: float
    l3: float
    sigmoid: float
    tanh: float
    barrier: float


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


def activation_rate(name: str) -> float:
    """Activations a second of numbers that lie in L1, on one thread.

    It is the slope between a short and a long call, which the cost of a call is not part of; least times count.
    """
    from rnnfast._core import testing

    isa, sizes = testing.get_isa(), [cache_bytes()["L1d"] // share for share in (128, 12)]
    least = []
    for x in (np.linspace(-3.0, 3.0, size, dtype=np.float32) for size in sizes):
        times = list[float]()
        for _ in range(UNARY_REPEATS):
            start = time.perf_counter()
            testing.unary(isa, name, x)
            times.append(time.perf_counter() - start)
        least.append(min(times))
    return (sizes[1] - sizes[0]) / (least[1] - least[0])


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
        sigmoid=activation_rate("sigmoid"),
        tanh=activation_rate("tanh"),
        barrier=barrier,
    )


def typical(measured: Iterable[Constants]) -> Constants:
    """The median of every constant."""
    rows = [asdict(constants) for constants in measured]
    return Constants(**{field.name: float(median(row[field.name] for row in rows)) for field in fields(Constants)})


def cell_seconds(cell: str, machine: Constants, *, train: bool) -> float:
    """Activations and cell of one unit in one step, and with ``train`` their way back, of one thread.

    The way back is bound by its few activations or by the numbers that it moves: it reads the tape and the gradient of
    the output, and writes those of the gates.
    """
    sigmoids, tanhs = ACTIVATIONS[cell]
    forward = sigmoids / machine.sigmoid + tanhs / machine.tanh
    if not train:
        return forward
    sigmoids, tanhs = ACTIVATIONS_BACK[cell]
    moved = NUMBER * (TAPE[cell] + CELLS[cell].gates + 1)
    return forward + max(sigmoids / machine.sigmoid + tanhs / machine.tanh, moved / machine.l1)


def ports(case: Case, machine: Constants, threads: int) -> dict[str, float]:
    """Seconds that a case takes of each port of one thread: products, cells, l2 and l3.

    Every step reads the recurrent weights once, and once more on the way back. Inputs, outputs, tape and gradients are
    streams: each is written or read once. Of what is larger than a cache, the rest comes from beyond.
    """
    cell, train = "gru" if case.cell == "gru_before" else case.cell, case.mode == "train"
    sizes, passes, rows = cache_bytes(), 1 + train, sum(case.lengths) / threads
    first, second = L1_USABLE * sizes["L1d"], L2_USABLE * sizes["L2"]
    seconds = {"products": case.flops / (threads * machine.fma), "cells": 0.0, "l2": 0.0, "l3": 0.0}
    for inputs, hidden in case.products:
        seconds["cells"] += rows * hidden * cell_seconds(cell, machine, train=train)
        weights = NUMBER * CELLS[case.cell].gates * hidden * hidden / threads
        kept = NUMBER * rows * (inputs + hidden * (1 + train * TAPE[cell]))
        for size, times in ((weights, case.steps * passes), (kept, passes)):
            seconds["l2"] += times * max(0.0, size - first) / machine.l2
            seconds["l3"] += times * max(0.0, size - second) / machine.l3
    return seconds


def bound(case: Case, machine: Constants, threads: int) -> str:
    """The port that limits a case."""
    seconds = ports(case, machine, threads)
    return max(seconds, key=seconds.__getitem__)


def least_seconds(case: Case, machine: Constants, threads: int) -> float:
    """The least time of a case that the machine allows."""
    return max(ports(case, machine, threads).values())

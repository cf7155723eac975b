"""How far training by several processes carries: ``python -m bench distributed``.

It measures what a sum of gradients costs between the processes of this machine, and what a process computes of a step
when 1 to 64 share it. From these it says how long a step takes over networks of 1, 10 and 100 Gbit/s,

    T(P) = t(P) + 2 (P - 1) alpha + 2 (P - 1) / P n beta

with the latency alpha of a message, the seconds beta of a byte and n bytes of gradients (Thakur, Rabenseifner and Gropp
2005), and compares the same formula with real runs of 1, 2 and 4 processes. Times of computing are those of the
processor, so that other work on the machine does not count; the real runs' are what a user waits for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnnfast as rf
from bench import launch
from bench.markdown import table
from rnnfast.processes import Processes

COUNTS = (1, 2, 4, 8, 16, 32, 64)
REAL = (1, 2, 4)
RATES = {"1 Gbit/s": 1e9, "10 Gbit/s": 1e10, "100 Gbit/s": 1e11}
LATENCY = 20e-6  # seconds of a message over TCP: between two namespaces of one machine it is 12 to 18 microseconds
SMALL, LARGE = 64, 1 << 20  # numbers of a sum: the first takes alpha alone, the second beta
WORTH = 1.3  # by which twice the processes must be faster to be worth while
STEPS = 12  # that are timed


@dataclass(frozen=True)
class Problem:
    """A model of one row of the registry of shapes, and its data."""

    make: Callable[[], tuple[Any, dict[str, Any]]]
    title: str


def hydrology() -> tuple[Any, dict[str, Any]]:
    """Rainfall and runoff: 256 sequences of 365 days, 15 inputs, 20 units."""
    rng, N = np.random.default_rng(0), 256 * 4
    x = rng.normal(size=(N, 365, 15)).astype(np.float32)
    model = rf.ManyToOne(15, 1, task="regression", hidden_size=20, seed=0)
    return model, {"x": x, "y": rng.normal(size=(N, 1)), "batch_size": 256, "epochs": STEPS // 4}


def characters() -> tuple[Any, dict[str, Any]]:
    """A char-RNN of 2 x 128 units on 50 streams, 50 steps at a time."""
    text = np.random.default_rng(0).integers(0, 65, 50 * 50 * STEPS + 1)
    model = rf.OneToMany(65, hidden_size=128, num_layers=2, seed=0)
    return model, {"sequences": text, "batch_size": 50, "tbptt": 50, "epochs": 1}


def forecasts() -> tuple[Any, dict[str, Any]]:
    """DeepAR's 2 x 40 units on 64 series of 192 steps."""
    rng, N = np.random.default_rng(0), 64 * STEPS
    model = rf.OneToMany(4, task="regression", hidden_size=40, num_layers=2, seed=0)
    return model, {"sequences": rng.normal(size=(N, 193, 4)), "batch_size": 64, "epochs": 1}


def noise() -> tuple[Any, dict[str, Any]]:
    """RNNoise's 3 x 384 units on 32 pieces of 100 frames."""
    rng, N = np.random.default_rng(0), 32 * 4
    x = rng.normal(size=(N, 100, 65)).astype(np.float32)
    model = rf.ManyToMany(65, 32, task="regression", cell="gru", hidden_size=384, num_layers=3, seed=0)
    return model, {"x": x, "y": x[..., :32], "batch_size": 32, "epochs": 1}


PROBLEMS = {
    "hydrology": Problem(hydrology, "hydrology, 256x365x15x20"),
    "characters": Problem(characters, "char-RNN, 2 layers, 50x50x65x128"),
    "forecasts": Problem(forecasts, "DeepAR, 2 layers, 64x192x4x40"),
    "noise": Problem(noise, "RNNoise, 3 layers, 32x100x65x384"),
}


class Alone:
    """A communicator of ``size`` processes of which this one is there alone, so that nothing is waited for."""

    def __init__(self, size: int) -> None:
        self.size = size

    def Get_rank(self) -> int:
        """Return the first process's number."""
        return 0

    def Get_size(self) -> int:
        """Return the number of processes."""
        return self.size

    def Abort(self, code: int) -> None:
        """Do nothing."""

    def bcast(self, value: Any, root: int) -> Any:
        """Return the value."""
        return value

    def allgather(self, value: Any) -> list[Any]:
        """Return the value for all."""
        return [value] * self.size

    def Allgatherv(self, sent: Any, received: Any) -> None:
        """Let all be as this process."""
        received[0].reshape(-1)[:] = np.resize(sent, received[0].size)

    Alltoallv = staticmethod(lambda sent, received: received[0].__setitem__(..., np.resize(sent[0], received[0].size)))


class Clock(rf.Callback):
    """Notes the time of every step."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now, self.times = now, list[float]()

    def on_step_end(self, run: rf.Run) -> None:
        """Note it."""
        self.times.append(self.now())


def step_seconds(problem: str, now: Callable[[], float], **options: Any) -> float:
    """Return the least time between steps, which other work on the machine has disturbed least."""
    model, data = PROBLEMS[problem].make()
    clock = Clock(now)
    model.fit(**data, **options, callbacks=clock, progress=False, seed=0)
    return float(np.diff(clock.times).min()) if clock.times else 0.0  # only the first process has callbacks


def gradient_bytes(problem: str) -> int:
    """Return the size of all gradients."""
    return sum(p.value.nbytes for p in PROBLEMS[problem].make()[0].parameters().values())


def computed(problem: str) -> dict[int, float]:
    """Return the seconds that a process computes of a step, by the number of processes."""
    now = time.thread_time
    return {size: step_seconds(problem, now, communicator=Alone(size), shards=max(size, 8)) for size in COUNTS}


def sums(world: Any) -> tuple[float, float]:
    """Return alpha and beta of a sum of gradients in fixed order, of the processes that run this."""
    processes, times = Processes(world), {}
    for numbers in (SMALL, LARGE):
        vector, found = np.ones(numbers, np.float32), []
        for _ in range(50):
            world.Barrier()
            begin = time.perf_counter()
            processes.sum([vector], processes.size)
            found.append(time.perf_counter() - begin)
        times[numbers] = min(found)
    rounds = 2 * (processes.size - 1)
    moved = rounds / processes.size * 4 * (LARGE - SMALL)
    return times[SMALL] / rounds, (times[LARGE] - times[SMALL]) / moved


def predicted(compute: float, size: int, gradients: int, alpha: float, beta: float) -> float:
    """Return T(P)."""
    return compute + 2 * (size - 1) * alpha + 2 * (size - 1) / size * gradients * beta


def advice(times: Sequence[float]) -> str:
    """Say up to how many processes it is worth while to double them."""
    best = COUNTS[0]
    for before, after, count in zip(times, times[1:], COUNTS[1:], strict=False):
        if before / after < WORTH:
            break
        best = count
    return "one model a worker" if best == 1 else f"up to {best}"


def worker() -> None:
    """Measure in the processes that an MPI started, and print it as JSON."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    found: dict[str, Any] = {"sums": sums(world) if world.Get_size() > 1 else (0.0, 0.0)}
    for problem in PROBLEMS:
        found[problem] = step_seconds(problem, time.perf_counter, communicator=world, shards=8)
    if world.Get_rank() == 0:
        print(json.dumps(found), flush=True)


def real_runs() -> dict[int, dict[str, Any]]:
    """Return what the workers of 1, 2 and 4 processes measured; nothing without an MPI."""
    if launch.mpiexec() is None:
        print("no mpiexec: real runs are left out")
        return {}
    found = {}
    for size in REAL:
        done = launch.run(launch.command(size, "mpi4py", "-m", "bench.distributed", "worker"), timeout=900)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found[size] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(latency: float) -> None:
    """Measure everything and print the tables."""
    real = real_runs()
    for size, own in real.items():
        if size > 1:
            alpha, beta = own["sums"]
            print(f"{size} processes, shared memory: alpha {alpha * 1e6:.1f} us, {1e-9 / beta:.1f} GB/s")
    for name, problem in PROBLEMS.items():
        compute, gradients = computed(name), gradient_bytes(name)
        plain = step_seconds(name, time.thread_time)
        print(
            f"\n### {problem.title}\n\nGradients of {gradients / 1e3:.0f} kB; plain fit {plain * 1e3:.2f} ms a step\n"
        )
        rows = [["computed"] + [f"{compute[size] * 1e3:.2f}" for size in COUNTS] + [""]]
        for title, rate in RATES.items():
            times = [predicted(compute[size], size, gradients, latency, 8 / rate) for size in COUNTS]
            gains = [f"{t * 1e3:.2f} ({times[0] / t:.1f})" for t in times]
            rows.append([title, *gains, advice(times)])
        print(table(["ms (times as fast)", *map(str, COUNTS), "worth while"], rows))
        for size, own in real.items():
            wanted = predicted(compute[size], size, gradients, *own["sums"])
            print(f"\n{size} processes here: {own[name] * 1e3:.2f} ms, {wanted * 1e3:.2f} ms by the formula")
        both = (
            f"{compute[1] / 2 / compute[2]:.2f} against 8 parts in one, {plain / 2 / compute[2]:.2f} against plain fit"
        )
        print(f"\nefficiency of 2 processes by the time of the processor: {both}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, or one of its processes."""
    if list(arguments) == ["worker"]:
        worker()
        return 0
    parser = argparse.ArgumentParser(prog="python -m bench distributed", description=__doc__)
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds of a message over the network")
    latency = parser.parse_args(arguments).latency
    with rf.threads(1):  # as in the processes of the real runs
        report(latency)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

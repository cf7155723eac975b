"""Updates a second of recurrent PPO, rnnfast beside PyTorch: ``python -m bench.ppo``.

Eight environments take 128 steps, and a GRU of 64 units learns from them in four epochs. Each library runs in a process
of its own on one thread. They take turns, update by update; the median of the ratios of rounds counts. Times are those
of the processor, which other programs do not lengthen. PyTorch's loop is that of ``bench.ppo_torch``, in the faster of
its two ways. The environments cost next to nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from bench.process import ROOT, pin, thread_environment

ENVIRONMENTS, STEPS, EPOCHS = 8, 128, 4
OBSERVATIONS, ACTIONS, HIDDEN = 4, 2, 64
LENGTH = 200
"""Steps of an episode."""

LIBRARIES = ("rnnfast", "torch", "torch-by-step")
PARTS = ("update", "collect and update")


class Walk:
    """An environment of random observations that are drawn before; its episodes end after ``LENGTH`` steps."""

    def __init__(self, n: int) -> None:
        self.observations = np.random.default_rng(n).standard_normal((LENGTH + 1, OBSERVATIONS)).astype(np.float32)
        self.age = LENGTH * n // ENVIRONMENTS

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; the first one of each environment is shorter, so that they do not end together."""
        self.age %= LENGTH
        return self.observations[self.age], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Reward one of the actions."""
        self.age += 1
        return self.observations[self.age], float(action), self.age == LENGTH, False, {}


def environments() -> list[Walk]:
    """New environments."""
    return [Walk(n) for n in range(ENVIRONMENTS)]


def ours(minibatches: int) -> dict[str, Callable[[], object]]:
    """What is timed of rnnfast."""
    import rnnfast as rf
    from rnnfast.rl import ActorCritic, Collector, ppo_update

    agent = ActorCritic(OBSERVATIONS, ACTIONS, cell="gru", hidden_size=HIDDEN, seed=0)
    collector, optimizer = Collector(agent, environments(), seed=0), rf.Adam(lr=3e-4)
    rollout = collector.collect(STEPS)

    def update(given: Any) -> None:
        ppo_update(agent, given, optimizer, epochs=EPOCHS, minibatches=minibatches)

    return {PARTS[0]: lambda: update(rollout), PARTS[1]: lambda: update(collector.collect(STEPS))}


def theirs(minibatches: int, *, by_step: bool) -> dict[str, Callable[[], object]]:
    """What is timed of PyTorch."""
    import torch

    from bench.ppo_torch import Agent, Loop

    torch.set_num_threads(1)
    torch.manual_seed(0)
    loop = Loop(Agent(OBSERVATIONS, ACTIONS, HIDDEN, by_step=by_step), environments(), STEPS)
    rollout = loop.collect()

    def update(given: Any) -> None:
        loop.update(given, epochs=EPOCHS, minibatches=minibatches)

    return {PARTS[0]: lambda: update(rollout), PARTS[1]: lambda: update(loop.collect())}


def serve(library: str, minibatches: int) -> None:
    """Time the part that each line of the standard input names, and print its seconds on the processor."""
    pin(1)
    contestants = ours(minibatches) if library == "rnnfast" else theirs(minibatches, by_step=library == "torch-by-step")
    for run in contestants.values():
        run()
    print(json.dumps(0.0), flush=True)
    for line in sys.stdin:
        run = contestants[line.strip()]
        start = time.process_time()
        run()
        print(json.dumps(time.process_time() - start), flush=True)


def start(library: str, minibatches: int) -> subprocess.Popen[str]:
    """A process that serves a library, ready to be asked."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.ppo", "--serve", library, "--minibatches", str(minibatches)],
        cwd=ROOT, env=thread_environment(1), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    answer(process)
    return process


def answer(process: subprocess.Popen[str]) -> float:
    """The next number that a process prints."""
    assert process.stdout is not None
    printed = process.stdout.readline()
    if not printed:
        process.communicate()
        raise RuntimeError(f"{process.args!r}: seconds are required, got its end with code {process.returncode}")
    return float(json.loads(printed))


def ask(process: subprocess.Popen[str], part: str) -> float:
    """Seconds of the processor that a part takes."""
    assert process.stdin is not None
    process.stdin.write(f"{part}\n")
    process.stdin.flush()
    return answer(process)


def measure(rounds: int, minibatches: int) -> dict[str, list[dict[str, float]]]:
    """Seconds of each library in each round, by part."""
    processes = {library: start(library, minibatches) for library in LIBRARIES}
    try:
        return {
            part: [{name: ask(process, part) for name, process in processes.items()} for _ in range(rounds)]
            for part in PARTS
        }
    finally:
        for process in processes.values():
            process.communicate()


def line(part: str, rounds: Sequence[dict[str, float]]) -> str:
    """What was measured of a part: updates a second, and the median of the ratios of rounds."""
    best = min(LIBRARIES[1:], key=lambda name: median(each[name] for each in rounds))
    rates = ", ".join(f"{name} {1 / median(each[name] for each in rounds):.1f}" for name in LIBRARIES)
    ratio = median(each[best] / each["rnnfast"] for each in rounds)
    return f"{part}: {rates} updates a second; {ratio:.2f} times as fast as {best}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="of one update of each library; default: 30")
    parser.add_argument("--minibatches", type=int, default=4, help="in which an epoch is divided; default: 4")
    parser.add_argument("--serve", choices=LIBRARIES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.minibatches)
        return
    for part, rounds in measure(arguments.rounds, arguments.minibatches).items():
        print(line(part, rounds), flush=True)


if __name__ == "__main__":
    main()

"""Repeat at the end of an episode what its first step showed: the advantage actor-critic of an LSTM.

The agent sees a cue, then nothing, then a signal to answer. Chance earns a third; memory earns 1. Any class with
Gymnasium's ``reset`` and ``step`` is an environment, so that this program needs NumPy only.
"""

from __future__ import annotations

import argparse
import sys
from statistics import fmean
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast.rl import ActorCritic, Collector, a2c_update, play

CUES = 3
ENVIRONMENTS, STEPS = 16, 32


class Memory:
    """Shows a cue at first and rewards, ``length`` steps later, the action of its number."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.rng = np.random.default_rng()

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.cue, self.age = int(self.rng.integers(CUES)), 0
        return self._shown(), {}

    def step(self, action: Any, /) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action; only the last one counts."""
        ends = self.age == self.length
        self.age += 1
        return self._shown(), float(ends and action == self.cue), ends, False, {}

    def _shown(self) -> Any:
        shown = np.zeros(CUES + 1)
        if self.age == 0:
            shown[self.cue] = 1
        shown[CUES] = self.age == self.length
        return shown


def main(*, steps: int = 100_000, length: int = 4, seed: int = 0, episodes: int = 96, show: bool = False) -> float:
    """Train for ``steps`` steps of all environments together; return the mean return of greedy episodes."""
    agent = ActorCritic(CUES + 1, CUES, cell="lstm", hidden_size=32, seed=seed)
    optimizer = rf.Adam(agent.parameters(), lr=3e-3)
    collector = Collector(agent, [Memory(length) for _ in range(ENVIRONMENTS)], seed=seed)
    updates = steps // (ENVIRONMENTS * STEPS)
    for update in range(updates):
        found = a2c_update(agent, collector.collect(STEPS), optimizer, lam=0.95, entropy_weight=0.01, normalize=True)
        if show and (update + 1) % 20 == 0:
            taken, recent = (update + 1) * ENVIRONMENTS * STEPS, collector.finished[-200:]
            print(f"{taken} steps, return {fmean(recent):.2f}, entropy {found['entropy']:.3f}")
    return fmean(play(agent, [Memory(length) for _ in range(ENVIRONMENTS)], episodes, seed=seed + 1000))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=4, help="steps between the cue and the answer")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = main(**vars(arguments), show=True)
    print(f"greedy return {found:.2f}; chance {1 / CUES:.2f}")
    sys.exit(None if found > 1 / CUES else "the agent does not beat chance")

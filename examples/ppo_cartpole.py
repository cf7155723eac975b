"""Balance a pole without seeing how fast anything moves: proximal policy optimisation of a GRU.

CartPole shows four numbers: the positions of cart and pole and their speeds. Here the speeds are left out, so that one
observation does not say what to do, and the agent must remember. The baseline remembers nothing: it pushes to the side
to which the pole leans. Needs ``gymnasium``.
"""

from __future__ import annotations

import argparse
import sys
from statistics import fmean
from typing import Any

import gymnasium
import numpy as np

import rnnfast as rf
from rnnfast.rl import ActorCritic, Collector, play, ppo_update

ENVIRONMENTS, STEPS = 8, 128
SCALE = np.array([2.4, 0.2])  # where an episode ends: metres, and radians
REWARD = 0.05  # returns near 1, so that errors of values do not drown the gradient of the policy


class Positions(gymnasium.ObservationWrapper):
    """CartPole's positions, between -1 and 1."""

    def observation(self, observation: Any) -> Any:
        """Leave out the speeds."""
        return observation[[0, 2]] / SCALE


class Scaled(gymnasium.RewardWrapper):
    """Smaller rewards."""

    def reward(self, reward: Any) -> Any:
        """Scale a reward."""
        return reward * REWARD


def make(count: int) -> list[Any]:
    """Return environments whose episodes are cut off after 500 steps."""
    return [Positions(gymnasium.make("CartPole-v1")) for _ in range(count)]


def leaning(episodes: int, seed: int) -> float:
    """Return the mean return of the baseline."""
    returns = []
    for episode, environment in enumerate(make(episodes)):
        observation, ends, steps = environment.reset(seed=seed + episode)[0], False, 0
        while not ends:
            observation, _, fell, late, _ = environment.step(int(observation[1] > 0))
            ends, steps = fell or late, steps + 1
        returns.append(steps)
    return fmean(returns)


def train(*, steps: int, hidden: int = 64, seed: int = 0, show: bool = False) -> ActorCritic:
    """Return an agent that has learned from ``steps`` steps of all environments together."""
    agent = ActorCritic(2, 2, cell="gru", hidden_size=hidden, seed=seed)
    optimizer = rf.Adam(agent.parameters())
    collector = Collector(agent, [Scaled(each) for each in make(ENVIRONMENTS)], seed=seed)
    updates = steps // (ENVIRONMENTS * STEPS)
    for update in range(updates):
        optimizer.lr = 1e-3 * (1 - update / updates)
        found = ppo_update(agent, collector.collect(STEPS), optimizer, epochs=8, minibatches=2, entropy_weight=0.005)
        if show and (update + 1) % 20 == 0:
            taken, recent = (update + 1) * ENVIRONMENTS * STEPS, fmean(collector.finished[-50:]) / REWARD
            print(f"{taken} steps, return {recent:.1f}, kl {found['kl']:.4f}, entropy {found['entropy']:.3f}")
    return agent


def main(
    *, steps: int = 300_000, hidden: int = 64, seed: int = 0, episodes: int = 100, show: bool = False
) -> list[float]:
    """Train an agent, and return the returns of greedy episodes."""
    agent = train(steps=steps, hidden=hidden, seed=seed, show=show)
    return play(agent, make(episodes), episodes, seed=seed + 1000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = main(**vars(arguments), show=True)
    baseline = leaning(100, arguments.seed + 1000)
    print(f"smallest greedy return {min(found):.0f} of {len(found)} episodes")
    print(f"greedy return {fmean(found):.1f}; baseline {baseline:.1f}")
    sys.exit(None if fmean(found) > baseline else "the agent does not beat its baseline")

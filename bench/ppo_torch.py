"""Recurrent PPO in plain PyTorch: what ``rnnfast.rl`` does, with the same numbers.

An episode that ends within a rollout must not pass its state on. There are two ways in PyTorch, and the faster one
counts: one call of the GRU for each step, or one for each stretch in which no environment begins an episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Rollout = dict[str, Any]


class Agent(nn.Module):
    """A GRU with a policy and a value; its parameters have the names of ``rnnfast.rl.ActorCritic``."""

    def __init__(self, observations: int, actions: int, hidden: int, *, by_step: bool = False) -> None:
        super().__init__()
        self.rnn = nn.GRU(observations, hidden)
        self.policy, self.value = nn.Linear(hidden, actions), nn.Linear(hidden, 1)
        self.by_step = by_step

    def forward(self, x: Tensor, state: Tensor, begins: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities (T, N, K) and values (T, N) of observations (T, N, C), and the last state."""
        T = len(x)
        inner = range(1, T) if self.by_step else (np.flatnonzero(begins[1:].any(axis=1)) + 1).tolist()
        parts = []
        for a, b in pairwise([0, *inner, T]):
            if begins[a].any():
                state = state * torch.from_numpy(~begins[a])[None, :, None]
            y, state = self.rnn(x[a:b], state)
            parts.append(y)
        h = parts[0] if len(parts) == 1 else torch.cat(parts)
        return torch.log_softmax(self.policy(h), dim=-1), self.value(h)[..., 0], state


class Loop:
    """An agent that learns in environments: ``collect`` takes 128 steps, ``update`` learns from them."""

    def __init__(self, agent: Agent, environments: Sequence[Any], steps: int) -> None:
        self.agent, self.environments, self.steps = agent, environments, steps
        self.optimizer = torch.optim.Adam(agent.parameters(), lr=3e-4, fused=True)
        self.observation = np.stack([each.reset()[0] for each in environments])
        self.begins = np.ones(len(environments), bool)
        self.state = torch.zeros(1, len(environments), agent.rnn.hidden_size)
        self.rng = np.random.default_rng(0)

    @torch.no_grad()
    def collect(self) -> Rollout:
        """Take steps in every environment."""
        first, rows = self.state, list[tuple[Any, ...]]()
        for _ in range(self.steps):
            x = torch.from_numpy(self.observation)
            log_probs, values, self.state = self.agent(x[None], self.state, self.begins[None])
            actions = torch.multinomial(log_probs[0].exp(), 1)
            taken = [e.step(a) for e, a in zip(self.environments, actions[:, 0].tolist(), strict=True)]
            ends = np.array([terminated or truncated for _, _, terminated, truncated, _ in taken])
            rewards = np.array([reward for _, reward, *_ in taken])
            chosen = log_probs[0].gather(1, actions)[:, 0]
            rows.append((x, self.begins, actions[:, 0], chosen, values[0], rewards, ends))
            shown = [
                e.reset()[0] if end else each[0] for e, each, end in zip(self.environments, taken, ends, strict=True)
            ]
            self.observation, self.begins = np.stack(shown), ends
        columns = [list(column) for column in zip(*rows, strict=True)]
        last = self.agent(torch.from_numpy(self.observation)[None], self.state, self.begins[None])[1][0]
        return {
            "observations": torch.stack(columns[0]),
            "begins": np.stack(columns[1]),
            "actions": torch.stack(columns[2]),
            "log_probs": torch.stack(columns[3]),
            "values": torch.stack(columns[4]).numpy(),
            "rewards": np.stack(columns[5]),
            "dones": np.stack(columns[6]),
            "last_value": last.numpy(),
            "state": first,
        }

    def update(self, rollout: Rollout, *, epochs: int, minibatches: int) -> None:
        """Learn from a rollout as ``rnnfast.rl.ppo_update`` does by default."""
        gains, returns = advantages(rollout)
        for _ in range(epochs):
            for chosen in np.array_split(self.rng.permutation(len(self.environments)), minibatches):
                gain = torch.from_numpy(gains[:, chosen].astype(np.float32))
                gain = (gain - gain.mean()) / (gain.std(unbiased=False) + 1e-8)
                log_probs, values, _ = self.agent(
                    rollout["observations"][:, chosen], rollout["state"][:, chosen], rollout["begins"][:, chosen]
                )
                taken = log_probs.gather(2, rollout["actions"][:, chosen, None])[..., 0]
                ratio = (taken - rollout["log_probs"][:, chosen]).exp()
                policy_loss = -torch.minimum(ratio * gain, ratio.clamp(0.8, 1.2) * gain).mean()
                target = torch.from_numpy(returns[:, chosen].astype(np.float32))
                entropy = -(log_probs.exp() * log_probs).sum(dim=-1).mean()
                loss = policy_loss + 0.5 * (values - target).square().mean() - 0.01 * entropy
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.agent.parameters(), 0.5)
                self.optimizer.step()


def advantages(rollout: Rollout, gamma: float = 0.99, lam: float = 0.95) -> tuple[Any, Any]:
    """Generalised advantages and returns, float64 (T, N)."""
    values = rollout["values"].astype(np.float64)
    goes_on = np.where(rollout["dones"], 0.0, 1.0)
    after = np.concatenate([values[1:], rollout["last_value"][None]]) * goes_on
    found = rollout["rewards"] + gamma * after - values
    for t in reversed(range(len(found) - 1)):
        found[t] += gamma * lam * goes_on[t] * found[t + 1]
    return found, found + values

"""Train a recurrent policy with PPO on a task of memory: at the end of an episode, repeat what its first step showed.

Episodes end in the middle of a rollout, and the state must begin anew there. In plain PyTorch that is a loop over steps
which multiplies the state with a mask. The LSTM of ``rnnfast.interop.torch`` takes the beginnings of episodes as
``resets`` and computes a rollout in one call.
"""

from __future__ import annotations

import argparse
import sys

import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from rnnfast.interop.torch import LSTM

ENVIRONMENTS = 8
CUES, LENGTH = 3, 6
State = tuple[Tensor, Tensor]


class MemoryTask:
    """Environments that show a cue at first, then nothing, and reward the action that is the cue at the last step."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.age = torch.randint(length, (ENVIRONMENTS,))
        self.cue = torch.randint(CUES, (ENVIRONMENTS,))

    def observe(self) -> tuple[Tensor, Tensor]:
        """Return observations (N, CUES + 1) and whether episodes begin (N,)."""
        begins, ends = self.age == 0, self.age == self.length - 1
        shown = nn.functional.one_hot(self.cue, CUES) * begins[:, None]
        return torch.cat([shown, ends[:, None]], dim=1).float(), begins

    def act(self, action: Tensor) -> Tensor:
        """Take a step; return rewards (N,)."""
        ends = self.age == self.length - 1
        reward = (ends & (action == self.cue)).float()
        self.age = torch.where(ends, 0, self.age + 1)
        self.cue = torch.where(ends, torch.randint(CUES, (ENVIRONMENTS,)), self.cue)
        return reward


class Agent(nn.Module):
    """An LSTM with a policy and a value on top."""

    def __init__(self, hidden: int, *, fast: bool) -> None:
        super().__init__()
        self.lstm = LSTM(CUES + 1, hidden) if fast else nn.LSTM(CUES + 1, hidden)
        self.policy = nn.Linear(hidden, CUES)
        self.value = nn.Linear(hidden, 1)
        self.fast = fast

    def forward(self, x: Tensor, state: State, begins: Tensor) -> tuple[Categorical, Tensor, State]:
        """Return the policy and the values of observations (T, N, C); the state begins anew where episodes do."""
        if self.fast:
            y, state = self.lstm(x, state, resets=begins)
        else:
            steps = []
            for step, begin in zip(x, begins, strict=True):
                keep = (~begin).to(x.dtype)[None, :, None]
                h, state = self.lstm(step[None], (state[0] * keep, state[1] * keep))
                steps.append(h)
            y = torch.cat(steps)
        return Categorical(logits=self.policy(y)), self.value(y)[..., 0], state


@torch.no_grad()
def rollout(agent: Agent, task: MemoryTask, state: State, steps: int) -> tuple[list[Tensor], State]:
    """Return observations, beginnings, actions, log-probabilities, values and rewards (T, N), and the last state."""
    rows = []
    for _ in range(steps):
        observation, begins = task.observe()
        x = observation.to(agent.policy.weight.dtype)
        policy, value, state = agent(x[None], state, begins[None])
        action = policy.sample()[0]
        rows.append((x, begins, action, policy.log_prob(action[None])[0], value[0], task.act(action).to(x.dtype)))
    return [torch.stack(column) for column in zip(*rows, strict=True)], state


def advantages(begins: Tensor, values: Tensor, rewards: Tensor) -> Tensor:
    """Return generalised advantages (T, N), of the steps of one episode each (Schulman et al. 2016)."""
    found, last, after = torch.zeros_like(values), torch.zeros_like(values[0]), torch.zeros_like(values[0])
    for t in reversed(range(len(values))):
        goes_on = (~begins[t + 1]).to(values.dtype) if t + 1 < len(values) else torch.zeros_like(last)
        delta = rewards[t] + 0.99 * goes_on * after - values[t]
        last = delta + 0.99 * 0.95 * goes_on * last
        found[t], after = last, values[t]
    return found


def main(*, steps: int = 200, hidden: int = 64, fast: bool = True, dtype: torch.dtype = torch.float32) -> list[float]:
    """Train the agent for ``steps`` updates of a rollout of 64 steps; return the loss of every update."""
    return train(steps=steps, hidden=hidden, fast=fast, dtype=dtype)[0]


def train(*, steps: int, hidden: int, fast: bool, dtype: torch.dtype) -> tuple[list[float], float]:
    """Return the loss of every update, and the mean reward of an episode in the last rollout."""
    torch.manual_seed(0)
    agent, task = Agent(hidden, fast=False).to(dtype), MemoryTask(LENGTH)
    if fast:
        plain, agent = agent, Agent(hidden, fast=True).to(dtype)
        agent.load_state_dict(plain.state_dict())
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(agent.parameters(), lr=3e-3)
    state = (torch.zeros(1, ENVIRONMENTS, hidden, dtype=dtype), torch.zeros(1, ENVIRONMENTS, hidden, dtype=dtype))
    losses: list[float] = []
    while len(losses) < steps:
        first = state
        (x, begins, actions, before, values, rewards), state = rollout(agent, task, state, 64)
        gains = advantages(begins, values, rewards)
        returns = gains + values
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        for _ in range(min(4, steps - len(losses))):
            optimizer.zero_grad()
            policy, value, _ = agent(x, first, begins)
            ratio = (policy.log_prob(actions) - before).exp()
            gain = torch.minimum(ratio * gains, ratio.clamp(0.8, 1.2) * gains).mean()
            loss = 0.5 * (value - returns).square().mean() - gain - 0.01 * policy.entropy().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
            losses.append(loss.item())
    return losses, float(rewards.sum() / x[..., CUES].sum())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--plain", action="store_true", help="loop over the steps with PyTorch's LSTM")
    arguments = parser.parse_args()
    fast = not arguments.plain
    found, reward = train(steps=arguments.steps, hidden=64, fast=fast, dtype=torch.float32)
    print(f"loss {found[0]:.3f} at first, {found[-1]:.3f} after {len(found)} updates")
    print(f"reward of an episode {reward:.3f}; chance {1 / CUES:.3f}")
    sys.exit(None if reward > 1 / CUES else "the agent does not beat chance")

"""Steps of several environments: how they are collected, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, Float64
from rnnfast.checks import names_arguments
from rnnfast.copies import CopiedWhole
from rnnfast.rl.actor_critic import ActorCritic, AgentState, Decision
from rnnfast.rl.advantages import as_share, gae


class Environment(Protocol):
    """What is needed of an environment: the interface of Gymnasium."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]: ...  # noqa: D102

    def step(self, action: Any, /) -> tuple[Any, Any, bool, bool, dict[str, Any]]: ...  # noqa: D102


@dataclass(frozen=True, eq=False, kw_only=True)
class Rollout(CopiedWhole):
    """T steps of N environments.

    Parameters
    ----------
    observations : array (T, N, C)
        What the environments showed before each step.
    begins : bool (T, N)
        Whether an episode begins with the observation.
    actions : integers (T, N), or array (T, N, D)
        What was done.
    log_probs : array (T, N)
        Log-probabilities of the actions under the policy that acted.
    values : array (T, N)
        Values of the observations, estimated before each step.
    rewards : array (T, N)
        What each step gave.
    dones : bool (T, N)
        Whether an episode ended with the step, for any reason.
    final_values : array (T, N)
        Values of the last observations of episodes that were cut off (truncated, as at a limit of time), at their last
        steps; 0 elsewhere, also where an episode came to its own end.
    last_value : array (N,)
        Values of the observations after the last step.
    state : AgentState or None
        Before the first step, each (L, N, H); None for the initial one.

    Examples
    --------
    See ``Collector``.
    """

    observations: Array
    begins: Array
    actions: Array
    log_probs: Array
    values: Array
    rewards: Array
    dones: Array
    final_values: Array
    last_value: Array
    state: AgentState | None = None

    def advantages(self, gamma: float = 0.99, lam: float = 0.95) -> tuple[Float64, Float64]:
        """Return generalised advantages and returns, float64 (T, N), as ``gae`` does.

        An episode that was cut off would have gone on: its last reward counts with ``gamma`` times its final value.
        """
        rewards = self.rewards + as_share("gamma", gamma) * self.final_values
        return gae(rewards, self.values, self.dones, self.last_value, gamma, lam)

    def environments(self, chosen: npt.ArrayLike) -> Rollout:
        """Return the whole sequences of some environments, ``chosen`` by their indices 0..N-1.

        Raises
        ------
        ValueError
            If an index is none of these, or they have not one axis.
        TypeError
            If they are no integers.
        """
        index, N = checks.as_array("chosen", chosen), self.rewards.shape[1]
        if index.dtype.kind not in "iu":
            raise TypeError(f"chosen: integers are required, got dtype {index.dtype}")
        if index.ndim != 1 or not index.size or index.min() < 0 or index.max() >= N:
            wanted = f"at least one index of 0..N-1 (N = {N}), along one axis,"
            raise ValueError(f"chosen: {wanted} is required, got {checks.shown(chosen)}")
        columns = {name: a[:, index] for name, a in vars(self).items() if name not in ("last_value", "state")}
        return Rollout(**columns, last_value=self.last_value[index], state=_of_environments(self.state, index))


def _of_environments(state: AgentState | None, index: Array) -> AgentState | None:
    if state is None:
        return None
    return tuple(tuple(p[:, index] for p in s) if isinstance(s, tuple) else s[:, index] for s in state)


class Collector(CopiedWhole):
    """Lets an agent act in N environments, and keeps where they are from one rollout to the next.

    An environment whose episode ends is reset at once.

    Parameters
    ----------
    agent : ActorCritic
        Who acts; its states are those of these environments.
    environments : sequence of environments
        N, each with Gymnasium's ``reset`` and ``step``, and observations that flatten to C numbers.
    seed : int or None
        The first ``reset`` of environment n is given ``seed + n``. None gives none.

    Attributes
    ----------
    finished : list of float
        Sums of the rewards of all episodes that ended so far, in order.

    Raises
    ------
    ValueError
        If there is no environment.
    TypeError
        If the agent is none.

    Examples
    --------
    >>> from rnnfast.rl import ActorCritic, Collector
    >>> class Count:
    ...     def reset(self, *, seed=None):
    ...         self.t = 0
    ...         return [0.0], {}
    ...
    ...     def step(self, action):
    ...         self.t += 1
    ...         return [float(self.t)], float(action), self.t == 3, False, {}
    >>> collector = Collector(ActorCritic(1, 2, hidden_size=4, seed=0), [Count(), Count()])
    >>> rollout = collector.collect(4)
    >>> rollout.observations[:, 0, 0].tolist(), rollout.begins[:, 0].tolist(), len(collector.finished)
    ([0.0, 1.0, 2.0, 0.0], [True, False, False, True], 2)
    """

    @names_arguments
    def __init__(self, agent: ActorCritic, environments: Sequence[Environment], *, seed: int | None = None) -> None:
        if not isinstance(agent, ActorCritic):
            raise TypeError(f"agent: an ActorCritic is required, got {checks.shown(agent)}")
        self.agent = agent
        self.environments: list[Any] = list(checks.as_items("environments", environments))
        if not self.environments or not all(hasattr(e, "reset") and hasattr(e, "step") for e in self.environments):
            raise ValueError(
                f"environments: at least one, each with reset and step, is required, got {checks.shown(environments)}"
            )
        first, count = checks.as_seed(seed), len(self.environments)
        shown = [e.reset(seed=None if first is None else first + n)[0] for n, e in enumerate(self.environments)]
        self.finished: list[float] = []
        self._observation = np.stack([self._flat(each) for each in shown])
        self._begins, self._sums = np.ones(count, bool), np.zeros(count)

    def collect(self, steps: int, *, greedy: bool = False) -> Rollout:
        """Take T = ``steps`` steps in every environment.

        Parameters
        ----------
        steps : int
            T, at least 1.
        greedy : bool
            Whether the most probable actions are taken, not drawn ones.

        Returns
        -------
        Rollout
        """
        steps, greedy = checks.as_size("steps", steps), checks.as_flag("greedy", greedy)
        state = None if self._begins.all() else self.agent.state
        rows: list[dict[str, Array]] = []
        for _ in range(steps):
            row = {"observations": self._observation, "begins": self._begins}
            decision = self.agent.act(self._observation, self._begins, greedy=greedy)
            rows.append({**row, **vars(decision), **self._advance(decision)})
        columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        last_value = self.agent.value(self._observation, self._begins)
        return Rollout(**columns, last_value=last_value, state=state)

    def _advance(self, decision: Decision) -> dict[str, Array]:
        """Take one step in every environment; return rewards, dones and final values (N,)."""
        # Environments take integers and rows; a NumPy integer is both an index and hashable.
        taken = [e.step(action) for e, action in zip(self.environments, decision.actions, strict=True)]
        after = np.stack([self._flat(observation) for observation, *_ in taken])
        rewards = np.array([float(reward) for _, reward, *_ in taken])
        terminated, truncated = (np.array([bool(each[i]) for each in taken]) for i in (2, 3))
        ended, cut = terminated | truncated, truncated & ~terminated
        final = np.zeros(len(taken), self.agent.dtype)
        if cut.any():
            final[cut] = self.agent.value(after, np.zeros(len(taken), bool))[cut]
        self._sums += rewards
        for n in np.flatnonzero(ended):
            self.finished.append(float(self._sums[n]))
            after[n], self._sums[n] = self._flat(self.environments[n].reset()[0]), 0
        self._observation, self._begins = after, ended
        return {"rewards": rewards, "dones": ended, "final_values": final}

    def _flat(self, observation: Any) -> Array:
        return checks.as_reals("observation", observation, self.agent.dtype).reshape(-1)


def play(
    agent: ActorCritic,
    environments: Sequence[Environment],
    episodes: int,
    *,
    greedy: bool = True,
    seed: int | None = None,
) -> list[float]:
    """Return the sums of rewards of whole episodes; the agent's own states and random numbers stay as they are.

    Every environment plays the same number of episodes, so that short ones do not count more.

    Parameters
    ----------
    agent : ActorCritic
        Who acts.
    environments : sequence of environments
        N, as for ``Collector``; not those that a collector uses at the time.
    episodes : int
        How many in all, a multiple of N.
    greedy : bool
        Whether the most probable actions are taken, not drawn ones.
    seed : int or None
        As for ``Collector``.

    Returns
    -------
    list of float
        One for each episode.

    Raises
    ------
    ValueError
        If ``episodes`` is no multiple of N.
    TypeError
        If the agent is none.

    Examples
    --------
    >>> from rnnfast.rl import ActorCritic, play
    >>> class Once:
    ...     def reset(self, *, seed=None):
    ...         return [0.0], {}
    ...
    ...     def step(self, action):
    ...         return [0.0], 1.0, True, False, {}
    >>> play(ActorCritic(1, 2, hidden_size=4), [Once(), Once()], 4)
    [1.0, 1.0, 1.0, 1.0]
    """
    episodes = checks.as_size("episodes", episodes)
    collector = Collector(copy(agent), environments, seed=seed)
    share, rest = divmod(episodes, len(collector.environments))
    if rest:
        wanted = f"a multiple of the number of environments = {len(collector.environments)}"
        raise ValueError(f"episodes: {wanted} is required, got {episodes}")
    sums: list[list[float]] = [[0.0] for _ in collector.environments]
    while any(len(each) <= share for each in sums):
        rollout = collector.collect(1, greedy=greedy)
        for each, reward, done in zip(sums, rollout.rewards[0], rollout.dones[0], strict=True):
            each[-1] += float(reward)
            if done:
                each.append(0.0)
    return [episode for each in sums for episode in each[:share]]

"""An agent learns from a rollout: proximal policy optimisation and the advantage actor-critic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.checks import names_arguments
from rnnfast.optim import Optimizer, clip_grad_norm
from rnnfast.rl.actor_critic import ActorCritic, Evaluation
from rnnfast.rl.losses import a2c_loss, ppo_loss, value_loss
from rnnfast.rl.rollout import Rollout

Losses: TypeAlias = tuple[tuple[float, Array], tuple[float, Array]]
"""Loss and gradient of the policy, loss and gradient of the values."""


@names_arguments
def ppo_update(
    agent: ActorCritic,
    rollout: Rollout,
    optimizer: Optimizer,
    *,
    gamma: float = 0.99,
    lam: float = 0.95,
    epochs: int = 4,
    minibatches: int = 4,
    clip: float = 0.2,
    value_clip: float | None = None,
    value_weight: float = 0.5,
    entropy_weight: float = 0.01,
    max_norm: float = 0.5,
    normalize: bool = True,
) -> dict[str, float]:
    """Let the agent learn from a rollout by proximal policy optimisation.

    ``L = ppo_loss + value_weight value_loss - entropy_weight mean entropy``, back-propagated through the whole
    sequences of the environments of a minibatch. Each of ``epochs`` times ``minibatches`` steps of the optimiser uses
    the states with which the sequences began when they were collected.

    Scale rewards so that returns are near 1: where policy and value share layers, and under ``max_norm``, large errors
    of values drown the gradient of the policy.

    Parameters
    ----------
    agent : ActorCritic
        Who collected the rollout.
    rollout : Rollout
        T steps of N environments.
    optimizer : Optimizer
        Bound to the agent's parameters, or unbound; keep it from one update to the next.
    gamma : float
        Discount of a reward one step later, within [0, 1].
    lam : float
        Weight of longer returns, within [0, 1].
    epochs : int
        How often the rollout is used.
    minibatches : int
        Parts into which the N environments are divided at random; at most N.
    clip : float
        How far from 1 the ratio of probabilities may gain, above 0.
    value_clip : float or None
        How far from its old value a value may improve, above 0; None does not bound it.
    value_weight : float
        Factor of the loss of values, at least 0.
    entropy_weight : float
        Factor of the entropy, at least 0, which keeps the policy from settling early.
    max_norm : float
        Largest norm of the gradient, above 0.
    normalize : bool
        Whether the advantages of each minibatch are brought to mean 0 and standard deviation 1.

    Returns
    -------
    dict of str to float
        Means over all steps of the optimiser: ``policy_loss``, ``value_loss``, ``entropy``, ``gradient_norm`` (before
        it is clipped), ``kl`` (the estimate mean(w - 1 - log w) of the divergence from the old policy) and
        ``clipped`` (the share of ratios w further than ``clip`` from 1).

    Raises
    ------
    ValueError
        If a number or a shape does not fit, or the optimiser is bound to other parameters.
    TypeError
        If an argument has another type.
    FloatingPointError
        If a gradient is not finite; the parameters are unchanged.

    References
    ----------
    J. Schulman et al., "Proximal policy optimization algorithms", arXiv:1707.06347 (2017).

    Examples
    --------
    >>> import rnnfast as rf
    >>> from rnnfast.rl import ActorCritic, Collector, ppo_update
    >>> class Guess:
    ...     def reset(self, *, seed=None):
    ...         return [1.0], {}
    ...
    ...     def step(self, action):
    ...         return [1.0], float(action == 1), True, False, {}
    >>> agent = ActorCritic(1, 2, hidden_size=8, seed=0)
    >>> collector, optimizer = Collector(agent, [Guess() for _ in range(8)]), rf.Adam(lr=0.01)
    >>> for _ in range(20):
    ...     found = ppo_update(agent, collector.collect(8), optimizer)
    >>> agent.act([[1.0]], [True], greedy=True).actions
    array([1])
    """
    clip = checks.above_zero("clip", clip)
    bound = None if value_clip is None else checks.above_zero("value_clip", value_clip)

    def losses(found: Evaluation, part: Rollout, advantages: Array, returns: Array) -> Losses:
        return (
            ppo_loss(found.log_probs, part.log_probs, advantages, clip=clip),
            value_loss(found.values, returns, part.values, clip=bound),
        )

    ratios: list[Array] = []
    means = _learn(
        agent, rollout, optimizer, losses, ratios, gamma=gamma, lam=lam, epochs=epochs, minibatches=minibatches,
        value_weight=value_weight, entropy_weight=entropy_weight, max_norm=max_norm, normalize=normalize,
    )  # fmt: skip
    logs = np.concatenate(ratios)
    ratio = np.exp(logs)
    return {**means, "kl": float((ratio - 1 - logs).mean()), "clipped": float((np.abs(ratio - 1) > clip).mean())}


@names_arguments
def a2c_update(
    agent: ActorCritic,
    rollout: Rollout,
    optimizer: Optimizer,
    *,
    gamma: float = 0.99,
    lam: float = 1.0,
    value_weight: float = 0.5,
    entropy_weight: float = 0.01,
    max_norm: float = 0.5,
    normalize: bool = False,
) -> dict[str, float]:
    """Let the agent learn from a rollout with one step of the advantage actor-critic.

    ``L = a2c_loss + value_weight value_loss - entropy_weight mean entropy``, back-propagated through the whole
    sequences of all environments.

    Parameters
    ----------
    agent : ActorCritic
        Who collected the rollout.
    rollout : Rollout
        T steps of N environments.
    optimizer : Optimizer
        Bound to the agent's parameters, or unbound; keep it from one update to the next.
    gamma : float
        Discount of a reward one step later, within [0, 1].
    lam : float
        Weight of longer returns, within [0, 1].
    value_weight : float
        Factor of the loss of values, at least 0.
    entropy_weight : float
        Factor of the entropy, at least 0, which keeps the policy from settling early.
    max_norm : float
        Largest norm of the gradient, above 0.
    normalize : bool
        Whether the advantages are brought to mean 0 and standard deviation 1.

    Returns
    -------
    dict of str to float
        ``policy_loss``, ``value_loss``, ``entropy`` and ``gradient_norm`` (before it is clipped).

    Raises
    ------
    ValueError
        If a number or a shape does not fit, or the optimiser is bound to other parameters.
    TypeError
        If an argument has another type.
    FloatingPointError
        If a gradient is not finite; the parameters are unchanged.

    References
    ----------
    V. Mnih et al., "Asynchronous methods for deep reinforcement learning", ICML (2016).

    Examples
    --------
    See ``ppo_update``, which takes the same rollouts.
    """

    def losses(found: Evaluation, part: Rollout, advantages: Array, returns: Array) -> Losses:
        return a2c_loss(found.log_probs, advantages), value_loss(found.values, returns)

    return _learn(
        agent, rollout, optimizer, losses, [], gamma=gamma, lam=lam, epochs=1, minibatches=1,
        value_weight=value_weight, entropy_weight=entropy_weight, max_norm=max_norm, normalize=normalize,
    )  # fmt: skip


def _learn(
    agent: ActorCritic,
    rollout: Rollout,
    optimizer: Optimizer,
    losses: Callable[[Evaluation, Rollout, Array, Array], Losses],
    ratios: list[Array],
    *,
    gamma: float,
    lam: float,
    epochs: int,
    minibatches: int,
    value_weight: float,
    entropy_weight: float,
    max_norm: float,
    normalize: bool,
) -> dict[str, float]:
    """Take ``epochs * minibatches`` steps; return the means of what they measured, and append log-ratios."""
    for name, value, kind in (
        ("agent", agent, ActorCritic), ("rollout", rollout, Rollout), ("optimizer", optimizer, Optimizer)
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise TypeError(f"{name}: {kind.__name__} is required, got {checks.shown(value)}")
    value_weight = checks.at_least_zero("value_weight", value_weight)
    entropy_weight = checks.at_least_zero("entropy_weight", entropy_weight)
    max_norm, normalize = checks.above_zero("max_norm", max_norm), checks.as_flag("normalize", normalize)
    epochs, count = checks.as_size("epochs", epochs), rollout.rewards.shape[1]
    minibatches = checks.as_integer("minibatches", minibatches, least=1, most=count)
    advantages, returns = rollout.advantages(gamma, lam)
    optimizer.bind(agent.parameters())
    measured: list[dict[str, float]] = []
    for _ in range(epochs):
        for chosen in np.array_split(agent.rng.permutation(count), minibatches):
            part, gains = rollout.environments(chosen), advantages[:, chosen]
            if normalize:
                gains = (gains - gains.mean()) / (gains.std() + 1e-8)
            found, tape = agent.forward(part.observations, part.begins, part.state, part.actions)
            (policy_loss, dlog_probs), (of_values, dvalues) = losses(found, part, gains, returns[:, chosen])
            dentropies = np.full_like(found.entropies, -entropy_weight / found.entropies.size)
            agent.zero_grad()
            agent.backward(tape, dlog_probs, dentropies, dvalues * dvalues.dtype.type(value_weight))
            norm = clip_grad_norm(agent.parameters(), max_norm)
            optimizer.step()
            ratios.append((found.log_probs.astype(np.float64) - part.log_probs).reshape(-1))
            entropy = float(found.entropies.mean())
            measured.append(
                {"policy_loss": policy_loss, "value_loss": of_values, "entropy": entropy, "gradient_norm": norm}
            )
    return {name: float(np.mean([each[name] for each in measured])) for name in measured[0]}

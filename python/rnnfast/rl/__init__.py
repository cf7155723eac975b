"""Recurrent reinforcement learning: policies that remember, and how they learn from rollouts."""

from rnnfast.rl.actor_critic import ActorCritic, Decision, Evaluation
from rnnfast.rl.advantages import gae, v_trace
from rnnfast.rl.losses import a2c_loss, ppo_loss, value_loss
from rnnfast.rl.policies import Categorical, Gaussian
from rnnfast.rl.rollout import Collector, Environment, Rollout, play
from rnnfast.rl.update import a2c_update, ppo_update

__all__ = [
    "ActorCritic",
    "Categorical",
    "Collector",
    "Decision",
    "Environment",
    "Evaluation",
    "Gaussian",
    "Rollout",
    "a2c_loss",
    "a2c_update",
    "gae",
    "play",
    "ppo_loss",
    "ppo_update",
    "v_trace",
    "value_loss",
]

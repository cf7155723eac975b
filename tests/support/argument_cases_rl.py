"""The cases of ``rnnfast.rl``: see ``argument_cases``."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast import rl
from tests.support.argument_cases import Case

T, N = 3, 2
STEPS, NONE, BEGINS = np.ones((T, N)), np.zeros((T, N)), np.zeros((T, N), bool)
X, ACTIONS = np.ones((T, N, 3)), np.ones((T, N), int)
LEARNING: dict[str, Any] = {
    "gamma": 0.9, "lam": 0.9, "value_weight": 0.5, "entropy_weight": 0.01, "max_norm": 1.0, "normalize": True
}  # fmt: skip
ZERO = {"gamma": "0", "lam": "0", "value_weight": "0 2**63", "entropy_weight": "0 2**63", "seed": "None 0"}


class Still:
    """An environment in which nothing happens."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        return np.ones(3), {}

    def step(self, action: Any, /) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.ones(3), 1.0, True, False, {}


def agent() -> rl.ActorCritic:
    return rl.ActorCritic(3, 2, hidden_size=4, seed=0)


def collector() -> rl.Collector:
    return rl.Collector(agent(), [Still(), Still()])


def evaluated() -> dict[str, Any]:
    return {"observations": X, "begins": BEGINS, "state": None, "actions": ACTIONS}


def learning(update: Any, **more: Any) -> Case:
    """An update, with an agent that made the rollout."""
    made = collector()
    return Case(
        make=lambda: partial(update),
        valid=lambda: {
            "agent": made.agent, "rollout": made.collect(T), "optimizer": rf.Adam(), **LEARNING, **more
        },
        accepted={
            **ZERO, "value_clip": "None inf 2**63", "clip": "inf 2**63", "max_norm": "inf 2**63", "epochs": ""
        },
    )  # fmt: skip


def backward(**options: Any) -> Any:
    made = agent()
    return made.backward(made.forward(**evaluated())[1], **options)


RL: dict[str, Case] = {
    "gae": Case(
        make=lambda: rl.gae,
        valid=lambda: {
            "rewards": STEPS, "values": STEPS, "dones": BEGINS, "last_value": np.ones(N), "gamma": 0.9, "lam": 0.9
        },
        accepted=ZERO,
    ),
    "v_trace": Case(
        make=lambda: rl.v_trace,
        valid=lambda: {
            "log_probs": NONE, "behaviour_log_probs": NONE, "rewards": STEPS, "values": STEPS, "dones": BEGINS,
            "last_value": np.ones(N), "gamma": 0.9, "lam": 0.9, "clip_rho": 1.0, "clip_c": 1.0,
        },
        accepted={**ZERO, "clip_rho": "inf 2**63", "clip_c": "inf 2**63"},
    ),
    "ppo_loss": Case(
        make=lambda: rl.ppo_loss,
        valid=lambda: {"log_probs": NONE, "old_log_probs": NONE, "advantages": STEPS, "clip": 0.2},
        accepted={"clip": "inf 2**63"},
    ),
    "a2c_loss": Case(make=lambda: rl.a2c_loss, valid=lambda: {"log_probs": NONE, "advantages": STEPS}),
    "value_loss": Case(
        make=lambda: rl.value_loss,
        valid=lambda: {"values": NONE, "returns": STEPS, "old_values": NONE, "clip": 0.2},
    ),
    "Categorical": Case(
        make=lambda: rl.Categorical, valid=lambda: {"logits": np.ones((2, 3))}, accepted={"logits": "shape"}
    ),
    "Gaussian": Case(make=lambda: rl.Gaussian, valid=lambda: {"mean": np.ones((2, 3)), "log_std": np.zeros(3)}),
    **{
        f"{type(policy).__name__}.{name}": Case(make=partial(getattr, policy, name), valid=partial(dict, **arguments))
        for policy, actions in (
            (rl.Categorical(np.ones((2, 3))), np.ones(2, int)),
            (rl.Gaussian(np.ones((2, 3)), np.zeros(3)), np.ones((2, 3))),
        )
        for name, arguments in (
            ("sample", {"rng": np.random.default_rng(0)}),
            ("log_prob", {"actions": actions}),
            ("gradient", {"actions": actions, "dlog_prob": np.ones(2), "dentropy": np.ones(2)}),
        )
    },
    "ActorCritic": Case(
        make=lambda: rl.ActorCritic,
        valid=lambda: {
            "observation_size": 3, "action_size": 2, "policy": "gaussian", "predict_std": True, "cell": "gru",
            "hidden_size": 4, "num_layers": 1, "shared": True, "cell_options": {}, "dtype": "float32", "seed": 0,
        },
    ),
    "ActorCritic.act": Case(
        make=lambda: agent().act,
        valid=lambda: {"observation": X[0], "begins": BEGINS[0], "greedy": True},
    ),
    "ActorCritic.value": Case(make=lambda: agent().value, valid=lambda: {"observation": X[0], "begins": BEGINS[0]}),
    "ActorCritic.evaluate": Case(make=lambda: agent().evaluate, valid=evaluated),
    "ActorCritic.forward": Case(make=lambda: agent().forward, valid=evaluated),
    "ActorCritic.backward": Case(
        make=lambda: backward,
        valid=lambda: {"dlog_probs": STEPS, "dentropies": STEPS, "dvalues": STEPS, "need_dx": True},
        signature=("dlog_probs", "dentropies", "dvalues", "need_dx"),
    ),
    "Collector": Case(
        make=lambda: rl.Collector,
        valid=lambda: {"agent": agent(), "environments": [Still()], "seed": 0},
    ),
    "Collector.collect": Case(make=lambda: collector().collect, valid=lambda: {"steps": T, "greedy": False}),
    "play": Case(
        make=lambda: rl.play,
        valid=lambda: {
            "agent": agent(), "environments": [Still(), Still()], "episodes": 4, "greedy": True, "seed": 0
        },
    ),
    "Rollout.advantages": Case(
        make=lambda: collector().collect(T).advantages, valid=lambda: {"gamma": 0.9, "lam": 0.9}, accepted=ZERO
    ),
    "Rollout.environments": Case(make=lambda: collector().collect(T).environments, valid=lambda: {"chosen": [1]}),
    "ppo_update": learning(rl.ppo_update, epochs=1, minibatches=2, clip=0.2, value_clip=0.1),
    "a2c_update": learning(rl.a2c_update),
}  # fmt: skip

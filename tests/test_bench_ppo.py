"""The benchmark of recurrent PPO compares the same computations."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from bench import ppo
from rnnfast.rl import ActorCritic, Collector, Rollout, ppo_update

torch = pytest.importorskip("torch")
ppo_torch = pytest.importorskip("bench.ppo_torch")


def agents(by_step: bool) -> tuple[ActorCritic, Any]:
    """An agent of rnnfast, and one of PyTorch with the same parameters; its policy prefers some actions."""
    own = ActorCritic(ppo.OBSERVATIONS, ppo.ACTIONS, cell="gru", hidden_size=8, seed=0)
    weight = own.parameters()["policy.weight"]
    weight.assign(weight.value * 300)
    other = ppo_torch.Agent(ppo.OBSERVATIONS, ppo.ACTIONS, 8, by_step=by_step)
    other.load_state_dict({name: torch.tensor(p.value) for name, p in own.parameters().items()})
    return own, other


@pytest.mark.parametrize("by_step", [False, True])
def test_both_libraries_learn_the_same(by_step: bool) -> None:
    """From the rollout of PyTorch's loop, in which episodes end: parameters move by 6e-4 at most in two steps."""
    own, other = agents(by_step)
    torch.manual_seed(0)
    loop = ppo_torch.Loop(other, ppo.environments(), ppo.STEPS)
    loop.collect()
    found = loop.collect()
    assert found["dones"].any()
    given = {name: np.asarray(value) for name, value in found.items() if name != "state"}
    final = np.zeros_like(found["rewards"])
    rollout = Rollout(**given, final_values=final, state=(found["state"].numpy(),))
    ppo_update(own, rollout, rf.Adam(lr=3e-4), epochs=2, minibatches=1)
    loop.update(found, epochs=2, minibatches=1)
    for name, p in own.parameters().items():
        np.testing.assert_allclose(p.value, other.state_dict()[name].numpy(), atol=2e-5)


@pytest.mark.parametrize("by_step", [False, True])
def test_both_libraries_act_the_same(by_step: bool) -> None:
    """Values along the steps that PyTorch's loop took, over the ends of episodes."""
    own, other = agents(by_step)
    loop = ppo_torch.Loop(other, ppo.environments(), ppo.STEPS)
    found = loop.collect()
    values = own.evaluate(found["observations"].numpy(), found["begins"], None, found["actions"].numpy()).values
    np.testing.assert_allclose(values, found["values"], atol=1e-5)
    assert found["begins"][1:].any()


def test_environments_end_one_by_one() -> None:
    agent = ActorCritic(ppo.OBSERVATIONS, ppo.ACTIONS, hidden_size=4, seed=0)
    dones = Collector(agent, ppo.environments()).collect(2 * ppo.LENGTH).dones
    assert dones.sum(axis=1).max() == 1
    assert dones.sum() == 2 * ppo.ENVIRONMENTS


def test_a_process_that_ends_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(RuntimeError, match=r"rnnfast.*got its end with code 1"):
        ppo.start("rnnfast", 1)


def test_what_is_printed() -> None:
    names = ("rnnfast", "torch", "torch-by-step")
    rounds = [dict(zip(names, seconds, strict=True)) for seconds in ((0.1, 0.5, 0.8), (0.2, 0.6, 1.0))]
    assert ppo.line("update", rounds) == (
        "update: rnnfast 6.7, torch 1.8, torch-by-step 1.1 updates a second; 4.00 times as fast as torch"
    )

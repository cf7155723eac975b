"""The recurrent actor-critic: acting equals evaluating to the bit, and gradients equal PyTorch's."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.rl import ActorCritic, Categorical
from tests.support.rl_torch import evaluated, leaves

T, N, C = 13, 6, 3
KINDS: dict[str, dict[str, Any]] = {
    "categorical": {"policy": "categorical"},
    "gaussian": {"policy": "gaussian"},
    "predicted": {"policy": "gaussian", "predict_std": True},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_sharing = pytest.mark.parametrize("shared", [True, False])
every_cell = pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])


def agent_of(kind: str = "categorical", **options: Any) -> ActorCritic:
    """An agent whose policy depends on what it sees."""
    agent = ActorCritic(C, 4, hidden_size=10, seed=0, **{**KINDS[kind], "cell": "gru", **options})
    agent.policy_head.weight.assign(agent.policy_head.weight.value * 100)
    return agent


def steps_of(seed: int = 0, dtype: Any = np.float32) -> tuple[Any, Any]:
    """Observations and beginnings; some environments go on with an episode at the first step."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(T, N, C)).astype(dtype), rng.random((T, N)) < 0.2


def acted(agent: ActorCritic, x: Any, begins: Any) -> tuple[Any, Any, Any]:
    """Actions, log-probabilities and values, step by step."""
    found = [agent.act(*step) for step in zip(x, begins, strict=True)]
    actions, log_probs, values = (np.stack([getattr(d, name) for d in found]) for name in vars(found[0]))
    return actions, log_probs, values


@every_kind
@every_sharing
@every_cell
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_acting_is_evaluating_to_the_bit(kind: str, shared: bool, cell: str, dtype: str) -> None:
    agent = agent_of(kind, shared=shared, cell=cell, dtype=dtype, num_layers=2)
    x, begins = steps_of(dtype=dtype)
    agent.act(x[0], np.ones(N, bool))
    state = agent.state
    actions, log_probs, values = acted(agent, x, begins)
    found = agent.evaluate(x, begins, state, actions)
    np.testing.assert_array_equal(found.log_probs, log_probs)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_equal(found.state, agent.state)
    trained, _ = agent.forward(x, begins, state, actions)
    np.testing.assert_equal(vars(trained), vars(found))
    assert log_probs.dtype == values.dtype == dtype
    half = agent.evaluate(x[:, 1::2], begins[:, 1::2], columns(state, slice(1, None, 2)), actions[:, 1::2])
    np.testing.assert_array_equal(half.log_probs, log_probs[:, 1::2])


def columns(state: Any, chosen: Any) -> Any:
    return tuple(columns(s, chosen) if isinstance(s, tuple) else s[:, chosen] for s in state)


def test_learned_states_are_where_episodes_begin() -> None:
    agent = agent_of(cell="lstm", cell_options={"learn_initial_state": True})
    for name in ("rnn.h0", "rnn.c0"):
        agent.parameters()[name].assign(np.random.default_rng(1).normal(size=(1, 1, 10)))
    x, begins = steps_of()
    begins[0] = True
    actions, log_probs, _ = acted(agent, x, begins)
    np.testing.assert_array_equal(agent.evaluate(x, begins, None, actions).log_probs, log_probs)


def test_what_was_before_a_beginning_does_not_count() -> None:
    agent, (x, begins) = agent_of(), steps_of()
    begins[5] = True
    actions = np.zeros((T, N), int)
    whole = agent.evaluate(x, begins, None, actions)
    alone = agent.evaluate(x[5:], begins[5:], None, actions[5:])
    np.testing.assert_array_equal(whole.values[5:], alone.values)
    begins[5] = False
    assert (agent.evaluate(x, begins, None, actions).values[5] != alone.values[0]).all()


def test_a_value_leaves_the_states_as_they_are() -> None:
    agent, twin, (x, begins) = agent_of(), agent_of(), steps_of()
    begins[0] = True
    asked = []
    for t in range(T - 1):
        agent.act(x[t], begins[t], greedy=True)
        asked.append(agent.value(x[t + 1], begins[t + 1]))
        twin.act(x[t], begins[t], greedy=True)
    np.testing.assert_equal(agent.state, twin.state)
    _, _, values = acted(agent_of(), x, begins)
    np.testing.assert_array_equal(asked, values[1:])


def test_a_value_before_the_first_step_begins_nothing() -> None:
    agent, x = agent_of(), steps_of()[0]
    agent.value(x[0], np.ones(N, bool))
    assert agent.state is None


def test_new_parameters_act_from_the_next_step_on() -> None:
    agent, (x, begins) = agent_of(), steps_of()
    agent.act(x[0], np.ones(N, bool))
    state = agent.state
    agent.parameters()["rnn.weight_hh_l0"][...] = 0.1
    begins[:] = False
    actions, log_probs, _ = acted(agent, x, begins)
    np.testing.assert_array_equal(agent.evaluate(x, begins, state, actions).log_probs, log_probs)


@pytest.mark.torch
@every_kind
@every_sharing
def test_gradients_are_torchs(kind: str, shared: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    agent = agent_of(kind, shared=shared, cell="lstm", dtype="float64")
    if agent.log_std is not None:
        agent.log_std.assign([-0.5, 0.2, 0.0, 0.3])
    x, begins = steps_of(dtype=np.float64)
    agent.act(x[0], np.ones(N, bool))
    state = agent.state
    assert state is not None
    actions, *_ = acted(agent, x, begins)
    dlog, dent, dval = np.random.default_rng(2).normal(size=(3, T, N))
    found, tape = agent.forward(x, begins, state, actions)
    agent.zero_grad()
    dx = agent.backward(tape, dlog, dent, dval, need_dx=True)
    params, seen = leaves(agent), torch.tensor(x, requires_grad=True)
    log_probs, entropies, values = evaluated(agent, params, seen, begins, state, actions)
    (log_probs * torch.tensor(dlog) + entropies * torch.tensor(dent) + values * torch.tensor(dval)).sum().backward()
    ours = (found.log_probs, found.entropies, found.values)
    for mine, theirs in zip(ours, (log_probs, entropies, values), strict=True):
        np.testing.assert_allclose(mine, theirs.detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(dx, seen.grad, rtol=1e-9, atol=1e-11)
    for name, p in agent.parameters().items():
        np.testing.assert_allclose(p.grad, params[name].grad, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_copy_goes_on_alike_and_shares_nothing(way: Any, cell: str) -> None:
    agent, (x, begins) = agent_of(cell=cell), steps_of()
    acted(agent, x, begins)
    twin = way(agent)
    expected = acted(copy.deepcopy(agent), x, begins)
    np.testing.assert_equal(acted(twin, x, begins), expected)
    twin.policy_head.weight[...] = 0
    np.testing.assert_equal(acted(agent, x, begins), expected)


def test_random_state_is_what_draws() -> None:
    agent, (x, begins) = agent_of(), steps_of()
    begins[0] = True
    saved = copy.deepcopy(agent.random_state())
    first = acted(agent, x, begins)
    assert (acted(agent, x, begins)[0] != first[0]).any()
    agent.set_random_state(saved)
    np.testing.assert_equal(acted(agent, x, begins), first)


@every_kind
def test_a_file_keeps_the_agent(kind: str, tmp_path: Path) -> None:
    agent = agent_of(kind, shared=False, cell_options={"reset_after": False})
    agent.save(tmp_path / "agent.safetensors")
    loaded = ActorCritic.load(tmp_path / "agent.safetensors")
    assert loaded.config == agent.config
    np.testing.assert_equal(loaded.state_dict(), agent.state_dict())
    rf.ManyToOne(2, 2, hidden_size=2).save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"^path: the file of an ActorCritic is required, got that of ManyToOne"):
        ActorCritic.load(tmp_path / "model.safetensors")


def test_the_first_policy_is_nearly_uniform() -> None:
    agent = ActorCritic(C, 4, seed=3)
    agent.policy_head.bias.assign(np.zeros(4))  # type: ignore[union-attr]
    x, begins = steps_of()
    entropies = agent.evaluate(x, begins, None, np.zeros((T, N), int)).entropies
    np.testing.assert_allclose(entropies, Categorical(np.zeros(4)).entropy(), rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"policy": "beta"}, ValueError, "^policy: one of categorical, gaussian is required, got 'beta'"),
        ({"predict_std": True}, ValueError, "^predict_std: False is required of a categorical policy"),
        ({"cell": "gro"}, ValueError, "^cell: one of rnn, lstm, gru is required"),
        ({"cell_options": {"bidirectional": True}}, ValueError, "^cell_options: options of the layer alone"),
        ({"cell_options": {"activatoin": "relu"}}, TypeError, "^cell_options: an option of GRU is required"),
        ({"hidden_size": 0}, ValueError, "^hidden_size: at least 1 is required"),
    ],
)
def test_errors_of_the_constructor(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ActorCritic(C, 4, **{"cell": "gru", **options})


def test_errors_of_steps() -> None:
    agent, (x, begins) = agent_of(), steps_of()
    actions = np.zeros((T, N), int)
    with pytest.raises(ValueError, match=r"^observation: shape \(N, C\) with C = 3, not empty, is required"):
        agent.act(x[0, :, :2], begins[0])
    with pytest.raises(TypeError, match=r"^begins: dtype bool is required, got int64"):
        agent.act(x[0], np.ones(N, int))
    with pytest.raises(ValueError, match=r"^begins: shape \(T, N\) = \(13, 6\) is required"):
        agent.evaluate(x, begins[:5], None, actions)
    with pytest.raises(TypeError, match=r"^state: a tuple of the states of rnn, or None, is required, got ndarray"):
        agent.evaluate(x, begins, np.zeros((1, N, 10), np.float32), actions)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^state: shape \(L\*D, N, H\) = \(1, 6, 10\) is required"):
        agent.evaluate(x, begins, (np.zeros((1, 2, 10), np.float32),), actions)
    with pytest.raises(ValueError, match=r"^actions: values 0..K-1 \(K = 4\) are required, got 4..4"):
        agent.evaluate(x, begins, None, actions + 4)
    agent.act(x[0], np.ones(N, bool))
    with pytest.raises(ValueError, match=r"^state: shape"):
        agent.act(x[0, :2], np.array([True, False]))
    _, tape = agent.forward(x, begins, None, actions)
    zeros = np.zeros((T, N), np.float32)
    with pytest.raises(ValueError, match=r"^dlog_probs: shape \(T, N\) = \(13, 6\) is required"):
        agent.backward(tape, zeros[1:], zeros, zeros)
    agent.backward(tape, zeros, zeros, zeros)
    with pytest.raises(RuntimeError, match="tape"):
        agent.backward(tape, zeros, zeros, zeros)

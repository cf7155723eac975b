"""Rollouts hold what happened, and updates change the parameters as PyTorch does."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.rl import ActorCritic, Collector, Rollout, a2c_update, play, ppo_update
from tests.support.rl_torch import evaluated, leaves

N = 6


class Walk:
    """An environment whose episodes have lengths of their own; ``cut`` says which of them are cut off."""

    def __init__(self, n: int, cut: bool, *, gaussian: bool = False) -> None:
        self.rng, self.cut, self.n, self.gaussian = np.random.default_rng(n), cut, n, gaussian
        self.seeds: list[int | None] = []
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        self.seeds.append(seed)
        self.left = 2 + int(self.rng.integers(6))
        return self.rng.normal(size=(2, 1)), {}

    def step(self, action: Any, /) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        self.left -= 1
        ends = self.left == 0
        reward = float(np.sum(action)) + self.n
        return self.rng.normal(size=(2, 1)), reward, ends and not self.cut, ends and self.cut, {}


def agent_of(**options: Any) -> ActorCritic:
    return ActorCritic(2, 3, **{"cell": "lstm", "hidden_size": 8, "dtype": "float64", "seed": 0, **options})


def collector_of(agent: ActorCritic, **options: Any) -> Collector:
    return Collector(agent, [Walk(n, cut=n % 2 == 0) for n in range(N)], **options)


def test_a_rollout_holds_what_happened() -> None:
    agent = agent_of()
    collector = collector_of(agent, seed=10)
    rollouts = [collector.collect(9), collector.collect(7)]
    for n, walk in enumerate(collector.environments):
        assert walk.seeds[0] == 10 + n
        assert set(walk.seeds[1:]) == {None}
        taken = np.concatenate([r.actions[:, n] for r in rollouts])
        np.testing.assert_array_equal(taken, walk.actions)
        np.testing.assert_array_equal(np.concatenate([r.rewards[:, n] for r in rollouts]), taken + n)
    begins, dones = (np.concatenate([getattr(r, name) for r in rollouts]) for name in ("begins", "dones"))
    assert begins[0].all()
    np.testing.assert_array_equal(begins[1:], dones[:-1])
    assert dones.sum() == len(collector.finished) > N
    for r in rollouts:
        found = agent.evaluate(r.observations, r.begins, r.state, r.actions)
        np.testing.assert_array_equal(found.log_probs, r.log_probs)
        np.testing.assert_array_equal(found.values, r.values)
    np.testing.assert_array_equal(rollouts[0].last_value, rollouts[1].values[0])
    np.testing.assert_equal(rollouts[1].state, agent.evaluate(*first(rollouts[0])).state)


def first(r: Rollout) -> Any:
    return r.observations, r.begins, r.state, r.actions


def test_sums_of_finished_episodes() -> None:
    collector = collector_of(agent_of())
    r = collector.collect(30)
    expected: list[tuple[int, int, float]] = []
    for n in range(N):
        start = 0
        for end in map(int, np.flatnonzero(r.dones[:, n])):
            expected.append((end, n, float(r.rewards[start : end + 1, n].sum())))
            start = end + 1
    np.testing.assert_allclose(collector.finished, [total for *_, total in sorted(expected)], rtol=1e-14)


def test_an_episode_that_is_cut_off_counts_its_final_value() -> None:
    """The value of the observation that ``step`` returned last, in the state of that time."""

    class Recorded(Walk):
        def step(self, action: Any, /) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            found = super().step(action)
            seen.append(found[0].ravel())
            return found

    seen: list[Any] = []
    agent = agent_of()
    r = Collector(agent, [Recorded(0, cut=True)]).collect(20)
    ends = np.flatnonzero(r.dones[:, 0])
    assert len(ends) > 2
    for t in ends:
        x = np.concatenate([r.observations[: t + 1], seen[t][None, None]])
        begins = np.concatenate([r.begins[: t + 1], [[False]]])
        value = agent.evaluate(x, begins, None, np.zeros((t + 2, 1), int)).values[-1, 0]
        assert r.final_values[t, 0] == value != 0
    assert (r.final_values[~r.dones] == 0).all()
    assert (Collector(agent, [Walk(0, cut=False)]).collect(20).final_values == 0).all()
    advantages, returns = r.advantages(0.9, 1.0)
    before = ends[0]
    total = sum(0.9**t * r.rewards[t, 0] for t in range(before + 1)) + 0.9 ** (before + 1) * r.final_values[before, 0]
    assert returns[0, 0] == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(advantages, returns - r.values, atol=1e-12)


def test_environments_are_whole_sequences() -> None:
    collector = collector_of(agent_of(shared=False))
    collector.collect(3)
    r = collector.collect(9)
    part = r.environments([4, 1])
    found = collector.agent.evaluate(*first(part))
    np.testing.assert_array_equal(found.values, r.values[:, [4, 1]])
    np.testing.assert_array_equal(part.advantages()[0], r.advantages()[0][:, [4, 1]])


def by_torch(agent: ActorCritic, r: Rollout, options: dict[str, Any], *, epochs: int, clip: float | None) -> Any:
    """The parameters after ``epochs`` steps of Adam on the loss of the whole rollout."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    params = leaves(agent)
    optimizer = torch.optim.Adam(params.values(), lr=0.01)
    gains, returns = map(torch.tensor, r.advantages(options["gamma"], options["lam"]))
    if options["normalize"]:
        gains = (gains - gains.mean()) / (gains.std(correction=0) + 1e-8)
    for _ in range(epochs):
        log_probs, entropies, values = evaluated(agent, params, *first(r))
        gain = gains * log_probs
        if clip is not None:
            ratio = (log_probs - torch.tensor(r.log_probs)).exp()
            gain = torch.minimum(ratio * gains, ratio.clamp(1 - clip, 1 + clip) * gains)
        error = (values - returns).square()
        if "value_clip" in options:
            old = torch.tensor(r.values)
            bounded = old + (values - old).clamp(-options["value_clip"], options["value_clip"])
            error = torch.maximum(error, (bounded - returns).square())
        loss = options["value_weight"] * error.mean() - gain.mean() - options["entropy_weight"] * entropies.mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params.values(), options["max_norm"])
        optimizer.step()
    return {name: p.detach().numpy() for name, p in params.items()}


SHARED = {"gamma": 0.9, "lam": 0.8, "value_weight": 0.7, "entropy_weight": 0.05, "max_norm": 0.3}


@pytest.mark.torch
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("policy", ["categorical", "gaussian"])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("rule", ["ppo", "ppo, values clipped", "a2c"])
def test_updates_are_torchs(shared: bool, policy: str, normalize: bool, rule: str) -> None:
    agent = agent_of(shared=shared, policy=policy)
    collector = collector_of(agent)
    collector.collect(3)
    r = collector.collect(11)
    options: dict[str, Any] = {**SHARED, "normalize": normalize}
    if "values" in rule:
        options["value_clip"] = 0.01
    epochs, clip = (1, None) if rule == "a2c" else (5, 0.05)
    expected = by_torch(agent, r, options, epochs=epochs, clip=clip)
    optimizer = rf.Adam(agent.parameters(), lr=0.01)
    if rule == "a2c":
        a2c_update(agent, r, optimizer, **options)
    else:
        ppo_update(agent, r, optimizer, epochs=epochs, minibatches=1, clip=0.05, **options)
    for name, value in agent.state_dict().items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_measurements() -> None:
    """Without a step of the optimiser, every minibatch meets the policy that acted."""
    agent = agent_of()
    r = collector_of(agent).collect(11)
    found = ppo_update(agent, r, rf.SGD(agent.parameters(), lr=0.0), minibatches=3, normalize=False)
    evaluation, (advantages, returns) = agent.evaluate(*first(r)), r.advantages()
    assert found["kl"] == found["clipped"] == 0
    assert found["policy_loss"] == pytest.approx(-advantages.mean(), rel=1e-12)
    assert found["value_loss"] == pytest.approx(np.square(r.values - returns).mean(), rel=1e-12)
    assert found["entropy"] == pytest.approx(evaluation.entropies.mean(), rel=1e-12)
    moved = ppo_update(agent, r, rf.Adam(agent.parameters(), lr=0.1))
    assert moved["kl"] > 0.01
    assert 0 < moved["clipped"] < 1


def test_same_seed_same_bits() -> None:
    found = []
    for _ in range(2):
        agent = agent_of(dtype="float32")
        collector, optimizer = collector_of(agent), rf.Adam(lr=0.01)
        for _ in range(3):
            ppo_update(agent, collector.collect(8), optimizer)
        found.append(agent.state_dict())
    np.testing.assert_equal(found[0], found[1])


def test_play_counts_whole_episodes_and_leaves_the_agent() -> None:
    agent = agent_of()
    collector = collector_of(agent)
    collector.collect(5)
    state, drawn = agent.state, copy.deepcopy(agent.random_state())
    others = [Walk(n, cut=False) for n in range(3)]
    sums = play(agent, others, 6, greedy=False)
    for n, walk in enumerate(others):
        lengths = [2 + int(each) for each in lengths_of(n)]
        assert len(walk.actions) >= sum(lengths)
        expected = [sum(walk.actions[: lengths[0]]), sum(walk.actions[lengths[0] : sum(lengths)])]
        assert sums[2 * n : 2 * n + 2] == [e + n * length for e, length in zip(expected, lengths, strict=True)]
    np.testing.assert_equal(agent.state, state)
    assert agent.random_state() == drawn


def lengths_of(n: int) -> list[int]:
    """What a ``Walk`` draws for its first two episodes."""
    rng, found = np.random.default_rng(n), []
    for _ in range(2):
        found.append(int(rng.integers(6)))
        rng.normal(size=(2, 1))
        for _ in range(2 + found[-1]):
            rng.normal(size=(2, 1))
    return found


def test_errors() -> None:
    agent = agent_of()
    collector = collector_of(agent)
    r = collector.collect(3)
    optimizer = rf.Adam(agent.parameters())
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"minibatches": 7}, ValueError, "^minibatches: at most 6 is required, got 7"),
        ({"epochs": 0}, ValueError, "^epochs: at least 1 is required, got 0"),
        ({"clip": 0}, ValueError, "^clip: a number above zero is required, got 0"),
        ({"gamma": 2}, ValueError, r"^gamma: a number within \[0, 1\] is required, got 2"),
        ({"minibatch": 2}, TypeError, "^ppo_update: unknown argument 'minibatch'; did you mean 'minibatches'"),
    ]
    for options, error, message in cases:
        with pytest.raises(error, match=message):
            ppo_update(agent, r, optimizer, **options)
    with pytest.raises(TypeError, match=r"^optimizer: Optimizer is required, got 'adam'"):
        a2c_update(agent, r, "adam")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^optimizer: one bound to this model"):
        a2c_update(agent_of(), r, optimizer)
    with pytest.raises(TypeError, match=r"^agent: an ActorCritic is required"):
        Collector(rf.GRU(2, 3), [Walk(0, cut=True)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^environments: at least one"):
        Collector(agent, [])
    with pytest.raises(ValueError, match=r"^episodes: a multiple of the number of environments = 2 is required, got 3"):
        play(agent, [Walk(0, cut=True), Walk(1, cut=True)], 3)

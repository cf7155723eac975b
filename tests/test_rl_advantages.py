"""Advantages and V-trace against plain loops over single steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnfast.rl import gae, v_trace


def problem(seed: int, T: int = 23, N: int = 5) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "rewards": rng.normal(size=(T, N)),
        "values": rng.normal(size=(T, N)),
        "dones": rng.random((T, N)) < 0.2,
        "last_value": rng.normal(size=N),
    }


def plain_gae(p: dict[str, Any], n: int, gamma: float, lam: float) -> list[float]:
    """The advantages of one environment, step by step from the end."""
    found, advantage, after = [], 0.0, float(p["last_value"][n])
    for t in reversed(range(len(p["rewards"]))):
        if p["dones"][t, n]:
            advantage = after = 0.0
        r, v = float(p["rewards"][t, n]), float(p["values"][t, n])
        advantage = (r + gamma * after - v) + (gamma * lam) * advantage
        found.append(advantage)
        after = v
    return found[::-1]


@pytest.mark.parametrize(("gamma", "lam"), [(0.99, 0.95), (1.0, 1.0), (0.9, 0.0), (0.0, 0.5)])
@pytest.mark.parametrize("T", [1, 2, 23])
def test_gae_is_the_loop(gamma: float, lam: float, T: int) -> None:
    p = problem(0, T)
    advantages, returns = gae(**p, gamma=gamma, lam=lam)
    for n in range(5):
        assert advantages[:, n].tolist() == plain_gae(p, n, gamma, lam)
    np.testing.assert_array_equal(returns, advantages + p["values"])


def test_gae_of_one_is_the_discounted_sum() -> None:
    p = problem(1)
    _, returns = gae(**p, gamma=0.9, lam=1.0)
    for n in range(5):
        for t in range(23):
            ends = np.flatnonzero(p["dones"][t:, n])
            stop = t + int(ends[0]) + 1 if ends.size else 23
            expected = sum(0.9 ** (s - t) * p["rewards"][s, n] for s in range(t, stop))
            if not ends.size:
                expected += 0.9 ** (23 - t) * p["last_value"][n]
            assert returns[t, n] == pytest.approx(expected, rel=1e-12)


def plain_v_trace(p: dict[str, Any], n: int, ratios: Any, gamma: float, options: dict[str, float]) -> Any:
    """Targets and advantages of one environment, as sums over all later steps (the paper's remark 1)."""
    T = len(p["rewards"])
    rho = [min(options["clip_rho"], float(w)) for w in ratios[:, n]]
    c = [options["lam"] * min(options["clip_c"], float(w)) for w in ratios[:, n]]
    going = [0.0 if done else 1.0 for done in p["dones"][:, n]]
    v = [*map(float, p["values"][:, n]), float(p["last_value"][n])]
    r = p["rewards"][:, n]
    targets = []
    for s in range(T):
        total, factor = v[s], 1.0
        for t in range(s, T):
            total += factor * rho[t] * (r[t] + gamma * going[t] * v[t + 1] - v[t])
            factor *= gamma * c[t] * going[t]
        targets.append(total)
    after = [*targets[1:], v[-1]]
    return targets, [rho[t] * (r[t] + gamma * going[t] * after[t] - v[t]) for t in range(T)]


@pytest.mark.parametrize(
    "options",
    [
        {"lam": 1.0, "clip_rho": 1.0, "clip_c": 1.0},
        {"lam": 0.9, "clip_rho": 2.0, "clip_c": 0.5},
        {"lam": 1.0, "clip_rho": np.inf, "clip_c": np.inf},
    ],
)
def test_v_trace_is_the_sum(options: dict[str, float]) -> None:
    p, rng = problem(2), np.random.default_rng(3)
    new, old = rng.normal(size=(2, 23, 5)) * 0.5
    targets, advantages = v_trace(new, old, **p, gamma=0.95, **options)
    for n in range(5):
        expected = plain_v_trace(p, n, np.exp(new - old), 0.95, options)
        np.testing.assert_allclose(targets[:, n], expected[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(advantages[:, n], expected[1], rtol=1e-12, atol=1e-12)


def test_v_trace_of_the_own_policy_is_gae() -> None:
    p = problem(4)
    targets, _ = v_trace(p["values"], p["values"], **p, gamma=0.95, lam=0.8)
    np.testing.assert_allclose(targets, gae(**p, gamma=0.95, lam=0.8)[1], rtol=1e-12, atol=1e-12)


def test_what_follows_an_end_is_not_read() -> None:
    p = problem(5)
    p["dones"][-1] = True
    p["last_value"][:] = np.nan
    assert np.isfinite(gae(**p)[0]).all()
    assert np.isfinite(v_trace(p["values"], p["values"], **p)[1]).all()


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("values", np.zeros((3, 5)), ValueError, r"^values: shape \(T, N\) = \(23, 5\) is required, got \(3, 5\)"),
        ("dones", np.zeros((23, 5)), TypeError, "^dones: dtype bool is required, got float64"),
        ("last_value", np.zeros(3), ValueError, r"^last_value: shape \(N,\) = \(5,\) is required"),
        ("rewards", np.zeros(3), ValueError, r"^rewards: shape \(T, N\) with T > 0 is required"),
        ("gamma", 1.5, ValueError, r"^gamma: a number within \[0, 1\] is required, got 1.5"),
        ("lam", -0.1, ValueError, r"^lam: a number within \[0, 1\] is required"),
    ],
)
def test_errors(name: str, value: Any, error: type[Exception], message: str) -> None:
    given = {**problem(6), name: value}
    with pytest.raises(error, match=message):
        gae(**given)
    with pytest.raises(error, match=message):
        v_trace(np.zeros((23, 5)), np.zeros((23, 5)), **given)

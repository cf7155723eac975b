"""Policies against torch.distributions, their gradients and those of the losses against autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnfast.rl import Categorical, Gaussian, a2c_loss, ppo_loss, value_loss

SHAPES = [(), (1,), (7,), (4, 3)]
CLOSE: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}


def torch_of(array: Any, *, gradient: bool = False) -> Any:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    return torch.tensor(np.asarray(array), requires_grad=gradient)


@pytest.mark.torch
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("K", [1, 2, 5, 40])
def test_categorical_is_torchs(shape: tuple[int, ...], K: int) -> None:
    rng = np.random.default_rng(K)
    logits, actions = rng.normal(size=(*shape, K)) * 3, rng.integers(K, size=shape)
    dlog, dent = rng.normal(size=(2, *shape))
    z = torch_of(logits, gradient=True)
    theirs = pytest.importorskip("torch").distributions.Categorical(logits=z)
    policy = Categorical(logits)
    log_prob, entropy = theirs.log_prob(torch_of(actions)), theirs.entropy()
    np.testing.assert_allclose(policy.log_prob(actions), log_prob.detach(), **CLOSE)
    np.testing.assert_allclose(policy.entropy(), entropy.detach(), **CLOSE)
    (log_prob * torch_of(dlog) + entropy * torch_of(dent)).sum().backward()
    np.testing.assert_allclose(policy.gradient(actions, dlog, dent), z.grad, **CLOSE)
    np.testing.assert_array_equal(policy.mode(), logits.argmax(axis=-1))


@pytest.mark.torch
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("predicted", [False, True])
def test_gaussian_is_torchs(shape: tuple[int, ...], predicted: bool) -> None:
    rng, torch = np.random.default_rng(1), pytest.importorskip("torch")
    mean, actions = rng.normal(size=(2, *shape, 3))
    log_std = rng.normal(size=mean.shape if predicted else 3)
    dlog, dent = rng.normal(size=(2, *shape))
    m, s = torch_of(mean, gradient=True), torch_of(log_std, gradient=True)
    theirs = torch.distributions.Independent(torch.distributions.Normal(m, s.exp()), 1)
    policy = Gaussian(mean, log_std)
    log_prob, entropy = theirs.log_prob(torch_of(actions)), theirs.entropy()
    np.testing.assert_allclose(policy.log_prob(actions), log_prob.detach(), **CLOSE)
    np.testing.assert_allclose(policy.entropy(), entropy.detach(), **CLOSE)
    (log_prob * torch_of(dlog) + entropy * torch_of(dent)).sum().backward()
    dmean, dlog_std = policy.gradient(actions, dlog, dent)
    np.testing.assert_allclose(dmean, m.grad, **CLOSE)
    np.testing.assert_allclose(dlog_std, s.grad, **CLOSE)
    assert dlog_std.shape == log_std.shape


def test_actions_are_drawn_as_often_as_they_are_probable() -> None:
    p = np.array([0.5, 0.0, 0.2, 0.3])
    with np.errstate(divide="ignore"):
        policy = Categorical(np.broadcast_to(np.log(p), (200_000, 4)))
    found = np.bincount(policy.sample(np.random.default_rng(2)), minlength=4) / 200_000
    np.testing.assert_allclose(found, p, atol=5 * 0.5 / np.sqrt(200_000))
    assert found[1] == 0


def test_numbers_are_drawn_as_densely() -> None:
    policy = Gaussian(np.full((200_000, 2), [1.0, -2.0]), np.log([0.5, 3.0]))
    drawn = policy.sample(np.random.default_rng(3))
    np.testing.assert_allclose(drawn.mean(axis=0), [1.0, -2.0], atol=0.04)
    np.testing.assert_allclose(drawn.std(axis=0), [0.5, 3.0], rtol=0.01)
    np.testing.assert_allclose(-policy.log_prob(drawn).mean(), policy.entropy()[0], rtol=0.01)


def test_an_excluded_action_counts_nothing() -> None:
    policy, two = Categorical(np.array([[1.0, -np.inf, 0.5]])), Categorical(np.array([[1.0, 0.5]]))
    np.testing.assert_allclose(policy.entropy(), two.entropy(), rtol=1e-15)
    gradient, plain = policy.gradient([2], [1.0], [1.0]), two.gradient([1], [1.0], [1.0])
    np.testing.assert_allclose(gradient, [[plain[0, 0], 0, plain[0, 1]]], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_policy_keeps_its_dtype_and_each_row_its_bits(dtype: Any) -> None:
    rng = np.random.default_rng(4)
    for K in (2, 9, 33):
        outputs, actions = rng.normal(size=(37, K)).astype(dtype), rng.integers(K, size=37)
        whole = Categorical(outputs)
        gauss = Gaussian(outputs, np.zeros(K, dtype))
        assert whole.log_prob(actions).dtype == whole.entropy().dtype == dtype
        assert gauss.log_prob(outputs).dtype == gauss.entropy().dtype == gauss.sample(rng).dtype == dtype
        for i in range(37):
            one = Categorical(outputs[i : i + 1])
            assert one.log_prob(actions[i : i + 1])[0] == whole.log_prob(actions)[i]
            alone = Gaussian(outputs[i : i + 1], np.zeros(K, dtype))
            assert alone.log_prob(outputs[i : i + 1] + 1)[0] == gauss.log_prob(outputs + 1)[i]


@pytest.mark.torch
@pytest.mark.parametrize("clip", [0.2, 0.05])
def test_losses_are_torchs(clip: float) -> None:
    torch, rng = pytest.importorskip("torch"), np.random.default_rng(5)
    new, old, gain, values, returns, before = rng.normal(size=(6, 11, 4)) * 0.3
    x, v = torch_of(new, gradient=True), torch_of(values, gradient=True)
    ratio, a = (x - torch_of(old)).exp(), torch_of(gain)
    ppo = -torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()
    bounded = torch_of(before) + (v - torch_of(before)).clamp(-clip, clip)
    r = torch_of(returns)
    cases = [
        (ppo, x, ppo_loss(new, old, gain, clip=clip)),
        (-(a * x).mean(), x, a2c_loss(new, gain)),
        ((v - r).square().mean(), v, value_loss(values, returns)),
        (
            torch.maximum((v - r).square(), (bounded - r).square()).mean(),
            v,
            value_loss(values, returns, before, clip=clip),
        ),
    ]
    for theirs, leaf, (loss, gradient) in cases:
        (expected,) = torch.autograd.grad(theirs, leaf)
        assert loss == pytest.approx(float(theirs.detach()), rel=1e-12)
        np.testing.assert_allclose(gradient, expected, **CLOSE)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Categorical([[1, 2]]), TypeError, "^logits: dtype float32 or float64 is required"),
        (lambda: Categorical(np.zeros((2, 0))), ValueError, r"^logits: shape \(..., K\) with K > 0 is required"),
        (lambda: Gaussian(np.zeros((4, 2)), np.zeros(3)), ValueError, r"^log_std: shape \(D,\) = \(2,\) or that of"),
        (lambda: Categorical(np.zeros((2, 3))).log_prob([0, 3]), ValueError, r"^actions: values 0..K-1 \(K = 3\) are"),
        (lambda: Categorical(np.zeros((2, 3))).log_prob([0.0, 1.0]), TypeError, "^actions: integers are required"),
        (lambda: Categorical(np.zeros((2, 3))).log_prob([0]), ValueError, "^actions: shape of the logits without"),
        (lambda: Gaussian(np.zeros((4, 2)), np.zeros(2)).log_prob([0.0]), ValueError, "^actions: shape of mean"),
        (lambda: ppo_loss([0.0], [0.0], [0.0], clip=0), ValueError, "^clip: a number above zero is required, got 0"),
        (lambda: ppo_loss([0.0], [0.0, 1.0], [0.0]), ValueError, "^old_log_probs: shape of log_probs"),
        (lambda: value_loss([0.0], [0.0], clip=0.1), ValueError, "^old_values: an array is required beside clip"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

"""Optimisers and clipping against PyTorch, and the state of optimisers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.params import Parameter

SHAPES = [(3, 4), (5,), (2, 1, 3)]
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.8, "centered": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3}),
]


def problem(dtype: str = "float64") -> tuple[dict[str, Parameter], np.random.Generator]:
    rng = np.random.default_rng(0)
    return {f"p{i}": Parameter(rng.normal(size=s).astype(dtype)) for i, s in enumerate(SHAPES)}, rng


def fill(params: dict[str, Parameter], rng: np.random.Generator) -> None:
    for p in params.values():
        p.grad[...] = rng.normal(size=p.shape)


@pytest.mark.torch
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_steps_are_those_of_pytorch(name: str, options: dict[str, Any], dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    params, rng = problem(dtype)
    theirs = [torch.nn.Parameter(torch.tensor(p.value.copy())) for p in params.values()]
    ours, other = getattr(rf, name)(params, **options), getattr(torch.optim, name)(theirs, **options)
    for _ in range(20):
        fill(params, rng)
        for p, t in zip(params.values(), theirs, strict=True):
            t.grad = torch.tensor(p.grad.copy())
        ours.step()
        other.step()
    for p, t in zip(params.values(), theirs, strict=True):
        np.testing.assert_allclose(p.value, t.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_defaults_are_those_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, name)([torch.nn.Parameter(torch.zeros(1))]).param_groups[0]
    ours = getattr(rf, name)(problem()[0])
    options = {"lr": ours.lr, **ours.options}
    if "beta1" in options:
        options["betas"] = (options.pop("beta1"), options.pop("beta2"))
    assert {k: theirs[k] for k in options} == options


@pytest.mark.torch
@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1e6])
def test_clipping_is_that_of_pytorch(max_norm: float) -> None:
    torch = pytest.importorskip("torch")
    params, rng = problem()
    fill(params, rng)
    theirs = [torch.nn.Parameter(torch.zeros(p.shape, dtype=torch.float64)) for p in params.values()]
    for p, t in zip(params.values(), theirs, strict=True):
        t.grad = torch.tensor(p.grad.copy())
    norm = rf.clip_grad_norm(params, max_norm)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, max_norm)), rel=1e-13)
    for p, t in zip(params.values(), theirs, strict=True):
        np.testing.assert_allclose(p.grad, t.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_goes_on_where_it_stood(name: str, options: dict[str, Any]) -> None:
    """Ten steps equal five steps, a change of optimiser object, and five more."""
    whole, cut = problem()[0], problem()[0]
    first, second = getattr(rf, name)(whole, **options), getattr(rf, name)(cut, **options)
    for i in range(10):
        if i == 5:
            state = second.state_dict()
            second = getattr(rf, name)(cut, lr=123.0)
            second.load_state_dict(state)
        for params, optimizer in ((whole, first), (cut, second)):
            fill(params, np.random.default_rng(i))
            optimizer.step()
    for p, q in zip(whole.values(), cut.values(), strict=True):
        np.testing.assert_array_equal(p.value, q.value)


def test_parameters_as_iterable_and_zero_grad() -> None:
    params, rng = problem()
    fill(params, rng)
    optimizer = rf.Adam(iter(params.values()))
    assert set(optimizer.state_dict()) >= {"step", "exp_avg.0", "exp_avg_sq.2", "option.lr"}
    optimizer.zero_grad()
    assert not any(p.grad.any() for p in params.values())


def test_lr_may_change_between_steps() -> None:
    p = Parameter(np.ones(1))
    optimizer = rf.SGD([p], lr=1.0)
    p.grad[...] = 0.25
    optimizer.step()
    optimizer.lr = 2.0
    optimizer.step()
    assert p.value[0] == 1.0 - 0.25 - 0.5


def test_a_step_changes_the_version() -> None:
    p = Parameter(np.ones(1))
    before = p.version
    rf.SGD([p]).step()
    assert p.version != before


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match=r"lr: a finite number of at least 0 is required, got -1"):
        rf.Adam(lr=-1)
    with pytest.raises(ValueError, match=r"betas: a pair of numbers in \[0, 1\) is required"):
        rf.Adam(betas=(0.9, 1.0))
    with pytest.raises(ValueError, match=r"nesterov: momentum > 0 and dampening = 0 are required"):
        rf.SGD(nesterov=True)
    with pytest.raises(ValueError, match=r"max_norm: a number above zero is required, got 0"):
        rf.clip_grad_norm([Parameter(np.ones(1))], 0)


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match=r"params: at least one parameter is required"):
        rf.SGD({})
    with pytest.raises(TypeError, match=r"params\['0'\]: a Parameter is required, got ndarray"):
        rf.SGD([np.ones(2)])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"got a single Parameter"):
        rf.SGD(Parameter(np.ones(2)))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"optimizer: parameters are required"):
        rf.Adam().step()


def test_a_wrong_state_is_refused_whole() -> None:
    params = problem()[0]
    optimizer = rf.Adam(params)
    state = optimizer.state_dict()
    state["extra"] = np.zeros(1)
    state["exp_avg.p1"] = np.ones(6)
    state["option.lr"] = np.asarray(9.0)
    del state["step"]
    with pytest.raises(
        ValueError, match=r"missing step; unexpected extra; exp_avg.p1 of shape \(6,\) instead of \(5,\)"
    ):
        optimizer.load_state_dict(state)
    assert optimizer.lr == 1e-3

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
    ("Adam", {"lr": 0.05, "betas": (0.9, 0.5), "amsgrad": True}),
    ("AdamW", {"lr": 0.05, "betas": (0.9, 0.5), "amsgrad": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True}),
]
# Of each optimiser, the options of three groups; every option of the rule differs somewhere.
GROUPS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{"lr": 0.2, "momentum": 0.9, "dampening": 0.2}, {"momentum": 0.5, "nesterov": True}, {"weight_decay": 0.1}],
    "RMSprop": [{"lr": 0.002, "centered": True}, {"alpha": 0.9, "eps": 1e-4}, {"momentum": 0.5, "weight_decay": 0.1}],
    "Adam": [{"lr": 0.2}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"weight_decay": 0.1}],
    "AdamW": [{"lr": 0.2, "weight_decay": 0.5}, {"betas": (0.5, 0.9), "eps": 1e-3}, {}],
    "NAdam": [
        {"lr": 0.2, "momentum_decay": 0.1},
        {"betas": (0.5, 0.9), "eps": 1e-3},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ],
}


@pytest.fixture
def in_float64() -> Any:
    """PyTorch's own numbers in float64: NAdam keeps a product of decays in the default type."""
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


def problem(dtype: str = "float64") -> tuple[dict[str, Parameter], np.random.Generator]:
    rng = np.random.default_rng(0)
    return {f"p{i}": Parameter(rng.normal(size=s).astype(dtype)) for i, s in enumerate(SHAPES)}, rng


def fill(params: dict[str, Parameter], rng: np.random.Generator) -> None:
    for p in params.values():
        p.grad[...] = rng.normal(size=p.shape)


def assert_steps_agree(torch: Any, params: dict[str, Parameter], ours: Any, theirs: Any, tolerance: float) -> None:
    """Over 100 steps; ``theirs`` makes PyTorch's optimiser of its parameters."""
    rng = np.random.default_rng(1)
    twins = [torch.nn.Parameter(torch.tensor(p.value.copy())) for p in params.values()]
    other = theirs(twins)
    for _ in range(100):
        fill(params, rng)
        for p, t in zip(params.values(), twins, strict=True):
            t.grad = torch.tensor(p.grad.copy())
        ours.step()
        other.step()
    for p, t in zip(params.values(), twins, strict=True):
        np.testing.assert_allclose(p.value, t.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.torch
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_steps_are_those_of_pytorch(
    name: str, options: dict[str, Any], dtype: str, tolerance: float, in_float64: Any
) -> None:
    params = problem(dtype)[0]
    theirs = getattr(in_float64.optim, name)
    assert_steps_agree(
        in_float64, params, getattr(rf, name)(params, **options), lambda twins: theirs(twins, **options), tolerance
    )


@pytest.mark.torch
@pytest.mark.parametrize("form", ["patterns", "parameters", "dicts", "PyTorch's"])
@pytest.mark.parametrize("name", GROUPS)
def test_groups_are_those_of_pytorch(name: str, form: str, in_float64: Any) -> None:
    params = problem()[0]
    members: dict[str, list[Any]] = {
        "patterns": ["p0", ["p1*"], ["*2", "p2"]],
        "parameters": [[p] for p in params.values()],
        "dicts": [{key: p} for key, p in params.items()],
        "PyTorch's": [[p] for p in params.values()],
    }
    groups = [{"params": own, **group} for own, group in zip(members[form], GROUPS[name], strict=True)]
    cls = getattr(rf, name)
    ours = cls(groups, lr=0.02) if form == "PyTorch's" else cls(params, lr=0.02, groups=groups)
    theirs = getattr(in_float64.optim, name)

    def other(twins: list[Any]) -> Any:
        return theirs([{"params": [t], **group} for t, group in zip(twins, GROUPS[name], strict=True)], lr=0.02)

    assert_steps_agree(in_float64, params, ours, other, 1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("name", GROUPS)
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


@pytest.mark.torch
@pytest.mark.parametrize("limit", [0.5, 3.0, 1e6])
def test_clipping_by_value_is_that_of_pytorch(limit: float, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    params, rng = problem(dtype)
    fill(params, rng)
    theirs = [torch.nn.Parameter(torch.tensor(p.value.copy())) for p in params.values()]
    for p, t in zip(params.values(), theirs, strict=True):
        t.grad = torch.tensor(p.grad.copy())
    rf.clip_grad_value(params, limit)
    torch.nn.utils.clip_grad_value_(theirs, limit)
    for p, t in zip(params.values(), theirs, strict=True):
        np.testing.assert_array_equal(p.grad, t.grad.numpy())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_goes_on_where_it_stood(name: str, options: dict[str, Any]) -> None:
    """Ten steps equal five steps, a change of optimiser object, and five more."""
    whole, cut = problem()[0], problem()[0]
    first, second = getattr(rf, name)(whole, **options), getattr(rf, name)(cut, **options)
    for i in range(10):
        if i == 5:
            state = second.state_dict()
            rule = {"amsgrad": True} if "amsgrad" in options else {}
            second = getattr(rf, name)(cut, lr=123.0, **rule)
            second.load_state_dict(state)
        for params, optimizer in ((whole, first), (cut, second)):
            fill(params, np.random.default_rng(i))
            optimizer.step()
    for p, q in zip(whole.values(), cut.values(), strict=True):
        np.testing.assert_array_equal(p.value, q.value)


@pytest.mark.parametrize("name", GROUPS)
def test_the_state_of_groups_goes_on_where_it_stood(name: str) -> None:
    """Options that were changed on the way, in a group and outside of it, come along."""
    groups = [{"params": f"p{i}", **group} for i, group in enumerate(GROUPS[name])]
    whole, cut = problem()[0], problem()[0]
    cls = getattr(rf, name)
    first, second = cls(whole, lr=0.02, groups=groups), cls(cut, lr=0.02, groups=groups)
    for i in range(10):
        if i == 3:
            for optimizer in (first, second):
                optimizer.lr, optimizer.groups[0].lr = 0.03, 0.3
        if i == 5:
            state = second.state_dict()
            second = cls(
                cut, lr=123.0, groups=[{**group, **({"lr": 9.0} if "lr" in group else {})} for group in groups]
            )
            second.load_state_dict(state)
        for params, optimizer in ((whole, first), (cut, second)):
            fill(params, np.random.default_rng(i))
            optimizer.step()
    assert second.groups[0].lr == 0.3
    for p, q in zip(whole.values(), cut.values(), strict=True):
        np.testing.assert_array_equal(p.value, q.value)


def test_a_parameter_takes_the_options_of_all_its_groups() -> None:
    """Those of the later group where they differ, and the optimiser's own elsewhere."""
    names = ["layer.weight", "layer.bias", "head.weight", "head.bias"]
    rates = {"layer.weight": 1.0, "layer.bias": 3.0, "head.weight": 2.0, "head.bias": 3.0}
    decays = {"layer.weight": 0.5, "layer.bias": 0.5, "head.weight": 0.25, "head.bias": 0.25}
    params = {name: Parameter(np.ones(1)) for name in names}
    groups = [{"params": "head.*", "lr": 2.0, "weight_decay": 0.25}, {"params": ["*.bias"], "lr": 3.0}]
    optimizer = rf.SGD(params, lr=1.0, weight_decay=0.5, groups=groups)
    optimizer.step()
    assert {name: float(p.value[0]) for name, p in params.items()} == {
        name: 1 - rates[name] * decays[name] for name in names
    }


def test_an_interrupted_step_of_groups_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the guard runs the calls of the groups and the second one fails, the first is taken back."""
    params, rng = problem()
    optimizer = rf.Adam(params, groups=[{"params": "p1", "lr": 0.5}])
    fill(params, rng)
    before = {name: p.value.copy() for name, p in params.items()}, optimizer.state_dict()
    updates = type(optimizer)._updates

    def interrupted(self: Any, *given: Any) -> Any:
        def fail() -> None:
            raise KeyboardInterrupt

        return [updates(self, *given)[0], fail]

    monkeypatch.setattr(type(optimizer), "_updates", interrupted)
    monkeypatch.setattr(optimizer, "_limit", lambda *_: 0.0)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step()
    np.testing.assert_equal(({name: p.value for name, p in params.items()}, optimizer.state_dict()), before)


def test_groups_are_checked() -> None:
    params = problem()[0]

    def make(*groups: Any, **options: Any) -> Any:
        return rf.SGD(params, groups=list(groups), **options)

    with pytest.raises(ValueError, match=r"groups\[0\]: an entry 'params' is required, got lr"):
        make({"lr": 1.0})
    with pytest.raises(TypeError, match=r"groups\[1\]: unknown argument 'momentun'; did you mean 'momentum'"):
        make({"params": "p0"}, {"params": "p1", "momentun": 0.5})
    with pytest.raises(ValueError, match=r"groups\[0\]\['weight_decay'\]: a finite number of at least 0 is required"):
        make({"params": "p0", "weight_decay": -1.0})
    with pytest.raises(ValueError, match=r"groups\[0\]\['params'\]: the name .* \(p0, p1, p2\), got 'head"):
        make({"params": "head.*", "lr": 1.0})
    with pytest.raises(ValueError, match=r"groups\[0\]\['params'\]: parameters of the optimizer are required"):
        make({"params": [Parameter(np.ones(1))], "lr": 1.0})
    with pytest.raises(ValueError, match=r"nesterov: momentum > 0 and dampening = 0 are required"):
        make({"params": "p*", "momentum": 0.9}, {"params": "p1", "nesterov": True}, {"params": "p1", "dampening": 0.1})
    with pytest.raises(TypeError, match=r"groups: a list of dicts is required"):
        rf.SGD(params, groups={"params": "p0"})  # type: ignore[dict-item]
    overlapping: list[dict[str, Any]] = [{"params": params}, {"params": [params["p0"]]}]
    with pytest.raises(ValueError, match=r"params: every parameter in one group only is required"):
        rf.SGD(overlapping)
    with pytest.raises(ValueError, match=r"groups: none are required beside the groups in params"):
        rf.SGD([{"params": params}], groups=[{"params": "p0"}])


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
        rf.SGD([np.ones(2)])  # type: ignore[arg-type]
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

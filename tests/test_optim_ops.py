"""Optimiser steps: every instruction set and type against the formulas, PyTorch, and planted faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops
from tests.support.matrix import EXACT, epsilon, several_widths
from tests.support.state import using_isa

SIZES = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1000]
STEPS = 4
Array = np.ndarray
Arrays = list[Array]

SGD: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "momentum": {"momentum": 0.9},
    "dampening": {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
    "nesterov": {"momentum": 0.9, "nesterov": True},
}
ADAM: dict[str, dict[str, Any]] = {
    "plain": {},
    "betas": {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
    "decay": {"weight_decay": 0.1},
    "decoupled": {"weight_decay": 0.1, "decoupled": True},
}
RMSPROP: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay": {"weight_decay": 0.1, "alpha": 0.9, "eps": 1e-3},
    "momentum": {"momentum": 0.9},
    "centered": {"centered": True, "momentum": 0.5},
}
NADAM: dict[str, dict[str, Any]] = {
    "plain": {},
    "shares": {"m_share": 2.0, "g_share": 0.25, "beta1": 0.5, "eps": 1e-3},
    "decoupled": {"weight_decay": 0.1, "decoupled": True},
}
FAMILIES = {"sgd": SGD, "adam": ADAM, "amsgrad": ADAM, "nadam": NADAM, "rmsprop": RMSPROP}
CASES = [(family, case) for family, cases in FAMILIES.items() for case in cases]
each_case = pytest.mark.parametrize(("family", "case"), CASES)
LR = 0.05


def options_of(family: str, case: str) -> dict[str, Any]:
    defaults: dict[str, dict[str, Any]] = {
        "sgd": {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False},
        "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "decoupled": False},
        "nadam": {"m_share": 0.5, "g_share": 0.5},
        "rmsprop": {"alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False},
    }
    own = defaults["adam"] if family in ("amsgrad", "nadam") else {}
    return own | defaults.get(family, {}) | FAMILIES[family][case]


def engine_step(family: str, values: Arrays, grads: Arrays, kept: list[Arrays], step: Array, **o: Any) -> None:
    buffers = kept[: len(_ops.OPTIMIZERS[family].buffers)]
    _ops.update(family, values, grads, buffers, {"lr": LR, **o}, step)


def formula_sgd(p: Array, g: Array, kept: Arrays, t: int, o: dict[str, Any]) -> None:
    g = g + o["weight_decay"] * p
    if o["momentum"]:
        kept[0][...] = g if t == 1 else o["momentum"] * kept[0] + (1 - o["dampening"]) * g
        g = g + o["momentum"] * kept[0] if o["nesterov"] else kept[0]
    p -= LR * g


def moments(p: Array, g: Array, kept: Arrays, o: dict[str, Any]) -> tuple[Array, Array, Array]:
    """Decay, and both running means of the gradient; returns g, m and v."""
    if o["decoupled"]:
        p *= 1 - LR * o["weight_decay"]
    else:
        g = g + o["weight_decay"] * p
    m, v = kept[:2]
    m[...] = o["beta1"] * m + (1 - o["beta1"]) * g
    v[...] = o["beta2"] * v + (1 - o["beta2"]) * g**2
    return g, m, v


def root(v: Array, t: int, o: dict[str, Any]) -> Array:
    return np.asarray(np.sqrt(v / (1 - o["beta2"] ** t)) + o["eps"])


def formula_adam(p: Array, g: Array, kept: Arrays, t: int, o: dict[str, Any]) -> None:
    _, m, v = moments(p, g, kept, o)
    p -= LR * (m / (1 - o["beta1"] ** t)) / root(v, t, o)


def formula_amsgrad(p: Array, g: Array, kept: Arrays, t: int, o: dict[str, Any]) -> None:
    _, m, v = moments(p, g, kept, o)
    kept[2][...] = np.maximum(kept[2], v)
    p -= LR * (m / (1 - o["beta1"] ** t)) / root(kept[2], t, o)


def formula_nadam(p: Array, g: Array, kept: Arrays, t: int, o: dict[str, Any]) -> None:
    g, m, v = moments(p, g, kept, o)
    p -= LR * (o["m_share"] * m + o["g_share"] * g) / root(v, t, o)


def formula_rmsprop(p: Array, g: Array, kept: Arrays, t: int, o: dict[str, Any]) -> None:
    g = g + o["weight_decay"] * p
    s, b, a = kept
    s[...] = o["alpha"] * s + (1 - o["alpha"]) * g**2
    spread = s
    if o["centered"]:
        a[...] = o["alpha"] * a + (1 - o["alpha"]) * g
        spread = np.maximum(s - a**2, 0)
    d = g / (np.sqrt(spread) + o["eps"])
    if o["momentum"]:
        b[...] = o["momentum"] * b + d
        d = b
    p -= LR * d


FORMULAS: dict[str, Callable[..., None]] = {
    "sgd": formula_sgd,
    "adam": formula_adam,
    "amsgrad": formula_amsgrad,
    "nadam": formula_nadam,
    "rmsprop": formula_rmsprop,
}


def start(shapes: list[tuple[int, ...]], dtype: str) -> tuple[Arrays, list[Arrays], list[Arrays]]:
    """Values, three lists of zero buffers, and the gradients of every step."""
    rng = np.random.default_rng(17)
    values = [rng.normal(size=s).astype(dtype) for s in shapes]
    kept = [[np.zeros(s, dtype) for s in shapes] for _ in range(3)]
    return values, kept, [[rng.normal(size=s).astype(dtype) for s in shapes] for _ in range(STEPS)]


def run(family: str, case: str, shapes: list[tuple[int, ...]], dtype: str) -> tuple[Arrays, list[Arrays]]:
    values, kept, gradients = start(shapes, dtype)
    step = np.zeros(1, np.int64)
    for t, grads in enumerate(gradients, 1):
        engine_step(family, values, grads, kept, step, **options_of(family, case))
        assert step[0] == t
    return values, kept


def run_formula(
    family: str, shapes: list[tuple[int, ...]], dtype: str, options: dict[str, Any], formula: Callable[..., None]
) -> tuple[Arrays, list[Arrays]]:
    values, kept, gradients = start(shapes, dtype)
    values = [v.astype(np.longdouble) for v in values]
    kept = [[b.astype(np.longdouble) for b in buffers] for buffers in kept]
    for t, grads in enumerate(gradients, 1):
        for i, p in enumerate(values):
            formula(p, grads[i].astype(np.longdouble), [buffers[i] for buffers in kept], t, options)
    return values, kept


def assert_close(actual: tuple[Arrays, list[Arrays]], expected: tuple[Arrays, list[Arrays]], dtype: str) -> None:
    """A dozen roundings a step, each of a number that is at most of the order of one or of the result."""
    bound = 12 * STEPS * np.finfo(dtype).eps / 2
    pairs = [(actual[0], expected[0]), *zip(actual[1], expected[1], strict=True)]
    for ours, theirs in pairs:
        for a, e in zip(ours, theirs, strict=True):
            assert a.dtype == dtype
            assert np.all(np.abs(a - e) <= bound * (1 + np.abs(e)))


@each_case
def test_formulas(isa: str, dtype: str, family: str, case: str) -> None:
    shapes: list[tuple[int, ...]] = [(n,) for n in SIZES]
    expected = run_formula(family, shapes, dtype, options_of(family, case), FORMULAS[family])
    assert_close(run(family, case, shapes, dtype), expected, dtype)


@each_case
def test_a_number_does_not_depend_on_its_place(isa: str, dtype: str, family: str, case: str) -> None:
    """Vectors, tails and pieces shared out to threads compute the same."""
    rng = np.random.default_rng(3)
    n, o = 20_000, options_of(family, case)
    whole, grads = rng.normal(size=n).astype(dtype), rng.normal(size=n).astype(dtype)
    parts = np.array_split(whole.copy(), [1, 8, 25, 1000, 17_000])
    g_parts = np.array_split(grads, [1, 8, 25, 1000, 17_000])
    for values, gradients in (([whole], [grads]), ([p.copy() for p in parts], [g.copy() for g in g_parts])):
        kept = [[np.zeros_like(v) for v in values] for _ in range(3)]
        step = np.zeros(1, np.int64)
        for _ in range(3):
            engine_step(family, values, gradients, kept, step, **o)
        parts = values
    np.testing.assert_array_equal(np.concatenate(parts), whole)


BIG = [(300, 257), (70_000,), (3, 5, 7), (0,), (1,)]


def all_results(dtype: str) -> list[Array]:
    out: list[Array] = []
    for family, case in CASES:
        values, kept = run(family, case, BIG, dtype)
        out += values + [b for buffers in kept for b in buffers]
    values = [v * 1e3 for v in start(BIG, dtype)[0]]
    out.append(np.array(_ops.squared_norm(values)))
    _ops.scale_(values, 1 / 3)
    return out + values


@several_widths
def test_instruction_sets_give_the_same_bits(dtype: str) -> None:
    results = []
    for name in EXACT:
        with using_isa(name):
            results.append(all_results(dtype))
    for a, b in zip(*results[:2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_threads_change_no_bit(isa: str, dtype: str) -> None:
    with rf.threads(1):
        alone = all_results(dtype)
    for n in (2, 3):
        with rf.threads(n):
            for a, b in zip(all_results(dtype), alone, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.torch
@pytest.mark.parametrize(("family", "case"), [(family, case) for family, case in CASES if family != "nadam"])
def test_agrees_with_torch(isa: str, dtype: str, family: str, case: str) -> None:
    torch = pytest.importorskip("torch")
    shapes, o = [(33, 7), (5,)], options_of(family, case)
    values, _, gradients = start(shapes, dtype)
    params = [torch.from_numpy(v.copy()).requires_grad_() for v in values]
    decoupled = o.pop("decoupled", False)
    if "beta1" in o:
        o |= {"betas": (o.pop("beta1"), o.pop("beta2")), "amsgrad": family == "amsgrad"}
    adam = "AdamW" if decoupled else "Adam"
    names = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": adam, "amsgrad": adam}
    optimizer = getattr(torch.optim, names[family])(params, lr=LR, **o)
    for grads in gradients:
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.from_numpy(g.copy())
        optimizer.step()
    ours = run(family, case, shapes, dtype)[0]
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    for p, value in zip(params, ours, strict=True):
        np.testing.assert_allclose(value, p.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_squared_norm(isa: str, dtype: str, rng: np.random.Generator) -> None:
    for n in [*SIZES, 65_535, 65_536, 65_537, 200_000]:
        x = (rng.normal(size=n) * 10).astype(dtype)
        exact = float((x.astype(np.longdouble) ** 2).sum())
        got = _ops.squared_norm([x[: n // 3], x[n // 3 :].reshape(-1, 1)])
        assert got == pytest.approx(exact, rel=(65_536 / 16 + 20) * 2.0**-53, abs=0)
    large = np.full(1000, 1e30, dtype)
    assert _ops.squared_norm([large]) == pytest.approx(1e63, rel=1e-6)
    assert _ops.squared_norm([]) == 0.0
    assert np.isnan(_ops.squared_norm([np.array([1, np.nan, 2], dtype)]))


def test_scale(isa: str, dtype: str, rng: np.random.Generator) -> None:
    for n in SIZES:
        x = rng.normal(size=(n, 2)).astype(dtype)
        expected = x * np.asarray(0.3, dtype)
        _ops.scale_([x], 0.3)
        np.testing.assert_array_equal(x, expected)


def test_the_first_step_of_adam_has_the_size_of_the_rate(isa: str, dtype: str) -> None:
    """By the bias correction the first step is lr, whatever the gradient."""
    p, g = np.zeros(5, dtype), np.array([1e-3, -1, 5, -1e3, 1e6], dtype)
    options = {"lr": 0.25, "beta1": 0.9, "beta2": 0.999, "eps": 0.0, "weight_decay": 0.0, "decoupled": False}
    _ops.update("adam", [p], [g], [[p * 0], [p * 0]], options, np.zeros(1, np.int64))
    np.testing.assert_allclose(p, -0.25 * np.sign(g), rtol=8 * epsilon(dtype))


def no_bias_correction(p: Array, g: Array, kept: Arrays, t: int, o: dict[str, Any]) -> None:
    formula_adam(p, g, kept, 10**9, o)


def always_first(p: Array, g: Array, kept: Arrays, t: int, o: dict[str, Any]) -> None:
    formula_sgd(p, g, kept, 1, o)


def never_first(p: Array, g: Array, kept: Arrays, t: int, o: dict[str, Any]) -> None:
    formula_sgd(p, g, kept, 2, o)


FAULTS: dict[str, tuple[str, str, Callable[..., None], dict[str, Any]]] = {
    "no bias correction": ("adam", "plain", no_bias_correction, {}),
    "coupled instead of decoupled decay": ("adam", "decoupled", formula_adam, {"decoupled": False}),
    "ignored decay": ("adam", "decay", formula_adam, {"weight_decay": 0.0}),
    "exchanged betas": ("adam", "betas", formula_adam, {"beta1": 0.9, "beta2": 0.5}),
    "eps left out": ("adam", "betas", formula_adam, {"eps": 0.0}),
    "momentum buffer never kept": ("sgd", "momentum", always_first, {}),
    "dampening of the first step": ("sgd", "dampening", never_first, {}),
    "plain instead of Nesterov momentum": ("sgd", "nesterov", formula_sgd, {"nesterov": False}),
    "the latest instead of the largest square": ("amsgrad", "betas", formula_adam, {}),
    "no look ahead": ("nadam", "shares", formula_nadam, {"g_share": 0.0}),
    "not centered": ("rmsprop", "centered", formula_rmsprop, {"centered": False}),
    "momentum ignored": ("rmsprop", "momentum", formula_rmsprop, {"momentum": 0.0}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_refused(fault: str, dtype: str) -> None:
    family, case, formula, change = FAULTS[fault]
    shapes: list[tuple[int, ...]] = [(n,) for n in SIZES]
    wrong = run_formula(family, shapes, dtype, options_of(family, case) | change, formula)
    with pytest.raises(AssertionError):
        assert_close(run(family, case, shapes, dtype), wrong, dtype)

"""Schedules of the learning rate against PyTorch, and in training."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.params import Parameter
from rnnfast.schedules import (
    Cosine,
    Exponential,
    Function,
    OneCycle,
    PiecewiseConstant,
    Schedule,
    StepDecay,
    WarmUp,
)

X, Y = np.random.default_rng(0).normal(size=(20, 4, 3)), np.arange(20) % 2
LR = 0.05


def warm_up(torch: Any, optimizer: Any) -> Any:
    rise = torch.LinearLR(optimizer, start_factor=0.25, total_iters=30)
    return torch.SequentialLR(optimizer, [rise, torch.CosineAnnealingLR(optimizer, 70)], milestones=[30])


# Ours, and PyTorch's for an optimiser.
CASES: dict[str, tuple[Schedule, Callable[[Any, Any], Any]]] = {
    "function": (Function(lambda t: LR / (1 + t)), lambda t, o: t.LambdaLR(o, lambda step: 1 / (1 + step))),
    "step decay": (StepDecay(LR, every=7, factor=0.5), lambda t, o: t.StepLR(o, 7, 0.5)),
    "exponential": (Exponential(LR, factor=0.97), lambda t, o: t.ExponentialLR(o, 0.97)),
    "piecewise constant": (
        PiecewiseConstant([LR, LR / 10, LR / 100], boundaries=[13, 57]),
        lambda t, o: t.MultiStepLR(o, [13, 57], 0.1),
    ),
    "cosine": (Cosine(LR, length=100, least=0.01), lambda t, o: t.CosineAnnealingLR(o, 100, eta_min=0.01)),
    "equal restarts": (
        Cosine(LR, length=9, growth=1, least=0.01),
        lambda t, o: t.CosineAnnealingWarmRestarts(o, 9, 1, eta_min=0.01),
    ),
    "growing restarts": (Cosine(LR, length=9, growth=2), lambda t, o: t.CosineAnnealingWarmRestarts(o, 9, 2)),
    "one cycle": (
        OneCycle(LR, length=100, rise=0.25, start_factor=10, end_factor=50),
        lambda t, o: t.OneCycleLR(
            o, LR, total_steps=100, pct_start=0.25, div_factor=10, final_div_factor=50, cycle_momentum=False
        ),
    ),
    "warm-up": (WarmUp(Cosine(LR, length=70), length=30, start=0.25), warm_up),
    "warm-up to a number": (
        WarmUp(LR, length=30, start=0.25),
        lambda t, o: t.LinearLR(o, start_factor=0.25, total_iters=30),
    ),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "NAdam"])
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_steps_on_a_schedule_are_those_of_pytorch(name: str, optimizer: str) -> None:
    """Over 100 steps, in a group, too, whose rate follows the schedule while the other's stays."""
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    ours, theirs = CASES[name]
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 2)), rng.normal(size=4)]
    params, twins = [Parameter(p) for p in start], [torch.nn.Parameter(torch.tensor(p)) for p in start]
    first = getattr(rf, optimizer)([params[0]], lr=ours)
    grouped = getattr(rf, optimizer)([params[1]], lr=123.0, groups=[{"params": "0", "lr": ours}])
    other = getattr(torch.optim, optimizer)(twins, lr=LR)
    schedule = theirs(torch.optim.lr_scheduler, other)
    rates = []
    for step in range(100):
        for p, t in zip(params, twins, strict=True):
            p.grad[...] = rng.normal(size=p.shape)
            t.grad = torch.tensor(p.grad.copy())
        first.step()
        grouped.step()
        rates.append(other.param_groups[0]["lr"])
        assert first.lr == pytest.approx(rates[-1], rel=1e-12, abs=1e-15)
        other.step()
        if step < 99:
            schedule.step()
    torch.set_default_dtype(before)
    assert len(set(rates)) > 2
    for p, t in zip(params, twins, strict=True):
        np.testing.assert_allclose(p.value, t.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_values_are_repeated_by_copies(name: str) -> None:
    ours = CASES[name][0]
    ways = [copy.copy, copy.deepcopy] + ([] if name == "function" else [lambda s: pickle.loads(pickle.dumps(s))])
    for way in ways:
        assert [way(ours)(t) for t in range(120)] == [ours(t) for t in range(120)]


class Rates(rf.Callback):
    """The learning rate of every step."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_step_end(self, run: rf.Run) -> None:
        self.found.append(run.optimizer.lr)


def rates_of(lr: Any, **options: Any) -> tuple[list[float], dict[str, list[float]]]:
    rates = Rates()
    model = rf.ManyToOne(3, 2, hidden_size=3, seed=0)
    history = model.fit(
        X, Y, **{"epochs": 3, "batch_size": 5, "lr": lr, "callbacks": rates, "progress": False, "seed": 0, **options}
    )
    return rates.found, history.history


@pytest.mark.parametrize("given", ["by name", "object", "function"])
def test_fit_follows_a_schedule_by_steps(given: str) -> None:
    """The history has the rate of the last step of each epoch."""
    schedule = Exponential(0.1, factor=0.5)
    options: dict[str, Any] = {"lr": schedule}
    if given == "object":
        options = {"lr": None, "optimizer": rf.Adam(lr=schedule)}
    elif given == "function":
        options = {"lr": lambda step: 0.1 * 0.5**step}
    found, history = rates_of(**options)
    assert found == [0.1 * 0.5**t for t in range(12)]
    assert history["lr"] == found[3::4]
    assert list(history) == ["loss", "lr"]


def test_fit_follows_a_schedule_by_epochs() -> None:
    found, history = rates_of(StepDecay(0.1, every=1, factor=0.5, by="epoch"))
    assert found == [0.1] * 4 + [0.05] * 4 + [0.025] * 4
    assert history["lr"] == [0.1, 0.05, 0.025]
    assert rates_of(Function(lambda epoch: 0.1 + epoch, by="epoch"))[1]["lr"] == [0.1, 1.1, 2.1]


def test_a_constant_rate_is_not_in_the_history() -> None:
    assert list(rates_of(0.1)[1]) == ["loss"]


@pytest.mark.parametrize(
    ("open_ended", "closed"),
    [
        (Cosine(0.1), Cosine(0.1, length=12)),
        (Cosine(0.1, by="epoch"), Cosine(0.1, length=3, by="epoch")),
        (OneCycle(0.1), OneCycle(0.1, length=12)),
        (WarmUp(Cosine(0.1), length=4), WarmUp(Cosine(0.1, length=8), length=4)),
        (WarmUp(Cosine(0.1), length=20), WarmUp(Cosine(0.1, length=1), length=20)),
        (
            WarmUp(WarmUp(OneCycle(0.1), length=2), length=4),
            WarmUp(WarmUp(OneCycle(0.1, length=6), length=2), length=4),
        ),
    ],
)
def test_a_schedule_without_a_length_lasts_for_the_training(open_ended: Any, closed: Any) -> None:
    assert rates_of(open_ended) == rates_of(closed)
    assert not open_ended.complete


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"accumulate": 3}, 6),
        ({"validation_split": 0.25}, 9),
        ({"tbptt": 2}, 12),
        ({"epochs": 1, "batch_size": 7}, 3),
    ],
)
def test_the_length_of_a_training_is_its_number_of_steps(options: dict[str, Any], steps: int) -> None:
    """Pieces of sequences without a target take no step."""
    found, _ = rates_of(Cosine(1.0), **options)
    last = (1 + np.cos(np.pi * (steps - 1) / steps)) / 2
    assert found[-1] == pytest.approx(last, rel=1e-12)


def test_the_length_of_a_training_in_pieces_with_a_burn_in() -> None:
    rates, model = Rates(), rf.ManyToMany(3, 2, hidden_size=3, seed=0)
    y = np.zeros((20, 4), int)
    model.fit(X, y, epochs=2, batch_size=5, tbptt=1, burn_in=2, lr=Cosine(1.0), callbacks=rates, progress=False, seed=0)
    assert rates.found[-1] == pytest.approx((1 + np.cos(np.pi * 15 / 16)) / 2, rel=1e-12)


def test_outside_of_fit_a_length_is_required() -> None:
    optimizer = rf.Adam([Parameter(np.ones(1))], lr=Cosine(0.1))
    with pytest.raises(ValueError, match=r"length: a number of steps is required .*, got None"):
        optimizer.step()
    optimizer.end_with(steps=4, epochs=1)
    optimizer.step()
    assert optimizer.lr == 0.1


def test_a_loop_of_ones_own_counts_epochs() -> None:
    optimizer = rf.SGD([Parameter(np.ones(1))], lr=StepDecay(0.1, every=1, factor=0.5, by="epoch"))
    for epoch in range(3):
        optimizer.epoch = epoch
        for _ in range(2):
            optimizer.step()
            assert optimizer.lr == 0.1 * 0.5**epoch


def test_a_number_replaces_a_schedule_and_back() -> None:
    optimizer = rf.SGD([Parameter(np.ones(1))], lr=Exponential(0.1, factor=0.5))
    assert (optimizer.lr, optimizer.scheduled) == (0.1, True)
    optimizer.lr = 0.3
    optimizer.step()
    assert (optimizer.lr, optimizer.scheduled) == (0.3, False)
    optimizer.lr = lambda step: 10.0 * step
    optimizer.step()
    assert (optimizer.lr, optimizer.scheduled) == (10.0, True)


def test_what_a_schedule_returns_is_checked() -> None:
    optimizer = rf.SGD([Parameter(np.ones(1))], lr=lambda step: 0.1 - step)
    optimizer.step()
    with pytest.raises(ValueError, match=r"lr: a finite number of at least 0 is required, got -0.9"):
        optimizer.step()
    with pytest.raises(ValueError, match=r"values: one more than boundaries are required \(1 \+ 1\), got 1"):
        PiecewiseConstant([0.1], boundaries=[3])
    with pytest.raises(ValueError, match=r"boundaries: numbers that ascend are required"):
        PiecewiseConstant([0.1, 0.2, 0.3], boundaries=[3, 3])
    with pytest.raises(ValueError, match=r"by: what the schedule counts is required \('epoch'\), got 'step'"):
        WarmUp(Cosine(0.1, by="epoch"), length=3, by="step")


def plateau(values: list[float], **options: Any) -> list[float]:
    """The learning rates of the epochs after each of which the validation loss has these values."""

    class Script(rf.Callback):
        def on_epoch_end(self, run: rf.Run) -> None:
            run.logs["val_loss"] = values[run.epoch - 1]

    model = rf.ManyToOne(3, 2, hidden_size=2, seed=0)
    optimizer = rf.SGD(lr=1.0, groups=[{"params": "head.*", "lr": 2.0}])
    callbacks = [Script(), rf.ReduceLROnPlateau(**options)]
    history = model.fit(X, Y, epochs=len(values), optimizer=optimizer, callbacks=callbacks, progress=False)
    own = optimizer.groups[0].lr
    if "min_lr" not in options:
        assert own == 2 * optimizer.lr
    return history.history["lr"]


@pytest.mark.torch
@pytest.mark.parametrize("options", [{}, {"cooldown": 2}, {"min_lr": 0.2}, {"mode": "max"}, {"min_delta": 0.15}])
@pytest.mark.parametrize("patience", [1, 2, 4])
def test_a_plateau_lowers_the_rate_as_in_pytorch(options: dict[str, Any], patience: int) -> None:
    torch = pytest.importorskip("torch")
    values = [round(v, 1) for v in np.random.default_rng(3).uniform(0, 1, 40)]
    other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    names = {"min_delta": "threshold"}
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        other,
        **{"threshold": 0.0, "threshold_mode": "abs", "factor": 0.5, "patience": patience - 1, "eps": 0.0}
        | {names.get(name, name): value for name, value in options.items()},
    )
    expected = []
    for value in values:
        expected.append(other.param_groups[0]["lr"])
        theirs.step(value)
    assert plateau(values, factor=0.5, patience=patience, **options) == expected
    assert len(set(expected)) > 2


def test_a_plateau_needs_a_number() -> None:
    with pytest.raises(ValueError, match=r"lr: a number is required beside ReduceLROnPlateau, got a schedule"):
        rates_of(Cosine(0.1), callbacks=rf.ReduceLROnPlateau("loss"))

"""The cases of what trains: optimisers, schedules, clipping, averages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import rnnfast as rf
from tests.support.argument_cases import Case, parameter


def optimizer(cls: Any, **options: Any) -> Case:
    groups = [{"params": "0", "lr": 0.2}]
    valid = {"params": [parameter()], "lr": 0.1, "weight_decay": 0.1, "groups": groups, **options}
    return Case(make=lambda: cls, valid=lambda: valid, accepted={"lr": "0 2**63"})


def unbound(cls: Callable[..., rf.optim.Optimizer]) -> Callable[..., Any]:
    return cls().bind


def scaling(cls: Callable[..., rf.optim.Optimizer]) -> Callable[..., Any]:
    return cls().scale_lr


def loading(cls: Callable[..., rf.optim.Optimizer]) -> Callable[..., Any]:
    return cls([parameter()]).load_state_dict


def saved_state(cls: Callable[..., rf.optim.Optimizer]) -> dict[str, Any]:
    return {"state": cls([parameter()]).state_dict()}


def optimizers() -> dict[str, Case]:
    decays = {"betas": (0.9, 0.99), "eps": 1e-8}
    smooth = {"alpha": 0.9, "eps": 1e-8, "momentum": 0.5, "centered": True}
    found = {
        "SGD": optimizer(rf.SGD, momentum=0.5, dampening=0.0, nesterov=False),
        "RMSprop": optimizer(rf.RMSprop, **smooth),
        "Adam": optimizer(rf.Adam, **decays, amsgrad=False),
        "AdamW": optimizer(rf.AdamW, **decays, amsgrad=False),
        "NAdam": optimizer(rf.NAdam, **decays, momentum_decay=0.01, decoupled_weight_decay=True),
    }
    for cls in (rf.SGD, rf.RMSprop, rf.Adam, rf.AdamW, rf.NAdam):
        found[f"{cls.__name__}.bind"] = Case(
            make=partial(unbound, cls), valid=lambda: {"params": [parameter()]}, accepted={"params": ""}
        )
        found[f"{cls.__name__}.load_state_dict"] = Case(
            make=partial(loading, cls), valid=partial(saved_state, cls), accepted={"state": ""}
        )
        found[f"{cls.__name__}.scale_lr"] = Case(
            make=partial(scaling, cls),
            valid=lambda: {"factor": 0.5, "least": 1e-5},
            accepted={"factor": "0 2**63", "least": "0 2**63"},
        )
    return found


def averaged() -> Any:
    average = rf.AveragedWeights(0.5)
    average.update([rf.Parameter(np.ones((2, 2)))])
    return average


def with_average(params: Any) -> None:
    with averaged().applied(params):
        pass


SCHEDULES: dict[str, dict[str, Any]] = {
    "Function": {"function": abs},
    "StepDecay": {"lr": 0.1, "every": 2, "factor": 0.5},
    "Exponential": {"lr": 0.1, "factor": 0.5},
    "PiecewiseConstant": {"values": [0.1, 0.2], "boundaries": [3]},
    "Cosine": {"lr": 0.1, "length": 5, "least": 0.01, "growth": 2},
    "OneCycle": {"peak": 0.1, "length": 5, "rise": 0.3, "start_factor": 25.0, "end_factor": 1e4},
    "WarmUp": {"schedule": 0.1, "length": 5, "start": 0.5},
}
SCHEDULE_ACCEPTED = {
    "lr": "0 2**63", "factor": "0 2**63", "least": "0 2**63", "growth": "None", "length": "None", "peak": "0 2**63",
    "start_factor": "2**63", "end_factor": "2**63", "schedule": "0 2**63", "start": "0",
}  # fmt: skip


def schedules() -> dict[str, Case]:
    return {
        f"schedules.{name}": Case(
            make=partial(getattr, rf.schedules, name),
            valid=partial(dict, SCHEDULES[name], by="step"),
            accepted={**SCHEDULE_ACCEPTED, **({"length": "", "by": "None"} if name == "WarmUp" else {})},
        )
        for name in SCHEDULES
    }


TRAINING: dict[str, Case] = {
    **optimizers(),
    **schedules(),
    "AveragedWeights": Case(make=lambda: rf.AveragedWeights, valid=lambda: {"decay": 0.9, "bias_correction": True}),
    "AveragedWeights.update": Case(
        make=lambda: averaged().update, valid=lambda: {"params": [parameter()]}, accepted={"params": ""}
    ),
    "AveragedWeights.applied": Case(
        make=lambda: with_average, valid=lambda: {"params": [parameter()]}, accepted={"params": ""}
    ),
    "AveragedWeights.load_state_dict": Case(
        make=lambda: averaged().load_state_dict,
        valid=lambda: {"state": averaged().state_dict()},
        accepted={"state": ""},
    ),
    "clip_grad_norm": Case(
        make=lambda: rf.clip_grad_norm,
        valid=lambda: {"params": [parameter()], "max_norm": 1.0},
        accepted={"params": ""},
    ),
    "clip_grad_value": Case(
        make=lambda: rf.clip_grad_value,
        valid=lambda: {"params": [parameter()], "limit": 1.0},
        accepted={"params": "", "limit": "inf 2**63"},
    ),
    "ReduceLROnPlateau": Case(
        make=lambda: rf.ReduceLROnPlateau,
        valid=lambda: {
            "monitor": "loss",
            "factor": 0.5,
            "patience": 3,
            "min_delta": 0.0,
            "cooldown": 1,
            "min_lr": 0.0,
            "mode": "min",
        },
        accepted={"patience": ""},
    ),
}

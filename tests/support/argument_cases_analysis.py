"""The cases of what looks into a network: Jacobians, fixed points, attributions and, with matplotlib, pictures."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast import plot
from rnnfast.analysis import fixed_points, integrated_gradients, jacobian, saliency
from tests.support.argument_cases import Case

GRU = rf.GRU(3, 2, seed=0)
MODEL = rf.ManyToMany(3, 2, hidden_size=2, seed=0)
X = np.ones((2, 3, 3))
OUTPUT: dict[str, Any] = {"model": MODEL, "x": X, "target": 1, "step": -1, "head": None, "lengths": [3, 2]}
OF_OUTPUT = {"target": "None 0", "step": "None -1 0", "head": "None"}
POINTS = {"tolerance": "inf 2**63", "distance": "0 2**63", "max_steps": "0", "x": "None"}

ANALYSIS: dict[str, Case] = {
    "analysis.jacobian": Case(
        make=lambda: jacobian,
        valid=lambda: {"layer": GRU, "x": np.ones((1, 3)), "state": np.ones((1, 1, 2))},
        accepted={"state": ""},
    ),
    "analysis.fixed_points": Case(
        make=lambda: fixed_points,
        valid=lambda: {
            "layer": GRU, "x": np.ones(3), "starts": 2, "tolerance": 1e-8, "distance": 0.1, "max_steps": 9, "seed": 0
        },
        accepted=POINTS,
    ),
    "analysis.saliency": Case(make=lambda: saliency, valid=lambda: OUTPUT, accepted=OF_OUTPUT),
    "analysis.integrated_gradients": Case(
        make=lambda: integrated_gradients,
        valid=lambda: {**OUTPUT, "baseline": 0.0, "tolerance": 1e-3, "max_nodes": 2},
        accepted={**OF_OUTPUT, "baseline": "-1 0 2**63", "tolerance": "0 2**63"},
    ),
}  # fmt: skip

TRACE = GRU.trace(np.ones((1, 4, 3), np.float32))
PLACE: dict[str, Any] = {"layer": -1, "sequence": 0, "labels": "abcd", "ax": None}
LOOK = {"ax": "None", "layer": "-1 0", "sequence": "-1 0", "labels": "None text shape"}
MAP: dict[str, Any] = {"rows": "ab", "columns": "cd", "low": 0.0, "high": 3.0}
NAMES: dict[str, Any] = {"xlabel": "x", "ylabel": "y", "label": "z"}
TEXTS = dict.fromkeys(NAMES, "text")


def made(name: str, accepted: dict[str, str], **valid: Any) -> dict[str, Case]:
    made = Case(make=lambda: getattr(plot, name), valid=lambda: valid | {"ax": None}, accepted={**LOOK, **accepted})
    return {f"plot.{name}": made}


PICTURES: dict[str, Case] = {
    **made("learning_curves", {"names": "None"}, history={"loss": [1.0]}, names="loss"),
    **made("gradient_norms", {"sequence": "None -1 0"}, norms=np.ones((2, 3, 4)), sequence=None, bidirectional=False),
    **made(
        "forecast",
        {"past": "None", "quantiles": "", "actual": "None", "times": "None", "label": "text"},
        past=np.ones(3),
        quantiles=np.ones((4, 3)),
        levels=(0.1, 0.5, 0.9),
        actual=np.ones(4),
        times=None,
        label="load (MW)",
    ),
    **made("predicted_against_true", {"label": "text"}, true=np.ones(3), predicted=np.ones(3), label="load (MW)"),
    **made(
        "heat_map",
        {"rows": "None", "columns": "None", "low": "None -1 0", "high": "None 0 2**63", **TEXTS},
        values=[[0.0, 1.0], [2.0, 3.0]],
        **MAP,
        **NAMES,
    ),
    **made("hidden_states", {}, trace=TRACE, cell_state=False, **PLACE),
    **made("gates", {}, trace=TRACE, gate="z", **PLACE),
    **made(
        "attention", {"source": "None", "written": "None"}, weights=np.ones((2, 5)) / 5, source="abcfg", written="de"
    ),
    **made(
        "saliency",
        {"features": "None", "label": "text"},
        values=np.ones((4, 2)),
        labels="abcd",
        features="ef",
        label="share",
    ),
    **made(
        "confusion_matrix",
        {"classes": "None text shape"},
        true=[0, 1, 0],
        predicted=[0, 1, 1],
        classes="ab",
        normalize=False,
    ),
    **made(
        "phase_portrait",
        {"fixed_points": "None", "units": "None", "layer": "None"},
        states=TRACE.h[-1],
        fixed_points=None,
        units=(0, 1),
        layer=GRU,
    ),
}
if not importlib.util.find_spec("matplotlib"):
    PICTURES = {}

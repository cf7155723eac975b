"""The reference's cells as custom cells, in a layer with a problem's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rnnfast as rf
from rnnfast import reference
from tests.support.comparison import Problem

PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Told(rf.CustomCell, name="told"):
    """A cell of the reference, by its kind."""

    kind = "gru"

    def __init__(self) -> None:
        self.policy = reference.make_cell(self.kind)

    def shapes(self, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        rows = self.policy.gates * hidden
        return dict(zip(PARTS, ((rows, inputs), (rows, hidden), (rows,), (rows,)), strict=True))

    def forward(self, p: Mapping[str, Any], x: Any, state: Any) -> Any:
        return self.policy.step(reference.Weights(*(p[name] for name in PARTS)), x, state)

    def backward(self, p: Mapping[str, Any], saved: Any, dstate: Any) -> Any:
        dx, before, g = self.policy.step_backward(reference.Weights(*(p[name] for name in PARTS)), saved, dstate)
        return dx, before, dict(zip(PARTS, (g.W, g.R, g.b_ih, g.b_hh), strict=True))


class ToldLstm(Told, name="told_lstm", states=2):
    kind = "lstm"


TOLD = {"gru": Told, "lstm": ToldLstm}


def layer_of(problem: Problem, dtype: str, **options: Any) -> rf.CustomLayer:
    sizes = (problem.x.shape[2], problem.hidden)
    layer = rf.CustomLayer(
        TOLD[problem.cell](),
        *sizes,
        num_layers=problem.layers,
        bidirectional=problem.bidirectional,
        dtype=dtype,
        **options,
    )
    layer.load_state_dict({name: value.astype(dtype) for name, value in problem.params.items()})
    return layer

"""A case as an ONNX model: one LSTM, GRU or RNN node a layer, weights as initialisers."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from bench.problem import F32, Problem
from bench.shapes import CELLS

OPSET, IR_VERSION = 14, 8
GATE_ORDER = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "gru_before": (1, 0, 2)}
"""ONNX's gates (LSTM i, o, f, c; GRU z, r, h) as indices into PyTorch's (i, f, g, o; r, z, n)."""


def ordered(array: F32, cell: str) -> F32:
    """The gate blocks of the first axis in ONNX's order."""
    order = GATE_ORDER[cell]
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[gate] for gate in order])


def initialisers(problem: Problem, layer: int) -> list[Any]:
    """``W (1, G H, I)``, ``R (1, G H, H)``, ``B (1, 2 G H)`` of a layer."""
    parts = {
        name: ordered(problem.weights[f"{name}_l{layer}"], problem.case.cell)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    arrays = {
        "W": parts["weight_ih"],
        "R": parts["weight_hh"],
        "B": np.concatenate([parts["bias_ih"], parts["bias_hh"]]),
    }
    return [numpy_helper.from_array(array[np.newaxis], f"{name}{layer}") for name, array in arrays.items()]


def layer_nodes(case: Any, layer: int, source: str, target: str, carried: bool) -> list[Any]:
    """The recurrent node of a layer, and the one that drops its axis of directions."""
    cell, lstm = CELLS[case.cell], case.cell == "lstm"
    options: dict[str, Any] = {"hidden_size": case.row.H}
    if cell.reset_after is not None:
        options["linear_before_reset"] = int(cell.reset_after)
    inputs = [source, f"W{layer}", f"R{layer}", f"B{layer}", ""]
    if carried:
        inputs += [f"h0_{layer}", *([f"c0_{layer}"] if lstm else [])]
    outputs = [f"Y{layer}", f"h{layer}", *([f"c{layer}"] if lstm else [])]
    return [
        helper.make_node(cell.layer, inputs, outputs, name=f"layer{layer}", **options),
        helper.make_node("Squeeze", [f"Y{layer}", "direction"], [target]),
    ]


def make_model(problem: Problem) -> bytes:
    """Serialise the model of a problem.

    Inputs ``x (T, B, I)`` and, where the problem gives a state, ``h0_0 (1, B, H)``, ``c0_0``, ``h0_1`` ...; outputs
    ``y (T, B, H)``, ``h0``, ``c0``, ``h1`` ... of layer 0, 1 ...
    """
    case, row = problem.case, problem.case.row
    carried, kinds = problem.h0 is not None, ("h", "c") if case.cell == "lstm" else ("h",)
    nodes, weights = list[Any](), [numpy_helper.from_array(np.array([1], np.int64), "direction")]
    for layer in range(row.L):
        source, target = "x" if layer == 0 else f"y{layer - 1}", "y" if layer == row.L - 1 else f"y{layer}"
        nodes += layer_nodes(case, layer, source, target, carried)
        weights += initialisers(problem, layer)

    def value(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    names = [f"{kind}{{}}{layer}" for layer in range(row.L) for kind in kinds]
    inputs = [value("x", case.steps, row.B, row.I)]
    inputs += [value(name.format("0_"), 1, row.B, row.H) for name in names] if carried else []
    outputs = [value("y", case.steps, row.B, row.H), *(value(name.format(""), 1, row.B, row.H) for name in names)]
    graph = helper.make_graph(nodes, "case", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def state_feeds(problem: Problem) -> dict[str, F32]:
    """The inputs of ``make_model`` that hold the given state."""
    feeds: dict[str, F32] = {}
    for kind, state in (("h0", problem.h0), ("c0", problem.c0)):
        if state is not None:
            feeds |= {f"{kind}_{layer}": np.ascontiguousarray(part[np.newaxis]) for layer, part in enumerate(state)}
    return feeds


def state_results(outputs: dict[str, F32]) -> dict[str, F32]:
    """``h`` and for LSTM ``c (L, B, H)`` from the outputs of ``make_model``."""
    results: dict[str, F32] = {}
    for kind in ("h", "c"):
        parts = [output for name, output in outputs.items() if name.startswith(kind)]
        if parts:
            results[kind] = np.concatenate(parts)
    return results

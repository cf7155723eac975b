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
    """``W (D, G H, I)``, ``R (D, G H, H)``, ``B (D, 2 G H)`` of a layer."""

    def both(name: str) -> F32:
        suffixes = ("", "_reverse")[: problem.case.row.D]
        return np.stack([ordered(problem.weights[f"{name}_l{layer}{s}"], problem.case.cell) for s in suffixes])

    arrays = {
        "W": both("weight_ih"),
        "R": both("weight_hh"),
        "B": np.concatenate([both("bias_ih"), both("bias_hh")], axis=1),
    }
    return [numpy_helper.from_array(array, f"{name}{layer}") for name, array in arrays.items()]


def layer_nodes(problem: Problem, layer: int, source: str, target: str) -> list[Any]:
    """The recurrent node of a layer, and those that put its directions side by side."""
    case = problem.case
    cell, lstm = CELLS[case.cell], case.cell == "lstm"
    options: dict[str, Any] = {"hidden_size": case.row.H}
    if cell.reset_after is not None:
        options["linear_before_reset"] = int(cell.reset_after)
    if case.row.D == 2:
        options["direction"] = "bidirectional"
    lengths = "" if problem.lengths is None else "lengths"
    inputs = [source, f"W{layer}", f"R{layer}", f"B{layer}", lengths]
    if problem.h0 is not None:
        inputs += [f"h0_{layer}", *([f"c0_{layer}"] if lstm else [])]
    outputs = [f"Y{layer}", f"h{layer}", *([f"c{layer}"] if lstm else [])]
    nodes = [helper.make_node(cell.layer, inputs, outputs, name=f"layer{layer}", **options)]
    if case.row.D == 1:
        return [*nodes, helper.make_node("Squeeze", [f"Y{layer}", "direction"], [target])]
    return [
        *nodes,
        helper.make_node("Transpose", [f"Y{layer}"], [f"Z{layer}"], perm=(0, 2, 1, 3)),
        helper.make_node("Reshape", [f"Z{layer}", "side_by_side"], [target]),
    ]


def make_model(problem: Problem) -> bytes:
    """Serialise the model of a problem.

    Inputs ``x (T, B, I)`` and, where the problem gives a state, ``h0_0 (D, B, H)``, ``c0_0``, ``h0_1`` ...; outputs
    ``y (T, B, D H)``, ``h0``, ``c0``, ``h1`` ... of layer 0, 1 ... Lengths are constants.
    """
    case, row = problem.case, problem.case.row
    carried, kinds = problem.h0 is not None, ("h", "c") if case.cell == "lstm" else ("h",)
    constants = {"direction": np.array([1], np.int64), "side_by_side": np.array([0, 0, -1], np.int64)}
    if problem.lengths is not None:
        constants["lengths"] = problem.lengths.astype(np.int32)
    nodes, weights = list[Any](), [numpy_helper.from_array(array, name) for name, array in constants.items()]
    for layer in range(row.L):
        source, target = "x" if layer == 0 else f"y{layer - 1}", "y" if layer == row.L - 1 else f"y{layer}"
        nodes += layer_nodes(problem, layer, source, target)
        weights += initialisers(problem, layer)

    def value(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    names = [f"{kind}{{}}{layer}" for layer in range(row.L) for kind in kinds]
    inputs = [value("x", case.steps, row.B, row.I)]
    inputs += [value(name.format("0_"), row.D, row.B, row.H) for name in names] if carried else []
    outputs = [value("y", case.steps, row.B, row.D * row.H)]
    outputs += [value(name.format(""), row.D, row.B, row.H) for name in names]
    graph = helper.make_graph(nodes, "case", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def state_feeds(problem: Problem) -> dict[str, F32]:
    """The inputs of ``make_model`` that hold the given state."""
    feeds: dict[str, F32] = {}
    row = problem.case.row
    for kind, state in (("h0", problem.h0), ("c0", problem.c0)):
        if state is not None:
            parts = np.ascontiguousarray(state.reshape(row.L, row.D, *state.shape[1:]))
            feeds |= {f"{kind}_{layer}": part for layer, part in enumerate(parts)}
    return feeds


def state_results(outputs: dict[str, F32]) -> dict[str, F32]:
    """``h`` and for LSTM ``c (L*D, B, H)`` from the outputs of ``make_model``."""
    results: dict[str, F32] = {}
    for kind in ("h", "c"):
        parts = [output for name, output in outputs.items() if name.startswith(kind)]
        if parts:
            results[kind] = np.concatenate(parts)
    return results

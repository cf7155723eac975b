"""Layers as nodes of an ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.atomic import StrPath
from rnnfast.interop.onnx.arrays import to_node
from rnnfast.interop.onnx.attributes import activation_attributes
from rnnfast.interop.onnx.graph import Graph
from rnnfast.layers import GRU, LSTM, RNN, Recurrent

_OPERATORS: dict[type, str] = {RNN: "RNN", LSTM: "LSTM", GRU: "GRU"}
STATES = ("h", "c")


def save_layer(layer: Recurrent, path: StrPath, *, lengths: bool, state: bool) -> list[str]:
    """Write a layer as a graph from x to y and the states; see ``Recurrent.to_onnx``."""
    graph = Graph(type(layer).__name__, layer.dtype)
    axes = ("T", "N") if layer.time_major else ("N", "T")
    x = graph.input("x", (*axes, layer.input_size))
    steps = graph.input("lengths", ("N",), "int32") if lengths else ""
    initial = add_state_inputs(graph, layer) if state else None
    if not layer.time_major:
        x = graph.node("Transpose", x, perm=[1, 0, 2])
    y, last = add_layer(graph, layer, x, lengths=steps, state=initial)
    if not layer.time_major:
        y = graph.node("Transpose", y, perm=[1, 0, 2])
    graph.output("y", y, (*axes, layer.output_size))
    add_state_outputs(graph, layer, last)
    return [graph.save(path, {})]


def add_state_inputs(graph: Graph, layer: Recurrent) -> list[str]:
    """Add inputs initial_h (L*D, N, H) and, for an LSTM, initial_c."""
    shapes = layer.state_shapes(1)
    return [
        graph.input(f"initial_{name}", (rows, "N", size)) for name, (rows, _, size) in zip(STATES, shapes, strict=False)
    ]


def add_state_outputs(graph: Graph, layer: Recurrent, states: Sequence[str]) -> None:
    """Add outputs h (L*D, N, H) and, for an LSTM, c."""
    for name, value, (rows, _, size) in zip(STATES, states, layer.state_shapes(1), strict=False):
        graph.output(name, value, (rows, "N", size))


def add_layer(
    graph: Graph, layer: Any, x: str, *, lengths: str = "", state: Sequence[str] | None = None, prefix: str = "rnn"
) -> tuple[str, list[str]]:
    """Add the nodes of a layer.

    Parameters
    ----------
    graph : Graph
    layer : RNN, LSTM or GRU
    x : str
        Values (T, N, C).
    lengths : str
        Integers (N,); "" where all sequences have T steps.
    state : sequence of str or None
        The initial states, each (L*D, N, H).
    prefix : str
        In the names of the weights.

    Returns
    -------
    y : str
        (T, N, D*H).
    state : list of str
        The final states, each (L*D, N, H).

    Raises
    ------
    ValueError
        The layer has an option that ONNX cannot express.
    """
    operator = _operator(layer)
    attributes, D = _attributes(layer, operator), layer.directions
    coupled = "input_forget" in attributes
    weights = layer.state_dict()
    if state is None and layer.learned_state:
        state = [_learned(graph, x, name, weights[name], prefix) for name in layer.learned_state]
    finals: list[list[str]] = [[] for _ in layer.state_sizes]
    for k in range(layer.num_layers):
        own = to_node(operator.lower(), weights, k, directions=D, coupled=coupled)
        stored = {name: graph.array(f"{prefix}.{name}_l{k}", value) for name, value in own.items()}
        first = [] if state is None else [_rows(graph, each, k * D, D, layer.num_layers) for each in state]
        inputs = [x, stored["W"], stored["R"], stored.get("B", ""), lengths, *first]
        if "P" in stored:
            inputs += [""] * (7 - len(inputs)) + [stored["P"]]
        Y, *last = graph.nodes(operator, inputs, 1 + len(finals), **attributes)
        x = graph.node("Reshape", graph.node("Transpose", Y, perm=[0, 2, 1, 3]), graph.integers(0, 0, -1))
        for place, value, start in zip(finals, last, first or [""] * len(last), strict=True):
            place.append(_kept(graph, value, start, lengths))
    return x, [each[0] if len(each) == 1 else graph.node("Concat", *each, axis=0) for each in finals]


def _operator(layer: Any) -> str:
    """Return the operator that a layer is; ValueError for a layer of a cell of the user's."""
    for cls, operator in _OPERATORS.items():
        if isinstance(layer, cls):
            return operator
    raise ValueError(f"layer: RNN, LSTM or GRU is required, ONNX has no other, got {type(layer).__name__}")


def _attributes(layer: Any, operator: str) -> dict[str, Any]:
    """Return the attributes of the nodes of a layer; ValueError where ONNX cannot express an option."""
    cell = layer.cell
    excluded = {
        "proj_size": (getattr(layer, "proj_size", 0), 0),
        "layer_norm": (getattr(layer, "layer_norm", False), False),
        "leak": (cell.leak, 1.0),
        "zoneout": (max(cell.zoneout, default=0.0), 0.0),
    }
    for name, (value, wanted) in excluded.items():
        if value != wanted:
            raise ValueError(f"{name}: {wanted} is required, ONNX cannot express another, got {value}")
    attributes = {"hidden_size": layer.hidden_size, "direction": "bidirectional" if layer.bidirectional else "forward"}
    attributes |= activation_attributes(cell.activations, layer.directions)
    if not math.isinf(cell.clip):
        attributes["clip"] = cell.clip
    if operator == "GRU":
        attributes["linear_before_reset"] = int(layer.reset_after)
    if operator == "LSTM" and layer.coupled:
        attributes["input_forget"] = 1
    return attributes


def _rows(graph: Graph, state: str, start: int, count: int, layers: int) -> str:
    """Return the rows of one layer of a state (L*D, N, H)."""
    if layers == 1:
        return state
    return graph.node("Slice", state, graph.integers(start), graph.integers(start + count), graph.integers(0))


def _learned(graph: Graph, x: str, name: str, value: Any, prefix: str) -> str:
    """Return a learned state (L*D, 1, H) for each of the sequences of x (T, N, C)."""
    sequences = graph.node("Slice", graph.node("Shape", x), graph.integers(1), graph.integers(2))
    rows, _, size = value.shape
    shape = graph.node("Concat", graph.integers(rows), sequences, graph.integers(size), axis=0)
    return graph.node("Expand", graph.array(f"{prefix}.{name}", value), shape)


def _kept(graph: Graph, last: str, first: str, lengths: str) -> str:
    """Return the final state, of sequences of length 0 the initial one: runtimes differ in these."""
    if not lengths or not first:
        return last
    none = graph.node("Equal", lengths, graph.array("no steps", np.zeros(1, np.int32)))
    return graph.node("Where", graph.node("Unsqueeze", none, graph.integers(1)), first, last)

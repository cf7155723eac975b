"""Models as ONNX graphs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast.atomic import StrPath
from rnnfast.interop.onnx.graph import Graph
from rnnfast.interop.onnx.layers import STATES, add_layer, add_state_inputs, add_state_outputs
from rnnfast.models.backbone import Backbone
from rnnfast.models.base import Heads, Model
from rnnfast.tasks import Classification, Multilabel, Regression, Task

FLOATS = {"float32": 1, "float64": 11}  # onnx.TensorProto
INT64 = 7


def save_model(model: Model, path: StrPath, *, lengths: bool) -> list[str]:
    """Write a model as one graph or two; see ``Model.to_onnx``."""
    savers: dict[type, Callable[[Any, StrPath, bool], list[str]]] = {
        rf.ManyToOne: _save_reader,
        rf.ManyToMany: _save_reader,
        rf.OneToMany: _save_writer,
        rf.EncoderDecoder: _save_pair,
    }
    for cls, save in savers.items():
        if isinstance(model, cls):
            return save(model, path, lengths)
    raise TypeError(f"model: a layer or a model of rnnfast is required, got {type(model).__name__}")


def _save_reader(model: Any, path: StrPath, lengths: bool) -> list[str]:
    """Write ManyToOne or ManyToMany."""
    every_step = isinstance(model, rf.ManyToMany)
    graph = Graph(type(model).__name__, model.dtype)
    y, last = _add_encoder(graph, model.backbone, lengths, "rnn", "embedding")
    read = graph.node("Transpose", y, perm=[1, 0, 2]) if every_step else _last_h(graph, model.rnn, last[0])
    _add_heads(graph, model.heads, read, ("N", "T") if every_step else ("N",))
    return [graph.save(path, model.metadata)]


def _save_writer(model: Any, path: StrPath, lengths: bool) -> list[str]:
    """Write OneToMany: one step, and how a context starts it."""
    if model.rnn.learned_state and model.context is None:
        raise ValueError("learn_initial_state: False is required of a step, whose states are inputs, got True")
    graph = Graph(type(model).__name__, model.dtype)
    h, last = _add_step(graph, model.backbone, "rnn", "embedding")
    _add_heads(graph, model.heads, h, ("N",))
    add_state_outputs(graph, model.rnn, last)
    saved = [graph.save(path, model.metadata)]
    if model.context is not None:
        start = Graph("context", model.dtype)
        context = start.input("context", ("N", model.config["context_size"]))
        rows = _linear(start, model.context.map, context, "context", rank=2)
        add_state_outputs(start, model.rnn, _states_of_rows(start, rows, model.rnn))
        saved.append(start.save(_beside(path, "context"), {}))
    return saved


def _save_pair(model: Any, path: StrPath, lengths: bool) -> list[str]:
    """Write EncoderDecoder: the encoder, and one step of the decoder."""
    network, attends = model.network, model.network.attention is not None
    reading = Graph("encoder", model.dtype)
    memory, state = _add_encoder(reading, network.encoder, lengths, "encoder", "source_embedding")
    if network.bridge is not None:
        state = _bridged(reading, network.bridge, state, model.config["num_layers"])
    add_state_outputs(reading, model.decoder, state)
    if attends:
        memory = reading.node("Transpose", memory, perm=[1, 0, 2])
        weight = reading.array("attention.key", network.attention.key.value.T)
        reading.output("memory", memory, ("N", "S", network.encoder.size))
        size = network.attention.key.shape[0]
        reading.output("keys", reading.node("MatMul", memory, weight), ("N", "S", size))
    writing = Graph("decoder", model.dtype)
    h, last = _add_step(writing, network.decoder, "decoder", "target_embedding")
    if attends:
        h = _attended(writing, network, h, lengths)
    _add_heads(writing, network.heads, h, ("N",))
    add_state_outputs(writing, model.decoder, last)
    saved = [reading.save(_beside(path, "encoder"), model.metadata)]
    return [*saved, writing.save(_beside(path, "decoder"), model.metadata)]


def _add_encoder(graph: Graph, part: Backbone, lengths: bool, prefix: str, table: str) -> tuple[str, list[str]]:
    """Add the input x of whole sequences and the layers; return y (T, N, D*H) and the final states."""
    ids = part.input.table is not None
    steps = "S" if prefix == "encoder" else "T"
    x = graph.input("x", ("N", steps), "int64") if ids else graph.input("x", ("N", steps, part.input.size))
    counts = graph.input("lengths", ("N",), "int32") if lengths else ""
    vectors = graph.node("Transpose", _vectors(graph, part, x, table), perm=[1, 0, 2])
    return add_layer(graph, part.rnn, vectors, lengths=counts, prefix=prefix)


def _add_step(graph: Graph, part: Backbone, prefix: str, table: str) -> tuple[str, list[str]]:
    """Add the input x of one step, the initial states, and the layers; return h (N, H) and the next states."""
    ids = part.input.table is not None
    x = graph.input("x", ("N",), "int64") if ids else graph.input("x", ("N", part.input.size))
    vectors = graph.node("Unsqueeze", _vectors(graph, part, x, table), graph.integers(0))
    y, last = add_layer(graph, part.rnn, vectors, state=add_state_inputs(graph, part.rnn), prefix=prefix)
    return graph.node("Squeeze", y, graph.integers(0)), last


def _vectors(graph: Graph, part: Backbone, x: str, name: str) -> str:
    """Return what the layers read: x itself, or the vector of every id."""
    table = part.input.table
    if table is None:
        return x
    if isinstance(table, int):
        off_and_on = graph.array("off and on", np.array([0.0, 1.0]))
        depth = graph.array("number of ids", np.array(table, np.int64))
        return graph.node("OneHot", x, depth, off_and_on, axis=-1)
    return graph.node("Gather", graph.array(f"{name}.weight", table), x)


def _last_h(graph: Graph, layer: Any, h: str) -> str:
    """Return the top layer's last h (N, D*H) of the states (L*D, N, H)."""
    rows, D = layer.num_layers * layer.directions, layer.directions
    top = h
    if layer.num_layers > 1:
        top = graph.node("Slice", h, graph.integers(rows - D), graph.integers(rows), graph.integers(0))
    return graph.node("Reshape", graph.node("Transpose", top, perm=[1, 0, 2]), graph.integers(0, -1))


def _linear(graph: Graph, part: rf.Linear, x: str, name: str, *, rank: int) -> str:
    """Return ``W x + b``; ``rank`` is that of x."""
    assert part.bias is not None
    bias = graph.array(f"{name}.bias", part.bias.value)
    if rank == 2:
        return graph.node("Gemm", x, graph.array(f"{name}.weight", part.weight.value), bias, transB=1)
    product = graph.node("MatMul", x, graph.array(f"{name}.weight", part.weight.value.T))
    return graph.node("Add", product, bias)


def _add_heads(graph: Graph, heads: Heads, h: str, axes: tuple[str, ...]) -> None:
    """Add outputs, prediction and, where a task has them, probabilities of every head."""
    for name, part in heads.parts.items():
        task, before = heads.configs[name].task, f"{name}_" if name else ""
        _require_known(task)
        K = part.output_size
        stored = f"{heads.prefix}.{name}" if name else heads.prefix
        outputs = _linear(graph, part, h, stored, rank=len(axes) + 1)
        graph.output(f"{before}outputs", outputs, (*axes, K))
        if isinstance(task, Classification):
            graph.output(f"{before}prediction", graph.node("ArgMax", outputs, axis=-1, keepdims=0), axes, "int64")
            graph.output(f"{before}probabilities", graph.node("Softmax", outputs, axis=-1), (*axes, K))
        elif isinstance(task, Multilabel):
            above = graph.node("Greater", outputs, graph.array("zero", np.zeros(())))
            graph.output(f"{before}prediction", graph.node("Cast", above, to=INT64), (*axes, K), "int64")
            graph.output(f"{before}probabilities", graph.node("Sigmoid", outputs), (*axes, K))
        else:
            graph.output(f"{before}prediction", outputs, (*axes, K))


def _require_known(task: Task) -> None:
    if type(task) not in (Classification, Regression, Multilabel) or not task.direct:
        wanted = "classification, multilabel, or a regression whose outputs are the predictions"
        raise ValueError(f"task: {wanted} is required, ONNX cannot express another, got {task.title!r}")


def _states_of_rows(graph: Graph, rows: str, layer: Any) -> list[str]:
    """Return the states (L, N, H) that rows (N, S*L*H) hold, ordered by state, layer and unit."""
    sizes = [layer.num_layers * size for size in layer.state_sizes]
    parts = [rows] if len(sizes) == 1 else graph.nodes("Split", [rows, graph.integers(*sizes)], len(sizes), axis=1)
    shaped = [
        graph.node("Reshape", part, graph.integers(0, layer.num_layers, size))
        for part, size in zip(parts, layer.state_sizes, strict=True)
    ]
    return [graph.node("Transpose", each, perm=[1, 0, 2]) for each in shaped]


def _bridged(graph: Graph, bridge: Any, state: list[str], layers: int) -> list[str]:
    """Return the decoder's states (L, N, H) of the encoder's (2L, N, H)."""
    H = bridge.hidden
    weights = bridge.weight.value.reshape(len(state), layers, H, 2 * H).transpose(0, 1, 3, 2)
    found = []
    for name, value, weight in zip(STATES, state, weights, strict=False):
        split = graph.node("Reshape", value, graph.integers(layers, 2, -1, H))
        pairs = graph.node("Transpose", split, perm=[0, 2, 1, 3])
        joined = graph.node("Reshape", pairs, graph.integers(layers, -1, 2 * H))
        found.append(graph.node("MatMul", joined, graph.array(f"bridge.{name}", weight)))
    return found


def _attended(graph: Graph, network: Any, h: str, lengths: bool) -> str:
    """Return what the head reads: ``tanh(W_combine [context; h] + b_combine)`` (N, H)."""
    part, size = network.attention, network.encoder.size
    memory = graph.input("memory", ("N", "S", size))
    keys = graph.input("keys", ("N", "S", part.key.shape[0]))
    query = h if part.query is None else _linear(graph, part.query, h, "attention.query", rank=2)
    query = graph.node("Unsqueeze", query, graph.integers(1))
    if part.score is None:
        scores = graph.node("MatMul", query, graph.node("Transpose", keys, perm=[0, 2, 1]))
    else:
        v = graph.array("attention.score", part.score.value.reshape(-1, 1))
        sums = graph.node("MatMul", graph.node("Tanh", graph.node("Add", keys, query)), v)
        scores = graph.node("Transpose", sums, perm=[0, 2, 1])
    weights = _masked_softmax(graph, scores, graph.input("lengths", ("N",), "int32")) if lengths else None
    weights = weights or graph.node("Softmax", scores, axis=-1)
    context = graph.node("Squeeze", graph.node("MatMul", weights, memory), graph.integers(1))
    joined = graph.node("Concat", context, h, axis=1)
    return graph.node("Tanh", _linear(graph, part.combine, joined, "attention.combine", rank=2))


def _masked_softmax(graph: Graph, scores: str, lengths: str) -> str:
    """Return the softmax of scores (N, 1, S) over the steps within the lengths (N,), zeros past them."""
    steps = graph.node(
        "Squeeze", graph.node("Slice", graph.node("Shape", scores), graph.integers(2), graph.integers(3))
    )
    start, one = graph.array("start", np.zeros((), np.int64)), graph.array("one", np.ones((), np.int64))
    counts = graph.node("Cast", graph.node("Unsqueeze", lengths, graph.integers(1, 2)), to=INT64)
    inside = graph.node("Less", graph.node("Range", start, steps, one), counts)
    lowest = graph.array("lowest", np.array(np.finfo(graph.dtype).min))
    weights = graph.node("Softmax", graph.node("Where", inside, scores, lowest), axis=-1)
    return graph.node("Mul", weights, graph.node("Cast", inside, to=FLOATS[graph.dtype.name]))


def _beside(path: StrPath, part: str) -> str:
    """Return ``name.part.onnx`` for a path ``name.onnx``.

    Examples
    --------
    >>> _beside("models/dates.onnx", "encoder")
    'models/dates.encoder.onnx'
    """
    stem, ending = os.path.splitext(os.fsdecode(path))
    return f"{stem}.{part}{ending}"

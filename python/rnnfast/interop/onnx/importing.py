"""ONNX graphs that become layers and models."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import rnnfast as rf
from rnnfast.interop.onnx.arrays import from_node
from rnnfast.interop.onnx.attributes import CELLS, Recurrence, read_attributes
from rnnfast.interop.onnx.backend import load
from rnnfast.interop.onnx.nodes import INPUTS, layer_of, shown_options
from rnnfast.interop.onnx.trial import Trial, TrialGraph

Array = npt.NDArray[Any]

# What exporters put around recurrent nodes: it moves values and reads shapes.
_GLUE = {
    *("Identity", "Constant", "ConstantOfShape", "Shape", "Cast", "Dropout"),
    *("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Concat", "Split", "Slice"),
    *("Gather", "ScatterElements", "TopK", "Where", "Equal", "Range", "Add", "Sub", "Mul"),
}
_AFFINE = ("Gemm", "MatMul")
_DECISIONS = {"Softmax": "classification", "LogSoftmax": "classification", "ArgMax": "classification"}
_DECISIONS |= {"Sigmoid": "multilabel", "Greater": "multilabel"}


@dataclass(frozen=True, kw_only=True)
class _Stack:
    """Recurrent nodes as one layer, and what stands around them."""

    layer: Any
    options: dict[str, Any]
    time_major: bool
    table: Array | None
    affine: tuple[Array, Array] | None
    task: str


def from_onnx(model: Any) -> Any:
    """Return the layer or the model that an ONNX graph is; weights are taken over bit for bit.

    The graph is a stack of RNN, GRU or LSTM nodes that are alike, in one direction or two. With one affine map of the
    last h, or of h at every step, it becomes a ``ManyToOne`` or a ``ManyToMany``, whose task a softmax, a sigmoid or an
    argmax behind the map tells, else it is a regression; ids may be looked up in a table first. Without an affine map
    it becomes an ``RNN``, ``GRU`` or ``LSTM``. Nodes that only move values do not matter: the result is compared with
    the graph on random inputs.

    Parameters
    ----------
    model : ModelProto, bytes, or path

    Returns
    -------
    RNN, GRU, LSTM, ManyToOne or ManyToMany
        A layer has ``time_major`` where the graph's x is (T, N, C). A model reads (N, T, C) in any case.

    Raises
    ------
    ImportError
        onnx is not installed.
    ValueError
        Something in the graph has no counterpart; the message names it.

    Examples
    --------
    >>> from rnnfast.interop.onnx import from_onnx
    >>> layer = from_onnx("lstm.onnx")  # doctest: +SKIP
    """
    import onnx
    from onnx import inliner

    model = load(model)
    onnx.checker.check_model(model)
    if model.functions:
        model = inliner.inline_local_functions(model)
    nodes = list(model.graph.node)
    known = {*CELLS, *_GLUE, *_AFFINE, *_DECISIONS}
    for node in nodes:
        if node.op_type not in known or node.domain not in ("", "ai.onnx"):
            raise ValueError(f"graph: recurrent layers and one affine map are required, got a node {node.op_type}")
    graph, rng = TrialGraph(model), np.random.default_rng(0)
    table = _table(nodes, graph.first(rng, 1).values) if graph.ids else None
    vocabulary = 1 if table is None else len(table)
    trials = [graph.first(rng, vocabulary), graph.first(rng, vocabulary)]
    stack = _stack(nodes, trials, table)
    for sizes in ((4, 4), (3, 5)):
        batch_axis = 1 if stack.time_major else 0
        trials.append(graph.run(rng, vocabulary, batch_axis=batch_axis, sizes=sizes))
    names = [each.name for each in model.graph.output]
    if stack.affine is None:
        return _as_layer(stack, names, trials)
    return _as_model(stack, names, trials)


def _stack(nodes: Sequence[Any], trials: Sequence[Trial], table: Array | None) -> _Stack:
    """Return the recurrent nodes as one layer."""
    values = trials[0].values
    recurrent = [node for node in nodes if node.op_type in CELLS]
    if not recurrent:
        raise ValueError("graph: at least one node RNN, GRU or LSTM is required, got none")
    read = [read_attributes(node.op_type, _given(node)) for node in recurrent]
    first = read[0]
    _require_alike(read)
    x = trials[0].x if table is None else table[trials[0].x]
    seen = values[recurrent[0].input[0]]
    seen = seen.swapaxes(0, 1) if first.batch_first else seen
    time_major = bool(np.array_equal(seen, x))
    if not time_major and not np.array_equal(seen, x.swapaxes(0, 1)):
        raise ValueError(f"{recurrent[0].op_type}: the graph's x, or the vectors of its ids, are required as X")
    weights: dict[str, Array] = {}
    biased = any(len(node.input) > 3 and node.input[3] for node in recurrent)
    for k, node in enumerate(recurrent):
        own = {name: _constant(node, name, trials) for name in ("W", "R", "B", "P")}
        W, R, B = own["W"], own["R"], own["B"]
        assert W is not None
        assert R is not None
        if B is None and biased:
            B = np.zeros((len(W), 2 * W.shape[1]), W.dtype)
        weights |= from_node(first.cell, W, R, B, own["P"], coupled=first.coupled, layer=k)
    weights |= {} if trials[0].state else _learned(recurrent, trials)
    options = first.options[0]
    layer = layer_of(
        first.cell,
        weights,
        options,
        _dtype(weights),
        bidirectional=len(first.directions) == 2,
        num_layers=len(recurrent),
        time_major=time_major and not _affine_nodes(nodes),
    )
    if len(trials[0].state) not in (0, len(layer.state_sizes)):
        raise ValueError(f"inputs: initial states h and c, or none, are required, got {len(trials[0].state)}")
    task = next((_DECISIONS[n.op_type] for n in nodes if n.op_type in _DECISIONS), "regression")
    affine = _affine(nodes, trials)
    options = options | shown_options(weights)
    return _Stack(layer=layer, options=options, time_major=time_major, table=table, affine=affine, task=task)


def _given(node: Any) -> dict[str, Any]:
    from onnx import helper

    def plain(value: Any) -> Any:
        return value.decode() if isinstance(value, bytes) else value

    found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {
        name: [plain(v) for v in value] if isinstance(value, list) else plain(value) for name, value in found.items()
    }


def _require_alike(read: Sequence[Recurrence]) -> None:
    """Raise ValueError unless the nodes can be the layers of one stack."""
    first = read[0]
    if first.directions == ("reverse",):
        raise ValueError("direction: 'forward' or 'bidirectional' is required of a layer, got 'reverse'")
    if not first.alike:
        raise ValueError(f"activations: the same in both directions are required of a layer, got {first.options}")
    for own in read[1:]:
        for name in ("cell", "directions", "options", "hidden_size"):
            if getattr(own, name) != getattr(first, name):
                wanted, got = getattr(first, name), getattr(own, name)
                raise ValueError(
                    f"{name}: the same in all nodes is required of a stack of layers ({wanted}), got {got}"
                )


def _constant(node: Any, name: str, trials: Sequence[Trial]) -> Array | None:
    """Return an input of a node, None where it is left out; ValueError unless it is the same in all trials."""
    place = INPUTS.index(name)
    if len(node.input) <= place or not node.input[place]:
        return None
    return _same_in_all(node.input[place], f"{name} of {node.op_type}", trials)


def _same_in_all(value: str, name: str, trials: Sequence[Trial]) -> Array:
    found: list[Array] = [trial.values[value] for trial in trials]
    if not all(np.array_equal(each, found[0]) for each in found):
        raise ValueError(f"{name}: a constant is required, got one that depends on the input")
    return found[0]


def _learned(nodes: Sequence[Any], trials: Sequence[Trial]) -> dict[str, Array]:
    """Return h0 and c0 (L*D, 1, H) of nodes that start from constants other than zero; {} where all are zeros."""
    found: dict[str, Array] = {}
    for name, own in (("initial_h", "h0"), ("initial_c", "c0")):
        rows = [_constant(node, name, trials) for node in nodes]
        given = [r for r in rows if r is not None]
        if not given:
            continue
        if any(r is not None and not (r == r[:, :1]).all() for r in rows):
            raise ValueError(f"{name}: the same for all sequences is required, got several")
        found[own] = np.concatenate([np.zeros_like(given[0][:, :1]) if r is None else r[:, :1] for r in rows])
    if not any(value.any() for value in found.values()):
        return {}
    if nodes[0].op_type == "LSTM":
        some = next(iter(found.values()))
        return {name: found.get(name, np.zeros_like(some)) for name in ("h0", "c0")}
    return found


def _dtype(weights: dict[str, Array]) -> Any:
    kinds = {value.dtype for value in weights.values()}
    if kinds not in ({np.dtype("float32")}, {np.dtype("float64")}):
        raise ValueError(f"W: weights of float32 or float64 are required, got {', '.join(sorted(map(str, kinds)))}")
    return kinds.pop()


def _table(nodes: Sequence[Any], values: dict[str, Any]) -> Array:
    """Return the table in which ids are looked up."""
    for node in nodes:
        table = values[node.input[0]] if node.op_type == "Gather" else None
        if table is not None and table.ndim == 2 and table.dtype.kind == "f":
            return np.asarray(table)
    raise ValueError("graph: a node Gather that looks up ids in a table is required, got none")


def _affine_nodes(nodes: Sequence[Any]) -> list[Any]:
    return [node for node in nodes if node.op_type in _AFFINE]


def _affine(nodes: Sequence[Any], trials: Sequence[Trial]) -> tuple[Array, Array] | None:
    """Return W (K, F) and b (K,) of the only affine map, or None."""
    found = _affine_nodes(nodes)
    if len(found) > 1:
        raise ValueError(f"graph: one affine map is required, got {len(found)} ({', '.join(n.op_type for n in found)})")
    if not found:
        return None
    node, given = found[0], _given(found[0])
    matrix = _same_in_all(node.input[1], f"the matrix of {node.op_type}", trials)
    if given.get("alpha", 1) != 1 or given.get("beta", 1) != 1 or given.get("transA", 0):
        raise ValueError(f"Gemm: alpha=1, beta=1 and transA=0 are required, got {given}")
    W = matrix if given.get("transB", 0) else np.ascontiguousarray(matrix.T)
    b: Array = np.zeros(len(W), W.dtype)
    name = node.input[2] if len(node.input) > 2 else ""
    if node.op_type == "MatMul":
        name = _added_to(node.output[0], nodes)
    if name:
        b = np.broadcast_to(_same_in_all(name, f"the bias of {node.op_type}", trials), b.shape).astype(W.dtype)
    return W, b


def _added_to(value: str, nodes: Sequence[Any]) -> str:
    """Return what an Add behind a value adds to it, behind nodes that only change its shape too; "" for nothing."""
    for node in nodes:
        if value in node.input and node.op_type == "Add":
            return next((each for each in node.input if each != value), "")
        if value in node.input[:1] and node.op_type in ("Reshape", "Squeeze", "Unsqueeze", "Identity"):
            value = node.output[0]
    return ""


def _as_layer(stack: _Stack, names: Sequence[str], trials: Sequence[Trial]) -> Any:
    """Return the layer, after every output was found among what it returns."""
    if stack.table is not None:
        raise ValueError("graph: an affine map is required behind ids, which a layer does not read, got none")
    for trial in trials[2:]:
        y, states = _answer(stack, trial)
        D, time_first = stack.layer.directions, y if stack.time_major else y.swapaxes(0, 1)
        apart = time_first.reshape(*time_first.shape[:2], D, -1)  # (T, N, D, H)
        wanted = [y, *states, apart.transpose(0, 2, 1, 3), apart.transpose(1, 0, 2, 3)]
        wanted += [state.swapaxes(0, 1) for state in states]
        _require_found(names, trial, wanted, "what a layer returns")
    return stack.layer


def _as_model(stack: _Stack, names: Sequence[str], trials: Sequence[Trial]) -> Any:
    """Return the model, after every output was found among what it computes."""
    assert stack.affine is not None
    W, b = stack.affine
    if trials[0].state:
        raise ValueError("inputs: x and lengths are required of a model, got initial states, which it lacks")
    kind: Any = None
    for trial in trials[2:]:
        y, states = _answer(stack, trial)
        top = states[0][-stack.layer.directions :].transpose(1, 0, 2).reshape(y.shape[0], -1)
        if W.shape[1] != y.shape[2]:
            raise ValueError(f"affine map: D*H = {y.shape[2]} columns are required, got {W.shape[1]}")
        by_kind = {rf.ManyToMany: _results(y @ W.T + b, stack.task), rf.ManyToOne: _results(top @ W.T + b, stack.task)}
        by_kind[rf.ManyToMany] += [each.swapaxes(0, 1) for each in by_kind[rf.ManyToMany]]
        if kind is None:
            first = trial.values[names[0]]
            kind = next((k for k, all_of in by_kind.items() if any(_close(first, each) for each in all_of)), None)
        every = [] if kind is None else by_kind[kind]
        _require_found(names, trial, every, "an affine map of h, at all steps or the last one, and its task's results")
    return _model(kind, stack)


def _answer(stack: _Stack, trial: Trial) -> tuple[Array, tuple[Array, ...]]:
    """Return what the layer makes of a trial's sequences; y is (T, N, D*H) where the layer is time-major."""
    x = trial.x if stack.table is None else stack.table[trial.x]
    if stack.time_major and not stack.layer.time_major:
        x = x.swapaxes(0, 1)
    state: Any = trial.state if len(trial.state) > 1 else trial.state[0] if trial.state else None
    y, last = stack.layer(np.ascontiguousarray(x), state, lengths=trial.lengths)
    return y, last if isinstance(last, tuple) else (last,)


def _results(outputs: Array, task: str) -> list[Array]:
    """Return the outputs of a head and everything that its task makes of them."""
    found = [outputs]
    if task == "classification":
        p = rf.reference.softmax(outputs)
        found += [p, np.log(p), outputs.argmax(-1)]
    if task == "multilabel":
        found += [rf.reference.sigmoid(outputs), outputs > 0]
    return found


def _require_found(names: Sequence[str], trial: Trial, wanted: Sequence[Array], what: str) -> None:
    for name in names:
        if not any(_close(trial.values[name], each) for each in wanted):
            raise ValueError(f"outputs: {what} is required, got {name!r}, which is something else")


def _close(found: Array, wanted: Array) -> bool:
    if found.shape != wanted.shape:
        return False
    bound = 1e-5 if wanted.dtype != np.float64 else 1e-10
    return bool(
        np.abs(found.astype(np.float64) - wanted).max(initial=0) <= bound * max(1.0, np.abs(wanted).max(initial=0))
    )


def _model(kind: Any, stack: _Stack) -> Any:
    assert stack.affine is not None
    W, b = stack.affine
    layer, table = stack.layer, stack.table
    defaults = inspect.signature(type(layer)).parameters
    chosen = {name: value for name, value in stack.options.items() if value != defaults[name].default}
    model = kind(
        layer.input_size if table is None else len(table),
        len(W),
        cell=type(layer).__name__.lower(),
        hidden_size=layer.hidden_size,
        num_layers=layer.num_layers,
        bidirectional=layer.bidirectional,
        task=stack.task,
        embedding=None if table is None else table.shape[1],
        cell_options=chosen or None,
        dtype=layer.dtype.name,
        seed=0,
    )
    state = {f"rnn.{name}": value for name, value in layer.state_dict().items()}
    state |= {"head.weight": W, "head.bias": b} | ({} if table is None else {"embedding.weight": table})
    model.load_state_dict(state)
    return model

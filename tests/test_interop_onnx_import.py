"""ONNX graphs that become layers and models, and those that have no counterpart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.interop.onnx import from_onnx, prepare
from tests.support.onnx_cases import draw

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

LAYERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "rnn": (rf.RNN, {"activation": ("elu", 0.5)}),
    "rnn-learned": (rf.RNN, {"learn_initial_state": True, "time_major": True}),
    "lstm": (rf.LSTM, {"dtype": "float64"}),
    "lstm-peephole-clip": (rf.LSTM, {"peephole": True, "clip": 0.7}),
    "lstm-coupled-peephole": (rf.LSTM, {"coupled": True, "peephole": True, "bias": False}),
    "lstm-learned": (rf.LSTM, {"learn_initial_state": True, "activations": ("hard_sigmoid", "softsign", "tanh")}),
    "gru": (rf.GRU, {"time_major": True}),
    "gru-before": (rf.GRU, {"reset_after": False}),
}


def filled(item: Any, rng: np.random.Generator) -> Any:
    """The same layer or model with other parameters, none of them zero."""
    for p in item.parameters().values():
        p[...] = 0.4 * rng.normal(size=p.shape)
    return item


def require_same_weights(one: Any, other: Any) -> None:
    own, found = one.state_dict(), other.state_dict()
    assert list(own) == list(found)
    for name, value in own.items():
        assert value.dtype == found[name].dtype
        np.testing.assert_array_equal(value, found[name], err_msg=name)


@pytest.mark.parametrize("given", [{}, {"lengths": True}, {"state": True}], ids=["plain", "lengths", "state"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_come_back(
    name: str, bidirectional: bool, given: dict[str, bool], tmp_path: Path, rng: np.random.Generator
) -> None:
    cls, options = LAYERS[name]
    if "learn_initial_state" in options and "state" in given:
        return  # the file holds no learned state then
    for layers in (1, 2, 3):
        layer = filled(cls(3, 4, num_layers=layers, bidirectional=bidirectional, seed=0, **options), rng)
        path = tmp_path / "layer.onnx"
        layer.to_onnx(path, **given)
        again = from_onnx(path)
        assert type(again) is cls
        assert (again.time_major, again.dtype) == (layer.time_major, layer.dtype)
        require_same_weights(layer, again)
        x = rng.normal(size=(4, 5, 3)).astype(layer.dtype)
        np.testing.assert_array_equal(again(x)[0], layer(x)[0])


MODELS: list[dict[str, Any]] = [
    {"cell": "lstm"},
    {"cell": "gru", "bidirectional": True, "num_layers": 2, "task": "regression", "dtype": "float64"},
    {"cell": "rnn", "task": "multilabel", "cell_options": {"activation": "softsign", "bias": False}},
    {"cell": "lstm", "embedding": 4, "num_layers": 2, "cell_options": {"peephole": True}},
]


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("options", MODELS, ids=str)
@pytest.mark.parametrize("kind", [rf.ManyToOne, rf.ManyToMany])
def test_models_come_back(
    kind: Any, options: dict[str, Any], lengths: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    model = filled(kind(3, 2, hidden_size=4, seed=0, **options), rng)
    path = tmp_path / "model.onnx"
    model.to_onnx(path, lengths=lengths)
    again = from_onnx(path)
    assert type(again) is kind
    assert {**again.config, "seed": 0} == model.config
    require_same_weights(model, again)
    again.save(tmp_path / "model.safetensors")
    require_same_weights(model, rf.load(tmp_path / "model.safetensors"))


def test_one_node_becomes_a_layer() -> None:
    """A bare node with ONNX's own axes: Y is (T, D, N, H)."""
    for seed in range(200):
        case = draw(seed, op="LSTM")
        own = {"X", "W", "R", "B", "P"}
        plain = set(case.feeds) <= own and case.directions != ("reverse",) and "activations" not in case.attributes
        if not plain:
            continue
        model = case.model(weights_stored=True)
        layer = from_onnx(model)
        assert layer.time_major == (case.layout == 0)
        x = case.arranged()["X"]
        Y, h, c = prepare(model).run(x)
        y, (h_own, c_own) = layer(x)
        Y = Y if layer.time_major else Y.transpose(1, 2, 0, 3)  # (T, D, N, H)
        y = y if layer.time_major else y.swapaxes(0, 1)
        np.testing.assert_array_equal(Y.transpose(0, 2, 1, 3).reshape(y.shape), y)
        swapped = 0 if layer.time_major else 1
        np.testing.assert_array_equal(h.swapaxes(0, swapped), h_own)
        np.testing.assert_array_equal(c.swapaxes(0, swapped), c_own)
        return
    raise AssertionError("no plain case was drawn")


def lstm_and(*nodes: Any, outputs: tuple[str, ...] = ("out",), ranks: int = 3, **attributes: Any) -> Any:
    """A model of an LSTM from x (N, T, 3) to Y and Y_h with further nodes; A (4, 2) and a (2,) are stored."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    D = 2 if attributes.get("direction") == "bidirectional" else 1
    arrays = {"W": (D, 16, 3), "R": (D, 16, 4), "W2": (D, 16, 4), "A": (4, 2), "a": (2,), "h0": (D, 4, 4)}
    stored = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in arrays.items()]
    stored += [numpy_helper.from_array(np.array([k], np.int64), name) for k, name in enumerate(("zero", "one"))]
    first = [
        helper.make_node("Transpose", ["x"], ["X"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["X", "W", "R"], ["Y", "Y_h"], hidden_size=4, **attributes),
        *([helper.make_node("Squeeze", ["Y", "one"], ["y"])] if D == 1 else []),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [*first, *nodes],
        "graph",
        [value("x", TensorProto.FLOAT, ["N", "T", 3])],
        [value(name, TensorProto.FLOAT, [None] * ranks) for name in outputs],
        initializer=stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(*arguments: Any, **attributes: Any) -> Any:
    return onnx.helper.make_node(*arguments, **attributes)


def above(**attributes: Any) -> Any:
    """A second LSTM on the first one's outputs, of other attributes."""
    return node("LSTM", ["y", "W2", "R"], ["out"], **{"hidden_size": 4, **attributes})


REFUSED: dict[str, Callable[[], Any]] = {
    "got a node Relu": lambda: lstm_and(node("Relu", ["y"], ["out"])),
    "direction: 'forward' or 'bidirectional' is required": lambda: lstm_and(outputs=("Y_h",), direction="reverse"),
    "activations: the same in both directions": lambda: lstm_and(
        outputs=("Y_h",), direction="bidirectional", activations=["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Relu", "Tanh"]
    ),
    "options: the same in all nodes": lambda: lstm_and(above(clip=0.5), outputs=("out",), ranks=4),
    "directions: the same in all nodes": lambda: lstm_and(above(direction="reverse"), ranks=4),
    "outputs: what a layer returns": lambda: lstm_and(node("Add", ["y", "y"], ["out"])),
    "one affine map is required, got 2": lambda: lstm_and(
        node("MatMul", ["y", "A"], ["one_map"]), node("MatMul", ["y", "A"], ["out"])
    ),
    "outputs: an affine map of h": lambda: lstm_and(
        node("MatMul", ["y", "A"], ["product"]), node("Mul", ["product", "a"], ["out"])
    ),
    "the matrix of MatMul: a constant is required": lambda: lstm_and(
        node("Transpose", ["y"], ["turned"], perm=[0, 2, 1]), node("MatMul", ["y", "turned"], ["out"])
    ),
    "initial_h: the same for all sequences": lambda: lstm_and(
        node("LSTM", ["y", "W2", "R", "", "", "h0"], ["out"], hidden_size=4), ranks=4
    ),
    "alpha >= 0 is required for elu": lambda: lstm_and(
        outputs=("Y_h",), activations=["Sigmoid", "Elu", "Tanh"], activation_alpha=[-0.5]
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_counterpart_raises(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_onnx(REFUSED[message]())


def test_heads_behind_time_major_outputs() -> None:
    """A map of all steps makes a ManyToMany, of the last step a ManyToOne."""
    many = from_onnx(lstm_and(node("MatMul", ["y", "A"], ["product"]), node("Add", ["a", "product"], ["out"])))
    assert isinstance(many, rf.ManyToMany)
    last = from_onnx(lstm_and(node("Squeeze", ["Y_h", "zero"], ["h"]), node("Gemm", ["h", "A", "a"], ["out"]), ranks=2))
    assert isinstance(last, rf.ManyToOne)
    np.testing.assert_array_equal(last.head.weight.value, many.head.weight.value)
    np.testing.assert_array_equal(last.state_dict()["head.bias"], many.state_dict()["head.bias"])
    assert many.task.name == "regression"


def with_state(model: Any, *names: str) -> Any:
    """The same graph with initial states as inputs."""
    for name in names:
        model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, "N", 4]))
    lstm = next(node for node in model.graph.node if node.op_type == "LSTM")
    lstm.input.extend(["", "", *names])
    return model


def test_initial_states_as_inputs() -> None:
    """A layer takes h and c, or neither; a model takes none."""
    assert isinstance(from_onnx(with_state(lstm_and(outputs=("Y_h",)), "h", "c")), rf.LSTM)
    with pytest.raises(ValueError, match="inputs: initial states h and c, or none, are required, got 1"):
        from_onnx(with_state(lstm_and(outputs=("Y_h",)), "h"))
    with pytest.raises(ValueError, match="inputs: x and lengths are required of a model, got initial states"):
        from_onnx(with_state(lstm_and(node("MatMul", ["y", "A"], ["out"])), "h", "c"))


def test_graphs_without_recurrence_or_of_one_step_raise(tmp_path: Path) -> None:
    model = rf.OneToMany(3, hidden_size=4, seed=0)
    model.to_onnx(tmp_path / "step.onnx")
    with pytest.raises(ValueError, match="are required"):
        from_onnx(tmp_path / "step.onnx")
    graph = lstm_and(node("MatMul", ["y", "A"], ["out"]))
    del graph.graph.node[:]
    graph.graph.node.append(node("MatMul", ["x", "W2"], ["out"]))
    with pytest.raises(ValueError, match=r"at least one node RNN, GRU or LSTM is required|graph: one that runs"):
        from_onnx(graph)


def test_functions_are_read_through() -> None:
    from onnx import TensorProto, helper

    case = draw(0, op="GRU")
    names = [n for n in case.model().graph.node[0].input if n in ("X", "W", "R")]
    gru = helper.make_node("GRU", names, ["Y"], hidden_size=case.attributes["hidden_size"])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Read", names, ["Y"], [gru], opsets[:1])
    C, H = case.feeds["W"].shape[2], case.feeds["R"].shape[2]
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", "N", C])
    y = helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None] * 4)
    stored = [onnx.numpy_helper.from_array(case.feeds[n][:1], n) for n in ("W", "R")]
    call = helper.make_node("Read", names, ["Y"], domain="own")
    graph = helper.make_graph([call], "call", [x], [y], initializer=stored)
    layer = from_onnx(helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8))
    assert isinstance(layer, rf.GRU)
    assert (layer.hidden_size, layer.reset_after, layer.time_major) == (H, False, True)

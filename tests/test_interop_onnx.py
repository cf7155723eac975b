"""Recurrent ONNX nodes on rnnfast's layers: onnx's own tests, and random nodes against ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnfast.interop import onnx as backend
from rnnfast.interop.onnx import arrays, nodes
from tests.support.onnx_cases import (
    OUTPUTS,
    Case,
    draw,
    error,
    reference_answer,
    runtime_answer,
    with_float64,
)

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

BOUND = {"float32": 1e-5, "float64": 1e-13}
SEEDS = range(120)
NODE_TESTS = [
    "test_gru_defaults",
    "test_gru_with_initial_bias",
    "test_gru_seq_length",
    "test_gru_batchwise",
    "test_gru_reverse",
    "test_gru_bidirectional",
    "test_lstm_defaults",
    "test_lstm_with_initial_bias",
    "test_lstm_with_peepholes",
    "test_lstm_batchwise",
    "test_lstm_reverse",
    "test_lstm_bidirectional",
    "test_simple_rnn_defaults",
    "test_simple_rnn_with_initial_bias",
    "test_rnn_seq_length",
    "test_simple_rnn_batchwise",
    "test_simple_rnn_reverse",
    "test_simple_rnn_bidirectional",
]


@pytest.fixture(scope="module")
def node_tests() -> dict[str, Any]:
    """onnx's own tests by name. Only the three operators' files are imported: all of them would take long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        node = pytest.importorskip("onnx.backend.test.case.node")
        for operator in ("gru", "lstm", "rnn"):
            pytest.importorskip(f"onnx.backend.test.case.node.{operator}")
    return {case.name: case for case in node._NodeTestCases}


@pytest.mark.parametrize("name", NODE_TESTS)
def test_node_tests_of_onnx(name: str, node_tests: dict[str, Any]) -> None:
    if name not in node_tests:
        pytest.skip("this version of onnx does not have it")
    case = node_tests[name]
    prepared = backend.prepare(case.model)
    assert case.data_sets
    for inputs, outputs in case.data_sets:
        assert error(prepared.run(inputs), outputs) <= 1e-6


def test_every_node_test_is_listed(node_tests: dict[str, Any]) -> None:
    assert {n for n in node_tests if any(op in n for op in ("rnn", "gru", "lstm"))} <= set(NODE_TESTS)


def answer(case: Case) -> tuple[np.ndarray, ...]:
    found: tuple[np.ndarray, ...] = backend.run_model(case.model(), case.arranged())
    return found


@pytest.mark.onnx
@pytest.mark.parametrize("block", range(4))
def test_random_nodes_agree_with_onnx_runtime(block: int) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    for seed in SEEDS[block::4]:
        case = draw(seed)
        assert error(answer(case), runtime_answer(case)) <= BOUND["float32"], (seed, case.op, case.attributes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_nodes_agree_with_the_reference(dtype: str) -> None:
    for seed in SEEDS:
        case = draw(seed)
        case = case if dtype == "float32" else with_float64(case)
        assert error(answer(case), reference_answer(case)) <= BOUND[dtype], (seed, case.op, case.attributes)


def test_cases_cover_the_specification() -> None:
    cases = [draw(seed) for seed in SEEDS]
    for op, own in (("RNN", set()), ("GRU", {"linear_before_reset"}), ("LSTM", {"input_forget"})):
        of_op = [case for case in cases if case.op == op]
        attributes = {name for case in of_op for name in case.attributes}
        common = {"hidden_size", "direction", "clip", "activations", "activation_alpha", "activation_beta"}
        assert attributes == common | own
        assert {case.layout for case in of_op} == {0, 1}
        assert {case.directions for case in of_op} == {("forward",), ("reverse",), ("forward", "reverse")}
        assert any((case.feeds.get("sequence_lens", np.ones(1)) == 0).any() for case in of_op)
    assert {"B", "sequence_lens", "initial_h", "initial_c", "P"} < {name for case in cases for name in case.feeds}


def swapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The initial state and the initial cell state, exchanged."""
    return lambda cell, h, c: function(cell, c, h) if c is not None and h is not None else function(cell, h, c)


FAULTS: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "LSTM gates in PyTorch's order": (arrays, "_ORDER", lambda order: {**order, "lstm": (0, 1, 2, 3)}),
    "LSTM gates f and c exchanged": (arrays, "_ORDER", lambda order: {**order, "lstm": (0, 3, 2, 1)}),
    "GRU gates in PyTorch's order": (arrays, "_ORDER", lambda order: {**order, "gru": (0, 1, 2)}),
    "coupled gates o and c exchanged": (arrays, "_COUPLED", lambda order: (0, 1, 3)),
    "peepholes in a layer's order": (arrays, "_PEEPHOLES", lambda order: (0, 1, 2)),
    "coupled peepholes exchanged": (arrays, "_COUPLED_PEEPHOLES", lambda order: (1, 0)),
    "a reverse node reads forward": (nodes, "_reversal", lambda f: lambda lengths, N, T: f(0 * np.ones(N, int), N, T)),
    "the reverse direction starts at the padding": (nodes, "_reversal", lambda f: lambda lengths, N, T: f(None, N, T)),
    "initial states are dropped": (nodes, "_state", lambda f: lambda cell, h, c: None),
    "initial states are exchanged": (nodes, "_state", swapped),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault changes many of the random cases far beyond the bound."""
    module, attribute, change = FAULTS[name]
    monkeypatch.setattr(module, attribute, change(getattr(module, attribute)))
    cases = [draw(seed) for seed in SEEDS]
    assert sum(error(answer(case), reference_answer(case)) > 100 * BOUND["float32"] for case in cases) >= 3


def test_layers_do_not_depend_on_the_batch() -> None:
    """A prepared graph keeps its layers, and still reads other weights where these are inputs."""
    case = draw(3, op="LSTM")
    prepared = backend.prepare(case.model(layout=0))
    first = prepared.run(case.feeds)
    other = {name: v[:, ::-1].copy() if name == "W" else v for name, v in case.feeds.items()}
    second = prepared.run(other)
    assert error(second, first) > 1e-3
    for found, wanted in zip(prepared.run(case.feeds), first, strict=True):
        np.testing.assert_array_equal(found, wanted)
    stored = case.model(layout=0, weights_stored=True)
    kept = backend.prepare(stored)
    assert set(kept.input_names).isdisjoint({"W", "R", "B", "P"})
    for found, wanted in zip(kept.run({n: case.feeds[n] for n in kept.input_names}), first, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_inputs_by_name_in_order_or_alone(tmp_path: Path) -> None:
    case = draw(1, op="GRU")
    model = case.model(layout=0)
    wanted = backend.run_model(model, case.feeds)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    prepared = backend.prepare(path)
    in_order = [case.feeds[name] for name in prepared.input_names]
    for found in (prepared.run(in_order), backend.run_model(model.SerializeToString(), in_order)):
        assert error(found, wanted) == 0
    alone = case.model(layout=0, weights_stored=True)
    if [each.name for each in alone.graph.input] == ["X"]:
        assert error(backend.run_model(alone, case.feeds["X"]), wanted) == 0


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_run_node(op: str) -> None:
    case = draw(5, op=op)
    node = case.model().graph.node[0]
    given = [case.arranged()[name] for name in node.input if name]
    assert error(backend.run_node(node, given), reference_answer(case)) <= BOUND["float32"]


def test_backend_is_a_backend_of_onnx() -> None:
    from onnx.backend.base import Backend, BackendRep

    assert issubclass(backend.Backend, Backend)
    assert backend.Backend.supports_device("CPU")
    assert not backend.supports_device("CUDA:0")
    case = draw(2)
    prepared = backend.Backend.prepare(case.model())
    assert isinstance(prepared, BackendRep)
    assert error(prepared.run(case.arranged()), reference_answer(case)) <= BOUND["float32"]
    with pytest.raises(ValueError, match="device: 'CPU' is required, got 'CUDA'"):
        backend.prepare(case.model(), "CUDA")


def test_activations_that_layers_refuse_run_on_the_reference() -> None:
    case = draw(9, op="LSTM")
    for name, alpha in (("Elu", -0.5), ("LeakyRelu", -0.1), ("ThresholdedRelu", -0.2), ("ScaledTanh", 0.0)):
        attributes = {"hidden_size": case.attributes["hidden_size"], "activations": ["Sigmoid", name, "Tanh"]}
        attributes |= {"activation_alpha": [alpha]}
        own = {"Elu": "elu", "LeakyRelu": "leaky_relu", "ThresholdedRelu": "thresholded_relu"}.get(name, "scaled_tanh")
        spec = ("sigmoid", (own, alpha), "tanh")
        feeds = {key: v[:1] if key not in ("X", "sequence_lens") else v for key, v in case.feeds.items()}
        changed = Case("LSTM", attributes, feeds, 0, ("forward",), (spec,))
        assert error(answer(changed), reference_answer(changed)) <= BOUND["float32"]


def test_half_precision_is_computed_in_single() -> None:
    case = draw(4, op="GRU")
    half = {name: v if name == "sequence_lens" else v.astype(np.float16) for name, v in case.feeds.items()}
    single = {name: v if name == "sequence_lens" else v.astype(np.float32) for name, v in half.items()}
    found = answer(Case(case.op, case.attributes, half, case.layout))
    for own, wanted in zip(found, answer(Case(case.op, case.attributes, single, case.layout)), strict=True):
        assert own.dtype == np.float16
        np.testing.assert_array_equal(own, wanted.astype(np.float16))


def changed(attributes: dict[str, Any], op: str = "LSTM", **feeds: np.ndarray) -> Case:
    """A plain case with other attributes or arrays."""
    G = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    own = {"X": np.zeros((3, 2, 4)), "W": np.zeros((1, G * 5, 4)), "R": np.zeros((1, G * 5, 5))} | feeds
    arrays = {name: v if name == "sequence_lens" else v.astype(np.float32) for name, v in own.items()}
    return Case(op, {"hidden_size": 5, **attributes}, arrays)


WRONG: dict[str, Case] = {
    "direction": changed({"direction": "both"}),
    "activations: 3 for each direction": changed({"activations": ["Tanh"]}),
    "activations: Tanh, Relu": changed({"activations": ["Sigmoid", "Tanh", "Gelu"]}),
    "activation_alpha": changed({"activations": ["Sigmoid", "Tanh", "Tanh"], "activation_alpha": [0.1]}),
    "activation_beta": changed({"activations": ["Sigmoid", "Elu", "Tanh"], "activation_beta": [0.1]}),
    "clip": changed({"clip": -1.0}),
    "layout": changed({"layout": 2}),
    "input_forget": changed({"input_forget": 3}),
    "linear_before_reset": changed({"linear_before_reset": -1}, "GRU"),
    "hidden_size: that of R": changed({"hidden_size": 6}),
    "W: shape": changed({}, W=np.zeros((1, 20, 3))),
    "R: shape": changed({}, R=np.zeros((1, 19, 5))),
    "B: shape": changed({}, B=np.zeros((1, 20))),
    "P: shape": changed({}, P=np.zeros((1, 10))),
    "initial_h: shape": changed({}, initial_h=np.zeros((1, 3, 5))),
    "initial_c: shape": changed({}, initial_c=np.zeros((2, 2, 5))),
    "sequence_lens: shape": changed({}, sequence_lens=np.array([3], np.int32)),
    "sequence_lens: 0..T": changed({}, sequence_lens=np.array([3, 4], np.int32)),
    "X, R: three axes": changed({}, X=np.zeros((3, 4))),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_the_specification_excludes_raises(message: str) -> None:
    case = WRONG[message]
    with pytest.raises(ValueError, match=message):
        backend.run_model(case.model(), case.feeds)


def test_wrong_inputs_and_models_raise() -> None:
    prepared = backend.prepare(changed({}).model())
    with pytest.raises(ValueError, match=r"inputs: 3 arrays \(X, W, R\) are required, got 2"):
        prepared.run([np.zeros(1), np.zeros(1)])
    with pytest.raises(ValueError, match="inputs: X, W, R are required, got X"):
        prepared.run({"X": np.zeros((3, 2, 4))})
    with pytest.raises(TypeError, match="model: a ModelProto, its bytes or a path is required, got int"):
        backend.prepare(3)
    old = changed({}).model()
    old.opset_import[0].version = 6
    with pytest.raises(ValueError, match="opset 7 or above is required, got 6"):
        backend.prepare(old)
    with pytest.raises(AttributeError, match="nothing"):
        _ = backend.nothing


def test_an_output_without_a_name_is_no_input_of_later_nodes() -> None:
    """onnx's evaluator keeps values by name, and the empty name stands for inputs that are left out."""
    from onnx import TensorProto, helper

    case = changed({}, W=np.full((1, 20, 4), 0.3), R=np.full((1, 20, 5), 0.2), X=np.ones((3, 2, 4)))
    above = {"W2": np.full((1, 20, 5), 0.1, np.float32)}
    first = helper.make_node("LSTM", ["X", "W", "R"], ["", "h"], hidden_size=5)
    second = helper.make_node("LSTM", ["h", "W2", "R", "", "", ""], ["Y"], hidden_size=5)
    feeds = case.feeds | above
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, v.shape) for name, v in feeds.items()]
    outputs = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None] * 4)]
    model = helper.make_model(
        helper.make_graph([first, second], "two", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)]
    )
    _, h, _ = backend.run_model(case.model(), case.feeds)
    wanted = answer(changed({}, X=h, W=above["W2"], R=case.feeds["R"]))[0]
    np.testing.assert_array_equal(backend.run_model(model, feeds)[0], wanted)


def test_nodes_inside_functions_and_branches_run_on_layers() -> None:
    """onnx's own LSTM ignores clip; so a node in a function or a branch shows who computes it."""
    from onnx import TensorProto, helper

    case = changed({"clip": 0.05}, W=np.full((1, 20, 4), 0.3), X=np.ones((3, 2, 4)))
    names = list(case.feeds)
    node = case.model().graph.node[0]
    outputs = list(OUTPUTS["LSTM"])
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in case.feeds.items()]
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * (4 if n == "Y" else 3)) for n in outputs]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Read", names, outputs, [node], opsets[:1])
    call = helper.make_graph([helper.make_node("Read", names, outputs, domain="own")], "call", inputs, results)
    wanted = reference_answer(Case("LSTM", {"clip": 0.05}, case.feeds, 0, ("forward",), (("sigmoid", "tanh", "tanh"),)))
    model = helper.make_model(call, opset_imports=opsets, functions=[function], ir_version=8)
    assert error(backend.run_model(model, case.feeds), wanted) <= BOUND["float32"]
    branch = helper.make_graph([node], "branch", [], results)
    choice = helper.make_node("If", ["yes"], outputs, then_branch=branch, else_branch=branch)
    inputs.append(helper.make_tensor_value_info("yes", TensorProto.BOOL, []))
    graph = helper.make_graph([choice], "choice", inputs, results)
    model = helper.make_model(graph, opset_imports=opsets[:1], ir_version=8)
    found = backend.run_model(model, {**case.feeds, "yes": np.array(True)})
    assert error(found, wanted) <= BOUND["float32"]


def test_scan_outputs_of_loops_have_an_axis_of_steps() -> None:
    """A loop that counts its steps and doubles a matrix; exporters write cells that ONNX lacks as loops."""
    from onnx import TensorProto, helper, numpy_helper

    value, real = helper.make_tensor_value_info, TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["yes"], ["yes_out"]),
            helper.make_node("Add", ["m", "m"], ["m_out"]),
            helper.make_node("Identity", ["m_out"], ["seen"]),
            helper.make_node("Identity", ["step"], ["count"]),
        ],
        "body",
        [value("step", TensorProto.INT64, []), value("yes", TensorProto.BOOL, []), value("m", real, [2, 3])],
        [
            value("yes_out", TensorProto.BOOL, []),
            value("m_out", real, [2, 3]),
            value("seen", real, [2, 3]),
            value("count", TensorProto.INT64, []),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["steps", "", "m"], ["last", "all", "counts"], body=body)],
        "graph",
        [value("m", real, [2, 3])],
        [value("last", real, [2, 3]), value("all", real, [None, 2, 3]), value("counts", TensorProto.INT64, [None])],
        initializer=[numpy_helper.from_array(np.array(4, np.int64), "steps")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    m = np.arange(6, dtype=np.float32).reshape(2, 3)
    last, every, counts = backend.run_model(model, m)
    np.testing.assert_array_equal(last, 16 * m)
    np.testing.assert_array_equal(every, np.stack([2 * m, 4 * m, 8 * m, 16 * m]))
    np.testing.assert_array_equal(counts, [0, 1, 2, 3])

"""Layers and models written to ONNX files: ONNX Runtime computes from them what rnnfast does."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.interop import onnx as interop
from rnnfast.interop.onnx import arrays
from rnnfast.tasks import Regression
from tests.support.custom import Told
from tests.support.onnx_cases import error

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
pytestmark = pytest.mark.onnx

BOUND = 1e-5
N, T, C = 4, 6, 3
LENGTHS = np.array([6, 0, 3, 1], np.int32)


def runtime(path: str | Path, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a file by name, from ONNX Runtime; rnnfast runs the file to the same ones."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    found = session.run(names, dict(feeds))
    for own, theirs in zip(interop.prepare(path).run(dict(feeds)), found, strict=True):
        assert error([own], [theirs]) <= BOUND
    return dict(zip(names, found, strict=True))


def parts(state: Any) -> tuple[np.ndarray, ...]:
    return state if isinstance(state, tuple) else (state,)


def spread(item: Any, rng: np.random.Generator) -> Any:
    """The same layer or model with parameters far from zero, learned initial states included."""
    for p in item.parameters().values():
        p[...] = 0.5 * rng.normal(size=p.shape)
    return item


LAYERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "rnn": (rf.RNN, {}),
    "rnn-identity-learned": (rf.RNN, {"activation": "identity", "clip": 2.0, "learn_initial_state": True}),
    "rnn-elu": (rf.RNN, {"activation": ("elu", 0.5), "time_major": True}),
    "lstm": (rf.LSTM, {}),
    "lstm-learned": (rf.LSTM, {"learn_initial_state": True}),
    "lstm-peephole-clip": (rf.LSTM, {"peephole": True, "clip": 0.7}),
    "lstm-coupled-peephole": (rf.LSTM, {"coupled": True, "peephole": True, "bias": False}),
    "lstm-activations": (rf.LSTM, {"activations": (("hard_sigmoid", 0.3, 0.4), "softsign", ("scaled_tanh", 0.9, 1.1))}),
    "gru": (rf.GRU, {}),
    "gru-before": (rf.GRU, {"reset_after": False, "time_major": True}),
    "gru-activations": (rf.GRU, {"activations": ("hard_sigmoid", ("scaled_tanh", 1.3, 0.6)), "clip": 1.5}),
}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, bidirectional: bool, tmp_path: Path, rng: np.random.Generator) -> None:
    cls, options = LAYERS[name]
    for layers in (1, 3):
        layer = spread(cls(C, 5, num_layers=layers, bidirectional=bidirectional, seed=0, **options), rng)
        x = rng.normal(size=(N, T, C)).astype(np.float32)
        x = np.ascontiguousarray(x.swapaxes(0, 1)) if layer.time_major else x
        given = tuple(rng.normal(size=shape).astype(np.float32) for shape in layer.state_shapes(N))
        for lengths in (None, LENGTHS):
            for state in (None, given if len(given) > 1 else given[0]):
                path = tmp_path / "layer.onnx"
                assert layer.to_onnx(path, lengths=lengths is not None, state=state is not None) == [str(path)]
                feeds = {"x": x} | ({} if lengths is None else {"lengths": lengths})
                feeds |= {} if state is None else dict(zip(("initial_h", "initial_c"), given, strict=False))
                y, last = layer(x, state, lengths=lengths)
                found = runtime(path, feeds)
                assert list(found) == ["y", "h", "c"][: 1 + len(given)]
                assert error(list(found.values()), [y, *parts(last)]) <= BOUND


def test_a_layer_in_float64_runs_on_rnnfast(tmp_path: Path, rng: np.random.Generator) -> None:
    """ONNX Runtime has no LSTM in float64."""
    layer = rf.LSTM(C, 5, num_layers=2, bidirectional=True, dtype="float64", peephole=True, seed=0)
    path = tmp_path / "layer.onnx"
    layer.to_onnx(path, lengths=True)
    x = rng.normal(size=(N, T, C))
    y, (h, c) = layer(x, lengths=LENGTHS)
    for found, wanted in zip(interop.prepare(path).run([x, LENGTHS]), (y, h, c), strict=True):
        np.testing.assert_array_equal(found, wanted)


MODEL_OPTIONS: list[dict[str, Any]] = [
    {"cell": "lstm"},
    {"cell": "gru", "bidirectional": True, "num_layers": 2, "task": "regression"},
    {"cell": "rnn", "task": "multilabel", "cell_options": {"activation": "softsign"}},
    {"cell": "lstm", "embedding": 4, "num_layers": 2, "cell_options": {"peephole": True}},
]


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("options", MODEL_OPTIONS, ids=str)
@pytest.mark.parametrize("kind", ["ManyToOne", "ManyToMany"])
def test_models_that_read(
    kind: str, options: dict[str, Any], lengths: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    model = spread(getattr(rf, kind)(C, 2, hidden_size=5, seed=0, **options), rng)
    path = tmp_path / "model.onnx"
    assert model.to_onnx(path, lengths=lengths) == [str(path)]
    x: Any = rng.normal(size=(N, T, C)).astype(np.float32)
    if "embedding" in options:
        x = rng.integers(0, C, (N, T))
    counts = np.array([6, 2, 3, 1], np.int32)
    own = {"lengths": counts} if lengths else {}
    found = runtime(path, {"x": x, **own})
    predicted = as_list(model.predict(x, **own))
    compare(kind, found["prediction"], predicted, counts if lengths else None)
    if "probabilities" in found:
        compare(kind, found["probabilities"], as_list(model.predict_proba(x, **own)), counts if lengths else None)
    assert ("probabilities" in found) == (options.get("task") != "regression")
    stream_outputs = found["outputs"] if kind == "ManyToOne" else found["outputs"][:, 0]
    assert stream_outputs.shape == (N, 2)
    if not options.get("bidirectional"):
        steps = counts if lengths and kind == "ManyToOne" else np.full(N, T if kind == "ManyToOne" else 1)
        for n in range(N):
            s = model.stream()
            wanted = [s.step(x[n, t]) for t in range(int(steps[n]))][-1]
            assert error([stream_outputs[n]], [wanted]) <= BOUND


def as_list(values: Any) -> list[Any]:
    return list(values)


def compare(kind: str, found: np.ndarray, wanted: list[Any], counts: np.ndarray | None) -> None:
    """Sequence by sequence, within the lengths."""
    for n, each in enumerate(wanted):
        own = found[n] if kind == "ManyToOne" or counts is None else found[n, : counts[n]]
        assert own.dtype == np.asarray(each).dtype
        if own.dtype.kind == "i":
            np.testing.assert_array_equal(own, each)
        else:
            assert error([own], [np.asarray(each)]) <= BOUND


@pytest.mark.parametrize("kind", ["ManyToOne", "ManyToMany"])
def test_several_heads(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    tasks = {"policy": "classification", "value": "regression"}
    model = spread(getattr(rf, kind)(C, outputs={"policy": 3, "value": 1}, task=tasks, hidden_size=5, seed=0), rng)
    model.metadata["names"] = "left, right"
    path = tmp_path / "model.onnx"
    model.to_onnx(path)
    x = rng.normal(size=(N, T, C)).astype(np.float32)
    found = runtime(path, {"x": x})
    own = {"policy_outputs", "policy_prediction", "policy_probabilities", "value_outputs", "value_prediction"}
    assert set(found) == own
    predicted = model.predict(x)
    np.testing.assert_array_equal(found["policy_prediction"], predicted["policy"])
    assert error([found["value_prediction"]], [predicted["value"]]) <= BOUND
    assert {p.key: p.value for p in onnx.load(path).metadata_props} == {"names": "left, right"}


WRITERS: dict[str, dict[str, Any]] = {
    "unit vectors": {"cell": "gru", "num_layers": 2},
    "embedding": {"cell": "lstm", "embedding": 3, "output_size": 4},
    "numbers": {"cell": "rnn", "task": "regression"},
    "labels": {"cell": "gru", "task": "multilabel"},
    "context": {"cell": "lstm", "num_layers": 2, "context_size": 3, "cell_options": {"learn_initial_state": True}},
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_generator_is_one_step(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    options = dict(WRITERS[name])
    model = spread(rf.OneToMany(5, hidden_size=6, seed=0, **options), rng)
    files = model.to_onnx(tmp_path / "writer.onnx")
    state = {f"initial_{s}": np.zeros(v, np.float32) for s, v in zip("hc", model.rnn.state_shapes(2), strict=False)}
    own: dict[str, Any] = {}
    if name == "context":
        own["context"] = rng.normal(size=(2, 3)).astype(np.float32)
        assert files[1].endswith("writer.context.onnx")
        state = {f"initial_{key}": v for key, v in runtime(files[1], own).items()}
    ids = model.task.ids
    x = rng.integers(0, 4, (2, T)) if ids else rng.integers(0, 2, (2, T, 5)).astype(np.float32)
    wanted = (model.predict_proba if ids else model.predict)(x, **own)
    for t in range(T):
        found = runtime(files[0], {"x": x[:, t], **state})
        result = found["probabilities"] if ids else found["prediction"]
        if result.dtype.kind == "i":
            np.testing.assert_array_equal(result, wanted[:, t])
        else:
            assert error([result], [wanted[:, t]]) <= BOUND
        state = {f"initial_{key}": found[key] for key in "hc" if key in found}


PAIRS: dict[str, dict[str, Any]] = {
    "plain": {"cell": "lstm", "num_layers": 2},
    "bridge": {"cell": "lstm", "num_layers": 2, "bidirectional": True},
    "dot": {"cell": "gru", "attention": "dot", "source_embedding": 4, "target_embedding": 3},
    "additive": {"cell": "lstm", "attention": "additive", "bidirectional": True, "source_embedding": 4},
    "learned": {"cell": "rnn", "cell_options": {"learn_initial_state": True}, "source_embedding": 2},
}


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_an_encoder_and_a_step_of_its_decoder(
    name: str, lengths: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    """A greedy loop over the two files writes what the model predicts."""
    model = spread(rf.EncoderDecoder(C, 4, hidden_size=6, seed=0, **PAIRS[name]), rng)
    model.head.bias[model.stop_id] = -3.0  # sequences go on
    encoder, decoder = model.to_onnx(tmp_path / "pair.onnx", lengths=lengths)
    assert (Path(encoder).name, Path(decoder).name) == ("pair.encoder.onnx", "pair.decoder.onnx")
    x: Any = rng.normal(size=(N, T, C)).astype(np.float32)
    if "source_embedding" in PAIRS[name]:
        x = rng.integers(0, C, (N, T))
    counts = {"lengths": np.array([6, 2, 3, 1], np.int32)} if lengths else {}
    read = runtime(encoder, {"x": x, **counts})
    state = {f"initial_{key}": read.pop(key) for key in "hc" if key in read}
    attended = {**read, **counts} if read else {}
    wanted, p = model.predict(x, max_length=5, **counts), model.predict_proba(x, max_length=5, **counts)
    assert min(len(each) for each in wanted) == 5
    last = np.full(N, model.start_id)
    for t in range(5):
        found = runtime(decoder, {"x": last, **state, **attended})
        assert t > 0 or np.ptp(found["probabilities"], axis=0).max() > 1e-3
        assert error([found["probabilities"]], [np.stack([each[t] for each in p])]) <= BOUND
        state = {f"initial_{key}": found[key] for key in "hc" if key in found}
        last = found["prediction"]
        np.testing.assert_array_equal(last, [each[t] for each in wanted])


def test_attention_ignores_sources_of_length_zero(tmp_path: Path, rng: np.random.Generator) -> None:
    model = spread(rf.EncoderDecoder(C, 4, hidden_size=6, attention="dot", seed=0), rng)
    _, decoder = model.to_onnx(tmp_path / "pair.onnx", lengths=True)
    h = rng.normal(size=(1, 2, 6)).astype(np.float32)
    memory = rng.normal(size=(2, 3, 6)).astype(np.float32)
    feeds = {"x": np.array([0, 1]), "initial_h": h, "initial_c": h, "memory": memory, "keys": memory}
    one = runtime(decoder, {**feeds, "lengths": np.array([0, 2], np.int32)})["outputs"]
    memory = memory.copy()
    memory[0], memory[1, 2] = 7, 7
    other = runtime(decoder, {**feeds, "memory": memory, "lengths": np.array([0, 2], np.int32)})["outputs"]
    np.testing.assert_array_equal(one, other)
    assert np.isfinite(one).all()


def reversed_blocks(order: Any) -> Any:
    """The order of an adapter's blocks from the last one to the first."""
    return {cell: own[::-1] for cell, own in order.items()} if isinstance(order, dict) else order[::-1]


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("_ORDER", "lstm"),
        ("_ORDER", "gru"),
        ("_PEEPHOLES", "lstm-peephole-clip"),
        ("_COUPLED", "lstm-coupled-peephole"),
    ],
)
def test_faults_are_seen(
    fault: str, name: str, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls, options = LAYERS[name]
    layer = spread(cls(C, 5, seed=0, **options), rng)
    path = tmp_path / "layer.onnx"
    with monkeypatch.context() as faulty:
        faulty.setattr(arrays, fault, reversed_blocks(getattr(arrays, fault)))
        layer.to_onnx(path)
    x = rng.normal(size=(N, T, C)).astype(np.float32)
    assert error([runtime(path, {"x": x})["y"]], [layer(x)[0]]) > 100 * BOUND


class Halved(Regression):
    """A task of one's own."""

    name = "halved_for_onnx"


REFUSED: dict[str, Any] = {
    "proj_size": lambda: rf.LSTM(3, 5, proj_size=2),
    "layer_norm": lambda: rf.GRU(3, 5, layer_norm=True),
    "leak": lambda: rf.RNN(3, 5, leak=0.5),
    "zoneout": lambda: rf.LSTM(3, 5, zoneout=0.1),
    "activation": lambda: rf.RNN(3, 5, activation="hard_tanh"),
    "task": lambda: rf.ManyToOne(3, 2, task=Halved()),
    "learn_initial_state": lambda: rf.OneToMany(3, cell_options={"learn_initial_state": True}),
}


@pytest.mark.parametrize("option", REFUSED)
def test_what_onnx_cannot_express_raises_and_writes_nothing(option: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{option}: "):
        REFUSED[option]().to_onnx(tmp_path / "refused.onnx")
    assert list(tmp_path.iterdir()) == []


def test_custom_cells_and_other_objects_raise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layer: RNN, LSTM or GRU is required, ONNX has no other, got CustomLayer"):
        rf.ManyToOne(2, 3, cell=Told).to_onnx(tmp_path / "custom.onnx")
    with pytest.raises(ValueError, match=r"task: .* whose outputs are the predictions .* got 'regression \(poisson\)'"):
        rf.ManyToOne(2, 1, task="poisson").to_onnx(tmp_path / "counts.onnx")
    with pytest.raises(TypeError, match="model: a layer or a model of rnnfast is required, got Linear"):
        interop.to_onnx(rf.Linear(2, 3), tmp_path / "linear.onnx")
    wrong: Any = 2
    for option in ("lengths", "state"):
        with pytest.raises(TypeError, match=f"{option}: "):
            rf.RNN(2, 3).to_onnx(tmp_path / "layer.onnx", **{option: wrong})
    assert list(tmp_path.iterdir()) == []


def test_noise_of_training_is_no_part_of_the_graph(tmp_path: Path, rng: np.random.Generator) -> None:
    layer = rf.GRU(C, 5, num_layers=2, dropout=0.4, input_dropout=0.2, recurrent_dropout=0.3, seed=0)
    path = tmp_path / "layer.onnx"
    layer.to_onnx(path)
    x = rng.normal(size=(N, T, C)).astype(np.float32)
    assert error(list(runtime(path, {"x": x}).values()), layer(x)) <= BOUND


def test_examples_of_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run one after another, and print what stands behind them."""
    page = Path(__file__).parents[1] / "docs" / "interop-onnx.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    assert len(blocks) >= 4
    namespace: dict[str, object] = {}
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, page.name, "exec"), namespace)
        promised = re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
        assert printed.getvalue().splitlines() == promised

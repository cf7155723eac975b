"""Layers and models from and to Keras: its own files and outputs, exact round trips, and what must raise."""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

pytest.importorskip("h5py", reason="h5py is not installed")
from rnnfast.interop.keras import from_keras, save_keras, to_keras_weights
from tests.support.interop_files import FOLDER, KEPT

OUTPUTS = np.load(FOLDER / "keras_outputs.npz")
X, IDS = OUTPUTS["x"], OUTPUTS["ids"]
FILES = ["rnn", "lstm", "gru", "gru_before", "no_bias", "both", "classifier", "tagger", "functional"]


def path_of(name: str) -> Path:
    return FOLDER / f"keras_{name}.keras"


def outputs(module: Any) -> np.ndarray:
    """What Keras's model returns."""
    if not isinstance(module, rf.ManyToOne | rf.ManyToMany):
        return np.asarray(module(X)[0])
    x = X if module.config["embedding"] is None else IDS
    proba = module.task.name != "regression"
    return np.asarray(module.predict_proba(x) if proba else module.predict(x))


def equal_states(one: Any, other: Any) -> None:
    a, b = one.state_dict(), other.state_dict()
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name, strict=True)


@pytest.mark.parametrize("name", FILES)
def test_values_of_keras(name: str) -> None:
    np.testing.assert_allclose(outputs(from_keras(path_of(name))), OUTPUTS[name], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_round_trips_are_exact(name: str, ending: str, tmp_path: Path) -> None:
    """Keras -> rnnfast -> a file -> rnnfast."""
    module = from_keras(path_of(name))
    save_keras(module, tmp_path / f"copy{ending}")
    if ending == ".keras":
        equal_states(from_keras(tmp_path / f"copy{ending}"), module)
        return
    layer = getattr(module, "rnn", module)
    names = {"lstm": ["lstm", "lstm_1"], "both": ["bidirectional", "bidirectional_1"]}.get(name)
    bottom = {"classifier": "bidirectional", "tagger": "simple_rnn", "functional": "lstm"}.get(name)
    options = {"activation": "relu"} if name == "rnn" else {"reset_after": True} if name == "no_bias" else None
    equal_states(from_keras(tmp_path / f"copy{ending}", layer=names or bottom, cell_options=options), layer)


@pytest.mark.parametrize("name", FILES)
def test_weights_in_the_order_of_keras(name: str) -> None:
    """What ``get_weights`` returns, random numbers drawn in its order when the files were made."""
    module = from_keras(path_of(name))
    rng = np.random.default_rng(1)
    for array in to_keras_weights(module):
        np.testing.assert_array_equal(array, rng.normal(scale=0.5, size=array.shape).astype(np.float32), strict=True)


def test_options_of_the_files() -> None:
    rnn, lstm, gru = (from_keras(path_of(name)) for name in ("rnn", "lstm", "gru"))
    assert rnn.activation == "relu"
    assert (lstm.num_layers, lstm.hidden_size, lstm.directions) == (2, 3, 1)
    assert lstm.cell.activations == (("hard_sigmoid", 1 / 6, 0.5), ("tanh", 0, 0), ("tanh", 0, 0))
    assert gru.cell.activations == (("sigmoid", 0, 0), ("leaky_relu", 0.2, 0))
    assert gru.cell.recurrent_dropout
    assert not from_keras(path_of("gru_before")).reset_after
    assert "bias_ih_l0" not in from_keras(path_of("no_bias")).state_dict()
    both, classifier, tagger = (from_keras(path_of(name)) for name in ("both", "classifier", "tagger"))
    assert (both.num_layers, both.directions) == (2, 2)
    assert (type(classifier), classifier.task.name) == (rf.ManyToOne, "classification")
    assert classifier.config["output_dropout"] == 0.5
    assert (type(tagger), tagger.task.name) == (rf.ManyToMany, "multilabel")
    functional = from_keras(path_of("functional"))
    assert (type(functional), functional.task.name) == (rf.ManyToOne, "regression")


def test_dropout_between_layers_is_kept() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = from_keras(with_head(path_of("lstm")))
    assert model.config["dropout"] == 0.25


def with_head(path: Path) -> Any:
    """A model in memory, as Keras shows it, of a file's layers and a head."""
    with zipfile.ZipFile(path) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
    weights = iter(to_keras_weights(from_keras(path)))
    made = [Stub(each["class_name"], each["config"], []) for each in layers]
    for each in made:
        each.weights = [next(weights) for _ in range(3)] if each.kind in ("LSTM", "GRU", "SimpleRNN") else []
    head = {"name": "dense", "activation": "linear"}
    return model_of([*made, Stub("Dense", head, [np.ones((3, 2), np.float32), np.zeros(2, np.float32)])])


class Stub:
    """A layer or model in memory, as far as it is read."""

    def __new__(cls, kind: str, *_: Any) -> Any:
        return super().__new__(type(kind, (cls,), {}))

    def __init__(self, kind: str, config: dict[str, Any], weights: list[np.ndarray]) -> None:
        self.kind, self.config, self.weights = kind, config, weights
        self.layers: list[Any] = []

    def get_config(self) -> dict[str, Any]:
        return self.config

    def get_weights(self) -> list[np.ndarray]:
        return self.weights or [a for layer in self.layers for a in layer.get_weights()]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weights = weights


def model_of(layers: list[Any]) -> Any:
    model = Stub("Sequential", {"layers": []}, [])
    model.layers = layers
    return model


def stub(kind: str = "GRU", *, units: int = 3, **config: Any) -> Any:
    """A recurrent layer of Keras in memory with C = 2."""
    gates = {"GRU": 3, "LSTM": 4}.get(kind, 1)
    weights = [np.ones((2, gates * units), np.float32), np.ones((units, gates * units), np.float32)]
    weights.append(np.ones((2, 3 * units) if kind == "GRU" else gates * units, np.float32))
    known = {"name": "own", "activation": "tanh", "recurrent_activation": "sigmoid", "return_sequences": True}
    return Stub(kind, {**known, **({"reset_after": True} if kind == "GRU" else {}), **config}, weights)


def bidirectional(merge_mode: str | None = "concat", **back: Any) -> Any:
    one = stub("LSTM")
    inner = {"class_name": "LSTM", "config": one.config}
    backward = {"class_name": "LSTM", "config": {**one.config, "go_backwards": True, **back}}
    config = {"name": "both", "merge_mode": merge_mode, "layer": inner, "backward_layer": backward}
    return Stub("Bidirectional", config, one.weights * 2)


LAYERS = [
    rf.RNN(2, 3, num_layers=2, activation="relu", seed=0),
    rf.LSTM(2, 3, bidirectional=True, seed=0),
    rf.LSTM(2, 3, bias=False, dtype="float64", seed=0),
    rf.LSTM(2, 3, activations=("sigmoid", "softsign", "softsign"), seed=0),
    rf.GRU(2, 3, num_layers=2, bidirectional=True, seed=0),
    rf.GRU(2, 3, reset_after=False, seed=0),
]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_layers_of_ours_survive_a_file(layer: Any, tmp_path: Path) -> None:
    """To the bit, but for biases that Keras adds: they are of the same function, and exact from then on."""
    save_keras(layer, tmp_path / "layer.keras")
    same = from_keras(tmp_path / "layer.keras")
    assert (type(same), same.dtype, same.cell) == (type(layer), layer.dtype, layer.cell)
    x = X.astype(layer.dtype)
    np.testing.assert_allclose(same(x)[0], layer(x)[0], atol=1e-6)
    for (name, one), other in zip(layer.state_dict().items(), same.state_dict().values(), strict=True):
        if name.startswith("weight") or (isinstance(layer, rf.GRU) and layer.reset_after):
            np.testing.assert_array_equal(one, other, strict=True)
    save_keras(same, tmp_path / "again.keras")
    equal_states(from_keras(tmp_path / "again.keras"), same)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("directions", [1, 2])
def test_lists_of_arrays(cell: str, bias: bool, directions: int) -> None:
    layer = {"rnn": rf.RNN, "lstm": rf.LSTM, "gru": rf.GRU}[cell](
        2, 3, num_layers=2, bias=bias, bidirectional=directions == 2, seed=0
    )
    arrays = to_keras_weights(layer)
    same = from_keras(arrays, cell=cell, bidirectional=directions == 2)
    assert (same.num_layers, same.directions) == (2, directions)
    np.testing.assert_allclose(same(X)[0], layer(X)[0], atol=1e-6)
    for one, other in zip(to_keras_weights(same), arrays, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_other_files_of_keras() -> None:
    whole = from_keras(path_of("functional"))
    equal_states(from_keras(FOLDER / "keras_functional.h5"), whole)
    equal_states(from_keras(FOLDER / "keras_functional.weights.h5", layer="lstm"), whole.rnn)
    equal_states(from_keras(path_of("functional"), layer="reader"), whole.rnn)


def test_targets_in_memory() -> None:
    layer, target = rf.GRU(2, 3, seed=0), stub("GRU")
    arrays = to_keras_weights(layer, target)
    assert target.weights is arrays
    equal_states(from_keras(target), layer)
    model = with_head(path_of("lstm"))
    own = from_keras(model)
    np.testing.assert_array_equal(to_keras_weights(own, model)[-1], own.head.bias.value)


def test_the_hard_sigmoid_of_keras_2() -> None:
    import rnnfast.interop.keras_layers as layers
    from rnnfast.interop.keras_files import KerasLayer

    given = stub("LSTM", recurrent_activation="hard_sigmoid")
    for version, alpha in (("2.15.0", 0.2), ("3.15.1", 1 / 6)):
        part = layers.part_of(KerasLayer("LSTM", "own", given.config, given.weights, (), version))
        assert part.options["activations"][0] == ("hard_sigmoid", alpha, 0.5)


REFUSED: list[Any] = [
    (lambda: stub("LSTM", go_backwards=True), "own: go_backwards: False is required"),
    (lambda: stub("GRU", activation="swish"), "own: activation: one of tanh, .* got 'swish'"),
    (lambda: stub("LSTM", recurrent_activation="exponential"), "own: recurrent_activation: .* got 'exponential'"),
    (lambda: stub("CuDNNGRU"), "a SimpleRNN, LSTM, GRU .* got CuDNNGRU|CuDNNGRU, which has no counterpart"),
    (lambda: stub("ConvLSTM1D"), "ConvLSTM1D"),
    (lambda: stub("LSTM", time_major=True), "time_major False is required"),
    (lambda: bidirectional("sum"), "both: merge_mode 'concat' is required, got 'sum'"),
    (lambda: bidirectional(None), "both: merge_mode 'concat' is required, got None"),
    (lambda: bidirectional(activation="relu"), "both: activations: the same in all layers"),
    (lambda: bidirectional(go_backwards=False), "both: go_backwards: False of the forward layer"),
    (lambda: model_of([stub(), stub(units=4)]), "units: the same in all layers of a stack is required, got 3 and 4"),
    (lambda: model_of([stub("LSTM"), stub("GRU")]), "class: the same .* got LSTM and GRU"),
    (lambda: model_of([stub(), Stub("Conv1D", {"name": "c"}, [])]), "c: an Embedding, .* got Conv1D, which has no"),
    (lambda: model_of([stub(return_sequences=False), stub()]), "own: return_sequences True is required below"),
    (
        lambda: model_of([stub(), Stub("Dense", {"name": "d", "activation": "relu"}, [np.ones((3, 1)), np.ones(1)])]),
        "d: activation: one of softmax, sigmoid, linear is required of a head, got relu",
    ),
    (lambda: model_of([]), "source: a recurrent layer is required, got none"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_has_no_counterpart_here(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_keras(make())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rf.LSTM(2, 3, peephole=True), "peephole: False is required, for Keras has no other, got True"),
        (lambda: rf.LSTM(2, 3, coupled=True), "coupled: False"),
        (lambda: rf.LSTM(2, 3, proj_size=2), "proj_size: 0 is required, for Keras has no other, got 2"),
        (lambda: rf.LSTM(2, 3, layer_norm=True), "layer_norm: False"),
        (lambda: rf.GRU(2, 3, clip=1.0), "clip: None .* got 1.0"),
        (lambda: rf.RNN(2, 3, leak=0.5), "leak: 1.0 .* got 0.5"),
        (lambda: rf.GRU(2, 3, zoneout=0.5), "zoneout: 0 "),
        (lambda: rf.GRU(2, 3, learn_initial_state=True), "learn_initial_state: False"),
        (lambda: rf.RNN(2, 3, activation=("elu", 0.5)), r"activations: those of Keras .* got elu\(0.5\)"),
        (lambda: rf.LSTM(2, 3, activations=("sigmoid", "relu", "tanh")), "activations: one activation of g and of c"),
        (lambda: rf.ManyToOne(2, outputs={"a": 1, "b": 2}), "outputs: one head is required for Keras, got a, b"),
        (lambda: rf.ManyToOne(2, 1, task="gaussian"), r"task: one of .* for Keras, got regression \(gaussian\)"),
    ],
)
def test_what_has_no_counterpart_there(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_keras_weights(make())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (lambda: stub("LSTM"), "class: the same"),
        (lambda: stub("GRU", units=4), "units: the same"),
        (lambda: stub("GRU", activation="relu"), "activations: the same"),
        (lambda: model_of([stub(), stub()]), "target: 1 recurrent layers are required, got 2"),
        (lambda: stub("GRU", go_backwards=True), "go_backwards"),
        (lambda: model_of([]), r"target: a layer with weights is required \(target.build makes them\), got none"),
    ],
)
def test_targets_that_differ(target: Any, message: str) -> None:
    given = target()
    before = given.get_weights()
    with pytest.raises(ValueError, match=message):
        to_keras_weights(rf.GRU(2, 3), given)
    assert all(one is other for one, other in zip(given.get_weights(), before, strict=True))


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ([np.ones((2, 9)), np.ones((3, 9))], {}, ValueError, "cell: one of rnn, lstm, gru is required"),
        (
            [np.ones((2, 9)), np.ones((3, 9))],
            {"cell": "lstm"},
            ValueError,
            r"recurrent kernel: shape \(H, G\*H\) with G = 4",
        ),
        ([np.ones((2, 8)), np.ones((3, 9))], {"cell": "gru"}, ValueError, r"kernel: shape \(C, G\*H\) with G\*H = 9"),
        ([np.ones((2, 12)), np.ones((3, 12)), np.ones(24)], {"cell": "lstm"}, ValueError, "CuDNN"),
        ([np.ones((2, 12))] * 4, {"cell": "lstm", "bidirectional": True}, ValueError, "recurrent kernel"),
        (
            [np.ones((2, 9)), np.ones((3, 9)), np.ones((2, 9))],
            {"cell": "gru", "cell_options": {"reset_after": False}},
            ValueError,
            "reset_after: True is required for a bias of shape",
        ),
        ([], {"cell": "gru"}, ValueError, "source: "),
        (3, {}, TypeError, "source: a path, a layer or model of Keras, or a list of arrays is required, got 3"),
        (KEPT.parent / "make_interop.py", {}, ValueError, "an undamaged file of Keras is required"),
        (FOLDER / "keras_functional.weights.h5", {}, ValueError, r"layer: names are required .*\(dense, lstm\)"),
        (
            FOLDER / "keras_functional.weights.h5",
            {"layer": "dense"},
            ValueError,
            "dense: a recurrent layer is required",
        ),
        (FOLDER / "keras_functional.keras", {"layer": "lstm"}, ValueError, "layer: one of .*reader.* is required"),
        (FOLDER / "keras_gru.keras", {"cell_options": {"clip": 1.0}}, ValueError, "cell_options: None is required"),
    ],
)
def test_wrong_sources(source: Any, options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        from_keras(source, **options)


def test_what_is_left_out_is_said() -> None:
    mask = Stub("Masking", {"name": "mask"}, [])
    with pytest.warns(UserWarning, match="^mask: a mask has no counterpart and is left out; give lengths"):
        from_keras(model_of([mask, stub()]))
    head = Stub("Dense", {"name": "d", "activation": "linear"}, [np.ones((3, 1)), np.ones(1)])
    dropout = Stub("Dropout", {"name": "drop", "rate": 0.5}, [])
    with pytest.warns(UserWarning, match="^Dropout: one rate between all recurrent layers"):
        from_keras(model_of([dropout, stub(), head]))
    with pytest.warns(UserWarning, match="^input_dropout: one rate in all layers is required"):
        from_keras(model_of([stub(units=2, dropout=0.5), stub(units=2)]))


def test_a_model_that_branches_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(path_of("functional")) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][2]["inbound_nodes"] = config["config"]["layers"][1]["inbound_nodes"]
    with zipfile.ZipFile(tmp_path / "branch.keras", "w") as archive:
        for name, part in (parts | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, part)
    with pytest.raises(ValueError, match="a chain is required, where it reads reader, got "):
        from_keras(tmp_path / "branch.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match=r"model\.weights\.h5 in a \.keras file is required"):
        from_keras(tmp_path / "other.keras")


def test_damaged_files_raise_value_errors(tmp_path: Path) -> None:
    """The archive has checksums; HDF5 alone has none, and its library may crash."""
    rng = np.random.default_rng(0)
    whole = np.frombuffer(path_of("functional").read_bytes(), np.uint8)
    for _ in range(200):
        changed = whole.copy()
        changed[rng.integers(len(whole), size=rng.integers(1, 30))] = rng.integers(256)
        path = tmp_path / "damaged.keras"
        path.write_bytes((changed[: rng.integers(1, len(whole))] if rng.random() < 0.2 else changed).tobytes())
        with contextlib.suppress(ValueError):
            from_keras(path)


def test_damaged_configurations_raise_value_errors(tmp_path: Path) -> None:
    with zipfile.ZipFile(path_of("both")) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name in ("class_name", "layer", "merge_mode", "config"):
        config = parts["config.json"].replace(f'"{name}"'.encode(), b'"other"')
        with zipfile.ZipFile(tmp_path / "damaged.keras", "w") as archive:
            for part, content in (parts | {"config.json": config}).items():
                archive.writestr(part, content)
        with contextlib.suppress(ValueError):
            from_keras(tmp_path / "damaged.keras")


def test_the_library_for_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        ImportError, match=r"^h5py: required for files of Keras \(pip install 'rnnfast\[keras\]'\), got "
    ):
        from_keras(path_of("gru"))


def test_files_need_a_known_ending(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path: a name that ends with \.keras or \.weights\.h5 is required"):
        save_keras(rf.GRU(2, 3), tmp_path / "layer.h5")
    assert not list(tmp_path.iterdir())

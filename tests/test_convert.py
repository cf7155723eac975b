"""``rnnfast convert``: files of other libraries, exact on the way, and errors that name what has no counterpart."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import rnnfast as rf
from rnnfast import cli
from rnnfast.convert import convert
from rnnfast.interop.state_dicts import from_state_dict
from tests.support.interop_files import FOLDER, KEPT

TORCH = np.load(FOLDER / "torch_outputs.npz")
X, IDS = TORCH["x"], TORCH["ids"]


def equal_states(one: Any, other: Any) -> None:
    a, b = one.state_dict(), other.state_dict()
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name, strict=True)


def test_a_layer_that_torch_wrote_loads_by_name() -> None:
    state = load_file(FOLDER / "torch_lstm.safetensors")
    layer = rf.LSTM(2, 4, num_layers=2, proj_size=3)
    assert layer.load_state_dict(state) == ([], [])
    np.testing.assert_allclose(layer(X)[0], TORCH["lstm"], rtol=2e-6, atol=1e-6)


def test_a_model_that_torch_wrote_loads_by_name() -> None:
    names = {"table": "embedding", "encoder": "rnn", "fc": "head"}
    state = {}
    for name, value in load_file(FOLDER / "torch_classifier.safetensors").items():
        part, _, rest = name.partition(".")
        state[f"{names[part]}.{rest}"] = value
    model = rf.ManyToOne(5, 4, embedding=2, cell="gru", hidden_size=3, bidirectional=True)
    found = model.load_state_dict(state | {"other.weight": np.ones(1)}, strict=False)
    assert found == ([], ["other.weight"])
    np.testing.assert_allclose(model.predict_proba(IDS), TORCH["classifier"], rtol=2e-6, atol=1e-6)
    del state["head.bias"]
    assert model.load_state_dict(state, strict=False).missing_keys == ["head.bias"]


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_a_model_of_torch_becomes_a_file_of_ours(ending: str, tmp_path: Path) -> None:
    if ending == ".pt":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    destination = tmp_path / "model.safetensors"
    convert(FOLDER / f"torch_classifier{ending}", destination, model="many-to-one")
    model = rf.load(destination)
    np.testing.assert_allclose(model.predict_proba(IDS), TORCH["classifier"], rtol=2e-6, atol=1e-6)


def test_a_layer_is_written_as_a_state_dictionary(tmp_path: Path) -> None:
    layer = convert(FOLDER / "torch_classifier.safetensors", tmp_path / "layer.safetensors", layer="encoder")
    assert repr(layer) == "GRU(2, 3, num_layers=1, bidirectional=True, dtype=float32)"
    own = load_file(FOLDER / "torch_classifier.safetensors")
    for name, value in load_file(tmp_path / "layer.safetensors").items():
        np.testing.assert_array_equal(own[f"encoder.{name}"], value, strict=True)


MODELS = [
    rf.ManyToOne(5, 4, embedding=2, cell="gru", hidden_size=3, bidirectional=True, seed=0),
    rf.ManyToMany(2, 1, cell="gru", hidden_size=3, num_layers=2, task="regression", dtype="float64", seed=0),
    rf.ManyToMany(2, 1, cell="gru", hidden_size=3, task="regression", seed=0),
]


FORMATS = [(model, ending) for model in MODELS for ending in (".keras", ".pt")] + [(MODELS[2], ".json")]


@pytest.mark.parametrize(("model", "ending"), FORMATS)
def test_there_and_back_is_exact(model: Any, ending: str, tmp_path: Path) -> None:
    """From a model's own file to another format and back to its own."""
    pytest.importorskip({".keras": "h5py", ".json": "json", ".pt": "torch"}[ending])
    model.save(tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", tmp_path / f"b{ending}")
    kind = "many-to-one" if isinstance(model, rf.ManyToOne) else "many-to-many"
    chosen: dict[str, Any] = {"model": kind, "task": model.task.name} if ending == ".pt" else {}
    convert(tmp_path / f"b{ending}", tmp_path / "c.safetensors", **chosen)
    same = rf.load(tmp_path / "c.safetensors")
    assert type(same) is type(model)
    equal_states(same, model)
    convert(tmp_path / "a.safetensors", tmp_path / "d.safetensors")
    equal_states(rf.load(tmp_path / "d.safetensors"), model)


@pytest.mark.parametrize("make", [rf.RNN, rf.LSTM, rf.GRU])
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}, {"dtype": "float64"}]
)
def test_state_dictionaries_tell_the_layer(make: Any, options: dict[str, Any]) -> None:
    layer = make(2, 3, **options, seed=0)
    same = from_state_dict({f"encoder.rnn.{name}": value for name, value in layer.state_dict().items()})
    assert repr(same) == repr(layer)
    equal_states(same, layer)


def test_cells_and_what_is_not_told() -> None:
    cell = {name.removesuffix("_l0"): value for name, value in rf.GRU(2, 3, seed=0).state_dict().items()}
    assert repr(from_state_dict(cell)) == "GRU(2, 3, num_layers=1, dtype=float32)"
    elman = rf.RNN(2, 3, activation="relu", seed=0)
    same = from_state_dict(elman.state_dict(), activation="relu")
    np.testing.assert_array_equal(same(X)[0], elman(X)[0])
    model = from_state_dict(
        {**elman.state_dict(), "out.weight": np.ones((1, 3)), "out.bias": np.ones(1)},
        model="many-to-many",
        task="regression",
        activation="relu",
    )
    assert model.rnn.activation == "relu"


GRU = rf.GRU(2, 3, seed=0).state_dict()
HEAD = {"fc.weight": np.ones((4, 3)), "fc.bias": np.ones(4)}


@pytest.mark.parametrize(
    ("state", "options", "message"),
    [
        ({}, {}, "state: one recurrent layer is required, or its name as layer, got none"),
        ({**GRU, **{f"b.{k}": v for k, v in GRU.items()}}, {}, "got '', b"),
        (GRU, {"layer": "b"}, "layer: one of '' is required, got 'b'"),
        (
            {**GRU, **HEAD},
            {},
            "model: one of many-to-one, many-to-many is required for a file with fc.weight, got none",
        ),
        (GRU, {"model": "many-to-one"}, "model: a Linear layer is required for many-to-one"),
        (
            {**GRU, **HEAD, "conv.weight": np.ones((3, 3, 3))},
            {"model": "many-to-one"},
            r"got conv.weight \(3, 3, 3\), wi",
        ),
        (
            {**GRU, "fc.weight": np.ones((4, 3))},
            {"model": "many-to-one"},
            r"got fc.weight \(4, 3\), without counterpart",
        ),
        ({**GRU, "weight_hh_l0": np.ones((7, 3))}, {}, "weight_hh_l0: .* is required, got"),
        ({**GRU, "weight_hr_l0": np.ones((3, 9))}, {}, "weight_hh_l0"),
        ({k: v for k, v in GRU.items() if k != "bias_hh_l0"}, {}, "missing: bias_hh_l0"),
        ({"a.weight_ih_l0": np.ones((9, 2))}, {}, "a.weight_ih_l0, a.weight_hh_l0: two axes are required"),
        (GRU, {"activation": "elu"}, "activation: one of tanh, relu is required"),
    ],
)
def test_state_dictionaries_without_counterpart(state: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_state_dict(state, **options)


@pytest.mark.parametrize(
    ("model", "ending", "error", "message"),
    [
        (rf.ManyToOne(2, 1, cell_options={"peephole": True}), ".keras", ValueError, "peephole: False is required"),
        (rf.ManyToOne(2, 1, cell_options={"clip": 1.0}), ".pt", ValueError, "clip: None is required, for a state dict"),
        (rf.ManyToMany(2, 1, bidirectional=True), ".json", ValueError, "bidirectional: False .* RTNeural"),
        (rf.ManyToOne(2, outputs={"a": 1, "b": 1}), ".pt", ValueError, "outputs: one head is required"),
        (rf.ManyToOne(2, 1), ".json", TypeError, "module: an LSTM, GRU or ManyToMany is required, got ManyToOne"),
        (rf.OneToMany(2), ".keras", TypeError, "module: an RNN, .* is required, got OneToMany"),
        (rf.OneToMany(2), ".pt", TypeError, "module: .* is required for a state dictionary, got OneToMany"),
    ],
)
def test_what_has_no_counterpart_is_named(model: Any, ending: str, error: Any, message: str, tmp_path: Path) -> None:
    pytest.importorskip({".keras": "h5py", ".json": "json", ".pt": "torch"}[ending])
    model.save(tmp_path / "a.safetensors")
    with pytest.raises(error, match=message):
        convert(tmp_path / "a.safetensors", tmp_path / f"b{ending}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_wrong_files(tmp_path: Path) -> None:
    own = KEPT.parent / "many_to_many_gru.safetensors"
    with pytest.raises(ValueError, match=r"^source: a name that ends with \.safetensors, \.pt"):
        convert(KEPT.parent / "make_interop.py", tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"^destination: a name that ends with \.safetensors"):
        convert(own, tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "none.safetensors", tmp_path / "a.json")
    (tmp_path / "damaged.safetensors").write_bytes(b"\x08" + bytes(20))
    with pytest.raises(ValueError, match="an undamaged safetensors file is required"):
        convert(tmp_path / "damaged.safetensors", tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"^layer: nothing is required for .*, whose model is known, got layer"):
        convert(own, tmp_path / "a.json", layer="rnn")
    with pytest.raises(ValueError, match=r"^model: nothing is required"):
        convert(FOLDER / "keras_gru.keras", tmp_path / "a.json", model="many-to-one")
    with pytest.raises(TypeError, match=r"^source: a path is required, got 3"):
        convert(3, tmp_path / "a.json")  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.safetensors"]


@pytest.mark.torch
def test_pickled_modules_are_refused(tmp_path: Path) -> None:
    """A pickle may run code; only tensors by name are read."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.save(torch.nn.GRU(2, 3), tmp_path / "module.pt")
    with pytest.raises(ValueError, match=r"module\.pt: a state dictionary is required"):
        convert(tmp_path / "module.pt", tmp_path / "a.json")
    torch.save({"epoch": 3, **torch.nn.GRU(2, 3).state_dict()}, tmp_path / "more.pt")
    with pytest.raises(ValueError, match="a state dictionary of tensors alone is required, got epoch among them"):
        convert(tmp_path / "more.pt", tmp_path / "a.json")
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="a state dictionary is required, got list"):
        convert(tmp_path / "list.pt", tmp_path / "a.json")


def test_onnx_is_left_to_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, calls = rf.GRU(2, 3, seed=0), list[Any]()
    module = types.ModuleType("rnnfast.interop.onnx")

    def from_onnx(path: str) -> Any:
        calls.append(path)
        return layer

    monkeypatch.setattr(module, "from_onnx", from_onnx, raising=False)
    monkeypatch.setitem(sys.modules, "rnnfast.interop.onnx", module)
    convert(tmp_path / "a.onnx", tmp_path / "b.safetensors")
    assert calls == [str(tmp_path / "a.onnx")]
    monkeypatch.setattr(rf.GRU, "to_onnx", lambda self, path: calls.append(path), raising=False)
    convert(tmp_path / "b.safetensors", tmp_path / "c.onnx")
    assert calls[1:] == [str(tmp_path / "c.onnx")]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, destination = str(FOLDER / "torch_classifier.safetensors"), str(tmp_path / "model.safetensors")
    assert cli.main(["convert", source, destination]) == 1
    assert "rnnfast convert: model: one of many-to-one, many-to-many is required" in capsys.readouterr().err
    assert cli.main(["convert", source, destination, "--model", "many-to-one"]) == 0
    assert capsys.readouterr().out.startswith(f"{destination}: ManyToOne: cell=gru, task=classification")
    assert cli.main(["convert", source, str(tmp_path / "gru.safetensors"), "--layer", "encoder"]) == 0
    assert "GRU(2, 3" in capsys.readouterr().out
    assert cli.main(["convert", str(tmp_path / "none.json"), destination]) == 1
    assert "No such file" in capsys.readouterr().err


def test_half_precision_is_read(tmp_path: Path) -> None:
    state = {name: value.astype(np.float16) for name, value in GRU.items()}
    save_file(state, tmp_path / "half.safetensors")
    layer = convert(tmp_path / "half.safetensors", tmp_path / "whole.safetensors")
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, state[name].astype(np.float32), strict=True)

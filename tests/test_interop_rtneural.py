"""RTNeural's JSON files: the layout of their weights, exact round trips, and what must raise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.interop.keras import from_keras, to_keras_weights
from rnnfast.interop.rtneural import from_rtneural, save_rtneural, to_rtneural
from tests.support.interop_files import FOLDER

OUTPUTS = np.load(FOLDER / "keras_outputs.npz")
X = OUTPUTS["x"]

MODULES = [
    rf.LSTM(2, 3, num_layers=2, seed=0),
    rf.GRU(2, 3, seed=0),
    rf.GRU(2, 3, bias=False, seed=0),
    rf.ManyToMany(2, 1, cell="lstm", hidden_size=3, task="regression", seed=0),
    rf.ManyToMany(2, 3, cell="gru", hidden_size=3, num_layers=2, seed=0),
    rf.ManyToMany(2, 2, cell="gru", hidden_size=3, task="multilabel", seed=0),
]


def outputs(module: Any) -> np.ndarray:
    if isinstance(module, rf.ManyToMany):
        return np.asarray(module.predict(X) if module.task.name == "regression" else module.predict_proba(X))
    return np.asarray(module(X.astype(module.dtype))[0])


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_round_trips(module: Any, tmp_path: Path) -> None:
    """Exact from the first file on: before, an LSTM may have two biases."""
    save_rtneural(module, tmp_path / "model.json")
    same = from_rtneural(tmp_path / "model.json")
    assert type(same) is type(module)
    np.testing.assert_allclose(outputs(same), outputs(module), atol=1e-6)
    assert to_rtneural(same) == json.loads((tmp_path / "model.json").read_text())
    for name, value in module.state_dict().items():
        if "weight" in name or (getattr(module, "rnn", module).gate_names == ("r", "z", "n")):
            np.testing.assert_array_equal(same.state_dict()[name], value, strict=True)


def test_weights_are_those_of_keras() -> None:
    """The file of a Keras model: kernels (C, G*H), gates i, f, c, o and z, r, h, a GRU's bias (2, 3*H)."""
    pytest.importorskip("h5py", reason="h5py is not installed")
    lstm = from_keras(FOLDER / "keras_functional.keras")
    kernel, recurrent, bias, *dense = (w.tolist() for w in to_keras_weights(lstm))
    layers = [
        {"type": "lstm", "activation": "tanh", "shape": [None, None, 3], "weights": [kernel, recurrent, bias]},
        {"type": "dense", "activation": "", "shape": [None, None, 1], "weights": dense},
    ]
    model = from_rtneural({"in_shape": [None, None, 2], "layers": layers})
    np.testing.assert_allclose(model.predict(X)[:, -1], OUTPUTS["functional"], rtol=2e-6, atol=1e-6)
    arrays = to_keras_weights(rf.GRU(2, 3, seed=0))
    entry = to_rtneural(rf.GRU(2, 3, seed=0))["layers"][0]
    assert entry["weights"] == [a.tolist() for a in arrays]
    assert (entry["type"], entry["activation"], entry["shape"]) == ("gru", "tanh", [None, None, 3])


def test_a_separate_activation_and_another_dtype() -> None:
    given = to_rtneural(rf.ManyToMany(2, 2, cell="gru", hidden_size=3, task="regression", dtype="float64", seed=0))
    given["layers"].append({"type": "activation", "activation": "sigmoid", "shape": [None, None, 2], "weights": []})
    model = from_rtneural(given, dtype="float64")
    assert (model.task.name, model.dtype) == ("multilabel", np.float64)
    assert to_rtneural(model)["layers"][0] == given["layers"][0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: rf.GRU(2, 3, reset_after=False),
            "reset_after: True is required, for RTNeural has no other, got False",
        ),
        (lambda: rf.LSTM(2, 3, bidirectional=True), "bidirectional: False"),
        (lambda: rf.LSTM(2, 3, peephole=True), "peephole: False"),
        (lambda: rf.LSTM(2, 3, proj_size=2), "proj_size: 0"),
        (lambda: rf.GRU(2, 3, activations=("sigmoid", "relu")), "activations: sigmoid, tanh .* got sigmoid, relu"),
        (lambda: rf.RNN(2, 3), "cell: lstm or gru is required"),
        (lambda: rf.ManyToMany(5, 2, embedding=2), "embedding: None is required, for RTNeural has none, got 2"),
        (lambda: rf.ManyToMany(2, outputs={"a": 1, "b": 1}), "outputs: one head is required for RTNeural"),
        (lambda: rf.ManyToMany(2, 1, task="quantile"), r"task: one of .* RTNeural, got regression \(quantile\)"),
    ],
)
def test_what_has_no_counterpart_there(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_rtneural(make())


def test_models_with_other_outputs_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^module: an LSTM, GRU or ManyToMany is required, got "):
        to_rtneural(rf.ManyToOne(2, 1))


def changed(number: int, **entry: Any) -> dict[str, Any]:
    given = to_rtneural(rf.ManyToMany(2, 1, cell="gru", hidden_size=3, task="regression", seed=0))
    given["layers"][number] |= entry
    return given


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            lambda: changed(0, type="conv1d"),
            r"layers\[0\]: type: lstm or gru layers .* got conv1d, which has no counte",
        ),
        (lambda: changed(1, type="prelu"), r"layers\[1\]: type: .* got prelu"),
        (lambda: changed(0, activation="relu"), r"layers\[0\]: activation: tanh is required of gru, got relu"),
        (lambda: changed(1, activation="elu"), r"layers\[1\]: activation: one of none, sigmoid, softmax .* got elu"),
        (lambda: changed(0, shape=[None, None, 4]), r"layers\[0\]: kernels for shapes \(C, H\) = \(2, 4\)"),
        (lambda: changed(1, shape=[None, None, 2]), r"layers\[1\]: weights of shapes"),
        (lambda: changed(0, weights=[]), r"layers\[0\]: kernel, recurrent kernel and perhaps a bias are required"),
        (lambda: changed(0, type="lstm"), "recurrent kernel: shape"),
        (lambda: {"layers": []}, "source: an undamaged file of RTNeural is required, got KeyError"),
        (lambda: changed(0, weights=[["x"]]), "source: an undamaged file of RTNeural is required, got TypeError"),
        (lambda: {"in_shape": [None, None, 2], "layers": 3}, "source: an undamaged file of RTNeural is required"),
        (lambda: {"in_shape": [None, None, 2], "layers": []}, "layers: an lstm or gru layer is required, got none"),
    ],
)
def test_what_has_no_counterpart_here(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_rtneural(source())


def test_layers_of_several_sizes_are_refused() -> None:
    given = to_rtneural(rf.GRU(2, 3, seed=0))
    given["layers"].append(to_rtneural(rf.GRU(3, 4, seed=0))["layers"][0])
    with pytest.raises(ValueError, match="units: the same in all layers of a stack is required, got 3 and 4"):
        from_rtneural(given)


def test_no_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="JSON is required"):
        from_rtneural(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(TypeError, match="a dict is required"):
        from_rtneural(tmp_path / "b.json")

"""A saved model loads: every option of every cell, NumPy's scalars, subclasses, metadata, files of earlier versions."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.models import MODELS
from rnnfast.models.config import CELLS

DATA = Path(__file__).parent / "data"
# What a model says to its layers itself.
OWNED = {
    "self",
    "input_size",
    "hidden_size",
    "num_layers",
    "bidirectional",
    "dropout",
    "time_major",
    "dtype",
    "seed",
}
ACTIVATION = ["relu", ("elu", 0.5), ["hard_sigmoid", np.float32(0.25), np.int64(1)], np.str_("softsign")]
PAIRS = [(0.1, 0.05), [0.1, 0.05], (np.float32(0.1), np.float64(0.05))]
VALUES: dict[str, dict[str, list[Any]]] = {
    "rnn": {
        "activation": ACTIVATION,
        "bias": [False, np.bool_(False)],
        "clip": [2, np.float32(0.7), np.float16(1.5)],
        "leak": [0.5, np.float32(0.3)],
        "noise": [0.1, np.float64(0.2)],
        "input_dropout": [0.3, np.float32(0.1)],
        "recurrent_dropout": [0.2, np.float32(0.1)],
        "zoneout": [0.1, np.float32(0.1)],
        "learn_initial_state": [True, np.bool_(True)],
    },
    "gru": {
        "bias": [False, np.bool_(False)],
        "reset_after": [False, np.bool_(False)],
        "activations": [("hard_sigmoid", "relu"), [("scaled_tanh", np.float32(1.5), 0.5), np.str_("identity")]],
        "clip": [2, np.float32(0.7)],
        "input_dropout": [0.3, np.float32(0.1)],
        "recurrent_dropout": [0.2, np.float32(0.1)],
        "zoneout": [0.1, np.float32(0.1)],
        "layer_norm": [True, np.bool_(True)],
        "learn_initial_state": [True, np.bool_(True)],
    },
    "lstm": {
        "bias": [False, np.bool_(False)],
        "proj_size": [2, np.int64(1)],
        "peephole": [True, np.bool_(True)],
        "forget_bias": [1, 0.5, np.float32(0.1), np.int8(2)],
        "coupled": [True, np.bool_(True)],
        "activations": [("hard_sigmoid", ("elu", np.float32(0.5)), "tanh")],
        "clip": [3, np.float32(0.7)],
        "input_dropout": [0.3, np.float32(0.1)],
        "recurrent_dropout": [0.2, np.float32(0.1)],
        "zoneout": [0.1, np.float32(0.1), *PAIRS],
        "layer_norm": [True, np.bool_(True)],
        "learn_initial_state": [True, np.bool_(True)],
    },
}
CHOICES = [
    pytest.param(cell, name, value, id=f"{cell}-{name}-{i}")
    for cell, options in VALUES.items()
    for name, values in options.items()
    for i, value in enumerate(values)
]


def again(model: Any, tmp_path: Path) -> Any:
    model.save(tmp_path / "m")
    found = rf.load(tmp_path / "m")
    assert found.config == model.config
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(found.state_dict()[name], value)
    return found


@pytest.mark.parametrize("cell", CELLS)
def test_every_option_of_a_cell_is_tested_here(cell: str) -> None:
    assert set(inspect.signature(CELLS[cell]).parameters) - OWNED == set(VALUES[cell])


@pytest.mark.parametrize("kind", ["ManyToOne", "ManyToMany", "OneToMany", "EncoderDecoder"])
@pytest.mark.parametrize(("cell", "name", "value"), CHOICES)
def test_an_option_saves_and_loads(kind: str, cell: str, name: str, value: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"cell": cell, "hidden_size": 3, "cell_options": {name: value}, "seed": 1}
    make: Any = MODELS[kind]
    model = make(2, 2, **options, **({"source_embedding": 2} if kind == "EncoderDecoder" else {}))
    found = again(model, tmp_path)
    x = [[0, 1, 1]] if kind in ("OneToMany", "EncoderDecoder") else np.ones((1, 3, 2))
    if kind == "EncoderDecoder":
        assert found.loss(x, [[1, 0]]) == model.loss(x, [[1, 0]])
    else:
        np.testing.assert_array_equal(found.predict_proba(x), model.predict_proba(x))


SCALARS: dict[str, dict[str, Any]] = {
    "ManyToOne": {
        "input_size": np.int64(3),
        "output_size": np.int8(2),
        "cell": np.str_("gru"),
        "hidden_size": np.uint16(4),
        "num_layers": np.int32(2),
        "bidirectional": np.bool_(True),
        "dropout": np.float32(0.1),
        "task": np.str_("multilabel"),
        "embedding": np.int64(2),
        "cell_options": {np.str_("clip"): np.float32(2)},
        "dtype": np.dtype("float64"),
        "seed": np.int64(5),
    },
    "OneToMany": {
        "input_size": np.int64(3),
        "output_size": np.int64(2),
        "embedding": np.int64(2),
        "context_size": np.int64(2),
        "dtype": np.float32,
    },
    "EncoderDecoder": {
        "source_size": np.int64(3),
        "target_size": np.int64(4),
        "hidden_size": np.int64(2),
        "source_embedding": np.int64(2),
        "target_embedding": np.int64(2),
        "attention": np.str_("dot"),
        "start": np.int64(0),
        "stop": np.int64(1),
        "bidirectional": np.bool_(False),
    },
}
SCALARS["ManyToMany"] = SCALARS["ManyToOne"]


@pytest.mark.parametrize("kind", MODELS)
def test_scalars_of_numpy_save_and_load(kind: str, tmp_path: Path) -> None:
    model = MODELS[kind](**SCALARS[kind])
    assert again(model, tmp_path).config == model.config
    assert all(type(value).__module__ == "builtins" for value in model.config.values())


@pytest.mark.parametrize(
    "value",
    [{1, 2}, object(), 1j, np.zeros(2), b"bytes", np.datetime64("2020-01-01"), {1: 2}, [np.zeros(())]],
    ids=lambda value: type(value).__name__,
)
def test_an_option_that_no_file_can_hold_is_refused_by_the_constructor(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^cell_options\['clip'\](\[0\])?: what a model's file can hold is required"):
        rf.ManyToOne(3, 2, cell_options={"clip": value})
    with pytest.raises(TypeError, match=r"^cell_options: a dict is required, got list"):
        rf.ManyToOne(3, 2, cell_options=[1])  # type: ignore[arg-type]


@pytest.fixture
def cells() -> Iterator[type[rf.CustomCell]]:
    """A registered cell with options of its own."""
    before = dict(rf.CustomCell.known)

    class Leaky(rf.CustomCell, name="leaky"):
        def __init__(self, rate: float = 0.5, notes: Any = ()) -> None:
            self.rate, self.notes = rate, notes

        def shapes(self, inputs: int, hidden: int) -> Any:
            return {"W": (hidden, inputs), "R": (hidden, hidden)}

        def forward(self, p: Any, x: Any, state: Any) -> Any:
            n = np.tanh(x @ p["W"].T + state[0] @ p["R"].T)
            return ((1 - self.rate) * state[0] + self.rate * n,), (x, state[0], n)

        def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
            raise NotImplementedError

    yield Leaky
    rf.CustomCell.known.clear()
    rf.CustomCell.known.update(before)


@pytest.mark.parametrize(
    "notes", [[1, [2, "b"]], (1, (2, "b")), {"a": [None, True]}, np.float32(0.1), float("nan"), -0.0]
)
def test_options_of_a_custom_cell_are_the_same_before_and_after(
    cells: type[rf.CustomCell], notes: Any, tmp_path: Path
) -> None:
    model = rf.ManyToOne(3, 2, cell=cells, hidden_size=3, cell_options={"rate": np.float32(0.25), "notes": notes})
    model.save(tmp_path / "m")
    found = rf.load(tmp_path / "m")
    assert repr(found.rnn.cell.notes) == repr(model.rnn.cell.notes)
    assert type(model.rnn.cell.rate) is float


class Small(rf.ManyToOne):
    """A subclass whose constructor takes other arguments."""

    def __init__(self, units: int) -> None:
        super().__init__(3, 2, hidden_size=units, seed=0)


class Smaller(Small):
    """One more step from the class that a file knows."""


def test_a_subclass_loads_as_the_class_that_a_file_knows(tmp_path: Path) -> None:
    for model in (Small(4), Smaller(5), type("ManyToOne", (rf.ManyToOne,), {})(3, 2, hidden_size=2)):
        found = again(model, tmp_path)
        assert type(found) is rf.ManyToOne


def test_a_subclass_with_parameters_of_its_own_is_refused(tmp_path: Path) -> None:
    class Larger(rf.ManyToOne):
        def parameters(self) -> Any:
            return super().parameters() | {"extra": rf.RNN(1, 1).parameters()["bias_ih_l0"]}

    with pytest.raises(ValueError, match=r"parameters: those that config describes are required, got \['extra'\]"):
        Larger(3, 2).save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_no_longer_describes_the_model_is_refused(tmp_path: Path) -> None:
    model = rf.ManyToOne(3, 2, hidden_size=4)
    model.config["hidden_size"] = 5
    with pytest.raises(ValueError, match=r"rnn.weight_ih_l0: shape \(20, 3\) of float32 is required"):
        model.save(tmp_path / "m")


@pytest.mark.parametrize("value", [3, None, b"text", ["a"], {"a": "b"}, 1.5])
def test_metadata_that_is_no_text_raises_at_once(value: Any, tmp_path: Path) -> None:
    model = rf.ManyToOne(3, 2, hidden_size=2)
    model.metadata["kept"] = "a"
    ways: list[Any] = [
        lambda: model.metadata.__setitem__("bad", value),
        lambda: model.metadata.update({"good": "b", "bad": value}),
        lambda: model.metadata.update(good="b", bad=value),
        lambda: model.metadata.setdefault("bad", value),
        lambda: model.metadata.__ior__({"good": "b", "bad": value}),
        lambda: setattr(model, "metadata", {"bad": value}),
    ]
    for way in ways:
        with pytest.raises(TypeError, match=r"metadata\['bad'\]: text \(str\) is required, got "):
            way()
        assert model.metadata == {"kept": "a"}
    with pytest.raises(TypeError, match=r"metadata: keys that are text \(str\) are required, got 3"):
        model.metadata[3] = "a"  # type: ignore[index]
    assert again(model, tmp_path).metadata == {"kept": "a"}


def test_metadata_is_a_dict_of_text(tmp_path: Path) -> None:
    model = rf.ManyToOne(3, 2, hidden_size=2)
    model.metadata = {"a": "\ud800 lone", "b": np.str_('é \U0001f600 \\ " \x00')}
    model.metadata |= {"": ""}
    assert again(model, tmp_path).metadata == model.metadata
    for other in (copy.deepcopy(model.metadata), copy.copy(model.metadata), pickle.loads(pickle.dumps(model.metadata))):
        assert other == model.metadata
        with pytest.raises(TypeError, match="text"):
            other["a"] = 1  # type: ignore[assignment]


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.safetensors")))
def test_files_of_earlier_versions_load(name: str, cells: type[rf.CustomCell]) -> None:
    """Each holds an input in its metadata, and what the version that wrote it made of that."""
    model = rf.load(DATA / name)
    given, expected, context = (json.loads(model.metadata.get(key, "null")) for key in ("input", "outputs", "context"))
    assert model.metadata["letters"] == "äöü\n"
    if isinstance(model, rf.EncoderDecoder):
        found: Any = [model.loss(given, [[0, 2, 3], [2, 2, 0]])]
    elif model.task.name == "regression":
        found = model.predict(given)
    else:
        found = model.predict_proba(given, **({} if context is None else {"context": np.array(context)}))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

"""What layers and models say of themselves: every option that differs from its default, and a table for notebooks."""

from __future__ import annotations

import copy
import html.parser
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.examples import SMALL_LAYERS, SMALL_MODELS, Decay

# A value of every option that differs from its default.
OTHER: dict[str, Any] = {
    "num_layers": 2,
    "activation": "relu",
    "bidirectional": True,
    "bias": False,
    "dropout": 0.25,
    "time_major": True,
    "dtype": "float64",
    "proj_size": 2,
    "peephole": True,
    "forget_bias": 1.0,
    "coupled": True,
    "reset_after": False,
    "clip": 3.0,
    "leak": 0.5,
    "noise": 0.1,
    "input_dropout": 0.1,
    "recurrent_dropout": 0.1,
    "zoneout": 0.1,
    "layer_norm": True,
    "learn_initial_state": True,
}
ACTIVATIONS = {rf.LSTM: ("relu", "tanh", ("elu", 0.5)), rf.GRU: ("softsign", "tanh")}


class Sly(Decay, name="<script>alert(1)</script>"):
    """A cell whose name is a piece of HTML."""


def options_of(cls: Any) -> list[str]:
    return [n for n, p in inspect.signature(cls).parameters.items() if p.default is not p.empty and n != "seed"]


@pytest.mark.parametrize(("cls", "option"), [(c, o) for c in (rf.RNN, rf.LSTM, rf.GRU) for o in options_of(c)])
@pytest.mark.filterwarnings("ignore:dropout")
def test_a_changed_option_is_shown_and_makes_the_layer_again(cls: Any, option: str) -> None:
    value = ACTIVATIONS[cls] if option == "activations" else OTHER[option]
    layer = cls(3, 4, seed=0, **{option: value})
    shown = f"{option}={value!r}" if option != "dtype" else "dtype=float64"
    assert shown in repr(layer)
    again = eval(f"rf.{layer!r}", {"rf": rf, "float32": "float32", "float64": "float64"})
    assert repr(again) == repr(layer)
    assert again.options == layer.options == {option: value}
    assert {n: p.shape for n, p in again.parameters().items()} == {n: p.shape for n, p in layer.parameters().items()}


def test_numpy_scalars_and_lists_are_shown_plainly() -> None:
    layer = rf.LSTM(
        3, 4, clip=np.float64(2), activations=["relu", "tanh", ["elu", 0.5]], zoneout=(np.float64(0.5), 0.25)
    )
    assert repr(layer) == (
        "LSTM(3, 4, num_layers=1, activations=('relu', 'tanh', ('elu', 0.5)), clip=2.0, zoneout=(0.5, 0.25), "
        "dtype=float32)"
    )


def test_custom_layers_are_shown_by_their_cell() -> None:
    layer = rf.CustomLayer(Decay(), 3, 4, time_major=True)
    assert repr(layer) == "CustomLayer(decaying, 3, 4, num_layers=1, time_major=True, dtype=float32)"


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_models_show_sizes_and_changed_options(name: str) -> None:
    model = SMALL_MODELS[name][0]()
    text, defaults = repr(model), inspect.signature(type(model)).parameters
    for option, value in model.config.items():
        default = defaults[option].default
        plain = value if value != {} else None
        changed = default is inspect.Parameter.empty or plain != default
        if option not in ("cell", "task", "dtype", "seed"):
            assert (f", {option}={value!r}" in text) == changed, option
    assert f"cell={model.config['cell']}" in text
    assert f"dtype={model.dtype}" in text


def test_a_subclass_with_another_constructor_is_shown() -> None:
    class Mine(rf.ManyToOne):
        def __init__(self, size: int) -> None:
            super().__init__(size, 2, hidden_size=size, cell="gru")

    expected = "<Mine: cell=gru, task=classification, dtype=float32, input_size=3, output_size=2, hidden_size=3>"
    assert repr(Mine(3)) == expected


@pytest.mark.parametrize("name", [*SMALL_LAYERS, *SMALL_MODELS])
def test_options_survive_copies(name: str) -> None:
    module = (SMALL_LAYERS | {n: make for n, (make, _) in SMALL_MODELS.items()})[name]()
    for copied in (copy.copy(module), copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(copied) == repr(module)


class Page(html.parser.HTMLParser):
    """Collects the tags and the texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        assert not attributes
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("name", [*SMALL_LAYERS, *SMALL_MODELS])
def test_tables_for_notebooks(name: str) -> None:
    module = (SMALL_LAYERS | {n: make for n, (make, _) in SMALL_MODELS.items()})[name]()
    page, params = Page(module._repr_html_()), module.parameters()
    assert set(page.tags) == {"table", "caption", "tr", "td", "p"}
    cells = [text for n, p in params.items() for text in (n, str(p.shape), f"{p.value.size:,}")]
    total = sum(p.value.size for p in params.values())
    assert page.texts == [repr(module), *cells, f"{total:,} parameters, {total * module.dtype.itemsize:,} bytes"]


def test_names_are_escaped() -> None:
    text = rf.CustomLayer(Sly(), 3, 4)._repr_html_()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text

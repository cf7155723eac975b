"""The engine's registry and the reference's own list hold the same things, with the same facts."""

from __future__ import annotations

import inspect
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops, reference
from rnnfast.layers import Recurrent
from rnnfast.reference import activations
from rnnfast.reference.cells import DEFAULTS, make_cell
from tests.support.comparison import KINDS, build_layer, make_problem
from tests.support.matrix import EXACT, LAYERS
from tests.support.state import using_isa

# How the reference makes the cells of each family.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("rnn", {}),
    "lstm": ("lstm", {}),
    "coupled_lstm": ("lstm", {"coupled": True}),
    "gru": ("gru", {}),
    "gru_before": ("gru", {"reset_after": False}),
}


def test_the_reference_has_every_family() -> None:
    assert set(FAMILIES) == set(_ops.FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_cells_are_those_of_the_reference(family: str) -> None:
    kind, options = FAMILIES[family]
    cell = make_cell(kind, **options)
    for facts in (c for c in _ops.CELLS.values() if c.family == family):
        assert (facts.gates, facts.states) == (cell.gates, cell.states)
        assert facts.activations == DEFAULTS.get(kind, ("tanh",))
        assert len(facts.gate_names) in (0, facts.gates)


def test_the_tests_know_every_layer() -> None:
    layers = {item for item in vars(rf).values() if inspect.isclass(item) and issubclass(item, Recurrent)}
    assert set(LAYERS.values()) == layers


def test_every_cell_is_compared_with_the_reference() -> None:
    """Some problem's layer is computed by it."""
    layers = [build_layer(make_problem(kind, H=4, L=1), "float32") for kind in KINDS]
    assert {weights.cell for layer in layers for weights in layer.packed()} == set(_ops.CELLS)


def test_a_family_goes_from_its_fastest_cell_to_its_most_general_one() -> None:
    for family in _ops.FAMILIES:
        options = [set(cell.options) for cell in _ops.CELLS.values() if cell.family == family]
        assert all(a <= b for a, b in pairwise(options)), family


def test_activations_are_those_of_the_reference() -> None:
    own = {name: defaults for name, (defaults, _) in activations._TABLE.items()}
    assert {name: facts.numbers for name, facts in _ops.ACTIVATIONS.items()} == own


@pytest.mark.parametrize("name", _ops.ACTIVATIONS)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_both_formulas_of_an_activation(name: str, scale: float, isa: str, dtype: str) -> None:
    """A layer of one step whose units see one number each: values and derivatives."""
    numbers = tuple(scale * n for n in _ops.ACTIVATIONS[name].numbers)
    alpha, beta, *_ = (*numbers, 0.0, 0.0)
    x = np.concatenate([np.linspace(-4, 4, 50), [-1e30, -1e9, -1e3, -80, 80, 1e3, 1e9, 1e30]]).astype(dtype)
    cell = _ops.Cell(name="generic_rnn", activations=((name, alpha, beta),))
    w, r = x[:, None], np.zeros((len(x), len(x)), dtype)
    y, _, _, tape = _ops.rnn_forward(
        [_ops.pack(cell, w, r)], np.ones((1, 1, 1), dtype), None, None, None, directions=1, time_major=False, save="all"
    )
    assert tape is not None
    for other in EXACT:
        with using_isa(other):
            again, *_ = _ops.rnn_forward(
                [_ops.pack(cell, w, r)],
                np.ones((1, 1, 1), dtype),
                None,
                None,
                None,
                directions=1,
                time_major=False,
                save="nothing",
            )
        if isa in EXACT:
            np.testing.assert_array_equal(again, y)
    dw = np.zeros_like(w)
    _ops.rnn_backward(tape, np.ones_like(y), None, None, [[dw, np.zeros_like(r), *[None] * 8]])
    expected = activations.make_activation((name, *numbers))
    tolerance = 64 * np.finfo(x.dtype).eps
    np.testing.assert_allclose(y[0, 0], expected(x.astype(float)), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(dw[:, 0], expected.derivative(x.astype(float)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", activations._TABLE)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_derivatives_of_the_reference_are_those_of_a_complex_step(name: str, scale: float) -> None:
    """No point lies on a bend of a piecewise function."""
    fn = activations.make_activation((name, *(scale * n for n in activations._TABLE[name][0])))
    x = np.linspace(-4.03, 4, 80)
    np.testing.assert_allclose(fn.derivative(x), fn(x + 1e-30j).imag / 1e-30, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("layer", [rf.RNN, rf.LSTM, rf.GRU])
def test_layers_name_every_activation(layer: type) -> None:
    """Each docstring is complete by itself."""
    assert [name for name in _ops.ACTIVATIONS if f'"{name}"' not in (layer.__doc__ or "")] == []


def test_losses_are_those_of_the_reference() -> None:
    for name, facts in _ops.LOSSES.items():
        targets = {"classes": np.zeros(2, np.int64), "numbers": np.full((2, 3), 0.5)}[facts.targets]
        outputs = np.arange(6.0).reshape(2, 3)
        loss, gradient = _ops.mean_loss(name, outputs, targets)
        expected, slope = getattr(reference, name)(outputs, targets)
        assert loss == pytest.approx(expected)
        np.testing.assert_allclose(gradient, slope)


@pytest.mark.parametrize("name", ["", "mse", "cross_entropy"])
def test_another_loss_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"loss: one of losses\(\) is required, got"):
        _ops.mean_loss(name, np.ones((1, 1)), np.ones((1, 1)))


def test_every_rule_has_an_optimiser_that_gives_its_options() -> None:
    params = {"p": rf.params.Parameter(np.ones(2))}
    made = [*(cls(params) for cls in rf.optim.OPTIMIZERS.values()), rf.Adam(params, amsgrad=True)]
    assert {optimizer.rule for optimizer in made} == set(_ops.OPTIMIZERS)
    for optimizer in made:
        rule = _ops.OPTIMIZERS[optimizer.rule]
        assert set(optimizer._read(optimizer._options_of(optimizer._parts[0]))) == set(rule.options)
        assert tuple(optimizer._buffers) == rule.buffers


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lr": None}, "options: one called 'lr' is required, got none"),
        ({"beta1": 0.9}, "options: 5 of optimizer 'sgd' are required, got 6"),
        ({"nesterov": 0.5}, "nesterov: 0 or 1 is required, got 0.5"),
        ({"dampening": np.inf}, "dampening: a finite number is required, got inf"),
    ],
)
def test_other_options_of_an_optimiser_are_refused(change: dict[str, Any], words: str) -> None:
    options = dict.fromkeys(_ops.OPTIMIZERS["sgd"].options, 0.0) | change
    given = {name: value for name, value in options.items() if value is not None}
    with pytest.raises(ValueError, match=words):
        _ops.update("sgd", [np.ones(1)], [np.ones(1)], [[np.ones(1)]], given, np.zeros(1, np.int64))


def test_another_optimiser_is_refused() -> None:
    with pytest.raises(ValueError, match=r"optimizer: one of optimizers\(\) is required, got 'lion'"):
        _ops.update("lion", [], [], [], {}, np.zeros(1, np.int64))

"""The cells that share their code with another one: the same questions as to the plain cells, on fewer problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops, reference
from tests.support.bits import (
    SHAPES,
    check_each_sequence_alone,
    check_inference,
    check_padding,
    check_threads,
    check_vector_width,
)
from tests.support.comparison import VARIANTS, assert_matches, assert_same_bits, build_layer, make_problem, run_engine
from tests.support.derivatives import REFERENCE_SHAPES, check_reference, check_results_and_gradients
from tests.support.matrix import epsilon, several_widths
from tests.support.streams import check_blocks, check_steps

ACTIVATIONS: list[Any] = [
    "tanh",
    "relu",
    "identity",
    "sigmoid",
    "hard_sigmoid",
    ("hard_sigmoid", 0.7, 0.3),
    "hard_tanh",
    "softsign",
    "softplus",
    "elu",
    ("elu", 0.3),
    "leaky_relu",
    ("leaky_relu", 0.2),
    ("thresholded_relu", 0.3),
    ("scaled_tanh", 1.5, 0.6),
    ("affine", 0.5, 0.1),
]


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """Every variant of a cell."""
    return str(request.param)


@pytest.mark.parametrize("shape", REFERENCE_SHAPES)
def test_the_reference_is_its_own_derivative(variant: str, shape: str, rng: np.random.Generator) -> None:
    check_reference(make_problem(variant, N=4, H=5, **REFERENCE_SHAPES[shape]), True, rng)


@pytest.mark.parametrize("H", [1, 9, 33])
def test_results_and_gradients(variant: str, isa: str, dtype: str, H: int) -> None:
    """Normalised cells have at least 5 units: two numbers are normalised to 1 and -1 whatever they are."""
    H = max(H, 5) if "normed" in variant else H
    check_results_and_gradients(make_problem(variant, H=H), dtype)


@pytest.mark.parametrize(
    "sizes",
    [
        {"L": 3, "N": 5, "T": 4, "H": 17},
        {"bias": False, "L": 2, "start": False},
        {"T": 40, "N": 9, "H": 20, "C": 33},
        {"T": 3, "N": 300, "H": 5, "C": 3},
    ],
    ids=str,
)
def test_shapes_of_the_network(variant: str, dtype: str, sizes: dict[str, Any]) -> None:
    problem = make_problem(variant, **sizes)
    assert_matches(problem, run_engine(problem, dtype), dtype)


@pytest.mark.parametrize("shape", ["small", "many units"])
def test_the_same_bits(variant: str, dtype: str, shape: str) -> None:
    problem = make_problem(variant, **SHAPES[shape])
    for check in (check_threads, check_each_sequence_alone, check_padding, check_inference):
        check(problem, dtype)


@several_widths
def test_vector_width(variant: str, dtype: str) -> None:
    check_vector_width(make_problem(variant, **SHAPES["small"]), dtype)


@pytest.mark.parametrize("size", [{"N": 1, "C": 37, "H": 5, "L": 2}, {"N": 23, "C": 6, "H": 17, "L": 2}], ids=str)
def test_steps_are_one_call(variant: str, isa: str, dtype: str, size: dict[str, Any]) -> None:
    check_steps(variant, dtype, size)
    check_blocks(variant, dtype, size)


FAULTS: dict[str, Callable[[_ops.Cell, Any], tuple[_ops.Cell, Any]]] = {
    "gates take the activation of the candidate": lambda cell, p: (
        replace(cell, activations=(*(cell.activations[1:2] or cell.activations[:1]), *cell.activations[1:])),
        p,
    ),
    "h takes the activation of the gates": lambda cell, p: (
        replace(cell, activations=(*cell.activations[:2], *(cell.activations[2:] and cell.activations[:1]))),
        p,
    ),
    "alpha and beta exchanged": lambda cell, p: (
        replace(cell, activations=tuple((name, beta, alpha) for name, alpha, beta in cell.activations)),
        p,
    ),
    "clip forgotten": lambda cell, p: (replace(cell, clip=np.inf), p),
    "leak forgotten": lambda cell, p: (replace(cell, leak=1.0), p),
    "peepholes in another order": lambda cell, p: (cell, None if p is None else np.ascontiguousarray(p[::-1])),
    "peepholes forgotten": lambda cell, p: (cell, None if p is None else np.zeros_like(p)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_the_engine_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine makes another choice than the layer asked for, and the comparison must notice."""
    pack: Callable[..., _ops.Weights] = _ops.pack
    planted = 0
    for variant in VARIANTS:
        problem = make_problem(variant, N=4, T=6, C=3, H=5, L=2)
        changes: list[bool] = []

        def wrong(cell: _ops.Cell, *arrays: Any, changes: list[bool] = changes) -> Any:
            other, peepholes = FAULTS[fault](cell, arrays[4])
            changes.append(other != cell or peepholes is not arrays[4])
            return pack(other, *arrays[:4], peepholes, *arrays[5:])

        with monkeypatch.context() as patch:
            patch.setattr(_ops, "pack", wrong)
            result = run_engine(problem, "float64")
        if any(changes):
            planted += 1
            with pytest.raises(AssertionError):
                assert_matches(problem, result, "float64")
    assert planted, "a fault that fits no cell proves nothing"


def along(activation: Any, x: np.ndarray, dtype: str, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """An activation's values and derivatives: a layer of one step whose units see one number each."""
    layer = rf.RNN(1, len(x), activation=activation, dtype=dtype, **options)
    values: dict[str, Any] = {"weight_ih_l0": x[:, None], "weight_hh_l0": 0, "bias_ih_l0": 0, "bias_hh_l0": 0}
    for name, value in values.items():
        layer.parameters()[name][...] = value
    y, _, tape = layer.forward(np.ones((1, 1, 1), dtype))
    layer.backward(tape, np.ones_like(y))
    return y[0, 0], layer.parameters()["bias_ih_l0"].grad


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_activations(activation: Any, isa: str, dtype: str, rng: np.random.Generator) -> None:
    """Values agree to a few roundings; no argument lies on a bend."""
    x = np.concatenate([np.linspace(-9, 9, 302), rng.normal(size=200) * 0.01, [0.0, 80.0, -80.0]]).astype(dtype)
    expected = reference.make_activation(activation)
    wide = x.astype(np.float64)
    y, d = along(activation, x, dtype)
    eps = epsilon(dtype)
    np.testing.assert_allclose(y, expected(wide), rtol=8 * eps, atol=2 * eps)
    np.testing.assert_allclose(d, expected.derivative(wide), rtol=0, atol=8 * eps)


@pytest.mark.parametrize("activation", ["tanh", "identity", "softplus", ("affine", 0.5, 0.1)], ids=str)
def test_nothing_passes_back_where_the_clip_holds(activation: Any, dtype: str) -> None:
    x = np.array([-5.0, -1.0, -0.5, 0.0, 0.5, 1.0, 5.0], dtype)
    y, d = along(activation, x, dtype, clip=0.75)
    inside, slope = along(activation, np.clip(x, -0.75, 0.75), dtype)
    np.testing.assert_array_equal(y, inside)
    np.testing.assert_array_equal(d, np.where(np.abs(x) < 0.75, slope, 0))


def test_peepholes_of_zero_are_none(dtype: str) -> None:
    """The general cell with the choices of the plain one has its bits."""
    plain = make_problem("lstm", N=5, T=6, H=9, L=2)
    none = {f"weight_ph_l{k}": np.zeros((3, 9)) for k in range(2)}
    result = run_engine(replace(plain, cell="lstm-peephole", params=plain.params | none), dtype)
    assert_same_bits({n: v for n, v in result.items() if n not in none}, run_engine(plain, dtype))
    assert all(result[name].any() for name in none)


def test_a_coupled_lstm_is_one_whose_forget_gate_mirrors_its_input_gate(dtype: str) -> None:
    """1 - sigmoid(a) is sigmoid(-a): the four-gate cell can imitate it."""
    coupled = make_problem("lstm-coupled", N=5, T=6, H=9, ragged=False)
    full = {}
    for name, value in coupled.params.items():
        i, g, o = np.split(value, 3)
        full[name] = np.concatenate([i, -i, g, o])
    twin = replace(coupled, cell="lstm", params=full)
    np.testing.assert_allclose(run_engine(coupled, dtype)["y"], run_engine(twin, dtype)["y"], rtol=0, atol=1e-6)


def test_a_leak_of_one_is_none(dtype: str) -> None:
    problem = make_problem("rnn-tanh", N=5, T=6, H=9)
    x = problem.x.astype(dtype)
    layers = [build_layer(problem, dtype), build_layer(problem, dtype, leak=1)]
    y = [layer(x, lengths=problem.lengths)[0] for layer in layers]
    np.testing.assert_array_equal(*y)


def test_a_leaky_unit_integrates() -> None:
    """With a constant input it covers 1 - (1 - leak)^t of the way after t steps."""
    layer = rf.RNN(1, 1, activation="identity", leak=0.25, dtype="float64", bias=False)
    layer.load_state_dict({"weight_ih_l0": np.ones((1, 1)), "weight_hh_l0": np.zeros((1, 1))})
    y, _ = layer(np.full((1, 8, 1), 2.0))
    np.testing.assert_allclose(y[0, :, 0], 2 * (1 - 0.75 ** np.arange(1, 9)), rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "options", "error", "words"),
    [
        (rf.RNN, {"activation": "swish"}, ValueError, "activation: one of tanh, .* is required, got 'swish'"),
        (rf.RNN, {"activation": ("elu", 1, 2)}, ValueError, "activation: at most 1 numbers after 'elu'"),
        (rf.RNN, {"activation": ("elu", -1)}, ValueError, "activation: alpha >= 0 is required for elu, got -1.0"),
        (rf.RNN, {"activation": ("scaled_tanh", 0)}, ValueError, "alpha other than 0 is required"),
        (rf.RNN, {"activation": ("affine", np.nan)}, ValueError, "finite numbers"),
        (rf.RNN, {"activation": ("affine", "1")}, TypeError, "a name and numbers"),
        (rf.RNN, {"leak": 0}, ValueError, r"leak: dt / tau within \(0, 1\] is required, got 0"),
        (rf.RNN, {"leak": 1.5}, ValueError, "leak"),
        (rf.GRU, {"clip": 0}, ValueError, "clip: a number above zero is required, got 0"),
        (rf.GRU, {"clip": np.nan}, ValueError, "clip"),
        (rf.GRU, {"activations": ("tanh",)}, ValueError, "activations: 2, as in .* are required"),
        (rf.LSTM, {"activations": "tanh"}, ValueError, "activations: 3, as in"),
        (rf.LSTM, {"activations": ("tanh", "tanh", "no")}, ValueError, r"activations\[2\]: one of tanh"),
        (rf.LSTM, {"bias": False, "forget_bias": 1.0}, ValueError, "forget_bias: bias=True is required, got"),
        (rf.LSTM, {"coupled": True, "forget_bias": 1.0}, ValueError, "forget_bias: a forget gate"),
    ],
)
def test_wrong_options_are_named(make: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(3, 4, **options)


def test_options_travel_with_a_model(tmp_path: Path) -> None:
    """Saved and loaded, a model of a variant answers the same."""
    options = {"peephole": True, "activations": (("hard_sigmoid", 0.25), "tanh", "softsign"), "clip": 5.0}
    model = rf.ManyToOne(3, 2, hidden_size=5, cell_options=options, seed=0)
    x = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    model.save(tmp_path / "model.safetensors")
    same = rf.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(same.predict_proba(x), model.predict_proba(x))
    assert "rnn.weight_ph_l0" in same.state_dict()

"""The layers' interface: construction, parameters, state, tapes, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops
from tests.support.comparison import build_layer, bundle, make_problem, unbundle
from tests.support.matrix import LAYERS

every_kind = pytest.mark.parametrize("make", LAYERS.values(), ids=lambda kind: kind.__name__)


def x_of(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@every_kind
def test_parameters_have_the_names_and_shapes_of_pytorch(make: Any) -> None:
    gates = _ops.FAMILIES[make.__name__.lower()].gates
    layer = make(3, 5, num_layers=2)
    assert {name: p.shape for name, p in layer.parameters().items()} == {
        "weight_ih_l0": (gates * 5, 3),
        "weight_hh_l0": (gates * 5, 5),
        "bias_ih_l0": (gates * 5,),
        "bias_hh_l0": (gates * 5,),
        "weight_ih_l1": (gates * 5, 5),
        "weight_hh_l1": (gates * 5, 5),
        "bias_ih_l1": (gates * 5,),
        "bias_hh_l1": (gates * 5,),
    }
    assert list(make(3, 5, bias=False).parameters()) == ["weight_ih_l0", "weight_hh_l0"]


@every_kind
def test_attributes(make: Any, dtype: str) -> None:
    layer = make(3, 5, num_layers=2, dtype=dtype, time_major=True)
    assert (layer.input_size, layer.hidden_size, layer.num_layers) == (3, 5, 2)
    assert layer.dtype == np.dtype(dtype)
    assert layer.time_major is True
    assert make(3, 5).dtype == np.float32


@every_kind
def test_initial_values_are_uniform_within_pytorchs_bound(make: Any, dtype: str) -> None:
    layer = make(30, 64, dtype=dtype, seed=5)
    bound = 1 / np.sqrt(64)
    for name, p in layer.parameters().items():
        assert p.dtype == dtype
        assert np.abs(p.value).max() <= bound, name
        assert np.abs(p.value).max() > 0.9 * bound, name
        assert abs(p.value.mean()) < 4 * bound / np.sqrt(3 * p.value.size), name
        assert len(np.unique(p.value)) > 0.99 * p.value.size, name


@every_kind
def test_seeds(make: Any) -> None:
    def values(seed: int | None) -> np.ndarray:
        return np.concatenate([p.value.ravel() for p in make(3, 5, seed=seed).parameters().values()])

    np.testing.assert_array_equal(values(1), values(1))
    assert (values(1) != values(2)).all()
    assert (values(None) != values(None)).all()


def test_forget_bias() -> None:
    layer = rf.LSTM(3, 5, num_layers=2, forget_bias=1.5, seed=0)
    plain = rf.LSTM(3, 5, num_layers=2, seed=0)
    for k in range(2):
        names = (f"bias_ih_l{k}", f"bias_hh_l{k}")
        b_ih, b_hh = (layer.parameters()[name].value for name in names)
        assert (b_ih[5:10] == 1.5).all()
        assert (b_hh[5:10] == 0).all()
        kept = np.r_[0:5, 10:20]
        for name, value in zip(names, (b_ih, b_hh), strict=True):
            np.testing.assert_array_equal(value[kept], plain.parameters()[name].value[kept])


@every_kind
def test_values_are_read_only_and_versions_follow_writes(make: Any) -> None:
    p = make(3, 5).parameters()["weight_hh_l0"]
    with pytest.raises(ValueError, match="read-only"):
        p.value[0, 0] = 1
    version = p.version
    p.assign(np.full(p.shape, 0.25, np.float32))
    assert p.version != version
    assert (p.value == 0.25).all()
    version = p.version
    p[...] = np.full(p.shape, 0.5, np.float32)
    assert p.version != version
    assert (p.value == 0.5).all()


@every_kind
def test_a_write_is_seen_by_the_next_call(make: Any, isa: str, dtype: str) -> None:
    """Packed copies of the weights must never outlive the weights."""
    layer, other = make(3, 5, dtype=dtype, seed=0), make(3, 5, dtype=dtype, seed=1)
    x = x_of(2, 4, 3, dtype=dtype)
    before, _ = layer(x)
    for name, p in layer.parameters().items():
        p[...] = other.parameters()[name].value
        changed, _ = layer(x)
        assert (changed != before).any(), name
        before = changed
    np.testing.assert_array_equal(before, other(x)[0])


@every_kind
def test_an_assigned_array_is_copied(make: Any) -> None:
    layer = make(3, 5)
    source = np.zeros(layer.parameters()["bias_ih_l0"].shape, np.float32)
    layer.parameters()["bias_ih_l0"].assign(source)
    source[:] = 7
    assert (layer.parameters()["bias_ih_l0"].value == 0).all()


@every_kind
def test_state_dict_round_trip(make: Any, dtype: str) -> None:
    layer, other = make(3, 5, num_layers=2, dtype=dtype), make(3, 5, num_layers=2, dtype=dtype)
    saved = layer.state_dict()
    assert list(saved) == list(layer.parameters())
    other.load_state_dict(saved)
    x = x_of(2, 4, 3, dtype=dtype)
    np.testing.assert_array_equal(layer(x)[0], other(x)[0])
    for p in layer.parameters().values():
        p[...] = np.zeros(p.shape, dtype)
    assert all(value.any() for value in saved.values()), "a state_dict is a copy"


@every_kind
def test_load_state_dict_names_everything_wrong_and_changes_nothing(make: Any) -> None:
    layer = make(3, 5)
    before = layer.state_dict()
    wrong = {name: value + 1 for name, value in before.items() if name != "bias_hh_l0"}
    wrong["weight_hh_l0"] = np.zeros((1, 5), np.float32)
    wrong["weight_hr_l0"] = np.zeros((1, 5), np.float32)
    with pytest.raises(ValueError, match="bias_hh_l0") as caught:
        layer.load_state_dict(wrong)
    for name in ("weight_hh_l0", "weight_hr_l0", "missing", "unexpected", "(1, 5)"):
        assert name in str(caught.value)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@every_kind
def test_load_state_dict_by_name(make: Any) -> None:
    """Without strict, what is missing stays and what is unexpected is reported; shapes must fit all the same."""
    layer = make(3, 5, seed=0)
    before = layer.state_dict()
    some = {"weight_hh_l0": before["weight_hh_l0"] + 1, "fc.weight": np.zeros((1, 5), np.float32)}
    found = layer.load_state_dict(some, strict=False)
    assert found == (["weight_ih_l0", "bias_ih_l0", "bias_hh_l0"], ["fc.weight"])
    assert (found.missing_keys, found.unexpected_keys) == found
    expected = before | {"weight_hh_l0": some["weight_hh_l0"]}
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, expected[name])
    with pytest.raises(
        ValueError, match=r"^state: the shapes of state_dict\(\) are required, got misshaped: bias_hh_l0"
    ):
        layer.load_state_dict({"weight_hh_l0": before["weight_hh_l0"], "bias_hh_l0": np.zeros(1)}, strict=False)
    np.testing.assert_array_equal(layer.state_dict()["weight_hh_l0"], expected["weight_hh_l0"])
    assert layer.load_state_dict(before) == ([], [])


@every_kind
def test_values_are_rounded_to_the_parameters_dtype(make: Any) -> None:
    """NumPy computes the values in float64; the parameter has the module's dtype."""
    layer = make(3, 5, seed=0)
    value = np.linspace(0, 1, layer.parameters()["weight_hh_l0"].value.size).reshape(-1, 5)
    layer.parameters()["weight_hh_l0"].assign(value)
    np.testing.assert_array_equal(layer.parameters()["weight_hh_l0"].value, value.astype(np.float32), strict=True)
    layer.load_state_dict({name: np.zeros(p.shape).tolist() for name, p in layer.parameters().items()})
    assert all((p.value == 0).all() and p.dtype == np.float32 for p in layer.parameters().values())


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (1e39, ValueError, r"numbers within float32 .*3\.4e\+38.* got larger"),
        (1j, TypeError, "real numbers .* got dtype complex128"),
        ("1", TypeError, "real numbers .* got dtype <U1"),
        (None, TypeError, "real numbers .* got dtype object"),
    ],
)
def test_values_that_no_parameter_can_hold(value: Any, error: type[Exception], message: str) -> None:
    """Every way of writing refuses it; a refused state dict changes nothing, whichever entry is wrong."""
    layer = rf.GRU(2, 2, seed=0)
    before = layer.state_dict()
    p = layer.parameters()["bias_hh_l0"]
    with pytest.raises(error, match=f"array: {message}"):
        p.assign(np.full(p.shape, value))
    with pytest.raises(error, match=f"array: {message}"):
        p[1:] = value
    wrong = {name: np.ones_like(v) for name, v in before.items()} | {"bias_hh_l0": np.full(p.shape, value)}
    with pytest.raises(error, match=f"bias_hh_l0: {message}"):
        layer.load_state_dict(wrong)
    for name, now in layer.state_dict().items():
        np.testing.assert_array_equal(now, before[name])


def test_infinities_and_nan_may_be_assigned() -> None:
    p = rf.GRU(2, 2, seed=0).parameters()["bias_hh_l0"]
    p.assign([np.inf, -np.inf, np.nan, 0, 1, 2])
    np.testing.assert_array_equal(p.value, np.array([np.inf, -np.inf, np.nan, 0, 1, 2], np.float32))


@every_kind
def test_gradients_start_at_zero_add_and_are_cleared(make: Any) -> None:
    layer = make(3, 5)
    assert all(not p.grad.any() and p.grad.dtype == np.float32 for p in layer.parameters().values())
    arrays = {name: p.grad for name, p in layer.parameters().items()}
    y, _, tape = layer.forward(x_of(2, 4, 3))
    layer.backward(tape, np.ones_like(y))
    for name, p in layer.parameters().items():
        assert p.grad is arrays[name] or np.shares_memory(p.grad, arrays[name])
        assert p.grad.any()
    layer.zero_grad()
    assert all(not grad.any() for grad in arrays.values())


@every_kind
def test_shapes_of_results(make: Any) -> None:
    layer = make(3, 5, num_layers=2)
    y, state, tape = layer.forward(x_of(4, 6, 3))
    assert y.shape == (4, 6, 5)
    assert [s.shape for s in unbundle(state)] == [(2, 4, 5)] * (2 if make is rf.LSTM else 1)
    assert isinstance(state, tuple) == (make is rf.LSTM)
    dx, dstate = layer.backward(tape, np.ones_like(y))
    assert dx.shape == (4, 6, 3)
    assert [d.shape for d in unbundle(dstate)] == [s.shape for s in unbundle(state)]


@every_kind
def test_results_are_new_arrays(make: Any) -> None:
    """The caller owns the results of a call: no later call writes to them, and no other result shares their memory."""
    layer = make(3, 5)
    x = x_of(2, 4, 3)
    y, state = layer(x)
    kept = y.copy(), unbundle(state)[0].copy()
    layer(2 * x)
    np.testing.assert_array_equal(y, kept[0])
    y[:] = 7
    np.testing.assert_array_equal(unbundle(state)[0], kept[1])
    np.testing.assert_array_equal(layer(x)[0], kept[0])


@every_kind
def test_a_given_state_is_not_written_to(make: Any) -> None:
    layer = make(3, 5)
    state = tuple(x_of(1, 2, 5, seed=k) for k in range(2 if make is rf.LSTM else 1))
    before = [s.copy() for s in state]
    y, _, tape = layer.forward(x_of(2, 4, 3), bundle(state))
    layer.backward(tape, np.ones_like(y), bundle(state))
    for s, b in zip(state, before, strict=True):
        np.testing.assert_array_equal(s, b)


@every_kind
def test_a_state_may_be_written_to_before_backward(make: Any) -> None:
    """The tape refers to x and y, but the state is the caller's."""
    layer = make(3, 5)
    x = x_of(2, 4, 3)
    expected, _ = layer.backward(layer.forward(x)[2], np.ones((2, 4, 5), np.float32))
    _, state, tape = layer.forward(x)
    for array in unbundle(state):
        array[:] = 7
    np.testing.assert_array_equal(layer.backward(tape, np.ones((2, 4, 5), np.float32))[0], expected)


@every_kind
def test_a_tape_serves_once(make: Any) -> None:
    layer = make(3, 5)
    y, _, tape = layer.forward(x_of(2, 4, 3))
    layer.backward(tape, np.ones_like(y))
    grads = {name: p.grad.copy() for name, p in layer.parameters().items()}
    with pytest.raises(RuntimeError, match="tape"):
        layer.backward(tape, np.ones_like(y))
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(p.grad, grads[name])


@every_kind
@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
def test_a_tape_is_void_after_a_parameter_changed(make: Any, name: str) -> None:
    layer = make(3, 5)
    y, _, tape = layer.forward(x_of(2, 4, 3))
    p = layer.parameters()[name]
    p[...] = p.value * 2
    with pytest.raises(RuntimeError, match=r"tape: .*parameters"):
        layer.backward(tape, np.ones_like(y))
    assert not any(p.grad.any() for p in layer.parameters().values())


@every_kind
def test_a_tape_of_another_layer_is_refused(make: Any) -> None:
    layer, other = make(3, 5, seed=0), make(3, 5, seed=1)
    y, _, tape = layer.forward(x_of(2, 4, 3))
    with pytest.raises((RuntimeError, ValueError), match="tape"):
        other.backward(tape, np.ones_like(y))


@every_kind
def test_several_tapes_live_side_by_side(make: Any) -> None:
    """A layer used twice before backward, as a tied encoder is."""
    layer, twin = make(3, 5, seed=0), make(3, 5, seed=0)
    xs = [x_of(2, 4, 3, seed=1), x_of(3, 6, 3, seed=2)]
    tapes = [layer.forward(x)[2] for x in xs]
    for x, tape in reversed(list(zip(xs, tapes, strict=True))):
        dy = np.ones((*x.shape[:2], 5), np.float32)
        dx, _ = layer.backward(tape, dy)
        np.testing.assert_array_equal(dx, twin.backward(twin.forward(x)[2], dy)[0])
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(p.grad, twin.parameters()[name].grad)


@every_kind
def test_options_are_keyword_only(make: Any) -> None:
    with pytest.raises(TypeError):
        make(3, 5, 2)


def test_a_subset_of_time_is_a_view_without_cost(cell: str, dtype: str) -> None:
    """Layers take strided views as they are."""
    problem = make_problem(cell, N=4, T=8, ragged=False)
    layer = build_layer(problem, dtype)
    x = problem.x.astype(dtype)
    np.testing.assert_array_equal(layer(x[::2, 1:7:3])[0], layer(x[::2, 1:7:3].copy())[0])

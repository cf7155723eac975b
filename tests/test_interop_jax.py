"""Layers from and to Flax and Equinox: their own parameters and outputs, exact round trips, and what must raise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.interop.jax import from_equinox, from_flax, to_equinox, to_flax
from tests.support.interop_files import FOLDER

FLAX, EQUINOX = np.load(FOLDER / "flax.npz"), np.load(FOLDER / "equinox.npz")
FLAX_CELLS = sorted({name.partition("/")[0] for name in FLAX} - {"x"})
EQUINOX_CELLS = sorted({name.rpartition("/")[0] for name in EQUINOX} - {""})


def nested(file: Any, prefix: str) -> dict[str, Any]:
    """The arrays of a file whose names begin with ``prefix/``, in dictionaries; without the outputs y."""
    found: dict[str, Any] = {}
    for name in file:
        if name.startswith(f"{prefix}/") and not name.endswith("/y"):
            *folders, last = name.removeprefix(f"{prefix}/").split("/")
            place = found
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = file[name]
    return found


def equal_trees(one: Any, other: Any) -> None:
    assert set(one) == set(other)
    for name, value in one.items():
        if isinstance(value, dict):
            equal_trees(value, other[name])
        else:
            np.testing.assert_array_equal(value, other[name], err_msg=name, strict=True)


@pytest.mark.parametrize("name", FLAX_CELLS)
def test_values_of_flax(name: str) -> None:
    layer = from_flax(nested(FLAX, name))
    np.testing.assert_allclose(layer(FLAX["x"])[0], FLAX[f"{name}/y"], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in FLAX_CELLS if name != "nnx_lstm_8"])
def test_round_trips_of_flax_are_exact(name: str) -> None:
    params = nested(FLAX, name)
    inner = params.get("cell", params)
    equal_trees(to_flax(from_flax(params), form=name.partition("_")[0])[0], inner)


@pytest.mark.parametrize("name", EQUINOX_CELLS)
def test_values_of_equinox(name: str) -> None:
    params = nested(EQUINOX, name)
    layer = from_equinox(params)
    np.testing.assert_allclose(layer(EQUINOX["x"])[0], EQUINOX[f"{name}/y"], rtol=2e-6, atol=1e-6)
    equal_trees(to_equinox(layer)[0], params)


MAKES = [rf.RNN, rf.LSTM, rf.GRU]


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_stacks(make: Any, bidirectional: bool) -> None:
    layer = make(2, 3, num_layers=2, bidirectional=bidirectional, seed=0)
    params = to_flax(layer)
    assert len(params) == 2 * layer.directions
    same = from_flax(params, bidirectional=bidirectional)
    np.testing.assert_allclose(same(FLAX["x"])[0], layer(FLAX["x"])[0], atol=1e-6)
    for one, other in zip(to_flax(same), params, strict=True):
        equal_trees(one, other)
    if make is not rf.RNN:
        same = from_equinox(to_equinox(layer), bidirectional=bidirectional)
        np.testing.assert_allclose(same(FLAX["x"])[0], layer(FLAX["x"])[0], atol=1e-6)


def test_what_the_parameters_do_not_tell() -> None:
    params = to_flax(rf.RNN(2, 3, seed=0))
    layer = from_flax(params, cell_options={"activation": "relu"})
    assert layer.activation == "relu"
    assert from_flax({"params": {"cell": params[0]}}).dtype == np.float32
    double = to_flax(rf.LSTM(2, 3, dtype="float64", seed=0))
    assert from_flax(double).dtype == np.float64


def test_the_bias_that_nnx_lacks() -> None:
    """GRUCell of flax.nnx has no bias of n within the reset gate; that of linen has."""
    layer = rf.GRU(2, 3, seed=0)
    with pytest.raises(ValueError, match=r"^bias_hh: zeros for n are required, for GRUCell of flax\.nnx has no such"):
        to_flax(layer, form="nnx")
    layer.parameters()["bias_hh_l0"][6:] = 0
    same = from_flax(to_flax(layer, form="nnx"))
    np.testing.assert_allclose(same(FLAX["x"])[0], layer(FLAX["x"])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rf.GRU(2, 3, reset_after=False), "reset_after: True is required, for {} has no other, got False"),
        (lambda: rf.LSTM(2, 3, peephole=True), "peephole: False"),
        (lambda: rf.LSTM(2, 3, coupled=True), "coupled: False"),
        (lambda: rf.LSTM(2, 3, proj_size=2), "proj_size: 0"),
        (lambda: rf.LSTM(2, 3, activations=("sigmoid", "relu", "tanh")), "activations: sigmoid, tanh, tanh .* relu"),
        (lambda: rf.GRU(2, 3, zoneout=0.5), "zoneout: 0"),
        (lambda: rf.LSTM(2, 3, learn_initial_state=True), "learn_initial_state: False"),
    ],
)
def test_what_has_no_counterpart_there(make: Any, message: str) -> None:
    for library, function in (("Flax", to_flax), ("Equinox", to_equinox)):
        with pytest.raises(ValueError, match=message.format(library)):
            function(make())


def test_an_elman_layer_has_no_counterpart_in_equinox() -> None:
    with pytest.raises(ValueError, match=r"^cell: lstm or gru is required, for Equinox has no other, got rnn"):
        to_equinox(rf.RNN(2, 3))
    with pytest.raises(TypeError, match=r"^layer: an RNN, LSTM or GRU is required, got Linear"):
        to_equinox(rf.Linear(2, 3))
    with pytest.raises(ValueError, match=r"^form: one of linen, nnx is required"):
        to_flax(rf.RNN(2, 3), form="haiku")


LSTM, GRU = to_flax(rf.LSTM(2, 3, seed=0))[0], to_flax(rf.GRU(2, 3, seed=0))[0]
EQ_GRU = to_equinox(rf.GRU(2, 3, seed=0))[0]


@pytest.mark.parametrize(
    ("function", "params", "error", "message"),
    [
        (from_flax, {}, ValueError, r"params\[0\]: the parameters of an LSTMCell, .* are required, got none"),
        (from_flax, [], ValueError, "params: cells of one kind are required, got none"),
        (from_flax, [LSTM, GRU], ValueError, "params: cells of one kind are required, got gru, lstm"),
        (from_flax, {k: v for k, v in LSTM.items() if k != "ho"}, ValueError, "LSTMCell"),
        (from_flax, {**GRU, "extra": {}}, ValueError, "got .*extra"),
        (from_flax, 3, TypeError, "params: a sequence is required"),
        (from_flax, [3], TypeError, r"params\[0\]: a dict is required"),
        (from_flax, {"i": {"kernel": np.ones((2, 3))}, "h": {"kernel": np.ones((3, 7))}}, ValueError, "hidden kernel"),
        (from_flax, {"i": {"kernel": np.ones((2, 4))}, "h": {"kernel": np.ones((3, 3))}}, ValueError, "kernel: shape"),
        (from_equinox, {**EQ_GRU, "bias": np.ones(4)}, ValueError, r"params\[0\].bias: shape \(G\*H,\) = \(9,\)"),
        (from_equinox, {**EQ_GRU, "bias_n": None}, ValueError, r"bias with bias_n"),
        (from_equinox, {**EQ_GRU, "other": np.ones(1)}, ValueError, "got .*other"),
        (from_equinox, {"weight_ih": np.ones((9, 2))}, ValueError, "weight_ih, weight_hh and perhaps"),
    ],
)
def test_wrong_parameters(function: Any, params: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        function(params)

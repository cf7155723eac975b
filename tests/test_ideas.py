"""The ideas behind recurrent networks, as statements that hold or not."""

from __future__ import annotations

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference


def summing(dtype: str = "float64") -> rf.RNN:
    """h(t) = h(t-1) + x(t): an identity network with unit weights and no bias."""
    layer = rf.RNN(1, 1, activation="identity", bias=False, dtype=dtype)
    for p in layer.parameters().values():
        p[...] = np.ones((1, 1), dtype)
    return layer


def test_a_sum_is_the_smallest_recurrent_network(dtype: str) -> None:
    x = np.arange(1, 101, dtype=dtype).reshape(1, 100, 1)
    y, state = summing(dtype)(x)
    assert isinstance(state, np.ndarray)
    np.testing.assert_array_equal(y[0, :, 0], np.cumsum(np.arange(1, 101)))
    assert state[0, 0, 0] == 5050


def test_its_gradient_is_one_for_every_element(dtype: str) -> None:
    layer = summing(dtype)
    x = np.arange(1, 101, dtype=dtype).reshape(1, 100, 1)
    _, state, tape = layer.forward(x)
    dx, dstate = layer.backward(tape, None, np.ones_like(state))
    assert (dx == 1).all()
    assert isinstance(dstate, np.ndarray)
    assert (dstate == 1).all()
    assert layer.parameters()["weight_ih_l0"].grad == 5050
    assert layer.parameters()["weight_hh_l0"].grad == np.cumsum(x)[:-1].sum()


def test_a_sequence_of_any_length_becomes_a_state_of_fixed_length() -> None:
    layer = rf.GRU(3, 7, seed=0)
    for steps in (0, 1, 10, 1000):
        _, state = layer(np.ones((2, steps, 3), np.float32))
        assert isinstance(state, np.ndarray)
        assert state.shape == (1, 2, 7)


def test_the_loop_of_the_lecture() -> None:
    """Start from zero, feed one element and the last state at a time."""
    layer = rf.LSTM(3, 5, seed=0)
    x = np.random.default_rng(0).normal(size=(1, 20, 3)).astype(np.float32)
    state = None
    for t in range(20):
        out, state = layer(x[:, t : t + 1], state)
    whole, last = layer(x)
    np.testing.assert_array_equal(out[:, 0], whole[:, -1])
    np.testing.assert_array_equal(state, last)


def test_a_dense_layer_cannot_see_order(rng: np.random.Generator) -> None:
    """Permuting x together with the matching blocks of the weights leaves the output as it was."""
    steps, width, units = 6, 3, 4
    x = rng.integers(-4, 5, (2, steps, width)).astype(np.float64)
    W = rng.integers(-4, 5, (units, steps, width)).astype(np.float64)
    order = rng.permutation(steps)
    y = reference.linear(x.reshape(2, -1), W.reshape(units, -1))
    permuted = reference.linear(x[:, order].reshape(2, -1), W[:, order].reshape(units, -1))
    np.testing.assert_array_equal(permuted, y)


def test_a_recurrent_network_sees_order(rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 6, 3))
    layer = rf.RNN(3, 4, dtype="float64", seed=0)
    _, state = layer(x)
    _, reordered = layer(x[:, ::-1])
    assert np.abs(np.subtract(state, reordered)).max() > 0.01


def test_a_sum_does_not_see_order(dtype: str, rng: np.random.Generator) -> None:
    x = rng.integers(-9, 10, (1, 50, 1)).astype(dtype)
    layer = summing(dtype)
    y, state = layer(x)
    shuffled, same = layer(rng.permuted(x, axis=1))
    np.testing.assert_array_equal(state, same)
    assert (y != shuffled).any()


def test_the_same_weights_at_every_step(rng: np.random.Generator) -> None:
    """The parameters do not grow with the length of the sequence."""
    layer = rf.GRU(2, 3, seed=1)
    count = sum(p.value.size for p in layer.parameters().values())
    layer(rng.normal(size=(1, 5000, 2)).astype(np.float32))
    assert count == sum(p.value.size for p in layer.parameters().values()) == 3 * 3 * (2 + 3 + 2)


@pytest.mark.parametrize(("scale", "grows"), [(0.5, False), (1.5, True)])
def test_gradients_vanish_or_explode_with_the_recurrent_weight(scale: float, grows: bool) -> None:
    """The gradient at the first step is a product of T-1 derivatives: scale^(T-1) for the identity."""
    layer = summing()
    layer.parameters()["weight_hh_l0"][...] = np.full((1, 1), scale)
    _, state, tape = layer.forward(np.ones((1, 40, 1)))
    dx, _ = layer.backward(tape, None, np.ones_like(state))
    np.testing.assert_allclose(dx[0, ::-1, 0], scale ** np.arange(40), rtol=1e-13)
    assert (dx[0, 0, 0] > 1) == grows


def test_a_gated_cell_can_keep_a_value(rng: np.random.Generator) -> None:
    """Forget gate open, input gate shut: the cell state passes a thousand steps unchanged."""
    layer = rf.LSTM(1, 2, dtype="float64", seed=0)
    bias = np.repeat([-1000.0, 1000.0, 0.0, 0.0], 2)
    layer.parameters()["bias_ih_l0"][...] = bias
    start = (np.zeros((1, 1, 2)), np.array([[[0.25, -3.0]]]))
    _, (_, c) = layer(rng.normal(size=(1, 1000, 1)), start)
    np.testing.assert_array_equal(c, start[1])

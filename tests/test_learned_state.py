"""The initial state as a parameter: what a given state of the same numbers gives, its gradient summed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import (
    assert_same_bits,
    build_layer,
    bundle,
    run_engine,
)
from tests.support.learned import check_learned_state, learned


@pytest.mark.parametrize("L", [1, 2])
def test_results_and_gradients(cell: str, isa: str, dtype: str, L: int, rng: np.random.Generator) -> None:
    check_learned_state(cell, dtype, L, rng)


def test_the_same_bits_as_a_given_state(cell: str, dtype: str) -> None:
    problem = learned(cell, N=6, T=4, H=9, L=2)
    names = [name for name in ("h0", "c0") if name in problem.params]
    state = tuple(np.repeat(problem.params[name], 6, axis=1) for name in names)
    params = {name: value for name, value in problem.params.items() if name not in names}
    own, given = run_engine(problem, dtype), run_engine(replace(problem, params=params, state=state), dtype)
    assert_same_bits({name: value for name, value in own.items() if name not in names}, given)
    for name, first in zip(names, ("dh", "dc"), strict=False):
        np.testing.assert_array_equal(own[name], given[first].sum(axis=1, keepdims=True))


def test_a_given_state_takes_its_place(cell: str, dtype: str) -> None:
    problem = learned(cell, N=3, T=4, H=5)
    layer = build_layer(problem, dtype)
    x, dy = problem.x.astype(dtype), problem.dy.astype(dtype)
    zeros = bundle([np.zeros((1, 3, 5), dtype) for _ in problem.dstate])
    y, _, tape = layer.forward(x, zeros, lengths=problem.lengths)
    layer.backward(tape, dy)
    for name in {"h0", "c0"} & set(problem.params):
        assert not layer.parameters()[name].grad.any()
    names = {"h0", "c0"} & set(problem.params)
    plain = replace(problem, params={n: p for n, p in problem.params.items() if n not in names})
    np.testing.assert_array_equal(y, build_layer(plain, dtype)(x, lengths=problem.lengths)[0])


def test_a_part_of_the_lstm_state_may_be_given(dtype: str) -> None:
    problem = learned("lstm", N=3, T=4, H=5, ragged=False)
    layer = build_layer(problem, dtype)
    x = problem.x.astype(dtype)
    h = np.full((1, 3, 5), 0.25, dtype)
    c = np.repeat(layer.parameters()["c0"].value, 3, axis=1)
    np.testing.assert_array_equal(layer(x, (h, None))[0], layer(x, (h, c))[0])
    _, _, tape = layer.forward(x, (h, None))
    layer.backward(tape, problem.dy.astype(dtype))
    assert not layer.parameters()["h0"].grad.any()
    assert layer.parameters()["c0"].grad.any()


def test_a_stream_starts_from_it(cell: str, dtype: str) -> None:
    problem = learned(cell, N=3, T=4, H=5, L=2, ragged=False)
    layer = build_layer(problem, dtype)
    x = problem.x.astype(dtype)
    y, _ = layer(x)
    stream = layer.stream(3)
    np.testing.assert_array_equal(stream.process(x), y)
    stream.reset(np.array([True, False, True]))
    np.testing.assert_array_equal(stream.process(x)[::2], y[::2])
    stream.state = None
    np.testing.assert_array_equal(stream.process(x), y)
    layer.parameters()["h0"][...] = 0
    stream.reset()
    np.testing.assert_array_equal(stream.process(x), y)


def test_it_is_zero_at_first(cell: str) -> None:
    plain, layer = (rf.LSTM(3, 4, num_layers=2, seed=1, learn_initial_state=learn) for learn in (False, True))
    x = np.ones((2, 3, 3), np.float32)
    np.testing.assert_array_equal(plain(x)[0], layer(x)[0])
    assert {n: p.shape for n, p in layer.parameters().items() if n not in plain.parameters()} == {
        "h0": (2, 1, 4),
        "c0": (2, 1, 4),
    }


def test_a_model_learns_it() -> None:
    """With no other input, the first answer can come from the state alone."""
    x, target = np.zeros((8, 2, 1), np.float32), np.full((8, 1), 0.7, np.float32)
    model = rf.ManyToOne(
        1, 1, cell="rnn", hidden_size=4, task="regression", cell_options={"learn_initial_state": True}, seed=0
    )
    h0 = model.parameters()["rnn.h0"]
    loss_before = model.loss_and_grad(x, target)
    assert h0.grad.any()
    model.fit(x, target, epochs=5, batch_size=8, optimizer="sgd", lr=0.05, progress=False)
    assert h0.value.any()
    assert model.loss(x, target) < loss_before

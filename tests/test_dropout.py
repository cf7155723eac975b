"""Dropout between layers: off in inference, scaled, statistically right, and the same mask in both passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from tests.support import comparison
from tests.support.comparison import CELLS, Problem, assert_matches, build_layer, bundle, collect, make_problem
from tests.support.matrix import epsilon

P = 0.3


def transparent(units: int, layers: int = 2, **options: Any) -> rf.RNN:
    """An identity network without memory: y is x times the masks between its layers."""
    layer = rf.RNN(units, units, activation="identity", bias=False, num_layers=layers, **options)
    for name, p in layer.parameters().items():
        p[...] = np.eye(units, dtype=layer.dtype) * float("ih" in name)
    return layer


def test_inference_has_no_dropout(cell: str, dtype: str) -> None:
    problem = make_problem(cell, L=2)
    x = problem.x.astype(dtype)
    plain, _ = build_layer(problem, dtype)(x, lengths=problem.lengths)
    layer = build_layer(problem, dtype, dropout=P)
    np.testing.assert_array_equal(layer(x, lengths=problem.lengths)[0], plain)
    np.testing.assert_array_equal(layer.forward(x, lengths=problem.lengths, training=False)[0], plain)
    assert (layer.forward(x, lengths=problem.lengths)[0] != plain).any()


def test_a_single_layer_has_none(cell: str, dtype: str) -> None:
    problem = make_problem(cell)
    x = problem.x.astype(dtype)
    plain, _ = build_layer(problem, dtype)(x, lengths=problem.lengths)
    with pytest.warns(UserWarning, match="dropout: two or more layers are required") as found:
        layer = build_layer(problem, dtype, dropout=P)
    assert [w.filename for w in found] == [comparison.__file__]
    y, _, _ = layer.forward(x, lengths=problem.lengths)
    np.testing.assert_array_equal(y, plain)


def test_what_is_kept_is_scaled(dtype: str) -> None:
    y, _, _ = transparent(20, dropout=P, seed=0, dtype=dtype).forward(np.ones((10, 50, 20), dtype))
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - P)], rtol=epsilon(dtype))


def test_the_mask_is_random_in_every_direction() -> None:
    """The share dropped, per unit, step and sequence, and the correlation of neighbours lie within five deviations."""
    rows, steps, units = 40, 50, 60
    y, _, _ = transparent(units, dropout=P, seed=0).forward(np.ones((rows, steps, units), np.float32))
    dropped = y == 0
    for axes in [(0, 1, 2), (0, 1), (0, 2), (1, 2)]:
        share = dropped.mean(axis=axes)
        count = np.prod([dropped.shape[a] for a in axes])
        assert np.abs(share - P).max() < 5 * np.sqrt(P * (1 - P) / count)
    centred = dropped - P
    for axis in range(3):
        product = centred * np.roll(centred, 1, axis)
        assert abs(product.mean()) < 5 * P * (1 - P) / np.sqrt(product.size)


def test_masks_of_layers_and_calls_differ() -> None:
    x = np.ones((4, 30, 40), np.float32)
    layer = transparent(40, dropout=P, seed=0)
    first, second = layer.forward(x)[0] == 0, layer.forward(x)[0] == 0
    assert 0.3 < (first != second).mean() < 0.55, "2 p (1 - p) = 0.42"
    twice = transparent(40, layers=3, dropout=P, seed=0).forward(x)[0] == 0
    assert abs(twice.mean() - (1 - (1 - P) ** 2)) < 0.03, "two masks, not one applied twice"


def test_the_same_seed_gives_the_same_masks() -> None:
    x = np.ones((4, 30, 40), np.float32)
    a, b, c = (transparent(40, dropout=P, seed=s) for s in (0, 0, 1))
    for _ in range(2):
        y = a.forward(x)[0]
        np.testing.assert_array_equal(y, b.forward(x)[0])
        assert (y != c.forward(x)[0]).any()


def test_both_passes_use_one_mask(dtype: str) -> None:
    layer = transparent(20, dropout=P, seed=0, dtype=dtype)
    y, _, tape = layer.forward(np.ones((5, 7, 20), dtype))
    dx, _ = layer.backward(tape, np.full_like(y, 3))
    np.testing.assert_allclose(dx, 3 * y, rtol=1e-6)


def revealing(problem: Problem) -> Problem:
    """The problem with weights under which y shows where the mask is zero.

    The gates are driven so far open or shut by their biases that the candidate alone decides: layer 0 has a constant
    output, layer 1 shows each of its inputs.
    """
    H, kind = problem.hidden, CELLS[problem.cell][0]
    gates = {"rnn": [0.0], "lstm": [50.0, -50.0, 0.0, 50.0], "gru": [0.0, -50.0, 0.0]}[kind]
    candidate = slice(0, H) if kind == "rnn" else slice(2 * H, 3 * H)
    params = {name: np.zeros_like(value) for name, value in problem.params.items()}
    for layer in range(2):
        params[f"bias_ih_l{layer}"] += np.repeat(gates, H)
    params["bias_ih_l0"][candidate] = 1
    params["weight_ih_l1"][candidate] = np.eye(H)
    return replace(problem, params=params)


@pytest.mark.parametrize("ragged", [False, True])
def test_results_and_gradients(cell: str, dtype: str, ragged: bool) -> None:
    """The mask, seen through a twin of the layer with revealing weights, makes the reference's."""
    problem = make_problem(cell, N=4, T=6, H=9, L=2, ragged=ragged)
    x = problem.x.astype(dtype)
    twin = build_layer(revealing(problem), dtype, dropout=P, seed=11)
    mask = (np.abs(twin.forward(x, lengths=problem.lengths)[0]) > 1e-6) / (1 - P)
    assert 0 < (mask[~problem.padding] == 0).mean() < 0.6
    layer = build_layer(problem, dtype, dropout=P, seed=11)
    state = bundle([s.astype(dtype) for s in problem.state or ()])
    y, last, tape = layer.forward(x, state, lengths=problem.lengths)
    dx, dfirst = layer.backward(tape, problem.dy.astype(dtype), bundle([d.astype(dtype) for d in problem.dstate]))
    actual = collect(y, last, dx, dfirst, {name: p.grad for name, p in layer.parameters().items()})
    kind, choice = CELLS[cell]
    choice = {"lengths": problem.lengths, "masks": [mask], **choice}
    y, last, kept = reference.forward(kind, problem.params, problem.x, bundle(problem.state), **choice)
    dx, dfirst, grads = reference.backward(kept, problem.dy, bundle(problem.dstate))
    assert_matches(problem, actual, dtype, collect(y, last, dx, dfirst, grads))

"""Noise and recurrent dropout: functions of seed, call, layer, sequence, step and unit, the same in both passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import (
    assert_matches,
    assert_same_bits,
    build_layer,
    make_problem,
)
from tests.support.derivatives import derivative
from tests.support.matrix import DTYPES, SETTINGS
from tests.support.randomness import MASKED, masked_reference, masks_of, noise_of, silent, trained
from tests.support.state import using_isa


def test_noise_is_normally_distributed(dtype: str, isa: str) -> None:
    z = silent(50, noise=2.0, seed=0, dtype=dtype).forward(np.zeros((40, 50, 1), dtype))[0].astype(np.float64) / 2
    n = z.size
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    cdf = NormalDist().cdf
    for edge in np.linspace(-3.5, 3.5, 29):
        p = cdf(edge)
        assert abs((z < edge).mean() - p) < 4.5 * np.sqrt(p * (1 - p) / n), edge
    for axis in range(3):
        assert abs((z * np.roll(z, 1, axis)).mean()) < 4 / np.sqrt(n)


def test_noise_differs_by_call_layer_direction_and_seed() -> None:
    x = np.zeros((3, 5, 1), np.float32)
    layer = silent(8, noise=1.0, seed=0, bidirectional=True)
    y = layer.forward(x)[0]
    assert not np.isin(y[..., :8], y[..., 8:]).any()
    assert not np.isin(layer.forward(x)[0], y).any()
    assert not np.isin(silent(8, noise=1.0, seed=1).forward(x)[0], y).any()
    np.testing.assert_array_equal(silent(8, noise=1.0, seed=0, bidirectional=True).forward(x)[0], y)
    second = silent(8, noise=1.0, seed=0, num_layers=2)
    second.parameters()["weight_ih_l1"][...] = np.eye(8)
    below = silent(8, noise=1.0, seed=0)
    below._dropout_seed = second._dropout_seed
    assert (np.abs(second.forward(x)[0] - below.forward(x)[0]) > 1e-6).all()


def test_both_types_have_the_same_noise() -> None:
    x = np.zeros((3, 5, 1))
    single, double = (silent(20, noise=1.0, seed=0, dtype=dtype) for dtype in DTYPES)
    y = double.forward(x)[0]
    np.testing.assert_allclose(single.forward(x.astype(np.float32))[0], y, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", ["rnn-tanh", "rnn-leaky", "rnn-clipped"])
def test_results_and_gradients_with_noise(cell: str, isa: str, dtype: str, ragged: bool) -> None:
    """Noise is as good as an input of its own, of weight one."""
    problem = make_problem(cell, N=5, T=7, C=3, H=9, ragged=ragged)
    layer = build_layer(problem, dtype, noise=0.5, seed=3)
    noise = noise_of(layer, 5, 7).astype(np.float64)
    W = np.concatenate([problem.params["weight_ih_l0"], np.eye(9)], axis=1)
    wide = replace(
        problem, x=np.concatenate([problem.x, noise], axis=2), params=problem.params | {"weight_ih_l0": W}
    ).expected
    expected = wide | {"dx": wide["dx"][..., :3], "weight_ih_l0": wide["weight_ih_l0"][:, :3]}
    assert_matches(problem, trained(layer, problem, dtype), dtype, expected)


@pytest.mark.parametrize("cell", MASKED)
def test_the_reference_is_its_own_derivative(cell: str, rng: np.random.Generator) -> None:
    problem = make_problem(cell, N=4, T=6, C=3, H=5, L=2, bidirectional=True)
    masks = 2.0 * rng.integers(0, 2, (4, 4, 5))
    result = masked_reference(problem, masks)
    for name in [n for n in result if n not in ("y", "h", "c")]:
        v = rng.normal(size=result[name].shape)
        expected = derivative(problem, name, v, recurrent_masks=masks)
        scale = np.linalg.norm(result[name]) * np.linalg.norm(v)
        assert abs(np.vdot(result[name], v) - expected) <= 1e-14 * scale, name


def test_a_mask_is_one_on_the_columns_of_the_recurrent_weights(rng: np.random.Generator) -> None:
    problem = make_problem("gru", N=1, T=6, C=3, H=5, ragged=False)
    mask = 2.0 * rng.integers(0, 2, (1, 1, 5))
    columns = problem.params | {"weight_hh_l0": problem.params["weight_hh_l0"] * mask[0]}
    np.testing.assert_allclose(
        masked_reference(problem, mask)["y"], replace(problem, params=columns).expected["y"], rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("sizes", [{"N": 5, "H": 9}, {"N": 4, "H": 17, "L": 2, "ragged": False}], ids=str)
@pytest.mark.parametrize("cell", MASKED)
def test_results_and_gradients_with_recurrent_dropout(cell: str, isa: str, dtype: str, sizes: dict[str, Any]) -> None:
    problem = make_problem(cell, T=7, C=3, **sizes)
    layer = build_layer(problem, dtype, recurrent_dropout=0.5, seed=3)
    masks = masks_of(layer, len(problem.x)).astype(np.float64)
    assert set(np.unique(masks)) == {0, 2}
    assert_matches(problem, trained(layer, problem, dtype), dtype, masked_reference(problem, masks))


@pytest.mark.parametrize(
    "fault",
    [
        np.ones_like,
        lambda m: m / 2,
        lambda m: np.roll(m, 1, axis=1),
        lambda m: m[::-1],
        lambda m: np.roll(m, 1, axis=2),
    ],
    ids=["forgotten", "not scaled", "of another sequence", "of another layer", "of other units"],
)
def test_a_wrong_mask_is_caught(fault: Callable[[np.ndarray], np.ndarray]) -> None:
    problem = make_problem("lstm", T=7, C=3, N=5, H=9, L=2)
    layer = build_layer(problem, "float32", recurrent_dropout=0.5, seed=3)
    masks = masks_of(layer, 5)
    with pytest.raises(AssertionError):
        assert_matches(problem, trained(layer, problem, "float32"), "float32", masked_reference(problem, fault(masks)))


@pytest.mark.parametrize("dtype", ["float64"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_recurrent_dropout_in_both_directions(cell: str, dtype: str) -> None:
    problem = make_problem(cell, N=5, T=7, C=3, H=9, L=2, bidirectional=True)
    layer = build_layer(problem, dtype, recurrent_dropout=0.5, seed=3)
    masks = masks_of(layer, 5)
    assert_matches(problem, trained(layer, problem, dtype), dtype, masked_reference(problem, masks))


def test_masks_are_fair_and_differ() -> None:
    layer = rf.GRU(1, 200, num_layers=2, recurrent_dropout=0.5, seed=0)
    first = masks_of(layer, 50)
    layer._calls += 1
    second = masks_of(layer, 50)
    for mask in (first, second):
        assert abs((mask == 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(mask.size)
    for other in (second, first[::-1], np.roll(first, 1, axis=1), np.roll(first, 1, axis=2)):
        assert abs((first == other).mean() - 0.5) < 4 * 0.5 / np.sqrt(first.size)


@pytest.mark.parametrize("options", [{"noise": 0.3}, {"recurrent_dropout": 0.3}, {"noise": 0.3, "leak": 0.5}], ids=str)
@pytest.mark.parametrize("size", [{"N": 40, "H": 33}, {"N": 2, "H": 300}], ids=str)
def test_threads_and_vector_width_change_no_bit(options: dict[str, Any], size: dict[str, int]) -> None:
    problem = make_problem("rnn-tanh", T=30, C=5, **size)
    results = []
    for isa, threads in SETTINGS:
        with using_isa(isa), rf.threads(threads):
            results.append(trained(build_layer(problem, "float32", seed=1, **options), problem, "float32"))
    for result in results[1:]:
        assert_same_bits(result, results[0])


def test_nothing_is_random_outside_training(cell: str) -> None:
    if cell == "gru-before":
        pytest.skip("has no recurrent dropout")
    problem = make_problem(cell, N=3, T=4, H=5, ragged=False)
    options = {"recurrent_dropout": 0.5} | ({"noise": 0.5} if cell.startswith("rnn") else {})
    plain, layer = build_layer(problem, "float32"), build_layer(problem, "float32", seed=0, **options)
    x = problem.x.astype(np.float32)
    y = plain(x)[0]
    np.testing.assert_array_equal(layer(x)[0], y)
    np.testing.assert_array_equal(layer.forward(x, training=False)[0], y)
    np.testing.assert_array_equal(layer.stream(3).process(x), y)
    assert (layer.forward(x)[0] != y).any()


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (rf.RNN, {"noise": -1.0}, "noise: a finite number of at least 0 is required, got -1.0"),
        (rf.RNN, {"noise": np.inf}, "noise"),
        (rf.LSTM, {"recurrent_dropout": 1.0}, r"recurrent_dropout: a probability within \[0, 1\) is required, got 1.0"),
        (rf.GRU, {"recurrent_dropout": 0.5, "reset_after": False}, "recurrent_dropout: reset_after=True is required"),
    ],
)
def test_wrong_options_are_named(make: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(3, 4, **options)

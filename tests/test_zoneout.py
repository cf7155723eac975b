"""Zoneout: which units stay depends on seed, call, layer, sequence, step and unit; inference takes the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import (
    assert_matches,
    assert_same_bits,
    build_layer,
    bundle,
    collect,
)
from tests.support.comparison import make_problem as make
from tests.support.derivatives import derivative
from tests.support.matrix import SETTINGS
from tests.support.randomness import ZONED, Zones, expected_zones, trained, zoned_reference, zones_of
from tests.support.state import using_isa


@pytest.mark.parametrize("cell", ZONED)
def test_the_reference_is_its_own_derivative(cell: str, rng: np.random.Generator) -> None:
    problem = make(cell, N=4, T=6, C=3, H=5, L=2, bidirectional=True)
    zones = [tuple(rng.random((4, 6, 5)) for _ in problem.dstate) for _ in range(4)]
    result = zoned_reference(problem, zones)
    for name in [n for n in result if n not in ("y", "h", "c")]:
        v = rng.normal(size=result[name].shape)
        expected = derivative(problem, name, v, zones=zones)
        scale = np.linalg.norm(result[name]) * np.linalg.norm(v)
        assert abs(np.vdot(result[name], v) - expected) <= 1e-14 * scale, name


@pytest.mark.parametrize("sizes", [{"N": 5, "H": 9}, {"N": 4, "H": 17, "L": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("cell", ZONED)
def test_results_and_gradients(cell: str, isa: str, dtype: str, sizes: dict[str, Any]) -> None:
    problem = make(cell, T=7, C=3, **sizes)
    layer = build_layer(problem, dtype, zoneout=ZONED[cell], seed=3)
    zones = zones_of(layer, ZONED[cell], sizes["N"], 7)
    assert {float(z) for pair in zones for each in pair for z in np.unique(each)} == {0, 1}
    assert_matches(problem, trained(layer, problem, dtype), dtype, zoned_reference(problem, zones))


@pytest.mark.parametrize("cell", ZONED)
def test_outside_training_it_is_the_expectation(cell: str, isa: str, dtype: str) -> None:
    problem = make(cell, T=7, C=3, N=5, H=9, L=2)
    layer = build_layer(problem, dtype, zoneout=ZONED[cell], seed=3)
    x, state = problem.x.astype(dtype), bundle([s.astype(dtype) for s in problem.state or ()])
    y, last, tape = layer.forward(x, state, lengths=problem.lengths, training=False)
    dx, dfirst = layer.backward(tape, problem.dy.astype(dtype), bundle([d.astype(dtype) for d in problem.dstate]))
    result = collect(y, last, dx, dfirst, {name: p.grad for name, p in layer.parameters().items()})
    assert_matches(problem, result, dtype, zoned_reference(problem, expected_zones(problem, ZONED[cell])))
    np.testing.assert_array_equal(layer(x, state, lengths=problem.lengths)[0], y)


@pytest.mark.parametrize("N", [1, 6])
@pytest.mark.parametrize("cell", ZONED)
def test_steps_are_one_call(cell: str, N: int, isa: str, dtype: str) -> None:
    problem = make(cell, T=5, C=3, N=N, H=17, L=2, ragged=False)
    layer = build_layer(problem, dtype, zoneout=ZONED[cell])
    x = problem.x.astype(dtype)
    stream = layer.stream(N)
    steps = [stream.step(x[:, t]) for t in range(5)]
    np.testing.assert_array_equal(np.stack(steps, axis=1), layer(x)[0])


@pytest.mark.parametrize("cell", ["gru", "lstm-activations"])
def test_resets_and_recurrent_dropout_beside_it(cell: str) -> None:
    """A mask that drops nothing changes nothing; a reset unit stays zero."""
    problem = make(cell, T=7, C=3, N=5, H=9, resets=True)
    layer = build_layer(problem, "float64", zoneout=ZONED[cell], seed=3)
    zones = zones_of(layer, ZONED[cell], 5, 7)
    state = bundle([*(problem.state or ())])
    y, last, tape = layer.forward(problem.x, state, lengths=problem.lengths, resets=problem.resets)
    dx, dfirst = layer.backward(tape, problem.dy, bundle(problem.dstate))
    result = collect(y, last, dx, dfirst, {name: p.grad for name, p in layer.parameters().items()})
    assert_matches(problem, result, "float64", zoned_reference(problem, zones))
    both = build_layer(problem, "float64", zoneout=ZONED[cell], recurrent_dropout=1e-12, seed=3)
    np.testing.assert_allclose(
        both.forward(problem.x, state, lengths=problem.lengths, resets=problem.resets)[0], y, rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("size", [{"N": 40, "H": 33}, {"N": 2, "H": 300}], ids=str)
def test_threads_and_vector_width_change_no_bit(size: dict[str, int]) -> None:
    problem = make("lstm", T=30, C=5, **size)
    results = []
    for isa, threads in SETTINGS:
        with using_isa(isa), rf.threads(threads):
            layer = build_layer(problem, "float32", seed=1, zoneout=(0.3, 0.2))
            results.append(trained(layer, problem, "float32"))
    for result in results[1:]:
        assert_same_bits(result, results[0])


def test_what_stays_is_fair_and_differs() -> None:
    layer = rf.LSTM(1, 100, num_layers=2, zoneout=(0.3, 0.3), seed=0)
    found: dict[tuple[int, ...], np.ndarray] = {}
    for call in (0, 1):
        layer._calls = call
        for index, pair in enumerate(zones_of(layer, (0.3, 0.3), 20, 10)):
            for state, zone in enumerate(pair):
                found[call, index, state] = zone
                for axis in range(3):
                    found[call, index, state, axis] = np.roll(zone, 1, axis)
    for zone in found.values():
        assert abs(zone.mean() - 0.3) < 4 * np.sqrt(0.21 / zone.size)
    first = found.pop((0, 0, 0))
    for name, other in found.items():
        assert abs((first * other).mean() - 0.09) < 4 * np.sqrt(0.09 * 0.91 / first.size), name


def test_a_wrong_zone_is_caught() -> None:
    problem = make("lstm", T=7, C=3, N=5, H=9, L=2)
    layer = build_layer(problem, "float32", zoneout=(0.5, 0.5), seed=3)
    zones = zones_of(layer, (0.5, 0.5), 5, 7)
    result = trained(layer, problem, "float32")
    faults: list[Zones] = [
        zones[::-1],
        [(c, h) for h, c in zones],
        [(1 - h, c) for h, c in zones],
        [(h, np.roll(c, 1, axis=1)) for h, c in zones],
        [(np.roll(h, 1, axis=2), c) for h, c in zones],
    ]
    for fault in faults:
        with pytest.raises(AssertionError):
            assert_matches(problem, result, "float32", zoned_reference(problem, fault))


@pytest.mark.parametrize(
    ("make_layer", "options", "words"),
    [
        (rf.RNN, {"zoneout": 1.0}, r"zoneout: a probability within \[0, 1\) is required, got 1.0"),
        (rf.GRU, {"zoneout": -0.1}, "zoneout: a probability"),
        (rf.LSTM, {"zoneout": (0.1, 1.0)}, "zoneout: a probability"),
        (rf.LSTM, {"zoneout": (0.1,)}, "zoneout: a probability, or two, of h and of c, is required"),
        (rf.LSTM, {"zoneout": 0.1, "proj_size": 2}, "zoneout: proj_size=0 is required"),
        (rf.LSTM, {"zoneout": (0.0, 0.1), "peephole": True}, "zoneout: peephole=False is required"),
    ],
)
def test_wrong_options_are_named(make_layer: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_layer(3, 4, **options)

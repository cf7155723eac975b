"""Traces: states and gates of every step, and the norms of gradients."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from tests.support.comparison import (
    CELLS,
    KINDS,
    VARIANTS,
    Problem,
    build_layer,
    bundle,
    make_problem,
    tolerance,
    unbundle,
)
from tests.support.matrix import LAYERS, epsilon

SHAPES: dict[str, dict[str, Any]] = {
    "ragged": {"N": 5, "T": 9, "H": 9, "L": 2},
    "dense": {"N": 9, "T": 40, "H": 17, "ragged": False},
    "both ways": {"N": 4, "T": 7, "H": 6, "L": 2, "bidirectional": True},
    "resets": {"N": 4, "T": 8, "H": 5, "L": 2, "resets": True},
    "many units": {"N": 3, "T": 7, "H": 140, "C": 33},
}
# Where the reference keeps the pre-activation of a gate, and which of its activations makes the gate of it.
GATES = {
    "rnn": {},
    "lstm": {"i": (3, "f"), "f": (4, "f"), "g": (5, "g"), "o": (6, "f")},
    "gru": {"r": (2, "f"), "z": (3, "f"), "n": (4, "g")},
}
every_shape = pytest.mark.parametrize("shape", SHAPES)


def arguments(problem: Problem, dtype: str) -> tuple[Any, Any, dict[str, Any]]:
    state = None if problem.state is None else bundle([s.astype(dtype) for s in problem.state])
    return problem.x.astype(dtype), state, {"lengths": problem.lengths, "resets": problem.resets}


@cache
def reference_gates(problem: Problem) -> dict[str, list[np.ndarray]]:
    """The gates by name, an array a layer, of what the reference saved at each step."""
    directions, found = 1 + problem.bidirectional, {}
    kind, choice = KINDS[problem.cell]
    x, state, options = arguments(problem, "float64")
    _, _, tape = reference.forward(kind, problem.params, x, state, **options, **choice)
    for name, (place, act) in GATES[kind].items():
        if name == "f" and choice.get("coupled"):
            continue
        scans = [
            np.where(scan.valid[..., None], np.stack([scan.saved[t][place] for t in sorted(scan.order)], axis=1), 0)
            for scan in tape.scans
        ]
        layers = [np.concatenate(scans[k : k + directions], axis=2) for k in range(0, len(scans), directions)]
        step: Any = tape.cell.step  # a partial, which holds the activations
        apply, padding = step.keywords[act], problem.padding[..., None]
        found[name] = [np.where(padding, 0, apply(a)) for a in layers]
    return found


@pytest.mark.parametrize("kind", KINDS)
@every_shape
def test_gates_are_the_reference_s(kind: str, isa: str, dtype: str, shape: str) -> None:
    problem = make_problem(kind, **SHAPES[shape])
    x, state, options = arguments(problem, dtype)
    trace = build_layer(problem, dtype).trace(x, state, **options)
    expected = reference_gates(problem)
    assert list(trace.gates) == list(expected)
    for gate, layers in expected.items():
        for actual, wanted in zip(trace.gates[gate], layers, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=4 * tolerance(problem, dtype), err_msg=gate)


@every_shape
def test_states_are_the_call_s(cell: str, dtype: str, shape: str) -> None:
    """h of the last layer is y; a stack is its layers one after the other; c obeys its equation, to the last bits."""
    problem = make_problem(cell, **SHAPES[shape])
    x, state, options = arguments(problem, dtype)
    layer = build_layer(problem, dtype)
    y, last = layer(x, state, **options)
    trace = layer.trace(x, state, **options)
    np.testing.assert_array_equal(trace.h[-1], y)
    for part, wanted in zip(unbundle(trace.state), unbundle(last), strict=True):
        np.testing.assert_array_equal(part, wanted)
    assert len(trace.h) == problem.layers
    assert len(trace.c) == (problem.layers if cell == "lstm" else 0)
    for array in [*trace.h, *trace.c, *(a for arrays in trace.gates.values() for a in arrays)]:
        assert (array[problem.padding] == 0).all()
        assert (array[~problem.padding] != 0).any()
    for c, o, h in zip(trace.c, trace.gates.get("o", []), trace.h, strict=False):
        np.testing.assert_allclose(o * np.tanh(c), h, rtol=8 * epsilon(dtype), atol=8 * epsilon(dtype))
    ends = problem.x.shape[1] * np.ones(len(x), int) if problem.lengths is None else problem.lengths
    if not problem.bidirectional:
        for n in np.flatnonzero(ends):
            for k, h in enumerate(trace.h):
                np.testing.assert_array_equal(h[n, ends[n] - 1], unbundle(last)[0][k, n])
            for k, c in enumerate(trace.c):
                np.testing.assert_array_equal(c[n, ends[n] - 1], last[1][k, n])


def test_threads_and_layout(cell: str) -> None:
    problem = make_problem(cell, **SHAPES["both ways"])
    x, _, options = arguments(problem, "float32")
    with rf.threads(1):
        alone = build_layer(problem, "float32").trace(x, **options)
    with rf.threads(3):
        turned = build_layer(problem, "float32", time_major=True).trace(x.swapaxes(0, 1), **options)
    for name, arrays in {"h": alone.h, "c": alone.c, **alone.gates}.items():
        others = {"h": turned.h, "c": turned.c, **turned.gates}[name]
        for array, other in zip(arrays, others, strict=True):
            np.testing.assert_array_equal(other.swapaxes(0, 1), array, err_msg=name)


def test_dropout_has_no_part(cell: str) -> None:
    problem = make_problem(cell, **SHAPES["ragged"])
    x, state, options = arguments(problem, "float32")
    dropping = build_layer(problem, "float32", dropout=0.5).trace(x, state, **options)
    np.testing.assert_array_equal(dropping.h[-1], build_layer(problem, "float32")(x, state, **options)[0])


@cache
def expected_norms(problem: Problem) -> np.ndarray:
    """dL/dh(t) is dy(t) of the layer, and the gradient of the state from which the sequence goes on.

    Layer by layer and sequence by sequence, by the reference.
    """
    kind, choice = KINDS[problem.cell]
    norms = np.zeros((problem.layers, *problem.x.shape[:2]))
    for n in range(len(problem.x)):
        steps = problem.x.shape[1] if problem.lengths is None else int(problem.lengths[n])
        resets = None if problem.resets is None else problem.resets[n : n + 1, :steps]
        inputs, own = [problem.x[n : n + 1, :steps]], slice(n, n + 1)
        states = [tuple(s[k : k + 1, own] for s in problem.state or ()) for k in range(problem.layers)]
        params = [
            {key.replace(f"_l{k}", "_l0"): p for key, p in problem.params.items() if key.endswith(f"_l{k}")}
            for k in range(problem.layers)
        ]

        def run(k: int, x: Any, state: Any, resets: Any) -> Any:
            given = bundle(state) if state else None
            return reference.forward(kind, params[k], x, given, resets=resets, **choice)  # noqa: B023

        for k in range(problem.layers):
            inputs.append(run(k, inputs[k], states[k], resets)[0])
        dy = problem.dy[own, :steps]
        for k in reversed(range(problem.layers)):
            dlast = bundle([d[k : k + 1, own] for d in problem.dstate])
            for t in range(steps):
                _, state, _ = run(k, inputs[k][:, : t + 1], states[k], None if resets is None else resets[:, : t + 1])
                rest = None if resets is None else resets[:, t + 1 :]
                _, _, tape = run(k, inputs[k][:, t + 1 :], unbundle(state), rest)
                dstate = reference.backward(tape, dy[:, t + 1 :], dlast)[1]
                norms[k, n, t] = np.linalg.norm(dy[0, t] + unbundle(dstate)[0][0, 0])
            dy = reference.backward(run(k, inputs[k], states[k], resets)[2], dy, dlast)[0]
    return norms


@pytest.mark.parametrize("shape", ["ragged", "resets", "many units"])
def test_gradient_norms(cell: str, isa: str, dtype: str, shape: str) -> None:
    problem = make_problem(cell, **SHAPES[shape])
    x, state, options = arguments(problem, dtype)
    layer = build_layer(problem, dtype)
    tape = layer.forward(x, state, **options)[2]
    assert tape.gradient_norms is None
    dstate = bundle([d.astype(dtype) for d in problem.dstate])
    dx, _ = layer.backward(tape, problem.dy.astype(dtype), dstate, gradient_norms=True)
    norms: Any = tape.gradient_norms
    expected = expected_norms(problem)
    assert norms.shape == expected.shape
    np.testing.assert_allclose(norms, expected, rtol=0, atol=tolerance(problem, dtype) * expected.max())
    assert (norms[:, problem.padding] == 0).all()
    again = layer.forward(x, state, **options)[2]
    np.testing.assert_array_equal(layer.backward(again, problem.dy.astype(dtype), dstate)[0], dx)
    assert again.gradient_norms is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_norms_of_variants(variant: str, dtype: str) -> None:
    test_gradient_norms(variant, "", dtype, "ragged")


def test_gradient_norms_of_both_ways(cell: str, dtype: str) -> None:
    """The reverse direction is a layer over reversed sequences; the same bits for any number of threads."""
    problem = make_problem(cell, N=4, T=11, H=6, bidirectional=True, ragged=False)
    x, dy = problem.x.astype(dtype), problem.dy.astype(dtype)
    found = []
    for count in (1, 2, 3):
        with rf.threads(count):
            layer = build_layer(problem, dtype)
            tape = layer.forward(x)[2]
            layer.backward(tape, dy, gradient_norms=True)
            found.append(tape.gradient_norms)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    kind, choice = CELLS[cell]
    single = LAYERS[kind](x.shape[2], 6, dtype=dtype, **choice)
    own = {key: p for key, p in problem.params.items() if key.endswith("_reverse")}
    single.load_state_dict({key.removesuffix("_reverse"): p for key, p in own.items()})
    tape = single.forward(np.ascontiguousarray(x[:, ::-1]))[2]
    single.backward(tape, np.ascontiguousarray(dy[:, ::-1, 6:]), gradient_norms=True)
    np.testing.assert_array_equal(found[0][1], tape.gradient_norms[0][:, ::-1])

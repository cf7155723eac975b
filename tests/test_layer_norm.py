"""Layer normalisation: equations, invariances, and other options beside it. test_variants.py has each cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops, reference
from rnnfast.models.rows import as_rows
from rnnfast.reference import base, cells, lstm, norm
from tests.support.bits import assert_alone, joined
from tests.support.comparison import (
    KINDS,
    VARIANTS,
    Problem,
    assert_matches,
    assert_same_bits,
    build_layer,
    bundle,
    make_problem,
    run_engine,
    run_reference,
    unbundle,
)
from tests.support.learned import check_learned_state
from tests.support.matrix import GROUPS
from tests.support.randomness import masked_reference, masks_of, trained
from tests.support.state import using_isa
from tests.support.streams import LARGE, check_large_steps

NORMED = [name for name in VARIANTS if "normed" in name]
every_cell = pytest.mark.parametrize("cell", NORMED)


def ln(a: np.ndarray) -> np.ndarray:
    return np.asarray((a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5))


def sigmoid(a: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-a)))


def by_hand(problem: Problem) -> np.ndarray:
    """y of one layer, from the papers' equations."""
    p, H = {name.removesuffix("_l0"): value for name, value in problem.params.items()}, problem.hidden
    h, *c = (s[0] for s in problem.state or ())
    y = []
    for x in problem.x.transpose(1, 0, 2):
        u, q = x @ p["weight_ih"].T, h @ p["weight_hh"].T
        if problem.cell == "lstm-normed":
            a = p["gamma_ih"] * ln(u) + p["bias_ih"] + p["gamma_hh"] * ln(q) + p["bias_hh"]
            i, f, g, o = np.split(a, 4, axis=1)
            c = [sigmoid(f) * c[0] + sigmoid(i) * np.tanh(g)]
            h = sigmoid(o) * np.tanh(p["gamma_c"] * ln(c[0]) + p["beta_c"])
        else:
            u = p["gamma_ih"] * np.concatenate([ln(u[:, : 2 * H]), ln(u[:, 2 * H :])], axis=1) + p["bias_ih"]
            q = p["gamma_hh"] * np.concatenate([ln(q[:, : 2 * H]), ln(q[:, 2 * H :])], axis=1) + p["bias_hh"]
            r, z = np.split(sigmoid((u + q)[:, : 2 * H]), 2, axis=1)
            n = np.tanh(u[:, 2 * H :] + r * q[:, 2 * H :])
            h = (1 - z) * n + z * h
        y.append(h)
    return np.stack(y, axis=1)


@pytest.mark.parametrize("cell", ["lstm-normed", "gru-normed"])
def test_the_equations(cell: str) -> None:
    problem = make_problem(cell, N=4, T=6, C=3, H=9, ragged=False)
    np.testing.assert_allclose(run_reference(problem)["y"], by_hand(problem), rtol=0, atol=1e-14)
    np.testing.assert_allclose(run_engine(problem, "float64")["y"], by_hand(problem), rtol=0, atol=1e-13)


def test_names_shapes_and_first_values() -> None:
    layer = rf.LSTM(3, 5, num_layers=2, bidirectional=True, layer_norm=True, forget_bias=1.0, seed=0)
    plain = rf.LSTM(3, 5, num_layers=2, bidirectional=True)
    p = layer.parameters()
    assert [name for name in p if name in plain.parameters()] == list(plain.parameters())
    own = {name: value for name, value in p.items() if name not in plain.parameters()}
    parts = {"gamma_ih": 20, "gamma_hh": 20, "gamma_c": 5, "beta_c": 5}
    suffixes = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
    assert {n: v.shape for n, v in own.items()} == {k + s: (n,) for s in suffixes for k, n in parts.items()}
    assert all((v.value == ("gamma" in n)).all() for n, v in own.items())
    np.testing.assert_array_equal(p["bias_ih_l1"].value, np.repeat([0, 1, 0, 0], 5))
    assert not p["bias_hh_l1"].value.any()
    assert p["weight_hh_l1"].value.any()
    bare = rf.LSTM(3, 5, layer_norm=True, bias=False)
    assert list(bare.parameters()) == [f"{n}_l0" for n in ("weight_ih", "weight_hh", "gamma_ih", "gamma_hh", "gamma_c")]
    gru = {name: v.shape for name, v in rf.GRU(3, 5, layer_norm=True).parameters().items() if "gamma" in name}
    assert gru == {"gamma_ih_l0": (15,), "gamma_hh_l0": (15,)}


@every_cell
def test_scale_and_shift_of_the_weights_change_nothing(cell: str) -> None:
    """The purpose of the norm: neither the scale of W and R nor a vector added to all rows of a block changes y."""
    problem = make_problem(cell, N=4, T=6, C=3, H=9, ragged=False)
    big = {name: value * 1e4 if "weight" in name else value for name, value in problem.params.items()}
    shift = np.random.default_rng(0).normal(size=3) * 1e4
    big["weight_ih_l0"] = big["weight_ih_l0"] + shift
    huge = {name: value * 1e3 if "weight" in name else value for name, value in big.items()}
    y, again = (run_engine(replace(problem, params=params), "float64")["y"] for params in (big, huge))
    np.testing.assert_allclose(again, y, rtol=0, atol=1e-8)


def test_a_cell_state_without_spread_gives_beta() -> None:
    """One unit, whose c is its own mean: h is o tanh(beta), and no gradient reaches c."""
    layer = rf.LSTM(2, 1, layer_norm=True, dtype="float64", seed=0)
    p = layer.parameters()
    p["beta_c_l0"][...] = 0.5
    trace = layer.trace(np.random.default_rng(0).normal(size=(3, 4, 2)))
    np.testing.assert_allclose(trace.h[0], trace.gates["o"][0] * np.tanh(0.5), rtol=1e-15)
    y, _, tape = layer.forward(np.ones((3, 4, 2)))
    layer.backward(tape, np.ones_like(y))
    assert not p["gamma_c_l0"].grad.any()
    assert p["beta_c_l0"].grad.any()


@every_cell
@pytest.mark.parametrize(
    "sizes",
    [
        {"N": 6, "T": 7, "H": 17, "L": 2, "bidirectional": True, "resets": True},
        {"N": 5, "T": 6, "H": 16, "bias": False, "start": False, "resets": True},
        {"N": 9, "T": 333, "H": 65, "resets": True},
        {"N": 3, "T": 0, "H": 8, "ragged": False},
    ],
    ids=str,
)
def test_directions_resets_and_windows(cell: str, dtype: str, sizes: dict[str, Any]) -> None:
    problem = make_problem(cell, **sizes)
    assert_matches(problem, run_engine(problem, dtype), dtype)


@pytest.mark.parametrize("isas", GROUPS, ids=lambda isas: isas[0])
@pytest.mark.parametrize(
    "sizes",
    [
        {"N": 9, "H": 65, "T": 333},
        {"N": 2, "H": 300, "T": 9},
        {"N": 2, "H": 65, "T": 200, "L": 3},
        {"N": 3, "H": 48, "T": 40, "L": 2, "bidirectional": True},
    ],
    ids=str,
)
@every_cell
def test_same_bits(isas: list[str], cell: str, sizes: dict[str, Any]) -> None:
    """A sequence alone, any threads and every vector width give the same bits, also over several windows of rows."""
    problem = make_problem(cell, **sizes)
    results = []
    for isa, count in product(isas, (1, 2, 3)):
        with using_isa(isa), rf.threads(count):
            results.append(run_engine(problem, "float32"))
    with using_isa(isas[0]):
        assert_alone(problem, results[0], 1, "float32")
    for result in results[1:]:
        assert_same_bits(result, results[0])


@every_cell
def test_time_in_pieces_and_steps(cell: str, isa: str, dtype: str, threads: int) -> None:
    problem = make_problem(cell, N=4, T=9, C=5, H=33, L=2, ragged=False)
    layer, x = build_layer(problem, dtype), problem.x.astype(dtype)
    first, dlast = (bundle([s.astype(dtype) for s in states or ()]) for states in (problem.state, problem.dstate))
    dy = problem.dy.astype(dtype)
    y, last, tape = layer.forward(x, first)
    dx, dfirst = layer.backward(tape, dy, dlast)
    left, middle, lower = layer.forward(x[:, :4], first)
    right, final, upper = layer.forward(x[:, 4:], middle)
    dright, dmiddle = layer.backward(upper, dy[:, 4:], dlast)
    dleft, dinitial = layer.backward(lower, dy[:, :4], dmiddle)
    stream = layer.stream(4, state=first)
    steps = np.stack([stream.step(x[:, t]) for t in range(9)], axis=1)
    pairs = [(joined([left, right]), y), (joined([dleft, dright]), dx), (steps, y), (layer(x, first)[0], y)]
    for states, wanted in [(final, last), (stream.state, last), (dinitial, dfirst)]:
        pairs += zip(unbundle(states), unbundle(wanted), strict=True)
    for actual, expected in pairs:
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("size", LARGE.values(), ids=LARGE.keys())
@pytest.mark.parametrize("cell", ["lstm-normed", "gru-before-normed"])
def test_large_steps_on_several_threads(cell: str, isa: str, size: dict[str, Any]) -> None:
    check_large_steps(cell, size)


@pytest.mark.parametrize("cell", ["lstm-normed", "gru-normed"])
def test_recurrent_dropout(cell: str, isa: str, dtype: str) -> None:
    """The mask is on h before R; the product of both is what is normalised."""
    problem = make_problem(cell, N=5, T=7, C=3, H=9, L=2, bidirectional=True)
    layer = build_layer(problem, dtype, recurrent_dropout=0.5, seed=3)
    expected = masked_reference(problem, masks_of(layer, 5).astype(np.float64))
    assert_matches(problem, trained(layer, problem, dtype), dtype, expected)


@every_cell
def test_traces_gradient_norms_and_learned_states(cell: str) -> None:
    problem = make_problem(cell, N=4, T=6, C=3, H=9, L=2, ragged=False)
    layer = build_layer(problem, "float64")
    first = bundle(problem.state)
    trace = layer.trace(problem.x, first)
    np.testing.assert_array_equal(trace.h[1], layer(problem.x, first)[0])
    if "lstm" in cell:
        seen = ln(trace.c[1]) * problem.params["gamma_c_l1"] + problem.params["beta_c_l1"]
        h = reference.make_activation(KINDS[cell][1].get("activations", ("", "", "tanh"))[2])
        np.testing.assert_allclose(trace.h[1], trace.gates["o"][1] * h(seen), rtol=0, atol=1e-14)
    _, _, tape = layer.forward(problem.x, first)
    layer.backward(tape, problem.dy, bundle(problem.dstate), gradient_norms=True)
    parts = [layer.forward(problem.x[:, a:b], s)[2] for a, b, s in pieces(layer, problem.x, first)]
    dstate: Any = bundle(problem.dstate)
    for t in reversed(range(6)):
        whole = unbundle(dstate)[0][1] + problem.dy[:, t]
        np.testing.assert_allclose(tape.gradient_norms[1, :, t], np.linalg.norm(whole, axis=1), rtol=1e-12)
        dstate = layer.backward(parts[t], problem.dy[:, t : t + 1], dstate)[1]


@every_cell
def test_a_learned_initial_state(cell: str, isa: str, rng: np.random.Generator) -> None:
    check_learned_state(cell, "float32", 2, rng)


def pieces(layer: Any, x: np.ndarray, state: Any) -> Any:
    """Every step's bounds, and the state it starts from."""
    for t in range(x.shape[1]):
        yield t, t + 1, state
        state = layer(x[:, t : t + 1], state)[1]


Back = Callable[..., tuple[np.ndarray, np.ndarray]]


def without_mean(a: np.ndarray, gamma: np.ndarray, sizes: Any, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    da, dgamma = norm.layer_norm_backward(a, gamma, sizes, dy)
    bounds = np.cumsum(sizes)[:-1]
    parts = zip(np.split(a, bounds, axis=1), np.split(gamma * dy, bounds, axis=1), strict=True)
    lost = [d.mean(1, keepdims=True) / norm.standardized(piece)[1] + 0 * d for piece, d in parts]
    return da + np.concatenate(lost, axis=1), dgamma


def without_direction(a: np.ndarray, gamma: np.ndarray, sizes: Any, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    da, dgamma = norm.layer_norm_backward(a, gamma, sizes, dy)
    pairs = [norm.standardized(p) for p in np.split(a, np.cumsum(sizes)[:-1], axis=1)]
    parts = zip(pairs, np.split(gamma * dy, np.cumsum(sizes)[:-1], axis=1), strict=True)
    lost = [hat * (d * hat).mean(1, keepdims=True) / root for (hat, root), d in parts]
    return da + np.concatenate(lost, axis=1), dgamma


def gain_forgotten(a: np.ndarray, gamma: np.ndarray, sizes: Any, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return norm.layer_norm_backward(a, np.ones_like(gamma), sizes, dy)


def one_block(a: np.ndarray, gamma: np.ndarray, sizes: Any, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return norm.layer_norm_backward(a, gamma, (sum(sizes),), dy)


BACKWARD_FAULTS: dict[str, Back] = {
    "mean forgotten": without_mean,
    "x^ forgotten": without_direction,
    "gain forgotten": gain_forgotten,
    "blocks taken together": one_block,
}


@pytest.mark.parametrize(
    ("cell", "fault"),
    [(cell, fault) for cell in NORMED for fault in BACKWARD_FAULTS if "together" not in fault or "gru" in cell],
)
def test_a_wrong_derivative_is_caught(cell: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(cell, N=4, T=6, C=3, H=9)
    result = run_engine(problem, "float32")
    assert_matches(problem, result, "float32")
    for module in (base, cells, lstm):
        monkeypatch.setattr(module, "layer_norm_backward", BACKWARD_FAULTS[fault])
    with pytest.raises(AssertionError):
        assert_matches(problem, result, "float32", run_reference(problem))


PACK_FAULTS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "gains exchanged": lambda a: [*a[:7], a[8], a[7], *a[9:]],
    "gains in another order": lambda a: [*a[:7], np.ascontiguousarray(a[7][::-1]), *a[8:]],
    "gain of c forgotten": lambda a: [*a[:9], a[9] if a[9] is None else np.ones_like(a[9]), a[10]],
    "beta of c forgotten": lambda a: [*a[:10], None],
    "not normalised": lambda a: [*a[:7], None, None, None, None],
}


@pytest.mark.parametrize("fault", PACK_FAULTS)
def test_a_fault_planted_in_the_engine_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = _ops.pack
    monkeypatch.setattr(_ops, "pack", lambda *arrays: pack(*PACK_FAULTS[fault](list(arrays))))
    for cell in [c for c in NORMED if "lstm" in c or "of c" not in fault]:
        problem = make_problem(cell, N=4, T=6, C=3, H=9)
        with pytest.raises(AssertionError):
            assert_matches(problem, run_engine(problem, "float64"), "float64")


@pytest.mark.parametrize(
    "options", [{}, {"coupled": True}, {"cell": "gru"}, {"cell": "gru", "reset_after": False}], ids=str
)
@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        (lambda **o: rf.ManyToOne(3, 2, bidirectional=True, num_layers=2, **o), (6, 5, 3)),
        (lambda **o: rf.OneToMany(4, context_size=3, num_layers=2, **o), (6, 5)),
        (lambda **o: rf.EncoderDecoder(4, 4, source_embedding=3, attention="dot", **o), (6, 5)),
    ],
    ids=["many-to-one", "one-to-many", "encoder-decoder"],
)
def test_models(build: Any, inputs: tuple[int, ...], options: dict[str, Any], tmp_path: Path) -> None:
    """Gradients along a random direction against a difference quotient; saved and loaded, a model answers the same."""
    rng = np.random.default_rng(0)
    chosen = {"layer_norm": True} | {k: v for k, v in options.items() if k != "cell"}
    model = build(cell=options.get("cell", "lstm"), hidden_size=6, cell_options=chosen, dtype="float64", seed=0)
    x = rng.normal(size=inputs) if len(inputs) == 3 else rng.integers(0, 4, inputs)
    more = {"context": rng.normal(size=(6, 3))} if isinstance(model, rf.OneToMany) else {}
    targets = [] if more else [rng.integers(0, 2, 6 if isinstance(model, rf.ManyToOne) else (6, 5))]
    model.zero_grad()
    model.loss_and_grad(x, *targets, **more)
    directions = {name: rng.normal(size=p.shape) for name, p in model.parameters().items()}
    slope = sum(float(np.vdot(p.grad, directions[name])) for name, p in model.parameters().items())
    start, step, values = {name: p.value.copy() for name, p in model.parameters().items()}, 1e-6, []
    for sign in (1, -1):
        for name, p in model.parameters().items():
            p[...] = start[name] + sign * step * directions[name]
        values.append(model.loss(x, *targets, **more))
    np.testing.assert_allclose((values[0] - values[1]) / (2 * step), slope, rtol=1e-5)
    model.save(tmp_path / "model.safetensors")
    same = rf.load(tmp_path / "model.safetensors")
    assert any("gamma_hh_l0" in name for name in same.state_dict())
    assert same.loss(x, *targets, **more) == values[-1]


@pytest.mark.parametrize("options", [{"cell": "lstm"}, {"cell": "gru"}], ids=str)
@pytest.mark.parametrize("size", [6, 4000])
def test_written_sequences_are_those_of_calls(size: int, options: dict[str, Any]) -> None:
    """Greedy writing, step by step in the engine, chooses what whole calls over the text would."""
    model = rf.OneToMany(size, hidden_size=17, num_layers=2, cell_options={"layer_norm": True}, seed=0, **options)
    text = list(model.generate(np.array([1, 2]), 12, greedy=True))
    tensors = model.state_dict()
    for n in range(12):
        y, _ = model.backbone.infer(as_rows(np.array([[1, 2, *text[:n]]])), None)
        assert text[n] == (y[-1] @ tensors["head.weight"].T + tensors["head.bias"]).argmax()
    stream = model.stream()
    streamed = [stream.step(np.array(i)) for i in [1, 2, *text]]
    assert [int(np.argmax(s)) for s in streamed[1:-1]] == text


def test_it_learns() -> None:
    """A deep stack with it trains where one reads the sum of a sequence."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 20, 1)).astype(np.float32)
    model = rf.ManyToOne(
        1, 1, task="regression", hidden_size=16, num_layers=2, cell_options={"layer_norm": True}, seed=0
    )
    y = x.sum(axis=1) / np.sqrt(20)
    before = model.loss(x, y)
    model.fit(x, y, epochs=40, batch_size=16, lr=1e-2, progress=False, seed=0)
    assert model.loss(x, y) < 0.2 * before


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (rf.LSTM, {"proj_size": 2}, "layer_norm: a layer without proj_size is required, got proj_size=2"),
        (rf.LSTM, {"peephole": True}, "layer_norm: a layer without peephole is required, got peephole=True"),
        (rf.LSTM, {"zoneout": (0.0, 0.1)}, r"layer_norm: .* without zoneout is required, got zoneout=\(0.0, 0.1\)"),
        (rf.GRU, {"zoneout": 0.1}, "layer_norm: a layer without zoneout is required, got zoneout=0.1"),
    ],
)
def test_what_excludes_it_is_named(make: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(3, 4, layer_norm=True, **options)


@pytest.mark.parametrize(
    ("norms", "words"),
    [
        ((np.ones(8), None, np.ones(2), None), "norm: gammas of W x and R h and, of a cell with a cell state, of c"),
        ((np.ones(8), np.ones(8), None, None), "norm: gammas of W x and R h and, of a cell with a cell state, of c"),
        ((np.ones(8), np.ones(6), np.ones(2), None), r"gamma_hh: shape \(G\*H,\)"),
    ],
    ids=["one product", "without c", "another shape"],
)
def test_the_engine_refuses_parts_of_a_norm(norms: tuple[Any, ...], words: str) -> None:
    cell = _ops.Cell(name="generic_lstm")
    with pytest.raises(ValueError, match=words):
        _ops.pack(cell, np.ones((8, 3)), np.ones((8, 2)), None, None, None, None, *norms)

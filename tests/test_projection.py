"""LSTMs whose h is a projection: against PyTorch, in models, beside other options. test_variants.py has each cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops, reference
from rnnfast.models.rows import as_rows
from tests.support.comparison import KINDS, assert_matches, build_layer, bundle, collect, make_problem, run_engine
from tests.support.randomness import masks_of, trained


@pytest.mark.parametrize(
    ("N", "T", "C", "H", "P", "options"),
    [
        (3, 5, 4, 8, 3, {"num_layers": 2}),
        (1, 7, 5, 33, 17, {"bidirectional": True}),
        (40, 6, 3, 20, 19, {"num_layers": 3, "bidirectional": True}),
        (2, 4, 3, 200, 130, {"bias": False}),
    ],
)
def test_same_as_pytorch(N: int, T: int, C: int, H: int, P: int, options: dict[str, Any]) -> None:
    """Names, shapes, y, states and all gradients; by one thread and by two to the same bits."""
    torch = pytest.importorskip("torch")
    other = torch.nn.LSTM(C, H, proj_size=P, batch_first=True, dtype=torch.float64, **options)
    layer = rf.LSTM(C, H, proj_size=P, dtype="float64", **options)
    values = {name: p.detach().numpy() for name, p in other.named_parameters()}
    assert list(layer.parameters()) == list(values)
    layer.load_state_dict(values)
    rng = np.random.default_rng(0)
    scans = layer.num_layers * layer.directions
    given = [rng.normal(size=s) for s in ((N, T, C), (scans, N, P), (scans, N, H))]
    tensors = [torch.tensor(a, requires_grad=True) for a in given]
    ty, (th, tc) = other(tensors[0], tuple(tensors[1:]))
    dy, dh, dc = (rng.normal(size=t.shape) for t in (ty, th, tc))
    torch.autograd.backward([ty, th, tc], [torch.tensor(d) for d in (dy, dh, dc)])
    expected = [t.detach().numpy() for t in (ty, th, tc)] + [t.grad.numpy() for t in tensors]
    expected += [p.grad.numpy() for p in other.parameters()]
    found: list[list[np.ndarray]] = []
    for threads in (1, 2):
        with rf.threads(threads):
            layer.zero_grad()
            y, state, tape = layer.forward(given[0], (given[1], given[2]))
            dx, dstate = layer.backward(tape, dy, (dh, dc))
        found.append([y, *state, dx, *dstate, *(p.grad.copy() for p in layer.parameters().values())])
    for actual, again, wanted in zip(*found, expected, strict=True):
        np.testing.assert_array_equal(actual, again)
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-13 * max(1, np.abs(wanted).max()) * T * H)


@pytest.mark.parametrize("cell", ["lstm-projected", "lstm-coupled-peephole-projected"])
def test_directions_and_resets(cell: str, isa: str, dtype: str) -> None:
    problem = make_problem(cell, N=5, T=7, C=3, H=9, L=2, bidirectional=True, resets=True)
    assert_matches(problem, run_engine(problem, dtype), dtype)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_dropout_of_what_is_projected(bidirectional: bool, dtype: str) -> None:
    problem = make_problem("lstm-projected", N=5, T=7, C=3, H=9, L=2, bidirectional=bidirectional)
    layer = build_layer(problem, dtype, recurrent_dropout=0.5, seed=3)
    small = build_layer(make_problem("lstm", C=3, H=4, L=2, bidirectional=bidirectional), dtype)
    small._dropout_seed = layer._dropout_seed
    masks = masks_of(small, 5).astype(np.float64)
    assert set(np.unique(masks)) == {0, 2}
    kind, choice = KINDS[problem.cell]
    y, last, tape = reference.forward(
        kind,
        problem.params,
        problem.x,
        bundle(problem.state),
        lengths=problem.lengths,
        recurrent_masks=list(masks),
        **choice,
    )
    dx, dfirst, grads = reference.backward(tape, problem.dy, bundle(problem.dstate))
    assert_matches(problem, trained(layer, problem, dtype), dtype, collect(y, last, dx, dfirst, grads))


def test_a_learned_state_has_the_shape_of_the_state() -> None:
    layer = rf.LSTM(3, 5, proj_size=2, num_layers=2, learn_initial_state=True, seed=0)
    assert [layer.parameters()[name].shape for name in ("h0", "c0")] == [(2, 1, 2), (2, 1, 5)]
    x = np.ones((4, 3, 3), np.float32)
    y, (h, c), tape = layer.forward(x)
    layer.backward(tape, np.ones_like(y))
    assert y.shape == (4, 3, 2)
    assert (h.shape, c.shape) == ((2, 4, 2), (2, 4, 5))
    assert all(layer.parameters()[name].grad.any() for name in ("h0", "c0"))


def test_traces_and_gradient_norms() -> None:
    """The h of every layer is what the next one reads; norms are those of the gradient of that h."""
    problem = make_problem("lstm-projected", N=4, T=6, C=3, H=9, L=2)
    layer = build_layer(problem, "float64")
    trace = layer.trace(problem.x, bundle(problem.state), lengths=problem.lengths)
    assert [a.shape for a in (*trace.h, *trace.c)] == [(4, 6, 4)] * 2 + [(4, 6, 9)] * 2
    np.testing.assert_array_equal(
        trace.state[0][1], layer(problem.x, bundle(problem.state), lengths=problem.lengths)[1][0][1]
    )
    out = trace.gates["o"][0] * np.tanh(trace.c[0])
    np.testing.assert_allclose(trace.h[0], out @ problem.params["weight_hr_l0"].T, rtol=0, atol=1e-15)
    _, _, tape = layer.forward(problem.x, bundle(problem.state), lengths=problem.lengths)
    layer.backward(tape, problem.dy, bundle(problem.dstate), gradient_norms=True)
    last = np.flatnonzero(problem.lengths == 6)[0]
    ends = problem.dy[last, 5] + problem.dstate[0][1, last]
    np.testing.assert_allclose(tape.gradient_norms[1, last, 5], np.linalg.norm(ends), rtol=1e-14)


@pytest.mark.parametrize("fault", ["rows exchanged", "columns exchanged"])
def test_a_wrong_projection_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem("lstm-projected", N=4, T=6, C=3, H=5)
    pack: Callable[..., _ops.Weights] = _ops.pack

    def wrong(*arrays: Any) -> _ops.Weights:
        flipped = arrays[6][::-1] if fault.startswith("rows") else arrays[6][:, ::-1]
        return pack(*arrays[:6], np.ascontiguousarray(flipped))

    monkeypatch.setattr(_ops, "pack", wrong)
    with pytest.raises(AssertionError):
        assert_matches(problem, run_engine(problem, "float64"), "float64")


@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        (lambda **o: rf.ManyToOne(3, 2, bidirectional=True, num_layers=2, **o), (6, 5, 3)),
        (lambda **o: rf.ManyToMany(3, 2, bidirectional=True, **o), (6, 5, 3)),
        (lambda **o: rf.OneToMany(4, context_size=3, num_layers=2, **o), (6, 5)),
        (lambda **o: rf.EncoderDecoder(4, 4, source_embedding=3, **o), (6, 5)),
        (lambda **o: rf.EncoderDecoder(4, 4, source_embedding=3, attention="dot", **o), (6, 5)),
    ],
    ids=["many-to-one", "many-to-many", "one-to-many", "encoder-decoder", "attention"],
)
def test_models(build: Any, inputs: tuple[int, ...], tmp_path: Path) -> None:
    """Gradients along a random direction against a difference quotient; saved and loaded, a model answers the same."""
    rng = np.random.default_rng(0)
    model = build(hidden_size=5, cell_options={"proj_size": 2}, dtype="float64", seed=0)
    x = rng.normal(size=inputs) if len(inputs) == 3 else rng.integers(0, 4, inputs)
    data: dict[str, Any] = {"x": x}
    if isinstance(model, rf.OneToMany):
        data = {"sequences": x, "context": rng.normal(size=(6, 3))}
    else:
        data["y"] = rng.integers(0, 2, 6) if isinstance(model, rf.ManyToOne) else rng.integers(0, 2, (6, 5))
    model.zero_grad()
    model.loss_and_grad(*data.values()) if "context" not in data else model.loss_and_grad(x, context=data["context"])

    def value() -> float:
        return float(model.loss(*data.values()) if "context" not in data else model.loss(x, context=data["context"]))

    directions = {name: rng.normal(size=p.shape) for name, p in model.parameters().items()}
    slope = sum(float(np.vdot(p.grad, directions[name])) for name, p in model.parameters().items())
    step, values = 1e-5, []
    start = {name: p.value.copy() for name, p in model.parameters().items()}
    for sign in (1, -1):
        for name, p in model.parameters().items():
            p[...] = start[name] + sign * step * directions[name]
        values.append(value())
    np.testing.assert_allclose((values[0] - values[1]) / (2 * step), slope, rtol=1e-6)
    model.save(tmp_path / "model.safetensors")
    same = rf.load(tmp_path / "model.safetensors")
    assert list(same.state_dict()) == list(model.state_dict())
    assert same.loss(*data.values()) == value() if "context" not in data else True


def test_written_sequences_are_those_of_calls() -> None:
    """Greedy writing, step by step in the engine, chooses what whole calls over the text would."""
    model = rf.OneToMany(6, hidden_size=9, num_layers=2, cell_options={"proj_size": 4}, seed=0)
    for p in model.parameters().values():
        p[...] = p.value * 3
    text = list(model.generate(np.array([1, 2]), 12, greedy=True))
    for n in range(2, 12):
        y, _ = model.backbone.infer(as_rows(np.array([[1, 2, *text[:n]]])), None)
        outputs = y[-1] @ model.state_dict()["head.weight"].T + model.state_dict()["head.bias"]
        assert text[n] == outputs.argmax()


@pytest.mark.parametrize(
    ("size", "error", "words"),
    [
        (5, ValueError, "proj_size: a size below hidden_size = 5, or 0, is required, got 5"),
        (-1, ValueError, "proj_size: at least 0"),
        (2.0, TypeError, "proj_size: an integer is required"),
    ],
)
def test_wrong_sizes_are_named(size: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        rf.LSTM(3, 5, proj_size=size)


def test_wrong_states_are_named() -> None:
    layer = rf.LSTM(3, 5, proj_size=2)
    x, h, c = np.zeros((1, 4, 3), np.float32), np.zeros((1, 1, 5), np.float32), np.zeros((1, 1, 5), np.float32)
    with pytest.raises(ValueError, match=r"state\[0\]: shape .* = \(1, 1, 2\) is required"):
        layer(x, (h, c))
    with pytest.raises(ValueError, match="proj_size=0 is required beside bidirectional=True"):
        rf.EncoderDecoder(3, 3, source_embedding=2, bidirectional=True, cell_options={"proj_size": 2}, hidden_size=4)


def test_a_projection_by_unit_vectors_is_a_choice_of_units() -> None:
    """W_hr picks some units: the plain LSTM in which R reads the others with weight zero."""
    problem = make_problem("lstm-projected", N=3, T=6, H=8, ragged=False)
    params = dict(problem.params)
    params["weight_hr_l0"] = np.eye(4, 8)
    wide = {n: v for n, v in params.items() if n != "weight_hr_l0"}
    wide["weight_hh_l0"] = np.concatenate([params["weight_hh_l0"], np.zeros((32, 4))], axis=1)
    y = build_layer(replace(problem, params=params), "float64")(problem.x)[0]
    whole = build_layer(replace(problem, cell="lstm", params=wide), "float64")(problem.x)[0]
    np.testing.assert_allclose(y, whole[..., :4], rtol=0, atol=1e-14)

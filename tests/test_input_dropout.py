"""Input dropout: one mask a sequence for what each layer reads, in training only, the same in both passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from tests.support.comparison import (
    KINDS,
    Problem,
    Result,
    assert_matches,
    assert_same_bits,
    build_layer,
    bundle,
    collect,
    make_problem,
)
from tests.support.matrix import BEST_GROUP, LAYERS, SETTINGS
from tests.support.state import using_isa

P = 0.4
CELLS = ["rnn-tanh", "rnn-leaky", "lstm", "lstm-peephole", "lstm-projected", "lstm-normed", "gru", "gru-before"]


def mask_of(layer: Any, N: int, index: int, width: int) -> np.ndarray:
    """The factors of the input of layer ``index`` in the next training call, (N, width).

    The last layer of the probe shows what it reads, which is one everywhere.
    """
    probe = rf.RNN(width, width, activation="identity", num_layers=index + 1, input_dropout=P, dtype=layer.dtype)
    for name, p in probe.parameters().items():
        p[...] = 0
        if name == f"bias_ih_l{index - 1}":
            p[...] = 1
        if name == f"weight_ih_l{index}":
            p[...] = np.eye(width)
    probe._dropout_seed, probe._calls = layer._dropout_seed, layer._calls
    return probe.forward(np.ones((N, 1, width), layer.dtype))[0][:, 0].astype(np.float64)


def masks_of(layer: Any, N: int) -> list[np.ndarray]:
    widths = [layer.input_size] + [layer.output_size] * (layer.num_layers - 1)
    return [mask_of(layer, N, index, width) for index, width in enumerate(widths)]


def trained(layer: Any, problem: Problem, **options: Any) -> Result:
    dtype = layer.dtype
    state = bundle([s.astype(dtype) for s in problem.state or ()])
    y, last, tape = layer.forward(problem.x.astype(dtype), state, lengths=problem.lengths, **options)
    dx, dfirst = layer.backward(tape, problem.dy.astype(dtype), bundle([d.astype(dtype) for d in problem.dstate]))
    return collect(y, last, dx, dfirst, {name: p.grad for name, p in layer.parameters().items()})


def expected(problem: Problem, masks: list[np.ndarray]) -> Result:
    kind, choice = KINDS[problem.cell]
    options = {"lengths": problem.lengths, "input_masks": masks, **choice}
    y, last, tape = reference.forward(kind, problem.params, problem.x, bundle(problem.state), **options)
    dx, dfirst, grads = reference.backward(tape, problem.dy, bundle(problem.dstate))
    return collect(y, last, dx, dfirst, grads)


SIZES = [
    {"N": 5, "H": 9},
    {"N": 4, "H": 17, "L": 2, "ragged": False},
    {"N": 3, "H": 8, "L": 2, "bidirectional": True},
    {"N": 1, "H": 33, "L": 3},
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_results_and_gradients(cell: str, isa: str, dtype: str, sizes: dict[str, Any]) -> None:
    problem = make_problem(cell, T=7, C=6, **sizes)
    layer = build_layer(problem, dtype, input_dropout=P, seed=3)
    masks = masks_of(layer, len(problem.x))
    assert all(set(np.unique(np.round(m, 6))) <= {0, np.round(1 / (1 - P), 6)} for m in masks)
    assert any((m == 0).any() for m in masks)
    assert_matches(problem, trained(layer, problem), dtype, expected(problem, masks))


@pytest.mark.parametrize(
    "fault",
    [
        lambda masks: [np.ones_like(m) for m in masks],
        lambda masks: [m * (1 - P) for m in masks],
        lambda masks: [np.roll(m, 1, axis=0) for m in masks],
        lambda masks: [np.roll(m, 1, axis=1) for m in masks],
        lambda masks: [masks[0], np.ones_like(masks[1])],
    ],
    ids=["forgotten", "not scaled", "of another sequence", "of other features", "of the first layer only"],
)
def test_a_wrong_mask_is_caught(fault: Callable[[list[np.ndarray]], list[np.ndarray]]) -> None:
    problem = make_problem("lstm", T=7, C=6, N=5, H=9, L=2)
    layer = build_layer(problem, "float32", input_dropout=P, seed=3)
    masks = masks_of(layer, 5)
    with pytest.raises(AssertionError):
        assert_matches(problem, trained(layer, problem), "float32", expected(problem, fault(masks)))


@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru", "gru-before"])
def test_the_gradient_is_that_of_a_complex_step(cell: str) -> None:
    """dL/dx and dL/dW_ih of L = sum(dy y), element by element."""
    problem = make_problem(cell, T=4, C=3, N=2, H=5, L=2, ragged=False)
    layer = build_layer(problem, "float64", input_dropout=P, seed=3)
    masks = masks_of(layer, 2)
    dx = np.zeros_like(problem.x)
    kind, choice = KINDS[cell]
    for place in np.ndindex(*problem.x.shape):
        x = problem.x.astype(complex)
        x[place] += 1e-30j
        y, _, _ = reference.forward(kind, problem.params, x, bundle(problem.state), input_masks=masks, **choice)
        dx[place] = (problem.dy * y).sum().imag / 1e-30
    y, _, tape = layer.forward(problem.x, bundle(problem.state))
    np.testing.assert_allclose(layer.backward(tape, problem.dy)[0], dx, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("sizes", [{"N": 5, "H": 9, "L": 2}, {"N": 40, "H": 33}, {"N": 1, "H": 300}], ids=str)
@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru"])
def test_threads_vector_width_and_recomputation_change_no_bit(cell: str, sizes: dict[str, Any]) -> None:
    problem = make_problem(cell, T=9, C=6, **sizes)

    def run(threads: int, isa: str, save: str) -> Result:
        with rf.threads(threads), using_isa(isa):
            return trained(build_layer(problem, "float32", input_dropout=P, seed=3), problem, save=save)

    first = run(1, BEST_GROUP[0], "all")
    for isa, threads in SETTINGS:
        for save in ("all", "recompute"):
            assert_same_bits(run(threads, isa, save), first)


def test_beside_dropout_and_recurrent_dropout(dtype: str) -> None:
    """An identity network without memory shows both masks of its second layer at once."""
    layer = rf.RNN(
        50,
        50,
        activation="identity",
        bias=False,
        num_layers=2,
        dropout=0.3,
        input_dropout=P,
        recurrent_dropout=0.2,
        dtype=dtype,
        seed=0,
    )
    for name, p in layer.parameters().items():
        p[...] = np.eye(50) * float("ih" in name)
    x = np.ones((20, 30, 50), dtype)
    y, _, tape = layer.forward(x)
    dx, _ = layer.backward(tape, np.ones_like(y))
    np.testing.assert_array_equal(dx, y)
    kept = (y != 0).any(axis=1)
    assert abs(kept.mean() - (1 - P) ** 2) < 5 * 0.5 / np.sqrt(kept.size), "two masks that all steps share"
    assert abs((y != 0).transpose(0, 2, 1)[kept].mean() - 0.7) < 0.02, "one anew at every step"


def test_masks_differ_by_call_sequence_and_layer() -> None:
    layer = rf.LSTM(200, 200, num_layers=2, input_dropout=P, seed=0)
    first = masks_of(layer, 50)
    layer._calls += 1
    second = masks_of(layer, 50)
    same = P**2 + (1 - P) ** 2
    for mask, other in ((first[0], first[1]), (first[0], second[0]), (first[0], np.roll(first[0], 1, axis=0))):
        assert abs(((mask == 0) == (other == 0)).mean() - same) < 5 * 0.5 / np.sqrt(mask.size)


def test_inference_and_streams_have_none(cell: str, dtype: str) -> None:
    problem = make_problem(cell, T=5, C=6, N=2, H=9, ragged=False)
    x = problem.x.astype(dtype)
    plain, layer = build_layer(problem, dtype), build_layer(problem, dtype, input_dropout=P)
    np.testing.assert_array_equal(layer(x)[0], plain(x)[0])
    np.testing.assert_array_equal(layer.forward(x, training=False)[0], plain(x)[0])
    stream = layer.stream(batch_size=2)
    steps = [stream.step(np.ascontiguousarray(x[:, t])) for t in range(5)]
    np.testing.assert_array_equal(np.stack(steps, axis=1), plain(x)[0])


@pytest.mark.parametrize("cell", LAYERS)
@pytest.mark.parametrize("kind", [rf.ManyToOne, rf.ManyToMany, rf.OneToMany, rf.EncoderDecoder])
def test_models_take_it_as_a_cell_option(kind: Any, cell: str) -> None:
    """The loss of training has masks, that of evaluation has none; a copy of the file has the option."""
    sizes = (5,) if kind is rf.OneToMany else (5, 3)
    option = {"cell_options": {"input_dropout": P}}
    task = {} if kind is rf.OneToMany else {"task": "regression"}
    model, plain = (kind(*sizes, cell=cell, hidden_size=6, seed=0, **task, **o) for o in (option, {}))
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (4, 6)) if kind is rf.OneToMany else rng.normal(size=(4, 6, 5))
    y = rng.normal(size=(4, 3) if kind is rf.ManyToOne else (4, 6, 3))
    data = (x,) if kind is rf.OneToMany else (x, y)
    assert model.loss(*data) == plain.loss(*data)
    assert model.loss_and_grad(*data) != plain.loss_and_grad(*data)
    assert model.loss_and_grad(*data) != model.loss_and_grad(*data)


def test_errors() -> None:
    for p in (-0.1, 1.0, np.nan):
        with pytest.raises(ValueError, match=r"^input_dropout: a probability within \[0, 1\) is required, got "):
            rf.GRU(3, 4, input_dropout=p)

"""The reference against the definition of a derivative, against PyTorch, and against itself."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnfast import reference
from tests.support.comparison import IN_TORCH, KINDS, bundle, make_problem, run_reference, unbundle
from tests.support.derivatives import REFERENCE_SHAPES, STEP, check_reference, derivative


@pytest.mark.parametrize("shape", REFERENCE_SHAPES)
@pytest.mark.parametrize("extras", [False, True], ids=["", "resets and masks"])
def test_gradient_along_random_directions(cell: str, shape: str, extras: bool, rng: np.random.Generator) -> None:
    check_reference(make_problem(cell, N=4, H=5, **REFERENCE_SHAPES[shape]), extras, rng)


def test_each_element_of_a_gradient(cell: str) -> None:
    """One element at a time, for one parameter: no error can hide in a direction."""
    problem = make_problem(cell, N=3, T=4, H=3)
    gradient = problem.expected["weight_hh_l0"]
    for index in np.ndindex(*gradient.shape):
        unit = np.zeros_like(gradient)
        unit[index] = 1
        numeric = derivative(problem, "weight_hh_l0", unit)
        np.testing.assert_allclose(gradient[index], numeric, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "mean_squared_error", "binary_cross_entropy"])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_a_loss(name: str, weighted: bool, rng: np.random.Generator) -> None:
    f = getattr(reference, name)
    a = rng.normal(size=(6, 4)) * 3
    target = rng.integers(0, 4, 6) if name.startswith("softmax") else rng.integers(0, 2, (6, 4))
    weight = rng.random(6) if weighted else None
    _, gradient = f(a, target, weight)
    for index in np.ndindex(*a.shape):
        unit = np.zeros_like(a)
        unit[index] = STEP
        value, _ = f(a + 1j * unit, target, weight)
        np.testing.assert_allclose(gradient[index], value.imag / STEP, rtol=1e-12, atol=1e-15)


def test_losses_without_weight_are_zero() -> None:
    zero, one = np.zeros(2), np.ones((2, 3))
    for name, target in [("softmax_cross_entropy", zero.astype(int)), ("mean_squared_error", one)]:
        value, gradient = getattr(reference, name)(one, target, zero)
        assert value == 0
        assert not gradient.any()


def test_losses_of_large_logits_are_finite() -> None:
    huge = np.array([[1e4, -1e4]])
    assert reference.softmax_cross_entropy(huge, np.array([1]))[0] == 2e4
    assert reference.binary_cross_entropy(huge, np.array([[0.0, 1.0]]))[0] == 1e4


def test_dense_layer_and_embedding_gradients(rng: np.random.Generator) -> None:
    x, W, b, dy = (rng.normal(size=s) for s in [(5, 3), (2, 3), (2,), (5, 2)])
    dx, dW, db = reference.linear_backward(dy, x, W)
    for value, gradient, at in [(x, dx, 0), (W, dW, 1), (b, db, 2)]:
        v = rng.normal(size=value.shape)
        arguments: list[Any] = [x, W, b]
        arguments[at] = value + 1j * STEP * v
        numeric = (reference.linear(*arguments) * dy).sum().imag / STEP
        np.testing.assert_allclose(np.vdot(gradient, v), numeric, rtol=1e-13)
    ids = np.array([2, 0, 2])
    table = reference.embedding_backward(ids, dy[:3], 4)
    np.testing.assert_array_equal(table, np.eye(4)[ids].T @ dy[:3])


def test_padding_reaches_nothing(cell: str) -> None:
    """NaN past the lengths, and another length of the padding, change no bit."""
    ragged = make_problem(cell, N=4, T=6, L=2, bidirectional=True)
    assert np.isnan(ragged.x).any()
    longest = int(ragged.lengths.max()) if ragged.lengths is not None else 6
    x, dy = (np.pad(a[:, :longest], ((0, 0), (0, 3), (0, 0)), constant_values=7.0) for a in (ragged.x, ragged.dy))
    result = run_reference(replace(ragged, x=x, dy=dy))
    for name, value in ragged.expected.items():
        trimmed = result[name][:, : value.shape[1]] if name in ("y", "dx") else result[name]
        np.testing.assert_array_equal(trimmed, value, err_msg=name)


def test_each_sequence_alone_equals_the_batch(cell: str) -> None:
    batch = make_problem(cell, N=4, T=6, L=2, bidirectional=True)
    kind, choice = KINDS[cell]
    for n, length in enumerate(batch.lengths if batch.lengths is not None else ()):
        state = bundle(tuple(s[:, n : n + 1] for s in batch.state or ()))
        y, last, _ = reference.forward(kind, batch.params, batch.x[n : n + 1, :length], state, **choice)
        np.testing.assert_allclose(y[0], batch.expected["y"][n, :length], rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(unbundle(last)[0][:, 0], batch.expected["h"][:, n], rtol=1e-13, atol=1e-15)


def test_a_reset_separates_two_sequences(cell: str) -> None:
    """A reset at t equals two calls, the second of which starts from zero, in both directions."""
    problem = make_problem(cell, N=2, T=7, bidirectional=True, ragged=False, start=False)
    kind, choice = KINDS[cell]
    resets = np.zeros((2, 7), bool)
    resets[:, 4] = True
    y, last, _ = reference.forward(kind, problem.params, problem.x, resets=resets, **choice)
    first, _, _ = reference.forward(kind, problem.params, problem.x[:, :4], **choice)
    second, end, _ = reference.forward(kind, problem.params, problem.x[:, 4:], **choice)
    np.testing.assert_array_equal(y, np.concatenate([first, second], axis=1))
    np.testing.assert_array_equal(unbundle(last)[0][0], unbundle(end)[0][0])


def test_a_reset_at_the_first_step_replaces_the_given_state(cell: str) -> None:
    problem = make_problem(cell, ragged=False)
    kind, choice = KINDS[cell]
    resets = np.zeros(problem.x.shape[:2], bool)
    resets[:, 0] = True
    state = bundle(problem.state)
    y, _, tape = reference.forward(kind, problem.params, problem.x, state, resets=resets, **choice)
    fresh, _, _ = reference.forward(kind, problem.params, problem.x, **choice)
    np.testing.assert_array_equal(y, fresh)
    assert not np.any(unbundle(reference.backward(tape, problem.dy)[1]))


def test_a_mask_multiplies_the_input_of_the_next_layer(rng: np.random.Generator) -> None:
    problem = make_problem("lstm", L=2, ragged=False, start=False)
    mask = rng.integers(0, 2, problem.dy.shape) * 2.0
    lower = {name: p for name, p in problem.params.items() if name.endswith("l0")}
    upper = {name.replace("l1", "l0"): p for name, p in problem.params.items() if name.endswith("l1")}
    middle, _, _ = reference.forward("lstm", lower, problem.x)
    expected, _, _ = reference.forward("lstm", upper, middle * mask)
    y, _, _ = reference.forward("lstm", problem.params, problem.x, masks=[mask])
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("rows", "steps"), [(0, 3), (2, 0), (0, 0)])
def test_nothing_to_do(cell: str, rows: int, steps: int) -> None:
    problem = make_problem(cell, N=rows, T=steps, ragged=False)
    for name, value in problem.expected.items():
        assert np.isfinite(value).all(), name
    np.testing.assert_array_equal(problem.expected["h"], (problem.state or (None,))[0])


def test_wrong_arguments_are_named() -> None:
    problem = make_problem("gru", ragged=False)
    with pytest.raises(ValueError, match=r"cell: 'rnn', 'lstm' or 'gru' is required, got 'tree'"):
        reference.forward("tree", problem.params, problem.x)
    with pytest.raises(ValueError, match=r"activation: .* got 'cube'"):
        reference.forward("rnn", problem.params, problem.x, activation="cube")
    with pytest.raises(ValueError, match=r"lengths: 3 integers in 0..T \(T = 5\) are required, got \[1, 2, 6\]"):
        reference.forward("gru", problem.params, problem.x, lengths=[1, 2, 6])
    with pytest.raises(ValueError, match=r"state: 1 of shape \(1, 3, 8\) .* got \[\(1, 2, 8\)\]"):
        reference.forward("gru", problem.params, problem.x, np.zeros((1, 2, 8)))


def test_it_imports_numpy_only() -> None:
    folder = Path(inspect.getfile(reference)).parent
    allowed = {"__future__", "collections", "dataclasses", "functools", "typing", "numpy"}
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in allowed or name.startswith("rnnfast.reference"), path.name


@pytest.mark.torch
@pytest.mark.parametrize("cell", IN_TORCH)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_agrees_with_torch(cell: str, bidirectional: bool) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from tests.support.torch_models import torch_layer

    problem = make_problem(cell, N=4, T=6, C=3, H=5, L=2, bidirectional=bidirectional, ragged=False)
    peer = torch_layer(cell, 3, 5, num_layers=2, bidirectional=bidirectional).double()
    peer.load_state_dict({name: torch.tensor(p) for name, p in problem.params.items()})
    x = torch.tensor(problem.x, requires_grad=True)
    state = tuple(torch.tensor(s, requires_grad=True) for s in problem.state or ())
    y, last = peer(x, bundle(state))
    torch.autograd.backward([y, *unbundle(last)], [torch.tensor(d) for d in (problem.dy, *problem.dstate)])
    actual = {"y": y, "dx": x.grad, **dict(zip("hc", unbundle(last), strict=False))}
    actual |= {"d" + name: s.grad for name, s in zip("hc", state, strict=False)}
    actual |= {name: p.grad for name, p in peer.named_parameters()}
    for name, expected in problem.expected.items():
        np.testing.assert_allclose(actual[name].detach().numpy(), expected, rtol=1e-11, atol=1e-13, err_msg=name)


def test_no_gradient_of_y_is_a_gradient_of_zero(cell: str) -> None:
    problem = make_problem(cell, N=2, T=3, H=4)
    kind, choice = KINDS[cell]
    _, _, tape = reference.forward(kind, problem.params, problem.x, bundle(problem.state), **choice)
    dstate = bundle(problem.dstate)
    dx, _, _ = reference.backward(tape, None, dstate)
    np.testing.assert_array_equal(dx, reference.backward(tape, np.zeros((2, 3, 4)), dstate)[0])

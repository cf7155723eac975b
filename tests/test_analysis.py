"""Jacobians, fixed points and attributions, against complex steps of the reference and exact solutions."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from rnnfast.analysis import fixed_points, integrated_gradients, jacobian, saliency
from tests.support.comparison import CELLS, KINDS, build_layer, bundle, make_problem, unbundle
from tests.support.derivatives import STEP
from tests.support.examples import Decay

RNG = np.random.default_rng(5)
X = [RNG.normal(size=(steps, 3)) for steps in (4, 6, 1)]
IDS = [RNG.integers(0, 5, steps) for steps in (4, 6, 1)]


def stacked(state: Any) -> np.ndarray:
    """All numbers of a state by sequence, (N, S): h of all layers, then c."""
    return np.concatenate([part.transpose(1, 0, 2).reshape(part.shape[1], -1) for part in unbundle(state)], axis=1)


def reference_jacobian(cell: str, params: Any, x: np.ndarray, state: tuple[np.ndarray, ...]) -> np.ndarray:
    """Complex steps in every number of the states of one sequence; x (C,), each part (L, 1, H)."""
    kind, choice = KINDS[cell]
    columns = []
    for part, values in enumerate(state):
        for index in np.ndindex(values.shape[0], values.shape[2]):
            moved = [each.astype(complex) for each in state]
            moved[part][index[0], 0, index[1]] += 1j * STEP
            _, last, _ = reference.forward(kind, params, x[None, None], bundle(moved), **choice)
            columns.append(stacked(last)[0].imag / STEP)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", KINDS)
def test_jacobians_are_those_of_the_reference(cell: str, layers: int, dtype: str) -> None:
    problem = make_problem(cell, N=3, T=1, C=4, H=5, L=layers, ragged=False)
    assert problem.state is not None
    found = jacobian(build_layer(problem, dtype), problem.x[:, 0], bundle(problem.state))
    for n in range(3):
        own = tuple(part[:, n : n + 1] for part in problem.state)
        expected = reference_jacobian(cell, problem.params, problem.x[n, 0], own)
        np.testing.assert_allclose(found[n], expected, rtol=0, atol=1e-10)


def test_jacobians_of_many_states_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, h = rf.GRU(2, 4, seed=0), RNG.normal(size=(7, 2)), RNG.normal(size=(1, 7, 4))
    whole = jacobian(layer, x, h)
    monkeypatch.setattr("rnnfast.analysis.steps.NUMBERS_AT_ONCE", 40)
    np.testing.assert_array_equal(jacobian(layer, x, h), whole)


def test_a_chain_of_jacobians_is_the_derivative_of_many_steps() -> None:
    layer, x = rf.LSTM(2, 3, dtype="float64", seed=1), RNG.normal(size=(1, 5, 2))
    state: Any = (np.zeros((1, 1, 3)), np.zeros((1, 1, 3)))
    product = np.eye(6)
    for t in range(5):
        product = jacobian(layer, x[:, t], state)[0] @ product
        state = layer(x[:, t : t + 1], state)[1]
    for i in range(6):
        _, _, tape = layer.forward(x)
        unit = np.eye(6)[i].reshape(2, 1, 1, 3)
        _, gradient = layer.backward(tape, None, (unit[0], unit[1]))
        np.testing.assert_allclose(stacked(gradient)[0], product[i], atol=1e-13)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (rf.RNN, {"leak": 0.3, "noise": 0.5, "zoneout": 0.2}),
        (rf.LSTM, {"zoneout": (0.2, 0.4), "num_layers": 2, "dropout": 0.5}),
        (rf.GRU, {"zoneout": 0.3, "recurrent_dropout": 0.5, "input_dropout": 0.5, "time_major": True}),
        (rf.GRU, {"learn_initial_state": True, "bias": False}),
    ],
)
def test_jacobians_are_those_outside_of_training(cls: Any, options: dict[str, Any]) -> None:
    layer = cls(2, 3, dtype="float64", seed=1, **options)
    x, S = RNG.normal(size=(1, 2)), layer.num_layers * sum(layer.state_sizes)
    parts = [RNG.normal(size=shape) for shape in layer.state_shapes(1)]
    found = jacobian(layer, x, bundle(parts))[0]
    numbers = np.concatenate([part.ravel() for part in parts])

    def after(moved: np.ndarray) -> np.ndarray:
        cuts = np.split(moved, np.cumsum([part.size for part in parts])[:-1])
        state = bundle([cut.reshape(part.shape) for cut, part in zip(cuts, parts, strict=True)])
        return np.concatenate([part.ravel() for part in unbundle(layer(x[None], state)[1])])

    differences = [(after(numbers + 1e-6 * unit) - after(numbers - 1e-6 * unit)) / 2e-6 for unit in np.eye(S)]
    np.testing.assert_allclose(found, np.stack(differences, axis=1), atol=1e-8)


def test_jacobian_of_a_custom_cell() -> None:
    found = jacobian(rf.CustomLayer(Decay(), 3, 2, time_major=True, seed=0), np.ones((1, 3)), np.ones((1, 1, 2)))
    np.testing.assert_allclose(found, 0.5 * np.eye(2)[None], atol=1e-15)


def test_layers_stay_as_they_are() -> None:
    layer = rf.GRU(3, 4, num_layers=2, dropout=0.5, recurrent_dropout=0.5, learn_initial_state=True, seed=0)
    for p in layer.parameters().values():
        p.grad[...] = 3
    before = copy.deepcopy(layer)
    jacobian(layer, np.ones((2, 3)), np.ones((2, 2, 4)))
    fixed_points(layer, starts=3, seed=0)
    assert layer.random_state() == before.random_state()
    for p, old in zip(layer.parameters().values(), before.parameters().values(), strict=True):
        np.testing.assert_array_equal(p.value, old.value)
        np.testing.assert_array_equal(p.grad, 3)


def simple(H: int, W: Any, bias: Any = 0.0, activation: str = "tanh") -> Any:
    """An RNN with ``h = f(W h + x + bias)``."""
    layer = rf.RNN(H, H, activation=activation, dtype="float64", seed=0)
    for p, value in zip(layer.parameters().values(), (np.eye(H), W, bias, 0.0), strict=True):
        p[...] = value
    return layer


def test_all_fixed_points_of_two_separate_units_are_found() -> None:
    found = fixed_points(simple(2, 2 * np.eye(2)), starts=200, seed=0)
    low, high = 0.5, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.tanh(2 * middle) > middle else (low, middle)
    exact = np.array([[a, b] for a in (-low, 0, low) for b in (-low, 0, low)])
    order = np.lexsort(found.states.round(6).T[::-1])
    np.testing.assert_allclose(found.states[order], exact, atol=1e-9)
    slopes = np.where(exact == 0, 2.0, 2 * (1 - low**2))
    np.testing.assert_allclose(found.eigenvalues[order], -np.sort(-slopes, axis=1), atol=1e-8)
    np.testing.assert_array_equal(found.stable[order], (exact != 0).all(axis=1))
    assert (found.errors <= 1e-10).all()
    assert (np.diff(found.errors) >= 0).all()


def test_inputs_move_fixed_points() -> None:
    found = fixed_points(simple(1, [[2.0]]), [3.0], starts=50, seed=0)
    assert len(found) == 1
    assert found.states[0, 0] == pytest.approx(np.tanh(2 * found.states[0, 0] + 3), abs=1e-10)
    np.testing.assert_array_equal(found.x, [3.0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru", "lstm-coupled-peephole-projected", "gru-before-normed"])
def test_fixed_points_are_fixed_for_the_reference(cell: str, dtype: str) -> None:
    problem = make_problem(cell, N=1, T=1, C=4, H=6, L=2, ragged=False)
    found = fixed_points(build_layer(problem, dtype), problem.x[0, 0], starts=8, seed=1)
    assert len(found)
    kind, choice = KINDS[cell]
    sizes = [(len(part), part.shape[2]) for part in problem.dstate]
    for n, s in enumerate(found.states):
        cuts = np.split(s, np.cumsum([a * b for a, b in sizes])[:-1])
        state = tuple(part.reshape(a, 1, b) for part, (a, b) in zip(cuts, sizes, strict=True))
        _, last, _ = reference.forward(kind, problem.params, problem.x, bundle(state), **choice)
        np.testing.assert_allclose(stacked(last)[0], s, atol=2e-10)
        J = reference_jacobian(cell, problem.params, problem.x[0, 0], state)
        np.testing.assert_allclose(found.jacobians[n], J, atol=1e-10)
        exact, own = np.poly(J), np.poly(found.eigenvalues[n])
        np.testing.assert_allclose(own, exact, atol=1e-10)
        assert found.stable[n] == (np.abs(np.linalg.eigvals(J)).max() < 1)


def test_near_points_are_one_and_a_line_stays_a_line() -> None:
    layer, starts = simple(2, np.eye(2), activation="identity"), np.array([[[0.0, 0], [0, 1e-5], [1, 1], [3, 4]]])
    np.testing.assert_array_equal(fixed_points(layer, starts=starts).states, [[0, 0], [1, 1], [3, 4]])
    assert len(fixed_points(layer, starts=starts, distance=0)) == 4
    assert len(fixed_points(layer, starts=starts, distance=5.1)) == 1


def test_slow_points_are_found_where_the_tolerance_allows() -> None:
    layer = simple(2, np.eye(2), bias=0.01, activation="identity")  # h goes on by 0.01 at every step
    none = fixed_points(layer, starts=5, seed=0)
    assert len(none) == 0
    assert none.states.shape == (0, 2)
    assert none.stable.shape == (0,)
    assert len(fixed_points(layer, starts=5, seed=0, tolerance=0.02)) == 5


def test_fixed_points_repeat_and_are_copied() -> None:
    found, again = (fixed_points(rf.LSTM(1, 3, seed=0), starts=4, seed=2) for _ in range(2))
    for other in (again, copy.copy(found), pickle.loads(pickle.dumps(found))):
        for name, value in vars(found).items():
            np.testing.assert_array_equal(getattr(other, name), value)
            assert not np.shares_memory(getattr(other, name), value)


def test_two_directions_have_no_step() -> None:
    layer = rf.GRU(2, 3, bidirectional=True)
    for call in (lambda: fixed_points(layer), lambda: jacobian(layer, np.ones((1, 2)), np.ones((2, 1, 3)))):
        with pytest.raises(ValueError, match=r"^layer: one direction is required"):
            call()


def make_model(kind: Any, cell: str, *, embedding: bool, **options: Any) -> Any:
    name, own = CELLS[cell]
    sizes = {"input_size": 5, "embedding": 3} if embedding else {"input_size": 3}
    options = {"output_size": 3, "hidden_size": 4, "num_layers": 2, "dropout": 0.3, "dtype": "float64", **options}
    return kind(**sizes, cell=name, cell_options=own, seed=3, **options)


def vectors(model: Any, x: Any) -> np.ndarray:
    """One sequence as the layers read it."""
    table = model.parameters().get("embedding.weight")
    return np.asarray(x if table is None else table.value[x], np.float64)


def reference_output(model: Any, cell: str, rows: np.ndarray, target: int, step: int, head: str = "head") -> Any:
    """One output for one sequence (T, F)."""
    name, own = CELLS[cell]
    params = {key: p.value for key, p in model.parameters().items()}
    rnn = {key[4:]: value for key, value in params.items() if key.startswith("rnn.")}
    y, state, _ = reference.forward(name, rnn, rows[None], **own)
    if isinstance(model, rf.ManyToOne):
        h = unbundle(state)[0]
        read = np.concatenate(h[-model.rnn.directions :], axis=1)[0]
    else:
        read = y[0, step]
    return read @ params[f"{head}.weight"][target] + params[f"{head}.bias"][target]


def reference_gradient(model: Any, cell: str, rows: np.ndarray, *which: Any) -> np.ndarray:
    gradient = np.zeros(rows.shape)
    for index in np.ndindex(*rows.shape):
        moved = rows.astype(complex)
        moved[index] += 1j * STEP
        gradient[index] = reference_output(model, cell, moved, *which).imag / STEP
    return gradient


@pytest.mark.parametrize("embedding", [False, True], ids=["numbers", "ids"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", [rf.ManyToOne, rf.ManyToMany])
def test_saliency_is_the_gradient_of_the_reference(kind: Any, cell: str, bidirectional: bool, embedding: bool) -> None:
    model, x = make_model(kind, cell, embedding=embedding, bidirectional=bidirectional), IDS if embedding else X
    targets = np.array([2, 0, 1])
    found = saliency(model, x, target=targets)
    assert found.shape == (3, 6, 3)
    assert found.dtype == np.float64
    for n, sequence in enumerate(x):
        expected = reference_gradient(model, cell, vectors(model, sequence), targets[n], -1)
        np.testing.assert_allclose(found[n, : len(sequence)], expected, rtol=0, atol=1e-10)
        assert (found[n, len(sequence) :] == 0).all()


@pytest.mark.parametrize("step", [0, 2, -2])
def test_saliency_of_other_steps(step: int) -> None:
    model = make_model(rf.ManyToMany, "gru", embedding=False)
    found = saliency(model, X[:2], target=1, step=step)
    for n, sequence in enumerate(X[:2]):
        expected = reference_gradient(model, "gru", sequence, 1, step)
        np.testing.assert_allclose(found[n, : len(sequence)], expected, rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match=r"^step: one that all sequences have, -1\.\.0, is required, got 2"):
        saliency(model, X, step=2)


def test_heads_targets_and_single_precision() -> None:
    model = make_model(rf.ManyToOne, "lstm", embedding=False, output_size=None, outputs={"a": 2, "b": 4})
    found = saliency(model, X, head="b", target=3)
    expected = reference_gradient(model, "lstm", X[1], 3, -1, "heads.b")
    np.testing.assert_allclose(found[1], expected, atol=1e-10)
    with pytest.raises(ValueError, match=r"^head: one of a, b is required, got 'c'"):
        saliency(model, X, head="c")
    single = make_model(rf.ManyToOne, "lstm", embedding=False, dtype="float32")
    largest = single.predict_proba(X).argmax(axis=1)
    np.testing.assert_array_equal(saliency(single, X), saliency(single, X, target=largest))


@pytest.mark.parametrize("embedding", [False, True], ids=["numbers", "ids"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", [rf.ManyToOne, rf.ManyToMany])
def test_integrated_gradients_are_complete(kind: Any, cell: str, embedding: bool) -> None:
    model, x = make_model(kind, cell, embedding=embedding), IDS if embedding else X
    found = integrated_gradients(model, x, target=2, baseline=0.1, tolerance=2e-3 if cell == "rnn-relu" else 1e-10)
    for n, sequence in enumerate(x):
        rows = vectors(model, sequence)
        at_x, at_baseline = (reference_output(model, cell, r, 2, -1) for r in (rows, np.full(rows.shape, 0.1)))
        np.testing.assert_allclose(found.outputs[n], at_x, atol=1e-12)
        np.testing.assert_allclose(found.baseline_outputs[n], at_baseline, atol=1e-12)
        error = 2e-3 if cell == "rnn-relu" else 1e-10
        assert abs(found.values[n].sum() - (at_x - at_baseline)) < error
        np.testing.assert_allclose(found.gaps[n], found.values[n].sum() - (at_x - at_baseline), atol=1e-12)


def test_shares_of_a_linear_network_are_exact() -> None:
    model = make_model(rf.ManyToOne, "rnn-identity", embedding=False)
    baseline = RNG.normal(size=(3, 6, 3))
    found = integrated_gradients(model, X, target=0, baseline=baseline, max_nodes=1)
    for n, sequence in enumerate(X):
        slope = reference_gradient(model, "rnn-identity", sequence, 0, -1)
        expected = (sequence - baseline[n, : len(sequence)]) * slope
        np.testing.assert_allclose(found.values[n, : len(sequence)], expected, atol=1e-12)
    copied = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(copied.values, found.values)


def test_nodes_are_doubled_until_the_tolerance_is_reached() -> None:
    """Large weights make the output switch along the way from the baseline."""
    model = make_model(rf.ManyToOne, "lstm", embedding=False)
    for p in model.parameters().values():
        p[...] = 6 * p.value
    gaps = [
        np.abs(integrated_gradients(model, [10 * x for x in X], target=0, max_nodes=most, tolerance=1e-6).gaps).max()
        for most in (32, 64, 1024)
    ]
    assert gaps[0] > gaps[1] > 1e-6 >= gaps[2]


def test_models_stay_as_they_are() -> None:
    model = make_model(rf.ManyToOne, "gru", embedding=True, dtype="float32")
    for p in model.parameters().values():
        p.grad[...] = 3
    before = model.random_state()
    integrated_gradients(model, IDS, max_nodes=2)
    assert model.random_state() == before
    assert all((p.grad == 3).all() for p in model.parameters().values())


def test_models_that_write_have_no_attributions() -> None:
    with pytest.raises(TypeError, match=r"^model: a ManyToOne or ManyToMany is required, got"):
        saliency(rf.OneToMany(5, hidden_size=2), IDS)
    with pytest.raises(ValueError, match=r"^step: None is required of a ManyToOne, got 0"):
        saliency(make_model(rf.ManyToOne, "gru", embedding=False), X, step=0)
    with pytest.raises(ValueError, match=r"^x: sequences of at least one step are required"):
        saliency(make_model(rf.ManyToOne, "gru", embedding=False), [X[0], X[0][:0]])

"""Every gradient of every model against central differences of its own loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import CELLS, SMOOTH

LENGTHS = [5, 1, 7, 3]
WEIGHTS = [1.0, 0.5, 2.0, 0.0]
STEP = 1e-5  # central differences err by STEP^2 and by eps / STEP: both are about 1e-10 here


def reals(rng: np.random.Generator, size: int) -> list[np.ndarray]:
    return [rng.normal(size=(length, size)) for length in LENGTHS]


def ids(rng: np.random.Generator, size: int, shortest: int = 1) -> list[np.ndarray]:
    return [rng.integers(0, size, max(length, shortest)) for length in LENGTHS]


def many_to_one(cell: str, task: str, **options: Any) -> tuple[Any, Callable[[str], float]]:
    rng, (kind, own) = np.random.default_rng(1), CELLS[cell]
    model = rf.ManyToOne(
        5,
        3,
        cell=kind,
        cell_options=own,
        hidden_size=4,
        num_layers=2,
        task=task,
        dtype="float64",
        seed=2,
        **options,
    )
    x = ids(rng, 5) if options.get("embedding") else reals(rng, 5)
    x[1] = x[1][:0]
    y = {
        "classification": rng.integers(0, 3, 4),
        "regression": rng.normal(size=(4, 3)),
        "multilabel": rng.integers(0, 2, (4, 3)),
    }[task]
    return model, lambda method: getattr(model, method)(x, y, sample_weight=WEIGHTS)


def one_to_many(cell: str, task: str, **options: Any) -> tuple[Any, Callable[[str], float]]:
    rng, (kind, own) = np.random.default_rng(3), CELLS[cell]
    model = rf.OneToMany(
        5,
        cell=kind,
        cell_options=own,
        hidden_size=4,
        num_layers=2,
        task=task,
        dtype="float64",
        seed=4,
        **options,
    )
    if task == "classification":
        sequences = ids(rng, 5, shortest=2)
    else:
        sequences = [rng.normal(size=(max(length, 2), 5)) for length in LENGTHS]
    if task == "multilabel":
        sequences = [(s > 0).astype(float) for s in sequences]
    size = options.get("context_size")
    context = None if size is None else rng.normal(size=(4, size))
    return model, lambda method: getattr(model, method)(sequences, context=context, sample_weight=WEIGHTS, burn_in=1)


PROBLEMS = {
    "one-classification": lambda cell: many_to_one(cell, "classification"),
    "one-embedding": lambda cell: many_to_one(cell, "classification", embedding=3),
    "one-regression": lambda cell: many_to_one(cell, "regression"),
    "one-multilabel": lambda cell: many_to_one(cell, "multilabel", embedding=2),
    "many-one-hot": lambda cell: one_to_many(cell, "classification"),
    "many-embedding": lambda cell: one_to_many(cell, "classification", embedding=3, context_size=2),
    "many-regression": lambda cell: one_to_many(cell, "regression", context_size=3),
    "many-multilabel": lambda cell: one_to_many(cell, "multilabel"),
}


@pytest.mark.parametrize("cell", SMOOTH)
@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_of_every_parameter(name: str, cell: str) -> None:
    """Derivatives agree along two random directions of each tensor, and along one of all tensors together."""
    model, call = PROBLEMS[name](cell)
    value = call("loss_and_grad")
    assert value == pytest.approx(call("loss"), rel=1e-14)
    rng, params = np.random.default_rng(5), model.parameters()
    directions = [{key: rng.normal(size=p.shape)} for key, p in params.items() for _ in range(2)]
    directions.append({key: rng.normal(size=p.shape) for key, p in params.items()})
    for direction in directions:
        actual = sum(float(np.vdot(params[key].grad, v)) for key, v in direction.items())
        expected = slope(params, direction, lambda: call("loss"))
        assert actual == pytest.approx(expected, rel=1e-7, abs=2e-9), list(direction)


def slope(params: dict[str, Any], direction: dict[str, np.ndarray], f: Callable[[], float]) -> float:
    """Return ``(f(p + s v) - f(p - s v)) / 2s``."""
    before = {key: params[key].value.copy() for key in direction}
    values = []
    for sign in (1, -1):
        for key, v in direction.items():
            params[key].assign(before[key] + sign * STEP * v)
        values.append(f())
    for key, value in before.items():
        params[key].assign(value)
    return (values[0] - values[1]) / (2 * STEP)


def test_gradients_add_up_until_they_are_cleared() -> None:
    model, call = PROBLEMS["one-classification"]("gru")
    call("loss_and_grad")
    once = {key: p.grad.copy() for key, p in model.parameters().items()}
    call("loss_and_grad")
    for key, p in model.parameters().items():
        np.testing.assert_allclose(p.grad, 2 * once[key], rtol=1e-12, atol=1e-15)
    model.zero_grad()
    assert not any(p.grad.any() for p in model.parameters().values())


def test_sequences_without_weight_give_no_gradient() -> None:
    """Weighting by 0 and 1 equals leaving out."""
    rng = np.random.default_rng(6)
    x, y = reals(rng, 2), rng.integers(0, 2, 4)
    model = rf.ManyToOne(2, 2, hidden_size=3, dtype="float64", seed=0)
    weighted = model.loss_and_grad(x, y, sample_weight=[1, 0, 1, 0])
    grads = {key: p.grad.copy() for key, p in model.parameters().items()}
    model.zero_grad()
    assert model.loss_and_grad(x[::2], y[::2]) == pytest.approx(weighted, rel=1e-14)
    for key, p in model.parameters().items():
        np.testing.assert_allclose(p.grad, grads[key], rtol=1e-12, atol=1e-15)


def test_cutting_in_time_keeps_the_loss_but_not_the_gradient() -> None:
    """The state crosses a cut: the mean over the pieces is the whole's loss."""
    from rnnfast import train

    model = rf.OneToMany(4, hidden_size=3, embedding=2, dtype="float64", seed=0)
    text = np.random.default_rng(7).integers(0, 4, 50)
    whole = model.loss(text)
    for steps in (1, 7, 49):
        data = model.reader.data(text, batch_size=1, streams=1, steps=steps)
        assert len(data) == -(-49 // steps)
        assert train.evaluate(model, data)["loss"] == pytest.approx(whole, rel=1e-12)

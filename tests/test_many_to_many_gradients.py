"""Gradients of ``ManyToMany`` against central differences of its loss and complex steps of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from tests.support.comparison import CELLS, SMOOTH

LENGTHS = np.array([5, 0, 7, 3])
EXISTS = np.arange(7) < LENGTHS[:, None]
STEP = 1e-5  # central differences err by STEP^2 and by eps / STEP: both are about 1e-10 here
LOSSES = {
    "classification": reference.softmax_cross_entropy,
    "regression": reference.mean_squared_error,
    "multilabel": reference.binary_cross_entropy,
}
PROBLEMS = [
    ("classification", None, None),
    ("classification", 3, "step"),
    ("regression", None, "step"),
    ("multilabel", 2, "sequence"),
]


class ModelProblem:
    """A model of two layers and its data, padded with what must not be read."""

    def __init__(self, cell: str, task: str, embedding: int | None, weights: str | None) -> None:
        rng = np.random.default_rng(1)
        kind, self.options = CELLS[cell]
        self.model = rf.ManyToMany(
            5,
            3,
            cell=kind,
            cell_options=self.options,
            hidden_size=4,
            num_layers=2,
            task=task,
            embedding=embedding,
            dtype="float64",
            seed=2,
        )
        self.x = rng.integers(0, 5, (4, 7)) if embedding else rng.normal(size=(4, 7, 5))
        self.x[~EXISTS] = -1 if embedding else np.nan
        self.y: Any = rng.integers(0, 3, (4, 7))
        if task != "classification":
            self.y = rng.uniform(size=(4, 7, 3))
        self.w = {None: None, "step": rng.uniform(size=(4, 7)), "sequence": rng.uniform(size=4)}[weights]

    def ask(self, method: str) -> float:
        return float(getattr(self.model, method)(self.x, self.y, lengths=LENGTHS, sample_weight=self.w))

    def reference_loss(self, params: dict[str, np.ndarray]) -> Any:
        """The loss by the equations, in the dtype of the parameters."""
        rnn = {name[4:]: p for name, p in params.items() if name.startswith("rnn.")}
        x = self.x
        if "embedding.weight" in params:
            x = reference.embedding(np.where(EXISTS, x, 0).ravel(), params["embedding.weight"]).reshape(4, 7, -1)
        x = np.where(EXISTS[..., None], x, 0).astype(params["head.bias"].dtype)
        y, _, _ = reference.forward(self.model.config["cell"], rnn, x, lengths=LENGTHS, **self.options)
        outputs = reference.linear(y[EXISTS], params["head.weight"], params["head.bias"])
        w = self.w if self.w is None or self.w.ndim == 2 else np.broadcast_to(self.w[:, None], (4, 7))
        loss, _ = LOSSES[self.model.config["task"]](outputs, self.y[EXISTS], None if w is None else w[EXISTS])
        return loss


@pytest.fixture(params=PROBLEMS, ids=lambda p: "-".join(map(str, p)))
def choice(request: pytest.FixtureRequest) -> tuple[str, int | None, str | None]:
    found: tuple[str, int | None, str | None] = request.param
    return found


@pytest.mark.parametrize("cell", SMOOTH)
def test_every_element_of_every_gradient(cell: str, choice: tuple[str, int | None, str | None]) -> None:
    problem = ModelProblem(cell, *choice)
    value = problem.ask("loss_and_grad")
    assert value == problem.ask("loss")
    for name, p in problem.model.parameters().items():
        before, expected = p.value.copy(), np.zeros(p.shape)
        for place in np.ndindex(p.shape):
            sides = []
            for sign in (1, -1):
                moved = before.copy()
                moved[place] += sign * STEP
                p.assign(moved)
                sides.append(problem.ask("loss"))
            expected[place] = (sides[0] - sides[1]) / (2 * STEP)
        p.assign(before)
        np.testing.assert_allclose(p.grad, expected, rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("cell", SMOOTH)
def test_loss_and_gradient_are_the_references(cell: str, choice: tuple[str, int | None, str | None]) -> None:
    """Derivatives agree along two random directions of each tensor, to the last digits."""
    problem, rng = ModelProblem(cell, *choice), np.random.default_rng(3)
    params = problem.model.state_dict()
    assert problem.ask("loss_and_grad") == pytest.approx(problem.reference_loss(params), rel=1e-13)
    for name, p in problem.model.parameters().items():
        for _ in range(2):
            direction = rng.normal(size=p.shape)
            moved = {key: value.astype(complex) for key, value in params.items()}
            moved[name] += 1e-30j * direction
            expected = problem.reference_loss(moved).imag / 1e-30
            size = float(np.linalg.norm(p.grad) * np.linalg.norm(direction))
            assert float(np.vdot(p.grad, direction)) == pytest.approx(expected, rel=1e-11, abs=1e-13 * size), name


def test_gradients_of_calls_add_up() -> None:
    problem = ModelProblem("gru", "classification", None, "step")
    problem.ask("loss_and_grad")
    once = {name: p.grad.copy() for name, p in problem.model.parameters().items()}
    problem.ask("loss_and_grad")
    for name, p in problem.model.parameters().items():
        np.testing.assert_allclose(p.grad, 2 * once[name], rtol=1e-13, atol=1e-16, err_msg=name)

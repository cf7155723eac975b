"""Gradients of the models of one layer stack, parameters and real inputs, against complex steps of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from tests.support.comparison import CELLS, bundle

LENGTHS = np.array([5, 2, 7, 3])
EXISTS = np.arange(7) < LENGTHS[:, None]
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.25])
LOSSES = {
    "classification": reference.softmax_cross_entropy,
    "regression": reference.mean_squared_error,
    "multilabel": reference.binary_cross_entropy,
}
Params = dict[str, np.ndarray]


class ModelProblem:
    """A model of two layers, its data, and its loss by the equations.

    ``x (4, 7, 5)``, or ids (4, 7), with LENGTHS; ``options`` are further arguments of ``loss``.
    """

    x: Any
    y: Any
    options: dict[str, Any]

    def __init__(self, kind: Any, cell: str, task: str, **options: Any) -> None:
        self.rng, self.task, self.cell = np.random.default_rng(1), task, cell
        name, own = CELLS[cell]
        sizes = (5,) if kind is rf.OneToMany else (5, 3)
        self.model = kind(
            *sizes,
            cell=name,
            cell_options=own,
            hidden_size=7,
            num_layers=2,
            task=task,
            dtype="float64",
            seed=2,
            **options,
        )
        self.options = {"lengths": LENGTHS, "sample_weight": WEIGHTS}

    def arguments(self) -> tuple[Any, ...]:
        return self.x, self.y

    def ask(self, method: str) -> float:
        return float(getattr(self.model, method)(*self.arguments(), **self.options))

    def states(self, params: Params, x: np.ndarray, lengths: np.ndarray, start: Any = None) -> tuple[np.ndarray, Any]:
        """Return every h of the top layer, and the final state."""
        rnn = {key[4:]: p for key, p in params.items() if key.startswith("rnn.")}
        if x.ndim == 2:
            table = params.get("embedding.weight", np.eye(5))
            x = reference.embedding(x.ravel(), table).reshape(*x.shape, -1)
        name, own = CELLS[self.cell]
        y, state, _ = reference.forward(name, rnn, x, start, lengths=lengths, **own)
        return y, state

    def loss_of(self, params: Params, h: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Any:
        outputs = reference.linear(h, params["head.weight"], params["head.bias"])
        return LOSSES[self.task](outputs, targets, weights)[0]

    def reference_loss(self, params: Params, x: np.ndarray) -> Any:
        raise NotImplementedError


class One(ModelProblem):
    """``ManyToOne``."""

    def __init__(self, cell: str, task: str, **options: Any) -> None:
        super().__init__(rf.ManyToOne, cell, task, **options)
        self.x = self.rng.integers(0, 5, (4, 7)) if "embedding" in options else self.rng.normal(size=(4, 7, 5))
        self.y = self.rng.integers(0, 3, 4) if task == "classification" else self.rng.uniform(size=(4, 3))

    def reference_loss(self, params: Params, x: np.ndarray) -> Any:
        _, state = self.states(params, x, LENGTHS)
        h = state[0] if isinstance(state, tuple) else state
        top = np.concatenate(h[-2:] if self.model.config["bidirectional"] else h[-1:], axis=1)
        return self.loss_of(params, top, self.y, WEIGHTS)


class Aligned(ModelProblem):
    """``ManyToMany``."""

    def __init__(self, cell: str, task: str, **options: Any) -> None:
        super().__init__(rf.ManyToMany, cell, task, **options)
        self.x = self.rng.integers(0, 5, (4, 7)) if "embedding" in options else self.rng.normal(size=(4, 7, 5))
        self.y = self.rng.integers(0, 3, (4, 7)) if task == "classification" else self.rng.uniform(size=(4, 7, 3))

    def reference_loss(self, params: Params, x: np.ndarray) -> Any:
        y, _ = self.states(params, x, LENGTHS)
        return self.loss_of(params, y[EXISTS], self.y[EXISTS], np.repeat(WEIGHTS, LENGTHS))


class Writing(ModelProblem):
    """``OneToMany``, with a context and, of real elements, none of them a target before the second."""

    def __init__(self, cell: str, task: str, **options: Any) -> None:
        super().__init__(rf.OneToMany, cell, task, **options)
        self.x = self.rng.integers(0, 5, (4, 7)) if task == "classification" else self.rng.uniform(size=(4, 7, 5))
        self.options["context"] = None if "context_size" not in options else self.rng.normal(size=(4, 2))

    def arguments(self) -> tuple[Any, ...]:
        return (self.x,)

    def reference_loss(self, params: Params, x: np.ndarray) -> Any:
        start = None
        if self.options["context"] is not None:
            flat = reference.linear(self.options["context"], params["context.weight"], params["context.bias"])
            start = bundle(list(flat.reshape(4, -1, 2, 7).transpose(1, 2, 0, 3)))
        y, _ = self.states(params, x[:, :-1], LENGTHS - 1, start)
        wanted = EXISTS[:, 1:]
        return self.loss_of(params, y[wanted], self.x[:, 1:][wanted], np.repeat(WEIGHTS, LENGTHS - 1))


PROBLEMS: dict[str, Any] = {
    "one-classification": lambda cell: One(cell, "classification"),
    "one-embedding": lambda cell: One(cell, "classification", embedding=3),
    "one-regression": lambda cell: One(cell, "regression"),
    "one-multilabel": lambda cell: One(cell, "multilabel", embedding=2),
    "one-both-ways": lambda cell: One(cell, "classification", embedding=3, bidirectional=True),
    "aligned-classification": lambda cell: Aligned(cell, "classification"),
    "aligned-both-ways": lambda cell: Aligned(cell, "regression", bidirectional=True),
    "writing-one-hot": lambda cell: Writing(cell, "classification"),
    "writing-embedding": lambda cell: Writing(cell, "classification", embedding=3, context_size=2),
    "writing-regression": lambda cell: Writing(cell, "regression", context_size=2),
    "writing-multilabel": lambda cell: Writing(cell, "multilabel"),
}


def slope(f: Any, value: np.ndarray, direction: np.ndarray) -> float:
    """The derivative of f along a direction, by the complex step."""
    return float(f(value + 1e-30j * direction).imag / 1e-30)


@pytest.mark.parametrize("name", PROBLEMS)
def test_loss_and_every_gradient_are_the_references(cell: str, name: str) -> None:
    problem, rng = PROBLEMS[name](cell), np.random.default_rng(3)
    params = problem.model.state_dict()
    value = problem.ask("loss_and_grad")
    assert value == problem.ask("loss") == pytest.approx(problem.reference_loss(params, problem.x), rel=1e-13)
    for key, p in problem.model.parameters().items():
        for _ in range(2):
            direction = rng.normal(size=p.shape)
            expected = slope(
                lambda v, k=key: problem.reference_loss({**params, k: v}, problem.x), params[key], direction
            )
            size = float(np.linalg.norm(p.grad) * np.linalg.norm(direction))
            assert float(np.vdot(p.grad, direction)) == pytest.approx(expected, rel=1e-11, abs=1e-13 * size), key


@pytest.mark.parametrize("kind", [One, Aligned])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_gradients_of_real_inputs(cell: str, kind: Any, task: str) -> None:
    """A table with a row for every step passes the steps on; its gradient is theirs."""
    problem, rng = kind(cell, task), np.random.default_rng(4)
    params, frames = problem.model.state_dict(), problem.x
    plain = problem.ask("loss_and_grad")
    grads = {key: p.grad for key, p in problem.model.parameters().items()}
    problem.model = type(problem.model)(**{**problem.model.config, "input_size": 28, "embedding": 5})
    problem.model.load_state_dict({**params, "embedding.weight": frames.reshape(28, 5)})
    problem.x = np.arange(28).reshape(4, 7)
    assert problem.ask("loss_and_grad") == plain
    for key, grad in grads.items():
        np.testing.assert_array_equal(grad, problem.model.parameters()[key].grad, err_msg=key)
    dx = problem.model.parameters()["embedding.weight"].grad.reshape(4, 7, 5)
    assert not dx[~EXISTS].any()
    for n, t in ((0, 4), (2, 0), (3, 2)):
        direction = np.zeros((4, 7, 5))
        direction[n, t] = rng.normal(size=5)
        expected = slope(lambda v: problem.reference_loss(params, v), frames, direction)
        assert float(np.vdot(dx, direction)) == pytest.approx(expected, rel=1e-10, abs=1e-16)

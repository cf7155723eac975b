"""Loss and gradients of ``EncoderDecoder`` against the reference and its complex steps."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from rnnfast.data import framed
from tests.support.comparison import CELLS

SOURCE_LENGTHS, LENGTHS = np.array([5, 0, 7, 3]), np.array([2, 4, 0, 5])
LOSSES = {
    "classification": reference.softmax_cross_entropy,
    "regression": reference.mean_squared_error,
    "multilabel": reference.binary_cross_entropy,
}
PROBLEMS: dict[str, dict[str, Any]] = {
    "frames-to-ids": {},
    "ids-to-ids": {"source_embedding": 3, "target_embedding": 2, "start": 3},
    "own-stop": {"source_embedding": 2, "stop": 0},
    "one-boundary": {"target_embedding": 3, "start": 1, "stop": 1},
    "additive": {"attention": "additive", "target_embedding": 2},
    "ids-attended": {"attention": "additive", "source_embedding": 3, "target_embedding": 2},
    "dot": {"attention": "dot", "source_embedding": 3},
    "both-ways": {"bidirectional": True, "target_embedding": 2},
    "both-ways-attended": {"bidirectional": True, "source_embedding": 3, "attention": "additive"},
    "regression": {"task": "regression"},
    "regression-additive": {"task": "regression", "attention": "additive"},
    "multilabel": {"source_embedding": 3, "task": "multilabel"},
}


class ModelProblem:
    """A model of two layers, its data, and what its decoder reads and should write by the book."""

    def __init__(self, cell: str, name: str) -> None:
        rng = np.random.default_rng(1)
        kind, self.cell_options = CELLS[cell]
        self.options = {"task": "classification", "start": None, "stop": None, **PROBLEMS[name]}
        self.model = rf.EncoderDecoder(
            5,
            4,
            cell=kind,
            cell_options=self.cell_options,
            hidden_size=7,
            num_layers=2,
            dtype="float64",
            seed=2,
            **self.options,
        )
        self.x = rng.integers(0, 5, (4, 7)) if "source_embedding" in self.options else rng.normal(size=(4, 7, 5))
        self.x[np.arange(7) >= SOURCE_LENGTHS[:, None]] = -1 if "source_embedding" in self.options else np.nan
        self.w = rng.uniform(0.5, 2, 4)
        if self.options["task"] == "classification":
            free = [i for i in range(4) if i not in (self.options["start"], self.options["stop"])]
            self.y = [rng.choice(free, n) for n in LENGTHS]
        else:
            self.y = [rng.uniform(size=(n, 4)) for n in LENGTHS]

    def ask(self, method: str, x: Any = None) -> float:
        x = self.x if x is None else x
        return float(getattr(self.model, method)(x, self.y, lengths=SOURCE_LENGTHS, sample_weight=self.w))

    def framed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the decoder's inputs (4, T, ...), targets likewise, and lengths."""
        if self.options["task"] != "classification":
            inputs, targets = np.zeros((2, 4, 5, 4))
            for n, y in enumerate(self.y):
                targets[n, : len(y)], inputs[n, 1 : len(y)] = y, y[:-1]
            return inputs, targets, LENGTHS
        stop = 4 if self.options["stop"] is None else self.options["stop"]
        start = (4 + (self.options["stop"] is None)) if self.options["start"] is None else self.options["start"]
        ids = np.zeros((2, 4, 6), int)
        for n, y in enumerate(self.y):
            ids[0, n, : len(y) + 1], ids[1, n, : len(y) + 1] = [start, *y], [*y, stop]
        return ids[0], ids[1], LENGTHS + 1

    def reference_loss(self, params: dict[str, np.ndarray], x: np.ndarray | None = None) -> Any:
        """The loss by the equations, in the dtype of the parameters."""
        inputs, targets, lengths = self.framed()
        outputs = reference.encoder_decoder(
            self.model.config["cell"],
            params,
            self.x if x is None else x,
            inputs,
            source_lengths=SOURCE_LENGTHS,
            lengths=lengths,
            **self.cell_options,
        )
        exists = np.arange(inputs.shape[1]) < lengths[:, None]
        w = np.broadcast_to(self.w[:, None], exists.shape)[exists]
        return LOSSES[self.options["task"]](outputs[exists], targets[exists], w)[0]


def slope(f: Any, value: np.ndarray, direction: np.ndarray) -> float:
    """The derivative of f along a direction, by the complex step."""
    return float(f(value + 1e-30j * direction).imag / 1e-30)


def compare(problem: ModelProblem) -> None:
    """The loss to the last digits, every gradient along two random directions of its tensor."""
    params, rng = problem.model.state_dict(), np.random.default_rng(3)
    value = problem.ask("loss_and_grad")
    assert value == problem.ask("loss") == pytest.approx(problem.reference_loss(params), rel=1e-13)
    for key, p in problem.model.parameters().items():
        assert p.grad.any(), key
        for _ in range(2):
            direction = rng.normal(size=p.shape)
            expected = slope(lambda v, k=key: problem.reference_loss({**params, k: v}), params[key], direction)
            size = float(np.linalg.norm(p.grad) * np.linalg.norm(direction))
            assert float(np.vdot(p.grad, direction)) == pytest.approx(expected, rel=1e-11, abs=1e-13 * size), key


# The model sees of a cell its number of states and its options: both numbers meet every problem, every cell meets one.
FAST = {*product(("lstm", "gru"), PROBLEMS), *product(CELLS, ["both-ways-attended"])}


@pytest.mark.parametrize(
    ("cell", "name"),
    [pytest.param(*case, marks=() if case in FAST else pytest.mark.slow) for case in product(CELLS, PROBLEMS)],
)
def test_loss_and_every_gradient_are_the_references(cell: str, name: str) -> None:
    compare(ModelProblem(cell, name))


FAULTS: dict[str, tuple[str, str, Any]] = {
    "the decoder begins at zero": ("decoder", "forward", lambda f: lambda x, state: f(x, None)),
    "the encoder's state gets no gradient": ("encoder", "backward", lambda f: lambda tape, dy, d: f(tape, dy, None)),
    "attention gives the encoder no gradient": ("encoder", "backward", lambda f: lambda tape, dy, d: f(tape, None, d)),
    "the decoder's h gets no gradient": ("decoder", "backward", lambda f: lambda tape, dh: f(tape, 0 * dh)),
    "sources are mixed up": (
        "encoder",
        "forward",
        lambda f: lambda x, state: f(x.select(np.arange(len(x))[::-1]), state),
    ),
    "attention reads another source": ("attention", "forward", lambda f: lambda h, m, n, s: f(h, m, n, np.roll(s, 1))),
    "attention forgets h": ("attention", "forward", lambda f: lambda h, m, n, s: f(0 * h, m, n, s)),
    "start is stop": ("framing", "framed", lambda f: lambda s: framed(s, 4, 4)),
    "stop is not learned": ("framing", "framed", lambda f: lambda s: framed(s, 5)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, (part, method, change) = ModelProblem("lstm", "ids-attended"), FAULTS[fault]
    compare(problem)
    problem.model.zero_grad()
    owner = getattr(problem.model.network, part)
    monkeypatch.setattr(owner, method, change(getattr(owner, method)))
    with pytest.raises(AssertionError):
        compare(problem)


@pytest.mark.parametrize("name", ["frames-to-ids", "additive"])
def test_gradients_of_real_sources(cell: str, name: str) -> None:
    """A table with a row for every frame passes the frames on; its gradient is theirs."""
    problem, rng = ModelProblem(cell, name), np.random.default_rng(4)
    frames = np.nan_to_num(problem.x).reshape(28, 5)
    config = {**problem.model.config, "source_size": 28, "source_embedding": 5}
    model = rf.EncoderDecoder(**config)
    params = problem.model.state_dict()
    model.load_state_dict({**params, "source_embedding.weight": frames})
    plain, problem.model = problem.model, model
    problem.ask("loss_and_grad", np.arange(28).reshape(4, 7))
    dx = model.parameters()["source_embedding.weight"].grad.reshape(4, 7, 5)
    problem.model = plain
    assert problem.ask("loss") == problem.ask("loss_and_grad")
    for key, p in plain.parameters().items():
        np.testing.assert_array_equal(p.grad, model.parameters()[key].grad, err_msg=key)
    assert not dx[np.arange(7) >= SOURCE_LENGTHS[:, None]].any()
    assert dx[2].any()
    for n, t in ((0, 4), (2, 0), (3, 2)):
        direction = np.zeros((4, 7, 5))
        direction[n, t] = rng.normal(size=5)
        expected = slope(lambda v: problem.reference_loss(params, v), np.nan_to_num(problem.x), direction)
        assert float(np.vdot(dx, direction)) == pytest.approx(expected, rel=1e-10)


def test_gradients_of_calls_add_up() -> None:
    problem = ModelProblem("lstm", "ids-to-ids")
    problem.ask("loss_and_grad")
    once = {name: p.grad.copy() for name, p in problem.model.parameters().items()}
    problem.ask("loss_and_grad")
    for name, p in problem.model.parameters().items():
        np.testing.assert_allclose(p.grad, 2 * once[name], rtol=1e-13, atol=1e-16, err_msg=name)

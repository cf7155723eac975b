"""However a layer is shared among threads, by sequences or by units, each of its numbers has the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import KINDS, assert_threads_agree, make_problem, run_engine
from tests.support.state import forced_split

SHAPES: dict[str, dict[str, Any]] = {
    "ragged": {"N": 6, "T": 7, "H": 70, "C": 5, "L": 2},
    "one sequence": {"N": 1, "T": 9, "H": 41, "C": 3},
    "few units": {"N": 3, "T": 5, "H": 3, "C": 1},
}
RANDOM: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "rnn": (rf.RNN, {"dropout": 0.4, "noise": 0.3, "recurrent_dropout": 0.2}),
    "lstm": (rf.LSTM, {"dropout": 0.4, "recurrent_dropout": 0.3, "zoneout": 0.2}),
    "lstm, normalised": (rf.LSTM, {"dropout": 0.4, "layer_norm": True}),
    "gru": (rf.GRU, {"dropout": 0.4, "recurrent_dropout": 0.3, "zoneout": 0.3}),
    "gru, reset before": (rf.GRU, {"dropout": 0.4, "zoneout": 0.3, "reset_after": False}),
}


@pytest.fixture(params=[False, True], ids=["by sequences", "by units"])
def split(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every layer shared this way, whatever it costs."""
    with forced_split(request.param):
        yield


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("split")
def test_shares(kind: str, isa: str, dtype: str, shape: str) -> None:
    problem = make_problem(kind, **SHAPES[shape])
    assert_threads_agree(lambda: run_engine(problem, dtype))


def train(name: str, dtype: str) -> dict[str, np.ndarray]:
    """One training call of a layer with everything random, its lengths unequal."""
    layer, options = RANDOM[name]
    model = layer(5, 37, num_layers=2, dtype=dtype, seed=3, **options)
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((4, 6, 5)).astype(dtype), rng.standard_normal((4, 6, 37)).astype(dtype)
    y, last, tape = model.forward(x, lengths=[6, 2, 5, 6])
    dx, _ = model.backward(tape, dy)
    states = dict(enumerate(last if isinstance(last, tuple) else (last,)))
    grads = {name: p.grad for name, p in model.parameters().items()}
    return {"y": y, "dx": dx} | {f"state {i}": state for i, state in states.items()} | grads


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.usefixtures("split")
def test_random_layers(name: str, isa: str, dtype: str) -> None:
    assert_threads_agree(lambda: train(name, dtype))


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.usefixtures("split")
def test_inference(name: str, isa: str, dtype: str) -> None:
    layer, options = RANDOM[name]
    model = layer(9, 50, num_layers=2, dtype=dtype, seed=1, **options)
    x = np.random.default_rng(0).standard_normal((4, 6, 9)).astype(dtype)
    assert_threads_agree(lambda: {"y": model(x, lengths=[6, 2, 5, 6])[0]})

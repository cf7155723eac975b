"""``save="recompute"``: the bits of ``save="all"`` from a fraction of its memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.bits import run_saving
from tests.support.comparison import (
    VARIANTS,
    assert_same_bits,
    build_layer,
    make_problem,
)
from tests.support.learned import learned
from tests.support.matrix import LAYERS
from tests.support.randomness import RANDOM_OPTIONS

# Each takes several pieces of time, except the last two.
SHAPES: dict[str, dict[str, Any]] = {
    "ragged": {"N": 5, "T": 500, "H": 65},
    "stack": {"N": 2, "T": 400, "H": 65, "L": 2},
    "dense": {"N": 9, "T": 333, "H": 65, "ragged": False},
    "one sequence": {"N": 1, "T": 1400, "H": 70, "ragged": False, "start": False},
    "both ways": {"N": 4, "T": 400, "H": 65, "bidirectional": True},
    "resets": {"N": 4, "T": 400, "H": 65, "resets": True},
    "many units": {"N": 3, "T": 260, "H": 140, "C": 33},
    "many rows": {"N": 300, "T": 41, "H": 33, "C": 3},
    "a step": {"N": 3, "T": 1, "H": 8},
    "no step": {"N": 3, "T": 0, "H": 8, "ragged": False},
}
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_shape
@pytest.mark.parametrize(("dtype", "count"), [("float32", 1), ("float32", 3), ("float64", 2)])
def test_same_bits(cell: str, dtype: str, count: int, shape: str) -> None:
    problem = make_problem(cell, **SHAPES[shape])
    with rf.threads(count):
        results, held = run_saving(problem, dtype, "recompute")
        assert_same_bits(results, run_saving(problem, dtype, "all")[0])
    if problem.layers == 1:
        assert (held > 0) == (cell == "lstm" and problem.x.shape[1] > 1), "pieces that begin with a c that was kept"


def test_same_bits_on_every_instruction_set(cell: str, isa: str) -> None:
    problem = make_problem(cell, **SHAPES["resets"])
    assert_same_bits(run_saving(problem, "float32", "recompute")[0], run_saving(problem, "float32", "all")[0])


@pytest.mark.parametrize("shape", ["dense", "resets", "both ways"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_same_bits_of_variants(variant: str, shape: str) -> None:
    problem = make_problem(variant, **SHAPES[shape])
    assert_same_bits(run_saving(problem, "float32", "recompute")[0], run_saving(problem, "float32", "all")[0])


@pytest.mark.parametrize("shape", ["dense", "both ways"])
@pytest.mark.parametrize(("kind", "random"), RANDOM_OPTIONS, ids=str)
def test_same_bits_under_chance(kind: str, random: str, shape: str) -> None:
    """Masks and noise are drawn again and are the same; R reads the first h of a piece under its mask."""
    problem = make_problem(kind, **{**SHAPES[shape], "L": 2})
    kept, again = (run_saving(problem, "float32", save, **{random: 0.4})[0] for save in ("all", "recompute"))
    assert_same_bits(again, kept)
    assert (kept["y"] != run_saving(problem, "float32", "all")[0]["y"]).any()


@pytest.mark.parametrize("shape", ["ragged", "both ways"])
def test_a_learned_initial_state(cell: str, shape: str) -> None:
    """Its gradient is a sum over sequences; it enters every piece's masks anew."""
    problem = learned(cell, **SHAPES[shape])
    options = {} if cell == "gru-before" else {"recurrent_dropout": 0.4}
    kept, again = (run_saving(problem, "float32", save, **options)[0] for save in ("all", "recompute"))
    assert_same_bits(again, kept)
    assert (kept["h0"] != 0).any()


def test_threads_may_change_between_forward_and_backward(cell: str) -> None:
    problem = make_problem(cell, **SHAPES["dense"])
    x, dy = problem.x.astype("float32"), problem.dy.astype("float32")
    layer, twin = build_layer(problem, "float32"), build_layer(problem, "float32")
    with rf.threads(3):
        tape = layer.forward(x, save="recompute")[2]
    with rf.threads(1):
        dx, _ = layer.backward(tape, dy)
        np.testing.assert_array_equal(dx, twin.backward(twin.forward(x)[2], dy)[0])
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(p.grad, twin.parameters()[name].grad, err_msg=name)


@pytest.mark.parametrize("sizes", [(1, 5000, 64), (64, 1000, 32), (256, 400, 16)])
def test_what_is_kept(cell: str, sizes: tuple[int, int, int]) -> None:
    """y and the tape take at most 20 % of the bytes for an LSTM, 25 % for a GRU; an RNN keeps nothing either way."""
    N, T, H = sizes
    kind = cell.split("-")[0]
    make = LAYERS[kind]
    layer, x = make(4, H, seed=0), np.ones((N, T, 4), np.float32)
    y, _, kept = layer.forward(x)
    _, _, again = layer.forward(x, save="recompute")
    share = {"rnn": 1, "lstm": 0.2, "gru": 0.25}[kind]
    assert y.nbytes + again.nbytes <= share * (y.nbytes + kept.nbytes)
    assert (again.nbytes > 0) == (cell == "lstm")


def test_refusal() -> None:
    with pytest.raises(ValueError, match=r"save: one of all, recompute is required, got 'some'"):
        rf.GRU(3, 5).forward(np.zeros((1, 2, 3), np.float32), save="some")

"""A reset begins with the learned initial state also where h is dropped on its way to R, or stays what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnfast import reference
from tests.support.comparison import (
    KINDS,
    Problem,
    Result,
    assert_matches,
    build_layer,
    bundle,
    collect,
    make_problem,
    tolerance,
)
from tests.support.learned import SHAPES, reset_problem, small
from tests.support.randomness import MASKED, ZONED, expected_zones, masks_of, zones_of


def run_random(problem: Problem, layer: Any, dtype: str, **random: Any) -> tuple[Result, Result]:
    """A training call of the layer, and the reference's under the same masks or zones."""
    kind, choice = KINDS[problem.cell]
    batch: dict[str, Any] = {"lengths": problem.lengths, "resets": problem.resets}
    y, last, tape = layer.forward(problem.x.astype(dtype), **batch)
    dx, dfirst = layer.backward(tape, problem.dy.astype(dtype), bundle([d.astype(dtype) for d in problem.dstate]))
    own = collect(y, last, dx, dfirst, {name: p.grad for name, p in layer.parameters().items()})
    y, last, tape = reference.forward(kind, problem.params, problem.x, **batch, **random, **choice)
    return own, collect(y, last, *reference.backward(tape, problem.dy, bundle(problem.dstate)))


@small
@pytest.mark.parametrize("kind", [*MASKED, "lstm-projected", "lstm-normed", "gru-normed"])
def test_recurrent_dropout(kind: str, dtype: str, shape: str) -> None:
    """After a reset R reads the learned h under the sequence's mask."""
    problem = reset_problem(kind, **SHAPES[shape])
    layer = build_layer(problem, dtype, recurrent_dropout=0.5, seed=3)
    plain = make_problem("lstm", C=4, H=problem.dstate[0].shape[2], L=2, bidirectional=problem.bidirectional)
    probe = build_layer(plain, dtype)
    probe._dropout_seed, probe._calls = layer._dropout_seed, layer._calls
    masks = masks_of(probe, len(problem.x)).astype(np.float64)
    own, expected = run_random(problem, layer, dtype, recurrent_masks=masks)
    assert_matches(problem, own, dtype, expected)


@small
@pytest.mark.parametrize("kind", ZONED)
def test_zoneout(kind: str, dtype: str, shape: str) -> None:
    """The state before a reset's step, which zoneout keeps a part of, is the learned one."""
    problem = reset_problem(kind, **SHAPES[shape])
    layer = build_layer(problem, dtype, zoneout=ZONED[kind], seed=3)
    zones = zones_of(layer, ZONED[kind], *problem.x.shape[:2])
    own, expected = run_random(problem, layer, dtype, zones=zones)
    assert_matches(problem, own, dtype, expected)
    calm = reference.forward(
        KINDS[kind][0],
        problem.params,
        problem.x,
        lengths=problem.lengths,
        resets=problem.resets,
        zones=expected_zones(problem, ZONED[kind]),
        **KINDS[kind][1],
    )[0]
    y, _ = layer(problem.x.astype(dtype), lengths=problem.lengths, resets=problem.resets)
    np.testing.assert_allclose(y, calm, rtol=0, atol=tolerance(problem, dtype) * float(np.linalg.norm(calm)))

"""Models show all states and gates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf

IDS = [[3, 1, 4, 1, 5], [2, 0], [6, 5, 3]]


def head_of(model: Any, h: Any) -> Any:
    state = model.state_dict()
    return h @ state["head.weight"].T + state["head.bias"]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_many_to_many(bidirectional: bool, rng: np.random.Generator) -> None:
    model = rf.ManyToMany(
        7, 3, embedding=4, cell="gru", hidden_size=5, num_layers=2, bidirectional=bidirectional, dropout=0.4, seed=0
    )
    resets = [rng.random(len(ids)) < 0.4 for ids in IDS]
    trace = model.trace(IDS, resets=resets)
    assert [h.shape for h in trace.h] == [(3, 5, 10 if bidirectional else 5)] * 2
    assert list(trace.gates) == ["r", "z", "n"]
    for n, p in enumerate(model.predict_proba(IDS, resets=resets)):
        own = np.exp(head_of(model, trace.h[-1][n, : len(p)]))
        np.testing.assert_allclose(own / own.sum(axis=1, keepdims=True), p, rtol=1e-5)
        assert (trace.h[-1][n, len(p) :] == 0).all()


def test_many_to_one(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 6, 2))
    model = rf.ManyToOne(2, 3, task="regression", hidden_size=5, dtype="float64", seed=0)
    trace = model.trace(x, lengths=[6, 2, 1, 3])
    expected = model.predict(x, lengths=[6, 2, 1, 3])
    np.testing.assert_allclose(head_of(model, trace.h[0][range(4), [5, 1, 0, 2]]), expected, rtol=1e-12)
    np.testing.assert_array_equal(trace.state[1][0], trace.c[0][range(4), [5, 1, 0, 2]])


def test_one_to_many(rng: np.random.Generator) -> None:
    """The context, too, is in it; one sequence is N = 1."""
    model = rf.OneToMany(7, context_size=2, hidden_size=5, dtype="float64", seed=0)
    context = rng.normal(size=(3, 2))
    trace = model.trace(IDS, context=context)
    for n, p in enumerate(model.predict_proba(IDS, context=context)):
        own = np.exp(head_of(model, trace.h[0][n, : len(p)]))
        np.testing.assert_allclose(own / own.sum(axis=1, keepdims=True), p, rtol=1e-10)
    one = model.trace(IDS[0], context=context[:1])
    np.testing.assert_array_equal(one.gates["f"][0], trace.gates["f"][0][:1])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_encoder_decoder(bidirectional: bool) -> None:
    """The trace of a decoder that reads given targets, or its own outputs."""
    model = rf.EncoderDecoder(7, 5, hidden_size=6, bidirectional=bidirectional, dtype="float64", seed=0)
    y = [[1, 2, 0, 4], [3], []]
    sources = [np.eye(7)[ids] for ids in IDS]
    trace = model.trace(sources, y)
    assert trace["encoder"].h[0].shape == (3, 5, 12 if bidirectional else 6)
    assert trace["decoder"].h[0].shape == (3, 5, 6)
    log_p = head_of(model, trace["decoder"].h[0])
    log_p -= np.log(np.exp(log_p).sum(axis=2, keepdims=True))
    found = [log_p[n, t, target] for n, ids in enumerate(y) for t, target in enumerate([*ids, model.stop_id])]
    assert -np.mean(found) == pytest.approx(model.loss(sources, y), rel=1e-10)
    own = model.predict(sources)
    np.testing.assert_array_equal(model.trace(sources)["decoder"].h[0], model.trace(sources, own)["decoder"].h[0])

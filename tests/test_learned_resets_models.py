"""Models and their streams go back to the learned initial state, or to what a context or a source gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf


def tagger(**options: Any) -> rf.ManyToMany:
    model = rf.ManyToMany(
        3,
        4,
        cell="lstm",
        hidden_size=6,
        num_layers=2,
        dtype="float64",
        seed=1,
        cell_options={"learn_initial_state": True},
        **options,
    )
    for name in ("rnn.h0", "rnn.c0"):
        p = model.parameters()[name]
        p[...] = np.random.default_rng(2).normal(size=p.shape)
    return model


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_model_with_resets_is_one_of_pieces(bidirectional: bool, rng: np.random.Generator) -> None:
    x, y, resets = rng.normal(size=(6, 9, 3)), rng.integers(0, 4, (6, 9)), rng.random((6, 9)) < 0.3
    model, twin = (tagger(bidirectional=bidirectional) for _ in range(2))

    def cut(values: np.ndarray) -> list[np.ndarray]:
        return [p for v, r in zip(values, resets, strict=True) for p in np.split(v, np.flatnonzero(r[1:]) + 1)]

    found, expected = model.loss_and_grad(x, y, resets=resets), twin.loss_and_grad(cut(x), cut(y))
    assert found == pytest.approx(expected, 1e-13)
    for name, p in model.parameters().items():
        np.testing.assert_allclose(p.grad, twin.parameters()[name].grad, rtol=1e-9, atol=1e-13, err_msg=name)
    whole = np.concatenate(list(model.predict_proba(x, resets=resets)))
    np.testing.assert_array_equal(whole, np.concatenate(twin.predict_proba(cut(x))))


def test_a_stream_of_a_model(rng: np.random.Generator) -> None:
    model, x, resets = tagger(), rng.normal(size=(3, 9, 3)), rng.random((3, 9)) < 0.3
    state = tuple(rng.normal(size=(2, 3, 6)) for _ in range(2))
    y, _ = model.rnn(x, state, resets=resets)
    stream = model.stream(3, state)
    for t in range(9):
        stream.reset(resets[:, t])
        np.testing.assert_array_equal(stream.step(x[:, t]), model.head(y[:, t]))


def test_a_stream_goes_back_to_its_context_or_source(rng: np.random.Generator) -> None:
    options: dict[str, Any] = {"hidden_size": 6, "seed": 0, "cell_options": {"learn_initial_state": True}}
    writer = rf.OneToMany(5, context_size=2, **options)
    decoder = rf.EncoderDecoder(5, 4, source_embedding=3, **options)
    for model in (writer, decoder):
        for name, p in model.parameters().items():
            if name.endswith(("h0", "c0")):
                p[...] = 1
    given = tuple(np.full((1, 2, 6), 0.5, np.float32) for _ in range(2))
    for stream in (writer.stream(2, context=np.eye(2)), decoder.stream(2, source=[[1, 2], [3]])):
        first = stream.state
        assert all((part != 1).any() for part in first)
        stream.step(np.array([1, 2]))
        stream.state = given
        stream.reset()
        for actual, expected in zip(stream.state, first, strict=True):
            np.testing.assert_array_equal(actual, expected)
    stream = decoder.stream(2, given)
    stream.reset()
    assert all((part == 1).all() for part in stream.state)

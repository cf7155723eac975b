"""A pair of sequences gives the same bits alone and in any batch, whatever the threads, and padding reaches nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.data import Sequences
from tests.support.comparison import CELLS
from tests.support.matrix import SETTINGS
from tests.support.state import using_isa

RNG = np.random.default_rng(0)
IDS = [RNG.integers(0, 9, n) for n in RNG.integers(0, 25, 30)]
FRAMES = [RNG.normal(size=(n, 3)) for n in RNG.integers(0, 25, 30)]
Y = [RNG.integers(0, 6, n) for n in RNG.integers(0, 15, 30)]


def translator(dtype: str, cell: str = "lstm", **options: Any) -> Any:
    kind, own = CELLS[cell]
    given = {"hidden_size": 19, "num_layers": 2, "source_embedding": 5, "dtype": dtype, "seed": 0, **options}
    return rf.EncoderDecoder(9 if given["source_embedding"] else 3, 6, cell=kind, cell_options=own, **given)


def assert_equal(actual: Any, expected: Any) -> None:
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


ATTENTION = [None, "additive", "dot"]


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize(("embedding", "beams"), [(5, None), (None, 3)])
def test_a_prediction_does_not_depend_on_the_batch(
    cell: str, dtype: str, embedding: int | None, beams: int | None, attention: str | None
) -> None:
    model = translator(dtype, cell, source_embedding=embedding, attention=attention)
    x = IDS if embedding else FRAMES
    together = model.predict(x, beams=beams)
    assert_equal(model.predict(x, beams=beams, batch_size=7), together)
    assert_equal(model.predict(x[::-1], beams=beams)[::-1], together)
    assert_equal([model.predict([s], beams=beams)[0] for s in x], together)
    if beams is None:
        p = model.predict_proba(x)
        assert_equal(model.predict_proba(x, batch_size=4), p)
        assert_equal([model.predict_proba([s])[0] for s in x], p)
    if attention is not None:
        maps = model.predict(x, beams=beams, return_attention=True)[1]
        assert_equal([model.predict([s], beams=beams, return_attention=True)[1][0] for s in x], maps)


@pytest.mark.parametrize(("task", "attention"), [("regression", None), ("multilabel", None), ("regression", "dot")])
def test_vectors_do_not_depend_on_the_batch(task: str, attention: str | None, dtype: str) -> None:
    model = translator(dtype, task=task, source_embedding=None, attention=attention)
    together = model.predict(FRAMES, max_length=7)
    assert_equal([model.predict([s], max_length=7)[0] for s in FRAMES], together)
    assert_equal(model.predict(FRAMES, max_length=4), together[:, :4])


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_pairs_loss_does_not_depend_on_its_batch(dtype: str, attention: str | None) -> None:
    """The outputs of each pair, from which its loss is made."""
    model = translator(dtype, attention=attention)
    data = model._read_data(IDS, Y, batch_size=30)
    (whole,) = data.batches()
    together = model._outputs(whole, None, keep=True)[0][""]
    parts = [model._outputs(data.batch(np.array([n])), None, keep=True)[0][""] for n in range(30)]
    assert_equal(np.concatenate(parts), together)
    assert_equal(model._all_outputs(data)[""], together)


def spread(s: Sequences, fill: float) -> Sequences:
    """The same sequences with three other elements behind each."""
    ends = np.cumsum(s.lengths)
    values = np.insert(s.flat(), np.repeat(ends, 3), fill, axis=0)
    return Sequences(values, ends - s.lengths + 3 * np.arange(len(s)), s.lengths, ragged=True)


@pytest.mark.parametrize("attention", ATTENTION)
def test_what_lies_between_sequences_reaches_nothing(dtype: str, attention: str | None) -> None:
    """Not a number in frames and vectors, other ids in targets."""
    for options in ({}, {"task": "regression"}):
        model = translator(dtype, source_embedding=None, attention=attention, **options)
        y: Any = Y if not options else [np.sin(np.arange(6 * len(s))).reshape(-1, 6) for s in Y]
        (batch,) = model._read_data(FRAMES, y, batch_size=30).batches()
        results = []
        for fill in (0, 1):
            sources = spread(batch.sources, np.nan if fill else 0)
            inputs = spread(batch.inputs, (np.nan if options else 5) if fill else 0)
            model.zero_grad()
            found = model.batch_loss(replace(batch, sources=sources, inputs=inputs), gradient=True)
            results.append([found.loss, found.outputs[""], *(p.grad.copy() for p in model.parameters().values())])
        assert np.isfinite(results[0][0])
        assert_equal(*results)


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_trained_model_has_the_same_bits_everywhere(dtype: str, attention: str | None) -> None:
    """Threads and vector width change no bit, with dropout, weights, clipping and search."""

    def outcome() -> list[bytes]:
        model = translator(dtype, "gru", dropout=0.2, target_embedding=4, attention=attention)
        model.fit(
            IDS, Y, epochs=2, batch_size=8, sample_weight=np.linspace(0, 1, 30), clip_norm=0.1, progress=False, seed=0
        )
        found = [*model.predict(IDS), *model.predict(IDS, beams=4, length_penalty=0.5), *model.predict_proba(IDS)]
        return [v.tobytes() for v in (*model.state_dict().values(), *found)] + [repr(model.evaluate(IDS, Y)).encode()]

    first = None
    for isa, threads in SETTINGS:
        with using_isa(isa), rf.threads(threads):
            found = outcome()
        assert found == (first or found), (isa, threads)
        first = found

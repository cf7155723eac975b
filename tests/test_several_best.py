"""The n best sequences of a beam search: those that trying every sequence finds, and the first is the engine's."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from tests.support.comparison import CELLS
from tests.support.custom import TOLD
from tests.support.matrix import DTYPES

PROMPTS = [[2, 0, 1], [1]]
SOURCES = [np.array([2, 0, 1, 1]), np.array([1]), np.array([0, 2])]
equal = np.testing.assert_array_equal


def sharpened(model: Any) -> Any:
    """The model with weights large enough for what was written to matter, which do not let states grow."""
    for name, p in model.parameters().items():
        p[...] = p.value * (1 if "weight_hh" in name else 2.5)
    return model


def writer(cell: str, **options: Any) -> Any:
    kind, own = CELLS[cell]
    given = {"dtype": "float64", "cell": kind, "cell_options": own, **options}
    return sharpened(rf.OneToMany(3, hidden_size=9, seed=3, **given))


def translator(cell: str, **options: Any) -> Any:
    kind, own = CELLS[cell]
    sizes: dict[str, Any] = {"hidden_size": 9, "source_embedding": 4, "dtype": "float64", "seed": 3}
    return sharpened(rf.EncoderDecoder(3, 2, cell=kind, cell_options=own, **{**sizes, **options}))


def hypotheses(ids: int, length: int, stop: int | None) -> list[tuple[int, ...]]:
    """Every sequence of ids that may be written, a stop at its end included."""
    every = product(range(ids), repeat=length)
    return sorted({w if stop not in w else w[: w.index(stop) + 1] for w in every})


def ranked(written: list[tuple[int, ...]], log_p: list[float], penalty: float) -> list[int]:
    scores = np.array(log_p) / ((5 + np.array([len(w) for w in written])) / 6) ** penalty
    return [int(i) for i in np.argsort(-scores, kind="stable")]


@pytest.mark.parametrize(("stop", "penalty"), [(None, 0.0), (1, 0.0), (1, 0.8), (2, -1.0)])
def test_one_to_many(cell: str, stop: int | None, penalty: float) -> None:
    model, n, length = writer(cell), 7, 4
    options: dict[str, Any] = {"beams": 3**length, "stop": stop, "length_penalty": penalty}
    found, log_p = model.generate(PROMPTS, length, num_sequences=n, return_log_probs=True, **options)
    written = hypotheses(3, length, stop)
    for row, prompt in enumerate(PROMPTS):
        p = model.predict_proba([[*prompt, *w] for w in written])
        each = [np.log(own[len(prompt) - 1 : -1][np.arange(len(w)), w]) for own, w in zip(p, written, strict=True)]
        best = ranked(written, [one.sum() for one in each], penalty)[:n]
        for place, i in enumerate(best):
            ids = [k for k in written[i] if k != stop]
            assert found[row * n + place].tolist() == ids
            np.testing.assert_allclose(log_p[row * n + place], each[i][: len(ids)], rtol=1e-10)


@pytest.mark.parametrize("attention", [None, "additive", "dot"])
@pytest.mark.parametrize("penalty", [0.0, 0.6])
def test_encoder_decoder(cell: str, attention: str | None, penalty: float) -> None:
    """Against the reference, log p with the stop's."""
    model, n, length = translator(cell, attention=attention), 5, 3
    found, log_p = model.predict(
        SOURCES, beams=27, num_sequences=n, max_length=length, length_penalty=penalty, return_log_probs=True
    )
    written = hypotheses(3, length, 2)
    assert log_p.shape == (len(SOURCES), n)
    for x, rows, each in zip(SOURCES, found, log_p, strict=True):
        every = []
        for w in written:
            outputs = reference.encoder_decoder(
                model.config["cell"],
                model.state_dict(),
                x[None],
                np.array([[3, *w[:-1]]]),
                **model.config["cell_options"],
            )
            every.append(float(reference.log_softmax(outputs[0])[np.arange(len(w)), w].sum()))
        best = ranked(written, every, penalty)[:n]
        assert [ids.tolist() for ids in rows] == [[k for k in written[i] if k != 2] for i in best]
        np.testing.assert_allclose(each, [every[i] for i in best], rtol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beams", [2, 3, 6])
def test_the_first_is_the_engines(cell: str, dtype: str, beams: int) -> None:
    """Where the beam is narrow, both keep the same hypotheses."""
    model = writer(cell, dtype=dtype, num_layers=2)
    options: dict[str, Any] = {"beams": beams, "stop": 2, "length_penalty": 0.3, "return_log_probs": True}
    for prefix in (None, [0, 1]):
        ids, log_p = model.generate(PROMPTS, 9, prefix=prefix, **options)
        several, each = model.generate(PROMPTS, 9, prefix=prefix, num_sequences=2, **options)
        for found, expected, own, theirs in zip(several[::2], ids, each[::2], log_p, strict=True):
            equal(found, expected)
            np.testing.assert_allclose(own, theirs, rtol=1e-4 if dtype == "float32" else 1e-12)
    for attention in (None, "additive", "dot"):
        pair = translator(cell, dtype=dtype, attention=attention, bidirectional=True)
        single, one = pair.predict(SOURCES, beams=beams, return_log_probs=True)
        best, two = pair.predict(SOURCES, beams=beams, num_sequences=2, return_log_probs=True)
        for rows, expected in zip(best, single, strict=True):
            equal(rows[0], expected, strict=True)
        np.testing.assert_allclose(two[:, 0], one, rtol=1e-4 if dtype == "float32" else 1e-12)
        assert (two[:, 0] >= two[:, 1]).all()


def test_log_p_of_the_greedy_sequence(cell: str) -> None:
    model = translator(cell, attention="dot")
    ids, log_p = model.predict(SOURCES, max_length=4, return_log_probs=True)
    p = model.predict_proba(SOURCES, max_length=5)
    for x, own, total, each in zip(SOURCES, ids, log_p, p, strict=True):
        assert x.ndim == 1
        expected = np.log(each[np.arange(len(own)), own]).sum()
        if len(own) < 4:
            framed = np.array([[3, *own]])
            outputs = reference.encoder_decoder(
                model.config["cell"], model.state_dict(), x[None], framed, **model.config["cell_options"]
            )
            expected += float(reference.log_softmax(outputs[0])[len(own), 2])
        assert total == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("n", [1, 3])
def test_custom_cells_search_too(kind: str, n: int) -> None:
    """A cell told in NumPy against the engine's own, with the same parameters."""
    model = writer("gru" if kind == "gru" else "lstm")
    told = rf.OneToMany(3, cell=TOLD[kind], hidden_size=9, dtype="float64", seed=0)
    for p, q in zip(told.parameters().values(), model.parameters().values(), strict=True):
        p[...] = q.value
    options: dict[str, Any] = {"beams": 4, "stop": 2, "num_sequences": n, "return_log_probs": True}
    for prefix in (None, [1]):
        for found, expected in zip(
            told.generate(PROMPTS, 6, prefix=prefix, **options),
            model.generate(PROMPTS, 6, prefix=prefix, **options),
            strict=True,
        ):
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("beams", [None, 3])
def test_ragged_prompts_are_as_one_by_one(cell: str, beams: int | None) -> None:
    model, prompts = writer(cell), [[0, 1, 2, 2], [1], [2, 0], [0, 1, 0, 1, 0, 2, 1]]
    options: dict[str, Any] = {"beams": beams, "greedy": beams is None, "stop": 2, "return_log_probs": True}
    ids, log_p = model.generate(prompts, 8, **options)
    for prompt, found, own in zip(prompts, ids, log_p, strict=True):
        alone, theirs = model.generate(prompt, 8, **options)
        equal(found, alone, strict=True)
        equal(own, theirs, strict=True)


def test_ragged_prompts_of_numbers_are_as_one_by_one(rng: np.random.Generator) -> None:
    model = rf.OneToMany(2, task="regression", hidden_size=5, seed=0)
    prompts = [rng.normal(size=(length, 2)) for length in (4, 1, 7)]
    for found, prompt in zip(model.generate(prompts, 6), prompts, strict=True):
        equal(found, model.generate(prompt, 6), strict=True)


def test_refusals() -> None:
    model, pair = writer("gru"), translator("gru", attention="dot")
    with pytest.raises(ValueError, match="num_sequences: at most beams = 2 is required, got 3"):
        model.generate([0], 4, beams=2, num_sequences=3)
    with pytest.raises(ValueError, match="num_sequences: at most 3 is required, the sequences that 9 beams find here"):
        model.generate([0], 1, beams=9, num_sequences=4)
    with pytest.raises(ValueError, match="num_sequences: 1 is required without beams, got 2"):
        pair.predict(SOURCES, num_sequences=2)
    with pytest.raises(ValueError, match="num_sequences: 1 is required beside return_attention, got 2"):
        pair.predict(SOURCES, beams=2, num_sequences=2, return_attention=True)
    numbers = rf.EncoderDecoder(3, 2, hidden_size=4, source_embedding=2, task="regression", seed=0)
    with pytest.raises(ValueError, match="return_log_probs: False is required for task='regression'"):
        numbers.predict(SOURCES, max_length=3, return_log_probs=True)

"""Models and the user's data: shapes, types, raggedness, and learning."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.matrix import LAYERS

LENGTHS = np.array([4, 7, 0, 1, 7])


def ragged(rng: np.random.Generator, size: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return sequences as a list and as one array whose padding is NaN."""
    items = [rng.normal(size=(n, size)) for n in LENGTHS]
    array = np.full((5, 7, size), np.nan)
    for row, item in zip(array, items, strict=True):
        row[: len(item)] = item
    return items, array


@pytest.mark.parametrize("cell", LAYERS)
def test_a_sequence_gives_the_same_bits_alone_and_in_a_batch(cell: str, dtype: str, rng: np.random.Generator) -> None:
    items, array = ragged(rng, 3)
    model = rf.ManyToOne(3, 4, cell=cell, hidden_size=9, num_layers=2, dtype=dtype, seed=0)
    together = model.predict_proba(items)
    assert together.shape == (5, 4)
    assert together.dtype == dtype
    np.testing.assert_array_equal(together, model.predict_proba(array, lengths=LENGTHS))
    np.testing.assert_array_equal(together, model.predict_proba(items, batch_size=2))
    for n, item in enumerate(items):
        np.testing.assert_array_equal(model.predict_proba([item])[0], together[n])
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(items), together.argmax(axis=1))


def test_next_elements_come_back_in_the_shape_of_the_data(dtype: str, rng: np.random.Generator) -> None:
    model = rf.OneToMany(6, embedding=3, hidden_size=5, dtype=dtype, seed=0)
    array = rng.integers(0, 6, (3, 8))
    full = model.predict_proba(array)
    assert full.shape == (3, 8, 6)
    assert model.predict(array).shape == (3, 8)
    pieces = model.predict_proba(array, lengths=[8, 3, 0])
    assert [p.shape for p in pieces] == [(8, 6), (3, 6), (0, 6)]
    np.testing.assert_array_equal(pieces[1], full[1, :3])
    listed = model.predict_proba([array[1, :3], array[0]])
    np.testing.assert_array_equal(listed[0], full[1, :3])
    np.testing.assert_array_equal(listed[1], full[0])
    np.testing.assert_array_equal(model.predict(array[0]), full[0].argmax(axis=1))


def test_garbage_beyond_a_length_reaches_nothing(rng: np.random.Generator) -> None:
    """The padding may hold numbers that are no ids."""
    array = rng.integers(0, 4, (2, 5))
    model = rf.OneToMany(4, embedding=2, hidden_size=3, dtype="float64", seed=0)
    clean = model.loss(array, lengths=[5, 2])
    array[1, 2:] = -7
    assert model.loss(array, lengths=[5, 2]) == clean
    assert model.loss([array[0], array[1, :2]]) == clean


def test_outputs_of_the_three_tasks(rng: np.random.Generator) -> None:
    x = rng.normal(size=(6, 4, 2))
    numbers = rf.ManyToOne(2, 3, task="regression", hidden_size=4, seed=0).predict(x)
    assert numbers.shape == (6, 3)
    assert numbers.dtype == np.float32
    model = rf.ManyToOne(2, 3, task="multilabel", hidden_size=4, seed=0)
    p = model.predict_proba(x)
    np.testing.assert_array_equal(model.predict(x), p > 0.5)
    logits = np.log(p.astype(float) / (1 - p.astype(float)))
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-logits)), rtol=1e-6)
    classes = rf.ManyToOne(2, 3, hidden_size=4, seed=0).predict(x)
    assert classes.shape == (6,)
    assert classes.dtype == np.int64


def test_losses_are_what_their_formulas_say(rng: np.random.Generator) -> None:
    x, w = rng.normal(size=(6, 4, 2)), rng.uniform(size=6)
    y = rng.integers(0, 3, 6)
    model = rf.ManyToOne(2, 3, hidden_size=4, dtype="float64", seed=0)
    p = model.predict_proba(x)[np.arange(6), y]
    assert model.loss(x, y) == pytest.approx(-np.log(p).mean(), rel=1e-13)
    assert model.loss(x, y, sample_weight=w) == pytest.approx(-(w * np.log(p)).sum() / w.sum(), rel=1e-13)
    model = rf.ManyToOne(2, 2, task="regression", hidden_size=4, dtype="float64", seed=0)
    target = rng.normal(size=(6, 2))
    error = model.predict(x) - target
    found = model.evaluate(x, target, batch_size=4)
    assert found == pytest.approx({"loss": (error**2).mean(), "mae": abs(error).mean()}, rel=1e-13)
    assert model.loss(x, target) == pytest.approx(found["loss"], rel=1e-13)


def test_evaluation_does_not_depend_on_batches_or_cuts(rng: np.random.Generator) -> None:
    sequences = [rng.integers(0, 5, n) for n in (9, 2, 30, 17)]
    weights = [1.0, 2.0, 0.5, 0.0]
    model = rf.OneToMany(5, hidden_size=4, dtype="float64", seed=0)
    whole = model.evaluate(sequences, sample_weight=weights)
    cuts: list[dict[str, Any]] = [{"batch_size": 1}, {"batch_size": 3}, {"tbptt": 4}, {"tbptt": 4, "batch_size": 2}]
    for options in cuts:
        assert model.evaluate(sequences, sample_weight=weights, **options) == pytest.approx(whole, rel=1e-12)
    assert model.loss(sequences, sample_weight=weights) == pytest.approx(whole["loss"], rel=1e-13)


def test_burn_in_leaves_out_the_cold_start(rng: np.random.Generator) -> None:
    text = rng.integers(0, 5, 40)
    model = rf.OneToMany(5, hidden_size=4, dtype="float64", seed=0)
    p = model.predict_proba(text[:-1])[np.arange(39), text[1:]]
    assert model.loss(text, burn_in=10) == pytest.approx(-np.log(p[10:]).mean(), rel=1e-13)
    for tbptt in (4, 10, 39):
        found = model.evaluate(text, burn_in=10, tbptt=tbptt)["loss"]
        assert found == pytest.approx(-np.log(p[10:]).mean(), rel=1e-13)
    with pytest.raises(ValueError, match=r"sequences: at least one step with a target is required \(burn_in = 39\)"):
        model.loss(text, burn_in=39)


def test_user_data_are_converted_to_the_models_type(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(4, 3, 2)), [0, 1, 1, 0]
    model = rf.ManyToOne(2, 2, hidden_size=4, seed=0)
    assert model.loss(x, y) == model.loss(x.astype(np.float32), np.array(y, np.uint8))
    assert model.loss(x, y) == model.loss(list(x), tuple(y)) == model.loss(np.asfortranarray(x), y)
    assert model.loss(x.round().astype(int), y) == model.loss(x.round(), y)
    one = rf.ManyToOne(1, 1, task="regression", hidden_size=2, seed=0)
    assert one.loss(x[..., 0], x[:, 0, 0]) == one.loss(x[..., :1], x[:, 0, :1])


def test_empty_data_give_empty_results() -> None:
    model = rf.ManyToOne(2, 3, hidden_size=4, seed=0)
    assert model.predict([]).shape == (0,)
    assert model.predict_proba(np.zeros((0, 5, 2))).shape == (0, 3)
    assert np.isfinite(model.loss_and_grad(np.zeros((3, 0, 2)), [0, 1, 2]))
    writer = rf.OneToMany(3, hidden_size=4, seed=0)
    assert writer.predict([]) == []


@pytest.mark.parametrize("cell", LAYERS)
def test_order_is_learned(cell: str, rng: np.random.Generator) -> None:
    """Which of two signals came first? A bag of steps cannot know."""
    x = np.zeros((300, 10, 2))
    places = np.array([rng.choice(10, 2, replace=False) for _ in x])
    x[np.arange(300), places[:, 0], 0] = 1
    x[np.arange(300), places[:, 1], 1] = 1
    y = (places[:, 0] < places[:, 1]).astype(int)
    model = rf.ManyToOne(2, 2, cell=cell, hidden_size=16, seed=0)
    history = model.fit(x[:200], y[:200], epochs=30, batch_size=20, lr=1e-2, clip_norm=1.0, progress=False, seed=0)
    assert history.history["loss"][-1] < 0.2 * history.history["loss"][0]
    assert model.evaluate(x[200:], y[200:])["accuracy"] > 0.9


def test_a_sum_is_learned_exactly_by_the_identity() -> None:
    """Unit weights and the identity: the head reads the sum of the sequence."""
    model = rf.ManyToOne(1, 1, cell="rnn", hidden_size=1, task="regression", cell_options={"activation": "identity"})
    for name, p in model.parameters().items():
        p[...] = np.ones(p.shape) if "weight" in name else np.zeros(p.shape)
    x = [np.arange(n) for n in (1, 5, 0, 100)]
    np.testing.assert_array_equal(model.predict(x).ravel(), [0, 10, 0, 4950])


def vowels(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Read a .ts file: channels separated by colons, the class last."""
    with gzip.open(path, "rt") as file:
        cases = [line.strip().split(":") for line in file if line.strip() and line[0] not in "@#"]
    x = [np.array([c.split(",") for c in case[:-1]], float).T for case in cases]
    return x, np.array([int(case[-1]) - 1 for case in cases])


@pytest.mark.data
def test_speakers_of_japanese_vowels(data_folder: Path) -> None:
    folder = data_folder / "japanese_vowels"
    x, y = vowels(folder / "JapaneseVowels_TRAIN.ts.gz")
    assert {len(s) for s in x} <= set(range(7, 30))
    assert x[0].shape[1] == 12
    model = rf.ManyToOne(12, 9, cell="gru", hidden_size=32, seed=0)
    model.fit(x, y, epochs=30, batch_size=16, lr=5e-3, clip_norm=1.0, progress=False, seed=0)
    result: dict[str, Any] = model.evaluate(*vowels(folder / "JapaneseVowels_TEST.ts.gz"))
    assert result["accuracy"] > 0.9

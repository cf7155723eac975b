"""The demo's data are split honestly, and its yard-sticks are what they claim to be."""

from __future__ import annotations

import itertools
import sys
import unicodedata
from collections import Counter
from typing import Any

import numpy as np
import pytest

from rnnfast.demo import manual_text, ngrams, unicode_data
from rnnfast.demo.bag import BagOfLetters, minimise
from rnnfast.demo.unicode_names import balanced_accuracy

V = 4


def every_continuation(train: Any, history: list[int], order: int) -> Any:
    """p(x | history) for every x."""
    return [
        ngrams.ngram_probabilities(train, np.array(history), np.array([*history[1:], x]), V, order)[order][-1]
        for x in range(V)
    ]


def witten_bell(train: list[int], history: tuple[int, ...], x: int) -> float:
    """The formula with counters instead of arrays; a symbol counts when something stands before it."""
    n = len(history)
    lower = witten_bell(train, history[1:], x) if history else 1 / V
    after = Counter(train[i] for i in range(max(n, 1), len(train)) if tuple(train[i - n : i]) == history)
    total = after.total()
    return (after[x] + len(after) * lower) / (total + len(after)) if total else lower


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_ngram_probabilities_are_normalised(order: int, rng: np.random.Generator) -> None:
    train = rng.integers(V - 1, size=60)
    for history in ([0, 1, 2, 0, 1, 2], [3, 3, 3, 3, 3, 3], [0, 3, 0, 1, 1, 2]):
        p = np.array(every_continuation(train, history, order))
        assert (p > 0).all()
        assert p.sum() == pytest.approx(1, abs=1e-12)


def test_ngrams_equal_the_formula(rng: np.random.Generator) -> None:
    train = rng.integers(V - 1, size=80)
    for history in itertools.product(range(V), repeat=2):
        for x in range(V):
            found = ngrams.ngram_probabilities(train, np.array(history), np.array([history[1], x]), V, 3)
            for order in (1, 2, 3):
                expected = witten_bell(train.tolist(), history[2 - (order - 1) :], x)
                assert found[order][-1] == pytest.approx(expected, rel=1e-12), (order, history, x)


def test_the_first_symbols_have_short_histories(rng: np.random.Generator) -> None:
    train, test = rng.integers(V, size=200), rng.integers(V, size=5)
    p = ngrams.ngram_probabilities(train, test[:-1], test[1:], V, 6)
    assert p[6][0] == p[2][0]
    assert p[6][1] == p[3][1]
    assert all(len(values) == 4 for values in p.values())


def test_ngrams_learn_what_has_a_pattern() -> None:
    """a b a c a b a c ...: two symbols of history tell all."""
    train, test = np.array([0, 1, 0, 2] * 200), np.array([0, 1, 0, 2] * 5)
    nats = ngrams.ngram_nats(train, test, V, 4)
    assert nats[1] > nats[2] > nats[3]
    assert nats[3] < 0.05
    order, best = ngrams.best_ngram(train, test, V, 4)
    assert best == min(nats.values()) == nats[order]


def test_a_bag_does_not_see_order(rng: np.random.Generator) -> None:
    x = [rng.integers(5, size=n) for n in rng.integers(1, 12, 80)]
    bag = BagOfLetters(5, 3)
    bag.fit(x, rng.integers(3, size=80))
    np.testing.assert_array_equal(bag.predict(x), bag.predict([rng.permutation(s) for s in x]))


def test_a_bag_learns_what_counts_tell(rng: np.random.Generator) -> None:
    x = [rng.integers(4, size=10) for _ in range(400)]
    y = np.array([int((s == 0).sum() > (s == 1).sum()) + int(3 in s) for s in x])
    bag = BagOfLetters(4, 3)
    bag.fit(x, y, weights=1.0 / np.bincount(y)[y])
    assert (bag.predict(x) == y).mean() > 0.95


def test_minimise_finds_the_optimum(rng: np.random.Generator) -> None:
    a = rng.normal(size=(30, 8)) * 10.0 ** np.arange(-1, 3, 0.5)
    b = rng.normal(size=30)

    def objective(x: Any) -> tuple[float, Any]:
        r = a @ x - b
        return float(r @ r), 2 * a.T @ r

    found = minimise(objective, np.zeros(8), iterations=2000, tolerance=1e-10)
    np.testing.assert_allclose(found, np.linalg.lstsq(a, b, rcond=None)[0], rtol=1e-5)


def test_balanced_accuracy_gives_every_class_the_same_say() -> None:
    y = np.array([0] * 8 + [1] * 2)
    assert balanced_accuracy(np.zeros(10, int), y) == 0.5
    assert balanced_accuracy(y, y) == 1.0
    assert balanced_accuracy([0] * 8 + [1, 0], y) == 0.75


def test_names_are_neither_algorithmic_nor_numbered() -> None:
    names, categories = unicode_data.characters()
    assert len(names) == len(categories) == len(set(names)) > 20_000
    assert {"LATIN SMALL LETTER A", "DIGIT ONE"} <= set(names)
    assert not any(c.isdigit() for name in names for c in name)
    assert not any(
        name.startswith(("CJK UNIFIED IDEOGRAPH-", "HANGUL SYLLABLE", "TANGUT IDEOGRAPH-")) for name in names
    )
    assert all(
        unicodedata.category(unicodedata.lookup(n)) == c for n, c in zip(names[::97], categories[::97], strict=True)
    )


def test_a_fifth_of_every_category_is_held_out() -> None:
    data = unicode_data.load(2000, also=["Q"], rng=np.random.default_rng(0))
    assert not set(data.train) & set(data.test)
    assert len(data.train) + len(data.test) == len(data.x) == len(data.y)
    share = np.bincount(data.y[data.test]) / np.bincount(data.y)
    assert ((share > 0.1) & (share < 0.3)).all()
    assert len(share) == len(data.classes)


def test_no_paragraph_is_in_both_parts() -> None:
    topics = manual_text.without_duplicates(manual_text.load())
    parts = manual_text.split(topics, share=0.1, rng=np.random.default_rng(0))
    assert 0.08 < len(parts.test) / (len(parts.test) + len(parts.train)) < 0.2

    def paragraphs(text: str) -> set[str]:
        return {" ".join(p.split()).casefold() for p in text.replace(manual_text.START, "\n\n").split("\n\n")} - {""}

    assert not paragraphs(parts.train) & paragraphs(parts.test)
    assert set(parts.test) - {manual_text.UNKNOWN} <= set(parts.train)
    assert parts.test.count(manual_text.START) == len(parts.held_out)


def test_unknown_characters_are_marked() -> None:
    topics = {"a": "xy" * 50, "b": "xy" * 50, "c": "x€" * 5}
    for seed in range(20):
        parts = manual_text.split(topics, share=0.05, rng=np.random.default_rng(seed))
        assert parts.held_out == ["c"]
        assert parts.test == manual_text.START + ("x" + manual_text.UNKNOWN) * 5


def test_without_a_manual_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ModuleNotFoundError, match=r"manual: .*pydoc_data.topics is required"):
        manual_text.load()

"""Made problems, verified by logic that is not theirs."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.data import synthetic

MAKERS: dict[str, Callable[..., Any]] = {
    "adding": lambda seed: synthetic.adding(50, 20, seed=seed),
    "copy_memory": lambda seed: synthetic.copy_memory(50, 7, seed=seed),
    "parity": lambda seed: synthetic.parity(50, 20, seed=seed),
    "cumulative_sum": lambda seed: synthetic.cumulative_sum(50, 20, seed=seed),
    "temporal_order": lambda seed: synthetic.temporal_order(50, 20, seed=seed),
    "reber": lambda seed: synthetic.reber(50, seed=seed),
    "reber_strings": lambda seed: synthetic.reber_strings(50, seed=seed),
    "two_sines": lambda seed: synthetic.two_sines(50, 20, seed=seed),
    "seasonal_series": lambda seed: synthetic.seasonal_series(50, 20, seed=seed),
    "perceptual_decision": lambda seed: synthetic.perceptual_decision(50, seed=seed),
    "addition": lambda seed: synthetic.addition(50, seed=seed),
    "dates": lambda seed: synthetic.dates(50, seed=seed),
}


def test_every_maker_is_tested() -> None:
    assert set(MAKERS) == {name for name in dir(synthetic) if callable(getattr(synthetic, name))}


@pytest.mark.parametrize("name", MAKERS)
def test_a_seed_decides(name: str) -> None:
    make = MAKERS[name]
    np.testing.assert_equal(make(3), make(3))
    np.testing.assert_equal(make(np.random.default_rng(3)), make(3))
    rng = np.random.default_rng(3)
    first, second = make(rng), make(rng)
    for other in (second, make(4), make(None)):
        with pytest.raises(AssertionError):
            np.testing.assert_equal(other, first)


@pytest.mark.parametrize("length", [2, 3, 10, 101])
def test_adding(length: int) -> None:
    x, y = synthetic.adding(400, length, seed=0)
    for sequence, target in zip(x, y, strict=True):
        marked = [t for t in range(length) if sequence[t, 1] == 1]
        assert len(marked) == 2
        assert marked[0] < length // 2 <= marked[1]
        assert set(sequence[:, 1]) <= {0.0, 1.0}
        assert target == pytest.approx([sequence[marked[0], 0] + sequence[marked[1], 0]], rel=1e-15)
    assert x[..., 0].min() >= 0
    assert x[..., 0].max() < 1
    if length > 100:
        assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.25)
        places = np.argmax(x[..., 1], axis=1)
        assert (places.min(), places.max()) < (5, 50)


@pytest.mark.parametrize(("delay", "symbols", "copied"), [(1, 8, 10), (5, 2, 3), (30, 8, 1)])
def test_copy_memory(delay: int, symbols: int, copied: int) -> None:
    x, y = synthetic.copy_memory(100, delay, symbols=symbols, copied=copied, seed=0)
    assert x.shape == y.shape == (100, delay + 2 * copied)
    for sequence, target in zip(x.tolist(), y.tolist(), strict=True):
        told, mark = sequence[:copied], sequence.index(symbols + 1)
        assert all(1 <= symbol <= symbols for symbol in told)
        assert mark - (copied - 1) == delay
        assert target == [0] * (delay + copied) + told
        assert sequence == told + [0] * (delay - 1) + [symbols + 1] + [0] * copied
    assert len(set(x[:, 0])) == symbols


def test_parity() -> None:
    x, y = synthetic.parity(100, 33, seed=0)
    for bits, answers in zip(x.tolist(), y.tolist(), strict=True):
        assert answers == [sum(bits[: t + 1]) % 2 for t in range(33)]
    assert 0.4 < x.mean() < 0.6


def test_cumulative_sum() -> None:
    x, y = synthetic.cumulative_sum(20, 50, seed=0)
    for numbers, sums in zip(x[..., 0].tolist(), y[..., 0].tolist(), strict=True):
        assert sums == pytest.approx([math.fsum(numbers[: t + 1]) for t in range(50)], abs=1e-13)
    assert -1 <= x.min() < -0.9 < 0.9 < x.max() < 1


@pytest.mark.parametrize("length", [10, 37, 100])
def test_temporal_order(length: int) -> None:
    x, y = synthetic.temporal_order(300, length, seed=0)
    for sequence, label in zip(x, y, strict=True):
        text = "".join("abcdXYEB"[i] for i in sequence)
        assert (text[0], text[-1]) == ("E", "B")
        pair = [c for c in text if c in "XY"]
        assert ["XX", "XY", "YX", "YY"][label] == "".join(pair)
        places = [t for t, c in enumerate(text) if c in "XY"]
        assert length // 10 <= places[0] < length // 5
        assert length // 2 <= places[1] < length * 3 // 5
    assert set(y) == {0, 1, 2, 3}


# Cleeremans, Servan-Schreiber and McClelland 1989, figure 3: the states between which each symbol leads.
EDGES = {
    "B": [(0, 1)],
    "T": [(1, 2), (3, 3)],
    "P": [(1, 3), (5, 4)],
    "S": [(2, 2), (4, 6)],
    "X": [(2, 4), (4, 3)],
    "V": [(3, 5), (5, 6)],
    "E": [(6, 7)],
}


def reachable(text: str) -> set[int]:
    """Where an automaton may be after a text of the inner grammar, by sets of states."""
    states = {0}
    for symbol in text:
        states = {after for before, after in EDGES[symbol] if before in states}
    return states


def may_follow(text: str) -> set[str]:
    return {symbol for symbol in EDGES if reachable(text + symbol)}


def may_follow_embedded(text: str) -> set[str]:
    if len(text) < 2:
        return {"B"} if not text else {"T", "P"}
    inner = text[2:]
    if 7 not in reachable(inner) and "E" not in inner:
        return may_follow(inner)
    return {text[1]} if inner.endswith("E") and not inner.endswith(("TE", "PE")) else {"E"}


@pytest.mark.parametrize("embedded", [False, True])
def test_reber_strings_are_accepted(embedded: bool) -> None:
    texts = synthetic.reber_strings(500, embedded=embedded, seed=0)
    for text in texts:
        inner = text
        if embedded:
            assert text[0] + text[-1] == "BE"
            assert text[1] == text[-2]
            assert text[1] in "TP"
            inner = text[2:-2]
        assert reachable(inner) == {7}
    assert len(set(texts)) > 80
    heads = [text[1] for text in texts]
    assert 200 < heads.count("T") < 300


@pytest.mark.parametrize("embedded", [False, True])
def test_what_may_follow_in_reber_strings(embedded: bool) -> None:
    strings = synthetic.reber_strings(200, embedded=embedded, seed=0)
    x, y = synthetic.reber(200, embedded=embedded, seed=0)
    follow = may_follow_embedded if embedded else may_follow
    for text, ids, allowed in zip(strings, x, y, strict=True):
        assert "".join(synthetic.REBER_SYMBOLS[i] for i in ids) == text[:-1]
        assert rf.text.Vocabulary(synthetic.REBER_SYMBOLS).encode(text[:-1]).tolist() == ids.tolist()
        for t, row in enumerate(allowed):
            found = {symbol for symbol, may in zip(synthetic.REBER_SYMBOLS, row, strict=True) if may}
            assert found == follow(text[: t + 1]), text[: t + 1]
            assert text[t + 1] in found


def test_two_sines_are_those_of_the_textbook() -> None:
    """With NumPy's old generator, seeded as the book seeds it, draw by draw."""
    book = np.random.RandomState(42)
    draws, noise = book.rand(4, 30, 1), book.rand(30, 51)
    series = synthetic.two_sines(30, 51, seed=np.random.RandomState(42))
    for n in range(30):
        f, g, a, b = draws[:, n, 0]
        for step in range(51):
            t = step / 50
            wave = 0.5 * math.sin((t - a) * (10 * f + 10)) + 0.2 * math.sin((t - b) * (20 * g + 20))
            assert series[n, step, 0] == pytest.approx(wave + 0.1 * (noise[n, step] - 0.5), abs=1e-6)
    assert series.dtype == np.float32


def test_seasonal_series() -> None:
    """What two years and the sizes of the series show: the season, the scales, the noise and the gaps."""
    y = synthetic.seasonal_series(400, 240, scales=(1, 100), missing=0, seed=0)
    size = y[:, 0]
    assert set(np.round(np.log10(np.abs(size) / 10))) == {0, 2}
    np.testing.assert_allclose((size > 100).mean(), 0.5, atol=0.1)
    own = y / np.where(size > 100, 100, 1)[:, None]
    yearly, half = own[:, 12:] - own[:, :-12], own[:, 6:] - own[:, :-6]
    assert np.median(np.abs(yearly)) < 0.6 * np.median(np.abs(half))  # six steps change less than twelve but for A
    # What is left of a straight line with a season is the noise, of variance 6 times 0.09 + 2 times 0.0025.
    flat = np.diff(yearly, n=2, axis=1)
    np.testing.assert_allclose(flat.var(), 2 * (6 * 0.09 + 2 * 0.0025), rtol=0.05)
    gaps = np.isnan(synthetic.seasonal_series(400, 240, missing=0.1, seed=0))
    np.testing.assert_allclose(gaps.mean(), 0.1, atol=0.015)
    runs = [len(run) for row in gaps for run in "".join("#" if g else " " for g in row[1:-1]).split()]
    assert set(range(1, 7)) <= set(runs)
    np.testing.assert_allclose(np.mean(runs), 3.5, atol=0.6)
    assert not np.isnan(y).any()
    with pytest.raises(ValueError, match=r"scales: at least one number is required"):
        synthetic.seasonal_series(1, 2, scales=())


def test_perceptual_decision() -> None:
    x, y = synthetic.perceptual_decision(300, fixation=3, stimulus=400, decision=4, noise=0.5, seed=0)
    assert x.shape == (300, 407, 3)
    np.testing.assert_array_equal(x[..., 0], np.tile([1] * 403 + [0] * 4, (300, 1)))
    assert not x[:, :3, 1:].any()
    assert not x[:, 403:, 1:].any()
    assert not y[:, :403].any()
    means = x[:, 3:403, 1:].mean(axis=1)
    np.testing.assert_allclose(x[:, 3:403, 1:].std(axis=1), 0.5, rtol=0.2)
    clear = np.abs(means[:, 0] - means[:, 1]) > 0.11
    assert (1 + means.argmax(axis=1) == y[:, -1])[clear].all()
    np.testing.assert_array_equal(y[:, 403:], np.repeat(y[:, -1:], 4, axis=1))
    silent, _ = synthetic.perceptual_decision(50, noise=0, seed=0)
    coherence = np.round(np.abs(silent[:, 10, 1] - silent[:, 10, 2]), 6)
    assert set(coherence) == {0.064, 0.128, 0.256, 0.512}


@pytest.mark.parametrize("digits", [1, 3, 18])
def test_addition(digits: int) -> None:
    asked, answered = synthetic.addition(300, digits=digits, seed=0)
    for question, answer in zip(asked, answered, strict=True):
        a, b = question.split("+")
        assert int(a) + int(b) == int(answer)
        assert (str(int(a)), str(int(b)), str(int(answer))) == (a, b, answer)
        assert max(len(a), len(b)) <= digits
    assert {len(question.split("+")[0]) for question in asked} >= {1, digits}


def test_dates_are_read_back() -> None:
    written, iso = synthetic.dates(600, seed=0)
    formats = [style.replace("%dth", "%d") for style in synthetic.DATE_STYLES]
    for text, day in zip(written, iso, strict=True):
        plain = text
        for ending in ("st", "nd", "rd", "th"):
            for digit in "0123456789":
                plain = plain.replace(f"{digit}{ending}", digit)
        found = set()
        for style in formats:
            try:
                found.add(datetime.strptime(plain, style).date().isoformat())
            except ValueError:
                continue
        assert day in found, text
    assert (min(iso)[:4], max(iso)[:3]) == ("1969", "206")


def test_a_network_learns_the_grammar() -> None:
    """The targets are what a network can know: it gets nearly all answers of unseen strings right."""
    x, y = synthetic.reber(250, embedded=False, seed=0)
    model = rf.ManyToMany(7, 7, task="multilabel", embedding=7, cell="gru", hidden_size=24, seed=0)
    model.fit(x[:200], y[:200], epochs=12, lr=2e-2, progress=False, seed=0)
    assert model.evaluate(x[200:], y[200:])["accuracy"] > 0.97

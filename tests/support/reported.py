"""Models of every kind with data to report on, and their pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

Pages = Callable[[str], str]
WORDS = ("a<b>", "c & d")
LETTERS = rf.text.Vocabulary("abcdef $\n")


def walks(count: int, seed: int = 0) -> tuple[list[Any], Any]:
    """Walks of two numbers, and whether the first one ends above zero."""
    rng = np.random.default_rng(seed)
    x = [np.cumsum(rng.normal(size=(n, 2)), axis=0) for n in rng.integers(6, 12, count)]
    return x, np.array([int(w[-1, 0] > 0) for w in x])


def texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdef $\n"), n)) for n in rng.integers(4, 9, count)]


def many_to_one() -> tuple[Any, Any, Any, dict[str, Any]]:
    x, y = walks(80)
    model = rf.ManyToOne(2, 2, hidden_size=8, dropout=0.0, seed=0)
    model.fit(x, y, epochs=6, lr=0.03, validation_split=0.2, progress=False, seed=0)
    return model, x, y, {"classes": WORDS, "features": ["up", "side"]}


def many_to_many() -> tuple[Any, Any, Any, dict[str, Any]]:
    x, _ = walks(30)
    y = {"rose": [(w[:, 0] > 0).astype(int) for w in x], "height": [w[:, :1] * 10 for w in x]}
    task = {"rose": "classification", "height": "gaussian"}
    model = rf.ManyToMany(2, outputs={"rose": 2, "height": 1}, task=task, cell="gru", hidden_size=8, seed=0)
    model.fit(x, y, epochs=3, lr=0.02, progress=False, seed=0)
    return model, x, y, {"classes": {"rose": ["no", "yes"]}}


def windows() -> tuple[Any, Any, Any, dict[str, Any]]:
    x, y = rf.data.windows(np.sin(np.arange(150) / 5)[:, None] * 3 + 20, 12, horizon=4, target=0)
    scaler = rf.data.Scaler(np.full(4, 20.0), np.full(4, 3.0))
    model = rf.ManyToOne(1, 4, task="quantile", cell="gru", hidden_size=8, seed=0)
    model.fit((x - 20) / 3, scaler.transform(y), epochs=5, lr=0.02, progress=False, seed=0)
    more = {"past": [w[:, 0] for w in x], "target_scaler": scaler, "baselines": {"twenty": np.full(y.shape, 20.0)}}
    return model, (x - 20) / 3, scaler.transform(y), more


def labels() -> tuple[Any, Any, Any, dict[str, Any]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 7, 3))
    model = rf.ManyToOne(3, 3, task="multilabel", cell="rnn", hidden_size=8, seed=0)
    return model, x, (x.mean(axis=1) > 0).astype(int), {}


def series() -> tuple[Any, Any, Any, dict[str, Any]]:
    x = [np.sin(np.arange(30) / 3 + p)[:, None] for p in range(6)]
    return rf.OneToMany(1, task="regression", hidden_size=8, seed=0), x, None, {}


def writer() -> tuple[Any, Any, Any, dict[str, Any]]:
    model = rf.OneToMany(vocabulary=LETTERS, cell="gru", hidden_size=8, num_layers=2, seed=0)
    text = "".join(texts(100))
    model.fit(text, epochs=1, progress=False, seed=0)
    return model, text, None, {}


def translator() -> tuple[Any, Any, Any, dict[str, Any]]:
    x = texts(40)
    options: dict[str, Any] = {"source_vocabulary": LETTERS, "target_vocabulary": LETTERS, "attention": "dot"}
    model = rf.EncoderDecoder(**options, source_embedding=4, target_embedding=4, hidden_size=8, seed=0)
    model.fit(x, x, epochs=2, lr=0.02, progress=False, seed=0)
    return model, x, x, {"names": [f"pair {i}" for i in range(40)]}


MADE = {f.__name__: f for f in (many_to_one, many_to_many, windows, labels, series, writer, translator)}


@cache
def made(name: str) -> tuple[Any, Any, Any, dict[str, Any]]:
    return MADE[name]()


def writing(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """Return a function that writes the page of a model once."""

    @cache
    def written(name: str) -> str:
        model, x, y, more = made(name)
        path = tmp_path_factory.mktemp(name) / "report.html"
        model.report(x, y, path, **more)
        return path.read_text(encoding="utf-8")

    return written

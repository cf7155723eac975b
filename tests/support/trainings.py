"""Small trainings of every model, with all that is random and all that is carried from batch to batch."""

from __future__ import annotations

from typing import Any

import numpy as np

import rnnfast as rf

N, C = 14, 3


def vectors(rng: np.random.Generator) -> list[Any]:
    return [rng.normal(size=(length, C)) for length in rng.integers(1, 9, N)]


def many_to_one(rng: np.random.Generator) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    options: dict[str, Any] = {
        "dropout": 0.3,
        "output_dropout": 0.2,
        "num_layers": 2,
        "cell_options": {"recurrent_dropout": 0.2},
    }
    model = rf.ManyToOne(C, 2, hidden_size=4, seed=0, **options)
    return model, (vectors(rng), rng.integers(0, 2, N)), {"tbptt": 3}


def many_to_many(rng: np.random.Generator) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    x = vectors(rng)
    model = rf.ManyToMany(C, outputs={"a": 2, "b": 3}, cell="gru", hidden_size=4, seed=0, output_dropout=0.2)
    return model, (x, {name: [rng.integers(0, 2, len(s)) for s in x] for name in "ab"}), {"tbptt": 2}


def one_to_many(rng: np.random.Generator) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    model = rf.OneToMany(5, hidden_size=4, embedding=3, seed=0, output_dropout=0.2)
    return model, (rng.integers(0, 5, 120),), {"tbptt": 4}


def encoder_decoder(rng: np.random.Generator) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    x = [rng.integers(0, 5, length) for length in rng.integers(1, 6, N)]
    model = rf.EncoderDecoder(5, 5, hidden_size=4, source_embedding=3, attention="dot", seed=0, output_dropout=0.2)
    return model, (x, [s[::-1] for s in x]), {}


PROBLEMS = {f.__name__: f for f in (many_to_one, many_to_many, one_to_many, encoder_decoder)}
FIT: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 4,
    "validation_split": 0.3,
    "seed": 5,
    "lr": 0.01,
    "progress": False,
}


def trained(problem: str, **options: Any) -> tuple[Any, dict[str, list[float]]]:
    rng = np.random.default_rng(0)
    model, data, own = PROBLEMS[problem](rng)
    model.fit(*data, **{**FIT, **own, **options})
    return model, model.history.history

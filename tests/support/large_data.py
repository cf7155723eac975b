"""Small problems for data in other forms than arrays in memory, of every model, and their comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import rnnfast as rf

N, T, C = 23, 7, 3
FIT: dict[str, Any] = {"epochs": 2, "batch_size": 5, "seed": 1, "lr": 0.05, "progress": False}
Data = dict[str, Any]
Make = Callable[[], Any]


def options(**more: Any) -> dict[str, Any]:
    return {"hidden_size": 4, "seed": 0, "num_layers": 2, "dropout": 0.2, **more}


def vectors(dtype: str = "float16") -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, T, C)).astype(dtype)


RNG = np.random.default_rng(2)
LENGTHS = RNG.integers(1, T + 1, N)
IDS = RNG.integers(0, 5, (N, T))
LABELS = RNG.integers(0, 2, N)
RAGGED = [x[:n] for x, n in zip(vectors(), LENGTHS, strict=True)]


# Models, their data in memory, and options of fit.
PROBLEMS: dict[str, tuple[Make, Data, dict[str, Any]]] = {
    "many to one": (lambda: rf.ManyToOne(C, 2, **options()), {"x": vectors(), "y": LABELS}, {}),
    "many to one, float64 file": (
        lambda: rf.ManyToOne(C, 2, **options()),
        {"x": vectors("float64"), "y": LABELS},
        {"lengths": LENGTHS, "tbptt": 3},
    ),
    "many to one, big-endian and Fortran": (
        lambda: rf.ManyToOne(C, 2, **options(dtype="float64")),
        {"x": np.asfortranarray(vectors(">f4")), "y": LABELS},
        {"sample_weight": RNG.uniform(size=N)},
    ),
    "many to one, list": (lambda: rf.ManyToOne(C, 2, **options()), {"x": RAGGED, "y": LABELS}, {}),
    "many to one, list of C = 1": (
        lambda: rf.ManyToOne(1, 1, **options(task="regression")),
        {"x": [x[:, 0] for x in RAGGED], "y": RNG.normal(size=(N, 1))},
        {},
    ),
    "many to one, ids": (
        lambda: rf.ManyToOne(5, 2, embedding=3, **options()),
        {"x": IDS.astype("u2"), "y": LABELS},
        {"lengths": LENGTHS},
    ),
    "many to many, ids": (
        lambda: rf.ManyToMany(C, 2, **options()),
        {"x": vectors(), "y": (IDS % 2).astype("i1")},
        {"lengths": LENGTHS, "tbptt": 3, "burn_in": 1},
    ),
    "many to many, numbers": (
        lambda: rf.ManyToMany(C, outputs={"a": 2, "b": 1}, task="regression", **options()),
        {"x": vectors(), "y": {"a": vectors()[..., :2], "b": vectors()[..., 0]}},
        {"resets": IDS == 4},
    ),
    "many to many, list": (
        lambda: rf.ManyToMany(C, 5, **options()),
        {"x": RAGGED, "y": [y[:n] for y, n in zip(IDS, LENGTHS, strict=True)]},
        {"sample_weight": RNG.uniform(size=N)},
    ),
    "one to many": (lambda: rf.OneToMany(5, embedding=3, **options()), {"sequences": IDS.astype("u1")}, {}),
    "one to many, text": (
        lambda: rf.OneToMany(6, 5, **options()),
        {"sequences": RNG.integers(0, 5, 400).astype("u2")},
        {"tbptt": 9, "burn_in": 2},
    ),
    "one to many, numbers": (
        lambda: rf.OneToMany(C, task="regression", **options()),
        {"sequences": vectors()},
        {"lengths": np.maximum(LENGTHS, 2)},
    ),
    "encoder-decoder": (
        lambda: rf.EncoderDecoder(C, 5, attention="dot", **options()),
        {"x": vectors(), "y": IDS},
        {"lengths": LENGTHS},
    ),
    "encoder-decoder, numbers": (
        lambda: rf.EncoderDecoder(C, C, task="regression", **options()),
        {"x": RAGGED, "y": vectors()},
        {},
    ),
}


def assert_same(first: Any, second: Any) -> None:
    assert first.history == second.history
    for name, value in first.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[name], value)


def read(own: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in own.items() if name in names}


def model() -> Any:
    return rf.ManyToOne(C, 2, hidden_size=4, seed=0)


def writer() -> Any:
    return rf.OneToMany(5, hidden_size=4, seed=0)

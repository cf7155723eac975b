"""Problems that several processes train on, each with a model, its data and options of ``fit``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

import rnnfast as rf

N, C = 21, 3

Problem = tuple[Any, dict[str, Any]]


def _ragged(rng: np.random.Generator) -> list[Any]:
    return [rng.normal(size=(length, C)) for length in rng.integers(1, 9, N)]


def many_to_one(rng: np.random.Generator, **options: Any) -> Problem:
    model = rf.ManyToOne(C, 2, hidden_size=5, num_layers=2, seed=0, **options)
    x, y = _ragged(rng), rng.integers(0, 2, N)
    return model, {"x": x, "y": y, "sample_weight": rng.uniform(0, 2, N), "validation_data": (x[:9], y[:9])}


def last_steps(rng: np.random.Generator, **options: Any) -> Problem:
    """Truncated in time, where only the last pieces have a target."""
    model = rf.ManyToOne(C, 2, task="regression", cell="gru", hidden_size=5, seed=0, **options)
    return model, {"x": _ragged(rng), "y": rng.normal(size=(N, 2)), "tbptt": 3}


def many_to_many(rng: np.random.Generator, **options: Any) -> Problem:
    """Pieces of ragged sequences with resets, two heads, learned initial states and a penalty."""
    outputs, tasks = {"a": 2, "b": 3}, {"a": "regression", "b": "classification"}
    cell_options = {"learn_initial_state": True, **options.pop("cell_options", {})}
    model = rf.ManyToMany(
        C,
        outputs=outputs,
        task=tasks,
        loss_weights={"a": 0.3},
        hidden_size=5,
        cell_options=cell_options,
        seed=0,
        activity_l2=0.01,
        **options,
    )
    x = _ragged(rng)
    y = {"a": [rng.normal(size=(len(s), 2)) for s in x], "b": [rng.integers(0, 3, len(s)) for s in x]}
    resets = [rng.random(len(s)) < 0.2 for s in x]
    given = {"x": x, "y": y, "resets": resets, "tbptt": 4, "burn_in": 1}
    return model, {**given, "validation_data": {"x": x, "y": y, "resets": resets}}


def streams(rng: np.random.Generator, **options: Any) -> Problem:
    """One long text in as many streams as a batch has."""
    model = rf.OneToMany(5, hidden_size=5, embedding=3, seed=0, **options)
    return model, {"sequences": rng.integers(0, 5, 300), "tbptt": 6}


def written(rng: np.random.Generator, **options: Any) -> Problem:
    """Ids that begin with a context."""
    model = rf.OneToMany(5, hidden_size=5, context_size=2, seed=0, **options)
    x = [rng.integers(0, 5, length) for length in rng.integers(2, 9, N)]
    return model, {"sequences": x, "context": rng.normal(size=(N, 2)), "burn_in": 1, "accumulate": 2}


def translated(rng: np.random.Generator, **options: Any) -> Problem:
    """Pairs with attention, half of whose elements the decoder reads of itself."""
    model = rf.EncoderDecoder(
        5, 5, hidden_size=4, source_embedding=3, attention="additive", bidirectional=True, seed=0, **options
    )
    x = [rng.integers(0, 5, length) for length in rng.integers(1, 6, N)]
    return model, {"x": x, "y": [s[::-1] for s in x], "teacher_forcing": 0.5}


PROBLEMS: dict[str, Callable[..., Problem]] = {
    f.__name__: f for f in (many_to_one, last_steps, many_to_many, streams, written, translated)
}

RANDOM: dict[str, dict[str, Any]] = {
    "many_to_one": {"dropout": 0.3, "output_dropout": 0.3, "cell_options": {"recurrent_dropout": 0.2}},
    "last_steps": {"output_dropout": 0.3, "cell_options": {"zoneout": 0.2}},
    "many_to_many": {"output_dropout": 0.3, "cell_options": {"input_dropout": 0.2, "zoneout": 0.2}},
    "streams": {"num_layers": 2, "dropout": 0.2, "output_dropout": 0.2},
    "written": {"output_dropout": 0.2, "cell_options": {"recurrent_dropout": 0.2}},
    "translated": {"output_dropout": 0.2, "cell_options": {"recurrent_dropout": 0.2}},
}


def trained(problem: str, *, random: bool = True, model: dict[str, Any] | None = None, **options: Any) -> Any:
    """Return the model after a training of it."""
    made, data = PROBLEMS[problem](np.random.default_rng(0), **(RANDOM[problem] if random else {}), **(model or {}))
    usual = {"epochs": 3, "batch_size": 8, "lr": 0.05, "clip_norm": 0.5, "clip_value": 0.2, "seed": 1}
    made.fit(**data, **{**usual, "progress": False, **options})
    return made


def bits(model: Any) -> str:
    """Return a hash of a model's parameters and history."""
    found = hashlib.sha256()
    for value in model.state_dict().values():
        found.update(value.tobytes())
    found.update(repr(sorted(model.history.history.items())).encode())
    return found.hexdigest()

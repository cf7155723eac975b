"""Trained models have the same bits for any threads and vector width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.matrix import SETTINGS
from tests.support.state import using_isa

RNG = np.random.default_rng(0)
WALKS = [RNG.normal(size=(n, 5)) for n in RNG.integers(0, 60, 120)]
LABELS = RNG.integers(0, 3, 120)
TEXT = RNG.integers(0, 20, 3000)


def classified(dtype: str) -> tuple[Any, Any]:
    model = rf.ManyToOne(5, 3, cell="lstm", hidden_size=33, num_layers=2, dropout=0.2, dtype=dtype, seed=0)
    options: dict[str, Any] = {"optimizer": "adamw", "clip_norm": 0.1, "validation_split": 0.1}
    history = model.fit(WALKS, LABELS, epochs=2, batch_size=40, progress=False, seed=0, **options)
    return model, [history.history, model.evaluate(WALKS, LABELS), model.predict_proba(WALKS).tobytes()]


def written(dtype: str) -> tuple[Any, Any]:
    model = rf.OneToMany(20, cell="gru", hidden_size=40, embedding=9, dtype=dtype, seed=0)
    history = model.fit(TEXT, epochs=2, batch_size=17, tbptt=32, optimizer="rmsprop", progress=False)
    return model, [history.history, model.loss(TEXT), model.generate([1], 50, top_p=0.9, seed=1).tolist()]


def outcome(make: Callable[[str], tuple[Any, Any]], dtype: str) -> tuple[dict[str, bytes], Any]:
    model, found = make(dtype)
    return {name: value.tobytes() for name, value in model.state_dict().items()}, found


@pytest.mark.parametrize("make", [classified, written])
def test_threads_and_vectors_change_nothing(make: Callable[[str], tuple[Any, Any]], dtype: str) -> None:
    """This includes shuffling, dropout, clipping, optimiser, metrics and drawing."""
    expected = outcome(make, dtype)
    for isa, threads in SETTINGS:
        with using_isa(isa), rf.threads(threads):
            assert outcome(make, dtype) == expected, (isa, threads)

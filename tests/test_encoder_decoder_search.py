"""A beam search that is wide enough finds what trying every sequence finds."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import reference
from tests.support.comparison import CELLS

X = [np.array([2, 0, 1, 1]), np.array([1]), np.array([0, 2])]


def sharp_model(cell: str, **options: Any) -> Any:
    """A model whose weights are large enough for what it has written to matter, and do not let states grow."""
    kind, own = CELLS[cell]
    given = {"hidden_size": 9, "source_embedding": 4, "dtype": "float64", "seed": 3, **options}
    model = rf.EncoderDecoder(3, 2, cell=kind, cell_options=own, **given)
    for name, p in model.parameters().items():
        p[...] = p.value * (1 if "weight_hh" in name else 2.5)
    return model


def hypotheses(outputs: int, length: int, stop: int) -> list[tuple[int, ...]]:
    """Every sequence that may be written, a stop at its end included."""
    found = {ids if stop not in ids else ids[: ids.index(stop) + 1] for ids in product(range(outputs), repeat=length)}
    return sorted(found)


def log_probability(model: Any, x: np.ndarray, ids: tuple[int, ...]) -> float:
    """The log-probability of ids, by the reference."""
    start = model.config["start"]
    inputs = np.array([[len(model.parameters()["head.bias"].value) if start is None else start, *ids[:-1]]])
    own = model.config["cell_options"]
    outputs = reference.encoder_decoder(model.config["cell"], model.state_dict(), x[None], inputs, **own)
    return float(reference.log_softmax(outputs[0])[np.arange(len(ids)), ids].sum())


def check(model: Any, length: int, penalty: float, stop: int, outputs: int) -> None:
    found = model.predict(X, beams=outputs**length, max_length=length, length_penalty=penalty)
    written = hypotheses(outputs, length, stop)
    for x, ids in zip(X, found, strict=True):
        every = np.array([log_probability(model, x, w) for w in written])
        scores = every / ((5 + np.array([len(w) for w in written])) / 6) ** penalty
        first, second = np.sort(scores)[[-1, -2]]
        assert first - second > 1e-9
        assert ids.tolist() == [i for i in written[int(scores.argmax())] if i != stop]


@pytest.mark.parametrize("attention", [None, "additive", "dot"])
@pytest.mark.parametrize("length", [1, 2, 4])
def test_equals_exhaustive_search(cell: str, length: int, attention: str | None) -> None:
    check(sharp_model(cell, attention=attention), length, 0.0, stop=2, outputs=3)


@pytest.mark.parametrize("penalty", [-1.0, 0.6, 5.0])
def test_equals_exhaustive_search_with_reserved_ids_and_a_penalty(penalty: float) -> None:
    check(sharp_model("lstm", num_layers=2, target_embedding=3, start=0, stop=1), 5, penalty, stop=1, outputs=2)
    check(sharp_model("lstm", target_embedding=3, start=0, stop=1, attention="dot"), 5, penalty, stop=1, outputs=2)
    check(sharp_model("gru", target_embedding=3, stop=0, attention="additive"), 5, penalty, stop=0, outputs=2)
    check(sharp_model("gru", target_embedding=3, stop=0), 5, penalty, stop=0, outputs=2)


def test_one_beam_is_greedy(cell: str) -> None:
    model = sharp_model(cell)
    for a, b in zip(model.predict(X, beams=1), model.predict(X), strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_beams_find_nothing_less_probable() -> None:
    model = sharp_model("lstm", target_embedding=3)
    scores = []
    for beams in (1, 3**4):
        found = model.predict(X, beams=beams, max_length=4)
        whole = [(*map(int, ids), 2) if len(ids) < 4 else tuple(map(int, ids)) for ids in found]
        scores.append([log_probability(model, x, ids) for x, ids in zip(X, whole, strict=True)])
    assert (np.array(scores[1]) >= scores[0]).all()
    assert (np.array(scores[1]) > scores[0]).any()

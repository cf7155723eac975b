"""A beam search that is wide enough finds what trying every sequence finds."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import CELLS

PROMPTS = [[2, 0, 1], [1]]


def sharp_model(cell: str, vocabulary: int, *, dtype: str = "float64", **options: Any) -> Any:
    """A model whose weights are large enough for the ids before the last to matter, and do not let states grow."""
    name, cell_options = CELLS[cell]
    model = rf.OneToMany(
        vocabulary, cell=name, cell_options=cell_options, hidden_size=9, dtype=dtype, seed=3, **options
    )
    for name, p in model.parameters().items():
        p[...] = p.value * (1 if "weight_hh" in name else 3)
    return model


def hypotheses(vocabulary: int, length: int, stop: int | None) -> list[tuple[int, ...]]:
    """Every sequence of ids that may be written, a stop at its end included."""
    found = set()
    for ids in product(range(vocabulary), repeat=length):
        found.add(ids if stop not in ids else ids[: ids.index(stop) + 1])
    return sorted(found)


def log_probabilities(model: Any, prompt: list[int], written: list[tuple[int, ...]]) -> np.ndarray:
    found = model.predict_proba([[*prompt, *ids] for ids in written])
    rows = [p[len(prompt) - 1 : -1][np.arange(len(ids)), ids] for p, ids in zip(found, written, strict=True)]
    return np.array([np.log(row).sum() for row in rows])


def check(model: Any, vocabulary: int, length: int, stop: int | None, penalty: float) -> list[int]:
    """Compare the search with all hypotheses; return how many ids it found for each prompt."""
    options: dict[str, Any] = {"beams": vocabulary**length, "stop": stop, "length_penalty": penalty}
    ids, log_p = model.generate(PROMPTS, length, return_log_probs=True, **options)
    written = hypotheses(vocabulary, length, stop)
    for prompt, row, its in zip(PROMPTS, ids, log_p, strict=True):
        every = log_probabilities(model, prompt, written)
        scores = every / ((5 + np.array([len(ids) for ids in written])) / 6) ** penalty
        first, second = np.sort(scores)[[-1, -2]]
        assert first - second > 1e-9
        best = written[int(scores.argmax())]
        assert row.tolist() == [i for i in best if i != stop]
        ended = len(row) < len(best)
        assert its.sum() == pytest.approx(
            log_probabilities(model, prompt, [best[:-1] if ended else best])[0], rel=1e-12
        )
    return [len(row) for row in ids]


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("stop", [None, 1])
def test_equals_exhaustive_search(cell: str, length: int, stop: int | None) -> None:
    check(sharp_model(cell, 3), 3, length, stop, 0.0)


@pytest.mark.parametrize("penalty", [-1.0, 0.6, 1.0, 5.0])
def test_equals_exhaustive_search_with_a_length_penalty(cell: str, penalty: float) -> None:
    for stop in (0, 2):
        check(sharp_model(cell, 3, num_layers=2, embedding=4), 3, 4, stop, penalty)


def test_a_length_penalty_favours_long_sequences() -> None:
    """Without a length penalty every further id lowers the score; a large penalty reverses this."""
    model = sharp_model("gru", 3)
    model.parameters()["head.bias"][...] = np.array([0.0, 0.0, -1.0])
    found = {penalty: sum(check(model, 3, 5, 2, penalty)) for penalty in (-2.0, 0.0, 2.0, 8.0)}
    assert list(found.values()) == sorted(found.values())
    assert found[-2.0] < found[8.0]
    assert found[8.0] >= 8, "five elements, of which one may be the stop"


def test_float32_equals_exhaustive_search() -> None:
    model, wide = sharp_model("lstm", 3, dtype="float32"), sharp_model("lstm", 3)
    wide.load_state_dict({name: value.astype(float) for name, value in model.state_dict().items()})
    np.testing.assert_array_equal(model.generate(PROMPTS, 4, beams=81), wide.generate(PROMPTS, 4, beams=81))


def test_one_beam_is_greedy(cell: str) -> None:
    model = sharp_model(cell, 7)
    np.testing.assert_array_equal(model.generate(PROMPTS, 20, beams=1), model.generate(PROMPTS, 20, greedy=True))


def test_a_few_beams_are_what_the_definition_keeps() -> None:
    """The best hypotheses of every step, over the model's own probabilities."""
    model = sharp_model("lstm", 5)
    for beams in (2, 3, 6):
        kept: list[tuple[int, ...]] = [()]
        for _ in range(6):
            grown = [(*ids, new) for ids in kept for new in range(5)]
            order = np.argsort(-log_probabilities(model, [2, 4], grown), kind="stable")
            kept = [grown[i] for i in order[:beams]]
        assert model.generate([2, 4], 6, beams=beams).tolist() == list(kept[0])


def test_the_search_goes_on_behind_a_prefix() -> None:
    model = sharp_model("gru", 3)
    options: dict[str, Any] = {"beams": 27, "return_log_probs": True}
    ids, log_p = model.generate(PROMPTS, 5, prefix=[1, 2], **options)
    for prompt, row, its in zip(PROMPTS, ids, log_p, strict=True):
        rest, rest_p = model.generate([*prompt, 1, 2], 3, **options)
        np.testing.assert_array_equal(row, [1, 2, *rest])
        np.testing.assert_array_equal(its[2:], rest_p)
    each = model.generate(PROMPTS, 3, prefix=[[0, 1, 2], [2, 1, 0]], beams=2)
    np.testing.assert_array_equal(each, [[0, 1, 2], [2, 1, 0]])


def test_contexts_start_the_search() -> None:
    model = sharp_model("lstm", 4, context_size=2)
    contexts = np.array([[3.0, -1.0], [-2.0, 4.0], [0.0, 1.0]])
    both = model.generate([0], 6, context=contexts, beams=8)
    assert (both[0] != both[1]).any()
    for context, row in zip(contexts, both, strict=True):
        np.testing.assert_array_equal(model.generate([0], 6, context=context, beams=8), row)

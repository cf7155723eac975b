"""Steps that do not exist: as if they had been left out, in every model and every method that takes lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.data import Gaps, from_left_padded
from tests.support.comparison import CELLS
from tests.support.examples import Decay
from tests.support.matrix import DTYPES

N, T, C, K = 6, 9, 3, 4
MASK = np.random.default_rng(5).random((N, T)) < 0.6
MASK[:, [1, 6]] = True
equal = np.testing.assert_array_equal

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_cell = pytest.mark.parametrize("cell", [*CELLS, "custom"])


def without(values: Any) -> list[Any]:
    return [item[own] for item, own in zip(values, MASK, strict=True)]


def wrong(values: Any) -> Any:
    """Values that are refused wherever a gap is read."""
    spoilt = np.array(values)
    spoilt[~MASK] = np.nan if spoilt.dtype.kind == "f" else -7
    return spoilt


def build(model: Callable[..., Any], sizes: tuple[int, ...], cell: str, **options: Any) -> Any:
    kind, own = CELLS.get(cell, (Decay, {}))
    return model(*sizes, cell=kind, cell_options=own, hidden_size=5, seed=0, **options)


def assert_trained_alike(build: Callable[[], Any], gapped: Any, dropped: Any, **options: Any) -> None:
    """The same losses and gradients in one call, and the same parameters after training."""
    a, b = build(), build()
    (x, y), (own_x, own_y) = gapped, dropped
    targets, own_targets = ([] if y is None else [y]), ([] if own_y is None else [own_y])
    assert a.loss(x, *targets, mask=MASK) == b.loss(own_x, *own_targets)
    assert a.evaluate(x, *targets, mask=MASK) == b.evaluate(own_x, *own_targets)
    a.loss_and_grad(x, *targets, mask=MASK)
    b.loss_and_grad(own_x, *own_targets)
    for name, p in a.parameters().items():
        equal(p.grad, b.parameters()[name].grad)
    plan = {"epochs": 2, "batch_size": 4, "seed": 0, "progress": False, **options}
    history = a.fit(x, *targets, mask=MASK, **plan).history
    assert history == b.fit(own_x, *own_targets, **plan).history
    for name, p in a.parameters().items():
        equal(p.value, b.parameters()[name].value)


@every_dtype
@every_cell
@pytest.mark.parametrize("bidirectional", [False, True])
def test_many_to_many(cell: str, dtype: str, bidirectional: bool, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(N, T, C)), rng.integers(0, K, (N, T))
    model = build(rf.ManyToMany, (C, K), cell, dtype=dtype, bidirectional=bidirectional)
    found, dropped = model.predict_proba(wrong(x), mask=MASK), model.predict_proba(without(x))
    for n in range(N):
        equal(found[n][MASK[n]], dropped[n], strict=True)
        equal(found[n][~MASK[n]], 0)
    assert_trained_alike(
        lambda: build(rf.ManyToMany, (C, K), cell, dtype=dtype, bidirectional=bidirectional),
        (wrong(x), wrong(y)),
        (without(x), without(y)),
    )


@every_dtype
@every_cell
def test_many_to_one(cell: str, dtype: str, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(N, T, C)), rng.integers(0, K, N)
    model = build(rf.ManyToOne, (C, K), cell, dtype=dtype)
    equal(model.predict_proba(wrong(x), mask=MASK), model.predict_proba(without(x)), strict=True)
    assert_trained_alike(
        lambda: build(rf.ManyToOne, (C, K), cell, dtype=dtype), (wrong(x), y), (without(x), y), validation_split=0.3
    )


@every_dtype
@every_cell
def test_one_to_many(cell: str, dtype: str, rng: np.random.Generator) -> None:
    x = rng.integers(0, K, (N, T))
    model = build(rf.OneToMany, (K,), cell, dtype=dtype)
    found, dropped = model.predict_proba(wrong(x), mask=MASK), model.predict_proba(without(x))
    for n in range(N):
        equal(found[n][MASK[n]], dropped[n], strict=True)
        equal(found[n][~MASK[n]], 0)
    assert_trained_alike(
        lambda: build(rf.OneToMany, (K,), cell, dtype=dtype), (wrong(x), None), (without(x), None), tbptt=3
    )


@every_dtype
@pytest.mark.parametrize("attention", [None, "additive", "dot"])
def test_encoder_decoder(dtype: str, attention: Any, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(N, T, C)), rng.integers(0, K, (N, 4))
    options: dict[str, Any] = {"attention": attention, "dtype": dtype, "bidirectional": True}
    model = build(rf.EncoderDecoder, (C, K), "lstm", **options)
    for beams in (None, 2):
        found, dropped = model.predict(wrong(x), mask=MASK, beams=beams), model.predict(without(x), beams=beams)
        for one, other in zip(found, dropped, strict=True):
            equal(one, other, strict=True)
    if attention:
        maps, own = (
            model.predict(*given, return_attention=True, **how)[1]
            for given, how in (((wrong(x),), {"mask": MASK}), ((without(x),), {}))
        )
        for n in range(N):
            equal(maps[n][:, MASK[n]], own[n], strict=True)
            equal(maps[n][:, ~MASK[n]], 0)
    assert_trained_alike(lambda: build(rf.EncoderDecoder, (C, K), "lstm", **options), (wrong(x), y), (without(x), y))


def test_lengths_are_a_special_case(rng: np.random.Generator) -> None:
    lengths = np.array([3, 0, 9, 1, 5, 9])
    x, model = rng.normal(size=(N, T, C)), build(rf.ManyToMany, (C, K), "gru")
    found = model.predict_proba(x, mask=np.arange(T) < lengths[:, None])
    for row, own in zip(found, model.predict_proba(x, lengths=lengths), strict=True):
        equal(row[: len(own)], own)
        equal(row[len(own) :], 0)


def test_left_padding_is_a_special_case(rng: np.random.Generator) -> None:
    lengths = np.array([3, 0, 9, 1, 5, 9])
    x, mask = rng.normal(size=(N, T, C)), np.arange(T) >= T - lengths[:, None]
    model = build(rf.ManyToOne, (C, K), "lstm")
    moved, own = from_left_padded(x, mask)
    equal(model.predict_proba(x, mask=mask), model.predict_proba(moved, lengths=own))


def test_lists_have_lists_of_gaps(rng: np.random.Generator) -> None:
    x = [rng.normal(size=(length, C)) for length in (4, 0, 7)]
    mask = [rng.random(len(item)) < 0.5 for item in x]
    y = [rng.integers(0, K, len(item)) for item in x]
    model = build(rf.ManyToMany, (C, K), "gru")
    kept = [item[own] for item, own in zip(x, mask, strict=True)]
    for found, own, expected in zip(model.predict(x, mask=mask), mask, model.predict(kept), strict=True):
        equal(found[own], expected)
        equal(found[~own], 0)
        assert len(found) == len(own)
    targets = [item[own] for item, own in zip(y, mask, strict=True)]
    assert model.loss(x, y, mask=mask) == model.loss(kept, targets)


def test_weights_resets_and_heads_have_the_gaps_too(rng: np.random.Generator) -> None:
    x = rng.normal(size=(N, T, C))
    y = {"a": rng.integers(0, 2, (N, T)), "b": rng.normal(size=(N, T, 2))}
    weights, resets = rng.random((N, T)), rng.random((N, T)) < 0.3
    tasks = {"a": "classification", "b": "regression"}
    model = rf.ManyToMany(C, outputs={"a": 2, "b": 2}, task=tasks, hidden_size=5, seed=0)
    found = model.loss(
        wrong(x), {name: wrong(own) for name, own in y.items()}, mask=MASK, sample_weight=wrong(weights), resets=resets
    )
    own = {name: without(each) for name, each in y.items()}
    assert found == model.loss(without(x), own, sample_weight=without(weights), resets=without(resets))
    each = model.loss(x, y, mask=MASK, sample_weight=np.arange(N))
    assert each == model.loss(without(x), own, sample_weight=np.arange(N))
    equal(model.predict(x, mask=MASK, resets=resets, chunk=2)["b"], model.predict(x, mask=MASK, resets=resets)["b"])


def test_a_single_sequence_has_a_single_mask(rng: np.random.Generator) -> None:
    model, x = build(rf.OneToMany, (K,), "gru"), rng.integers(0, K, T)
    found = model.predict(wrong(np.stack([x] * N))[0], mask=MASK[0])
    equal(found[MASK[0]], model.predict(x[MASK[0]]))
    assert found.shape == (T,)


@pytest.mark.parametrize("cell", ["lstm", "gru", "custom"])
def test_traces(cell: str, rng: np.random.Generator) -> None:
    x = rng.normal(size=(N, T, C))
    model = build(rf.ManyToMany, (C, K), cell)
    if cell == "custom":
        found, expected = model.trace(x, mask=MASK), model.trace(without(x))
    else:
        found, expected = model.trace(wrong(x), mask=MASK), model.trace(without(x))
    equal(found.state, expected.state)
    pairs = [(found.h, expected.h), (found.c, expected.c)]
    pairs += [(found.gates[name], expected.gates[name]) for name in expected.gates]
    for ours, theirs in pairs:
        for array, own in zip(ours, theirs, strict=True):
            assert array.shape[:2] == (N, T)
            equal(array[~MASK], 0)
            for n in range(N):
                equal(array[n][MASK[n]], own[n, : MASK[n].sum()])


def test_sequences_without_any_step(rng: np.random.Generator) -> None:
    mask = MASK.copy()
    mask[2] = False
    x, model = rng.normal(size=(N, T, C)), build(rf.ManyToMany, (C, K), "lstm")
    equal(model.predict_proba(x, mask=mask)[2], 0)
    equal(model.predict(x[:0], mask=mask[:0]), np.zeros((0, T), np.int64), strict=True)
    equal(model.predict(x[:, :0], mask=mask[:, :0]), np.zeros((N, 0), np.int64), strict=True)


X = np.zeros((N, T, C))


@pytest.mark.parametrize(
    ("x", "mask", "error", "message"),
    [
        (X, MASK.astype(int), TypeError, "mask: dtype bool is required, got int64"),
        (
            X,
            MASK[:, 1:],
            ValueError,
            r"mask\[0\]: a value for every step is required, shape \(T,\) = \(9,\), got \(8,\)",
        ),
        (X, MASK[1:], ValueError, r"mask: an entry for every sequence of x is required \(N = 6\), got 5"),
        (list(X), [*MASK[1:], MASK[0, 1:]], ValueError, r"mask\[5\]: a value for every step"),
        (X, "text", TypeError, "mask: an array or a list of arrays is required"),
        (X, True, TypeError, "mask: an array or a list of arrays is required"),
        (np.zeros(T), MASK[0], ValueError, r"x: shape \(N, T, \.\.\.\)"),
    ],
)
def test_refusals(x: Any, mask: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(rf.ManyToMany, (C, K), "gru").predict(x, mask=mask)


def test_lengths_beside_a_mask_are_refused() -> None:
    with pytest.raises(ValueError, match="lengths: None is required beside mask"):
        build(rf.ManyToMany, (C, K), "gru").predict(X, mask=MASK, lengths=[T] * N)


def test_targets_of_another_length_are_refused() -> None:
    model = build(rf.ManyToMany, (C, K), "gru")
    with pytest.raises(ValueError, match=r"y\[0\]: a value for every step, gaps included, is required"):
        model.loss(X, np.zeros((N, T - 1), int), mask=MASK)
    with pytest.raises(ValueError, match="y: an entry for every sequence is required"):
        model.loss(X, np.zeros((N - 1, T), int), mask=MASK)


def test_columns(rng: np.random.Generator) -> None:
    gaps = Gaps([np.array([True, False, True])], steps=None)
    (found,) = gaps.columns([np.array([[1.0, 2.0], [3.0, 4.0]])])
    equal(found, [[1, 0, 2], [3, 0, 4]])

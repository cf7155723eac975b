"""A sequence in, another out: shapes, raggedness, losses, prediction, files, learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.data import PairData, framed, joined

SOURCE_LENGTHS, LENGTHS = np.array([4, 7, 0, 1, 7]), np.array([3, 0, 2, 5, 1])
TASKS = ["classification", "regression", "multilabel"]
FLAT: dict[str, Any] = {"max_length": 6}


def model_of(task: str = "classification", **options: Any) -> Any:
    """Three features in, sequences of four ids or numbers out."""
    given = {"hidden_size": 6, "task": task, "dtype": "float64", "seed": 0, **options}
    return rf.EncoderDecoder(3, 4, **given)


def sources(rng: np.random.Generator, ids: bool = False) -> tuple[list[np.ndarray], np.ndarray]:
    """Return a list of sources, and the same as an array with a padding that must not be read."""
    whole = rng.integers(0, 3, (5, 7)) if ids else rng.normal(size=(5, 7, 3))
    items = [row[:n].copy() for row, n in zip(whole, SOURCE_LENGTHS, strict=True)]
    whole[np.arange(7) >= SOURCE_LENGTHS[:, None]] = -9 if ids else np.nan
    return items, whole


def targets(task: str, rng: np.random.Generator) -> list[np.ndarray]:
    if task == "classification":
        return [rng.integers(0, 4, n) for n in LENGTHS]
    return [rng.uniform(size=(n, 4)) for n in LENGTHS]


def gradients(model: Any, *args: Any, **options: Any) -> tuple[float, dict[str, np.ndarray]]:
    model.zero_grad()
    value = model.loss_and_grad(*args, **options)
    return value, {name: p.grad.copy() for name, p in model.parameters().items()}


def test_names_and_shapes_of_parameters() -> None:
    model = rf.EncoderDecoder(5, 4, cell="gru", hidden_size=3, num_layers=2, source_embedding=2, target_embedding=6)
    shapes = {name: p.shape for name, p in model.parameters().items()}
    layers = [f"{kind}_l{k}" for k in (0, 1) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    assert list(shapes) == [
        "source_embedding.weight",
        *[f"encoder.{n}" for n in layers],
        "target_embedding.weight",
        *[f"decoder.{n}" for n in layers],
        "head.weight",
        "head.bias",
    ]
    assert shapes["source_embedding.weight"] == (5, 2)
    assert shapes["target_embedding.weight"] == (6, 6), "four ids, stop and start"
    assert shapes["head.weight"] == (5, 3), "four ids and stop"
    assert (shapes["encoder.weight_ih_l0"], shapes["decoder.weight_ih_l0"]) == ((9, 2), (9, 6))
    given = {name: p.shape for name, p in model_of(start=0, stop=3).parameters().items()}
    assert (given["head.bias"], given["decoder.weight_ih_l0"]) == ((4,), (24, 4))
    given = {name: p.shape for name, p in model_of(stop=3).parameters().items()}
    assert (given["head.bias"], given["decoder.weight_ih_l0"]) == ((4,), (24, 5))
    given = {name: p.shape for name, p in model_of(attention="additive").parameters().items()}
    assert {name.removeprefix("attention."): s for name, s in given.items() if name.startswith("attention.")} == {
        "key.weight": (6, 6),
        "query.weight": (6, 6),
        "query.bias": (6,),
        "score.weight": (6,),
        "combine.weight": (6, 12),
        "combine.bias": (6,),
    }
    given = {name: p.shape for name, p in model_of("regression").parameters().items()}
    assert (given["head.bias"], given["decoder.weight_ih_l0"]) == ((4,), (24, 4))


@pytest.mark.parametrize("embedding", [None, 3])
@pytest.mark.parametrize("task", TASKS)
def test_forms_of_the_users_data_are_one(task: str, embedding: int | None, rng: np.random.Generator) -> None:
    model, (items, array) = model_of(task, source_embedding=embedding), sources(rng, embedding is not None)
    y = targets(task, rng)
    expected = gradients(model, items, y)
    assert np.isfinite(expected[0])
    for x, given in (([i.tolist() for i in items[:2]] + items[2:], {}), (array, {"lengths": SOURCE_LENGTHS})):
        if not given and embedding is None:
            x = items
        value, grads = gradients(model, x, [list(t) for t in y] if task == "classification" else y, **given)
        assert value == expected[0] == model.loss(items, y)
        for name, grad in grads.items():
            np.testing.assert_array_equal(grad, expected[1][name], err_msg=name)
        for a, b in zip(model.predict(x, max_length=4, **given), model.predict(items, max_length=4), strict=True):
            np.testing.assert_array_equal(a, b)
    whole = np.nan_to_num(array) if embedding is None else np.maximum(array, 0)
    square = rng.integers(0, 4, (5, 2)) if task == "classification" else rng.uniform(size=(5, 2, 4))
    assert model.loss(whole, square) == model.loss(list(whole), list(square))


def test_predictions_of_the_three_tasks(rng: np.random.Generator) -> None:
    items, _ = sources(rng)
    found = model_of().predict(items)
    assert all(p.dtype == np.int64 and p.ndim == 1 for p in found)
    assert all(((p >= 0) & (p < 4)).all() for p in found), "stop is not a part of the prediction"
    numbers = model_of("regression", dtype="float32").predict(items, **FLAT)
    assert (numbers.shape, numbers.dtype) == ((5, 6, 4), np.float32)
    labels = model_of("multilabel").predict(items, **FLAT)
    assert (labels.shape, labels.dtype) == ((5, 6, 4), np.int64)
    assert set(labels.ravel()) <= {0, 1}
    p = model_of("multilabel").predict_proba(items, **FLAT)
    np.testing.assert_array_equal(p > 0.5, labels)


def test_nothing_is_longer_than_its_limit(rng: np.random.Generator) -> None:
    """A model that never stops writes twice the source's length and ten more, or what it was told."""
    items, _ = sources(rng)
    model = model_of()
    model.parameters()["head.bias"][...] = np.array([0, 0, 0, 0, -1000.0])
    for beams in (None, 3):
        assert [len(p) for p in model.predict(items, beams=beams)] == list(2 * SOURCE_LENGTHS + 10)
        assert [len(p) for p in model.predict(items, beams=beams, max_length=3)] == [3] * 5
        assert [len(p) for p in model.predict(items, beams=beams, max_length=0)] == [0] * 5
    assert model_of("regression").predict(items, max_length=0).shape == (5, 0, 4)
    model.parameters()["head.bias"][...] = np.array([0, 0, 0, 0, 1000.0])
    assert [len(p) for p in model.predict(items)] == [0] * 5
    assert [p.shape for p in model.predict_proba(items)] == [(0, 5)] * 5


def test_probabilities_lie_along_the_greedy_prediction(cell: str, rng: np.random.Generator) -> None:
    from tests.support.comparison import CELLS

    kind, options = CELLS[cell]
    items, _ = sources(rng)
    model = model_of(cell=kind, cell_options=options, num_layers=2, target_embedding=3)
    weight = model.parameters()["head.weight"]
    weight.assign(5 * weight.value)
    found, p = model.predict(items), model.predict_proba(items)
    assert any(len(f) for f in found)
    for ids, rows in zip(found, p, strict=True):
        assert rows.shape == (len(ids), 5)
        np.testing.assert_array_equal(rows.argmax(axis=1), ids)
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-12)


def test_a_loss_is_the_mean_over_elements_and_stops(rng: np.random.Generator) -> None:
    items, _ = sources(rng)
    model = model_of()
    found = model.predict(items)
    p = model.predict_proba(items)
    own = [-np.log(rows[np.arange(len(ids)), ids]).sum() for ids, rows in zip(found, p, strict=True)]
    ended = [len(ids) < limit for ids, limit in zip(found, 2 * SOURCE_LENGTHS + 10, strict=True)]
    for n, ids in enumerate(found):
        total = model.loss(items[n : n + 1], [ids]) * (len(ids) + 1)
        assert total > own[n]
        if ended[n]:
            stop = np.exp(own[n] - total)
            assert stop > 0.2, "the stop was more probable than each of four other ids"
    w = rng.uniform(size=5)
    y = targets("classification", rng)
    each = np.array([model.loss(items[n : n + 1], y[n : n + 1]) * (len(y[n]) + 1) for n in range(5)])
    assert model.loss(items, y) == pytest.approx(each.sum() / (LENGTHS + 1).sum(), rel=1e-13)
    assert model.loss(items, y, sample_weight=w) == pytest.approx((w @ each) / (w @ (LENGTHS + 1)), rel=1e-13)
    found = model.evaluate(items, y, sample_weight=w, batch_size=2)
    assert found["loss"] == pytest.approx(model.loss(items, y, sample_weight=w), rel=1e-13)
    assert 0 <= found["accuracy"] <= 1


@pytest.mark.parametrize("attention", ["additive", "dot"])
@pytest.mark.parametrize("task", TASKS)
def test_attention_is_a_mean_over_the_source(task: str, attention: str, rng: np.random.Generator) -> None:
    """Weights (T_i, S_i) that sum to 1, and that say where a changed source is noticed."""
    items, array = sources(rng)
    model = model_of(task, attention=attention)
    if task == "classification":
        model.parameters()["head.bias"][-1:] = np.array([-2.0])  # so that it seldom stops at once
    for beams in (None, 2) if task == "classification" else (None,):
        options: dict[str, Any] = {**FLAT, "beams": beams, "return_attention": True}
        found, maps = model.predict(items, **options)
        for a, b in zip(found, model.predict(items, **FLAT, beams=beams), strict=True):
            np.testing.assert_array_equal(a, b)
        assert [m.shape for m in maps] == [(len(f), n) for f, n in zip(found, SOURCE_LENGTHS, strict=True)]
        for m in maps:
            assert m.dtype == np.float64
            assert (m >= 0).all()
            np.testing.assert_allclose(m.sum(axis=1), 1 if m.shape[1] else 0, rtol=1e-12)
        padded = model.predict(array, lengths=SOURCE_LENGTHS, **options)[1]
        for a, b in zip(padded, maps, strict=True):
            np.testing.assert_array_equal(a, b)
    assert any(np.ptp(m, axis=0).max(initial=0) > 0 for m in maps if len(m)), "weights depend on what is written"
    assert model.predict([], **options)[1] == []


def test_attention_finds_what_the_state_forgets() -> None:
    """An encoder that remembers nothing: only by looking can the decoder tell which marked step it has to name."""
    rng = np.random.default_rng(0)
    x = np.zeros((200, 6, 4))
    x[np.arange(200)[:, None], np.arange(6), rng.integers(0, 3, (200, 6))] = 1
    place = rng.integers(0, 5, 200)
    x[np.arange(200), place, 3] = 3
    y = x[np.arange(200), place, :3].argmax(axis=1)[:, None]
    losses = {}
    for attention in (None, "additive"):
        model = rf.EncoderDecoder(4, 3, cell="rnn", hidden_size=12, attention=attention, seed=0)
        model.parameters()["encoder.weight_hh_l0"][...] = np.zeros((12, 12))
        fixed = rf.Adam({k: p for k, p in model.parameters().items() if k != "encoder.weight_hh_l0"}, lr=1e-2)
        for _ in range(150):
            model.zero_grad()
            losses[attention] = model.loss_and_grad(x, y)
            fixed.step()
    assert losses["additive"] < 0.05 < 0.4 < losses[None]


def test_vectors_go_on_from_the_vectors_before(rng: np.random.Generator) -> None:
    """The prediction is a fixed point: read as y, it is what the model says at every step."""
    items, _ = sources(rng)
    model = model_of("regression", num_layers=2)
    found = model.predict(items, **FLAT)
    assert model.loss(items, found) < 1e-30
    changed = found.copy()
    changed[:, -1] += 1
    assert model.loss(items, changed) == pytest.approx(1 / 6, rel=1e-12), "the last vector is read by no step"


def test_empty_data_give_empty_results() -> None:
    model = model_of()
    assert model.predict([]) == []
    assert model.predict_proba([]) == []
    assert model_of("regression").predict([], **FLAT).shape == (0, 6, 4)
    p, labels = (getattr(model_of("multilabel"), name)([], **FLAT) for name in ("predict_proba", "predict"))
    assert p.shape == labels.shape == (0, 6, 4)
    assert (p.dtype, labels.dtype) == (np.float64, np.int64)
    nothing = [np.zeros((0, 3))] * 2
    assert np.isfinite(model.loss(nothing, [[], []])), "both should stop at once"
    assert len(model.predict(nothing)) == 2
    model.fit([*nothing, np.ones((1, 3))], [[], [2], [1, 1]], epochs=2, batch_size=1, progress=False, seed=0)
    assert all(np.isfinite(value).all() for value in model.state_dict().values())


def test_frames_and_pieces() -> None:
    s = joined([np.array([3, 1]), np.array([], int), np.array([4])], np.zeros(0, np.int64))
    whole = framed(s, 7, 9)
    assert whole.values.tolist() == [7, 3, 1, 9, 7, 9, 7, 4, 9]
    data = PairData(sources=s, inputs=whole.without_last(), targets={"": whole.without_first()}, batch_size=2)
    assert data.sizes.tolist() == [5, 1, 3]
    seen = sorted(n for batch in data.batches(np.random.default_rng(0)) for n in batch.targets[""].tolist())
    assert seen == [1, 3, 4, 9, 9, 9]
    batch = data.select(np.array([2, 0])).batch(np.array([1, 0]))
    assert (batch.sources.flat().tolist(), batch.sources.lengths.tolist()) == ([3, 1, 4], [2, 1])
    assert (batch.inputs.flat().tolist(), batch.inputs.lengths.tolist()) == ([7, 3, 1, 7, 4], [3, 2])
    assert batch.targets[""].tolist() == [3, 1, 9, 4, 9]


@pytest.mark.parametrize("task", TASKS)
def test_round_trip_through_a_file(task: str, tmp_path: Path, rng: np.random.Generator) -> None:
    items, _ = sources(rng, ids=True)
    own: dict[str, Any] = {"start": 0, "target_embedding": 2} if task == "classification" else {"attention": "dot"}
    model = model_of(task, cell="gru", num_layers=2, source_embedding=5, dtype="float32", **own)
    y = [np.maximum(t, 1) for t in targets(task, rng)] if "start" in own else targets(task, rng)
    model.fit(items, y, epochs=1, progress=False, seed=0)
    model.metadata["letters"] = "abc"
    model.save(tmp_path / "m.safetensors")
    loaded = rf.load(tmp_path / "m.safetensors")
    assert type(loaded) is rf.EncoderDecoder
    assert (loaded.config, loaded.metadata) == (model.config, model.metadata)
    assert loaded.evaluate(items, y) == model.evaluate(items, y)
    for a, b in zip(loaded.predict(items, **FLAT), model.predict(items, **FLAT), strict=True):
        np.testing.assert_array_equal(a, b)


def test_learns_to_reverse() -> None:
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 5, n) for n in rng.integers(1, 6, 400)]
    y = [s[::-1] for s in x]
    model = rf.EncoderDecoder(5, 5, cell="gru", hidden_size=64, source_embedding=16, target_embedding=16, seed=0)
    options: dict[str, Any] = {"batch_size": 16, "clip_norm": 1.0, "progress": False, "seed": 0}
    history = model.fit(x, y, epochs=20, lr=5e-3, validation_split=0.1, **options)
    assert history.history["val_accuracy"][-1] > history.history["val_accuracy"][0]
    model.fit(x[:360], y[:360], epochs=20, lr=1e-3, **options)
    right = [np.array_equal(a, b) for a, b in zip(model.predict(x[:360]), y[:360], strict=True)]
    assert np.mean(right) > 0.95


def test_learns_from_frames_to_waves() -> None:
    """A number in, a wave of that frequency out: the decoder's own vectors keep it going."""
    rng = np.random.default_rng(0)
    f = rng.uniform(0.2, 0.8, 200)
    y = np.sin(f[:, None] * np.arange(1, 9))[..., None]
    model = rf.EncoderDecoder(1, 1, cell="gru", hidden_size=32, task="regression", seed=0)
    for lr in (1e-2, 2e-3):
        model.fit(f[:, None, None], y, epochs=50, batch_size=20, lr=lr, progress=False, seed=0)
    found = model.predict(f[:, None, None], max_length=8)
    assert np.mean((found - y) ** 2) < 0.05 * y.var()

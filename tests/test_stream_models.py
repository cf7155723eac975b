"""Streams of models: the head's outputs step by step, from vectors or ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.models.rows import as_rows
from tests.support.comparison import CELLS, unbundle

LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vectors": ({"input_size": 3, "output_size": 4}, {"task": "regression"}),
    "embedding": ({"input_size": 9, "output_size": 4}, {"embedding": 5}),
    "large vocabulary": ({"input_size": 1100, "output_size": 4}, {"embedding": 5}),
}


def build(make: Any, cell: str, layout: str, dtype: str, **options: Any) -> Any:
    kind, choice = CELLS[cell]
    sizes, more = LAYOUTS[layout]
    return make(
        *sizes.values(),
        cell=kind,
        cell_options=choice,
        hidden_size=17,
        num_layers=2,
        dtype=dtype,
        seed=0,
        **more,
        **options,
    )


def data_of(layout: str, dtype: str, rng: np.random.Generator, N: int, T: int = 6) -> np.ndarray:
    if layout == "vectors":
        return rng.normal(size=(N, T, 3)).astype(dtype)
    return rng.integers(0, LAYOUTS[layout][0]["input_size"], (N, T))


def outputs_of(model: Any, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """Outputs (N, T, K) by the model's own layers, and the final state."""
    y, last = model.backbone.infer(as_rows(x), None)
    return model.head(y).reshape(*x.shape[:2], -1), last


def assert_same_state(actual: Any, expected: Any) -> None:
    for a, b in zip(unbundle(actual), unbundle(expected), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("N", [1, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("make", [rf.ManyToOne, rf.ManyToMany])
def test_outputs(make: Any, cell: str, layout: str, dtype: str, N: int, rng: np.random.Generator) -> None:
    model = build(make, cell, layout, dtype)
    x = data_of(layout, dtype, rng, N)
    expected, last = outputs_of(model, x)
    steps, blocks = model.stream(N), model.stream(N)
    out = np.empty((N, 4), dtype)
    for t in range(x.shape[1]):
        np.testing.assert_array_equal(steps.step(x[:, t], out=out), expected[:, t], strict=True)
    np.testing.assert_array_equal(blocks.process(x[:, :4]), expected[:, :4], strict=True)
    np.testing.assert_array_equal(blocks.process(x[:, 4:]), expected[:, 4:], strict=True)
    assert_same_state(steps.state, last)
    assert_same_state(blocks.state, last)


def test_many_to_one_reads_on(rng: np.random.Generator) -> None:
    """The outputs after the last step are those of the whole sequence."""
    model = rf.ManyToOne(3, 4, hidden_size=8, seed=0)
    x = rng.normal(size=(5, 7, 3)).astype(np.float32)
    outputs = model.stream(5).process(x)[:, -1]
    np.testing.assert_array_equal(outputs.argmax(1), model.predict(x))


@pytest.mark.parametrize("N", [1, 3])
def test_large_outputs_on_several_threads(N: int, threads: int, rng: np.random.Generator) -> None:
    model = rf.ManyToMany(200, 300, hidden_size=520, seed=0)
    x = rng.normal(size=(N, 4, 200)).astype(np.float32)
    expected, _ = outputs_of(model, x)
    stream = model.stream(N)
    np.testing.assert_array_equal(stream.step(x[:, 0]), expected[:, 0])
    np.testing.assert_array_equal(stream.process(x[:, 1:]), expected[:, 1:])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parameters_may_change(layout: str, rng: np.random.Generator) -> None:
    model = build(rf.ManyToMany, "lstm", layout, "float32")
    x = data_of(layout, "float32", rng, 2)
    expected, _ = outputs_of(model, x)
    steps, blocks = model.stream(2), model.stream(2)
    for parameter in model.parameters().values():
        parameter[...] = parameter.value + 1
    np.testing.assert_array_equal(np.stack([steps.step(x[:, t]) for t in range(6)], axis=1), expected)
    np.testing.assert_array_equal(blocks.process(x), expected)


def test_ids_of_every_integer_type(rng: np.random.Generator) -> None:
    model = rf.OneToMany(7, hidden_size=8, seed=0)
    expected = model.stream().step(5)
    assert expected.shape == (7,)
    for given in (np.int64(5), np.array(5), np.uint8(5), np.array(5, ">i4")):
        np.testing.assert_array_equal(model.stream().step(given), expected, strict=True)
    several: list[Any] = [[5], np.array([5]), np.array([5], np.int16), np.arange(6)[::5][1:]]
    for given in several:
        np.testing.assert_array_equal(model.stream().step(given), expected[None], strict=True)
    ids = rng.integers(0, 7, 12)
    np.testing.assert_array_equal(model.stream(6).step(ids[::2]), model.stream(6).step(ids[::2].copy()))


def test_one_to_many_reads_as_it_writes() -> None:
    """A stream that is fed its own best elements writes the same as ``generate``."""
    model = rf.OneToMany(7, hidden_size=8, seed=3)
    stream, written, outputs = model.stream(), [], np.empty(0)
    for element in [1, 4, 2]:
        outputs = stream.step(element)
    for _ in range(10):
        written.append(int(outputs.argmax()))
        outputs = stream.step(written[-1])
    np.testing.assert_array_equal(written, model.generate(np.array([1, 4, 2]), 10, greedy=True))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_context(cell: str, rng: np.random.Generator) -> None:
    """A context starts the sequences, again after a reset; a given state goes before it."""
    model = rf.OneToMany(7, hidden_size=8, context_size=3, cell=cell, seed=0)
    context = rng.normal(size=(2, 3))
    assert model.context is not None
    start = model.context(context.astype(np.float32))
    stream = model.stream(2, context=context)
    assert_same_state(stream.state, start)
    stream.process([[1, 2], [3, 4]])
    last = stream.state
    stream.reset([True, False])
    for now, first, then in zip(unbundle(stream.state), unbundle(start), unbundle(last), strict=True):
        np.testing.assert_array_equal(now[:, 0], first[:, 0])
        np.testing.assert_array_equal(now[:, 1], then[:, 1])
    stream.reset()
    assert_same_state(stream.state, start)
    assert_same_state(model.stream(2, last, context=context).state, last)
    assert model.stream(context=context[0]).step(1).shape == (7,)
    with pytest.raises(ValueError, match=r"context: .*is required, got None"):
        model.stream(2)
    with pytest.raises(ValueError, match=r"context: None is required"):
        rf.OneToMany(7).stream(context=context[0])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_decoder_writes_as_predict(cell: str, rng: np.random.Generator) -> None:
    model = rf.EncoderDecoder(3, 6, cell=cell, hidden_size=8, num_layers=2, target_embedding=4, seed=0)
    source = [rng.normal(size=(n, 3)) for n in (5, 0, 9, 2)]
    stream = model.stream(4, source=source)
    assert stream.step([model.start_id] * 4).shape == (4, 7)
    stream.reset()
    ids, steps = np.full(4, model.start_id), []
    for _ in range(28):
        ids = stream.step(ids).argmax(1)
        steps.append(ids)
    written = [row[: np.append(np.flatnonzero(row == model.stop_id), 28)[0]] for row in np.stack(steps, axis=1)]
    for own, limit, expected in zip(written, (20, 10, 28, 14), model.predict(source), strict=True):
        np.testing.assert_array_equal(own[:limit], expected)


def test_a_decoder_of_vectors_writes_as_predict(rng: np.random.Generator) -> None:
    model = rf.EncoderDecoder(3, 2, task="regression", hidden_size=8, seed=0)
    assert (model.start_id, model.stop_id) == (None, None)
    source = rng.normal(size=(3, 5, 3))
    stream = model.stream(3, source=source)
    steps = [np.zeros((3, 2), np.float32)]
    for _ in range(6):
        steps.append(stream.step(steps[-1]))
    np.testing.assert_array_equal(np.stack(steps[1:], axis=1), model.predict(source, max_length=6))
    unread = model.stream(3)
    assert not np.concatenate(unread.state).any()


def test_reals_are_converted(rng: np.random.Generator) -> None:
    model = rf.ManyToMany(3, 2, hidden_size=4, seed=0)
    x = rng.integers(-3, 4, (1, 5, 3))
    expected = model.stream().process(x.astype(np.float32))
    np.testing.assert_array_equal(model.stream().process(x.astype(np.float64)), expected)
    stream = model.stream()
    for t in range(5):
        np.testing.assert_array_equal(stream.step(x[0, t].tolist()), expected[0, t])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (9, ValueError, r"x: ids 0..V-1 \(V = 9\) are required, got 9"),
        (-1, ValueError, r"x: ids .* got -1"),
        (2**80, (ValueError, TypeError, OverflowError), "x: "),
        (np.array([9]), ValueError, r"x: ids .* got 9"),
        (np.array([1, 2]), ValueError, r"x: ids \(N,\) = \(1,\), or one integer, is required, got shape \(2,\)"),
        (np.array([[1]]), ValueError, r"x: ids .*got shape \(1, 1\)"),
        (1.0, TypeError, r"x: integer ids are required, got dtype float64"),
        (True, TypeError, r"x: integer ids are required, got dtype bool"),
    ],
)
def test_ids_that_are_refused(x: Any, error: Any, message: str) -> None:
    stream = build(rf.ManyToMany, "gru", "embedding", "float32").stream()
    with pytest.raises(error, match=message):
        stream.step(x)
    assert not stream.state.any()


def test_blocks_of_another_number_of_sequences_are_refused() -> None:
    one = rf.ManyToMany(1, 1, task="regression", hidden_size=4, seed=0).stream()
    with pytest.raises(ValueError, match=r"block: shape \(N, T, C\) with N = 1, C = 1 is required, got \(64, 1\)"):
        one.process(np.ones((64, 1)))
    ids = build(rf.ManyToMany, "gru", "embedding", "float32").stream()
    with pytest.raises(ValueError, match=r"block: shape \(N, T\) with N = 1 is required, got \(2, 3\)"):
        ids.process(np.ones((2, 3), np.int64))


def test_vectors_that_are_refused() -> None:
    stream = build(rf.ManyToMany, "gru", "vectors", "float32").stream(2)
    with pytest.raises(TypeError, match=r"x: real numbers are required, got dtype complex128"):
        stream.step(np.ones((2, 3)) * 1j)
    with pytest.raises(ValueError, match=r"x: shape \(N, C\) = \(2, 3\) is required, got \(3,\)"):
        stream.step([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"block: shape \(N, T, C\) with N = 2, C = 3 is required, got \(3, 4, 3\)"):
        stream.process(np.ones((3, 4, 3)))
    with pytest.raises(ValueError, match=r"out: shape \(N, outputs\) = \(2, 4\)"):
        stream.step(np.ones((2, 3)), out=np.ones((2, 17), np.float32))
    assert not stream.state.any()

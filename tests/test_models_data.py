"""Sequences, batches, streams and characters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnfast.data import (
    AlignedData,
    Sequences,
    VectorData,
    as_id_sequences,
    as_real_sequences,
    as_streams,
    batch_indices,
    hold_out,
)
from rnnfast.text import Vocabulary

LENGTHS = st.lists(st.integers(0, 40), min_size=0, max_size=60)
SEED = st.integers(0, 9) | st.none()


@given(lengths=LENGTHS, size=st.integers(1, 70), seed=SEED)
def test_every_sequence_is_dealt_once(lengths: list[int], size: int, seed: int | None) -> None:
    rng = None if seed is None else np.random.default_rng(seed)
    batches = batch_indices(np.array(lengths, np.int64), size, rng)
    assert all(0 < len(b) <= size for b in batches)
    dealt = np.concatenate([np.zeros(0, np.int64), *batches])
    assert sorted(dealt) == list(range(len(lengths)))
    if rng is None:
        assert list(dealt) == list(range(len(lengths)))


def test_similar_lengths_share_a_batch() -> None:
    lengths = np.random.default_rng(0).integers(1, 1000, 2000)
    batches = batch_indices(lengths, 20, np.random.default_rng(1))
    padded = sum(lengths[b].max() * len(b) for b in batches)
    assert padded < 1.1 * lengths.sum()
    firsts = [lengths[b].mean() for b in batches]
    assert np.corrcoef(firsts, np.arange(len(firsts)))[0, 1] < 0.3
    again = batch_indices(lengths, 20, np.random.default_rng(1))
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))
    other = batch_indices(lengths, 20, np.random.default_rng(2))
    assert any(set(a) != set(b) for a, b in zip(batches, other, strict=True))


@given(lengths=LENGTHS, start=st.integers(0, 9), steps=st.integers(1, 9) | st.none())
def test_taking_pads_and_cuts(lengths: list[int], start: int, steps: int | None) -> None:
    items = [np.arange(n) + 100 * i + 1 for i, n in enumerate(lengths)]
    s = as_id_sequences(items, 10**6)
    index = np.arange(len(items), dtype=np.int64)[::-1]
    stop = None if steps is None else start + steps
    taken = s.select(index).piece(start, stop)
    pieces = [items[i][start:stop] for i in index]
    assert taken.lengths.tolist() == [len(p) for p in pieces]
    assert (taken.count, taken.steps) == (sum(map(len, pieces)), max(map(len, pieces), default=0))
    padded = taken.padded()
    assert padded.shape == (len(items), taken.steps)
    for row, piece in zip(padded, pieces, strict=True):
        np.testing.assert_array_equal(row[: len(piece)], piece)
        assert not row[len(piece) :].any()
    flat = taken.flat()
    np.testing.assert_array_equal(flat, np.concatenate([[], *pieces]))
    np.testing.assert_array_equal(s.values[taken.positions()], flat)
    for row, piece in zip(taken.like(flat).split(flat), pieces, strict=True):
        np.testing.assert_array_equal(row, piece)


def test_shifted_sequences_share_their_values() -> None:
    s = as_real_sequences([np.arange(6.0).reshape(3, 2), np.ones((1, 2))], 2, np.dtype("float32"))
    assert s.values.dtype == np.float32
    first, last = s.without_last(), s.without_first()
    assert first.lengths.tolist() == last.lengths.tolist() == [2, 0]
    assert last.values is s.values
    np.testing.assert_array_equal(last.flat(), [[2, 3], [4, 5]])


@given(lengths=st.lists(st.integers(0, 300), min_size=1, max_size=5), gap=st.integers(0, 2))
def test_flat_elements_are_those_at_the_positions(lengths: list[int], gap: int) -> None:
    """Long sequences are copied slice by slice, short ones element by element, neighbours not at all."""
    counts = np.array(lengths, np.int64)
    offsets = np.cumsum(counts + gap) - counts
    s = Sequences(np.arange(int((counts + gap).sum()) + 1), offsets, counts, ragged=True)
    np.testing.assert_array_equal(s.flat(), s.values[s.positions()])


@given(total=st.integers(2, 60), count=st.integers(1, 20))
def test_streams_cover_every_pair_once(total: int, count: int) -> None:
    one = Sequences(np.arange(total), np.array([0]), np.array([total]), ragged=False)
    if total - 1 < count:
        with pytest.raises(ValueError, match=rf"x: at least batch_size \+ 1 = {count + 1} elements"):
            as_streams(one, count, "x")
        return
    s = as_streams(one, count, "x")
    assert len(s) == count
    inputs, targets = s.without_last().flat(), s.without_first().flat()
    np.testing.assert_array_equal(inputs, np.arange(total - 1))
    np.testing.assert_array_equal(targets, inputs + 1)
    assert s.lengths.max() - s.lengths.min() <= 1


@given(
    lengths=st.lists(st.integers(2, 12), min_size=1, max_size=9), steps=st.integers(1, 13), burn_in=st.integers(0, 5)
)
def test_pieces_hold_every_target_once(lengths: list[int], steps: int, burn_in: int) -> None:
    s = as_id_sequences([100 * i + np.arange(n) for i, n in enumerate(lengths)], 10**6)
    weights = np.arange(1.0, len(lengths) + 1)
    data = AlignedData(
        inputs=s.without_last(),
        targets={"": s.without_first()},
        weights=weights,
        batch_size=4,
        tbptt=steps,
        burn_in=burn_in,
    )
    batches = list(data.batches(np.random.default_rng(0)))
    assert len(list(data.batches())) == len(data)
    found: list[int] = []
    for batch in batches:
        targets = batch.targets[""]
        rows = np.arange(batch.inputs.count) if batch.target_rows is None else batch.target_rows
        np.testing.assert_array_equal(batch.inputs.flat()[rows] + 1, targets)
        np.testing.assert_array_equal(batch.weights, weights[targets // 100])
        assert batch.inputs.steps <= steps
        assert batch.count == len(targets)
        found += targets.tolist()
    assert sorted(found) == [100 * i + t for i, n in enumerate(lengths) for t in range(1 + burn_in, n)]
    assert not batches[0].continues


def test_the_last_sequences_are_held_out() -> None:
    s = as_id_sequences(np.arange(20).reshape(10, 2), 20)
    data = VectorData(inputs=s, targets={"": np.arange(10)}, batch_size=3)
    first, last = hold_out(data, 0.25)
    assert (len(first.inputs), len(last.inputs), len(data)) == (8, 2, 4)
    assert last.targets[""].tolist() == [8, 9]
    assert [len(part.inputs) for part in hold_out(data, 0.999)] == [1, 9]


def test_characters_and_ids() -> None:
    v = Vocabulary(["night", "thing"])
    assert v.characters == "ghint"
    assert v.decode(v.encode("thin")) == "thin"
    assert "g" in v
    assert "x" not in v
    assert v.encode("").shape == (0,)
    with pytest.raises(ValueError, match=r"text: characters of the vocabulary are required, got 'x' at place 2"):
        v.encode("gixx")
    with pytest.raises(ValueError, match=r"ids: each within 0..4 is required, got -1"):
        v.decode([0, -1])

"""Sequences padded at the front."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.data import from_left_padded

LENGTHS = np.array([3, 0, 6, 1])
MASK = np.arange(6) >= 6 - LENGTHS[:, None]


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)], ids=str)
def test_sequences_are_moved(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=shape)
    x[~MASK] = np.nan
    moved, lengths = from_left_padded(x, MASK)
    np.testing.assert_array_equal(lengths, LENGTHS, strict=True)
    for n, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(moved[n, :length], x[n, 6 - length :])
        assert (moved[n, length:] == 0).all()


def test_both_paddings_mean_the_same_sequences(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 6, 3)).astype(np.float32)
    layer = rf.GRU(3, 5, bidirectional=True, seed=0)
    moved, lengths = from_left_padded(x, MASK)
    y, h = layer(moved, lengths=lengths)
    listed, h2 = layer([x[n, 6 - length :] for n, length in enumerate(LENGTHS)])
    np.testing.assert_array_equal(y, listed)
    np.testing.assert_array_equal(h, h2)


@pytest.mark.parametrize("sizes", [(0, 5), (3, 0)])
def test_nothing(sizes: tuple[int, int]) -> None:
    moved, lengths = from_left_padded(np.zeros((*sizes, 2)), np.zeros(sizes, bool))
    assert moved.shape == (*sizes, 2)
    np.testing.assert_array_equal(lengths, np.zeros(sizes[0], np.int64), strict=True)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (MASK.astype(int), TypeError, r"mask: dtype bool is required, got int64"),
        (MASK[:, 1:], ValueError, r"mask: shape \(N, T\) = \(4, 6\).*, got \(4, 5\)"),
        (MASK[:, ::-1], ValueError, r"mask: .*without gaps up to the last one.* row 0"),
        (MASK ^ np.eye(4, 6, k=3, dtype=bool), ValueError, r"mask: .* row 1"),
    ],
)
def test_refusals(mask: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_left_padded(np.zeros((4, 6, 3)), mask)

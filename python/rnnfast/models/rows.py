"""Rows of a batch: elements as sequences, and the states of chosen sequences."""

from __future__ import annotations

import numpy as np

from rnnfast.arrays import Array, Int64
from rnnfast.data import Sequences
from rnnfast.layers import State


def as_rows(elements: Array) -> Sequences:
    """Return elements (R, T, ...) as R sequences of T steps."""
    R, T = elements.shape[:2]
    offsets = np.arange(R, dtype=np.int64) * T
    return Sequences(elements.reshape(R * T, *elements.shape[2:]), offsets, np.full(R, T, np.int64), ragged=False)


def rows_of_state(state: State, rows: Int64) -> State:
    """Return the states (L, R, H) of the sequences numbered by ``rows`` (R,)."""
    if isinstance(state, tuple):
        return tuple(part[:, rows] for part in state)
    return state[:, rows]


def repeat_state(state: State, copies: int) -> State:
    """Return the states (L, N, H) of N sequences with each of them ``copies`` times."""
    if isinstance(state, tuple):
        return tuple(np.repeat(part, copies, axis=1) for part in state)
    return np.repeat(state, copies, axis=1)

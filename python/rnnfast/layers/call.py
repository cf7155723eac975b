"""What a layer is called with, checked."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rnnfast import _ops

Array = npt.NDArray[Any]
Sequences = npt.ArrayLike | list[Any] | tuple[Any, ...]


Inputs: TypeAlias = tuple[Array, Array | None, Array | None]
"""x (N, T, C), lengths int64 (N,) and resets uint8 (N, T), the latter two None where there are none."""

Rows: TypeAlias = tuple[Array, Array, Array | None]
"""Values (M, C), lengths int64 (N,) and resets uint8 (R,), the last None where there are none."""


def read_inputs(
    x: Sequences,
    lengths: npt.ArrayLike | None,
    resets: npt.ArrayLike | None,
    *,
    width: int,
    dtype: np.dtype[Any],
    time_major: bool,
) -> Inputs:
    """Return the user's sequences of C = ``width`` batch-first, a list of them padded.

    Raises
    ------
    ValueError
        On a wrong shape or length.
    TypeError
        On another dtype of x, lengths that are no integers, resets that are not bool.
    """
    if isinstance(x, (list, tuple)):
        if lengths is not None:
            raise ValueError("lengths: none are accepted beside a list of arrays, which has its own")
        batch, own = _ops.pad(x, width, dtype)
        N, T = batch.shape[:2]
        return batch, own, _ops.resets_array(resets, N, T, own=own, time_major=False)
    batch = _ops.sequences("x", x, width, dtype, time_major=time_major)
    if lengths is None and resets is None:
        return batch, None, None
    N, T = batch.shape[:2]
    cuts = _ops.resets_array(resets, N, T, own=None, time_major=time_major)
    return batch, _ops.lengths_array(lengths, N, T), cuts


def read_rows(
    values: npt.ArrayLike,
    offsets: npt.ArrayLike,
    lengths: npt.ArrayLike,
    resets: npt.ArrayLike | None,
    *,
    width: int,
    dtype: np.dtype[Any],
) -> tuple[Rows, Array]:
    """Return a batch of rows of ``values`` (M, C) with C = ``width``, and the offsets as int64 (N,).

    Step t of sequence n is row ``offsets[n] + t``, for t below ``lengths[n]``. Resets are bool (R,) with R = sum of
    lengths, one sequence after another.

    Raises
    ------
    ValueError
        On a wrong shape, or rows beyond M.
    TypeError
        On another dtype of the values, offsets or lengths that are no integers, resets that are not bool.
    """
    x = _ops.rows("values", values, width, dtype)
    first, own = _ops.row_ranges(offsets, lengths, len(x))
    return (x, own, None if resets is None else _ops.row_resets(resets, int(own.sum()))), first


def pad_rows(given: Rows, offsets: Array) -> tuple[Inputs, Array]:
    """Return the rows copied to x (N, T, C), T being the longest length, and which steps exist, bool (N, T)."""
    values, lengths, resets = given
    steps = np.arange(lengths.max(initial=0))
    valid = steps < lengths[:, None]
    x = np.zeros((*valid.shape, values.shape[1]), values.dtype)
    x[valid] = values[(offsets[:, None] + steps)[valid]]
    if resets is None:
        return (x, lengths, None), valid
    cuts = np.zeros(valid.shape, np.uint8)
    cuts[valid] = resets
    return (x, lengths, cuts), valid

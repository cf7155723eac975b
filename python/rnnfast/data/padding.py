"""Sequences that are padded at the front."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, Int64


def from_left_padded(x: npt.ArrayLike, mask: npt.ArrayLike) -> tuple[Array, Int64]:
    """Move sequences that end at the last step to the front.

    Parameters
    ----------
    x : array (N, T, ...)
        Sequence n is ``x[n, T - length_n:]``.
    mask : bool (N, T)
        Whether a step exists; the steps of a sequence have no gaps.

    Returns
    -------
    x : ndarray (N, T, ...)
        A copy that begins with ``x[n, T - length_n:]``, zero from there on.
    lengths : int64 (N,)

    Raises
    ------
    ValueError
        On a mask of another shape, with gaps, or with padding at the end.
    TypeError
        On a mask that is not bool.

    Examples
    --------
    >>> from_left_padded([[0, 0, 7], [5, 6, 8]], [[False, False, True], [True, True, True]])
    (array([[7, 0, 0],
           [5, 6, 8]]), array([1, 3]))
    """
    values, exists = checks.as_array("x", x), checks.as_array("mask", mask)
    if exists.dtype != bool:
        raise TypeError(f"mask: dtype bool is required, got {exists.dtype}")
    if values.ndim < 2:
        raise ValueError(f"x: shape (N, T, ...) is required, got {values.shape}")
    if exists.shape != values.shape[:2]:
        raise ValueError(f"mask: shape (N, T) = {values.shape[:2]}, that of x, is required, got {exists.shape}")
    broken = (exists[:, :-1] & ~exists[:, 1:]).any(axis=1)
    if broken.any():
        n = int(broken.argmax())
        raise ValueError(f"mask: existing steps without gaps up to the last one are required, got others in row {n}")
    lengths = exists.sum(axis=1, dtype=np.int64)
    moved = np.zeros_like(values)
    moved[np.arange(values.shape[1]) < lengths[:, None]] = values[exists]
    return moved, lengths

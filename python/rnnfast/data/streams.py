"""One sequence where many are possible, and a long one cut into streams."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.data.sequences import Array, Sequences


def as_one(x: Any, features: int | None, name: str = "x") -> Array | None:
    """Return ``x``, called ``name``, as an array when it is a single sequence, None when it holds many.

    A single sequence of ids (``features`` None) is 1-D; of vectors (T, C), and for C = 1 also 1-D.

    Examples
    --------
    >>> as_one([3, 1, 4], None)
    array([3, 1, 4])
    >>> as_one([[3, 1, 4], [1, 5]], None) is None
    True
    """
    if not hasattr(x, "__array__"):
        x = list(x) if np.iterable(x) else [x]
        if not x or np.ndim(x[0]) > 0:
            return None
    array = checks.as_array(name, x)
    if array.dtype == object:
        return None
    if array.ndim <= 1:
        one = np.atleast_1d(array)
        return one if features is None else one[:, None] if features == 1 else None
    if features is not None and array.ndim == 2 and array.shape[1] == features:
        return array
    return None


def as_streams(one: Sequences, count: int, name: str) -> Sequences:
    """Cut a single long sequence into ``count`` streams that cover it side by side.

    Neighbours share one element: the last one's target is the next one's first input.

    Examples
    --------
    >>> import numpy as np

    from rnnfast import checks
    >>> one = Sequences(np.arange(8), np.array([0]), np.array([8]), ragged=False)
    >>> s = as_streams(one, 3, "x")
    >>> [s.flat(np.array([n])).tolist() for n in range(3)]
    [[0, 1, 2, 3], [3, 4, 5], [5, 6, 7]]
    """
    steps = int(one.lengths[0]) - 1
    if steps < count:
        raise ValueError(
            f"{name}: at least batch_size + 1 = {count + 1} elements are required to cut it into streams, "
            f"got {steps + 1}"
        )
    lengths = np.full(count, steps // count, np.int64)
    lengths[: steps % count] += 1
    return Sequences(one.values, np.cumsum(lengths) - lengths, lengths + 1, ragged=False)

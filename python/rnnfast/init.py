"""First values of parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def uniform(
    shape: tuple[int, ...], bound: float, *, rng: np.random.Generator, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Draw from U(-bound, bound).

    Drawn in float64 and rounded, so that float32 and float64 models of one seed start alike.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    bound : float
        Largest magnitude.
    rng : numpy.random.Generator
        Source of the numbers.
    dtype : dtype
        Type of the result.

    Returns
    -------
    ndarray
        The values.

    Examples
    --------
    >>> w = uniform((2, 3), 0.5, rng=np.random.default_rng(0), dtype="float32")
    >>> w.shape, bool(abs(w).max() <= 0.5)
    ((2, 3), True)
    """
    return rng.uniform(-bound, bound, size=shape).astype(dtype)

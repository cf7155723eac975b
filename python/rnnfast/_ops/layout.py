"""The memory layout that the engine reads."""

from __future__ import annotations

import numpy as np

from rnnfast.arrays import Array


def plain(array: Array) -> Array:
    """Return a C-contiguous, aligned array: the given one where it is so already, else a copy."""
    if type(array) is np.ndarray and array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.require(array, requirements=("C", "A"))

"""The user's states, checked: arrays (L*D, N, H), one or two of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops

Array = npt.NDArray[Any]
State = Array | tuple[Array, Array]
StateLike = npt.ArrayLike | tuple[npt.ArrayLike | None, npt.ArrayLike | None] | None


def split_state(
    name: str, state: StateLike, shape: tuple[int, int, int], dtype: np.dtype[Any], *, pair: bool
) -> tuple[Array | None, Array | None]:
    """Return h and c of the shape (L*D, N, H), None where none is given; c only of cells with a ``pair`` of states.

    Raises
    ------
    ValueError
        On another shape.
    TypeError
        On another dtype, or an array where a tuple is required and the reverse.
    """
    if state is None:
        return None, None
    if not pair:
        if isinstance(state, tuple):
            raise TypeError(f"{name}: one array h is required, got a tuple")
        return _ops.state_array(name, state, shape, dtype), None
    if not isinstance(state, tuple) or len(state) != 2:
        raise TypeError(f"{name}: a tuple (h, c) is required, got {type(state).__name__}")
    h, c = state
    return _ops.state_array(f"{name}[0]", h, shape, dtype), _ops.state_array(f"{name}[1]", c, shape, dtype)

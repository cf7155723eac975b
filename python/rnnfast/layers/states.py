"""The user's states, checked: arrays (L*D, N, H), one or two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, init
from rnnfast._ops import Parts as Parts
from rnnfast.params import Parameter

Array = npt.NDArray[Any]
State = Array | tuple[Array, Array]
STARTS = ("h0", "c0")
StateLike = npt.ArrayLike | tuple[npt.ArrayLike | None, npt.ArrayLike | None] | None


def split_state(name: str, state: StateLike, shapes: Sequence[tuple[int, int, int]], dtype: np.dtype[Any]) -> Parts:
    """Return h and c of the shapes (L*D, N, H), None where none is given; c only where there are two ``shapes``.

    Raises
    ------
    ValueError
        On another shape.
    TypeError
        On another dtype, or an array where a tuple is required and the reverse.
    """
    if state is None:
        return None, None
    if len(shapes) == 1:
        if isinstance(state, tuple):
            raise TypeError(f"{name}: one array h is required, got a tuple")
        return _ops.state_array(name, state, shapes[0], dtype), None
    if not isinstance(state, tuple) or len(state) != 2:
        raise TypeError(f"{name}: a tuple (h, c) is required, got {type(state).__name__}")
    h, c = state
    return _ops.state_array(f"{name}[0]", h, shapes[0], dtype), _ops.state_array(f"{name}[1]", c, shapes[1], dtype)


def first_states(shapes: Sequence[tuple[int, int, int]], dtype: np.dtype[Any]) -> dict[str, Parameter]:
    """Return parameters h0 and, where there are two ``shapes`` (L*D, 1, H), c0; zeros."""
    return {name: Parameter(init.zeros(shape, dtype)) for name, shape in zip(STARTS, shapes, strict=False)}


def started(given: Parts, learned: Mapping[str, Parameter], sequences: int) -> tuple[Parts, tuple[str, ...]]:
    """Replace what is not given by the learned h0 and c0 (L*D, 1, H); return their names too."""
    names = tuple([name for name, part in zip(STARTS, given, strict=True) if part is None and name in learned])
    h, c = (
        np.repeat(learned[name].value, sequences, axis=1) if name in names else part
        for name, part in zip(STARTS, given, strict=True)
    )
    return (h, c), names


def after_reset(learned: Mapping[str, Parameter]) -> Parts:
    """Return the learned h0 and c0 (L*D, 1, H), with which a reset begins."""
    h, c = (learned[name].value if name in learned else None for name in STARTS)
    return h, c


def add_to_learned(learned: Mapping[str, Parameter], names: tuple[str, ...], gradients: Sequence[Array | None]) -> None:
    """Add gradients of initial states, (L*D, N, H), to those of the learned ones, of ``names``, that they came from."""
    for name, d in zip(STARTS, gradients, strict=True):
        if name in names and d is not None:
            learned[name].grad += d.sum(axis=1, keepdims=True)

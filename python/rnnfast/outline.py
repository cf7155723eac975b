"""Outlines of modules: the names and shapes of their parameters, without their memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.arrays import DType

_layers_left: ContextVar[int | None] = ContextVar("layers_left", default=None)


class Outline(np.ndarray[Any, DType]):
    """A shape and a dtype that claim no memory: all elements are one zero, and writes to them are dropped."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Do nothing."""


@contextmanager
def outlines(layers: int) -> Iterator[None]:
    """Build modules whose parameters are outlines, of at most ``layers`` recurrent layers altogether.

    A configuration from a file may ask for any size. Its outline shows what it asks for before memory is claimed.

    Examples
    --------
    >>> import rnnfast as rf
    >>> with outlines(layers=1):
    ...     layer = rf.LSTM(10**6, 10**6)
    >>> layer.parameters()["weight_hh_l0"].shape
    (4000000, 1000000)
    """
    token = _layers_left.set(layers)
    try:
        yield
    finally:
        _layers_left.reset(token)


def outlined(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Outline | None:
    """Return an outline where modules are built as outlines, else None."""
    if _layers_left.get() is None:
        return None
    return np.broadcast_to(np.zeros((), dtype).view(Outline), shape, subok=True)  # type: ignore[return-value]


def count_layer() -> None:
    """Count a layer of one direction; ValueError where an outline has more of them than it may."""
    left = _layers_left.get()
    if left is None:
        return
    if left == 0:
        raise ValueError("num_layers: as many layers as there are parameters for are required, got more")
    _layers_left.set(left - 1)

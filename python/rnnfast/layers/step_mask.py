"""Steps that do not exist: a layer reads the others, moved to the front of their sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rnnfast import _ops
from rnnfast.arrays import Array, DType
from rnnfast.layers.call import Inputs, SequencesLike, read_inputs


@dataclass(frozen=True, eq=False)
class StepMask:
    """Which steps exist, and where they are moved to.

    Attributes
    ----------
    exists : bool (N, T)
    front : bool (N, T)
        As many steps of each sequence, the first ones.
    time_major : bool
        Whether the layer's results have the axes (T, N).

    Examples
    --------
    >>> mask = StepMask(np.array([[False, True, True]]), np.array([[True, True, False]]), time_major=False)
    >>> mask.to_front(np.array([[9, 3, 1]])), mask.spread(np.array([[3, 1, 0]]))
    (array([[3, 1, 0]]), array([[0, 3, 1]]))
    """

    exists: Array
    front: Array
    time_major: bool

    def to_front(self, array: Array) -> Array:
        """Return the existing steps of an array (N, T, ...) at the front, and zeros behind them."""
        moved = np.zeros_like(array)
        moved[self.front] = array[self.exists]
        return moved

    def spread(self, array: Array) -> Array:
        """Return a result, (N, T, ...) or with ``time_major`` (T, N, ...), in the places of the user's steps."""
        whole = np.zeros_like(array)
        by_sequence, own = (whole.swapaxes(0, 1), array.swapaxes(0, 1)) if self.time_major else (whole, array)
        by_sequence[self.exists] = own[self.front]
        return whole

    def spread_norms(self, norms: Array) -> Array:
        """Return numbers (S, N, T) in the places of the user's steps."""
        whole = np.zeros_like(norms)
        whole[:, self.exists] = norms[:, self.front]
        return whole


class Reads(Protocol):
    """A layer, as far as it says how its inputs are laid out."""

    input_size: int
    dtype: DType
    time_major: bool


def read_existing(
    layer: Reads,
    x: SequencesLike,
    lengths: npt.ArrayLike | None,
    resets: npt.ArrayLike | None,
    mask: npt.ArrayLike | None,
) -> tuple[Inputs, StepMask | None]:
    """Return what ``read_inputs`` does of the steps that exist, and where they were; None without a mask.

    Raises
    ------
    ValueError
        If a shape does not fit, or ``lengths`` are given beside ``mask``.
    TypeError
        If the mask is not bool.
    """
    width, dtype, time_major = layer.input_size, layer.dtype, layer.time_major
    if mask is None:
        return read_inputs(x, lengths, resets, width=width, dtype=dtype, time_major=time_major), None
    if lengths is not None:
        raise ValueError("lengths: None is required beside mask, which says what exists; got both")
    batch, own, cuts = read_inputs(x, None, resets, width=width, dtype=dtype, time_major=time_major)
    listed = isinstance(x, (list, tuple))
    flags = _ops.step_flags("mask", mask, *batch.shape[:2], own=own, time_major=time_major and not listed)
    exists = flags.view(bool)
    counts = exists.sum(axis=1, dtype=np.int64)
    found = StepMask(exists, np.arange(batch.shape[1]) < counts[:, None], time_major)
    return (found.to_front(batch), counts, None if cuts is None else found.to_front(cuts)), found


def spread(array: Array, mask: StepMask | None) -> Array:
    """Return a result in the places of the user's steps."""
    return array if mask is None else mask.spread(array)

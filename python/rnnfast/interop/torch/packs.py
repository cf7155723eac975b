"""Packed weights, kept while the weights hold the same bytes."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from rnnfast import _ops
from rnnfast.interop.torch import engine
from rnnfast.interop.torch.engine import Stack

_MOST_STREAMS = 64  # of a cell: threads and sizes of batches come and go

_compare = ctypes.CDLL(None).memcmp
_compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


@dataclass(frozen=True)
class Kept:
    """A stack's weights as they were, and packed.

    The weights are packed from the copies, so that both hold the same numbers whatever other threads write meanwhile.
    """

    stack: Stack
    isa: str
    first: weakref.ref[Tensor]
    copies: tuple[Tensor, ...]
    sizes: tuple[tuple[torch.Size, int, int], ...]
    packed: list[_ops.Weights]
    _streams: dict[tuple[int, int], _ops.StreamCore] = field(default_factory=dict)

    @cached_property
    def widths(self) -> tuple[int, int]:
        """Numbers that W and R read."""
        return self.sizes[0][0][1], self.sizes[1][0][1]

    def stream(self, count: int, thread: int) -> _ops.StreamCore:
        """Return a stream of ``count`` sequences for this thread."""
        found = self._streams.get((count, thread))
        if found is None:
            if len(self._streams) >= _MOST_STREAMS:
                self._streams.clear()
            found = _ops.StreamCore(self.packed, count, np.ascontiguousarray, None, None, None)
            self._streams[count, thread] = found
        return found

    def fits(self, stack: Stack, first: Tensor) -> bool:
        """Whether they are packed for this stack and instruction set, of weights that begin with this one."""
        same = self.stack is stack or self.stack == stack
        return same and self.first() is first and self.isa == _ops.isa()

    def is_of(self, weights: Sequence[Tensor]) -> bool:
        """Whether the weights hold the bytes that were packed."""
        if len(weights) != len(self.sizes) or weights[0].dtype != self.copies[0].dtype:
            return False
        for weight, (shape, address, size) in zip(weights, self.sizes, strict=True):
            if weight.shape != shape or not weight.is_contiguous() or _compare(weight.data_ptr(), address, size):
                return False
        return True


_kept: dict[int, Kept] = {}
"""By the identity of a stack's first weight; gone with it."""

Marks = tuple[tuple[int, int], ...]

frozen_marks: dict[int, Marks] = {}
"""By the identity of the first weight of every frozen module, the marks of its weights."""


def packed(stack: Stack, weights: Sequence[Tensor]) -> list[_ops.Weights]:
    """Return the packed weights. Weights that are computed, as parametrised ones are, are packed at every call."""
    if not isinstance(weights[0], torch.nn.Parameter):
        return engine.pack(stack, weights)
    return kept(stack, weights).packed


def kept(stack: Stack, weights: Sequence[Tensor]) -> Kept:
    """Return what is kept of parameters: that of the last call if no byte has changed since.

    PyTorch has no sure sign of a write to a tensor: fused optimisers and ``.data`` leave its version and its address as
    they were. So the bytes are compared with a copy, which takes a fifth of the time of packing.

    Raises
    ------
    RuntimeError
        If the weights are frozen and a write to them is seen.
    """
    key = id(weights[0])
    last = _kept.get(key)
    if last is not None and not last.fits(stack, weights[0]):
        last = None
    if key in frozen_marks:
        check_frozen(weights)
        if last is not None:
            return last
    elif last is not None and last.is_of(weights):
        return last
    copies = tuple([weight.detach().clone(memory_format=torch.contiguous_format) for weight in weights])
    sizes = tuple([(copy.shape, copy.data_ptr(), copy.nbytes) for copy in copies])
    first = weakref.ref(weights[0], partial(_forget, key))
    new = Kept(stack, _ops.isa(), first, copies, sizes, engine.pack(stack, copies))
    _kept[key] = new
    return new


def _forget(key: int, gone: weakref.ref[Tensor]) -> None:
    """Drop what was kept of a weight that is gone, unless another one has its identity by now."""
    last = _kept.get(key)
    if last is not None and last.first is gone:
        del _kept[key]


def refresh(weights: Sequence[Tensor]) -> None:
    """Drop what is kept of these weights, unless they hold the same bytes still."""
    last = _kept.get(id(weights[0]))
    if last is not None and not last.is_of(weights):
        del _kept[id(weights[0])]


def marks(weights: Sequence[Tensor]) -> Marks:
    """Return what a write to a tensor usually changes: the versions and addresses."""
    return tuple([(weight._version, weight.data_ptr()) for weight in weights])


def check_frozen(weights: Sequence[Tensor]) -> None:
    """Raise RuntimeError if a write to frozen weights is seen."""
    if marks(weights) != frozen_marks[id(weights[0])]:
        raise RuntimeError("frozen: weights that stay as they are are required inside, got a write to them")

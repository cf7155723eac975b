"""Packed weights, kept while the weights hold the same bytes."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rnnfast import _ops
from rnnfast.interop.torch import engine
from rnnfast.interop.torch.engine import Stack

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

_frozen: dict[int, tuple[tuple[int, int], ...]] = {}
"""For the first weight of every frozen module, the marks of its weights."""


def packed(stack: Stack, weights: Sequence[Tensor]) -> list[_ops.Weights]:
    """Return the packed weights: those of the last call if no byte has changed since.

    PyTorch has no sure sign of a write to a tensor: fused optimisers and ``.data`` leave its version and its address as
    they were. So the bytes are compared with a copy, which takes a fifth of the time of packing. Weights that are
    computed, as parametrised ones are, are packed at every call.

    Raises
    ------
    RuntimeError
        If the weights are frozen and a write to them is seen.
    """
    key = id(weights[0])
    kept = _kept.get(key)
    if kept is not None and not kept.fits(stack, weights[0]):
        kept = None
    if key in _frozen:
        if _marks(weights) != _frozen[key]:
            raise RuntimeError("frozen: weights that stay as they are are required inside, got a write to them")
        if kept is not None:
            return kept.packed
    elif kept is not None and kept.is_of(weights):
        return kept.packed
    if not isinstance(weights[0], torch.nn.Parameter):
        return engine.pack(stack, weights)
    copies = tuple([weight.detach().clone(memory_format=torch.contiguous_format) for weight in weights])
    sizes = tuple([(copy.shape, copy.data_ptr(), copy.nbytes) for copy in copies])
    new = Kept(
        stack, _ops.isa(), weakref.ref(weights[0], partial(_forget, key)), copies, sizes, engine.pack(stack, copies)
    )
    _kept[key] = new
    return new.packed


def _forget(key: int, gone: weakref.ref[Tensor]) -> None:
    """Drop what was kept of a weight that is gone, unless another one has its identity by now."""
    kept = _kept.get(key)
    if kept is not None and kept.first is gone:
        del _kept[key]


def _marks(weights: Sequence[Tensor]) -> tuple[tuple[int, int], ...]:
    """Return what a write to a tensor usually changes: the versions and addresses."""
    return tuple([(weight._version, weight.data_ptr()) for weight in weights])


@contextmanager
def frozen(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Promise that the weights of accelerated layers and cells stay as they are, for loops over cells.

    Otherwise every call compares the weights with those that it packed last: a small part of a layer's call, and a
    noticeable one of a cell's. The promise is checked: a write that PyTorch counts raises at the next call, and any
    other one raises at the end of the block.

    Parameters
    ----------
    model : torch.nn.Module
        Its accelerated modules are frozen, those with parametrisations excepted, whose weights are computed anew at
        every call.

    Yields
    ------
    torch.nn.Module
        The model.

    Raises
    ------
    RuntimeError
        If a weight was written meanwhile.

    Examples
    --------
    >>> from rnnfast.interop.torch import accelerate
    >>> cell = accelerate(torch.nn.LSTMCell(3, 5))
    >>> with torch.no_grad(), frozen(cell):
    ...     state = None
    ...     for x in torch.zeros(7, 2, 3):
    ...         state = cell(x, state)
    >>> state[0].shape
    torch.Size([2, 5])
    """
    added: dict[int, tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = {}
    for module in model.modules():
        weights = _weights(module)
        if weights and id(weights[0]) not in _frozen:
            added[id(weights[0])] = weights, tuple([weight.detach().clone() for weight in weights])
            _kept.pop(id(weights[0]), None)
            _frozen[id(weights[0])] = _marks(weights)
    try:
        yield model
        for weights, copies in added.values():
            same = [torch.equal(a.detach(), b) for a, b in zip(weights, copies, strict=True)]
            if not all(same):
                raise RuntimeError("frozen: weights that stay as they are are required inside, got changed ones")
    finally:
        for key in added:
            del _frozen[key]


def _weights(module: torch.nn.Module) -> tuple[Tensor, ...]:
    """Return the weights of a recurrent module in the order of a call, or nothing of any other module."""
    names = getattr(module, "_flat_weights_names", ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    if not isinstance(module, torch.nn.RNNBase | torch.nn.modules.rnn.RNNCellBase):
        return ()
    if hasattr(module, "parametrizations"):
        return ()
    return tuple([weight for name in names if (weight := getattr(module, name)) is not None])

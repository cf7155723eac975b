"""Weights that are packed once, for loops over cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from rnnfast import _ops
from rnnfast.interop.torch import engine
from rnnfast.interop.torch.engine import Stack


class Mark(NamedTuple):
    """What a write to a tensor usually changes."""

    version: int
    address: int


@dataclass
class Frozen:
    """Packed weights of one module, and what is needed to see that they are still its weights."""

    weights: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    marks: tuple[Mark, ...]
    isa: str = field(default_factory=_ops.isa)
    packs: dict[Stack, list[_ops.Weights]] = field(default_factory=dict)

    def require_unchanged(self) -> None:
        """Raise RuntimeError if a value is another one than at the start."""
        for weight, value in zip(self.weights, self.values, strict=True):
            if not torch.equal(weight.detach(), value):
                raise RuntimeError("frozen: weights that stay as they are are required inside, got changed ones")


_frozen: dict[int, Frozen] = {}
"""By the identity of a module's first weight, which is kept alive meanwhile."""


def packed(stack: Stack, weights: Sequence[Tensor]) -> list[_ops.Weights] | None:
    """Return the packed weights if they are frozen, else None.

    Raises
    ------
    RuntimeError
        If a write to frozen weights is seen.
    """
    if not _frozen or torch.compiler.is_compiling():
        return None
    found = _frozen.get(id(weights[0]))
    if found is None or found.isa != _ops.isa():
        return None
    if tuple([_mark(weight) for weight in weights]) != found.marks:
        raise RuntimeError("frozen: weights that stay as they are are required inside, got a write to them")
    if stack not in found.packs:
        found.packs[stack] = engine.pack(stack, weights)
    return found.packs[stack]


def _mark(weight: Tensor) -> Mark:
    return Mark(weight._version, weight.data_ptr())


@contextmanager
def frozen(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Promise that the weights of accelerated layers and cells stay as they are, so that they are packed once.

    Otherwise every call packs them anew, because PyTorch has no sure sign of a write: fused optimisers and ``.data``
    leave a tensor's version and address as they were. For a layer this is a small part of a call; for one step of a
    cell it is the larger part. The promise is checked: a write that PyTorch counts raises at the next call, and any
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
    >>> cell = accelerate(torch.nn.LSTMCell(3, 5))
    >>> with torch.no_grad(), frozen(cell):
    ...     state = None
    ...     for x in torch.zeros(7, 2, 3):
    ...         state = cell(x, state)
    >>> state[0].shape
    torch.Size([2, 5])
    """
    added: list[Frozen] = []
    for module in model.modules():
        weights = _weights(module)
        if weights and id(weights[0]) not in _frozen:
            entry = Frozen(weights, tuple([w.detach().clone() for w in weights]), tuple([_mark(w) for w in weights]))
            added.append(entry)
            _frozen[id(weights[0])] = entry
    try:
        yield model
        for entry in added:
            entry.require_unchanged()
    finally:
        for entry in added:
            del _frozen[id(entry.weights[0])]


def _weights(module: torch.nn.Module) -> tuple[Tensor, ...]:
    """Return the weights of a recurrent module in the order of a call, or nothing of any other module."""
    names = getattr(module, "_flat_weights_names", ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    if not isinstance(module, torch.nn.RNNBase | torch.nn.RNNCellBase) or hasattr(module, "parametrizations"):
        return ()
    return tuple([weight for name in names if (weight := getattr(module, name)) is not None])

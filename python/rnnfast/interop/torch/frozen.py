"""Modules whose weights are promised to stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rnnfast.interop.torch.inference import CELLS, steps_of
from rnnfast.interop.torch.packs import frozen_marks, marks, refresh


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
    added = [
        (module, weights, tuple([weight.detach().clone() for weight in weights]))
        for module in model.modules()
        if (weights := _weights(module)) and id(weights[0]) not in frozen_marks
    ]
    for module, weights, _ in added:
        refresh(weights)
        frozen_marks[id(weights[0])] = marks(weights)
        if isinstance(module, CELLS):
            steps_of(module).freeze(weights)
    try:
        yield model
        for module, weights, copies in added:
            for now, weight, copy in zip(_weights(module), weights, copies, strict=True):
                if now is not weight or not torch.equal(now.detach(), copy):
                    raise RuntimeError("frozen: weights that stay as they are are required inside, got changed ones")
    finally:
        for module, weights, _ in added:
            frozen_marks.pop(id(weights[0]), None)
            if isinstance(module, CELLS):
                steps_of(module).thaw()


def _weights(module: torch.nn.Module) -> tuple[Tensor, ...]:
    """Return the weights of a recurrent module in the order of a call, or nothing of any other module."""
    names = getattr(module, "_flat_weights_names", ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    if not isinstance(module, torch.nn.RNNBase | torch.nn.modules.rnn.RNNCellBase):
        return ()
    if hasattr(module, "parametrizations"):
        return ()
    return tuple([weight for name in names if (weight := getattr(module, name)) is not None])

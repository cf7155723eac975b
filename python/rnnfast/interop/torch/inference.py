"""Calls without gradients, by a shorter way than PyTorch's own code: steps of cells, and layers from zero states."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnfast.interop.torch import engine
from rnnfast.interop.torch.engine import Array, Call, array_of, from_numpy
from rnnfast.interop.torch.forwards import cell_stack, runs_on_engine, stack_named
from rnnfast.interop.torch.packs import Kept, check_frozen, kept, packed

CELLS = (torch.nn.LSTMCell, torch.nn.GRUCell, torch.nn.RNNCell)


class _Steps:
    """What the steps of a module need besides its weights, and these where they are frozen."""

    def __init__(self, cell: Any) -> None:
        self.stack = cell_stack(_name(cell), bias=cell.bias)
        self.states = 1 + self.stack.has_cell_state
        self.frozen: tuple[Tensor, ...] | None = None
        self._of_frozen: Kept | None = None

    def freeze(self, weights: tuple[Tensor, ...]) -> None:
        """Take these weights for those of every step."""
        self.frozen, self._of_frozen = weights, None

    def thaw(self) -> None:
        """Read the module's weights again in every step."""
        self.frozen = self._of_frozen = None

    def step(self, cell: Any, x: Tensor, hx: Any) -> Any:
        """Return h (N, H) or, of an LSTM, h and c; None for what takes the usual way."""
        states = () if hx is None else hx if self.states == 2 else (hx,)
        if type(states) is not tuple or len(states) not in (0, self.states) or x.dim() != 2:
            return None
        weights = self.frozen or _weights(cell)
        if weights is None or x.dtype != weights[0].dtype or not runs_on_engine((x, *states)):
            return None
        given, *arrays = [array_of(tensor) for tensor in (x, *states)]
        current = self._kept(weights)
        count, (inputs, units) = len(given), current.widths
        if given.shape != (count, inputs) or count == 0:
            return None
        for array in arrays:
            if array.shape != (count, units):
                return None
        stream = current.stream(count, threading.get_ident())
        h, c = stream._step_from(given, *[_contiguous(array[None]) for array in arrays], *(None,) * (2 - len(arrays)))
        return from_numpy(h) if c is None else (from_numpy(h), from_numpy(c))

    def _kept(self, weights: tuple[Tensor, ...]) -> Kept:
        if self.frozen is None:
            return kept(self.stack, weights)
        check_frozen(weights)
        if self._of_frozen is None:
            self._of_frozen = kept(self.stack, weights)
        return self._of_frozen


_steps: dict[int, _Steps] = {}
"""By the identity of a module; gone with it."""


def steps_of(cell: torch.nn.Module) -> _Steps:
    """Return what is kept for the steps of a module."""
    found = _steps.get(id(cell))
    if found is None:
        found = _steps[id(cell)] = _Steps(cell)
        weakref.finalize(cell, _steps.pop, id(cell), None)
    return found


def with_shorter_way(forward: Callable[..., Any], layer: type) -> Callable[..., Any]:
    """Return the ``forward`` of a class of ``torch.nn`` that goes the shorter way where no gradients are wanted."""
    shorter = _step if issubclass(layer, CELLS) else _from_zeros

    @wraps(forward)
    def shorter_or_forward(self: Any, input: Any, hx: Any = None) -> Any:
        if not torch.compiler.is_compiling() and not torch.is_grad_enabled():
            new = shorter(self, input, hx)
            if new is not None:
                return new
        return forward(self, input, hx)

    return shorter_or_forward


def _step(cell: Any, x: Any, hx: Any) -> Any:
    return steps_of(cell).step(cell, x, hx)


def _from_zeros(layer: Any, x: Any, hx: Any) -> Any:
    """Return what a layer returns of sequences (N, T, C) or (T, N, C); None for what takes the usual way."""
    drops = layer.dropout > 0 and layer.training
    if hx is not None or drops or type(x) is not Tensor or x.dim() != 3 or x.shape[2] != layer.input_size:
        return None
    weights = layer._flat_weights
    if not runs_on_engine((x, *weights)) or 0 in x.shape:
        return None
    stack = stack_named(
        layer.mode.lower(),
        bias=layer.bias,
        projected=layer.proj_size > 0,
        bidirectional=layer.bidirectional,
        batch_first=layer.batch_first,
        dropout=0.0,
    )
    y, h, c, _ = engine.forward(stack, Call(x, (), weights), packed(stack, weights), save=False)
    return y, h if c is None else (h, c)


def _name(cell: Any) -> str:
    """Return the name of a cell's computation in ``torch._VF``."""
    if isinstance(cell, torch.nn.RNNCell):
        return f"rnn_{cell.nonlinearity}"
    return "lstm" if isinstance(cell, torch.nn.LSTMCell) else "gru"


def _weights(cell: Any) -> tuple[Tensor, ...] | None:
    """Return the weights of a cell, or None where they are not parameters on the CPU."""
    found = (
        (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh) if cell.bias else (cell.weight_ih, cell.weight_hh)
    )
    for weight in found:
        if type(weight) is not torch.nn.Parameter or not weight.is_cpu:
            return None
    return found


def _contiguous(array: Array) -> Array:
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)

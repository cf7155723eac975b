"""What the cells share: weights, the form of a cell, and the two products of a step.

Legend: N sequences, C inputs, H units, G gates. ``x (N, C)``, states ``(N, H)``, ``W (G*H, C)``, ``R (G*H,
H)``. ``u = W x + b_ih`` is what the input contributes to the gates and ``q = R h_prev + b_hh`` what the past
does; ``du`` and ``dq`` are their gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
State = tuple[Array, ...]


@dataclass(frozen=True)
class Weights:
    """The parameters of one layer and direction; also the gradients with respect to them.

    ``W (G*H, C)``, ``R (G*H, H)``, ``b_ih (G*H,)``, ``b_hh (G*H,)``, and the peepholes ``P`` of an LSTM that has
    them, one row ``(H,)`` for each gate that sees the cell state; by default none.
    ``S (K, H)``: what an LSTM's h is projected by, by default nothing; R is then ``(G*H, K)``.
    ``mask (N, H)`` multiplies what R reads of the h before (recurrent dropout).
    """

    W: Array
    R: Array
    b_ih: Array
    b_hh: Array
    P: Array = field(default_factory=lambda: np.zeros((0, 1)))
    S: Array = field(default_factory=lambda: np.zeros((0, 1)))
    mask: Array | float = 1.0

    def __add__(self, other: Weights) -> Weights:
        """Sum, tensor by tensor: gradients of several steps add up."""
        tensors = zip(self.tensors(), other.tensors(), strict=True)
        return Weights(*(one + another for one, another in tensors))

    def tensors(self) -> State:
        """``W, R, b_ih, b_hh, P, S``."""
        return self.W, self.R, self.b_ih, self.b_hh, self.P, self.S


Forward = Callable[[Weights, Array, State], tuple[State, State]]
Backward = Callable[[Weights, State, State], tuple[Array, State, Weights]]


@dataclass(frozen=True)
class Cell:
    """A recurrence ``state = f(x, state; weights)`` and its derivative.

    ``step(weights, x, state) -> (state, saved)`` and
    ``step_backward(weights, saved, dstate) -> (dx, dstate_prev, dweights)``.
    """

    gates: int
    states: int
    step: Forward
    step_backward: Backward


def inputs(w: Weights, x: Array, h_prev: Array) -> tuple[Array, Array]:
    """``u`` and ``q``, ``(N, G*H)`` each."""
    return x @ w.W.T + w.b_ih, (h_prev * w.mask) @ w.R.T + w.b_hh


def through_weights(w: Weights, x: Array, h_prev: Array, du: Array, dq: Array) -> tuple[Array, Array, Weights]:
    """Derivative of :func:`inputs`: ``dx``, ``dh_prev`` and the gradients of the weights, summed over N."""
    grads = Weights(du.T @ x, dq.T @ (h_prev * w.mask), du.sum(0), dq.sum(0), np.zeros_like(w.P), np.zeros_like(w.S))
    return du @ w.W, (dq @ w.R) * w.mask, grads

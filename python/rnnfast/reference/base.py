"""What the cells share: weights, the interface of a cell, and the two products of a step.

Legend: N sequences, C inputs, H units, G gates. ``x (N, C)``, states ``(N, H)``, ``W (G*H, C)``, ``R (G*H, H)``. The
input contributes ``u = W x + b_ih`` to the gates, the previous h contributes ``q = R h_prev + b_hh``; ``du`` and ``dq``
are their gradients. With layer normalisation (Ba et al. 2016) ``u = LN(W x; gamma_ih) + b_ih`` and ``q = LN(R h_prev;
gamma_hh) + b_hh``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.reference.norm import layer_norm, layer_norm_backward

Array = npt.NDArray[Any]
State = tuple[Array, ...]


@dataclass(frozen=True)
class Weights:
    """The parameters of one layer and direction, or their gradients. Absent ones have no rows or elements.

    Attributes
    ----------
    W : array (G*H, C)
    R : array (G*H, H)
    b_ih, b_hh : array (G*H,)
    P : array (2 or 3, H)
        Peepholes of an LSTM, a row for each gate that sees the cell state.
    S : array (K, H)
        Projection of an LSTM's h; R is then (G*H, K).
    gamma_ih, gamma_hh : array (G*H,)
        Gains of normalised gates, whose betas are the biases.
    gamma_c, beta_c : array (H,)
        Gain and beta of an LSTM's normalised c on its way to h.
    mask : array (N, H) or float
        Multiplies the previous h before R (recurrent dropout); it is no parameter.
    """

    W: Array
    R: Array
    b_ih: Array
    b_hh: Array
    P: Array = field(default_factory=lambda: np.zeros((0, 1)))
    S: Array = field(default_factory=lambda: np.zeros((0, 1)))
    gamma_ih: Array = field(default_factory=lambda: np.zeros(0))
    gamma_hh: Array = field(default_factory=lambda: np.zeros(0))
    gamma_c: Array = field(default_factory=lambda: np.zeros(0))
    beta_c: Array = field(default_factory=lambda: np.zeros(0))
    mask: Array | float = 1.0

    def __add__(self, other: Weights) -> Weights:
        """Return the sum, tensor by tensor; gradients of several steps add up so."""
        tensors = zip(self.tensors(), other.tensors(), strict=True)
        return Weights(*(one + another for one, another in tensors))

    def tensors(self) -> State:
        """Return ``W, R, b_ih, b_hh, P, S, gamma_ih, gamma_hh, gamma_c, beta_c``."""
        gates = self.W, self.R, self.b_ih, self.b_hh, self.P, self.S
        return *gates, self.gamma_ih, self.gamma_hh, self.gamma_c, self.beta_c

    def zeros(self) -> Weights:
        """Return zeros of the same shapes."""
        return Weights(*(np.zeros_like(part) for part in self.tensors()))


Forward = Callable[[Weights, Array, State], tuple[State, State]]
Backward = Callable[[Weights, State, State], tuple[Array, State, Weights]]


@dataclass(frozen=True)
class Cell:
    """A recurrence ``state = f(x, state; weights)`` and its derivative.

    Attributes
    ----------
    gates, states : int
        G, and the number of arrays in a state.
    step : function
        ``step(weights, x, state) -> (state, saved)``.
    step_backward : function
        ``step_backward(weights, saved, dstate) -> (dx, dstate_prev, dweights)``.
    """

    gates: int
    states: int
    step: Forward
    step_backward: Backward


def inputs(w: Weights, x: Array, h_prev: Array, blocks: Sequence[int]) -> tuple[Array, Array]:
    """Return ``u`` and ``q``, each (N, G*H). ``blocks`` are the numbers of gates that are normalised together."""
    u, q = x @ w.W.T, (h_prev * w.mask) @ w.R.T
    if len(w.gamma_ih):
        sizes = sizes_of(w, blocks)
        u, q = layer_norm(u, w.gamma_ih, sizes), layer_norm(q, w.gamma_hh, sizes)
    return u + w.b_ih, q + w.b_hh


def through_weights(
    w: Weights, x: Array, h_prev: Array, du: Array, dq: Array, blocks: Sequence[int]
) -> tuple[Array, Array, Weights]:
    """Return the derivative of :func:`inputs`: ``dx``, ``dh_prev`` and the gradients of the weights, summed over N."""
    seen = h_prev * w.mask
    grads = replace(w.zeros(), b_ih=du.sum(0), b_hh=dq.sum(0))
    if len(w.gamma_ih):
        sizes = sizes_of(w, blocks)
        du, dgamma_ih = layer_norm_backward(x @ w.W.T, w.gamma_ih, sizes, du)
        dq, dgamma_hh = layer_norm_backward(seen @ w.R.T, w.gamma_hh, sizes, dq)
        grads = replace(grads, gamma_ih=dgamma_ih, gamma_hh=dgamma_hh)
    return du @ w.W, (dq @ w.R) * w.mask, replace(grads, W=du.T @ x, R=dq.T @ seen)


def sizes_of(w: Weights, blocks: Sequence[int]) -> list[int]:
    """Return the number of elements in each block of gates."""
    return [len(w.W) // sum(blocks) * gates for gates in blocks]

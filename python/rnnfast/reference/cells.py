"""One time step of each cell, and its derivative written out.

Legend: N sequences, C inputs, H units, G gates. ``x (N, C)``, states ``(N, H)``, ``W (G*H, C)``, ``R (G*H,
H)``. Gates are stacked in PyTorch's order: i, f, g, o for the LSTM and r, z, n for the GRU. ``u = W x +
b_ih`` is what the input contributes to the gates and ``q = R h_prev + b_hh`` what the past does; ``du`` and
``dq`` are their gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
State = tuple[Array, ...]


@dataclass(frozen=True)
class Weights:
    """The parameters of one layer and direction; also the gradients with respect to them.

    ``W (G*H, C)``, ``R (G*H, H)``, ``b_ih (G*H,)``, ``b_hh (G*H,)``.
    """

    W: Array
    R: Array
    b_ih: Array
    b_hh: Array

    def __add__(self, other: Weights) -> Weights:
        """Sum, tensor by tensor: gradients of several steps add up."""
        return Weights(self.W + other.W, self.R + other.R, self.b_ih + other.b_ih, self.b_hh + other.b_hh)


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


def sigmoid(a: Array) -> Array:
    """Logistic function ``1 / (1 + exp(-a))`` of an array of any shape, without overflow on either side.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    positive = a.real > 0
    e = np.exp(np.where(positive, -a, a))
    return np.asarray(np.where(positive, 1, e) / (1 + e))


def _activate(name: str, a: Array) -> Array:
    if name == "tanh":
        return np.asarray(np.tanh(a))
    if name == "relu":
        return np.where(a.real > 0, a, 0)
    return a


def _d_activate(name: str, h: Array) -> Array:
    """Derivative of the activation as a function of its result."""
    if name == "tanh":
        return 1 - h * h
    if name == "relu":
        return np.where(h.real > 0, 1, 0).astype(h.dtype)
    return np.ones_like(h)


def _inputs(w: Weights, x: Array, h_prev: Array) -> tuple[Array, Array]:
    return x @ w.W.T + w.b_ih, h_prev @ w.R.T + w.b_hh


def _through_weights(w: Weights, x: Array, h_prev: Array, du: Array, dq: Array) -> tuple[Array, Array, Weights]:
    """Derivative of :func:`_inputs`: ``dx``, ``dh_prev`` and the gradients of the weights, summed over N."""
    return du @ w.W, dq @ w.R, Weights(du.T @ x, dq.T @ h_prev, du.sum(0), dq.sum(0))


def rnn_step(w: Weights, x: Array, state: State, *, activation: str = "tanh") -> tuple[State, State]:
    """Elman cell: ``h = act(u + q)``; G = 1."""
    (h_prev,) = state
    u, q = _inputs(w, x, h_prev)
    h = _activate(activation, u + q)
    return (h,), (x, h_prev, h)


def rnn_step_backward(
    w: Weights, saved: State, dstate: State, *, activation: str = "tanh"
) -> tuple[Array, State, Weights]:
    """``da = dh act'(a)`` goes to the input and to the past alike."""
    x, h_prev, h = saved
    da = dstate[0] * _d_activate(activation, h)
    dx, dh_prev, grads = _through_weights(w, x, h_prev, da, da)
    return dx, (dh_prev,), grads


def lstm_step(w: Weights, x: Array, state: State) -> tuple[State, State]:
    """Long short-term memory (Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000); G = 4.

    ``i, f, o = sigmoid(u + q)``, ``g = tanh(u_g + q_g)``, ``c = f c_prev + i g``, ``h = o tanh(c)``.
    """
    h_prev, c_prev = state
    u, q = _inputs(w, x, h_prev)
    a_i, a_f, a_g, a_o = np.split(u + q, 4, axis=1)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return (h, c), (x, h_prev, c_prev, i, f, g, o, c)


def lstm_step_backward(w: Weights, saved: State, dstate: State) -> tuple[Array, State, Weights]:
    """``dc`` collects what comes from the next step and from ``h``; it reaches ``c_prev`` through ``f``."""
    x, h_prev, c_prev, i, f, g, o, c = saved
    dh, dc_next = dstate
    tanh_c = np.tanh(c)
    dc = dc_next + dh * o * (1 - tanh_c * tanh_c)
    da_i = dc * g * i * (1 - i)
    da_f = dc * c_prev * f * (1 - f)
    da_g = dc * i * (1 - g * g)
    da_o = dh * tanh_c * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
    dx, dh_prev, grads = _through_weights(w, x, h_prev, da, da)
    return dx, (dh_prev, dc * f), grads


def gru_step(w: Weights, x: Array, state: State) -> tuple[State, State]:
    """Gated recurrent unit (Cho et al. 2014), the reset gate applied after the product, as in PyTorch; G = 3.

    ``r, z = sigmoid(u + q)``, ``n = tanh(u_n + r q_n)``, ``h = (1 - z) n + z h_prev``.
    """
    (h_prev,) = state
    u, q = _inputs(w, x, h_prev)
    u_r, u_z, u_n = np.split(u, 3, axis=1)
    q_r, q_z, q_n = np.split(q, 3, axis=1)
    r, z = sigmoid(u_r + q_r), sigmoid(u_z + q_z)
    n = np.tanh(u_n + r * q_n)
    h = (1 - z) * n + z * h_prev
    return (h,), (x, h_prev, r, z, n, q_n)


def gru_step_backward(w: Weights, saved: State, dstate: State) -> tuple[Array, State, Weights]:
    """``du`` and ``dq`` differ in the candidate, whose past arrives through ``r``."""
    x, h_prev, r, z, n, q_n = saved
    (dh,) = dstate
    da_n = dh * (1 - z) * (1 - n * n)
    da_r = da_n * q_n * r * (1 - r)
    da_z = dh * (h_prev - n) * z * (1 - z)
    du = np.concatenate([da_r, da_z, da_n], axis=1)
    dq = np.concatenate([da_r, da_z, da_n * r], axis=1)
    dx, dh_prev, grads = _through_weights(w, x, h_prev, du, dq)
    return dx, (dh_prev + dh * z,), grads


def gru_before_step(w: Weights, x: Array, state: State) -> tuple[State, State]:
    """Gated recurrent unit, the reset gate applied before the product (Cho et al. 2014, as published); G = 3.

    ``r, z = sigmoid(u + q)``, ``n = tanh(u_n + R_n (r h_prev) + b_hn)``, ``h = (1 - z) n + z h_prev``.
    """
    (h_prev,) = state
    hidden = h_prev.shape[1]
    u, q = _inputs(w, x, h_prev)
    u_r, u_z, u_n = np.split(u, 3, axis=1)
    r, z = sigmoid(u_r + q[:, :hidden]), sigmoid(u_z + q[:, hidden : 2 * hidden])
    q_n = (r * h_prev) @ w.R[2 * hidden :].T + w.b_hh[2 * hidden :]
    n = np.tanh(u_n + q_n)
    h = (1 - z) * n + z * h_prev
    return (h,), (x, h_prev, r, z, n)


def gru_before_step_backward(w: Weights, saved: State, dstate: State) -> tuple[Array, State, Weights]:
    """The candidate's past is ``r h_prev``: its gradient is shared out between ``r`` and ``h_prev``."""
    x, h_prev, r, z, n = saved
    (dh,) = dstate
    hidden = h_prev.shape[1]
    R_rz, R_n = w.R[: 2 * hidden], w.R[2 * hidden :]
    da_n = dh * (1 - z) * (1 - n * n)
    drh = da_n @ R_n
    da_r = drh * h_prev * r * (1 - r)
    da_z = dh * (h_prev - n) * z * (1 - z)
    da_rz = np.concatenate([da_r, da_z], axis=1)
    da = np.concatenate([da_rz, da_n], axis=1)
    dR = np.concatenate([da_rz.T @ h_prev, da_n.T @ (r * h_prev)])
    dh_prev = dh * z + drh * r + da_rz @ R_rz
    return da @ w.W, (dh_prev,), Weights(da.T @ x, dR, da.sum(0), da.sum(0))


def make_cell(kind: str, *, activation: str = "tanh", reset_after: bool = True) -> Cell:
    """Return the cell called ``"rnn"``, ``"lstm"`` or ``"gru"``.

    ``activation`` ("tanh", "relu" or "identity") belongs to the RNN, ``reset_after`` to the GRU. Raises
    ValueError for another name.

    >>> lstm = make_cell("lstm")
    >>> weights = Weights(np.ones((4, 1)), np.ones((4, 1)), np.zeros(4), np.zeros(4))
    >>> (h, c), _ = lstm.step(weights, np.zeros((1, 1)), (np.zeros((1, 1)), np.ones((1, 1))))
    >>> c
    array([[0.5]])
    """
    if kind == "rnn":
        if activation not in ("tanh", "relu", "identity"):
            raise ValueError(f"activation: 'tanh', 'relu' or 'identity' required, got {activation!r}")
        step = partial(rnn_step, activation=activation)
        return Cell(1, 1, step, partial(rnn_step_backward, activation=activation))
    if kind == "lstm":
        return Cell(4, 2, lstm_step, lstm_step_backward)
    if kind == "gru":
        if reset_after:
            return Cell(3, 1, gru_step, gru_step_backward)
        return Cell(3, 1, gru_before_step, gru_before_step_backward)
    raise ValueError(f"cell: 'rnn', 'lstm' or 'gru' required, got {kind!r}")

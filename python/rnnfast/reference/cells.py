"""One time step of the RNN and the GRU and its derivative, and every cell by name.

Gates are stacked in PyTorch's order: i, f, g, o for the LSTM and r, z, n for the GRU. ``a`` is a pre-activation. The
module :mod:`rnnfast.reference.base` explains the other letters and the shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from rnnfast.reference.activations import Activation, Spec, make_activation
from rnnfast.reference.base import Array, Cell, State, Weights, inputs, sizes_of, through_weights
from rnnfast.reference.lstm import lstm_step, lstm_step_backward
from rnnfast.reference.norm import layer_norm, layer_norm_backward

GRU_BLOCKS = (2, 1)


def rnn_step(w: Weights, x: Array, state: State, *, act: Activation, leak: float = 1.0) -> tuple[State, State]:
    """Take a step of the leaky Elman cell: ``h = (1 - leak) h_prev + leak act(u + q)``; G = 1, ``leak`` is dt / tau."""
    (h_prev,) = state
    u, q = inputs(w, x, h_prev, (1,))
    a = u + q
    h = act(a) if leak == 1 else (1 - leak) * h_prev + leak * act(a)
    return (h,), (x, h_prev, a)


def rnn_step_backward(
    w: Weights, saved: State, dstate: State, *, act: Activation, leak: float = 1.0
) -> tuple[Array, State, Weights]:
    """Return the derivative of :func:`rnn_step`: ``da = leak dh act'(a)``, and ``(1 - leak) dh`` to ``h_prev``."""
    x, h_prev, a = saved
    da = leak * dstate[0] * act.derivative(a)
    dx, dh_prev, grads = through_weights(w, x, h_prev, da, da, (1,))
    return dx, (dh_prev + (1 - leak) * dstate[0],), grads


def gru_step(w: Weights, x: Array, state: State, *, f: Activation, g: Activation) -> tuple[State, State]:
    """Take a step of the gated recurrent unit (Cho et al. 2014), with the reset gate after the product; G = 3.

    ``r, z = f(u + q)``, ``n = g(u_n + r q_n)``, ``h = (1 - z) n + z h_prev``, where f is the sigmoid and g is tanh: the
    form of PyTorch. Layer normalisation (Ba et al. 2016, supplement) acts on r and z together and on n by itself, in u
    and in q.
    """
    (h_prev,) = state
    u, q = inputs(w, x, h_prev, GRU_BLOCKS)
    u_r, u_z, u_n = np.split(u, 3, axis=1)
    q_r, q_z, q_n = np.split(q, 3, axis=1)
    a_r, a_z = u_r + q_r, u_z + q_z
    r, z = f(a_r), f(a_z)
    a_n = u_n + r * q_n
    h = (1 - z) * g(a_n) + z * h_prev
    return (h,), (x, h_prev, a_r, a_z, a_n, q_n)


def gru_step_backward(
    w: Weights, saved: State, dstate: State, *, f: Activation, g: Activation
) -> tuple[Array, State, Weights]:
    """Return the derivative of :func:`gru_step`; ``du`` and ``dq`` differ in n, where r multiplies q."""
    x, h_prev, a_r, a_z, a_n, q_n = saved
    (dh,) = dstate
    r, z, n = f(a_r), f(a_z), g(a_n)
    da_n = dh * (1 - z) * g.derivative(a_n)
    da_r = da_n * q_n * f.derivative(a_r)
    da_z = dh * (h_prev - n) * f.derivative(a_z)
    du = np.concatenate([da_r, da_z, da_n], axis=1)
    dq = np.concatenate([da_r, da_z, da_n * r], axis=1)
    dx, dh_prev, grads = through_weights(w, x, h_prev, du, dq, GRU_BLOCKS)
    return dx, (dh_prev + dh * z,), grads


def gru_before_step(w: Weights, x: Array, state: State, *, f: Activation, g: Activation) -> tuple[State, State]:
    """Take a step of the gated recurrent unit with the reset gate before the product (Cho et al. 2014); G = 3.

    ``r, z = f(u + q)``, ``n = g(u_n + R_n (r h_prev) + b_hn)``, ``h = (1 - z) n + z h_prev``. Layer normalisation also
    acts on ``R_n (r h_prev)``, before b_hn is added.
    """
    (h_prev,) = state
    hidden = h_prev.shape[1]
    u, q = inputs(w, x, h_prev, GRU_BLOCKS)
    u_r, u_z, u_n = np.split(u, 3, axis=1)
    a_r, a_z = u_r + q[:, :hidden], u_z + q[:, hidden : 2 * hidden]
    r, z = f(a_r), f(a_z)
    q_n = (r * h_prev) @ w.R[2 * hidden :].T
    if len(w.gamma_hh):
        q_n = layer_norm(q_n, w.gamma_hh[2 * hidden :], (hidden,))
    a_n = u_n + q_n + w.b_hh[2 * hidden :]
    h = (1 - z) * g(a_n) + z * h_prev
    return (h,), (x, h_prev, a_r, a_z, a_n)


def gru_before_step_backward(
    w: Weights, saved: State, dstate: State, *, f: Activation, g: Activation
) -> tuple[Array, State, Weights]:
    """Return the derivative of :func:`gru_before_step`; the gradient of ``r h_prev`` reaches ``r`` and ``h_prev``."""
    x, h_prev, a_r, a_z, a_n = saved
    (dh,) = dstate
    hidden = h_prev.shape[1]
    r, z, n = f(a_r), f(a_z), g(a_n)
    R_rz, R_n = w.R[: 2 * hidden], w.R[2 * hidden :]
    da_n = dq_n = dh * (1 - z) * g.derivative(a_n)
    if len(w.gamma_hh):
        dq_n, dgamma_n = layer_norm_backward((r * h_prev) @ R_n.T, w.gamma_hh[2 * hidden :], (hidden,), da_n)
    drh = dq_n @ R_n
    da_r = drh * h_prev * f.derivative(a_r)
    da_z = dh * (h_prev - n) * f.derivative(a_z)
    da_rz = dq_rz = np.concatenate([da_r, da_z], axis=1)
    du = da = np.concatenate([da_rz, da_n], axis=1)
    grads = w.zeros()
    if len(w.gamma_hh):
        dq_rz, dgamma_rz = layer_norm_backward(h_prev @ R_rz.T, w.gamma_hh[: 2 * hidden], (2 * hidden,), da_rz)
        du, dgamma_ih = layer_norm_backward(x @ w.W.T, w.gamma_ih, sizes_of(w, GRU_BLOCKS), da)
        grads = replace(grads, gamma_ih=dgamma_ih, gamma_hh=np.concatenate([dgamma_rz, dgamma_n]))
    dR = np.concatenate([dq_rz.T @ h_prev, dq_n.T @ (r * h_prev)])
    dh_prev = dh * z + drh * r + dq_rz @ R_rz
    return du @ w.W, (dh_prev,), replace(grads, W=du.T @ x, R=dR, b_ih=da.sum(0), b_hh=da.sum(0))


DEFAULTS: dict[str, tuple[Spec, ...]] = {"lstm": ("sigmoid", "tanh", "tanh"), "gru": ("sigmoid", "tanh")}


def make_cell(
    kind: str,
    *,
    activation: Spec = "tanh",
    activations: Sequence[Spec] | None = None,
    clip: float | None = None,
    leak: float = 1.0,
    reset_after: bool = True,
    coupled: bool = False,
) -> Cell:
    """Return a cell by name.

    Parameters
    ----------
    kind : {"rnn", "lstm", "gru"}
        The name.
    activation : str or tuple
        Activation of the RNN, see :func:`make_activation`.
    activations : sequence or None
        Activations f (gates) and g (candidate) of the GRU; f, g and h (cell state) of the LSTM.
    clip : float or None
        Bound of the pre-activations of all activations except h.
    leak : float
        dt / tau of the RNN.
    reset_after : bool
        Whether the GRU's reset gate acts after the product.
    coupled : bool
        Whether the LSTM's f is 1 - i.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> lstm = make_cell("lstm")
    >>> weights = Weights(np.ones((4, 1)), np.ones((4, 1)), np.zeros(4), np.zeros(4))
    >>> (h, c), _ = lstm.step(weights, np.zeros((1, 1)), (np.zeros((1, 1)), np.ones((1, 1))))
    >>> c
    array([[0.5]])
    """
    if kind == "rnn":
        act = make_activation(activation).bounded(clip)
        step = partial(rnn_step, act=act, leak=leak)
        return Cell(1, 1, step, partial(rnn_step_backward, act=act, leak=leak))
    if kind not in DEFAULTS:
        raise ValueError(f"cell: 'rnn', 'lstm' or 'gru' is required, got {kind!r}")
    f, g, *h = (make_activation(spec) for spec in activations or DEFAULTS[kind])
    f, g = f.bounded(clip), g.bounded(clip)
    if kind == "lstm":
        step = partial(lstm_step, f=f, g=g, h=h[0], coupled=coupled)
        back = partial(lstm_step_backward, f=f, g=g, h=h[0], coupled=coupled)
        return Cell(3 if coupled else 4, 2, step, back)
    if reset_after:
        return Cell(3, 1, partial(gru_step, f=f, g=g), partial(gru_step_backward, f=f, g=g))
    return Cell(3, 1, partial(gru_before_step, f=f, g=g), partial(gru_before_step_backward, f=f, g=g))

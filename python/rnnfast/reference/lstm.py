"""One time step of the LSTM in all its forms, and its derivative."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnfast.reference.activations import Activation
from rnnfast.reference.base import Array, State, Weights, inputs, through_weights
from rnnfast.reference.norm import layer_norm, layer_norm_backward


def lstm_step(
    w: Weights, x: Array, state: State, *, f: Activation, g: Activation, h: Activation, coupled: bool
) -> tuple[State, State]:
    """Take a step of long short-term memory (Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000).

    ``i, f, o = f(u + q)``, ``g = g(u_g + q_g)``, ``c = f c_prev + i g``, ``h = o h(c)``, where the functions f, g and h
    are sigmoid, tanh and tanh; G = 4, in the order i, f, g, o.

    Coupled (Greff et al. 2017), ``f = 1 - i`` and G = 3. With peepholes (Gers and Schmidhuber 2000) the pre-activations
    of i, f and o contain ``P_i c_prev``, ``P_f c_prev`` and ``P_o c``, unit by unit. With a projection (Sak et al.
    2014) ``h = S (o h(c))``. Layer normalisation (Ba et al. 2016, eq. 20-22) acts on all gates together, in u and in q,
    and ``h = o h(LN(c; gamma_c) + beta_c)``.
    """
    h_prev, c_prev = state
    u, q = inputs(w, x, h_prev, (3 if coupled else 4,))
    parts = np.split(u + q, 3 if coupled else 4, axis=1)
    a_i, a_g, a_o = parts[0], parts[-2], parts[-1]
    a_f = np.zeros_like(a_i) if coupled else parts[1]
    if len(w.P):
        a_i = a_i + w.P[0] * c_prev
        a_f = a_f if coupled else a_f + w.P[1] * c_prev
    i = f(a_i)
    forget = 1 - i if coupled else f(a_f)
    c = forget * c_prev + i * g(a_g)
    if len(w.P):
        a_o = a_o + w.P[-1] * c
    out = f(a_o) * h(_seen(w, c))
    return (out @ w.S.T if len(w.S) else out, c), (x, h_prev, c_prev, a_i, a_f, a_g, a_o, c)


def lstm_step_backward(
    w: Weights, saved: State, dstate: State, *, f: Activation, g: Activation, h: Activation, coupled: bool
) -> tuple[Array, State, Weights]:
    """Return the derivative of :func:`lstm_step`; ``dc`` is the sum over the next step, ``h`` and o's peephole."""
    x, h_prev, c_prev, a_i, a_f, a_g, a_o, c = saved
    dh, dc_next = dstate
    i, candidate = f(a_i), g(a_g)
    dS = dh.T @ (f(a_o) * h(c)) if len(w.S) else np.zeros_like(w.S)
    if len(w.S):
        dh = dh @ w.S
    da_o = dh * h(_seen(w, c)) * f.derivative(a_o)
    dseen = dc_out = dh * f(a_o) * h.derivative(_seen(w, c))
    dgamma_c = w.gamma_c
    if len(w.gamma_c):
        dc_out, dgamma_c = layer_norm_backward(c, w.gamma_c, (c.shape[1],), dseen)
    dc = dc_next + dc_out
    if len(w.P):
        dc = dc + w.P[-1] * da_o
    da_g = dc * i * g.derivative(a_g)
    if coupled:
        da_i = dc * (candidate - c_prev) * f.derivative(a_i)
        dc_prev = dc * (1 - i)
        parts, seen = [da_i, da_g, da_o], [(da_i, c_prev), (da_o, c)]
    else:
        da_i = dc * candidate * f.derivative(a_i)
        da_f = dc * c_prev * f.derivative(a_f)
        dc_prev = dc * f(a_f)
        parts, seen = [da_i, da_f, da_g, da_o], [(da_i, c_prev), (da_f, c_prev), (da_o, c)]
    da = np.concatenate(parts, axis=1)
    dx, dh_prev, grads = through_weights(w, x, h_prev, da, da, (3 if coupled else 4,))
    if len(w.P):
        for (own, _), p in zip(seen[:-1], w.P[:-1], strict=True):
            dc_prev = dc_prev + p * own
    dP = np.stack([(own * what).sum(0) for own, what in seen]) if len(w.P) else grads.P
    dbeta_c = dseen.sum(0) if len(w.beta_c) else w.beta_c
    return dx, (dh_prev, dc_prev), replace(grads, P=dP, S=dS, gamma_c=dgamma_c, beta_c=dbeta_c)


def _seen(w: Weights, c: Array) -> Array:
    """Return what the activation h reads: c, or the normalised c."""
    if len(w.gamma_c) == 0:
        return c
    return layer_norm(c, w.gamma_c, (c.shape[1],)) + (w.beta_c if len(w.beta_c) else 0)

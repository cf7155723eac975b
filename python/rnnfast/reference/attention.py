"""Attention of a decoder to its source, with its gradient.

Legend: T queries, S steps of the source, A features of a query and a key, M features of a memory, H features of a
decoder's h.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnnfast.reference.base import Array
from rnnfast.reference.heads import softmax


def attend(query: Array, keys: Array, memory: Array, v: Array | None = None) -> tuple[Array, Array]:
    """Return the mean of the memory under the attention weights, the softmax of the scores.

    Scores are ``query . key`` (Luong et al. 2015) or, with v, ``v . tanh(query + key)`` (Bahdanau et al. 2015).

    Parameters
    ----------
    query : array (T, A)
    keys : array (S, A)
    memory : array (S, M)
    v : array (A,) or None

    Returns
    -------
    context : array (T, M)
    weights : array (T, S)

    Examples
    --------
    >>> context, weights = attend(np.zeros((1, 2)), np.ones((2, 2)), np.array([[1.0], [3.0]]))
    >>> context, weights
    (array([[2.]]), array([[0.5, 0.5]]))
    """
    scores = query @ keys.T if v is None else np.tanh(query[:, None, :] + keys) @ v
    if scores.shape[1] == 0:
        return np.zeros((len(query), memory.shape[1]), scores.dtype), scores
    weights = softmax(scores)
    return weights @ memory, weights


def attend_backward(
    dcontext: Array, query: Array, keys: Array, memory: Array, v: Array | None = None
) -> tuple[Array, Array, Array, Array | None]:
    """Return the gradients of :func:`attend`.

    Parameters
    ----------
    dcontext : array (T, M)
    query, keys, memory, v
        The arguments of :func:`attend`.

    Returns
    -------
    dquery : array (T, A)
    dkeys : array (S, A)
    dmemory : array (S, M)
    dv : array (A,) or None

    Examples
    --------
    >>> dquery, dkeys, dmemory, dv = attend_backward(
    ...     np.ones((1, 1)), np.zeros((1, 2)), np.ones((2, 2)), np.array([[1.0], [3.0]])
    ... )
    >>> dmemory[:, 0], dquery[0]
    (array([0.5, 0.5]), array([0., 0.]))
    """
    _, weights = attend(query, keys, memory, v)
    dmemory = weights.T @ dcontext
    dweights = dcontext @ memory.T
    de = weights * (dweights - (weights * dweights).sum(1, keepdims=True))
    if v is None:
        return de @ keys, de.T @ query, dmemory, None
    t = np.tanh(query[:, None, :] + keys)
    dsum = de[..., None] * v * (1 - t * t)
    return dsum.sum(1), dsum.sum(0), dmemory, np.einsum("ts,tsa->a", de, t)


@dataclass(frozen=True)
class AttentionParams:
    """Parameters of an attention layer.

    Scores that are products have A = H, and neither ``query`` nor ``query_bias`` nor ``v``.

    Attributes
    ----------
    key : array (A, M)
        W_key.
    combine : array (H, M + H)
        W_combine.
    combine_bias : array (H,)
        b_combine.
    query : array (A, H) or None
        W_query.
    query_bias : array (A,) or None
        b_query.
    v : array (A,) or None
    """

    key: Array
    combine: Array
    combine_bias: Array
    query: Array | None = None
    query_bias: Array | None = None
    v: Array | None = None


def attentional(h: Array, memory: Array, p: AttentionParams) -> tuple[Array, Array]:
    """Return the input of the head, ``tanh(W_combine [context; h] + b_combine)`` (Luong et al. 2015, equation 5).

    Parameters
    ----------
    h : array (T, H)
    memory : array (S, M)
    p : AttentionParams

    Returns
    -------
    combined : array (T, H)
    weights : array (T, S)

    Examples
    --------
    >>> p = AttentionParams(np.eye(1), np.ones((1, 2)), np.zeros(1))
    >>> attentional(np.zeros((1, 1)), np.zeros((2, 1)), p)
    (array([[0.]]), array([[0.5, 0.5]]))
    """
    query = h if p.query is None or p.query_bias is None else h @ p.query.T + p.query_bias
    context, weights = attend(query, memory @ p.key.T, memory, p.v)
    return np.tanh(np.concatenate([context, h], axis=1) @ p.combine.T + p.combine_bias), weights

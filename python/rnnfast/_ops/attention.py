"""Attention of a decoder's steps to a source's steps, and its gradient.

Legend: N sequences, T queries, S steps of a source, A features of a query and a key, M features of a memory.
"""

from __future__ import annotations

from rnnfast import _core
from rnnfast._ops.layout import plain
from rnnfast.arrays import Array, Int64


def attend(
    query: Array,
    keys: Array,
    memory: Array,
    v: Array | None = None,
    *,
    lengths: Int64 | None = None,
    source_lengths: Int64 | None = None,
) -> tuple[Array, Array]:
    """Return the mean of the memory under the attention weights: ``context_t = sum_s p_ts memory_s``.

    ``p_t = softmax(e_t)`` over the steps s of the source, where ``e_ts = query_t . keys_s`` (Luong et al. 2015) or,
    with v, ``e_ts = v . tanh(query_t + keys_s)`` (Bahdanau et al. 2015). Steps of a source past its length have weight
    0 and are not read. Queries past their length give 0.

    Parameters
    ----------
    query : array (N, T, A)
    keys : array (N, S, A)
    memory : array (N, S, M)
    v : array (A,) or None
        Weight of additive scores; None for scores that are products.
    lengths : int64 array (N,) or None
        Number of queries of each sequence, at most T.
    source_lengths : int64 array (N,) or None
        Number of steps of each source, at most S.

    Returns
    -------
    context : array (N, T, M)
    weights : array (N, T, S)
        The attention weights p.

    Raises
    ------
    ValueError
        If a shape or a length does not fit.
    TypeError
        If a dtype is neither float32 nor float64, or differs from that of query.

    Examples
    --------
    >>> import numpy as np
    >>> context, weights = attend(np.zeros((1, 1, 2)), np.ones((1, 2, 2)), np.array([[[1.0], [3.0]]]))
    >>> context, weights
    (array([[[2.]]]), array([[[0.5, 0.5]]]))
    """
    return _core.attend(plain(query), plain(keys), plain(memory), v, lengths, source_lengths)


def attend_backward(
    dcontext: Array,
    weights: Array,
    query: Array,
    keys: Array,
    memory: Array,
    v: Array | None = None,
    dv: Array | None = None,
    *,
    lengths: Int64 | None = None,
    source_lengths: Int64 | None = None,
) -> tuple[Array, Array, Array]:
    """Return the gradients of :func:`attend`: ``de = p (dp - sum p dp)`` with ``dp_ts = dcontext_t . memory_s``.

    Parameters
    ----------
    dcontext : array (N, T, M)
    weights : array (N, T, S)
        What ``attend`` returned.
    query, keys, memory, v, lengths, source_lengths
        The arguments of ``attend``.
    dv : array (A,)
        The gradient of v is added to it; required with v.

    Returns
    -------
    dquery : array (N, T, A)
    dkeys : array (N, S, A)
    dmemory : array (N, S, M)

    Raises
    ------
    ValueError, TypeError
        As from ``attend``; ValueError also where dv is read-only or not C-contiguous.

    Examples
    --------
    >>> import numpy as np
    >>> query, keys, memory = np.zeros((1, 1, 2)), np.ones((1, 2, 2)), np.array([[[1.0], [3.0]]])
    >>> context, weights = attend(query, keys, memory)
    >>> attend_backward(np.ones((1, 1, 1)), weights, query, keys, memory)[2]
    array([[[0.5],
            [0.5]]])
    """
    return _core.attend_backward(
        plain(dcontext), weights, plain(query), plain(keys), plain(memory), v, lengths, source_lengths, dv
    )


def tanh(x: Array) -> Array:
    """Return ``tanh(x)`` of every element, within 2 ulp; TypeError unless x is float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> tanh(np.array([0.0, 100.0]))
    array([0., 1.])
    """
    return _core.tanh(plain(x))

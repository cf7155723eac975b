"""Attention of a decoder's steps to a source's steps, and its gradient.

Sequences have their queries, and the steps of their sources, one after another, without padding. Legend: N sequences
with Q queries and R steps in all, of which none has more than S steps; A features of a query and a key, M of a memory.
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
    lengths: Int64,
    source_lengths: Int64,
) -> tuple[Array, Array]:
    """Return the mean of the memory under the attention weights: ``context_t = sum_s p_ts memory_s``.

    ``p_t = softmax(e_t)`` over the steps s of the source, where ``e_ts = query_t . keys_s`` (Luong et al. 2015) or,
    with v, ``e_ts = v . tanh(query_t + keys_s)`` (Bahdanau et al. 2015). Each query sees the
    steps of its own sequence's source.

    Parameters
    ----------
    query : array (Q, A)
    keys : array (R, A)
    memory : array (R, M)
    v : array (A,) or None
        Weight of additive scores; None for scores that are products.
    lengths : int64 array (N,)
        Number of queries of each sequence; their sum is Q.
    source_lengths : int64 array (N,)
        Number of steps of each source; their sum is R.

    Returns
    -------
    context : array (Q, M)
    weights : array (Q, S)
        The attention weights p, 0 past the source's length.

    Raises
    ------
    ValueError
        If a shape or a length does not fit.
    TypeError
        If a dtype is neither float32 nor float64, or differs from that of query.

    Examples
    --------
    >>> import numpy as np
    >>> sizes = {"lengths": np.array([1]), "source_lengths": np.array([2])}
    >>> context, weights = attend(np.zeros((1, 2)), np.ones((2, 2)), np.array([[1.0], [3.0]]), **sizes)
    >>> context, weights
    (array([[2.]]), array([[0.5, 0.5]]))
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
    lengths: Int64,
    source_lengths: Int64,
) -> tuple[Array, Array, Array]:
    """Return the gradients of :func:`attend`: ``de = p (dp - sum p dp)`` with ``dp_ts = dcontext_t . memory_s``.

    Parameters
    ----------
    dcontext : array (Q, M)
    weights : array (Q, S)
        What ``attend`` returned.
    query, keys, memory, v, lengths, source_lengths
        The arguments of ``attend``.
    dv : array (A,)
        The gradient of v is added to it; required with v.

    Returns
    -------
    dquery : array (Q, A)
    dkeys : array (R, A)
    dmemory : array (R, M)

    Raises
    ------
    ValueError, TypeError
        As from ``attend``; ValueError also where dv is read-only or not C-contiguous.

    Examples
    --------
    >>> import numpy as np
    >>> query, keys, memory = np.zeros((1, 2)), np.ones((2, 2)), np.array([[1.0], [3.0]])
    >>> sizes = {"lengths": np.array([1]), "source_lengths": np.array([2])}
    >>> context, weights = attend(query, keys, memory, **sizes)
    >>> attend_backward(np.ones((1, 1)), weights, query, keys, memory, **sizes)[2]
    array([[0.5],
           [0.5]])
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

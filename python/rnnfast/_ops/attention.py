"""Attention of a decoder's steps to a source's steps, and its gradient.

Legend: N sequences, T queries, S steps of a source, A numbers of a query and a key, M of a memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _core

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]


def attend(
    query: Array,
    keys: Array,
    memory: Array,
    v: Array | None = None,
    *,
    lengths: Int64 | None = None,
    source_lengths: Int64 | None = None,
) -> tuple[Array, Array]:
    """Mean of the memory under ``p = softmax(e)``: ``context_t = sum_s p_ts memory_s``.

    ``e_ts = query_t . keys_s``, or with v ``e_ts = v . tanh(query_t + keys_s)``. Steps of a source past its length
    have p = 0 and are not read; queries past their length give 0.

    Parameters
    ----------
    query : array (N, T, A)
    keys : array (N, S, A)
    memory : array (N, S, M)
    v : array (A,) or None
    lengths : int64 array (N,) or None
        Queries of each sequence, at most T.
    source_lengths : int64 array (N,) or None
        Steps of each source, at most S.

    Returns
    -------
    context : array (N, T, M)
    weights : array (N, T, S)

    Raises
    ------
    ValueError
        A shape or a length does not fit.
    TypeError
        A dtype is not float32 or float64, or differs from that of query.

    Examples
    --------
    >>> import numpy as np
    >>> context, weights = attend(np.zeros((1, 1, 2)), np.ones((1, 2, 2)), np.array([[[1.0], [3.0]]]))
    >>> context, weights
    (array([[[2.]]]), array([[[0.5, 0.5]]]))
    """
    return _core.attend(_plain(query), _plain(keys), _plain(memory), v, lengths, source_lengths)


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
    """Gradients of :func:`attend`: ``de = p (dp - sum p dp)`` with ``dp_ts = dcontext_t . memory_s``.

    Parameters
    ----------
    dcontext : array (N, T, M)
    weights : array (N, T, S)
        As ``attend`` returned them.
    query, keys, memory, v, lengths, source_lengths
        As ``attend`` took them.
    dv : array (A,)
        Added to; with v.

    Returns
    -------
    dquery : array (N, T, A)
    dkeys : array (N, S, A)
    dmemory : array (N, S, M)

    Raises
    ------
    ValueError, TypeError
        As ``attend``; dv is read-only or not C-contiguous.

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
        _plain(dcontext), weights, _plain(query), _plain(keys), _plain(memory), v, lengths, source_lengths, dv
    )


def tanh(x: Array) -> Array:
    """``tanh(x)`` of every element, at most 2 ulp off; TypeError where x is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> tanh(np.array([0.0, 100.0]))
    array([0., 1.])
    """
    return _core.tanh(_plain(x))


def _plain(array: Array) -> Array:
    return np.require(array, requirements=("C", "A"))

"""Affine map, embedding and dropout, each with its gradient.

Legend: M rows, K inputs, N outputs, V ids, D features of an embedding. All arrays of a call have one dtype, float32 or
float64. Inputs may have any memory layout; those that are not C-contiguous are copied. Arrays that a call adds to must
be C-contiguous and writable.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _core

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]


def linear(x: Array, W: Array, b: Array | None = None) -> Array:
    """Return the affine map ``y = x W^T + b`` of every row.

    Each output is one chain of fused multiply-adds that starts from b and goes through k in order, so that a row's
    result does not depend on other rows.

    Parameters
    ----------
    x : array (M, K)
    W : array (N, K)
    b : array (N,), or None for zeros

    Returns
    -------
    array (M, N)

    Raises
    ------
    ValueError
        If a shape does not fit.
    TypeError
        If a dtype is neither float32 nor float64, or differs from that of x.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([5.0]))
    array([[16.]])
    """
    return _core.linear(_rows(x), _rows(W), None if b is None else _rows(b))


def linear_backward(
    dy: Array, x: Array, W: Array, dW: Array, db: Array | None = None, need_dx: bool = True
) -> Array | None:
    """Return ``dx = dy W``; add ``dy^T x`` to dW and ``sum_m dy[m]`` to db: the gradients of :func:`linear`.

    Sums over rows run in blocks of 256, which are added in order, so that the number of threads changes no bit.

    Parameters
    ----------
    dy : array (M, N)
    x : array (M, K)
    W : array (N, K)
    dW : array (N, K)
        The gradient of W is added to it.
    db : array (N,) or None
        The gradient of b is added to it.
    need_dx : bool
        Whether dx is computed.

    Returns
    -------
    array (M, K), or None without ``need_dx``

    Raises
    ------
    ValueError
        If a shape does not fit, or dW or db is read-only or not C-contiguous.
    TypeError
        If a dtype is neither float32 nor float64, or differs from that of dy.

    Examples
    --------
    >>> import numpy as np
    >>> dW, db = np.zeros((1, 2)), np.zeros(1)
    >>> linear_backward(np.ones((2, 1)), np.eye(2), np.array([[3.0, 4.0]]), dW, db)
    array([[3., 4.],
           [3., 4.]])
    >>> dW, db
    (array([[1., 1.]]), array([2.]))
    """
    return _core.linear_backward(_rows(dy), _rows(x), _rows(W), dW, db, need_dx)


def dropout(x: Array, p: float, seed: int, call: int) -> Array:
    """Set elements of x to zero with probability p; scale the others by 1 / (1 - p) (Srivastava et al. 2014).

    Which elements are zeroed is a function of seed, call, row and column. The gradient dL/dx is the same function of
    dL/dy.

    Parameters
    ----------
    x : array (M, K)
    p : float
        Probability, within [0, 1).
    seed : int
        Key of the masks, within 0..2^63-1.
    call : int
        Number of the call.

    Returns
    -------
    array (M, K)

    Raises
    ------
    ValueError
        If a shape or a number does not fit.
    TypeError
        If x is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> y = dropout(np.ones((50, 40)), 0.25, 0, 0)
    >>> np.unique(y.round(3)).tolist(), bool(0.2 < (y == 0).mean() < 0.3)
    ([0.0, 1.333], True)
    """
    return _core.dropout(_rows(x), p, seed, call)


def embedding(ids: Ids, E: Array) -> Array:
    """Return row ``ids[m]`` of E for every m.

    Parameters
    ----------
    ids : int64 array (M,)
        Each in 0..V-1.
    E : array (V, D)

    Returns
    -------
    array (M, D)

    Raises
    ------
    ValueError
        If an id is outside 0..V-1, or a shape does not fit.
    TypeError
        If ids are not int64, or E is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> embedding(np.array([1, 1]), np.array([[0.0], [7.0]]))
    array([[7.],
           [7.]])
    """
    return _core.embedding(_rows(ids), _rows(E))


def embedding_backward(ids: Ids, dy: Array, dE: Array) -> None:
    """Add ``dy[m]`` to ``dE[ids[m]]`` for every m: the gradient of :func:`embedding`.

    The rows of an id are summed in order, in blocks of 256, so that the number of threads changes no bit.

    Parameters
    ----------
    ids : int64 array (M,)
        Each in 0..V-1.
    dy : array (M, D)
    dE : array (V, D)
        The gradient is added to it.

    Raises
    ------
    ValueError
        If an id is outside 0..V-1, a shape does not fit, or dE is read-only or not C-contiguous.
    TypeError
        If ids are not int64, or dy and dE are not both float32 or both float64.

    Examples
    --------
    >>> import numpy as np
    >>> dE = np.zeros((2, 1))
    >>> embedding_backward(np.array([1, 1]), np.ones((2, 1)), dE)
    >>> dE
    array([[0.],
           [2.]])
    """
    _core.embedding_backward(_rows(ids), _rows(dy), dE)


def _rows(array: Array) -> Array:
    return np.require(array, requirements=("C", "A"))

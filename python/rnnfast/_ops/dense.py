"""Dense layer and embedding, each with its gradient.

Legend: M rows, K inputs, N outputs, V symbols, D features of an embedding. All arrays of a call have one
dtype, float32 or float64. Inputs may have any memory layout (a copy is made where it is not C-contiguous);
arrays that are added to must be C-contiguous and writable.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _core

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]


def linear(x: Array, W: Array, b: Array | None = None) -> Array:
    """Dense layer ``y = x W^T + b``.

    Each output is one chain of fused multiply-adds in the order of k that starts from b, so that a row's
    result does not depend on the other rows.

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
        A shape does not fit.
    TypeError
        A dtype is not float32 or float64, or differs from that of x.

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
    """Gradients of :func:`linear`: ``dx = dy W``; ``dW += dy^T x``; ``db += sum_m dy[m]``.

    Sums over rows run in blocks of 256, added in order: they do not depend on the number of threads.

    Parameters
    ----------
    dy : array (M, N)
    x : array (M, K)
    W : array (N, K)
    dW : array (N, K)
        Added to.
    db : array (N,), or None
        Added to.
    need_dx : bool
        False saves the product for dx.

    Returns
    -------
    array (M, K), or None without ``need_dx``

    Raises
    ------
    ValueError
        A shape does not fit, or dW or db is read-only or not C-contiguous.
    TypeError
        A dtype is not float32 or float64, or differs from that of dy.

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
    """Set elements of x (M, K) to zero with probability p; scale the others by 1 / (1 - p).

    Which ones is a function of seed, call, row and column; the gradient is the same function of dL/dy (Srivastava et
    al. 2014).

    Examples
    --------
    >>> import numpy as np
    >>> y = dropout(np.ones((50, 40)), 0.25, 0, 0)
    >>> np.unique(y.round(3)).tolist(), bool(0.2 < (y == 0).mean() < 0.3)
    ([0.0, 1.333], True)
    """
    return _core.dropout(_rows(x), p, seed, call)


def embedding(ids: Ids, E: Array) -> Array:
    """Row ``ids[m]`` of E for every m.

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
        An id is outside 0..V-1, or a shape does not fit.
    TypeError
        ids is not int64, or E neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> embedding(np.array([1, 1]), np.array([[0.0], [7.0]]))
    array([[7.],
           [7.]])
    """
    return _core.embedding(_rows(ids), _rows(E))


def embedding_backward(ids: Ids, dy: Array, dE: Array) -> None:
    """Gradient of :func:`embedding`: ``dE[ids[m]] += dy[m]``.

    The rows of a symbol are summed in their order in blocks of 256, so that threads change nothing.

    Parameters
    ----------
    ids : int64 array (M,)
        Each in 0..V-1.
    dy : array (M, D)
    dE : array (V, D)
        Added to.

    Raises
    ------
    ValueError
        An id is outside 0..V-1, a shape does not fit, or dE is read-only or not C-contiguous.
    TypeError
        ids is not int64, or the others are not both float32 or both float64.

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

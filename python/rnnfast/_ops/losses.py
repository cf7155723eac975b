"""Softmax and the losses, each loss with its gradient.

Legend: M rows, K outputs or classes. Sums over K run in 16 fixed partial sums, sums over rows in blocks of
256: results are the same bits for every number of threads and every instruction set with fma.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _core

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]


def softmax(x: Array) -> Array:
    """``exp(x) / sum(exp(x))`` of every row; the largest element is taken out first, nothing overflows.

    Parameters
    ----------
    x : float32 or float64 array (M, K)

    Returns
    -------
    array (M, K)

    Raises
    ------
    ValueError
        x has not two axes.
    TypeError
        x is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    return _core.softmax(_rows(x), False)


def log_softmax(x: Array) -> Array:
    """``x - log(sum(exp(x)))`` of every row; shapes and errors as :func:`softmax`.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([[1000.0, 0.0]]))
    array([[    0., -1000.]])
    """
    return _core.softmax(_rows(x), True)


def softmax_cross_entropy(logits: Array, targets: Ids, weight: Array | None = None) -> tuple[float, Array]:
    """Weighted mean over rows of ``-log softmax(logits)[target]``, and its gradient.

    A row of zero weight is not read; where all weights are zero, or M is, loss and gradient are zero.

    Parameters
    ----------
    logits : float32 or float64 array (M, K)
    targets : int64 array (M,)
        Each in 0..K-1.
    weight : array (M,), or None for ones
        Finite numbers >= 0 of the logits' dtype.

    Returns
    -------
    loss : float
    dlogits : array (M, K)

    Raises
    ------
    ValueError
        A shape does not fit, a target is outside 0..K-1, or a weight is negative or not finite.
    TypeError
        A dtype is another one.

    Examples
    --------
    >>> import numpy as np
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> round(loss, 4), dlogits
    (0.6931, array([[-0.5,  0.5]]))
    """
    return _core.softmax_cross_entropy(_rows(logits), _rows(targets), _optional(weight))


def mean_squared_error(prediction: Array, target: Array, weight: Array | None = None) -> tuple[float, Array]:
    """Weighted mean over all elements of ``(prediction - target)^2``, and its gradient.

    Parameters
    ----------
    prediction, target : float32 or float64 arrays (M, K)
    weight : array (M,), or None for ones
        As in :func:`softmax_cross_entropy`; counts for every element of its row.

    Returns
    -------
    loss : float
    dprediction : array (M, K)

    Raises
    ------
    ValueError
        A shape does not fit, or a weight is negative or not finite.
    TypeError
        A dtype is neither float32 nor float64, or they differ.

    Examples
    --------
    >>> import numpy as np
    >>> mean_squared_error(np.array([[3.0]]), np.array([[1.0]]))
    (4.0, array([[4.]]))
    """
    return _core.mean_squared_error(_rows(prediction), _rows(target), _optional(weight))


def binary_cross_entropy(logits: Array, target: Array, weight: Array | None = None) -> tuple[float, Array]:
    """Weighted mean of ``-target log p - (1 - target) log(1 - p)``, ``p = sigmoid(logits)``, and its gradient.

    Computed as ``max(logits, 0) - target logits + log(1 + exp(-|logits|))``, which no logit overflows.

    Parameters
    ----------
    logits : float32 or float64 array (M, K)
    target : array (M, K)
        Probabilities in [0, 1], usually 0 or 1.
    weight : array (M,), or None for ones
        As in :func:`softmax_cross_entropy`; counts for every element of its row.

    Returns
    -------
    loss : float
    dlogits : array (M, K)

    Raises
    ------
    ValueError
        A shape does not fit, or a weight is negative or not finite.
    TypeError
        A dtype is neither float32 nor float64, or they differ.

    Examples
    --------
    >>> import numpy as np
    >>> loss, dlogits = binary_cross_entropy(np.array([[0.0]]), np.array([[1.0]]))
    >>> round(loss, 4), dlogits
    (0.6931, array([[-0.5]]))
    """
    return _core.binary_cross_entropy(_rows(logits), _rows(target), _optional(weight))


def _rows(array: Array) -> Array:
    return np.require(array, requirements=("C", "A"))


def _optional(array: Array | None) -> Array | None:
    return None if array is None else _rows(array)

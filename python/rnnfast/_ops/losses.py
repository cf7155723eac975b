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


def mean_loss(loss: str, outputs: Array, targets: Array | Ids, weight: Array | None = None) -> tuple[float, Array]:
    """Return a loss of the engine's registry, ``_ops.LOSSES``, and its gradient.

    ``"softmax_cross_entropy"`` is the weighted mean over rows of ``-log softmax(outputs)[target]``;
    ``"mean_squared_error"`` that over all elements of ``(outputs - target)^2``; ``"binary_cross_entropy"`` that of
    ``-target log p - (1 - target) log(1 - p)``, ``p = sigmoid(x)``, computed of the outputs x as ``max(x, 0) - target x
    + log(1 + exp(-|x|))``, which nothing overflows. A row of zero weight is not read; where all weights are zero, or M
    is, loss and gradient are zero.

    Parameters
    ----------
    loss : str
    outputs : float32 or float64 array (M, K)
    targets : int64 array (M,), each in 0..K-1, of a loss of classes; else array (M, K)
    weight : array (M,), or None for ones
        Finite numbers >= 0 of the outputs' dtype.

    Returns
    -------
    loss : float
    doutputs : array (M, K)

    Raises
    ------
    ValueError
        An unknown loss, a shape that does not fit, a class outside 0..K-1, or a weight that is negative or not finite.
    TypeError
        A dtype is another one.

    Examples
    --------
    >>> import numpy as np
    >>> loss, doutputs = mean_loss("softmax_cross_entropy", np.zeros((1, 2)), np.array([0]))
    >>> round(loss, 4), doutputs
    (0.6931, array([[-0.5,  0.5]]))
    >>> mean_loss("mean_squared_error", np.array([[3.0]]), np.array([[1.0]]))
    (4.0, array([[4.]]))
    """
    return _core.mean_loss(loss, _rows(outputs), _rows(targets), _optional(weight))


def _rows(array: Array) -> Array:
    return np.require(array, requirements=("C", "A"))


def _optional(array: Array | None) -> Array | None:
    return None if array is None else _rows(array)

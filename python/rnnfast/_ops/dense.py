"""Everything but the recurrence: affine map, embedding and dropout, softmax and losses, optimiser steps.

Legend: M rows, K inputs or classes, N outputs, V ids, D features of an embedding. All arrays of a call have one dtype,
float32 or float64. Inputs may have any memory layout; those that are not C-contiguous are copied. Arrays that a call
adds to must be C-contiguous and writable. Sums over K run in 16 fixed partial sums, sums over rows in blocks of 256:
results are the same bits for every number of threads and every instruction set with fma.

An optimiser's step is one call over lists of arrays, in place. It updates every array and the step counter or, where an
argument is wrong, nothing. Entry i of every list has the shape of ``values[i]``, and no two arrays that are written
share memory. ``step`` is an int64 array (1,), the number of steps made, which the call increases by one. Every function
raises ValueError for shapes, layouts and numbers out of range, TypeError for dtypes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rnnfast import _core
from rnnfast._ops.layout import plain
from rnnfast.arrays import Array, Int64

Ids = Int64
Arrays = Sequence[Array]
Counter = Int64


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
    return _core.linear(plain(x), plain(W), None if b is None else plain(b))


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
    return _core.linear_backward(plain(dy), plain(x), plain(W), dW, db, need_dx)


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
    return _core.dropout(plain(x), p, seed, call)


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
    return _core.embedding(plain(ids), plain(E))


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
    _core.embedding_backward(plain(ids), plain(dy), dE)


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
    return _core.softmax(plain(x), False)


def log_softmax(x: Array) -> Array:
    """``x - log(sum(exp(x)))`` of every row; shapes and errors as :func:`softmax`.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([[1000.0, 0.0]]))
    array([[    0., -1000.]])
    """
    return _core.softmax(plain(x), True)


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
    return _core.mean_loss(loss, plain(outputs), plain(targets), _optional(weight))


def _optional(array: Array | None) -> Array | None:
    return None if array is None else plain(array)


def update(
    optimizer: str,
    values: Arrays,
    grads: Arrays,
    buffers: Sequence[Arrays],
    options: Mapping[str, float],
    step: Counter,
) -> None:
    """Make a step of the update rule ``optimizer``; ``_ops.OPTIMIZERS`` names its options and buffers.

    ``"sgd"``: ``g += weight_decay p``; ``b = momentum b + (1 - dampening) g``, at the first step b = g; ``p -= lr b``,
    with nesterov ``p -= lr (g + momentum b)``, without momentum ``p -= lr g`` (Sutskever et al. 2013, as PyTorch).

    ``"rmsprop"``: ``g += weight_decay p``; ``s = alpha s + (1 - alpha) g^2``; ``d = g / (sqrt(s) + eps)``;
    ``p -= lr d`` (Hinton 2012), with momentum ``b = momentum b + d``, ``p -= lr b``; centered: the root is of
    ``s - a^2``, ``a += (1 - alpha) (g - a)`` (Graves 2013).

    ``"adam"``: ``g += weight_decay p``, or decoupled ``p *= 1 - lr weight_decay`` (Loshchilov and Hutter 2019);
    ``m += (1 - beta1) (g - m)``; ``v = beta2 v + (1 - beta2) g^2``; ``p -= lr M / (sqrt(V) + eps)``, ``M = m / (1 -
    beta1^t)``, ``V = v / (1 - beta2^t)`` at step t = 1, 2, ... (Kingma and Ba 2015).

    ``"amsgrad"``: the same, V of the largest v so far (Reddi et al. 2018). ``"nadam"``: the same but for ``p -= lr
    (m_share m + g_share g) / (sqrt(V) + eps)`` (Dozat 2016).

    A buffer that an option does not need stays as it is.

    Examples
    --------
    >>> import numpy as np
    >>> p, m, v, step = np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1, np.int64)
    >>> options = {"lr": 0.25, "beta1": 0.9, "beta2": 0.999, "eps": 0.0, "weight_decay": 0.0, "decoupled": 0.0}
    >>> update("adam", [p], [np.array([5.0])], [[m], [v]], options, step)
    >>> p.round(6), step
    (array([0.75]), array([1]))
    """
    update_call(optimizer, list(values), list(grads), list(map(list, buffers)), dict(options), step)()


def update_call(
    optimizer: str,
    values: list[Array],
    grads: list[Array],
    buffers: list[list[Array]],
    options: dict[str, float],
    step: Counter,
) -> partial[None]:
    """Return the call that ``update`` makes, one of C alone: Ctrl-C acts before or after it.

    Examples
    --------
    >>> import numpy as np
    >>> p, step = np.ones(1), np.zeros(1, np.int64)
    >>> options = {"lr": 0.5, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": 0.0}
    >>> call = update_call("sgd", [p], [np.ones(1)], [[np.zeros(1)]], options, step)
    >>> call()
    >>> p
    array([0.5])
    """
    return partial(_core.update, optimizer, values, grads, buffers, options, step)


def squared_norm(arrays: Arrays) -> float:
    """Return the sum of the squares of all elements, in double precision and in a fixed order.

    Examples
    --------
    >>> import numpy as np
    >>> squared_norm([np.array([3.0]), np.array([[4.0]])])
    25.0
    """
    return _core.squared_norm(list(arrays))


def scale_(arrays: Arrays, factor: float) -> None:
    """Multiply every element by ``factor``, in place.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones(2)
    >>> scale_([x], 0.5)
    >>> x
    array([0.5, 0.5])
    """
    _core.scale_(list(arrays), factor)

"""Optimiser steps over lists of arrays, in place.

A step is one call: it updates every array and the step counter, or, when an argument is wrong, nothing. All
arrays are C-contiguous and writable, of one dtype, float32 or float64; entry i of every list has the shape of
``values[i]``; no two of the arrays that are written share memory. ``step`` is an int64 array (1,) that
counts the steps made and is increased by one. Every function raises ValueError for shapes, layouts and
numbers out of range, TypeError for dtypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _core

Arrays = Sequence[npt.NDArray[Any]]
Counter = npt.NDArray[np.int64]


def sgd_step(
    values: Arrays,
    grads: Arrays,
    buffers: Arrays,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    step: Counter,
) -> None:
    """``g += weight_decay p``; ``b = momentum b + (1 - dampening) g``; ``p -= lr b``.

    At the first step b = g; ``nesterov``: ``p -= lr (g + momentum b)``; momentum 0: ``p -= lr g`` and buffers
    stay as they are. PyTorch's formulas (Sutskever et al. 2013, with its differences).

    Examples
    --------
    >>> import numpy as np
    >>> p, b, step = np.ones(2), np.zeros(2), np.zeros(1, np.int64)
    >>> sgd_step([p], [np.ones(2)], [b], 0.5, 0.0, 0.0, 0.0, False, step)
    >>> p, step
    (array([0.5, 0.5]), array([1]))
    """
    _core.sgd_step(list(values), list(grads), list(buffers), lr, momentum, dampening, weight_decay, nesterov, step)


def adam_step(
    values: Arrays,
    grads: Arrays,
    m: Arrays,
    v: Arrays,
    step: Counter,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """``m += (1 - beta1) (g - m)``; ``v = beta2 v + (1 - beta2) g^2``; ``p -= lr M / (sqrt(V) + eps)``.

    ``M = m / (1 - beta1^t)``, ``V = v / (1 - beta2^t)`` at step t = 1, 2, ... Weight decay: ``g += weight_decay
    p`` first (Kingma and Ba 2015), or ``decoupled``: ``p *= 1 - lr weight_decay`` (Loshchilov and Hutter 2019).

    Examples
    --------
    >>> import numpy as np
    >>> p, m, v, step = np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1, np.int64)
    >>> adam_step([p], [np.array([5.0])], [m], [v], step, 0.25, 0.9, 0.999, 0.0, 0.0, False)
    >>> p.round(6), step
    (array([0.75]), array([1]))
    """
    _core.adam_step(list(values), list(grads), list(m), list(v), step, lr, beta1, beta2, eps, weight_decay, decoupled)


def rmsprop_step(
    values: Arrays,
    grads: Arrays,
    square_avgs: Arrays,
    buffers: Arrays,
    grad_avgs: Arrays,
    step: Counter,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> None:
    """``s = alpha s + (1 - alpha) g^2``; ``d = g / (sqrt(s) + eps)``; ``p -= lr d`` (Hinton 2012).

    ``g += weight_decay p`` first; momentum: ``b = momentum b + d``, ``p -= lr b``; ``centered``: the root is of
    ``s - a^2``, ``a += (1 - alpha) (g - a)`` (Graves 2013). What an option does not need stays as it is.

    Examples
    --------
    >>> import numpy as np
    >>> p, s, b, a, step = np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1, np.int64)
    >>> rmsprop_step([p], [np.ones(1)], [s], [b], [a], step, 0.25, 0.75, 0.0, 0.0, 0.0, False)
    >>> p, s
    (array([0.5]), array([0.25]))
    """
    _core.rmsprop_step(
        list(values), list(grads), list(square_avgs), list(buffers), list(grad_avgs), step, lr, alpha, eps,
        weight_decay, momentum, centered,
    )  # fmt: skip


def squared_norm(arrays: Arrays) -> float:
    """Sum of the squares of all elements, in double precision and in a fixed order.

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

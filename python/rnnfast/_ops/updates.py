"""Optimiser steps over lists of arrays, in place.

A step is one call. It updates every array and the step counter or, where an argument is wrong, nothing. All arrays are
C-contiguous and writable and have one dtype, float32 or float64. Entry i of every list has the shape of ``values[i]``.
No two arrays that are written share memory. ``step`` is an int64 array (1,), the number of steps made, which the call
increases by one. Every function raises ValueError for shapes, layouts and numbers out of range, TypeError for dtypes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _core

Arrays = Sequence[npt.NDArray[Any]]
Counter = npt.NDArray[np.int64]


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
    _core.update(optimizer, list(values), list(grads), list(map(list, buffers)), dict(options), step)


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

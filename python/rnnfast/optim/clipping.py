"""Gradients kept within bounds, by their norm or by each value."""

from __future__ import annotations

import math

import numpy as np

from rnnfast import _ops
from rnnfast.checks import above_zero
from rnnfast.optim.named import Params, named_params


def clip_grad_norm(params: Params, max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most ``max_norm``.

    ``g = g min(1, max_norm / (norm + 1e-6))``, as PyTorch's ``clip_grad_norm_``.

    Parameters
    ----------
    params : dict or iterable of Parameter
        Parameters whose ``grad`` is scaled.
    max_norm : float
        Largest Euclidean norm of all gradients together, above 0.

    Returns
    -------
    float
        The norm before.

    Raises
    ------
    ValueError
        If ``max_norm`` is not above 0.
    TypeError
        If something else than a parameter is given.

    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML (2013).

    Examples
    --------
    >>> from rnnfast.params import Parameter
    >>> import numpy as np
    >>> p = Parameter(np.zeros(2))
    >>> p.grad[...] = [3.0, 4.0]
    >>> clip_grad_norm([p], 1.0)
    5.0
    >>> p.grad.round(4).tolist()
    [0.6, 0.8]
    """
    max_norm = above_zero("max_norm", max_norm)
    every = named_params(params).values()
    for p in every:
        p.drop_held_grad()
    grads = [p.grad for p in every]
    norm = math.sqrt(_ops.squared_norm(grads))
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:
        _ops.scale_(grads, factor)
    return norm


def clip_grad_value(params: Params, limit: float) -> None:
    """Clip every element of every gradient to ``-limit..limit``.

    ``g = min(max(g, -limit), limit)``, as PyTorch's ``clip_grad_value_``.

    Parameters
    ----------
    params : dict or iterable of Parameter
        Parameters whose ``grad`` is clipped.
    limit : float
        Largest magnitude of an element, above 0.

    Raises
    ------
    ValueError
        If ``limit`` is not above 0.
    TypeError
        If something else than a parameter is given.

    Examples
    --------
    >>> from rnnfast.params import Parameter
    >>> import numpy as np
    >>> p = Parameter(np.zeros(2))
    >>> p.grad[...] = [3.0, -0.5]
    >>> clip_grad_value([p], 1.0)
    >>> p.grad.tolist()
    [1.0, -0.5]
    """
    limit = above_zero("limit", limit)
    for p in named_params(params).values():
        np.clip(p.grad, -limit, limit, out=p.grad)

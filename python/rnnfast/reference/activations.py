"""Activations of cells and their derivatives, as functions of the pre-activation ``a`` of any shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rnnfast.reference.base import Array

Spec = str | tuple[str | float, ...]


def sigmoid(a: Array) -> Array:
    """Return the logistic function ``1 / (1 + exp(-a))`` of an array of any shape; it overflows on neither side.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    positive = a.real > 0
    e = np.exp(np.where(positive, -a, a))
    return np.asarray(np.where(positive, 1, e) / (1 + e))


def _softplus(a: Array) -> Array:
    positive = a.real > 0
    return np.where(positive, a, 0) + np.log1p(np.exp(np.where(positive, -a, a)))


def _negative_exp(a: Array) -> Array:
    return np.exp(np.where(a.real > 0, 0, a))


def _ones(a: Array) -> Array:
    return np.ones_like(a)


Pair = tuple[Callable[[Array], Array], Callable[[Array], Array]]


def _between(a: Array, low: float, high: float) -> Array:
    return np.where(a.real < low, low, np.where(a.real > high, high, a))


def _inside(a: Array, low: float, high: float) -> Array:
    return ((a.real > low) & (a.real < high)).astype(a.dtype)


def _magnitude(a: Array) -> Array:
    return np.where(a.real < 0, -a, a)


# By name: the default numbers, which are ONNX's, and a function from numbers to the activation and its derivative.
_TABLE: dict[str, tuple[tuple[float, ...], Callable[..., Pair]]] = {
    "tanh": ((), lambda: (np.tanh, lambda a: 1 - np.tanh(a) ** 2)),
    "sigmoid": ((), lambda: (sigmoid, lambda a: sigmoid(a) * sigmoid(-a))),
    "identity": ((), lambda: (lambda a: a, _ones)),
    "relu": ((), lambda: (lambda a: np.where(a.real > 0, a, 0), lambda a: (a.real > 0).astype(a.dtype))),
    "hard_tanh": ((), lambda: (lambda a: _between(a, -1, 1), lambda a: _inside(a, -1, 1))),
    "softsign": ((), lambda: (lambda a: a / (1 + _magnitude(a)), lambda a: (1 + _magnitude(a)) ** -2.0)),
    "softplus": ((), lambda: (_softplus, sigmoid)),
    "hard_sigmoid": (
        (0.2, 0.5),
        lambda p, q: (lambda a: _between(p * a + q, 0, 1), lambda a: p * _inside(p * a + q, 0, 1)),
    ),
    "elu": (
        (1.0,),
        lambda p: (
            lambda a: np.where(a.real > 0, a, p * (_negative_exp(a) - 1)),
            lambda a: np.where(a.real > 0, 1, p * _negative_exp(a)),
        ),
    ),
    "leaky_relu": (
        (0.01,),
        lambda p: (lambda a: np.where(a.real < 0, p * a, a), lambda a: np.where(a.real > 0, _ones(a), p)),
    ),
    "thresholded_relu": (
        (1.0,),
        lambda p: (lambda a: np.where(a.real > p, a, 0), lambda a: (a.real > p).astype(a.dtype)),
    ),
    "scaled_tanh": (
        (1.0, 1.0),
        lambda p, q: (lambda a: p * np.tanh(q * a), lambda a: p * q * (1 - np.tanh(q * a) ** 2)),
    ),
    "affine": ((1.0, 0.0), lambda p, q: (lambda a: p * a + q, lambda a: p * _ones(a))),
}


@dataclass(frozen=True)
class Activation:
    """An activation, whose pre-activation is first clipped to ``[-clip, clip]``."""

    function: Callable[[Array], Array]
    derivative_inside: Callable[[Array], Array]
    clip: float = np.inf

    def __call__(self, a: Array) -> Array:
        """Return the values at ``a``."""
        return np.asarray(self.function(_between(a, -self.clip, self.clip)))

    def derivative(self, a: Array) -> Array:
        """Return the derivatives at ``a``, which are zero where ``a`` is clipped."""
        return np.asarray(self.derivative_inside(a) * _inside(a, -self.clip, self.clip))

    def bounded(self, clip: float | None) -> Activation:
        """Return the activation with its pre-activation clipped to ``[-clip, clip]``; itself where ``clip`` is None."""
        return self if clip is None else replace(self, clip=clip)


def make_activation(spec: Spec) -> Activation:
    """Return an activation by its name, alone or with its numbers: ``"elu"`` or ``("elu", 0.5)``.

    ``hard_sigmoid(alpha, beta) = alpha a + beta`` within [0, 1]; ``elu(alpha) = alpha (exp(a) - 1)`` below 0;
    ``leaky_relu(alpha) = alpha a`` below 0; ``thresholded_relu(alpha) = a`` above alpha, else 0;
    ``scaled_tanh(alpha, beta) = alpha tanh(beta a)``; ``affine(alpha, beta) = alpha a + beta``.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> make_activation(("leaky_relu", 0.5))(np.array([-2.0, 3.0]))
    array([-1.,  3.])
    """
    name, *numbers = (spec,) if isinstance(spec, str) else spec
    if name not in _TABLE:
        raise ValueError(f"activation: one of {', '.join(_TABLE)} is required, got {name!r}")
    defaults, make = _TABLE[str(name)]
    return Activation(*make(*(float(n) for n in numbers), *defaults[len(numbers) :]))

"""What comes before and after a recurrent network: embedding, affine map, and losses, each with its gradient.

Legend: M rows, K outputs or classes, V ids, E features of an embedding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.reference.activations import sigmoid
from rnnfast.reference.base import Array

Ids = npt.NDArray[np.integer[Any]]


def linear(x: Array, W: Array, b: Array | None = None) -> Array:
    """Return ``y = W x + b`` (M, K) of ``x (M, C)``, ``W (K, C)`` and ``b (K,)``.

    Examples
    --------
    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([5.0]))
    array([[16.]])
    """
    y = x @ W.T
    return y if b is None else y + b


def linear_backward(dy: Array, x: Array, W: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of :func:`linear`: ``dx = dy W``, ``dW = dy^T x`` and ``db = sum(dy)``.

    Examples
    --------
    >>> dx, dW, db = linear_backward(np.ones((2, 1)), np.eye(2), np.array([[3.0, 4.0]]))
    >>> dx[0], dW, db
    (array([3., 4.]), array([[1., 1.]]), array([2.]))
    """
    return dy @ W, dy.T @ x, dy.sum(0)


def embedding(ids: Ids, table: Array) -> Array:
    """Return row ``ids[m]`` of ``table (V, E)`` for every m, (M, E).

    Examples
    --------
    >>> embedding(np.array([1, 1]), np.array([[0.0], [7.0]]))
    array([[7.],
           [7.]])
    """
    return table[ids]


def embedding_backward(ids: Ids, dy: Array, rows: int) -> Array:
    """Return the sum of ``dy (M, E)`` over the places of each id, (V, E), where V = ``rows``.

    Examples
    --------
    >>> embedding_backward(np.array([1, 1]), np.ones((2, 1)), 2)
    array([[0.],
           [2.]])
    """
    table = np.zeros((rows, dy.shape[1]), dy.dtype)
    np.add.at(table, ids, dy)
    return table


def log_softmax(x: Array) -> Array:
    """Return ``x - log(sum(exp(x)))`` along the last axis; the largest element is subtracted first against overflow.

    Examples
    --------
    >>> log_softmax(np.array([1000.0, 0.0]))
    array([    0., -1000.])
    """
    largest = np.take_along_axis(x, x.real.argmax(-1)[..., None], -1)
    shifted = x - largest
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def softmax(x: Array) -> Array:
    """Return ``exp(x) / sum(exp(x))`` along the last axis.

    Examples
    --------
    >>> softmax(np.zeros(4))
    array([0.25, 0.25, 0.25, 0.25])
    """
    return np.asarray(np.exp(log_softmax(x)))


def softmax_cross_entropy(logits: Array, targets: Ids, weight: Array | None = None) -> tuple[Any, Array]:
    """Return the weighted mean over rows of ``-log softmax(logits)[target]``, and its gradient dlogits (M, K).

    Parameters
    ----------
    logits : array (M, K)
    targets : integers (M,)
        Each within 0..K-1.
    weight : array (M,) or None
        Where all are zero, so is the loss.

    Examples
    --------
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> float(round(loss, 4)), dlogits
    (0.6931, array([[-0.5,  0.5]]))
    """
    rows = np.arange(len(targets))
    share = _shares(np.ones(len(targets)) if weight is None else weight)
    log_p = log_softmax(logits)
    dlogits = np.exp(log_p)
    dlogits[rows, targets] -= 1
    return -(share * log_p[rows, targets]).sum(), dlogits * share[:, None]


def mean_squared_error(prediction: Array, target: Array, weight: Array | None = None) -> tuple[Any, Array]:
    """Return the weighted mean over all elements of ``(prediction - target)^2``, and its gradient dprediction (M, K).

    Parameters
    ----------
    prediction, target : array (M, K)
    weight : array (M,) or None
        Where all are zero, so is the loss.

    Examples
    --------
    >>> loss, dprediction = mean_squared_error(np.array([[3.0]]), np.array([[1.0]]))
    >>> float(loss), dprediction
    (4.0, array([[4.]]))
    """
    share = _element_shares(prediction, weight)
    error = prediction - target
    return (share * error * error).sum(), 2 * share * error


def binary_cross_entropy(logits: Array, target: Array, weight: Array | None = None) -> tuple[Any, Array]:
    """Return the weighted mean of ``-target log p - (1 - target) log(1 - p)``, and its gradient dlogits (M, K).

    ``p = sigmoid(logits)``; the loss is computed as ``softplus(logits) - target logits``.

    Parameters
    ----------
    logits, target : array (M, K)
    weight : array (M,) or None
        Where all are zero, so is the loss.

    Examples
    --------
    >>> loss, dlogits = binary_cross_entropy(np.array([[0.0]]), np.array([[1.0]]))
    >>> float(round(loss, 4)), dlogits
    (0.6931, array([[-0.5]]))
    """
    share = _element_shares(logits, weight)
    magnitude = np.where(logits.real > 0, logits, -logits)
    softplus = np.where(logits.real > 0, logits, 0) + np.log(1 + np.exp(-magnitude))
    return (share * (softplus - target * logits)).sum(), share * (sigmoid(logits) - target)


def _shares(weight: Array) -> Array:
    total = weight.sum()
    return weight / total if total else np.zeros_like(weight)


def _element_shares(values: Array, weight: Array | None) -> Array:
    """Return the share of each element of a row in the mean over all elements, (M, 1)."""
    rows = _shares(np.ones(len(values)) if weight is None else weight)
    return np.asarray(rows[:, None] / max(values.shape[1], 1))

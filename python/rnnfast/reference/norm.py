"""Layer normalisation (Ba et al. 2016) of the rows of a matrix, and its derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
EPS = 1e-5


def standardized(a: Array) -> tuple[Array, Array]:
    """Return ``a^ = (a - mean a) / sqrt(var a + eps)`` of every row, and the root; the variance is biased."""
    centred = a - a.mean(axis=1, keepdims=True)
    root = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + EPS)
    return centred / root, root


def layer_norm(a: Array, gamma: Array, sizes: Sequence[int]) -> Array:
    """Return ``gamma a^``; each piece of a row is normalised by itself, and ``sizes`` are the pieces' lengths.

    Examples
    --------
    >>> layer_norm(np.array([[1.0, 3.0, 7.0]]), np.ones(3), (2, 1)).round(4)
    array([[-1.,  1.,  0.]])
    """
    hat: Array = np.concatenate([standardized(piece)[0] for piece in _pieces(a, sizes)], axis=1)
    return gamma * hat


def layer_norm_backward(a: Array, gamma: Array, sizes: Sequence[int], dy: Array) -> tuple[Array, Array]:
    """Return ``da = (d - mean d - a^ mean(d a^)) / sqrt(var a + eps)``, where ``d = gamma dy``, and ``dgamma``."""
    hats, parts = [], []
    for piece, d in zip(_pieces(a, sizes), _pieces(gamma * dy, sizes), strict=True):
        hat, root = standardized(piece)
        along = (d * hat).mean(axis=1, keepdims=True)
        parts.append((d - d.mean(axis=1, keepdims=True) - hat * along) / root)
        hats.append(hat)
    return np.concatenate(parts, axis=1), (dy * np.concatenate(hats, axis=1)).sum(0)


def _pieces(a: Array, sizes: Sequence[int]) -> list[Array]:
    return np.split(a, np.cumsum(sizes)[:-1], axis=1)

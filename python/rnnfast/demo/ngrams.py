"""Interpolated n-gram models of text with Witten-Bell smoothing: the yard-stick for written text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_ngram", "ngram_nats", "ngram_probabilities"]

Ids = NDArray[np.int64]
F64 = NDArray[np.float64]


def ngram_nats(train: Ids, test: Ids, alphabet_size: int, max_order: int) -> dict[int, float]:
    """Return the mean ``-log p``, in nats a symbol, of ``test[1:]`` under the models of order 1 .. ``max_order``.

    Every model knows the symbols before the one it predicts, the first of ``test`` included.

    Parameters
    ----------
    train : int64 (M,)
        Symbols 0 .. alphabet_size - 1, which are counted.
    test : int64 (K,)
        Symbols, which are predicted.
    alphabet_size : int
        V; every model gives each of the V symbols a positive probability, and the V of them sum to 1.
    max_order : int
        Length of the longest n-gram.

    Examples
    --------
    >>> nats = ngram_nats(np.array([0, 1] * 50), np.array([0, 1] * 5), 2, 2)
    >>> nats[2] < nats[1]
    True
    """
    probability = ngram_probabilities(train, test[:-1], test[1:], alphabet_size, max_order)
    return {order: float(-np.log(p).mean()) for order, p in probability.items()}


def best_ngram(train: Ids, test: Ids, alphabet_size: int, max_order: int = 6) -> tuple[int, float]:
    """Return the order and the nats a symbol of the model that predicts ``test`` best."""
    nats = ngram_nats(train, test, alphabet_size, max_order)
    order = min(nats, key=lambda k: nats[k])
    return order, nats[order]


def ngram_probabilities(train: Ids, before: Ids, following: Ids, alphabet_size: int, max_order: int) -> dict[int, F64]:
    """Return the probability of ``following[i]`` after ``before[0] .. before[i]``, for every order.

    ``p_k(x | h) = (count(h x) + kinds(h) p_(k-1)(x | h')) / (count(h) + kinds(h))``, where ``h`` is the k - 1 symbols
    before ``x``, ``h'`` the same without its first one, ``kinds(h)`` the number of different symbols seen after ``h``,
    and ``p_0 = 1 / V``. Where ``h`` was never seen, and at the beginning of ``before``, where fewer than k - 1 symbols
    are known, ``p_k = p_(k-1)``.

    Returns
    -------
    dict
        The probabilities, float64 (K,), by order 1 .. max_order.

    Notes
    -----
    Witten and Bell 1991, "The zero-frequency problem"; interpolated as in Chen and Goodman 1998, section 2.5.
    """
    result: dict[int, F64] = {}
    p = np.full(len(following), 1.0 / alphabet_size)
    for order in range(1, max_order + 1):
        seen = _histories(train[:-1], order - 1, alphabet_size)
        asked = _histories(before, order - 1, alphabet_size)
        skip = max(order - 2, 0)
        p = p.copy()
        p[skip:] = _interpolate(seen, train[1 + skip :], asked, following[skip:], alphabet_size, p[skip:])
        result[order] = p
    return result


def _histories(symbols: Ids, length: int, alphabet_size: int) -> Ids:
    """Return the last ``length`` symbols as one number, at every place that has at least ``length`` symbols."""
    code = np.zeros(max(len(symbols) - max(length - 1, 0), 0), np.int64)
    for back in range(length):
        code = code * alphabet_size + symbols[back : back + len(code)]
    return code


def _interpolate(seen: Ids, seen_next: Ids, asked: Ids, asked_next: Ids, alphabet_size: int, lower: F64) -> F64:
    grams, gram_counts = np.unique(seen * alphabet_size + seen_next, return_counts=True)
    histories, counts = np.unique(seen, return_counts=True)
    kinds = np.bincount(np.searchsorted(histories, grams // alphabet_size), minlength=len(histories))
    gram_count = _look_up(grams, gram_counts, asked * alphabet_size + asked_next)
    count, kind = _look_up(histories, counts, asked), _look_up(histories, kinds, asked)
    known = count > 0
    p = lower.copy()
    p[known] = (gram_count[known] + kind[known] * lower[known]) / (count[known] + kind[known])
    return p


def _look_up(keys: Ids, values: Ids, asked: Ids) -> Ids:
    """Return ``values[i]`` where ``keys[i] == asked``, and 0 where no key is equal; ``keys`` ascend."""
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, values[at], 0)

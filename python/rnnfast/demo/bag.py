"""A classifier that sees the letters of a sequence and their numbers, but not their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Objective = Callable[[F64], tuple[float, F64]]
ROWS = 64


class BagOfLetters:
    """Multinomial logistic regression on counts of letters, trained until it has converged.

    ``p(k | x) = softmax(W a(x) + b)_k``, where ``a(x)`` holds for every letter its count in x and whether it occurs
    at least once and at least twice. The loss is the weighted mean of ``-log p`` plus ``ridge |W|^2 / 2`` for features
    made independent and of unit variance.

    Parameters
    ----------
    alphabet_size, classes : int
    ridge : float
        Coefficient of ``|W|^2 / 2``, just large enough for a unique optimum.

    Examples
    --------
    >>> x = [np.array(s) for s in ([0, 0, 1], [0, 1, 0, 0], [1, 1, 0], [1, 0, 1])]
    >>> bag = BagOfLetters(2, 2)
    >>> bag.fit(x, np.array([0, 0, 1, 1]))
    >>> bag.predict([np.array([0, 0, 1, 0]), np.array([1, 0, 1, 1])]).tolist()
    [0, 1]
    """

    def __init__(self, alphabet_size: int, classes: int, *, ridge: float = 1e-5) -> None:
        self.alphabet_size = alphabet_size
        self.classes = classes
        self.ridge = ridge

    def fit(self, x: Sequence[Ids], y: Ids, *, weights: F64 | None = None, iterations: int = 500) -> None:
        """Find the optimum for classes ``y`` (N,) and weights of the sequences (N,)."""
        raw = self._features(x)
        share = (np.ones(len(y)) if weights is None else weights)[:, None]
        share = share / share.sum()
        self.mean = (raw * share).sum(axis=0)
        centred = raw - self.mean
        self.basis = _whitening(_blocks(centred), _blocks(share))
        a = _blocks(np.hstack([centred @ self.basis, np.ones((len(y), 1))]))
        wanted, shares = _blocks(np.eye(self.classes)[y]), _blocks(share)

        def objective(flat: F64) -> tuple[float, F64]:
            theta = flat.reshape(-1, self.classes)
            log_p = _log_softmax(a @ theta)
            loss = -float((shares * wanted * log_p).sum()) + 0.5 * self.ridge * float((theta[:-1] ** 2).sum())
            gradient = (a.transpose(0, 2, 1) @ ((np.exp(log_p) - wanted) * shares)).sum(axis=0)
            gradient[:-1] += self.ridge * theta[:-1]
            return loss, gradient.ravel()

        theta = minimise(objective, np.zeros(a.shape[2] * self.classes), iterations=iterations)
        self.theta = theta.reshape(-1, self.classes)

    def predict(self, x: Sequence[Ids]) -> Ids:
        """Return the most probable classes (N,)."""
        a = (self._features(x) - self.mean) @ self.basis
        best: Ids = np.argmax(a @ self.theta[:-1] + self.theta[-1], axis=1)
        return best

    def _features(self, x: Sequence[Ids]) -> F64:
        counts = np.stack([np.bincount(ids, minlength=self.alphabet_size) for ids in x]).astype(np.float64)
        return np.hstack([counts, counts >= 1, counts >= 2])


def _blocks(a: F64) -> F64:
    """Cut (N, D) into (B, 64, D), padded with zeros.

    A BLAS computes products of so few rows on one thread, so that the result does not depend on the number of threads.
    """
    blocks = np.zeros((-(-len(a) // ROWS) * ROWS, a.shape[1]))
    blocks[: len(a)] = a
    return blocks.reshape(-1, ROWS, a.shape[1])


def _whitening(a: F64, shares: F64) -> F64:
    """Return B that makes the columns of ``a B`` uncorrelated, of unit variance; constant directions are dropped."""
    values, vectors = np.linalg.eigh((a.transpose(0, 2, 1) @ (a * shares)).sum(axis=0))
    kept = values > 1e-9 * values.max()
    basis: F64 = vectors[:, kept] / np.sqrt(values[kept])
    return basis


def _log_softmax(z: F64) -> F64:
    z = z - z.max(axis=-1, keepdims=True)
    z -= np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return z


def minimise(objective: Objective, x: F64, *, iterations: int = 500, memory: int = 10, tolerance: float = 3e-4) -> F64:
    """Minimise a smooth convex function until the norm of its gradient is ``tolerance`` times the first one.

    L-BFGS with a backtracking line search (Nocedal and Wright 2006, algorithm 7.5).

    Examples
    --------
    >>> minimise(lambda x: (float((x - 3) @ (x - 3)), 2 * (x - 3)), np.zeros(2)).round(6).tolist()
    [3.0, 3.0]
    """
    pairs: deque[tuple[F64, F64]] = deque(maxlen=memory)
    value, gradient = objective(x)
    enough = tolerance * float(np.linalg.norm(gradient))
    for _ in range(iterations):
        if float(np.linalg.norm(gradient)) <= enough:
            break
        direction = -_two_loops(gradient, pairs)
        slope, step = float(gradient @ direction), 1.0 if pairs else 1.0 / max(1.0, float(np.linalg.norm(gradient)))
        while True:
            new = x + step * direction
            new_value, new_gradient = objective(new)
            if new_value <= value + 1e-4 * step * slope or step < 1e-12:
                break
            step *= 0.5
        s, d = new - x, new_gradient - gradient
        if float(s @ d) > 1e-12 * float(d @ d):
            pairs.append((s, d))
        x, value, gradient = new, new_value, new_gradient
    return x


def _two_loops(gradient: F64, pairs: deque[tuple[F64, F64]]) -> F64:
    """Multiply ``gradient`` by the inverse Hessian that ``pairs`` of steps and changes of gradient suggest."""
    q: Any = gradient.copy()
    alphas = []
    for s, d in reversed(pairs):
        alphas.append(float(s @ q) / float(s @ d))
        q -= alphas[-1] * d
    if pairs:
        s, d = pairs[-1]
        q *= float(s @ d) / float(d @ d)
    for (s, d), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - float(d @ q) / float(s @ d)) * s
    result: F64 = q
    return result

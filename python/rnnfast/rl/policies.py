"""Distributions of actions, with the gradients of log-probability and entropy, as functions of what a head returns."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.copies import CopiedWhole
from rnnfast.rl.advantages import shaped

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Categorical(CopiedWhole):
    """One of K actions, ``p = softmax(logits)``.

    A logit of -inf excludes an action; at least one of a row must be finite.

    Parameters
    ----------
    logits : float32 or float64 array (..., K)
        Outputs of a head.

    Attributes
    ----------
    log_probs : array (..., K)
        Logarithms of the probabilities of all actions.

    Raises
    ------
    ValueError
        If there is no axis of actions.
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.rl import Categorical
    >>> policy = Categorical(np.log([[0.25, 0.75]]))
    >>> policy.mode(), np.exp(policy.log_prob([0])).round(6), policy.entropy().round(6)
    (array([1]), array([0.25]), array([0.562335]))
    """

    def __init__(self, logits: npt.ArrayLike) -> None:
        z = _outputs("logits", logits)
        z = z - z.max(axis=-1, keepdims=True)
        self.log_probs = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
        self._probs = np.exp(self.log_probs)

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw actions, int64 (...); TypeError unless ``rng`` is a ``numpy.random.Generator``."""
        _require_generator(rng)
        sums = np.cumsum(self._probs, axis=-1, dtype=np.float64)
        below = rng.random((*sums.shape[:-1], 1)) * sums[..., -1:]
        return np.asarray((sums[..., :-1] <= below).sum(axis=-1), np.int64)

    def mode(self) -> Array:
        """Return the most probable actions, int64 (...)."""
        return np.asarray(self.log_probs.argmax(axis=-1), np.int64)

    def log_prob(self, actions: npt.ArrayLike) -> Array:
        """Return ``log p(action)`` (...) of actions (...), integers 0..K-1.

        Raises
        ------
        ValueError
            If a shape does not fit, or an action is none of 0..K-1.
        TypeError
            If actions are no integers.
        """
        return np.asarray(np.take_along_axis(self.log_probs, self._read(actions)[..., None], axis=-1)[..., 0])

    def entropy(self) -> Array:
        """Return ``-sum p log p`` (...)."""
        return np.asarray(-self._weighted().sum(axis=-1))

    def gradient(self, actions: npt.ArrayLike, dlog_prob: npt.ArrayLike, dentropy: npt.ArrayLike) -> Array:
        """Return dL/dlogits of a loss of log-probabilities and entropies.

        ``dL/dz = dlog_prob (onehot - p) - dentropy p (log p + H)``.

        Parameters
        ----------
        actions : integers (...)
            As for ``log_prob``.
        dlog_prob, dentropy : array (...)
            dL/d(log p(action)) and dL/dH.

        Returns
        -------
        array (..., K)
            dL/dlogits.

        Raises
        ------
        ValueError, TypeError
            As from ``log_prob``.
        """
        chosen = self._read(actions)
        dlog, dent = _gradients(dlog_prob, dentropy, chosen.shape, self.log_probs.dtype)
        found: Array = -dlog * self._probs - dent * (self._weighted() + self._probs * self.entropy()[..., None])
        picked = np.take_along_axis(found, chosen[..., None], axis=-1) + dlog
        np.put_along_axis(found, chosen[..., None], picked, axis=-1)
        return found

    def _weighted(self) -> Array:
        """Return p log p, 0 where p is 0."""
        return np.asarray(self._probs * np.where(self._probs > 0, self.log_probs, 0))

    def _read(self, actions: npt.ArrayLike) -> Array:
        chosen, K = checks.as_array("actions", actions), self.log_probs.shape[-1]
        if chosen.dtype.kind not in "iu":
            raise TypeError(f"actions: integers are required, got dtype {chosen.dtype}")
        shaped("actions", chosen, "of the logits without the last axis", self.log_probs.shape[:-1])
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < K):
            raise ValueError(f"actions: values 0..K-1 (K = {K}) are required, got {chosen.min()}..{chosen.max()}")
        return chosen.astype(np.int64, copy=False)


class Gaussian(CopiedWhole):
    """D numbers that are independent of each other, ``a = mean + exp(log_std) * noise``.

    Parameters
    ----------
    mean : float32 or float64 array (..., D)
        Outputs of a head.
    log_std : array (D,) or (..., D)
        Logarithms of the standard deviations: the same of all rows, or outputs of a head too.

    Raises
    ------
    ValueError
        If there is no axis of numbers, or log_std has another shape.
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.rl import Gaussian
    >>> policy = Gaussian(np.zeros((1, 2)), np.zeros(2))
    >>> policy.log_prob([[0.0, 1.0]]).round(6), policy.entropy().round(6)
    (array([-2.337877]), array([2.837877]))
    """

    def __init__(self, mean: npt.ArrayLike, log_std: npt.ArrayLike) -> None:
        self.mean = _outputs("mean", mean)
        self.log_std = checks.as_reals("log_std", log_std, self.mean.dtype)
        if self.log_std.shape not in (self.mean.shape, self.mean.shape[-1:]):
            wanted = f"shape (D,) = {self.mean.shape[-1:]} or that of mean = {self.mean.shape}"
            raise ValueError(f"log_std: {wanted} is required, got {self.log_std.shape}")

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw actions (..., D); TypeError unless ``rng`` is a ``numpy.random.Generator``."""
        _require_generator(rng)
        noise = rng.standard_normal(self.mean.shape).astype(self.mean.dtype)
        return np.asarray(self.mean + np.exp(self.log_std) * noise)

    def mode(self) -> Array:
        """Return the means (..., D)."""
        return self.mean.copy()

    def log_prob(self, actions: npt.ArrayLike) -> Array:
        """Return the logarithm of the density (...) at actions (..., D).

        Raises
        ------
        ValueError
            If the shape is not that of mean.
        TypeError
            If actions are no real numbers.
        """
        each: Array = -0.5 * np.square(self._standardised(actions)) - self.log_std
        return np.asarray(each.sum(axis=-1) - each.dtype.type(self.mean.shape[-1] * HALF_LOG_TWO_PI))

    def entropy(self) -> Array:
        """Return ``sum(log_std) + D (1 + log 2 pi) / 2`` (...)."""
        each = self.log_std + self.mean.dtype.type(0.5 + HALF_LOG_TWO_PI)
        return np.broadcast_to(each.sum(axis=-1), self.mean.shape[:-1])

    def gradient(
        self, actions: npt.ArrayLike, dlog_prob: npt.ArrayLike, dentropy: npt.ArrayLike
    ) -> tuple[Array, Array]:
        """Return dL/dmean and dL/dlog_std of a loss of log-probabilities and entropies.

        With ``u = (a - mean) / std``: ``dL/dmean = dlog_prob u / std`` and
        ``dL/dlog_std = dlog_prob (u^2 - 1) + dentropy``, summed over rows where they share log_std.

        Parameters
        ----------
        actions : array (..., D)
            As for ``log_prob``.
        dlog_prob, dentropy : array (...)
            dL/d(log-density) and dL/dH.

        Returns
        -------
        dmean : array (..., D)
            dL/dmean.
        dlog_std : array (D,) or (..., D)
            dL/dlog_std.

        Raises
        ------
        ValueError, TypeError
            As from ``log_prob``.
        """
        u = self._standardised(actions)
        dlog, dent = _gradients(dlog_prob, dentropy, self.mean.shape[:-1], self.mean.dtype)
        dlog_std = dlog * (np.square(u) - 1) + dent
        if self.log_std.shape != self.mean.shape:
            dlog_std = dlog_std.sum(axis=tuple(range(u.ndim - 1)))
        return dlog * u * np.exp(-self.log_std), dlog_std

    def _standardised(self, actions: npt.ArrayLike) -> Array:
        given = shaped("actions", checks.as_reals("actions", actions, self.mean.dtype), "of mean", self.mean.shape)
        return (given - self.mean) * np.exp(-self.log_std)


Policy: TypeAlias = Categorical | Gaussian


def _outputs(name: str, value: npt.ArrayLike) -> Array:
    """Return what a head returned, with at least one axis that is not empty."""
    array = checks.as_array(name, value)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: dtype float32 or float64 is required, got {array.dtype}")
    if not array.shape[-1:] or not array.shape[-1]:
        raise ValueError(f"{name}: shape (..., K) with K > 0 is required, got {array.shape}")
    return array


def _require_generator(rng: object) -> None:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: a numpy.random.Generator is required, got {checks.shown(rng)}")


def _gradients(
    dlog_prob: npt.ArrayLike, dentropy: npt.ArrayLike, shape: tuple[int, ...], dtype: np.dtype[np.floating]
) -> tuple[Array, Array]:
    """Return both gradients as columns (..., 1)."""
    dlog = shaped("dlog_prob", checks.as_reals("dlog_prob", dlog_prob, dtype), "of log_prob", shape)
    dent = shaped("dentropy", checks.as_reals("dentropy", dentropy, dtype), "of entropy", shape)
    return dlog[..., None], dent[..., None]

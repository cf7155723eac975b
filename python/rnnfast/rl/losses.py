"""Losses of policies and values, each with its gradient; means over all steps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, DType
from rnnfast.rl.advantages import FLOAT64, shaped


def ppo_loss(
    log_probs: npt.ArrayLike, old_log_probs: npt.ArrayLike, advantages: npt.ArrayLike, *, clip: float = 0.2
) -> tuple[float, Array]:
    """Return the clipped loss of proximal policy optimisation and its gradient.

    ``L = -mean min(w A, min(max(w, 1 - clip), 1 + clip) A)`` with ``w = exp(log_prob - old_log_prob)``.

    Parameters
    ----------
    log_probs : array (...)
        Of the actions that were taken, under the policy that learns.
    old_log_probs : array (...)
        Under the policy that acted.
    advantages : array (...)
        A.
    clip : float
        How far from 1 the ratio w may gain, above 0.

    Returns
    -------
    loss : float
        L.
    dlog_probs : array (...)
        dL/dlog_probs, in the dtype of log_probs.

    Raises
    ------
    ValueError
        If a shape or a number does not fit.
    TypeError
        If anything holds no real numbers.

    References
    ----------
    J. Schulman et al., "Proximal policy optimization algorithms", arXiv:1707.06347 (2017).

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.rl import ppo_loss
    >>> ppo_loss(np.log([1.1, 1.5]), np.zeros(2), [1.0, 1.0])
    (-1.15, array([-0.55, -0.  ]))
    """
    (new, old, gain), dtype = _read({"log_probs": log_probs, "old_log_probs": old_log_probs, "advantages": advantages})
    clip = checks.above_zero("clip", clip)
    ratio = np.exp(new - old)
    plain, clipped = ratio * gain, np.clip(ratio, 1 - clip, 1 + clip) * gain
    return float(-np.minimum(plain, clipped).mean()), (-np.where(plain <= clipped, plain, 0) / plain.size).astype(dtype)


def a2c_loss(log_probs: npt.ArrayLike, advantages: npt.ArrayLike) -> tuple[float, Array]:
    """Return the loss of the advantage actor-critic, ``L = -mean(A log_prob)``, and its gradient.

    Parameters
    ----------
    log_probs : array (...)
        Of the actions that were taken, under the policy that learns.
    advantages : array (...)
        A.

    Returns
    -------
    loss : float
        L.
    dlog_probs : array (...)
        dL/dlog_probs, in the dtype of log_probs.

    Raises
    ------
    ValueError
        If a shape does not fit.
    TypeError
        If anything holds no real numbers.

    References
    ----------
    V. Mnih et al., "Asynchronous methods for deep reinforcement learning", ICML (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.rl import a2c_loss
    >>> a2c_loss(np.array([-1.0, -2.0]), [1.0, 0.5])
    (1.0, array([-0.5 , -0.25]))
    """
    (new, gain), dtype = _read({"log_probs": log_probs, "advantages": advantages})
    return float(-(gain * new).mean()), (-gain / gain.size).astype(dtype)


def value_loss(
    values: npt.ArrayLike,
    returns: npt.ArrayLike,
    old_values: npt.ArrayLike | None = None,
    *,
    clip: float | None = None,
) -> tuple[float, Array]:
    """Return the mean squared error of values and its gradient.

    ``L = mean (V - R)^2``; with ``clip``, ``L = mean max((V - R)^2, (U - R)^2)``, where U is V within ``clip`` of the
    old value.

    Parameters
    ----------
    values : array (...)
        V.
    returns : array (...)
        R.
    old_values : array (...), optional
        What the values were when the steps were taken; read with ``clip`` only.
    clip : float, optional
        How far from its old value a value may improve, above 0.

    Returns
    -------
    loss : float
        L.
    dvalues : array (...)
        dL/dvalues, in the dtype of values.

    Raises
    ------
    ValueError
        If a shape or a number does not fit, or there is no old value beside ``clip``.
    TypeError
        If anything holds no real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.rl import value_loss
    >>> value_loss(np.array([1.0, 3.0]), [0.0, 2.0])
    (1.0, array([1., 1.]))
    """
    (v, r), dtype = _read({"values": values, "returns": returns})
    error = v - r
    if clip is None:
        return float(np.square(error).mean()), (2 * error / v.size).astype(dtype)
    clip = checks.above_zero("clip", clip)
    if old_values is None:
        raise ValueError("old_values: an array is required beside clip, got None")
    old = shaped("old_values", checks.as_reals("old_values", old_values, FLOAT64), "of values", v.shape)
    bounded = old + np.clip(v - old, -clip, clip) - r
    chosen = np.square(error) >= np.square(bounded)
    inside = np.abs(v - old) < clip
    gradient = 2 * np.where(chosen, error, bounded * inside) / v.size
    return float(np.maximum(np.square(error), np.square(bounded)).mean()), gradient.astype(dtype)


def _read(given: dict[str, npt.ArrayLike]) -> tuple[list[Array], DType]:
    """Return arrays of the shape of the first one, as float64, and the dtype of its gradient."""
    name = next(iter(given))
    first = checks.as_array(name, given[name])
    arrays = [shaped(n, checks.as_reals(n, a, FLOAT64), f"of {name}", first.shape) for n, a in given.items()]
    if not first.size:
        raise ValueError(f"{name}: at least one step is required, got {first.shape}")
    return arrays, first.dtype if first.dtype == np.float32 else FLOAT64

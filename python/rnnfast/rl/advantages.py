"""How much better an action was than expected: generalised advantages and V-trace, of T steps of N environments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, Float64

FLOAT64 = np.dtype(np.float64)


def gae(
    rewards: npt.ArrayLike,
    values: npt.ArrayLike,
    dones: npt.ArrayLike,
    last_value: npt.ArrayLike,
    gamma: float = 0.99,
    lam: float = 0.95,
) -> tuple[Float64, Float64]:
    """Return generalised advantages and the returns that values should be.

    ``A(t) = d(t) + gamma lam A(t+1)`` with ``d(t) = r(t) + gamma V(t+1) - V(t)``, where V(t+1) and A(t+1) count as 0
    if an episode ends with step t; the returns are ``A + V``.

    Parameters
    ----------
    rewards : array (T, N)
        r, what each step of each environment gave.
    values : array (T, N)
        V, the value of each observation, estimated before its step.
    dones : bool (T, N)
        Whether an episode ended with the step.
    last_value : array (N,)
        V(T), the value of the observation after the last step; not read where the last step ended an episode.
    gamma : float
        Discount of a reward one step later, within [0, 1].
    lam : float
        Weight of longer returns, within [0, 1]: 0 looks one step ahead, 1 to the end.

    Returns
    -------
    advantages : float64 array (T, N)
    returns : float64 array (T, N)

    Raises
    ------
    ValueError
        If a shape or a number does not fit.
    TypeError
        If dones are not bool, or anything else holds no real numbers.

    References
    ----------
    J. Schulman et al., "High-dimensional continuous control using generalized advantage estimation", ICLR (2016).

    Examples
    --------
    >>> from rnnfast.rl import gae
    >>> advantages, returns = gae([[1.0], [1.0]], [[0.5], [0.5]], [[False], [True]], [9.0], gamma=0.5, lam=1.0)
    >>> advantages.tolist(), returns.tolist()
    ([[1.0], [0.5]], [[1.5], [1.0]])
    """
    r, (v,), ends, last = _read(rewards, {"values": values}, dones, last_value)
    gamma, lam = as_share("gamma", gamma), as_share("lam", lam)
    deltas = r + gamma * _after(v, last, ends) - v
    advantages = _discounted(deltas, np.where(ends, 0.0, gamma * lam))
    return advantages, advantages + v


def v_trace(
    log_probs: npt.ArrayLike,
    behaviour_log_probs: npt.ArrayLike,
    rewards: npt.ArrayLike,
    values: npt.ArrayLike,
    dones: npt.ArrayLike,
    last_value: npt.ArrayLike,
    gamma: float = 0.99,
    *,
    lam: float = 1.0,
    clip_rho: float = 1.0,
    clip_c: float = 1.0,
) -> tuple[Float64, Float64]:
    """Return the targets of values, and the advantages, of steps that another policy took.

    With the ratio ``w(t) = exp(log_prob(t) - behaviour_log_prob(t))``, ``rho = min(clip_rho, w)`` and
    ``c = lam min(clip_c, w)``::

        v(t) = V(t) + rho(t) (r(t) + gamma V(t+1) - V(t)) + gamma c(t) (v(t+1) - V(t+1))
        A(t) = rho(t) (r(t) + gamma v(t+1) - V(t))

    where V(t+1) and v(t+1) count as 0 if an episode ends with step t.

    Parameters
    ----------
    log_probs : array (T, N)
        Logarithm of the probability of each action under the policy that learns.
    behaviour_log_probs : array (T, N)
        That under the policy that acted.
    rewards : array (T, N)
        r, what each step of each environment gave.
    values : array (T, N)
        V, the value of each observation, estimated before its step.
    dones : bool (T, N)
        Whether an episode ended with the step.
    last_value : array (N,)
        V(T), the value of the observation after the last step; not read where the last step ended an episode.
    gamma : float
        Discount of a reward one step later, within [0, 1].
    lam : float
        Weight of longer returns, within [0, 1].
    clip_rho : float
        Largest rho, above 0; which policy's values the targets are. Infinity does not clip.
    clip_c : float
        Largest c, above 0; how far later steps reach back. Infinity does not clip.

    Returns
    -------
    targets : float64 array (T, N)
        v.
    advantages : float64 array (T, N)
        A, the factor of the gradient of log_prob.

    Raises
    ------
    ValueError
        If a shape or a number does not fit.
    TypeError
        If dones are not bool, or anything else holds no real numbers.

    References
    ----------
    L. Espeholt et al., "IMPALA: scalable distributed deep-RL with importance weighted actor-learner architectures",
    ICML (2018).

    Examples
    --------
    >>> from rnnfast.rl import v_trace
    >>> targets, advantages = v_trace([[0.0]], [[0.0]], [[1.0]], [[0.5]], [[False]], [2.0], gamma=0.5)
    >>> targets.tolist(), advantages.tolist()
    ([[2.0]], [[1.5]])
    """
    more = {"values": values, "log_probs": log_probs, "behaviour_log_probs": behaviour_log_probs}
    r, (v, new, old), ends, last = _read(rewards, more, dones, last_value)
    gamma, lam = as_share("gamma", gamma), as_share("lam", lam)
    clip_rho, clip_c = checks.above_zero("clip_rho", clip_rho), checks.above_zero("clip_c", clip_c)
    ratio = np.exp(new - old)
    rho, c = np.minimum(clip_rho, ratio), lam * np.minimum(clip_c, ratio)
    deltas = rho * (r + gamma * _after(v, last, ends) - v)
    targets = v + _discounted(deltas, np.where(ends, 0.0, gamma * c))
    return targets, rho * (r + gamma * _after(targets, last, ends) - v)


def _after(values: Array, last: Array, ends: Array) -> Array:
    """Return the values one step later, 0 where an episode ends."""
    return np.where(ends, 0.0, np.concatenate([values[1:], last[None]]))


def _discounted(x: Array, factors: Array) -> Array:
    """Return ``y(t) = x(t) + factor(t) y(t+1)``."""
    y = x.copy()
    for t in range(len(x) - 2, -1, -1):
        y[t] += factors[t] * y[t + 1]
    return y


def as_share(name: str, value: float) -> float:
    """Return a number within [0, 1] as a float."""
    return checks.as_number(name, value, "a number within [0, 1]", lambda v: 0 <= v <= 1)


def _read(
    rewards: npt.ArrayLike, more: dict[str, npt.ArrayLike], dones: npt.ArrayLike, last_value: npt.ArrayLike
) -> tuple[Array, list[Array], Array, Array]:
    """Return rewards, what else is (T, N), dones and the last values (N,), as float64 and bool."""
    r = checks.as_reals("rewards", rewards, FLOAT64)
    if r.ndim != 2 or not len(r):
        raise ValueError(f"rewards: shape (T, N) with T > 0 is required, got {r.shape}")
    others = [shaped(name, checks.as_reals(name, array, FLOAT64), "(T, N)", r.shape) for name, array in more.items()]
    last = shaped("last_value", checks.as_reals("last_value", last_value, FLOAT64), "(N,)", r.shape[1:])
    return r, others, as_flags("dones", dones, "(T, N)", r.shape), last


def shaped(name: str, array: Array, letters: str, shape: tuple[int, ...]) -> Array:
    """Return the array; ValueError where it has another shape."""
    if array.shape != shape:
        raise ValueError(f"{name}: shape {letters} = {shape} is required, got {array.shape}")
    return array


def as_flags(name: str, value: npt.ArrayLike, letters: str, shape: tuple[int, ...]) -> Array:
    """Return bools of a shape; TypeError for another dtype."""
    array = checks.as_array(name, value)
    if array.dtype != bool:
        raise TypeError(f"{name}: dtype bool is required, got {array.dtype}")
    return shaped(name, array, letters, shape)

"""Fixed points of a layer: states that a step leaves as they are, and how the states around them move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.analysis.steps import StepMap, finite
from rnnfast.arrays import Array
from rnnfast.copies import CopiedWhole
from rnnfast.layers import StateLike

DAMPING = (1e-12, 1e-2, 1e12)  # least, first and largest, in units of the Jacobian's squared entries


@dataclass(frozen=True, eq=False)
class FixedPoints(CopiedWhole):
    """States with ``F(s; x) = s``, as ``fixed_points`` returns them, the most exact first.

    Attributes
    ----------
    states : float64 array (P, S)
        The points: h of all layers, then for an LSTM c of all layers.
    errors : float64 array (P,)
        The largest element of ``|F(s; x) - s|``.
    jacobians : float64 array (P, S, S)
        dF/ds at each point.
    eigenvalues : complex128 array (P, S)
        Those of the Jacobians, the largest modulus first.
    x : float64 array (C,)
        The constant input.

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer = rf.RNN(1, 1, dtype="float64")
    >>> for p, value in zip(layer.parameters().values(), (0, 2, 0, 0)):
    ...     p[...] = value
    >>> found = fixed_points(layer, starts=20, seed=0)  # h = tanh(2 h)
    >>> sorted(abs(found.states[:, 0]).round(3).tolist()), len(found), int(found.stable.sum())
    ([0.0, 0.958, 0.958], 3, 2)
    """

    states: Array
    errors: Array
    jacobians: Array
    eigenvalues: Array
    x: Array

    def __len__(self) -> int:
        """Return the number P of points."""
        return len(self.states)

    @property
    def stable(self) -> Array:
        """Whether states near each point approach it, bool (P,): all moduli of its eigenvalues are below 1."""
        return np.asarray(np.abs(self.eigenvalues).max(axis=1, initial=0) < 1)


def fixed_points(
    layer: Any,
    x: npt.ArrayLike | None = None,
    *,
    starts: int | StateLike = 64,
    tolerance: float = 1e-10,
    distance: float = 1e-4,
    max_steps: int = 500,
    seed: int | None = None,
) -> FixedPoints:
    """Find fixed points ``F(s; x) = s`` of a layer's step under a constant input.

    From every start, ``|F(s; x) - s|^2`` is minimised by Newton steps with the exact Jacobian J of F, which are damped
    (Levenberg 1944; Marquardt 1963): ``(A'A + m I) d = -A'(F(s; x) - s)`` with ``A = J - I``, where m shrinks
    after a step that helps and grows after one that does not. It finds unstable points as well as stable ones.

    Parameters
    ----------
    layer : RNN, LSTM, GRU or CustomLayer
        In one direction, of any dtype; s is its whole state.
    x : array (C,) or None
        The input, the same at every step; zeros by default.
    starts : int, array (L, M, H), or tuple (h, c) of two for an LSTM
        States to start from, best some that the network visits; or the number of states to draw from U(-1, 1).
    tolerance : float
        The largest element of ``|F(s; x) - s|`` of a point. A large one keeps slow points, too: those that a state
        passes by slowly (Sussillo and Barak 2013).
    distance : float
        Points whose Euclidean distance is at most this are one point.
    max_steps : int
        Most steps from a start. Starts that have not arrived then are dropped.
    seed : int or None
        Seed of the states that are drawn. None draws other ones every time.

    Returns
    -------
    FixedPoints
        Without any point where no start arrived.

    Raises
    ------
    ValueError
        If the layer has two directions, or a shape or a number does not fit.
    TypeError
        If the layer is none, or an argument has another type.

    References
    ----------
    D. Sussillo, O. Barak, "Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural
    networks", Neural Computation 25 (2013).

    Examples
    --------
    >>> import rnnfast as rf
    >>> found = fixed_points(rf.GRU(2, 8, seed=0), starts=10, seed=0)
    >>> found.states.shape, found.stable.tolist()
    ((1, 8), [True])
    """
    step = StepMap(layer)
    tolerance, distance = checks.above_zero("tolerance", tolerance), checks.at_least_zero("distance", distance)
    max_steps, rng = checks.as_integer("max_steps", max_steps, least=0), np.random.default_rng(checks.as_seed(seed))
    if isinstance(starts, tuple | list) or checks.is_array(starts):
        first = step.stacked("starts", starts, None)
    else:
        first = rng.uniform(-1, 1, (checks.as_size("starts", starts), step.size))
    given = np.zeros(layer.input_size) if x is None else finite("x", checks.as_array("x", x))
    if given.shape != (layer.input_size,):
        raise ValueError(f"x: shape (C,) with C = {layer.input_size} is required, got {given.shape}")
    with np.errstate(over="ignore", invalid="ignore"):  # a start that runs away is dropped
        s, errors = _minimise(step, first, given, tolerance, max_steps)
    order = np.argsort(errors, kind="stable")
    kept = _apart(s, order[errors[order] <= tolerance], distance)
    J = step.jacobian(s[kept], np.tile(given, (len(kept), 1)))
    eigenvalues = np.linalg.eigvals(J).astype(np.complex128)
    eigenvalues = np.take_along_axis(eigenvalues, np.argsort(-np.abs(eigenvalues), axis=1, kind="stable"), axis=1)
    return FixedPoints(states=s[kept], errors=errors[kept], jacobians=J, eigenvalues=eigenvalues, x=given)


def _minimise(step: StepMap, first: Array, x: Array, tolerance: float, max_steps: int) -> tuple[Array, Array]:
    """Return where the steps from each start end (M, S), and the largest element of |F - s| there (M,)."""
    least, start, most = DAMPING
    s, inputs = first.copy(), np.tile(x, (len(first), 1))
    r = step(s, inputs) - s
    m, unit = np.full(len(s), start), np.eye(step.size)
    for _ in range(max_steps):
        active = np.flatnonzero((np.abs(r).max(axis=1) > tolerance) & (m < most))
        if not len(active):
            break
        A = step.jacobian(s[active], inputs[active]) - unit
        scale = np.einsum("mij,mij->m", A, A) / step.size
        normal = A.transpose(0, 2, 1) @ A + (m[active] * scale + np.finfo(float).tiny)[:, None, None] * unit
        new = s[active] - np.linalg.solve(normal, np.einsum("mij,mi->mj", A, r[active])[..., None])[..., 0]
        residual = step(new, inputs[active]) - new
        better = np.square(residual).sum(axis=1) < np.square(r[active]).sum(axis=1)
        s[active[better]], r[active[better]] = new[better], residual[better]
        m[active] = np.where(better, np.maximum(m[active] / 10, least), m[active] * 10)
    return s, np.abs(r).max(axis=1)


def _apart(s: Array, order: Array, distance: float) -> Array:
    """Return those of the points ``order`` that no earlier one is near."""
    kept: list[int] = []
    for index in order:
        if not kept or np.linalg.norm(s[kept] - s[index], axis=1).min() > distance:
            kept.append(int(index))
    return np.array(kept, np.int64)

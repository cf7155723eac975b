"""Phase portraits: the paths of states, the fixed points that organise them, and the flow between."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.plot.axes import above, axes_of, index_of, numbers

GRID = 17  # arrows along an axis


def phase_portrait(
    states: npt.ArrayLike,
    fixed_points: Any = None,
    *,
    units: tuple[int, int] | None = None,
    layer: Any = None,
    ax: Any = None,
) -> Any:
    """Draw the paths of states in a plane, with fixed points: full circles are stable, empty ones unstable.

    Parameters
    ----------
    states : array (N, T, S)
        N paths of T steps, such as ``trace.h[-1]``. A dot marks where each begins.
    fixed_points : FixedPoints or None
        From ``rnnfast.analysis.fixed_points``, of states with the same S numbers.
    units : two ints or None
        The plane: two of the S numbers. None takes both of two numbers, and of more the first two principal components
        of the states.
    layer : RNN or GRU, or None
        A layer whose states are S = 2 numbers: arrows show where a step leads from every place, under the input of the
        fixed points, or zeros without.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If a shape does not fit, or a unit does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> from rnnfast.analysis import fixed_points
    >>> layer = rf.RNN(1, 2, seed=0)
    >>> x = np.zeros((5, 20, 1), np.float32)
    >>> trace = layer.trace(x, np.random.default_rng(0).uniform(-1, 1, (1, 5, 2)).astype(np.float32))
    >>> axes = phase_portrait(trace.h[-1], fixed_points(layer, seed=0), layer=layer)
    >>> axes.get_xlabel(), len(axes.lines)
    ('unit 0', 6)
    """
    paths = numbers("states", states, "N", "T", "S")
    S = paths.shape[2]
    if S < 2:
        raise ValueError(f"states: S of at least 2 is required, got {S}")
    points, stable = _points(fixed_points, S)
    centre, plane, names = _plane(paths, units)
    if layer is not None and (S != 2 or getattr(layer, "hidden_size", 0) != 2 or getattr(layer, "num_layers", 0) != 1):
        raise ValueError(f"layer: one whose state is 2 numbers, as S, is required, got {checks.shown(layer)}, S = {S}")
    ax = axes_of(ax)
    for path in (paths - centre) @ plane:
        ax.plot(*path.T, color="#0072B2", alpha=0.7, linewidth=0.8, marker="o", markersize=4, markevery=[0])
    flat = (points - centre) @ plane
    for chosen, face, name in ((stable, "#D55E00", "stable"), (~stable, "white", "unstable")):
        if chosen.any():
            ring = {"markerfacecolor": face, "markeredgecolor": "#000000", "markersize": 8, "zorder": 3}
            ax.plot(*flat[chosen].T, linestyle="none", marker="o", label=f"{name} fixed point", **ring)
    if layer is not None:
        _flow(ax, layer, getattr(fixed_points, "x", None), plane)
    ax.set(xlabel=names[0], ylabel=names[1])
    if len(points):
        above(ax)
    return ax


def _points(found: Any, S: int) -> tuple[Array, Array]:
    """Return the points (P, S), and whether each is stable."""
    if found is None:
        return np.zeros((0, S)), np.zeros(0, bool)
    states = getattr(found, "states", None)
    if states is None:
        raise TypeError(f"fixed_points: FixedPoints or None are required, got {checks.shown(found)}")
    if states.shape[1] != S:
        raise ValueError(f"fixed_points: states of S = {S} numbers are required, got {states.shape[1]}")
    return states, found.stable


def _plane(paths: Array, units: Any) -> tuple[Array, Array, tuple[str, str]]:
    """Return the origin (S,), the directions (S, 2) and the names of both axes."""
    S = paths.shape[2]
    if units is None and S > 2:
        rows = paths.reshape(-1, S)
        centre = rows.mean(axis=0)
        _, spread, directions = np.linalg.svd(rows - centre, full_matrices=False)
        shares = 100 * spread**2 / max(float((spread**2).sum()), np.finfo(float).tiny)
        first, second = (f"principal component {i + 1} ({shares[i]:.0f} % of variance)" for i in range(2))
        return centre, directions[:2].T, (first, second)
    given = (0, 1) if units is None else tuple(checks.as_items("units", units))
    if len(given) != 2:
        raise ValueError(f"units: two are required, got {len(given)}")
    a, b = (index_of("units", each, S) for each in given)
    return np.zeros(S), np.eye(S)[:, [a, b]], (f"unit {a}", f"unit {b}")


def _flow(ax: Any, layer: Any, x: Any, plane: Array) -> None:
    """Draw arrows from states to those after one step, all of one scale."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    across, up = np.linspace(left, right, GRID), np.linspace(bottom, top, GRID)
    places = np.stack(np.meshgrid(across, up), axis=2).reshape(-1, 2)
    h = (places @ plane.T).astype(layer.dtype)
    inputs = np.zeros(layer.input_size) if x is None else x
    steps = np.broadcast_to(inputs, (len(h), layer.input_size)).astype(layer.dtype)
    after = layer(steps[None] if layer.time_major else steps[:, None], h[None])[1][0]
    move = (after - h).astype(np.float64) @ plane
    ax.quiver(*places.T, *move.T, angles="xy", color="#8C8C8C", width=0.002, zorder=0)

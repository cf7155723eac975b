"""Gradients against central differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.optim import Params, named_params
from rnnfast.params import Parameter

# A central difference of step e has an error of order e^2 from the third derivative and of order eps / e from rounding:
# least in sum where e is the cube root of eps.
EPSILON = float(np.finfo(np.float64).eps ** (1 / 3))
NEGLIGIBLE = 1e-3  # a gradient below this share of the scale is compared in units of it


@dataclass(frozen=True)
class GradientReport:
    """The element of all compared ones whose gradient differs most.

    Attributes
    ----------
    error : float
        ``|gradient - difference| / max(|gradient|, |difference|, scale / 1000)``.
    name : str
        Name of its parameter.
    index : tuple of int
        Its place in the parameter.
    gradient : float
        What the function added to the parameter's ``grad`` there.
    difference : float
        The central difference of the loss.
    compared : int
        Number of elements compared, of all parameters.
    """

    error: float
    name: str
    index: tuple[int, ...]
    gradient: float
    difference: float
    compared: int


def check_gradient(
    f: Callable[[], float],
    params: Params,
    *,
    epsilon: float | None = None,
    tolerance: float = 1e-6,
    samples: int | None = 20,
    seed: int | None = 0,
) -> GradientReport:
    """Compare the gradient that ``f`` adds to its parameters with central differences of the loss that it returns.

    For an element v of a parameter: ``dL/dv = (L(v + e) - L(v - e)) / 2 e`` with ``e = epsilon max(1, |v|)``. The error
    of a gradient g against the difference d is ``|g - d| / max(|g|, |d|, scale / 1000)``. The scale is the largest
    magnitude among the loss and all compared gradients: where a gradient is much smaller, rounding of the loss decides
    the difference.

    Parameters
    ----------
    f : function
        Takes nothing, returns the loss and adds its gradient to the parameters' ``grad``. The loss must be the same
        from call to call: no dropout, or dropout of a fixed mask (``set_random_state`` at the begin of ``f``, with what
        ``random_state()`` returned before).
    params : dict or iterable of Parameter
        Parameters of dtype float64. Without a dict their names are "0", "1", ... Their values are changed and put
        back; afterwards each ``grad`` holds the gradient of one call of ``f``.
    epsilon : float, optional
        Step of the differences relative to the element, within (0, 1); by default the cube root of the dtype's
        rounding unit, 6e-6.
    tolerance : float
        Largest error accepted, within (0, 1).
    samples : int or None
        Elements compared in each parameter, chosen at random; None compares all. Each takes two calls of ``f``. An
        element that ``Parameter.constrain`` keeps from moving both ways is left out.
    seed : int or None
        Source of the choice; None makes another one every time.

    Returns
    -------
    GradientReport
        The element with the largest error: ``error``, ``name``, ``index``, ``gradient``, ``difference``; and
        ``compared``, the number of elements.

    Raises
    ------
    AssertionError
        If the largest error exceeds the tolerance, with the element's name and index and both numbers.
    ValueError
        If the loss is not finite or differs between two calls, or no element can be compared.
    TypeError
        If a parameter is not float64, or ``f`` does not return a number.

    Examples
    --------
    The gradient of half the squared output of a layer is the output itself:

    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer, x = rf.GRU(3, 4, dtype="float64", seed=0), np.ones((2, 5, 3))
    >>> def f():
    ...     y, _, tape = layer.forward(x)
    ...     layer.backward(tape, y)
    ...     return (y**2).sum() / 2
    >>> rf.check_gradient(f, layer.parameters()).error < 1e-6
    True
    """
    if not callable(f):
        raise TypeError(f"f: a function without arguments is required, got {checks.shown(f)}")
    named = _doubles(params)
    step = EPSILON if epsilon is None else _fraction("epsilon", epsilon)
    tolerance = _fraction("tolerance", tolerance)
    most = None if samples is None else checks.as_size("samples", samples)
    rng = np.random.default_rng(checks.as_seed(seed))
    loss, gradients = _gradients(f, named)
    found = []
    for name, p in named.items():
        for index in _chosen(p, most, rng):
            d = _difference(f, p, index, step)
            if d is not None:
                found.append((name, index, float(gradients[name][index]), d))
    for name, p in named.items():
        p.grad = gradients[name]
    report = _largest(loss, found)
    if not report.error <= tolerance:
        place = f"{report.name}[{', '.join(map(str, report.index))}]"
        wanted = f"the gradient by central differences = {report.difference:.9g} is required"
        raise AssertionError(f"{place}: {wanted}, got {report.gradient:.9g} (relative error {report.error:.2g})")
    return report


def _doubles(params: Params) -> dict[str, Parameter]:
    named = named_params(params)
    for name, p in named.items():
        if p.dtype != np.float64:
            raise TypeError(f"params[{name!r}]: dtype float64 is required, whose differences are exact, got {p.dtype}")
    return named


def _fraction(name: str, value: float) -> float:
    return checks.as_number(name, value, "a number within (0, 1)", lambda v: 0 < v < 1)


def _loss(f: Callable[[], float]) -> float:
    return checks.as_number("f", f(), "a function that returns a finite number")


def _gradients(f: Callable[[], float], named: dict[str, Parameter]) -> tuple[float, dict[str, Array]]:
    """Return the loss, and the gradients that one call adds."""
    for p in named.values():
        p.grad[...] = 0
    loss = _loss(f)
    gradients = {name: p.grad.copy() for name, p in named.items()}
    again = _loss(f)
    if again != loss:
        raise ValueError(f"f: the same loss from every call is required, got {loss:.17g} and {again:.17g}")
    return loss, gradients


def _chosen(p: Parameter, most: int | None, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return the indices of at most ``most`` elements."""
    size = p.value.size
    flat = range(size) if most is None or most >= size else sorted(rng.choice(size, most, replace=False))
    return [tuple(map(int, np.unravel_index(i, p.shape))) for i in flat]


def _difference(f: Callable[[], float], p: Parameter, index: tuple[int, ...], epsilon: float) -> float | None:
    """Return the central difference of the loss at an element; None where its bounds leave no room."""
    before = float(p.value[index])
    losses, places = [], []
    try:
        for sign in (1, -1):
            p[index] = before + sign * epsilon * max(1.0, abs(before))
            places.append(float(p.value[index]))
            losses.append(_loss(f))
    finally:
        p[index] = before
    above, below = places
    return (losses[0] - losses[1]) / (above - below) if above > before > below else None


def _largest(loss: float, found: list[tuple[str, tuple[int, ...], float, float]]) -> GradientReport:
    """Return the largest error among (name, index, gradient, difference); one that is not a number is the largest."""
    if not found:
        raise ValueError("params: at least one element that can move both ways is required, got none")
    scale = max(abs(loss), *(max(abs(g), abs(d)) for _, _, g, d in found if math.isfinite(g)), 0.0)
    reports = []
    for name, index, g, d in found:
        unit = max(abs(g), abs(d), NEGLIGIBLE * scale)
        error = abs(g - d) / unit if unit else 0.0
        reports.append(GradientReport(error, name, index, g, d, len(found)))
    return max(reports, key=lambda r: math.inf if math.isnan(r.error) else r.error)

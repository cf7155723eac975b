"""Initial values of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rnnfast.arrays import Array
from rnnfast.outline import count_layer, outlined

_DRAWN_AT_ONCE = 1 << 16  # numbers in float64, which bounds the memory that drawing takes beside the array


def uniform(shape: tuple[int, ...], bound: float, *, rng: np.random.Generator, dtype: npt.DTypeLike) -> Array:
    """Draw from U(-bound, bound).

    The numbers are drawn in float64 and rounded, so that float32 and float64 models with one seed start alike.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    bound : float
        Largest magnitude.
    rng : numpy.random.Generator
        Source of the numbers.
    dtype : dtype
        Type of the result.

    Returns
    -------
    ndarray
        The values.

    Examples
    --------
    >>> w = uniform((2, 3), 0.5, rng=np.random.default_rng(0), dtype="float32")
    >>> w.shape, bool(abs(w).max() <= 0.5)
    ((2, 3), True)
    """
    return _drawn(shape, dtype, lambda count: rng.uniform(-bound, bound, size=count))


def normal(shape: tuple[int, ...], *, rng: np.random.Generator, dtype: npt.DTypeLike) -> Array:
    """Draw from N(0, 1).

    The numbers are drawn in float64 and rounded, so that float32 and float64 models with one seed start alike.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    rng : numpy.random.Generator
        Source of the numbers.
    dtype : dtype
        Type of the result.

    Returns
    -------
    ndarray
        The values.

    Examples
    --------
    >>> normal((2, 3), rng=np.random.default_rng(0), dtype="float32").shape
    (2, 3)
    """
    return _drawn(shape, dtype, rng.standard_normal)


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return zeros of a shape and dtype, or their outline where modules are built as outlines.

    Examples
    --------
    >>> zeros((2,), "float32")
    array([0., 0.], dtype=float32)
    """
    outline = outlined(shape, dtype)
    return np.zeros(shape, dtype) if outline is None else outline


def _drawn(shape: tuple[int, ...], dtype: npt.DTypeLike, draw: Callable[[int], npt.NDArray[np.float64]]) -> Array:
    """Return an array filled by calls of ``draw(count)``, which returns ``count`` numbers."""
    outline = outlined(shape, dtype)
    if outline is not None:
        return outline
    values = np.empty(shape, dtype)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _DRAWN_AT_ONCE):
        part = flat[start : start + _DRAWN_AT_ONCE]
        part[...] = draw(part.size)
    return values


def stack_shapes(
    gates: int,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    *,
    bias: bool,
    directions: int = 1,
    peepholes: int = 0,
    projection: int = 0,
    norms: Sequence[str] = (),
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a stack's parameters under PyTorch's names, in PyTorch's order.

    Parameters
    ----------
    gates, input_size, hidden_size, num_layers : int
        G, C, H and L.
    bias : bool
        Whether there are biases.
    directions : int
        D, 1 or 2.
    peepholes : int
        Number of gates with a peephole.
    projection : int
        P, the size of a projected h; 0 for none.
    norms : sequence of str
        What is normalised, among "ih", "hh" and "c". Each has a gamma; "c" has a beta too where there are biases.

    Returns
    -------
    dict of str to tuple of int

    Examples
    --------
    >>> stack_shapes(4, 3, 5, 1, bias=False)
    {'weight_ih_l0': (20, 3), 'weight_hh_l0': (20, 5)}
    """
    rows, outputs = gates * hidden_size, projection or hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    for index in range(num_layers * directions):
        count_layer()
        suffix = stack_suffix(index, directions)
        shapes[f"weight_ih{suffix}"] = (rows, input_size if index < directions else directions * outputs)
        shapes[f"weight_hh{suffix}"] = (rows, outputs)
        if bias:
            shapes[f"bias_ih{suffix}"] = shapes[f"bias_hh{suffix}"] = (rows,)
        if peepholes:
            shapes[f"weight_ph{suffix}"] = (peepholes, hidden_size)
        if projection:
            shapes[f"weight_hr{suffix}"] = (projection, hidden_size)
        shapes |= {f"gamma_{what}{suffix}": (hidden_size if what == "c" else rows,) for what in norms}
        if bias and "c" in norms:
            shapes[f"beta_c{suffix}"] = (hidden_size,)
    return shapes


def first_values(
    shapes: Mapping[str, tuple[int, ...]],
    bound: float,
    *,
    rng: np.random.Generator,
    dtype: npt.DTypeLike,
    normed: bool = False,
) -> dict[str, Array]:
    """Return the initial values of a stack's parameters, by name.

    They are drawn from U(-bound, bound); in a normalised stack (``normed``) gammas are 1, betas and biases are 0.

    Examples
    --------
    >>> shapes = {"weight_ih_l0": (1, 1), "bias_ih_l0": (1,), "gamma_ih_l0": (1,)}
    >>> values = first_values(shapes, 0.5, rng=np.random.default_rng(0), dtype="float32", normed=True)
    >>> values["bias_ih_l0"], values["gamma_ih_l0"]
    (array([0.], dtype=float32), array([1.], dtype=float32))
    """
    constants = {"gamma": 1, "beta": 0, "bias": 0} if normed else {}
    values = {}
    for name, shape in shapes.items():
        values[name] = uniform(shape, bound, rng=rng, dtype=dtype)
        constant = constants.get(name.split("_")[0])
        if constant is not None:
            values[name][...] = constant
    return values


def stack_suffix(index: int, directions: int) -> str:
    """Return the end of PyTorch's parameter names for ``index = layer * directions + direction``.

    Examples
    --------
    >>> [stack_suffix(index, 2) for index in range(3)]
    ['_l0', '_l0_reverse', '_l1']
    """
    layer, direction = divmod(index, directions)
    return f"_l{layer}" + ("_reverse" if direction else "")

"""First values of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.outline import count_layer, outlined

_DRAWN_AT_ONCE = 1 << 16  # numbers in float64: what a large array of float32 costs beside itself


def uniform(
    shape: tuple[int, ...], bound: float, *, rng: np.random.Generator, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Draw from U(-bound, bound).

    Drawn in float64 and rounded, so that float32 and float64 models of one seed start alike.

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


def normal(shape: tuple[int, ...], *, rng: np.random.Generator, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Draw from N(0, 1), likewise.

    Examples
    --------
    >>> normal((2, 3), rng=np.random.default_rng(0), dtype="float32").shape
    (2, 3)
    """
    return _drawn(shape, dtype, rng.standard_normal)


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return zeros.

    Examples
    --------
    >>> zeros((2,), "float32")
    array([0., 0.], dtype=float32)
    """
    outline = outlined(shape, dtype)
    return np.zeros(shape, dtype) if outline is None else outline


def _drawn(
    shape: tuple[int, ...], dtype: npt.DTypeLike, draw: Callable[[int], npt.NDArray[np.float64]]
) -> npt.NDArray[Any]:
    """Return an array filled with ``draw(count)``, as many numbers at a time as are needed."""
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

    ``norms``: what is normalised, of "ih", "hh" and "c"; it has a gain, and c, where there are biases, one of its own.

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
) -> dict[str, npt.NDArray[Any]]:
    """Return the first values of a stack's parameters: drawn; of a normalised one gammas are 1, betas and biases 0.

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
    """Return how PyTorch's names end for ``index = layer * directions + direction``.

    Examples
    --------
    >>> [stack_suffix(index, 2) for index in range(3)]
    ['_l0', '_l0_reverse', '_l1']
    """
    layer, direction = divmod(index, directions)
    return f"_l{layer}" + ("_reverse" if direction else "")

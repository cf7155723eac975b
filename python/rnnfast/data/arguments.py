"""Arguments that accompany sequences: values of their steps, weights, pieces in time, contexts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.data.sequences import Array, DType, Sequences, array_or_items, check_finite_rows


def step_count(x: Any, inputs: Sequences) -> int:
    """Return T of an array ``x``, or the longest sequence's of a list; ``inputs`` is what became of ``x``."""
    array = array_or_items("x", x)
    return array.shape[1] if isinstance(array, np.ndarray) else int(inputs.lengths.max(initial=0))


def step_values(values: Any, inputs: Sequences, steps: int, *, width: int | None, name: str) -> Array:
    """Return the values of all existing steps, sequence after sequence, in the dtype they have.

    Parameters
    ----------
    values : array (N, T) or (N, T, K), or a list of N arrays (T_n,) or (T_n, K)
        Of an array nothing past a sequence's length is read; a list has the sequences' own lengths.
    inputs : Sequences
        The N sequences.
    steps : int
        T of an array.
    width : int or None
        Numbers K of a step; None for values without an axis of their own. For K = 1 the axis may be left out.
    name : str
        Of the values, for messages.

    Returns
    -------
    ndarray (M,) or (M, K), M = sum of lengths

    Raises
    ------
    ValueError
        Another shape, another number of sequences, another length.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.data import as_id_sequences
    >>> s = as_id_sequences([[3, 1, 4], [1]], 6)
    >>> step_values(np.array([[7, 8, 9], [5, -1, -1]]), s, 3, width=None, name="y").tolist()
    [7, 8, 9, 5]
    >>> step_values([[7, 8, 9], [5]], s, 3, width=None, name="y").tolist()
    [7, 8, 9, 5]
    """
    values = array_or_items(name, values)
    if isinstance(values, np.ndarray):
        whole = _fitted(values, (len(inputs), steps), width, name)
        return whole[np.arange(steps) < inputs.lengths[:, None]]
    if len(values) != len(inputs):
        raise ValueError(f"{name}: an entry for every sequence is required (N = {len(inputs)}), got {len(values)}")
    items = [
        _fitted(checks.as_array(f"{name}[{n}]", item), (int(length),), width, f"{name}[{n}]")
        for n, (item, length) in enumerate(zip(values, inputs.lengths, strict=True))
    ]
    filled = [item for item in items if len(item)]
    return np.concatenate(filled) if filled else np.zeros((0,) if width is None else (0, width))


def _fitted(values: Array, steps: tuple[int, ...], width: int | None, name: str) -> Array:
    """Return values of shape ``(*steps, width)`` after checking that they have it, but for what may be left out."""
    shape = steps if width is None else (*steps, width)
    if values.shape == shape:
        return values
    if width == 1 and values.shape == steps:
        return values[..., None]
    if values.shape == (0,) and steps[0] == 0:
        return values.reshape(shape)
    axes = ("(T" if len(steps) == 1 else "(N, T") + (")" if width is None else ", K)")
    raise ValueError(f"{name}: a value for every step is required, shape {axes} = {shape}, got {values.shape}")


def as_one(x: Any, features: int | None, name: str = "x") -> Array | None:
    """Return ``x``, called ``name``, as an array when it is a single sequence, None when it holds many.

    A single sequence of ids (``features`` None) is 1-D; of vectors (T, C), and for C = 1 also 1-D.

    Examples
    --------
    >>> as_one([3, 1, 4], None)
    array([3, 1, 4])
    >>> as_one([[3, 1, 4], [1, 5]], None) is None
    True
    """
    if not hasattr(x, "__array__"):
        x = list(x) if np.iterable(x) else [x]
        if not x or np.ndim(x[0]) > 0:
            return None
    array = checks.as_array(name, x)
    if array.dtype == object:
        return None
    if array.ndim <= 1:
        one = np.atleast_1d(array)
        return one if features is None else one[:, None] if features == 1 else None
    if features is not None and array.ndim == 2 and array.shape[1] == features:
        return array
    return None


def as_streams(one: Sequences, count: int, name: str) -> Sequences:
    """Cut a single long sequence into ``count`` streams that cover it side by side.

    Neighbours share one element: the last one's target is the next one's first input.

    Examples
    --------
    >>> import numpy as np
    >>> one = Sequences(np.arange(8), np.array([0]), np.array([8]), ragged=False)
    >>> s = as_streams(one, 3, "x")
    >>> [s.select(np.array([n])).flat().tolist() for n in range(3)]
    [[0, 1, 2, 3], [3, 4, 5], [5, 6, 7]]
    """
    steps = int(one.lengths[0]) - 1
    if steps < count:
        raise ValueError(
            f"{name}: at least batch_size + 1 = {count + 1} elements are required to cut it into streams, "
            f"got {steps + 1}"
        )
    lengths = np.full(count, steps // count, np.int64)
    lengths[: steps % count] += 1
    return Sequences(one.values, np.cumsum(lengths) - lengths, lengths + 1, ragged=False)


def as_weights(weights: npt.ArrayLike | None, count: int, dtype: DType) -> Array | None:
    """Return sample weights (N,) in the model's dtype after checking them."""
    if weights is None:
        return None
    values = checks.as_reals("sample_weight", weights, dtype)
    if values.shape != (count,):
        raise ValueError(f"sample_weight: shape (N,) = ({count},) is required, got {values.shape}")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        place = f"{values[wrong[0]]} at index {wrong[0]}"
        raise ValueError(f"sample_weight: finite numbers >= 0 are required, got {place}")
    return values


def as_step_weights(weights: Any, inputs: Sequences, steps: int, dtype: DType) -> Array | Sequences | None:
    """Return weights of the sequences (N,), or of all their steps; ``steps`` is T of an array."""
    if weights is None or as_one(weights, None, "sample_weight") is not None:
        return as_weights(weights, len(inputs), dtype)
    each = step_values(weights, inputs, steps, width=None, name="sample_weight")
    checked = as_weights(each, len(each), dtype)
    return None if checked is None else inputs.like(checked)


def as_pieces(tbptt: Any, burn_in: Any, *, bidirectional: bool) -> tuple[int | None, int]:
    """Return the steps of a piece, None for whole sequences, and the first steps without a loss, checked."""
    steps = None if tbptt is None else checks.as_size("tbptt", tbptt)
    if steps is not None and bidirectional:
        raise ValueError(
            f"tbptt: None is required for a bidirectional model, which reads from the end too; got {tbptt}"
        )
    return steps, checks.as_integer("burn_in", burn_in, least=0)


def as_resets(resets: Any, inputs: Sequences, steps: int) -> Sequences | None:
    """Return resets of all existing steps; ``steps`` is T of an array."""
    if resets is None:
        return None
    each = step_values(resets, inputs, steps, width=None, name="resets")
    if each.dtype != bool and len(each):
        raise TypeError(f"resets: dtype bool is required, got {each.dtype}")
    return inputs.like(each.astype(bool))


def as_context(
    context: npt.ArrayLike | None, size: int | None, count: int, dtype: DType, *, warns: bool = False
) -> Array | None:
    """Return the contexts (N, K) of N sequences in the model's dtype; an error, or a warning, where one is NaN."""
    if size is None:
        if context is not None:
            raise ValueError("context: None is required (context_size is None), got one")
        return None
    if context is None:
        raise ValueError(f"context: shape (N, context_size) = ({count}, {size}) is required, got None")
    values = checks.as_reals("context", context, dtype)
    if values.shape != (count, size):
        raise ValueError(f"context: shape (N, context_size) = ({count}, {size}) is required, got {values.shape}")
    check_finite_rows("context", values, warns=warns)
    return values

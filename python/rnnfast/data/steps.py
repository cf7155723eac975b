"""Values that belong to the steps of sequences: targets and weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.data.sequences import Array, Sequences, array_or_items


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

    from rnnfast import checks
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

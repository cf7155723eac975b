"""What users give as one series, or as several sequences, of real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.data.sequences import array_or_items


def as_series(name: str, given: Any) -> tuple[list[Array], str]:
    """Return the sequences (T_i, C) that a user gives, and in which form.

    Parameters
    ----------
    name : str
        Of the argument, for messages.
    given : array (T,), (T, C) or (N, T, C), a frame of T rows, or a list of (T_i,) or (T_i, C)
        A list of numbers is one series.

    Returns
    -------
    sequences : list of ndarray (T_i, C)
        At least one, all of the same features C.
    form : "series", "array" or "list"
        One series, an array of sequences of equal length, or a list.

    Raises
    ------
    ValueError
        Another shape, nothing, or sequences of different features.
    TypeError
        Values that are no real numbers.

    Examples
    --------
    >>> found, form = as_series("x", [[1.0, 2.0], [3.0]])
    >>> [one.shape for one in found], form
    ([(2, 1), (1, 1)], 'list')
    """
    whole = array_or_items(name, given)
    if not isinstance(whole, np.ndarray) and len(whole) and not any(np.ndim(item) for item in whole):
        whole = checks.as_array(name, whole)
    if isinstance(whole, np.ndarray):
        form = "array" if whole.ndim == 3 else "series"
        parts = {name: whole} if form == "series" else {f"{name}[{n}]": one for n, one in enumerate(whole)}
    else:
        form = "list"
        parts = {f"{name}[{n}]": checks.as_array(f"{name}[{n}]", item) for n, item in enumerate(whole)}
    if not parts:
        raise ValueError(f"{name}: at least one sequence is required, got none")
    found = [_as_sequence(place, one) for place, one in parts.items()]
    features = found[0].shape[1]
    for place, one in zip(parts, found, strict=True):
        if one.shape[1] != features:
            raise ValueError(
                f"{place}: the C = {features} features of the first sequence are required, got {one.shape[1]}"
            )
    return found, form


def in_form(parts: list[Array], form: str) -> Any:
    """Return sequences in the form in which ``as_series`` found them."""
    if form == "list":
        return parts
    return parts[0] if form == "series" else np.stack(parts)


def _as_sequence(name: str, values: Array) -> Array:
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name}: real numbers are required, got dtype {values.dtype}")
    if values.ndim not in (1, 2):
        raise ValueError(f"{name}: shape (T,) or (T, C) is required, got {values.shape}")
    sequence = values[:, None] if values.ndim == 1 else values
    if sequence.shape[1] == 0:
        raise ValueError(f"{name}: at least one feature is required (C >= 1), got shape {values.shape}")
    return sequence

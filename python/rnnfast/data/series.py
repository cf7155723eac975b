"""What users give as one series, or as several sequences, of real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array


def as_parts(name: str, given: Any) -> tuple[dict[str, Array], str]:
    """Return the sequences that a user gives, under the names that messages call them, and in which form they came.

    Parameters
    ----------
    name : str
        Of the argument.
    given : array (T,), (T, C) or (N, T, C), a frame of T rows, or a list of (T_i,) or (T_i, C)
        A list of numbers is one series.

    Returns
    -------
    parts : dict of str to ndarray (T_i,) or (T_i, C)
        At least one, all of real numbers.
    form : "series", "array" or "list"
        One series, an array of sequences of equal length, or a list.

    Raises
    ------
    ValueError
        Another shape, or nothing.
    TypeError
        Values that are no real numbers.

    Examples
    --------
    >>> as_parts("x", [[1.0, 2.0], [3.0]])
    ({'x[0]': array([1., 2.]), 'x[1]': array([3.])}, 'list')
    """
    whole = checks.array_or_items(name, given)
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
    for place, values in parts.items():
        if values.dtype.kind not in "fiub":
            raise TypeError(f"{place}: real numbers are required, got dtype {values.dtype}")
        if values.ndim not in (1, 2):
            raise ValueError(f"{place}: shape (T,) or (T, C) is required, got {values.shape}")
    return parts, form


def as_series(name: str, given: Any) -> dict[str, Array]:
    """Return what ``as_parts`` does as sequences (T_i, C), all of the same C features, of which there is one at least.

    Examples
    --------
    >>> {place: one.shape for place, one in as_series("x", [[1.0, 2.0], [3.0]]).items()}
    {'x[0]': (2, 1), 'x[1]': (1, 1)}
    """
    parts, _ = as_parts(name, given)
    found = {place: one[:, None] if one.ndim == 1 else one for place, one in parts.items()}
    features = next(iter(found.values())).shape[1]
    for place, one in found.items():
        if one.shape[1] != features or features == 0:
            wanted = f"the C = {features} features of the first sequence are" if features else "at least one feature is"
            raise ValueError(f"{place}: {wanted} required, got shape {parts[place].shape}")
    return found


def in_form(parts: list[Array], form: str) -> Any:
    """Return sequences in the form in which ``as_parts`` found them."""
    if form == "list":
        return parts
    return parts[0] if form == "series" else np.stack(parts)

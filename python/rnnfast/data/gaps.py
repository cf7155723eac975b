"""Sequences some of whose steps do not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array


class HasGaps(Protocol):
    """Sequences, which keep the gaps that the user's had."""

    gaps: Gaps | None


S = TypeVar("S", bound=HasGaps)


class Gaps:
    """Which steps of N sequences exist.

    Parameters
    ----------
    exists : list of N bool arrays (T_i,)
    steps : int or None
        T of the user's array; None where the user gave lists, as results then are.

    Examples
    --------
    >>> gaps = Gaps([np.array([True, False, True]), np.array([False, True, False])], steps=3)
    >>> [each.tolist() for each in gaps.drop("x", np.array([[3, 0, 1], [0, 4, 0]]))]
    [[3, 1], [4]]
    >>> gaps.fill(np.array([7, 8, 9])).tolist()
    [[7, 0, 8], [0, 9, 0]]
    """

    def __init__(self, exists: list[Array], *, steps: int | None) -> None:
        self.exists = exists
        self.steps = steps

    def drop(self, name: str, values: Any) -> list[Array]:
        """Return the values of the steps that exist; ``values`` is an array (N, T, ...) or a list of (T_i, ...).

        Raises
        ------
        ValueError
            Another number of sequences or steps.
        """
        items = checks.array_or_items(name, values)
        if len(items) != len(self.exists):
            count = len(self.exists)
            raise ValueError(f"{name}: an entry for every sequence is required (N = {count}), got {len(items)}")
        found = []
        for n, (given, own) in enumerate(zip(items, self.exists, strict=True)):
            item = checks.as_array(f"{name}[{n}]", given)
            if item.shape[:1] != own.shape:
                wanted = f"a value for every step, gaps included, is required, shape (T, ...) = ({len(own)}, ...)"
                raise ValueError(f"{name}[{n}]: {wanted}, got {item.shape}")
            found.append(item[own])
        return found

    def fill(self, rows: Array) -> Array | list[Array]:
        """Return rows (R, ...) that belong to the existing steps, sequence after sequence, with zeros at the gaps."""
        whole = np.zeros((sum(map(len, self.exists)), *rows.shape[1:]), rows.dtype)
        if len(whole):
            whole[np.concatenate(self.exists)] = rows
        if self.steps is not None:
            return whole.reshape(len(self.exists), self.steps, *rows.shape[1:])
        return np.split(whole, np.cumsum([len(own) for own in self.exists])[:-1]) if self.exists else []

    def pad(self, rows: Array) -> Array:
        """Return what ``fill`` does as one array (N, T, ...), T being the longest sequence's."""
        longest = max(map(len, self.exists), default=0)
        array = np.zeros((len(self.exists), longest, *rows.shape[1:]), rows.dtype)
        for place, item in zip(array, self.fill(rows), strict=True):
            place[: len(item)] = item
        return array

    def columns(self, items: list[Array]) -> list[Array]:
        """Return arrays (..., R_i) with a column for each existing step as (..., T_i), with zeros at the gaps."""
        found = [
            np.zeros((*item.shape[:-1], len(own)), item.dtype) for item, own in zip(items, self.exists, strict=True)
        ]
        for whole, item, own in zip(found, items, self.exists, strict=True):
            whole[..., own] = item
        return found


def as_gaps(mask: Any, x: Any, name: str = "x") -> Gaps:
    """Return the gaps of the sequences ``x``, an array (N, T, ...) or a list of (T_i, ...), after checking them.

    Parameters
    ----------
    mask : bool (N, T), or a list of N arrays (T_i,)
        Whether a step exists.
    name : str
        Of x, for messages.

    Raises
    ------
    ValueError
        A mask of another shape.
    TypeError
        A mask that is not bool.
    """
    steps, given = checks.array_or_items(name, x), checks.array_or_items("mask", mask)
    T = steps.shape[1] if isinstance(steps, np.ndarray) and steps.ndim > 1 else None
    lengths = [np.shape(item)[:1] for item in steps]
    if () in lengths:
        raise ValueError(f"{name}: shape (N, T, ...), or a list of (T, ...), is required beside mask, got neither")
    if len(given) != len(steps):
        raise ValueError(
            f"mask: an entry for every sequence of {name} is required (N = {len(steps)}), got {len(given)}"
        )
    exists = [checks.as_array(f"mask[{n}]", item) for n, item in enumerate(given)]
    for n, (own, length) in enumerate(zip(exists, lengths, strict=True)):
        if own.dtype != bool and own.size:
            raise TypeError(f"mask: dtype bool is required, got {own.dtype}")
        if own.shape != length:
            raise ValueError(f"mask[{n}]: a value for every step is required, shape (T,) = {length}, got {own.shape}")
    return Gaps([own.astype(bool, copy=False) for own in exists], steps=T)


def read_with_gaps(read: Callable[..., S], x: Any, lengths: Any, mask: Any, name: str = "x") -> S:
    """Return the existing steps of ``x`` as sequences, which know their gaps.

    Parameters
    ----------
    read : function of x, lengths and name
        Makes ``Sequences`` of what the user gives.
    x, lengths
        What the user gives.
    mask : bool (N, T), a list of N arrays (T_i,), or None
        Whether a step exists; None: all of them do, up to the lengths.
    name : str
        Of x, for messages.
    """
    if mask is None:
        return read(x, lengths, name)
    if lengths is not None:
        raise ValueError("lengths: None is required beside mask, which says what exists; got both")
    gaps = as_gaps(mask, x, name)
    found = read(gaps.drop(name, x), None, name)
    found.gaps = gaps
    return found

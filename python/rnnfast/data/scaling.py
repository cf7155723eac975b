"""Features of mean 0 and variance 1, and back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, Float64
from rnnfast.checks import names_arguments
from rnnfast.copies import CopiedWhole


class Scaler(CopiedWhole):
    """Standardise features: ``z = (x - mean) / std``, each feature by itself, over all steps of all sequences.

    NaN counts as missing: it is left out of mean and standard deviation, and stays NaN. A feature that does not vary,
    or that has no value at all, is divided by 1.

    Parameters
    ----------
    mean, std : array (C,)
        Given by ``fit`` in most cases. The standard deviation is that of the population (divided by the number of
        values), and above 0.

    Raises
    ------
    ValueError
        Other shapes, numbers that are not finite, a standard deviation that is not above 0.

    Notes
    -----
    x is (N, T, C), (T, C), or a list of (T_i, C) arrays. An array of one axis, also in a list, has C = 1. A result has
    the form and the shapes of x, in float32 for float32 and in float64 for everything else.

    Examples
    --------
    The model's file keeps the scaler as a text:

    >>> import os, tempfile
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> x = [np.array([[1.0], [3.0]]), np.array([[5.0]])]
    >>> scaler = rf.data.Scaler.fit(x)
    >>> scaler.transform(x)[1], scaler.inverse_transform(scaler.transform(x))[1]
    (array([[1.22474487]]), array([[5.]]))
    >>> model = rf.ManyToOne(1, 2, hidden_size=4, seed=0)
    >>> model.metadata["scaler"] = scaler.to_json()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     kept = rf.load(path).metadata["scaler"]
    >>> rf.data.Scaler.from_json(kept) == scaler
    True
    """

    @names_arguments
    def __init__(self, mean: npt.ArrayLike, std: npt.ArrayLike) -> None:
        self.mean, self.std = _numbers("mean", mean), _numbers("std", std)
        if self.std.shape != self.mean.shape:
            raise ValueError(f"std: shape (C,) = {self.mean.shape}, that of mean, is required, got {self.std.shape}")
        if (self.std <= 0).any():
            raise ValueError(f"std: numbers above 0 are required, got {self.std.min()}")

    @classmethod
    @names_arguments
    def fit(cls, x: Any, *, lengths: npt.ArrayLike | None = None) -> Scaler:
        """Return the scaler whose mean and standard deviation are those of x.

        Parameters
        ----------
        x : array (N, T, C) or (T, C), or list of (T_i, C)
            The data to learn from. Those to judge with are only transformed.
        lengths : integers (N,) or None
            Lengths of the sequences in an array (N, T, C), past which nothing counts.

        Raises
        ------
        ValueError
            Another shape, no feature, infinite numbers.
        TypeError
            Values that are no real numbers.
        """
        rows = _rows(x, lengths)
        counts = np.maximum((~np.isnan(rows)).sum(axis=0), 1)
        if np.isinf(rows).any():
            raise ValueError("x: finite numbers, or NaN where one is missing, are required, got an infinite one")
        mean = np.nansum(rows, axis=0) / counts
        std = np.sqrt(np.nansum((rows - mean) ** 2, axis=0) / counts)
        # A feature that does not vary has the variance of rounding errors.
        varies = std > 10 * np.finfo(np.float64).eps * np.abs(mean)
        return cls(mean, np.where(varies, std, 1.0))

    @names_arguments
    def transform(self, x: Any) -> Any:
        """Return ``(x - mean) / std``.

        Parameters
        ----------
        x : array (N, T, C) or (T, C), or list of (T_i, C)
            Of the C features of ``fit``.
        """
        return self._each(x, lambda values: (values - self.mean) / self.std)

    @names_arguments
    def inverse_transform(self, x: Any) -> Any:
        """Return ``x * std + mean``.

        Parameters
        ----------
        x : array (N, T, C) or (T, C), or list of (T_i, C)
            Of the C features of ``fit``, in units of their standard deviations.
        """
        return self._each(x, lambda values: values * self.std + self.mean)

    def to_json(self) -> str:
        """Return mean and standard deviation as text, from which ``from_json`` makes the same scaler, bit for bit."""
        return json.dumps({"mean": self.mean.tolist(), "std": self.std.tolist()})

    @classmethod
    def from_json(cls, text: str) -> Scaler:
        """Return the scaler of which ``to_json`` made a text; ValueError for another text.

        Parameters
        ----------
        text : str
            Of ``to_json``.
        """
        checks.as_text("text", text)
        try:
            found = json.loads(text)
            return cls(found["mean"], found["std"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"text: what Scaler.to_json returns is required, got {checks.shown(text)}") from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scaler):
            return NotImplemented
        return np.array_equal(self.mean, other.mean) and np.array_equal(self.std, other.std)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Scaler(mean={self.mean.tolist()}, std={self.std.tolist()})"

    def _each(self, x: Any, convert: Any) -> Any:
        whole = checks.array_or_items("x", x)
        if isinstance(whole, np.ndarray):
            return self._one("x", whole, convert)
        return [self._one(f"x[{n}]", checks.as_array(f"x[{n}]", one), convert) for n, one in enumerate(whole)]

    def _one(self, name: str, values: Array, convert: Any) -> Array:
        rows = _features(name, values)
        if rows.shape[-1] != len(self.mean):
            raise ValueError(f"{name}: last axis C = {len(self.mean)} is required, got shape {values.shape}")
        found: Array = convert(rows.astype(np.float64)).reshape(values.shape)
        return found.astype(np.float32) if values.dtype == np.float32 else found


def _numbers(name: str, given: npt.ArrayLike) -> Float64:
    values = np.array(checks.as_reals(name, given, np.dtype(np.float64)))
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name}: shape (C,) with C >= 1 is required, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: finite numbers are required, got {values[~np.isfinite(values)][0]}")
    return values


def _features(name: str, values: Array) -> Array:
    """Return real numbers (..., C); those of one axis get C = 1."""
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name}: real numbers are required, got dtype {values.dtype}")
    if values.ndim not in (1, 2, 3) or values.shape[-1] == 0 < values.ndim - 1:
        raise ValueError(f"{name}: shape (N, T, C), (T, C) or (T,) is required, got {values.shape}")
    return values[:, None] if values.ndim == 1 else values


def _rows(x: Any, lengths: npt.ArrayLike | None) -> Float64:
    """Return all steps (R, C) of all sequences."""
    whole = checks.array_or_items("x", x)
    if isinstance(whole, np.ndarray):
        values = _features("x", whole)
        if lengths is None:
            return values.reshape(-1, values.shape[-1]).astype(np.float64)
        if values.ndim != 3:
            raise ValueError(f"lengths: None is required unless x is (N, T, C), got some for shape {whole.shape}")
        ends = checks.as_lengths("lengths", lengths, *values.shape[:2])
        return values[np.arange(values.shape[1]) < ends[:, None]].astype(np.float64)
    if lengths is not None:
        raise ValueError("lengths: None is required beside a list x, which has its own lengths; got both")
    items = [_features(f"x[{n}]", checks.as_array(f"x[{n}]", one)) for n, one in enumerate(whole)]
    if not items:
        raise ValueError("x: at least one sequence is required, got none")
    for n, item in enumerate(items):
        if item.ndim != 2 or item.shape[1] != items[0].shape[1]:
            raise ValueError(f"x[{n}]: shape (T, C) with C = {items[0].shape[-1]} is required, got {item.shape}")
    return np.concatenate(items).astype(np.float64)

"""Parameters, and the few things that everything with parameters can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Parameter:
    """A trainable array and its gradient.

    ``value`` is read-only, so that packed copies of it can be kept until it changes: write with
    ``assign`` or ``p[...] = array``.

    Parameters
    ----------
    value : ndarray of float32 or float64
        The first value; copied.

    Attributes
    ----------
    value : ndarray
        Read-only.
    grad : ndarray
        Of the same shape and dtype; zeros at first; backward passes add to it.
    version : int
        Changes with every write.

    Examples
    --------
    >>> p = Parameter(np.ones(3))
    >>> p[1:] = 5.0
    >>> p.value
    array([1., 5., 5.])
    """

    __slots__ = ("_data", "grad", "value", "version")

    def __init__(self, value: npt.ArrayLike) -> None:
        self._data: Array = np.array(value, order="C")
        self.value: Array = self._data.view()
        self.value.flags.writeable = False
        self.grad: Array = np.zeros_like(self._data)
        self.version = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the value."""
        return self._data.dtype

    def begin_update(self) -> Array:
        """Return the writable array and count a new version; for optimisers."""
        self.version += 1
        return self._data

    def assign(self, array: npt.ArrayLike) -> None:
        """Replace the value.

        Parameters
        ----------
        array : array_like
            Real numbers of the parameter's shape, rounded to its dtype: that was chosen with the module, while
            lists and most of NumPy's results come as float64.

        Raises
        ------
        ValueError
            If the shape differs, or a number is finite but not in the parameter's dtype.
        TypeError
            If these are no real numbers.
        """
        new = self._rounded("array", array)
        if new.shape != self.shape:
            raise ValueError(f"array: the parameter's shape {self.shape} is required, got {new.shape}")
        self.begin_update()[...] = new

    def __setitem__(self, key: Any, array: npt.ArrayLike) -> None:
        self.begin_update()[key] = self._rounded("array", array)

    def _rounded(self, name: str, array: npt.ArrayLike) -> Array:
        given = np.asarray(array)
        if given.dtype.kind not in "fiub":
            raise TypeError(f"{name}: real numbers are required, got dtype {given.dtype}")
        with np.errstate(over="ignore"):
            new = given.astype(self.dtype)
        if (np.isinf(new) & np.isfinite(given)).any():
            largest = np.finfo(self.dtype).max
            raise ValueError(f"{name}: numbers within {self.dtype} (+-{largest:.3g}) are required, got larger ones")
        return new

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, dtype={self.dtype})"


class Module(ABC):
    """What has named parameters: layers and models."""

    @abstractmethod
    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters by name."""

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self.parameters().values():
            p.grad[...] = 0

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter's value by name."""
        return {name: p.value.copy() for name, p in self.parameters().items()}

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Replace every parameter's value; all or none.

        Parameters
        ----------
        state : mapping of str to array_like
            Exactly the names and shapes of ``state_dict()``; rounded to the parameters' dtypes, as by ``assign``.

        Raises
        ------
        ValueError
            Naming what is missing, unexpected, of another shape or beyond the range; nothing is changed then.
        TypeError
            Naming what is no real numbers; nothing is changed then.
        """
        parameters = self.parameters()
        missing = [name for name in parameters if name not in state]
        unexpected = [name for name in state if name not in parameters]
        misshaped = [
            f"{name} {np.shape(state[name])} instead of {p.shape}"
            for name, p in parameters.items()
            if name in state and np.shape(state[name]) != p.shape
        ]
        problems = [
            f"{kind}: {', '.join(names)}"
            for kind, names in (("missing", missing), ("unexpected", unexpected), ("misshaped", misshaped))
            if names
        ]
        if problems:
            raise ValueError(f"state: the names and shapes of state_dict() are required, got {'; '.join(problems)}")
        values = {name: p._rounded(name, state[name]) for name, p in parameters.items()}
        for name, p in parameters.items():
            p.assign(values[name])

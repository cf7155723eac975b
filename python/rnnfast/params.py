"""Parameters, and the few things that everything with parameters can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

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
        Number of the last write, of all writes to parameters; 0 before the first.
    writes : int
        Of the class: writes to any parameter so far. As long as it stays, no version has changed.

    Examples
    --------
    >>> p = Parameter(np.ones(3))
    >>> p[1:] = 5.0
    >>> p.value
    array([1., 5., 5.])
    """

    __slots__ = ("_bounds", "_data", "grad", "value", "version")
    writes: ClassVar[int] = 0

    def __init__(self, value: npt.ArrayLike) -> None:
        self._data: Array = np.array(value, order="C")
        self.value: Array = self._data.view()
        self.value.flags.writeable = False
        self.grad: Array = np.zeros_like(self._data)
        self.version = 0
        self._bounds: tuple[Array, Array] | None = None

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
        Parameter.writes += 1
        self.version = Parameter.writes
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
        self.settle()

    def __setitem__(self, key: Any, array: npt.ArrayLike) -> None:
        self.begin_update()[key] = self._rounded("array", array)
        self.settle()

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

    def constrain(
        self, *, mask: npt.ArrayLike | None = None, sign: npt.ArrayLike | None = None, limit: float | None = None
    ) -> None:
        """Keep the value within bounds from now on, element by element; replaces earlier bounds.

        Every write, an optimiser's step included, is followed by ``value = min(max(value, low), high)``; elements that
        are held at zero have no gradient in a step and in ``clip_grad_norm``.

        Parameters
        ----------
        mask : bool, of a shape that broadcasts to the parameter's, optional
            False where the element is held at zero: a fixed sparse connectivity.
        sign : -1, 0 or 1, likewise, optional
            At most zero, free, at least zero. With one sign for each column of ``weight_hh``, a unit excites or
            inhibits all others (Dale's law).
        limit : float, optional
            Largest magnitude.

        Raises
        ------
        ValueError
            On a shape that does not broadcast, another sign, or a limit below zero.

        References
        ----------
        H. F. Song, G. R. Yang, X.-J. Wang, "Training excitatory-inhibitory recurrent neural networks for cognitive
        tasks", PLOS Computational Biology 12 (2016).

        Examples
        --------
        >>> p = Parameter(np.array([[1.0, -2.0], [3.0, 4.0]]))
        >>> p.constrain(mask=[[True, True], [False, True]], sign=[1, -1])
        >>> p.value
        array([[ 1., -2.],
               [ 0.,  0.]])
        """
        if limit is not None and not limit >= 0:
            raise ValueError(f"limit: a number of at least 0 is required, got {limit}")
        high = np.full(self.shape, np.inf if limit is None else limit, self.dtype)
        low = -high
        if sign is not None:
            signs = self._broadcast("sign", sign)
            if not np.isin(signs, (-1, 0, 1)).all():
                raise ValueError("sign: -1, 0 or 1 is required in every element, got others")
            low[signs > 0] = 0
            high[signs < 0] = 0
        if mask is not None:
            kept = self._broadcast("mask", mask)
            if kept.dtype != bool:
                raise ValueError(f"mask: dtype bool is required, got {kept.dtype}")
            low[~kept] = high[~kept] = 0
        self._bounds = (low, high)
        self.begin_update()
        self.settle()

    def _broadcast(self, name: str, given: npt.ArrayLike) -> Array:
        try:
            return np.broadcast_to(np.asarray(given), self.shape)
        except ValueError:
            shape = np.shape(given)
            raise ValueError(f"{name}: a shape that broadcasts to {self.shape} is required, got {shape}") from None

    def settle(self) -> None:
        """Bring the value back within its bounds, as a part of the last write."""
        if self._bounds is not None:
            np.clip(self._data, *self._bounds, out=self._data)

    def drop_held_grad(self) -> None:
        """Set the gradient of elements that are held at zero to zero."""
        if self._bounds is not None:
            low, high = self._bounds
            self.grad[(low == 0) & (high == 0)] = 0

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

"""Parameters, and modules, which have parameters by name."""

from __future__ import annotations

import operator
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain, count, repeat
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, DType
from rnnfast.copies import CopiedWhole
from rnnfast.describe import html_table
from rnnfast.outline import Outline

Call = partial[Any]  # a call for its effect; partial is invariant in what it returns

newest_version = [0]
"""Number of the newest write to any parameter, in a list, so that one call of C can set it; see ``write``."""

_version_numbers = count(1)
_writing: AbstractContextManager[bool] = threading.RLock()


def _forget_other_threads() -> None:
    """Give a forked child new locks: the threads that held the parent's do not exist in the child."""
    global _writing
    _writing = threading.RLock()
    for module in list(_modules):
        module._take_lock()


os.register_at_fork(after_in_child=_forget_other_threads)


def no_writes() -> AbstractContextManager[bool]:
    """Return the lock that every write holds: while it is held, no parameter is half written."""
    return _writing


class Parameter(CopiedWhole):
    """A trainable array and its gradient.

    ``value`` is read-only, so that the engine can keep packed copies until it changes: write with ``assign`` or
    ``p[...] = array``. A copy, ``copy.copy`` included, shares no memory with the original.

    Parameters
    ----------
    value : array of float32 or float64
        The initial value, which is copied.

    Attributes
    ----------
    value : ndarray
        The array, read-only.
    grad : ndarray
        The gradient, of the same shape and dtype, zeros at first. Backward passes add to it. Setting it copies.
    version : int
        Number of the last write to this parameter, among all writes to parameters; 0 before the first.

    Raises
    ------
    TypeError
        If the value is neither float32 nor float64.

    Examples
    --------
    >>> p = Parameter(np.ones(3))
    >>> p[1:] = 5.0
    >>> p.value
    array([1., 5., 5.])
    """

    __slots__ = ("__weakref__", "_bounds", "_data", "_grad", "_value", "version")

    def __init__(self, value: npt.ArrayLike) -> None:
        self._data: Array = value if isinstance(value, Outline) else np.array(_floats(value), order="C")
        self._value: Array = self._data.view()
        self._value.flags.writeable = False
        self._grad: Array = self._data if isinstance(value, Outline) else np.zeros_like(self._data)
        self.version = 0
        self._bounds: tuple[Array, Array] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self._data, self._grad, self._bounds)

    @property
    def value(self) -> Array:
        """The array, read-only."""
        return self._value

    @property
    def grad(self) -> Array:
        """The gradient."""
        return self._grad

    @grad.setter
    def grad(self, array: npt.ArrayLike) -> None:
        if array is not self._grad:
            self._grad[...] = self._fitting("grad", array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self._data.shape

    @property
    def dtype(self) -> DType:
        """Type of the value."""
        return self._data.dtype

    def assign(self, array: npt.ArrayLike) -> None:
        """Replace the value.

        Parameters
        ----------
        array : array_like
            Real numbers of the parameter's shape, which are rounded to its dtype.

        Raises
        ------
        ValueError
            If the shape differs, or a finite number is out of the dtype's range.
        TypeError
            If the array does not hold real numbers.
        """
        write_all([self], [self._fitting("array", array)])

    def __setitem__(self, key: Any, array: npt.ArrayLike) -> None:
        write([self], [partial(operator.setitem, self._data, key, self._rounded("array", array))])

    def _fitting(self, name: str, array: npt.ArrayLike) -> Array:
        new = self._rounded(name, array)
        if new.shape != self.shape:
            raise ValueError(f"{name}: the parameter's shape {self.shape} is required, got {new.shape}")
        return new

    def _rounded(self, name: str, array: npt.ArrayLike) -> Array:
        given = checks.as_array(name, array)
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
        """Keep the value within bounds from now on, element by element. New bounds replace earlier ones.

        Every write, an optimiser's step included, ends with ``value = min(max(value, low), high)``. In a step and in
        ``clip_grad_norm``, the gradient of elements that are held at zero is zero.

        Parameters
        ----------
        mask : bool array that broadcasts to the parameter's shape, optional
            False holds an element at zero: a fixed sparse connectivity.
        sign : array of -1, 0 and 1 that broadcasts to the parameter's shape, optional
            -1 keeps an element at most 0, 1 keeps it at least 0, and 0 leaves it free. With one sign for each column of
            ``weight_hh``, a unit excites or inhibits all others (Dale's law).
        limit : float, optional
            Largest magnitude.

        Raises
        ------
        ValueError
            If a shape does not broadcast, a sign is not -1, 0 or 1, or the limit is below zero.

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
        largest = np.inf
        if limit is not None:
            largest = checks.as_number("limit", limit, "a number of at least 0", lambda v: v >= 0)
        high = np.full(self.shape, largest, self.dtype)
        low = -high
        if sign is not None:
            signs = self._broadcast("sign", sign)
            if not ((signs == -1) | (signs == 0) | (signs == 1)).all():
                raise ValueError("sign: -1, 0 or 1 is required in every element, got others")
            low[signs > 0] = 0
            high[signs < 0] = 0
        if mask is not None:
            kept = self._broadcast("mask", mask)
            if kept.dtype != bool:
                raise ValueError(f"mask: dtype bool is required, got {kept.dtype}")
            low[~kept] = high[~kept] = 0
        self._bounds = (low, high)
        write([self], [])

    def _broadcast(self, name: str, given: npt.ArrayLike) -> Array:
        array = checks.as_array(name, given)
        try:
            return np.broadcast_to(array, self.shape)
        except ValueError:
            wanted = f"a shape that broadcasts to {self.shape} is required"
            raise ValueError(f"{name}: {wanted}, got {array.shape}") from None

    def _settling(self) -> list[Call]:
        """Return the calls that bring the value back within its bounds; every write ends with them."""
        if self._bounds is None:
            return []
        low, high = self._bounds
        return [
            partial(np.maximum, self._data, low, out=self._data),
            partial(np.minimum, self._data, high, out=self._data),
        ]

    def drop_held_grad(self) -> None:
        """Set the gradient of elements that are held at zero to zero."""
        if self._bounds is not None:
            low, high = self._bounds
            self._grad[(low == 0) & (high == 0)] = 0

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, dtype={self.dtype})"


def _restored(cls: type[Parameter], data: Array, grad: Array, bounds: tuple[Array, Array] | None) -> Parameter:
    """Return a parameter with copies of a value, a gradient and bounds. Pickle calls it."""
    parameter = cls(data)
    parameter._grad[...] = grad
    parameter._bounds = None if bounds is None else (bounds[0].copy(), bounds[1].copy())
    return parameter


def _floats(value: npt.ArrayLike) -> Array:
    """Return the initial value of a parameter; TypeError unless its dtype is float32 or float64."""
    array = checks.as_array("value", value)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"value: float32 or float64 is required, got dtype {array.dtype}")
    return array


def write(parameters: Collection[Parameter], calls: Iterable[Call]) -> None:
    """Run ``calls``, which write to the data of ``parameters``; bring these within bounds and count their versions.

    Versions are counted after the data are written, and nothing is packed or copied meanwhile, so that a copy under a
    version never holds half of a write. Everything runs inside one call of C as long as the calls are C too: Ctrl-C
    acts before or after it. Where a call raises, the data it wrote are brought within bounds and counted all the same.
    """
    settling = [call for p in parameters for call in p._settling()]
    ending = chain(_run(settling), _counting(parameters))
    with _writing:
        try:
            deque(chain(_run(calls), ending), maxlen=0)
        except BaseException:
            deque(ending, maxlen=0)
            raise


def write_all(parameters: Collection[Parameter], values: Iterable[Array]) -> None:
    """Replace the data of all parameters by arrays of their shapes and dtypes; on Ctrl-C all or none."""
    write(parameters, [partial(operator.setitem, p._data, ..., v) for p, v in zip(parameters, values, strict=True)])


def _run(calls: Iterable[Call]) -> Iterator[object]:
    return map(partial.__call__, calls)


def _counting(parameters: Collection[Parameter]) -> Iterator[object]:
    versions = map(setattr, parameters, repeat("version"), _version_numbers)
    return chain(versions, map(operator.setitem, (newest_version,), (0,), _version_numbers))


class LoadedKeys(NamedTuple):
    """Names that ``load_state_dict`` found missing or unexpected; the fields have PyTorch's names."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(CopiedWhole, ABC):
    """Base of everything that has named parameters: layers and models.

    A copy (``copy.copy``, ``copy.deepcopy``, pickle, joblib) computes the same bits, trains as the original would and
    shares no memory with it. Gradients are added under the lock ``_adding``: threads that call ``backward`` of one
    module wait for each other.
    """

    _adding: AbstractContextManager[bool]

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """Make the module with its own lock."""
        module = super().__new__(cls)
        module._take_lock()
        return module

    def _take_lock(self) -> None:
        object.__setattr__(self, "_adding", threading.RLock())
        _modules.add(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_adding"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self._take_lock()

    # vars(self) would make a dictionary of the attributes, which CPython 3.11 then reads at half the speed for good.
    def __setattr__(self, name: str, value: object) -> None:
        given = not isinstance(getattr(type(self), name, None), property) and getattr(self, name, None)
        if isinstance(given, Parameter) or name in getattr(self, "_parameters", ()):
            raise AttributeError(f"{name}: a parameter is written with p[...] = array or p.assign(array), not replaced")
        super().__setattr__(name, value)

    @abstractmethod
    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters by name."""

    def random_state(self) -> dict[str, Any]:
        """Return the state of the random numbers that training draws, in a form that JSON can hold; {} without any."""
        return {}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the state that ``random_state`` returned."""

    @property
    def is_random(self) -> bool:
        """Whether training draws random numbers."""
        return False

    def reseed(self, rng: np.random.Generator) -> None:
        """Let what training draws be a function of ``rng`` from now on."""

    def _repr_html_(self) -> str:
        """Return a table of the parameters for notebooks, below what ``repr`` says."""
        params = self.parameters()
        rows = [(name, str(p.shape), f"{p.value.size:,}") for name, p in params.items()]
        total, size = (sum(getattr(p.value, what) for p in params.values()) for what in ("size", "nbytes"))
        return html_table(repr(self), rows, f"{total:,} parameters, {size:,} bytes")

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self.parameters().values():
            p._grad[...] = 0

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter's value by name."""
        with no_writes():
            return {name: p.value.copy() for name, p in self.parameters().items()}

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike], *, strict: bool = True) -> LoadedKeys:
        """Replace every parameter's value: all of them or, after an error or Ctrl-C, none.

        Parameters
        ----------
        state : mapping of str to array_like
            Real numbers under the names and in the shapes of ``state_dict()``; they are rounded to the parameters'
            dtypes.
        strict : bool
            Whether exactly the names of ``state_dict()`` are required. Without it parameters that ``state`` lacks keep
            their values, and other names are ignored; shapes must still fit.

        Returns
        -------
        LoadedKeys
            The parameters that were missing, and the names that were unexpected; empty lists with ``strict``.

        Raises
        ------
        ValueError
            If a name is missing or unexpected, a shape differs, or a finite number is out of the dtype's range.
        TypeError
            If an array does not hold real numbers.

        Examples
        --------
        >>> import rnnfast as rf
        >>> layer = rf.RNN(2, 3, seed=0)
        >>> layer.load_state_dict({"weight_hh_l0": np.eye(3), "fc.weight": np.ones((1, 3))}, strict=False)
        LoadedKeys(missing_keys=['weight_ih_l0', 'bias_ih_l0', 'bias_hh_l0'], unexpected_keys=['fc.weight'])
        """
        parameters, state = self.parameters(), checks.as_mapping("state", state)
        strict = checks.as_flag("strict", strict)
        missing = [name for name in parameters if name not in state]
        unexpected = [name for name in state if name not in parameters]
        found = {name: p for name, p in parameters.items() if name in state}
        values = {name: p._rounded(name, state[name]) for name, p in found.items()}
        misshaped = [
            f"{name} {values[name].shape} instead of {p.shape}"
            for name, p in found.items()
            if values[name].shape != p.shape
        ]
        listed = {"missing": missing, "unexpected": unexpected} if strict else {}
        problems = [
            f"{kind}: {', '.join(names)}" for kind, names in (listed | {"misshaped": misshaped}).items() if names
        ]
        if problems:
            wanted = "the names and shapes" if strict else "the shapes"
            raise ValueError(f"state: {wanted} of state_dict() are required, got {'; '.join(problems)}")
        write_all(found.values(), values.values())
        return LoadedKeys(missing, unexpected)


_modules: weakref.WeakSet[Module] = weakref.WeakSet()

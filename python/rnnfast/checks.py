"""Checks of arguments, shared by all rooms; every message is `name: what is required (formula = numbers), got what`."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import operator
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import numpy as np

from rnnfast.arrays import Array, DType, Int64

P = ParamSpec("P")
R = TypeVar("R")

LARGEST = 2**62  # what the engine's counters hold, with room for sums of two

_FORECAST = ("chunk", "a OneToMany model writes on from its own outputs, see OneToMany.generate")

# Arguments of other libraries: the argument here that has their meaning, and what a message says of it.
FOREIGN = {
    "batch_first": ("time_major", "arrays are batch-first by default, see time_major"),
    "units": ("hidden_size", "see hidden_size"),
    "nonlinearity": ("activation", "see activation"),
    "verbose": ("progress", "see progress"),
    "learning_rate": ("lr", "see lr"),
    "n": ("batch_size", "a model writes on with generate, see generate"),
    "steps": _FORECAST,
    "horizon": _FORECAST,
}


def as_integer(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """Return an integer as an int, within ``least``..``most``; without ``most`` it is at most 2^62.

    Raises
    ------
    TypeError
        On anything but an integer; True and False are none.
    ValueError
        On an integer out of bounds.
    OverflowError
        On one beyond 2^62.
    """
    try:
        number = operator.index(value) if not isinstance(value, bool | np.bool_) else None
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name}: an integer is required, got {shown(value)}")
    if least is not None and number < least:
        raise ValueError(f"{name}: at least {least} is required, got {number}")
    if most is not None and number > most:
        raise ValueError(f"{name}: at most {most} is required, got {number}")
    if number > LARGEST:
        raise OverflowError(f"{name}: at most 2^62 is required, got {number}")
    return number


def as_size(name: str, value: Any) -> int:
    """Return an integer of at least 1 as an int."""
    return as_integer(name, value, least=1)


def as_seed(value: Any) -> int | None:
    """Return a seed, an integer of at least 0 of any size, or None."""
    if value is None:
        return None
    try:
        seed = operator.index(value) if not isinstance(value, bool | np.bool_) else None
    except TypeError:
        seed = None
    if seed is None:
        raise TypeError(f"seed: an integer or None is required, got {shown(value)}")
    if seed < 0:
        raise ValueError(f"seed: at least 0 is required, got {seed}")
    return seed


def as_number(
    name: str,
    value: Any,
    required: str = "a finite number",
    within: Callable[[float], bool] = math.isfinite,
) -> float:
    """Return a real number as a float.

    Parameters
    ----------
    name, value
        The argument.
    required : str
        What is required, in words.
    within : function
        Whether a float is that; NaN must not be.

    Raises
    ------
    TypeError
        On anything but a number; True and False, strings and arrays with axes are none.
    ValueError
        On a number that is not ``within``.

    Examples
    --------
    >>> as_number("leak", 1.5, "dt / tau within (0, 1]", lambda v: 0 < v <= 1)
    Traceback (most recent call last):
    ValueError: leak: dt / tau within (0, 1] is required, got 1.5
    """
    wrong = isinstance(value, bool | np.bool_ | str | bytes | np.ma.MaskedArray) or getattr(value, "ndim", 0) != 0
    try:
        number = math.nan if wrong else float(value)
    except (TypeError, ValueError):
        wrong = True
    except OverflowError:
        number = math.inf
    if wrong:
        raise TypeError(f"{name}: {required} is required, got {shown(value)}")
    if not within(number):
        raise ValueError(f"{name}: {required} is required, got {shown(value)}")
    return number


def as_probability(name: str, value: Any) -> float:
    """Return a probability within [0, 1) as a float."""
    return as_number(name, value, "a probability within [0, 1)", lambda p: 0 <= p < 1)


def at_least_zero(name: str, value: Any) -> float:
    """Return a finite number of at least 0 as a float."""
    return as_number(name, value, "a finite number of at least 0", lambda v: 0 <= v < math.inf)


def above_zero(name: str, value: Any) -> float:
    """Return a number above 0, infinity included, as a float."""
    return as_number(name, value, "a number above zero", lambda v: v > 0)


def as_flag(name: str, value: Any) -> bool:
    """Return True or False; TypeError for anything else."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name}: True or False is required, got {shown(value)}")
    return bool(value)


def as_text(name: str, value: Any) -> str:
    """Return a string; TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: a string is required, got {shown(value)}")
    return value


def as_items(name: str, value: Any) -> Iterable[Any]:
    """Return what can be iterated over; TypeError for anything else."""
    if not np.iterable(value):
        raise TypeError(f"{name}: a sequence is required, got {shown(value)}")
    items: Iterable[Any] = value
    return items


def as_mapping(name: str, value: Any) -> Mapping[Any, Any]:
    """Return a dict or another mapping; TypeError for anything else."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: a dict is required, got {type(value).__name__}")
    return value


def as_path(name: str, value: Any) -> str | bytes:
    """Return a path as the system knows it; TypeError for anything but a string, bytes or a path."""
    try:
        path: str | bytes = os.fspath(value)
        return path
    except TypeError:
        raise TypeError(f"{name}: a path is required, got {shown(value)}") from None


def as_dtype(value: Any) -> DType:
    """Return float32 or float64 as a dtype; TypeError for anything else, None included."""
    try:
        found: DType | None = None if value is None else np.dtype(value)
    except (TypeError, ValueError):
        found = None
    if found is None or found not in (np.float32, np.float64):
        raise TypeError(f"dtype: float32 or float64 is required, got {shown(value) if found is None else found}")
    return found


def as_choice(name: str, value: Any, names: Collection[str], *, others: str = "") -> str:
    """Return one of ``names``; an error lists them and the nearest. ``others``: what else is possible, in words."""
    if isinstance(value, str) and value in names:
        return value
    error = ValueError if isinstance(value, str) else TypeError
    raise error(f"{name}: one of {', '.join(names)}{others} is required, got {shown(value)}{suggestion(value, names)}")


def suggestion(given: Any, names: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the name nearest to ``given``, or nothing where none is near.

    Examples
    --------
    >>> suggestion("batchsize", ["epochs", "batch_size"])
    "; did you mean 'batch_size'?"
    """
    nearest = difflib.get_close_matches(given, list(names), n=1) if isinstance(given, str) else []
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def known_arguments(called: str, given: Iterable[str], names: Iterable[str]) -> None:
    """Raise TypeError for the first of ``given`` that is none of the arguments ``names`` of what was ``called``."""
    known = list(names)
    for name in given:
        if name in known:
            continue
        meant, hint = FOREIGN.get(name, ("", ""))
        near = f" ({hint})" if meant in known else suggestion(name, known)
        raise TypeError(f"{called}: unknown argument {name!r}{near}")


def names_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that a call with an unknown argument raises an error that suggests the nearest one.

    Signature and documentation stay. A message calls a constructor by its class, all else by its name.
    """
    _, owner, name = (".." + function.__qualname__).rsplit(".", 2)
    called = owner if name == "__init__" else name
    known = {p.name: p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD}

    @functools.wraps(function)
    def checked(*args: P.args, **options: P.kwargs) -> R:
        if not options.keys() <= known.keys():
            known_arguments(called, options, known)
        return function(*args, **options)

    return checked


_warns = ContextVar("warns", default=True)


@contextmanager
def no_warnings() -> Iterator[None]:
    """Leave out the warnings of this module; in this thread only, other than ``warnings.catch_warnings``."""
    token = _warns.set(False)
    try:
        yield
    finally:
        _warns.reset(token)


def warn(message: str) -> None:
    """Warn, at the line outside of this package that led here."""
    if not _warns.get():
        return
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


ARRAY_PROTOCOLS = ("__array__", "__array_interface__", "__dlpack__")


def is_array(value: Any) -> bool:
    """Return whether a value has one of NumPy's protocols for arrays, or DLPack: a tensor of PyTorch, a JAX array."""
    return isinstance(value, np.ndarray) or any(hasattr(value, protocol) for protocol in ARRAY_PROTOCOLS)


def as_array(name: str, value: Any) -> Array:
    """Return an array of what the user gives; ``name`` is the argument.

    Arrays of other libraries in this process's memory are not copied: CPU tensors of PyTorch, JAX arrays, which are
    read-only, and whatever has ``__array__``, ``__array_interface__`` or ``__dlpack__``. The columns of a frame of
    pandas or polars stand side by side, in their order.

    Raises
    ------
    ValueError
        On lists of unequal lengths.
    TypeError
        On what an ndarray cannot say: masked arrays, also inside lists, missing values and columns without numbers of
        pandas and polars, tensors that require a gradient or lie on another device, and on numpy.matrix, whose products
        and axes are others.
    """
    if type(value) is np.ndarray:
        return value
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        return _of_frame(name, value, [value.iloc[:, i] for i in range(value.shape[1])])
    if hasattr(value, "columns") and hasattr(value, "get_columns"):
        return _of_frame(name, value, value.get_columns())
    if hasattr(value, "dtype") and (hasattr(value, "isna") or hasattr(value, "null_count")):
        return _of_column(name, value)
    _refuse(name, value)
    if getattr(value, "requires_grad", False):
        wanted = f"an array, or a tensor without gradient, is required ({name}.detach() is one"
        raise TypeError(
            f"{name}: {wanted}; autograd goes through the modules of rnnfast.interop.torch), got requires_grad"
        )
    try:
        by_dlpack = hasattr(value, "__dlpack__") and not any(hasattr(value, p) for p in ARRAY_PROTOCOLS[:2])
        return np.from_dlpack(value) if by_dlpack else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: an array, or lists of equal lengths, is required, got others: {error}") from None
    except (TypeError, RuntimeError, BufferError) as error:
        raise TypeError(f"{name}: an array is required, got {type(value).__name__}: {error}") from None


def _refuse(name: str, value: Any) -> None:
    """Raise TypeError for masked arrays and matrices, also inside lists."""
    if isinstance(value, np.ma.MaskedArray):
        wanted = "an array without a mask is required (lengths or sample_weight say what does not count)"
        raise TypeError(f"{name}: {wanted}, got a masked array")
    if isinstance(value, np.matrix):
        raise TypeError(f"{name}: an ndarray is required (np.asarray makes one), got a numpy.matrix")
    if isinstance(value, list | tuple):
        kinds = tuple(k for k in set(map(type, value)) if issubclass(k, list | tuple | np.ma.MaskedArray | np.matrix))
        for i, item in enumerate(value if kinds else ()):
            if isinstance(item, kinds):
                _refuse(f"{name}[{i}]", item)


def _of_column(name: str, column: Any) -> Array:
    """Return the values of a column of pandas or polars, whose dtypes know numbers that are missing."""
    if isinstance(column.dtype, np.dtype):
        return np.asarray(column)
    of_polars = hasattr(column, "null_count")
    if column.null_count() if of_polars else np.any(column.isna()):
        wanted = "values without gaps are required (lengths or sample_weight say what does not count)"
        raise TypeError(f"{name}: {wanted}, got missing ones in dtype {column.dtype}")
    if of_polars:
        return np.asarray(column.to_numpy())
    return np.asarray(column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", object)))


def _of_frame(name: str, frame: Any, columns: list[Any]) -> Array:
    """Return the columns (T,) of a frame of pandas or polars side by side, (T, C)."""
    arrays = []
    for label, column in zip(frame.columns, columns, strict=True):
        array = _of_column(f"{name}[{label!r}]", column)
        if array.dtype.kind not in "fiub" or array.ndim != 1:
            raise TypeError(f"{name}[{label!r}]: real numbers are required, got a column of dtype {column.dtype}")
        arrays.append(array)
    return np.stack(arrays, axis=1) if arrays else np.zeros(frame.shape)


def array_or_items(name: str, x: Any) -> Array | list[Any]:
    """Return an array where ``x`` is one (NumPy, PyTorch, pandas, ...), else the list of its items."""
    if is_array(x):
        array = as_array(name, x)
        return list(array) if array.dtype == object and array.ndim else array
    if isinstance(x, str | bytes) or not np.iterable(x):
        raise TypeError(f"{name}: an array or a list of arrays is required, got {shown(x)}")
    return unpacked(name, x)


def unpacked(name: str, x: Iterable[Any]) -> list[Any]:
    """Return the items of a sequence, or of a PackedSequence of PyTorch the arrays (T_i, ...) that are packed in it."""
    if not isinstance(x, tuple) or not hasattr(x, "batch_sizes"):
        return list(x)
    values, sizes = as_array(f"{name}.data", x.data), as_array(f"{name}.batch_sizes", x.batch_sizes)  # type: ignore[attr-defined]
    starts = np.cumsum(sizes) - sizes
    items = [values[starts[sizes > n] + n] for n in range(int(sizes.max(initial=0)))]
    order = x.unsorted_indices  # type: ignore[attr-defined]
    return items if order is None else [items[i] for i in as_array(f"{name}.unsorted_indices", order)]


def as_reals(name: str, value: Any, dtype: DType, *, counts: Array | None = None) -> Array:
    """Return real numbers as a C-contiguous array of ``dtype``.

    ``counts``, bool of a shape that broadcasts, says which numbers anybody reads; by default all.

    Raises
    ------
    ValueError
        On a number that is finite, but not in ``dtype``.
    TypeError
        On anything but real numbers.
    """
    array = as_array(name, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: real numbers are required, got dtype {array.dtype}")
    if array.dtype == dtype:
        return np.asarray(array, order="C")
    try:
        with np.errstate(over="raise"):
            return np.asarray(array, dtype, order="C")
    except FloatingPointError:
        pass
    with np.errstate(over="ignore"):
        rounded = np.asarray(array, dtype, order="C")
    beyond = np.isinf(rounded) & np.isfinite(array)
    if counts is not None:
        beyond &= counts
    if beyond.any():
        index = tuple(map(int, np.argwhere(beyond)[0]))
        wanted = f"numbers within {dtype} (+-{np.finfo(dtype).max:.3g}) are required"
        raise ValueError(f"{name}: {wanted}, got {array[index]:.6g} at index {index}")
    return rounded


def as_lengths(name: str, lengths: Any, count: int, longest: int) -> Int64:
    """Return the lengths (N,) of N = ``count`` sequences, each within 0..T = ``longest``, as C-contiguous int64."""
    values = as_array(name, lengths)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name}: integers (N,) are required, got dtype {values.dtype}")
    if values.shape != (count,):
        raise ValueError(f"{name}: shape (N,) = ({count},) is required, got {values.shape}")
    outside = np.flatnonzero((values < 0) | (values > longest))
    if outside.size:
        i = int(outside[0])
        raise ValueError(f"{name}: values 0..T (T = {longest}) are required, got {values[i]} at index {i}")
    return np.require(values, np.int64, ("C", "A"))


def shown(value: Any) -> str:
    """Return what a message says of a value: of an array its shape, of anything else at most 60 characters."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {shape}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

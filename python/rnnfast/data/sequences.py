"""One container for every way a user may hold sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]
DType = np.dtype[Any]


class Sequences:
    """N sequences of unequal length, stored end to end.

    Sequence ``n`` is ``values[offsets[n] : offsets[n] + lengths[n]]``. Sequences may overlap in ``values``,
    so that a sequence without its last element, or a long array cut into streams, needs no copy.

    Parameters
    ----------
    values : ndarray (total, C) or (total,)
        All elements.
    offsets, lengths : int64 (N,)
        First element and number of elements of each sequence.
    ragged : bool
        Whether the user gave a list or lengths; results then are lists.

    Examples
    --------
    >>> import numpy as np
    >>> s = as_id_sequences([[3, 1, 4], [1, 5]], 6).select(np.array([1, 0]))
    >>> s.flat().tolist(), s.padded().tolist()
    ([1, 5, 3, 1, 4], [[1, 5, 0], [3, 1, 4]])
    """

    def __init__(self, values: Array, offsets: Int64, lengths: Int64, *, ragged: bool) -> None:
        self.values = values
        self.offsets = offsets
        self.lengths = lengths
        self.ragged = ragged

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.offsets)

    @property
    def count(self) -> int:
        """Number R of all elements: the sum of the lengths."""
        return int(self.lengths.sum())

    @property
    def steps(self) -> int:
        """The longest length T; 0 without sequences."""
        return int(self.lengths.max(initial=0))

    def select(self, index: Int64) -> Sequences:
        """Return the sequences numbered by ``index``."""
        return Sequences(self.values, self.offsets[index], self.lengths[index], ragged=self.ragged)

    def without_last(self) -> Sequences:
        """Return every sequence without its last element."""
        return Sequences(self.values, self.offsets, np.maximum(self.lengths - 1, 0), ragged=self.ragged)

    def without(self, counts: Int64) -> Sequences:
        """Return every sequence without its first ``counts`` (N,) elements, of which it has as many."""
        return Sequences(self.values, self.offsets + counts, self.lengths - counts, ragged=self.ragged)

    def without_first(self) -> Sequences:
        """Return every sequence without its first element."""
        return self.without(np.minimum(self.lengths, 1))

    def piece(self, start: int, stop: int | None) -> Sequences:
        """Return steps ``start..stop`` of every sequence; None stands for its end."""
        ends = self.lengths if stop is None else np.minimum(self.lengths, stop)
        begins = np.minimum(start, self.lengths)
        return Sequences(self.values, self.offsets + begins, np.maximum(ends - start, 0), ragged=self.ragged)

    def like(self, values: Array) -> Sequences:
        """Return sequences of the same lengths with the given elements (R, ...), sequence after sequence."""
        return Sequences(values, np.cumsum(self.lengths) - self.lengths, self.lengths, ragged=self.ragged)

    def positions(self) -> Int64:
        """Return where the elements lie in ``values`` (R,), sequence after sequence."""
        shifts = self.offsets - (np.cumsum(self.lengths) - self.lengths)
        return np.repeat(shifts, self.lengths) + np.arange(self.count, dtype=np.int64)

    def flat(self) -> Array:
        """Return the elements (R, ...), sequence after sequence; a view where ``values`` holds them like that."""
        count = self.count
        if count == 0:
            return self.values[:0]
        ends = self.offsets + self.lengths
        filled = self.lengths > 0
        if np.array_equal(self.offsets[filled][1:], ends[filled][:-1]):
            first = int(self.offsets[filled][0])
            return self.values[first : first + count]
        return self.values[self.positions()]

    def padded(self) -> Array:
        """Return the sequences as one array (N, T, ...) with zeros past the lengths."""
        exists = np.arange(self.steps) < self.lengths[:, None]
        if exists.all():
            return self.flat().reshape(len(self), self.steps, *self.values.shape[1:])
        array = np.zeros((*exists.shape, *self.values.shape[1:]), self.values.dtype)
        array[exists] = self.flat()
        return array

    def unpadded(self, array: Array) -> Array:
        """Return the elements (R, ...) of an array (N, T, ...) laid out as ``padded`` does."""
        exists = np.arange(self.steps) < self.lengths[:, None]
        if exists.all():
            return array.reshape(self.count, *array.shape[2:])
        return array[exists]

    def split(self, values: Array) -> Array | list[Array]:
        """Give rows that belong to the elements, sequence after sequence, the shape the user's data had.

        ``values`` is (sum of lengths, ...); the result is (N, T, ...) or, for ragged data, N arrays.
        """
        if not self.ragged:
            return values.reshape(len(self), self.steps, *values.shape[1:])
        return np.split(values, np.cumsum(self.lengths)[:-1]) if len(self) else []


def as_id_sequences(
    x: Array | Sequence[Any],
    vocabulary: int,
    *,
    lengths: npt.ArrayLike | None = None,
    name: str = "x",
    size: str = "input_size",
) -> Sequences:
    """Convert integer ids, (N, T) or a list of 1-D arrays, and check ``0 <= id < vocabulary`` (the user's ``size``).

    Raises
    ------
    TypeError
        Values that are no integers.
    ValueError
        Another shape, an id out of range, lengths that do not fit.
    """
    vocabulary, name, size = checks.as_size("vocabulary", vocabulary), *_named(name, size)
    wanted = f"integer ids (N, T) or a list of 1-D arrays (ids 0..{vocabulary - 1})"
    x = array_or_items(name, x)
    if isinstance(x, np.ndarray):
        _check_rank(name, x, 2, wanted, "(N, T)")
        result = _from_array(_ids(name, x).reshape(-1), x.shape[0], x.shape[1], lengths)
    else:
        _no_lengths(name, lengths)
        items = [_ids(f"{name}[{n}]", item) for n, item in enumerate(x)]
        for n, item in enumerate(items):
            _check_rank(f"{name}[{n}]", item, 1, "integer ids (T,)", "(T,)")
        result = joined(items, np.zeros(0, np.int64))
    _check_ids(name, result, vocabulary, size)
    return result


def as_real_sequences(
    x: Array | Sequence[Any],
    features: int,
    dtype: DType,
    *,
    lengths: npt.ArrayLike | None = None,
    name: str = "x",
    size: str = "input_size",
) -> Sequences:
    """Convert real sequences, (N, T, C) or a list of (T_i, C) arrays, to ``dtype``.

    With C = 1 the last axis may be left out. C is the user's ``size``.

    Raises
    ------
    TypeError
        Values that are no real numbers.
    ValueError
        Another shape, lengths that do not fit.
    """
    features, dtype, name, size = checks.as_size("features", features), checks.as_dtype(dtype), *_named(name, size)
    x = array_or_items(name, x)
    if isinstance(x, np.ndarray):
        if features == 1 and x.ndim == 2:
            x = x[..., None]
        _check_rank(name, x, 3, f"shape (N, T, C) with C = {features}", "(N, T, C)")
        _check_features(name, x, features, size)
        N, T, _ = x.shape
        counts = None
        if lengths is not None:
            counts = np.arange(T)[:, None] < checks.as_lengths("lengths", lengths, N, T)[:, None, None]
        return _from_array(checks.as_reals(name, x, dtype, counts=counts).reshape(-1, features), N, T, lengths)
    _no_lengths(name, lengths)
    items = []
    for n, raw in enumerate(x):
        item = checks.as_reals(f"{name}[{n}]", raw, dtype)
        if features == 1 and item.ndim == 1:
            item = item[:, None]
        _check_rank(f"{name}[{n}]", item, 2, f"shape (T, C) with C = {features}", "(T, C)")
        _check_features(f"{name}[{n}]", item, features, size)
        items.append(item)
    return joined(items, np.zeros((0, features), dtype))


def check_finite(name: str, s: Sequences, dtype: DType, *, warns: bool = False) -> None:
    """Raise ValueError, or warn, where a number of a sequence is NaN, infinite or beyond ``dtype``.

    What lies past a sequence's end does not count.
    """
    if s.values.dtype.kind != "f":
        return
    rows = s.values[:, None] if s.values.ndim == 1 else s.values
    with np.errstate(over="ignore"):
        finite = np.isfinite(rows.astype(dtype, copy=False))
    if finite.all():
        return
    wrong = np.flatnonzero(~finite.all(axis=1))
    first = np.searchsorted(wrong, s.offsets)
    found = np.flatnonzero(first < np.searchsorted(wrong, s.offsets + s.lengths))
    if len(found):
        n = int(found[0])
        row = int(wrong[first[n]])
        _not_finite(name, rows[row], finite[row], f"sequence {n} at step {row - int(s.offsets[n])}", warns=warns)


def check_finite_rows(name: str, rows: Array, *, weights: Array | None = None, warns: bool = False) -> None:
    """Raise ValueError, or warn, where the numbers (N, K) of a sequence are NaN or infinite.

    Those of weight 0 do not count.
    """
    finite = np.isfinite(rows) if rows.dtype.kind == "f" else np.ones(rows.shape, bool)
    if weights is not None:
        finite[weights == 0] = True
    if not finite.all():
        n = int(np.argmin(finite.all(axis=1)))
        _not_finite(name, rows[n], finite[n], f"sequence {n}", warns=warns)


def _not_finite(name: str, numbers: Array, finite: npt.NDArray[np.bool_], place: str, *, warns: bool) -> None:
    k = int(np.argmin(finite))
    number = f", number {k} of {len(numbers)}" if len(numbers) > 1 else ""
    message = f"{name}: finite numbers are required, got {numbers[k]} in {place}{number}"
    if not warns:
        raise ValueError(message)
    checks.warn(f"{message}; what is computed of this sequence means nothing")


def check_steps(name: str, s: Sequences) -> None:
    """Warn where several sequences of numbers have one step each, as data with their axes in another order do."""
    N = len(s)
    if N > 1 and s.values.ndim == 2 and s.lengths.min() == 1 == s.lengths.max():
        C = s.values.shape[1]
        checks.warn(
            f"{name}: sequences of more than one step are required for a recurrence to act, got data that are read as "
            f"N = {N} sequences of T = 1 step of C = {C} numbers; a single sequence is {name}[None], (1, T, C)"
        )


def array_or_items(name: str, x: Any) -> Array | list[Any]:
    """Return an array where ``x`` is one (NumPy, PyTorch, pandas, ...), else the list of its items."""
    if hasattr(x, "__array__"):
        array = checks.as_array(name, x)
        return list(array) if array.dtype == object and array.ndim else array
    if isinstance(x, str | bytes) or not np.iterable(x):
        raise TypeError(f"{name}: an array or a list of arrays is required, got {checks.shown(x)}")
    return list(x)


def _from_array(values: Array, count: int, steps: int, lengths: npt.ArrayLike | None) -> Sequences:
    offsets = np.arange(count, dtype=np.int64) * steps
    if lengths is None:
        return Sequences(values, offsets, np.full(count, steps, np.int64), ragged=False)
    return Sequences(values, offsets, checks.as_lengths("lengths", lengths, count, steps), ragged=True)


def joined(items: list[Array], empty: Array) -> Sequences:
    """Return arrays (T_i, ...) as sequences; ``empty`` (0, ...) has the dtype where there are none."""
    lengths = np.array([len(item) for item in items], np.int64)
    offsets = np.cumsum(lengths) - lengths
    return Sequences(np.concatenate([empty, *items]), offsets, lengths, ragged=True)


def _named(name: str, size: str) -> tuple[str, str]:
    return checks.as_text("name", name), checks.as_text("size", size)


def _no_lengths(name: str, lengths: npt.ArrayLike | None) -> None:
    if lengths is not None:
        raise ValueError(f"lengths: None is required beside a list {name}, which has its own lengths; got both")


def _check_rank(name: str, x: Array, rank: int, wanted: str, axes: str) -> None:
    if x.ndim > rank:
        raise ValueError(f"{name}: {wanted} is required, got shape {x.shape}; reshape it to {axes}")
    if x.ndim < rank:
        raise ValueError(f"{name}: {wanted} is required, got shape {x.shape}")


def _check_features(name: str, x: Array, features: int, size: str) -> None:
    if x.shape[-1] != features:
        raise ValueError(f"{name}: last axis C = {size} = {features} is required, got shape {x.shape}")


def _ids(name: str, given: Any) -> Int64:
    x = checks.as_array(name, given)
    if x.dtype.kind not in "iu" and x.size:
        raise TypeError(f"{name}: integer ids are required, got dtype {x.dtype}")
    if x.dtype.kind == "u" and x.max(initial=0) > checks.LARGEST:
        raise OverflowError(f"{name}: ids of at most 2^62 are required, got {x.max()}")
    return np.ascontiguousarray(x, np.int64)


def _check_ids(name: str, s: Sequences, vocabulary: int, size: str) -> None:
    ids = s.flat() if s.ragged else s.values
    if ids.size and not (ids.min() >= 0 and ids.max() < vocabulary):
        wrong = int(ids.min() if ids.min() < 0 else ids.max())
        raise ValueError(f"{name}: ids 0..{vocabulary - 1} ({size} = {vocabulary}) are required, got {wrong}")

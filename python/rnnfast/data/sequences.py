"""One container for every way a user may hold sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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
    >>> s = as_id_sequences([[3, 1, 4], [1, 5]], 6)
    >>> inputs, lengths = s.take(np.array([1, 0]))
    >>> inputs.tolist(), lengths.tolist()
    ([[1, 5, 0], [3, 1, 4]], [2, 3])
    """

    def __init__(self, values: Array, offsets: Int64, lengths: Int64, *, ragged: bool) -> None:
        self.values = values
        self.offsets = offsets
        self.lengths = lengths
        self.ragged = ragged

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.offsets)

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

    def cut(self, index: Int64, start: int = 0, stop: int | None = None) -> tuple[Int64, npt.NDArray[np.bool_]]:
        """Return where steps ``start..stop`` of some sequences lie in ``values``, and which of them exist.

        Both are (len(index), T) with T the longest piece; a step past a sequence's end points at row 0.
        """
        lengths = self.lengths[index] if stop is None else np.minimum(self.lengths[index], stop)
        counts = np.maximum(lengths - start, 0)
        steps = np.arange(counts.max(initial=0), dtype=np.int64)
        exists = steps < counts[:, None]
        return np.where(exists, self.offsets[index][:, None] + start + steps, 0), exists

    def take(self, index: Int64, start: int = 0, stop: int | None = None) -> tuple[Array, Int64 | None]:
        """Return steps ``start..stop`` of some sequences as one array, padded with zeros.

        Returns
        -------
        inputs : ndarray (len(index), T) or (len(index), T, C)
        lengths : int64 (len(index),) or None
            None when nothing is padded.
        """
        rows, exists = self.cut(index, start, stop)
        if rows.size == 0:
            return np.zeros((*rows.shape, *self.values.shape[1:]), self.values.dtype), None
        inputs = self.values[rows]
        if exists.all():
            return inputs, None
        inputs[~exists] = 0
        return inputs, exists.sum(axis=1, dtype=np.int64)

    def flat(self, index: Int64, start: int = 0, stop: int | None = None) -> Array:
        """Return the existing elements of ``take``, sequence after sequence, (M,) or (M, C)."""
        rows, exists = self.cut(index, start, stop)
        return self.values[rows[exists]]

    def split(self, values: Array) -> Array | list[Array]:
        """Give rows that belong to the elements, sequence after sequence, the shape the user's data had.

        ``values`` is (sum of lengths, ...); the result is (N, T, ...) or, for ragged data, N arrays.
        """
        if not self.ragged:
            return values.reshape(len(self), int(self.lengths.max(initial=0)), *values.shape[1:])
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
    wanted = f"integer ids (N, T) or a list of 1-D arrays (ids 0..{vocabulary - 1})"
    x = array_or_items(x)
    if isinstance(x, np.ndarray):
        _check_rank(name, x, 2, wanted, "(N, T)")
        result = _from_array(_ids(name, x).reshape(-1), x.shape[0], x.shape[1], lengths)
    else:
        _no_lengths(name, lengths)
        items = [_ids(f"{name}[{n}]", np.asarray(item)) for n, item in enumerate(x)]
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
    x = array_or_items(x)
    if isinstance(x, np.ndarray):
        x = _reals(name, x, dtype)
        if features == 1 and x.ndim == 2:
            x = x[..., None]
        _check_rank(name, x, 3, f"shape (N, T, C) with C = {features}", "(N, T, C)")
        _check_features(name, x, features, size)
        return _from_array(x.reshape(-1, features), x.shape[0], x.shape[1], lengths)
    _no_lengths(name, lengths)
    items = []
    for n, raw in enumerate(x):
        item = _reals(f"{name}[{n}]", np.asarray(raw), dtype)
        if features == 1 and item.ndim == 1:
            item = item[:, None]
        _check_rank(f"{name}[{n}]", item, 2, f"shape (T, C) with C = {features}", "(T, C)")
        _check_features(f"{name}[{n}]", item, features, size)
        items.append(item)
    return joined(items, np.zeros((0, features), dtype))


def check_lengths(name: str, lengths: npt.ArrayLike, count: int, longest: int) -> Int64:
    """Return ``lengths`` as int64 (N,) after checking ``0 <= lengths <= T``."""
    values = np.asarray(lengths)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name}: integers (N,) required, got dtype {values.dtype}")
    if values.shape != (count,):
        raise ValueError(f"{name}: shape (N,) = ({count},) required, got {values.shape}")
    if count and not (values.min() >= 0 and values.max() <= longest):
        wrong = int(values.min() if values.min() < 0 else values.max())
        raise ValueError(f"{name}: values 0..T (T = {longest}) required, got {wrong}")
    return values.astype(np.int64)


def array_or_items(x: Array | Sequence[Any]) -> Array | list[Any]:
    """Return an array where ``x`` is one (NumPy, PyTorch, pandas, ...), else the list of its items."""
    if not hasattr(x, "__array__"):
        return list(x)
    array = np.asarray(x)
    return list(array) if array.dtype == object else array


def _from_array(values: Array, count: int, steps: int, lengths: npt.ArrayLike | None) -> Sequences:
    offsets = np.arange(count, dtype=np.int64) * steps
    if lengths is None:
        return Sequences(values, offsets, np.full(count, steps, np.int64), ragged=False)
    return Sequences(values, offsets, check_lengths("lengths", lengths, count, steps), ragged=True)


def joined(items: list[Array], empty: Array) -> Sequences:
    """Return arrays (T_i, ...) as sequences; ``empty`` (0, ...) has the dtype where there are none."""
    lengths = np.array([len(item) for item in items], np.int64)
    offsets = np.cumsum(lengths) - lengths
    return Sequences(np.concatenate([empty, *items]), offsets, lengths, ragged=True)


def _no_lengths(name: str, lengths: npt.ArrayLike | None) -> None:
    if lengths is not None:
        raise ValueError(f"lengths: a list {name} has its own lengths, got both")


def _check_rank(name: str, x: Array, rank: int, wanted: str, axes: str) -> None:
    if x.ndim > rank:
        raise ValueError(f"{name}: {wanted} required, got shape {x.shape}; reshape it to {axes}")
    if x.ndim < rank:
        raise ValueError(f"{name}: {wanted} required, got shape {x.shape}")


def _check_features(name: str, x: Array, features: int, size: str) -> None:
    if x.shape[-1] != features:
        raise ValueError(f"{name}: last axis C = {size} = {features} required, got shape {x.shape}")


def _reals(name: str, x: Array, dtype: DType) -> Array:
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{name}: real numbers required, got dtype {x.dtype}")
    return np.ascontiguousarray(x, dtype)


def _ids(name: str, x: Array) -> Int64:
    if x.dtype.kind not in "iu" and x.size:
        raise TypeError(f"{name}: integer ids required, got dtype {x.dtype}")
    return np.ascontiguousarray(x, np.int64)


def _check_ids(name: str, s: Sequences, vocabulary: int, size: str) -> None:
    ids = s.flat(np.arange(len(s), dtype=np.int64)) if s.ragged else s.values
    if ids.size and not (ids.min() >= 0 and ids.max() < vocabulary):
        wrong = int(ids.min() if ids.min() < 0 else ids.max())
        raise ValueError(f"{name}: ids 0..{vocabulary - 1} ({size} = {vocabulary}) required, got {wrong}")

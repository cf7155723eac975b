"""Sequences in every way a user may hold them, and the arguments that accompany them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, DType, Int64
from rnnfast.data.container import Sequences, StoredSequences, is_mapped
from rnnfast.text import is_text

_BLOCK = 1 << 20  # numbers looked at together, in memory that does not grow with the data


def as_id_sequences(
    x: Array | Sequence[Any],
    vocabulary: int,
    *,
    lengths: npt.ArrayLike | None = None,
    name: str = "x",
    size: str = "input_size",
) -> Sequences:
    """Convert integer ids, (N, T) or a list of 1-D arrays, and check ``0 <= id < vocabulary`` (the user's ``size``).

    Those of a memory map are converted and checked when they are read, see ``StoredSequences``.

    Raises
    ------
    TypeError
        Values that are no integers.
    ValueError
        Another shape, an id out of range, lengths that do not fit.
    """
    vocabulary, name, size = checks.as_size("vocabulary", vocabulary), *_named(name, size)
    wanted = f"integer ids (N, T) or a list of 1-D arrays (ids 0..{vocabulary - 1})"
    x = checks.array_or_items(name, x)
    if isinstance(x, np.ndarray):
        _check_rank(name, x, 2, wanted, "(N, T)")
        if is_mapped(x):
            _check_integers(name, x)
            return _stored(x, lengths, partial(_read_ids, name=name, vocabulary=vocabulary, size=size))
        result = _from_array(_ids(name, x).reshape(-1), x.shape[0], x.shape[1], lengths)
    else:
        _no_lengths(name, lengths)
        mapped = any(map(is_mapped, x))
        items = [_check_integers(f"{name}[{n}]", i) if mapped else _ids(f"{name}[{n}]", i) for n, i in enumerate(x)]
        for n, item in enumerate(items):
            _check_rank(f"{name}[{n}]", item, 1, "integer ids (T,)", "(T,)")
        if mapped:
            return _stored(items, None, partial(_read_ids, name=name, vocabulary=vocabulary, size=size))
        result = joined(items, np.zeros(0, np.int64))
    _check_ids(name, result.flat() if result.ragged else result.values, vocabulary, size)
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

    With C = 1 the last axis may be left out. C is the user's ``size``. Numbers of a memory map are converted when they
    are read, see ``StoredSequences``.

    Raises
    ------
    TypeError
        Values that are no real numbers.
    ValueError
        Another shape, lengths that do not fit.
    """
    features, dtype, name, size = checks.as_size("features", features), checks.as_dtype(dtype), *_named(name, size)
    x = checks.array_or_items(name, x)
    if isinstance(x, np.ndarray):
        if features == 1 and x.ndim == 2:
            x = x[..., None]
        _check_rank(name, x, 3, f"shape (N, T, C) with C = {features}", "(N, T, C)")
        _check_features(name, x, features, size)
        if is_mapped(x):
            return _stored(_check_reals(name, x), lengths, partial(_read_reals, dtype=dtype))
        N, T, _ = x.shape
        counts = None
        if lengths is not None:
            counts = np.arange(T)[:, None] < checks.as_lengths("lengths", lengths, N, T)[:, None, None]
        return _from_array(checks.as_reals(name, x, dtype, counts=counts).reshape(-1, features), N, T, lengths)
    _no_lengths(name, lengths)
    mapped, items = any(map(is_mapped, x)), []
    for n, raw in enumerate(x):
        item = _check_reals(f"{name}[{n}]", raw) if mapped else checks.as_reals(f"{name}[{n}]", raw, dtype)
        if features == 1 and item.ndim == 1:
            item = item[:, None]
        _check_rank(f"{name}[{n}]", item, 2, f"shape (T, C) with C = {features}", "(T, C)")
        _check_features(f"{name}[{n}]", item, features, size)
        items.append(item)
    if mapped:
        return _stored(items, None, partial(_read_reals, dtype=dtype))
    return joined(items, np.zeros((0, features), dtype))


def check_finite(name: str, s: Sequences, dtype: DType, *, warns: bool = False, missing: bool = False) -> bool:
    """Raise ValueError, or warn, where a number of a sequence is NaN, infinite or beyond ``dtype``.

    What lies past a sequence's end does not count; nor does NaN, where it is a ``missing`` value. Numbers of a memory
    map are checked when they are read. Return whether all numbers are finite.
    """
    if isinstance(s, StoredSequences):
        s.watch(partial(_check_read, name, warns=warns))
        return True
    if s.values.dtype.kind != "f":
        return True
    rows = s.values[:, None] if s.values.ndim == 1 else s.values
    block = max(1, _BLOCK // max(1, rows.shape[1]))
    if len(rows) > block and all(_finite(rows[i : i + block], dtype).all() for i in range(0, len(rows), block)):
        return True
    finite = _finite(rows, dtype)
    if finite.all():
        return True
    if missing:
        finite |= np.isnan(rows)
    wrong = np.flatnonzero(~finite.all(axis=1))
    first = np.searchsorted(wrong, s.offsets)
    found = np.flatnonzero(first < np.searchsorted(wrong, s.offsets + s.lengths))
    if len(found):
        n = int(found[0])
        row = int(wrong[first[n]])
        _not_finite(name, rows[row], finite[row], f"sequence {n} at step {row - int(s.offsets[n])}", warns=warns)
    return False


def _check_read(name: str, s: StoredSequences, rows: Array, *, warns: bool, missing: bool = False) -> None:
    """Raise ValueError, or warn, where one of the numbers (R, ...) that were read of ``s`` is not finite.

    NaN does not count, where it is a ``missing`` value.
    """
    finite = np.isfinite(rows) if rows.dtype.kind == "f" else np.ones(1, bool)
    if missing and not finite.all():
        finite |= np.isnan(rows)
    if not finite.all():
        finite, numbers = finite.reshape(len(rows), -1), rows.reshape(len(rows), -1)
        row = int(np.argmin(finite.all(axis=1)))
        n, step = s.place(row)
        _not_finite(name, numbers[row], finite[row], f"sequence {n} at step {step}", warns=warns)


def _finite(numbers: Array, dtype: DType) -> npt.NDArray[np.bool_]:
    """Return which numbers are finite in ``dtype``."""
    if numbers.dtype == dtype:
        return np.asarray(np.isfinite(numbers))
    with np.errstate(over="ignore"):
        return np.asarray(np.isfinite(numbers.astype(dtype)))


def check_finite_rows(
    name: str, rows: Array, *, weights: Array | None = None, warns: bool = False, missing: bool = False
) -> bool:
    """Raise ValueError, or warn, where the numbers (N, K) of a sequence are NaN or infinite.

    Those of weight 0 do not count; nor does NaN, where it is a ``missing`` value. Return whether all others are finite.
    """
    if rows.dtype.kind != "f":
        return True
    finite = np.isfinite(rows)
    if weights is not None:
        finite[weights == 0] = True
    if finite.all():
        return True
    if missing:
        finite |= np.isnan(rows)
    if not finite.all():
        n = int(np.argmin(finite.all(axis=1)))
        _not_finite(name, rows[n], finite[n], f"sequence {n}", warns=warns)
    return False


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
    if N > 1 and len(s.shape) == 1 and s.lengths.min() == 1 == s.lengths.max():
        C = s.shape[0]
        checks.warn(
            f"{name}: sequences of more than one step are required for a recurrence to act, got data that are read as "
            f"N = {N} sequences of T = 1 step of C = {C} numbers; a single sequence is {name}[None], (1, T, C)"
        )


def _from_array(values: Array, count: int, steps: int, lengths: npt.ArrayLike | None) -> Sequences:
    offsets = np.arange(count, dtype=np.int64) * steps
    if lengths is None:
        return Sequences(values, offsets, np.full(count, steps, np.int64), ragged=False)
    return Sequences(values, offsets, checks.as_lengths("lengths", lengths, count, steps), ragged=True)


def _stored(
    store: Array | list[Array], lengths: npt.ArrayLike | None, convert: Callable[[Array], Array]
) -> StoredSequences:
    """Return the sequences of an array (N, T, ...), with ``lengths`` of them, or of a list of arrays (T_i, ...)."""
    found = np.array([len(item) for item in store], np.int64)
    ragged = lengths is not None or isinstance(store, list)
    if lengths is not None:
        found = checks.as_lengths("lengths", lengths, len(found), int(found.max(initial=0)))
    numbers = np.arange(len(found), dtype=np.int64)
    return StoredSequences(store, numbers, np.zeros_like(numbers), found, ragged=ragged, convert=convert)


def _check_reals(name: str, given: Any) -> Array:
    x = checks.as_array(name, given)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{name}: real numbers are required, got dtype {x.dtype}")
    return x


def _read_reals(rows: Array, *, dtype: DType) -> Array:
    with np.errstate(over="ignore"):  # the check of finite numbers finds them and knows their place
        return rows.astype(dtype, copy=False)


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


def _check_integers(name: str, given: Any) -> Array:
    x = checks.as_array(name, given)
    if x.dtype.kind not in "iu" and x.size:
        raise TypeError(f"{name}: integer ids are required, got dtype {x.dtype}")
    return x


def _read_ids(rows: Array, *, name: str, vocabulary: int, size: str) -> Int64:
    ids = _ids(name, rows)
    _check_ids(name, ids, vocabulary, size)
    return ids


def _ids(name: str, given: Any) -> Int64:
    x = _check_integers(name, given)
    if x.dtype.kind == "u" and x.max(initial=0) > checks.LARGEST:
        raise OverflowError(f"{name}: ids of at most 2^62 are required, got {x.max()}")
    return np.ascontiguousarray(x, np.int64)


def _check_ids(name: str, ids: Int64, vocabulary: int, size: str) -> None:
    if ids.size and ids.view(np.uint64).max() >= vocabulary:  # as unsigned numbers, those below 0 are the largest
        wrong = int(ids.min() if ids.min() < 0 else ids.max())
        raise ValueError(f"{name}: ids 0..{vocabulary - 1} ({size} = {vocabulary}) are required, got {wrong}")


def step_count(x: Any, inputs: Sequences) -> int:
    """Return T of an array ``x``, or the longest sequence's of a list or of texts; ``inputs`` is what became of it."""
    array = None if is_text(x) else checks.array_or_items("x", x)
    return array.shape[1] if isinstance(array, np.ndarray) else int(inputs.lengths.max(initial=0))


def step_values(values: Any, inputs: Sequences, steps: int, *, width: int | None, name: str) -> Array:
    """Return the values of all existing steps, sequence after sequence, in the dtype they have.

    Parameters
    ----------
    values : array (N, T) or (N, T, K), or a list of N arrays (T_n,) or (T_n, K)
        Of an array nothing past a sequence's length is read; a list has the sequences' own lengths. They have the
        gaps of the inputs, where nothing is read.
    inputs : Sequences
        The N sequences.
    steps : int
        T of an array.
    width : int or None
        Numbers K of a step; None for values without an axis of their own. For K = 1 the axis may be left out.
    name : str
        Of the values, for messages.

    Returns
    -------
    ndarray (M,) or (M, K), M = sum of lengths

    Raises
    ------
    ValueError
        Another shape, another number of sequences, another length.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.data import as_id_sequences
    >>> s = as_id_sequences([[3, 1, 4], [1]], 6)
    >>> step_values(np.array([[7, 8, 9], [5, -1, -1]]), s, 3, width=None, name="y").tolist()
    [7, 8, 9, 5]
    >>> step_values([[7, 8, 9], [5]], s, 3, width=None, name="y").tolist()
    [7, 8, 9, 5]
    """
    values = checks.array_or_items(name, values) if inputs.gaps is None else inputs.gaps.drop(name, values)
    if isinstance(values, np.ndarray):
        whole = _fitted(values, (len(inputs), steps), width, name)
        return whole[np.arange(steps) < inputs.lengths[:, None]]
    _check_entries(values, inputs, name)
    items = [
        _fitted(checks.as_array(f"{name}[{n}]", item), (int(length),), width, f"{name}[{n}]")
        for n, (item, length) in enumerate(zip(values, inputs.lengths, strict=True))
    ]
    filled = [item for item in items if len(item)]
    return np.concatenate(filled) if filled else np.zeros((0,) if width is None else (0, width))


def _check_entries(values: list[Any], inputs: Sequences, name: str) -> None:
    if len(values) != len(inputs):
        raise ValueError(f"{name}: an entry for every sequence is required (N = {len(inputs)}), got {len(values)}")


def _fitted(values: Array, steps: tuple[int, ...], width: int | None, name: str) -> Array:
    """Return values of shape ``(*steps, width)`` after checking that they have it, but for what may be left out."""
    shape = steps if width is None else (*steps, width)
    if values.shape == shape:
        return values
    if width == 1 and values.shape == steps:
        return values[..., None]
    if values.shape == (0,) and steps[0] == 0:
        return values.reshape(shape)
    axes = ("(T" if len(steps) == 1 else "(N, T") + (")" if width is None else ", K)")
    raise ValueError(f"{name}: a value for every step is required, shape {axes} = {shape}, got {values.shape}")


def as_one(x: Any, features: int | None, name: str = "x") -> Array | None:
    """Return ``x``, called ``name``, as an array when it is a single sequence, None when it holds many.

    A single sequence of ids (``features`` None) is 1-D; of vectors (T, C), and for C = 1 also 1-D.

    Examples
    --------
    >>> as_one([3, 1, 4], None)
    array([3, 1, 4])
    >>> as_one([[3, 1, 4], [1, 5]], None) is None
    True
    """
    if not checks.is_array(x):
        x = list(x) if np.iterable(x) else [x]
        if not x or np.ndim(x[0]) > 0:
            return None
    array = checks.as_array(name, x)
    if array.dtype == object:
        return None
    if array.ndim <= 1:
        one = np.atleast_1d(array)
        return one if features is None else one[:, None] if features == 1 else None
    if features is not None and array.ndim == 2 and array.shape[1] == features:
        return array
    return None


def as_streams(one: Sequences, count: int, name: str) -> Sequences:
    """Cut a single long sequence into ``count`` streams that cover it side by side.

    Neighbours share one element: the last one's target is the next one's first input.

    Examples
    --------
    >>> import numpy as np
    >>> one = Sequences(np.arange(8), np.array([0]), np.array([8]), ragged=False)
    >>> s = as_streams(one, 3, "x")
    >>> [s.select(np.array([n])).flat().tolist() for n in range(3)]
    [[0, 1, 2, 3], [3, 4, 5], [5, 6, 7]]
    """
    steps = int(one.lengths[0]) - 1
    if steps < count:
        raise ValueError(
            f"{name}: at least batch_size + 1 = {count + 1} elements are required to cut it into streams, "
            f"got {steps + 1}"
        )
    lengths = np.full(count, steps // count, np.int64)
    lengths[: steps % count] += 1
    return one.parts(np.zeros(count, np.int64), np.cumsum(lengths) - lengths, lengths + 1)


def as_pieces(tbptt: Any, burn_in: Any, *, bidirectional: bool) -> tuple[int | None, int]:
    """Return the steps of a piece, None for whole sequences, and the first steps without a loss, checked."""
    steps = None if tbptt is None else checks.as_size("tbptt", tbptt)
    if steps is not None and bidirectional:
        raise ValueError(
            f"tbptt: None is required for a bidirectional model, which reads from the end too; got {tbptt}"
        )
    return steps, checks.as_integer("burn_in", burn_in, least=0)


def as_resets(resets: Any, inputs: Sequences, steps: int) -> Sequences | None:
    """Return resets of all existing steps; ``steps`` is T of an array."""
    if resets is None:
        return None
    each = step_values(resets, inputs, steps, width=None, name="resets")
    if each.dtype != bool and len(each):
        raise TypeError(f"resets: dtype bool is required, got {each.dtype}")
    return inputs.like(each.astype(bool))


def as_context(
    context: npt.ArrayLike | None, size: int | None, count: int, dtype: DType, *, warns: bool = False
) -> Array | None:
    """Return the contexts (N, K) of N sequences in the model's dtype; an error, or a warning, where one is NaN."""
    if size is None:
        if context is not None:
            raise ValueError("context: None is required (context_size is None), got one")
        return None
    if context is None:
        raise ValueError(f"context: shape (N, context_size) = ({count}, {size}) is required, got None")
    values = checks.as_reals("context", context, dtype)
    if values.shape != (count, size):
        raise ValueError(f"context: shape (N, context_size) = ({count}, {size}) is required, got {values.shape}")
    check_finite_rows("context", values, warns=warns)
    return values


def stored_targets(
    values: Any,
    inputs: Sequences,
    steps: int,
    *,
    width: int | None,
    name: str,
    convert: Callable[[Array], Array],
    missing: bool,
) -> Sequences | None:
    """Return the targets of all existing steps where they are memory maps, which are read when they are needed.

    ``convert`` checks elements (R, ...) and makes targets of them; ``missing``: whether NaN is a missing value; the
    other arguments are those of ``step_values``. None stands for targets in memory.
    """
    given = checks.array_or_items(name, values)
    store: Array | list[Array]
    if isinstance(given, np.ndarray):
        if not is_mapped(given):
            return None
        store = _fitted(given, (len(inputs), steps), width, name)
    else:
        if not any(map(is_mapped, given)):
            return None
        _check_entries(given, inputs, name)
        store = [
            _fitted(checks.as_array(f"{name}[{n}]", item), (length,), width, f"{name}[{n}]")
            for n, (item, length) in enumerate(zip(given, inputs.lengths.tolist(), strict=True))
        ]
    numbers = np.arange(len(inputs), dtype=np.int64)
    found = StoredSequences(store, numbers, np.zeros_like(numbers), inputs.lengths, ragged=True, convert=convert)
    found.watch(partial(_check_read, name, warns=False, missing=missing))
    return found

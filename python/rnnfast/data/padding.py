"""Sequences of unequal length as one array: padding, and batches with little of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, Int64
from rnnfast.checks import names_arguments
from rnnfast.data.batches import batch_indices


@names_arguments
def pad(sequences: Any, *, length: int | None = None, value: float = 0, left: bool = False) -> tuple[Array, Int64]:
    """Write sequences of unequal length into one array.

    Models take a list of sequences as it is, and compute none of the padding; ``pad`` serves what wants one array.

    Parameters
    ----------
    sequences : list of N arrays (T_i, ...)
        Of one dtype, or of dtypes with a common one.
    length : int or None
        T, at least the longest sequence's, which None stands for.
    value : number
        What stands where a sequence has no step.
    left : bool
        Whether the padding stands in front; ``from_left_padded`` is the way back.

    Returns
    -------
    x : ndarray (N, T, ...)
    lengths : int64 (N,)

    Raises
    ------
    ValueError
        No sequence, sequences of different features, or a ``length`` below the longest one's.

    Examples
    --------
    >>> import numpy as np
    >>> x, lengths = pad([np.array([3, 1, 4]), np.array([1])], value=-1)
    >>> x.tolist(), lengths.tolist()
    ([[3, 1, 4], [1, -1, -1]], [3, 1])
    """
    items = _items(sequences)
    left, lengths = checks.as_flag("left", left), np.array([len(item) for item in items], np.int64)
    longest = int(lengths.max())
    steps = longest if length is None else checks.as_integer("length", length, least=longest)
    dtype = np.result_type(*items)
    filler = checks.as_number("value", value, "a number", lambda _: True)
    if dtype.kind != "f" and not filler.is_integer():
        raise ValueError(f"value: an integer is required for sequences of dtype {dtype}, got {value}")
    x = np.full((len(items), steps, *items[0].shape[1:]), filler, dtype)
    for row, item in zip(x, items, strict=True):
        row[steps - len(item) if left else 0 :][: len(item)] = item
    return x, lengths


@names_arguments
def bucketed(
    sequences: Any, batch_size: int, *, shuffle: bool = True, seed: int | None = None
) -> Iterator[tuple[Int64, Array, Int64]]:
    """Yield padded batches of sequences of similar length, as ``fit`` makes them.

    Among ``32 * batch_size`` shuffled sequences those of similar length share a batch, and the batches are shuffled: a
    batch holds little padding (see ``batch_indices``).

    Parameters
    ----------
    sequences : list of N arrays (T_i, ...)
    batch_size : int
        Sequences in a batch; the last one may have fewer.
    shuffle : bool
        Whether to shuffle; else the order is kept, and lengths do not matter.
    seed : int or None
        Seed of the shuffling. None draws another one every time.

    Yields
    ------
    index : int64 (B,)
        Which of the N sequences.
    x : ndarray (B, T, ...)
        They, with zeros past their lengths.
    lengths : int64 (B,)

    Examples
    --------
    A loop of your own:

    >>> import numpy as np
    >>> import rnnfast as rf
    >>> words, y = [np.ones((n, 2), np.float32) for n in (3, 2, 4, 2, 5)], np.array([0, 1, 0, 1, 0])
    >>> model, optimizer = rf.ManyToOne(2, 2, hidden_size=4, seed=0), rf.Adam()
    >>> _ = optimizer.bind(model.parameters())
    >>> for index, x, lengths in rf.data.bucketed(words, 2, seed=0):
    ...     model.zero_grad()
    ...     loss = model.loss_and_grad(x, y[index], lengths=lengths)
    ...     optimizer.step()
    """
    items, batch_size = _items(sequences), checks.as_size("batch_size", batch_size)
    seed = checks.as_seed(seed)
    rng = np.random.default_rng(seed) if checks.as_flag("shuffle", shuffle) else None
    groups = batch_indices(np.array([len(item) for item in items], np.int64), batch_size, rng)
    return ((index, *pad([items[i] for i in index])) for index in groups)


def _items(sequences: Any) -> list[Array]:
    given = checks.array_or_items("sequences", sequences)
    items = [checks.as_array(f"sequences[{n}]", item) for n, item in enumerate(given)]
    if not items:
        raise ValueError("sequences: at least one is required, got none")
    for n, item in enumerate(items):
        if item.ndim == 0 or item.shape[1:] != items[0].shape[1:]:
            wanted = f"shape (T, ...) with {items[0].shape[1:]} behind T"
            raise ValueError(f"sequences[{n}]: {wanted}, as in the first, is required, got {item.shape}")
        if item.dtype.kind not in "fiub":
            raise TypeError(f"sequences[{n}]: real numbers are required, got dtype {item.dtype}")
    return items


def from_left_padded(x: npt.ArrayLike, mask: npt.ArrayLike) -> tuple[Array, Int64]:
    """Move sequences that end at the last step to the front.

    Parameters
    ----------
    x : array (N, T, ...)
        Sequence n is ``x[n, T - length_n:]``.
    mask : bool (N, T)
        Whether a step exists; the steps of a sequence have no gaps.

    Returns
    -------
    x : ndarray (N, T, ...)
        A copy that begins with ``x[n, T - length_n:]``, zero from there on.
    lengths : int64 (N,)

    Raises
    ------
    ValueError
        On a mask of another shape, with gaps, or with padding at the end.
    TypeError
        On a mask that is not bool.

    Examples
    --------
    >>> from_left_padded([[0, 0, 7], [5, 6, 8]], [[False, False, True], [True, True, True]])
    (array([[7, 0, 0],
           [5, 6, 8]]), array([1, 3]))
    """
    values, exists = checks.as_array("x", x), checks.as_array("mask", mask)
    if exists.dtype != bool:
        raise TypeError(f"mask: dtype bool is required, got {exists.dtype}")
    if values.ndim < 2:
        raise ValueError(f"x: shape (N, T, ...) is required, got {values.shape}")
    if exists.shape != values.shape[:2]:
        raise ValueError(f"mask: shape (N, T) = {values.shape[:2]}, that of x, is required, got {exists.shape}")
    broken = (exists[:, :-1] & ~exists[:, 1:]).any(axis=1)
    if broken.any():
        n = int(broken.argmax())
        raise ValueError(f"mask: existing steps without gaps up to the last one are required, got others in row {n}")
    lengths = exists.sum(axis=1, dtype=np.int64)
    moved = np.zeros_like(values)
    moved[np.arange(values.shape[1]) < lengths[:, None]] = values[exists]
    return moved, lengths

"""Containers of sequences: in memory, and in files that are read as they are needed."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from rnnfast.arrays import Array, Int64
from rnnfast.data.gaps import Gaps

LONG = 64
"""Elements of a sequence from which on slices are copied faster than elements by their places."""


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

    Attributes
    ----------
    gaps : Gaps or None
        Where the user's sequences had steps that do not exist; these are sequences without them.

    Examples
    --------
    >>> import numpy as np
    >>> s = Sequences(np.array([3, 1, 4, 1, 5]), np.array([0, 3]), np.array([3, 2]), ragged=True)
    >>> s = s.select(np.array([1, 0]))
    >>> s.flat().tolist(), s.padded().tolist()
    ([1, 5, 3, 1, 4], [[1, 5, 0], [3, 1, 4]])
    """

    gaps: Gaps | None = None

    def __init__(self, values: Array, offsets: Int64, lengths: Int64, *, ragged: bool) -> None:
        self.values = values
        self.offsets = offsets
        self.lengths = lengths
        self.ragged = ragged

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.offsets)

    @cached_property
    def count(self) -> int:
        """Number R of all elements: the sum of the lengths."""
        return int(self.lengths.sum())

    @cached_property
    def steps(self) -> int:
        """The longest length T; 0 without sequences."""
        return int(self.lengths.max(initial=0))

    @cached_property
    def starts(self) -> Int64:
        """Where each sequence begins among the elements (R,), sequence after sequence."""
        starts: Int64 = np.cumsum(self.lengths) - self.lengths
        return starts

    @cached_property
    def _places(self) -> Int64 | None:
        """Where the elements lie among the N*T steps of an array (N, T); None where they are all of them."""
        if self.count == len(self) * self.steps:
            return None
        shifts = np.arange(len(self), dtype=np.int64) * self.steps - self.starts
        return np.repeat(shifts, self.lengths) + np.arange(self.count, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an element."""
        return self.values.shape[1:]

    def parts(self, index: Int64 | None, offsets: Int64, lengths: Int64) -> Sequences:
        """Return ``lengths`` (M,) elements from ``offsets`` (M,) on, counted as here, of the sequences ``index`` (M,).

        None stands for all sequences.
        """
        return Sequences(self.values, offsets, lengths, ragged=self.ragged)

    def select(self, index: Int64) -> Sequences:
        """Return the sequences numbered by ``index``."""
        return self.parts(index, self.offsets[index], self.lengths[index])

    def first(self, lengths: Int64) -> Sequences:
        """Return the first ``lengths`` (N,) elements of every sequence, of which it has as many."""
        return self.parts(None, self.offsets, lengths)

    def loaded(self) -> Sequences:
        """Return the sequences with all elements in memory, in ``values``."""
        return self

    def checked(self, check: Callable[[Array], Array]) -> Sequences:
        """Let ``check`` see all elements (R, ...) before anybody else does; an error of it says what is wrong."""
        check(self.flat())
        return self

    def without_last(self) -> Sequences:
        """Return every sequence without its last element."""
        return self.first(np.maximum(self.lengths - 1, 0))

    def without(self, counts: Int64) -> Sequences:
        """Return every sequence without its first ``counts`` (N,) elements, of which it has as many."""
        return self.parts(None, self.offsets + counts, self.lengths - counts)

    def without_first(self) -> Sequences:
        """Return every sequence without its first element."""
        return self.without(np.minimum(self.lengths, 1))

    def piece(self, start: int, stop: int | None) -> Sequences:
        """Return steps ``start..stop`` of every sequence; None stands for its end."""
        if start == 0 and stop is None:
            return self
        ends = self.lengths if stop is None else np.minimum(self.lengths, stop)
        begins = np.minimum(start, self.lengths)
        return self.parts(None, self.offsets + begins, np.maximum(ends - start, 0))

    def like(self, values: Array) -> Sequences:
        """Return sequences of the same lengths with the given elements (R, ...), sequence after sequence."""
        return Sequences(values, self.starts, self.lengths, ragged=self.ragged)

    def positions(self) -> Int64:
        """Return where the elements lie in ``values`` (R,), sequence after sequence."""
        shifts = self.offsets - self.starts
        return np.repeat(shifts, self.lengths) + np.arange(self.count, dtype=np.int64)

    def flat(self) -> Array:
        """Return the elements (R, ...), sequence after sequence; a view where ``values`` holds them like that."""
        if len(self) == 1:
            return self.values[self.offsets[0] : self.offsets[0] + self.lengths[0]]
        if self.count == 0:
            return self.values[:0]
        shifts = (self.offsets - self.starts)[self.lengths > 0]
        if (shifts == shifts[0]).all():
            return self.values[shifts[0] : shifts[0] + self.count]
        if self.count > LONG * len(self):
            places = zip(self.offsets.tolist(), (self.offsets + self.lengths).tolist(), strict=True)
            return np.concatenate([self.values[start:stop] for start, stop in places])
        return self.values[self.positions()]

    def padded(self) -> Array:
        """Return the sequences as one array (N, T, ...) with zeros past the lengths."""
        return self.pad(self.flat())

    def pad(self, rows: Array) -> Array:
        """Return rows (R, ...) that belong to the elements as one array (N, T, ...) with zeros past the lengths."""
        if self._places is None:
            return rows.reshape(len(self), self.steps, *rows.shape[1:])
        array = np.zeros((len(self) * self.steps, *rows.shape[1:]), rows.dtype)
        array[self._places] = rows
        return array.reshape(len(self), self.steps, *rows.shape[1:])

    def split(self, values: Array) -> Array | list[Array]:
        """Give rows that belong to the elements, sequence after sequence, the shape the user's data had.

        ``values`` is (sum of lengths, ...); the result is (N, T, ...) or, for ragged data, N arrays. At gaps it is 0.
        """
        if self.gaps is not None:
            return self.gaps.fill(values)
        if not self.ragged:
            return values.reshape(len(self), self.steps, *values.shape[1:])
        return np.split(values, np.cumsum(self.lengths)[:-1]) if len(self) else []


class StoredSequences(Sequences):
    """Sequences whose elements stay where the user has them, in memory maps, until they are needed.

    Everything but the elements is known; ``flat`` and ``loaded`` read those of the sequences that were selected, and
    no others.

    Parameters
    ----------
    store : ndarray (S, T, ...) or a list of S ndarrays (T_s, ...)
        What the sequences are parts of.
    numbers : int64 (N,)
        The array of the store that each sequence is a part of.
    offsets, lengths : int64 (N,)
        First element in that array, and number of elements, of each sequence.
    ragged : bool
        As for ``Sequences``.
    convert : function
        Makes the elements of the model of those that were read, both (R, ...).

    Examples
    --------
    >>> import numpy as np
    >>> store = np.arange(6).reshape(2, 3)
    >>> index, starts = np.array([0, 1]), np.array([0, 0])
    >>> s = StoredSequences(store, index, starts, np.array([3, 2]), ragged=True, convert=np.float32)
    >>> s.without(np.array([1, 1])).flat()
    array([1., 2., 4.], dtype=float32)
    """

    def __init__(
        self,
        store: Array | Sequence[Array],
        numbers: Int64,
        offsets: Int64,
        lengths: Int64,
        *,
        ragged: bool,
        convert: Callable[[Array], Array],
    ) -> None:
        self.store = store
        self.numbers = numbers
        self.offsets = offsets
        self.lengths = lengths
        self.ragged = ragged
        self.convert = convert
        self._check: Callable[[StoredSequences, Array], None] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an element."""
        return self.store[0].shape[1:]

    def watch(self, check: Callable[[StoredSequences, Array], None]) -> None:
        """Let ``check`` see the elements (R, ...) whenever some are read, of these sequences and of their parts."""
        self._check = check

    def place(self, row: int) -> tuple[int, int]:
        """Return the number of the array in the store, and the step in it, of a row of ``flat``."""
        n = int(np.searchsorted(self.starts + self.lengths, row, side="right"))
        return int(self.numbers[n]), int(self.offsets[n] + row - self.starts[n])

    def parts(self, index: Int64 | None, offsets: Int64, lengths: Int64) -> StoredSequences:
        """Return ``lengths`` (M,) elements from ``offsets`` (M,) on, counted as here, of the sequences ``index`` (M,).

        None stands for all sequences.
        """
        numbers = self.numbers if index is None else self.numbers[index]
        found = StoredSequences(self.store, numbers, offsets, lengths, ragged=self.ragged, convert=self.convert)
        found._check = self._check
        return found

    def checked(self, check: Callable[[Array], Array]) -> StoredSequences:
        """Let ``check`` see elements (R, ...) before anybody else does, when they are read."""
        convert, found = self.convert, self.parts(None, self.offsets, self.lengths)
        found.convert = lambda rows: check(convert(rows))
        return found

    def flat(self) -> Array:
        """Read the elements (R, ...), sequence after sequence."""
        places = zip(self.numbers.tolist(), self.offsets.tolist(), self.lengths.tolist(), strict=True)
        rows = self.convert(np.concatenate([self.store[0][:0], *(self.store[n][i : i + m] for n, i, m in places)]))
        if self._check is not None:
            self._check(self, rows)
        return rows

    def loaded(self) -> Sequences:
        """Read the sequences."""
        return self.like(self.flat())


def is_mapped(value: Any) -> bool:
    """Return whether a value is an array that lies in a memory map: an ``np.memmap`` or a view of one.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     mapped = np.memmap(file, np.float16, "w+", shape=(4, 3))
    ...     is_mapped(np.asarray(mapped)[1:]), is_mapped(mapped + 1)
    (True, False)
    """
    while isinstance(value, np.ndarray):
        value = value.base
    return isinstance(value, mmap.mmap)

"""Batches that the user brings, one by one, in place of whole data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np

from rnnfast import checks

NO_SPLIT = "validation_split: 0 is required beside batches (see validation_data), got {}"
# What accompanies the sequences, which each batch brings itself.
BROUGHT = ("lengths", "mask", "sample_weight", "resets", "context")


class Readable(Protocol):
    """The user's batch, checked and converted."""

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Any]: ...  # noqa: D102


class BatchSource:
    """Batches of an object with a length and items, of a callable that returns iterators, or of an iterator.

    Parameters
    ----------
    source
        ``source[i]`` is batch i of ``len(source)``, as keras.utils.Sequence has it, and shuffling deals the batches in
        another order. Of a callable or an iterable every epoch begins a new iterator. An iterator just goes on.
    read : function
        Makes data of the arguments that a batch holds.
    arguments : function
        Returns these by name.
    name : str
        What messages call the source.
    steps : int or None
        Batches in an epoch; an iterator needs it.
    pieces : bool
        Whether a batch may become several ones, which cover it in time.

    Attributes
    ----------
    restartable : bool
        Whether the batches of an epoch can be had again.

    Raises
    ------
    ValueError, TypeError
        Something else than a source of batches, or other ``steps`` than it can have.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.data import as_id_sequences, AlignedData
    >>> def read(x):
    ...     return AlignedData(inputs=as_id_sequences(x, 9), targets={}, batch_size=len(x))
    >>> source = BatchSource(lambda: iter([[[1, 2]], [[3], [4]]]), read, lambda given: {"x": given}, name="x")
    >>> [batch.inputs.flat().tolist() for batch in source.batches()]
    [[1, 2], [3, 4]]
    """

    def __init__(
        self,
        source: Any,
        read: Callable[..., Readable],
        arguments: Callable[[Any], dict[str, Any]],
        *,
        name: str,
        steps: int | None = None,
        pieces: bool = False,
    ) -> None:
        self.steps = None if steps is None else checks.as_size("steps_per_epoch", steps)
        self.indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        self.restartable = not hasattr(source, "__next__")
        if not is_source(source):
            wanted = "batches, an object with a length and items, a callable that returns an iterator or an iterator,"
            raise TypeError(f"{name}: {wanted} are required without targets, got {checks.shown(source)}")
        if not self.restartable and steps is None:
            raise ValueError(f"steps_per_epoch: a number is required for an iterator {name}, got None")
        if self.indexed and len(source) < (self.steps or 1):
            raise ValueError(f"{name}: at least {self.steps or 1} batches are required, got {len(source)}")
        self._source = source
        self._read = read
        self._arguments = arguments
        self._name = name
        self._pieces = pieces

    def __len__(self) -> int:
        """Return the number of batches, pieces counted, in an epoch; 0 where nobody knows."""
        if self._pieces:
            return 0
        if self.steps is not None:
            return self.steps
        return len(self._source) if hasattr(self._source, "__len__") else 0

    @property
    def with_targets(self) -> int:
        """Number of batches with a target: of whole batches each has one. 0 where nobody knows."""
        return len(self)

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Any]:
        """Yield the batches of one epoch, in an order that ``rng`` decides where each has a number."""
        for i, given in self._given(rng):
            try:
                data = self._read(**self._arguments(given))
            except (ValueError, TypeError, OverflowError) as error:
                raise type(error)(f"batch {i} of {self._name}: {error}") from error
            yield from data.batches()

    def _given(self, rng: np.random.Generator | None) -> Iterator[tuple[int, Any]]:
        """Yield what the user gives as the batches of one epoch, and their numbers."""
        if self.indexed:
            count = len(self._source)
            order = np.arange(count) if rng is None else rng.permutation(count)
            for i in order[: self.steps].tolist():
                yield i, self._source[i]
            return
        count = 0
        iterator = iter(self._source() if callable(self._source) else self._source)
        for count, given in enumerate(islice(iterator, self.steps), start=1):
            yield count - 1, given
        if count < (self.steps or 1):
            raise ValueError(f"{self._name}: {self.steps or 1} batches are required in every epoch, got {count}")


def is_source(value: Any) -> bool:
    """Return whether a value may be a source of batches, and is neither an array nor a list of sequences."""
    if isinstance(value, str | bytes | list | tuple | Mapping | type | None) or checks.is_array(value):
        return False
    indexed = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return callable(value) or hasattr(value, "__iter__") or indexed


def without_brought(accompanying: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of data beside batches; ValueError for what each batch brings itself."""
    for name in BROUGHT:
        if accompanying.get(name) is not None:
            raise ValueError(f"{name}: None is required beside batches, each of which brings its own, got some")
    return {name: value for name, value in accompanying.items() if name not in BROUGHT}


def named_arguments(called: str, given: Any, known: Sequence[str], names: Sequence[str] = ("x", "y")) -> dict[str, Any]:
    """Return a pair (x, y), as many things as there are ``names``, or a dict as arguments of a model's data."""
    if isinstance(given, Mapping):
        checks.known_arguments(called, given, known)
        if not {"x", "y"} <= given.keys():
            raise ValueError(f"{called}: x and y are required, got {', '.join(given) or 'an empty dict'}")
        return dict(given)
    if not isinstance(given, list | tuple) or not 2 <= len(given) <= len(names):
        error = ValueError if isinstance(given, list | tuple) else TypeError
        got = f"{len(given)} things" if isinstance(given, list | tuple) else checks.shown(given)
        more = f", ({', '.join(names)})" if len(names) > 2 else ""
        raise error(f"{called}: a pair (x, y){more} or a dict is required, got {got}")
    return dict(zip(names, given, strict=False))

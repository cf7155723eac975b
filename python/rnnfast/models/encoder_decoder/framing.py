"""What a decoder reads and what it should write, made of the sequences that users want written."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, DType, Int64
from rnnfast.data import (
    Sequences,
    as_id_sequences,
    as_real_sequences,
    as_step_weights,
    check_finite,
    counted_steps,
    framed,
    joined,
    step_count,
    without_unread,
)
from rnnfast.tasks import Task
from rnnfast.text import AnyVocabulary, as_ids


class TargetFraming:
    """Frames sequences y: ids become ``[start, y, stop]``, vectors ``[0, y]``.

    All elements but the last are what the decoder reads, all but the first what it should write. An id that users do
    not reserve for ``start`` or ``stop`` is put behind theirs, first that of ``stop``.

    Parameters
    ----------
    task : Task
    target_size : int
        Ids, or numbers of a vector.
    start, stop : int or None
        Ids that users reserve; None for vectors, which neither begin nor end with an element of their own.
    dtype : numpy dtype
    vocabulary : AnyVocabulary or None
        What makes ids of texts.

    Attributes
    ----------
    outputs, inputs : int
        Ids or numbers that the decoder writes and reads.
    start, stop : int or None
        Ids, the model's own included.
    kind : numpy dtype
        Of predictions.

    Examples
    --------
    >>> from rnnfast.tasks import Classification
    >>> targets = TargetFraming(Classification(), 5, None, None, np.dtype("float32"))
    >>> targets.outputs, targets.inputs, targets.read([[3, 1]], 1)[0].values.tolist()
    (6, 7, [6, 3, 1, 5])
    """

    def __init__(
        self,
        task: Task,
        target_size: int,
        start: int | None,
        stop: int | None,
        dtype: DType,
        vocabulary: AnyVocabulary | None = None,
    ) -> None:
        self.task = task
        self.size = target_size
        self.dtype = dtype
        self.ids = task.ids
        self.kind = task.dtype(dtype)
        self.reserved = {"start": start, "stop": stop}
        self.vocabulary = vocabulary
        self._check_reserved()
        self.outputs = self.inputs = target_size
        self.start: int | None = start
        self.stop: int | None = stop
        if self.ids:
            self.outputs += stop is None
            self.inputs = self.outputs + (start is None)
            self.stop = target_size if stop is None else stop
            self.start = self.outputs if start is None else start

    def read(self, y: Any, count: int, sample_weight: Any = None) -> tuple[Sequences, Array | Sequences | None]:
        """Return the framed sequences of ``count`` sources, and the weights of all elements but the first.

        Numbers of weight 0 may be NaN, and so may missing ones: nothing learns from them, and the decoder reads 0.
        """
        if self.ids:
            ids = as_ids(self.vocabulary, [y] if isinstance(y, str) else y, "y")
            found = as_id_sequences(ids, self.size, name="y", size="target_size").loaded()
        else:
            found = as_real_sequences(y, self.size, self.dtype, name="y", size="target_size").loaded()
        if len(found) != count:
            raise ValueError(f"y: a sequence for every source is required (N = {count}), got {len(found)}")
        width = self.size if self.task.weighs_elements else None
        weights = as_step_weights(sample_weight, found, step_count(y, found), self.dtype, width=width)
        values = without_unread(found.flat(), weights, found)
        finite = check_finite("y", found.like(values), self.dtype, missing=self.task.weighs_elements)
        for name, reserved in self.reserved.items():
            if reserved is not None and (values == reserved).any():
                raise ValueError(f"y: ids other than {name} = {reserved} are required (the model adds it), got it")
        self.task.targets(values, self.size, self.dtype)
        found = found.like(values)
        present, weights = counted_steps(self.task, found, weights, self.dtype, finite=finite, name="y")
        if self.ids:
            return self.framed(found), self._with_stop(weights)
        return self.framed(present), weights

    def _with_stop(self, weights: Array | Sequences | None) -> Array | Sequences | None:
        """Return weights of ids with those of the stops: that of the id before, or 1 without one."""
        if not isinstance(weights, Sequences):
            return weights
        found = framed(weights, 1.0, 1.0).without_first()
        ends = (found.offsets + found.lengths - 1)[found.lengths > 1]
        found.values[ends] = found.values[ends - 1]
        return found

    def framed(self, s: Sequences) -> Sequences:
        """Return sequences with what stands before and behind them."""
        return framed(s, self.start, self.stop) if self.ids else framed(s, 0.0)

    def first(self, count: int) -> Sequences:
        """Return what the decoder reads first, as ``count`` sequences of one step."""
        values = np.full(count, self.start, np.int64) if self.ids else np.zeros((count, self.inputs), self.dtype)
        return Sequences(values, np.arange(count, dtype=np.int64), np.ones(count, np.int64), ragged=False)

    def limits(self, sources: Sequences, max_length: int | None) -> Int64:
        """Return the most elements (N,) that may be written of each source."""
        if max_length is None:
            if self.ids:
                return 2 * sources.lengths + 10
            raise ValueError(f"max_length: a number is required for task={self.task.name!r} (nothing stops), got None")
        return np.full(len(sources), checks.as_integer("max_length", max_length, least=0), np.int64)

    def arranged(self, items: list[Array], max_length: int | None, kind: DType) -> Any:
        """Return what belongs to the elements of each prediction as users get it; vectors as one array."""
        if self.ids:
            return items
        return np.stack(items) if items else np.zeros((0, max_length or 0, self.outputs), kind)

    def joined(self, items: list[Array]) -> Sequences:
        """Return predictions as sequences that the decoder can read."""
        if self.ids:
            return joined(items, np.zeros(0, np.int64))
        return joined([item.astype(self.dtype) for item in items], np.zeros((0, self.inputs), self.dtype))

    def _check_reserved(self) -> None:
        if self.vocabulary is not None and not self.ids:
            raise ValueError(f"target_vocabulary: None is required for task={self.task.name!r}, got one")
        for name, reserved in self.reserved.items():
            if reserved is None:
                continue
            if not self.ids:
                raise ValueError(f"{name}: None is required for task={self.task.name!r}, got {reserved}")
            if not 0 <= reserved < self.size:
                raise ValueError(f"{name}: None or an id 0..{self.size - 1} is required, got {reserved}")

"""Parts of a batch, cut by its own content, whose gradients are made apart."""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from rnnfast.arrays import Array, Int64
from rnnfast.data.batches import Batch, Place, Weights
from rnnfast.data.container import Sequences
from rnnfast.data.pairs import PairBatch

B = TypeVar("B", bound=Batch)


def deal(batch: Batch, parts: int) -> Int64:
    """Return the part (N,), 0..parts - 1, of each sequence of a batch.

    The longest sequence comes first, each to the part with the fewest steps so far (Graham 1969). Among equal parts the
    order is that of their reversed bits, so that halves and quarters of the parts are alike, too. The pieces of
    sequences are in one part. Parts may be empty.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.data import as_id_sequences
    >>> batch = Batch(inputs=as_id_sequences([[1] * 5, [1], [1, 1], [1] * 3], 2), targets={}, count=0)
    >>> deal(batch, 2).tolist()
    [0, 0, 1, 1]
    """
    work = (batch.sizes if batch.work is None else batch.work).tolist()
    found = np.zeros(len(work), np.int64)
    digits = (parts - 1).bit_length()
    turns = sorted(range(parts), key=lambda part: f"{part:0{digits}b}"[::-1])
    loads = [(0, turn, part) for turn, part in enumerate(turns)]
    for n in sorted(range(len(work)), key=lambda n: -work[n]):
        load, turn, part = loads[0]
        found[n] = part
        heapq.heapreplace(loads, (load + max(work[n], 1), turn, part))
    return found


def part_of(batch: B, chosen: Array) -> B:
    """Return a batch of as many sequences, of which those that are not ``chosen``, bool (N,), have no step.

    The others keep their numbers, of which random masks are functions, and their share in means over sequences.
    """
    if chosen.all():
        return batch
    lengths = batch.inputs.lengths
    steps = np.flatnonzero(np.repeat(chosen, lengths))
    rows, outputs = _targets(batch, chosen, steps)
    fields: dict[str, Any] = {"sources": _only(batch.sources, chosen)} if isinstance(batch, PairBatch) else {}
    return replace(
        batch,
        inputs=_only(batch.inputs, chosen),
        targets={name: values[outputs] for name, values in batch.targets.items()},
        count=len(outputs) if batch.count else 0,
        weights=_weights(batch.weights, outputs),
        counts=None if batch.counts is None else np.where(chosen, batch.counts, 0),
        target_rows=rows,
        resets=None if batch.resets is None else batch.resets[steps],
        work=batch.sizes if batch.work is None else batch.work,
        place=Place(steps, batch.inputs.count, outputs, learns=batch.count > 0),
        **fields,
    )


def _targets(batch: Batch, chosen: Array, steps: Int64) -> tuple[Int64 | None, Int64]:
    """Return the rows of a part's outputs that have a target, and the numbers (M,) of its target elements."""
    if batch.counts is None:  # one output for each sequence, with or without steps
        rows = np.arange(len(chosen)) if batch.target_rows is None else batch.target_rows
        outputs = np.flatnonzero(chosen[rows])
        return rows[outputs], outputs
    outputs = np.flatnonzero(np.repeat(chosen, batch.counts))
    if batch.target_rows is None:
        return None, outputs
    return np.searchsorted(steps, batch.target_rows[outputs]), outputs


def _only(s: Sequences, chosen: Array) -> Sequences:
    return s.parts(None, s.offsets, np.where(chosen, s.lengths, 0))


def _weights(weights: Weights, outputs: Int64) -> Weights:
    if isinstance(weights, dict):
        return {head: own[outputs] for head, own in weights.items()}
    return None if weights is None else weights[outputs]

"""Data whose targets are the next elements: what ``OneToMany`` trains on, validates with and is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rnnfast import checks
from rnnfast.data.batches import AlignedData, Batch, hold_out
from rnnfast.data.next_elements import NextElements
from rnnfast.data.sources import BROUGHT, NO_SPLIT, BatchSource, without_brought

TRAIN_STEPS = 64  # of a long array, in one gradient
EVALUATE_STEPS = 1024  # of a long array, in memory at once


def split_elements(
    reader: NextElements,
    sequences: Any,
    own: dict[str, Any],
    given: Any,
    fraction: float,
    batch_size: int,
    *,
    steps: int | None,
) -> tuple[AlignedData | BatchSource, AlignedData | BatchSource | None]:
    """Return the data to train on and those to validate with."""
    size = checks.as_size("batch_size", batch_size)
    steps = None if steps is None else checks.as_size("steps_per_epoch", steps)
    cut: dict[str, Any] = {"batch_size": size, "streams": size, "steps": TRAIN_STEPS}
    fraction = checks.at_least_zero("validation_split", fraction)
    if callable(sequences) or steps is not None:
        source = batches_of_elements(reader, "sequences", sequences, own, steps)
        if fraction:
            raise ValueError(NO_SPLIT.format(fraction))
        return source, _validated(reader, given)
    parts = None
    if fraction and given is None:
        parts = reader.hold_out_end(sequences, own["sample_weight"], fraction)
    if parts is not None:
        (sequences, own["sample_weight"]), (end, weights) = parts
        own_end = {"sequences": end, "sample_weight": weights, "context": own["context"]}
        return reader.data(sequences, **own, **cut), judged_elements(
            reader, **own_end, name="validation_split: the held-out end"
        )
    data = reader.data(sequences, **own, **cut)
    if given is None and fraction:
        return hold_out(data, fraction)
    return data, _validated(reader, given)


def _validated(reader: NextElements, given: Any) -> AlignedData | BatchSource | None:
    """Return what ``validation_data`` stand for."""
    if given is None:
        return None
    if callable(given):
        return batches_of_elements(reader, "validation_data", given, {})
    known = ("sequences", *(name for name in BROUGHT if name != "resets"), "burn_in", "tbptt", "batch_size")
    return judged_elements(reader, **_arguments("validation_data", given, known), name="validation_data")


def batches_of_elements(
    reader: NextElements, name: str, source: Any, own: dict[str, Any], steps: int | None = None
) -> BatchSource:
    """Return what trains on, or is validated with, batches that the user brings."""
    known = ("sequences", *(name for name in BROUGHT if name != "resets"))
    options = without_brought(own)
    read = partial(reader.data, batch_size=checks.LARGEST, streams=1, steps=None, **options)
    arguments = partial(_arguments, "batch", known=known)
    return BatchSource(source, read, arguments, name=name, steps=steps, pieces=options.get("tbptt") is not None)


def judged_elements(
    reader: NextElements, sequences: Any, *, batch_size: int | None = None, **options: Any
) -> AlignedData:
    """Return what ``evaluate`` and validation read, alike."""
    streams, size = (1, 256) if batch_size is None else (checks.as_size("batch_size", batch_size),) * 2
    return reader.data(sequences, batch_size=size, streams=streams, steps=EVALUATE_STEPS, **options)


def one_batch(reader: NextElements, sequences: Any, options: dict[str, Any]) -> Batch:
    """Return all sequences as one batch."""
    return reader.data(sequences, batch_size=1, streams=1, steps=None, **options).whole()


def _arguments(name: str, given: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return sequences, or a dict, as arguments of the model's data."""
    arguments = dict(given) if isinstance(given, Mapping) else {"sequences": given}
    checks.known_arguments(name, arguments, known)
    if "sequences" not in arguments:
        raise ValueError(f"{name}: sequences are required, got {', '.join(arguments) or 'an empty dict'}")
    return arguments

"""Holding data out for validation."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from rnnfast import checks
from rnnfast.data.batches import AlignedData, VectorData

D = TypeVar("D", VectorData, AlignedData)


def hold_out(data: D, fraction: float) -> tuple[D, D]:
    """Split off the last ``fraction`` of the sequences; at least one is on either side.

    Raises
    ------
    ValueError
        A fraction outside (0, 1), fewer than two sequences.
    """
    check_fraction(fraction)
    count = len(data.inputs)
    if count < 2:
        raise ValueError(f"validation_split: at least 2 sequences are required, got {count}")
    kept = min(max(count - round(count * fraction), 1), count - 1)
    index = np.arange(count, dtype=np.int64)
    return data.select(index[:kept]), data.select(index[kept:])


def check_fraction(fraction: float) -> None:
    """Raise ValueError unless ``fraction`` is in (0, 1)."""
    checks.as_number("validation_split", fraction, "a number in [0, 1)", lambda f: 0 < f < 1)

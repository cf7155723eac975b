"""Checks of options, shared by layers and models."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def require_positive(name: str, value: int) -> int:
    """Return a size of at least 1 as int."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: an integer is required, got {value!r}")
    if value < 1:
        raise ValueError(f"{name}: at least 1 is required, got {value}")
    return int(value)


def require_float(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return float32 or float64 as a dtype."""
    found: np.dtype[Any] = np.dtype(dtype)
    if found not in (np.float32, np.float64):
        raise TypeError(f"dtype: float32 or float64 is required, got {found}")
    return found


def require_without(name: str, chosen: bool, **others: object) -> bool:
    """Return whether an option is chosen, which none of the others may be beside it."""
    for other, value in others.items():
        if chosen and value:
            raise ValueError(f"{name}: a layer without {other} is required, got {other}={value}")
    return bool(chosen)

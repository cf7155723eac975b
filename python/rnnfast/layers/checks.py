"""Checks of options, shared by layers and models."""

from __future__ import annotations

from typing import Any

import numpy as np


def require_later(**options: Any) -> None:
    """Raise NotImplementedError for the first option that is set."""
    for name, value in options.items():
        if value is not None and (not np.isscalar(value) or value):
            raise NotImplementedError(f"{name}: this option is not available yet, got {value!r}")


def require_positive(name: str, value: int) -> int:
    """Return a size of at least 1 as int."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: an integer is required, got {value!r}")
    if value < 1:
        raise ValueError(f"{name}: at least 1 is required, got {value}")
    return int(value)

"""The random numbers of made problems."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import checks


def generator(seed: Any) -> np.random.Generator:
    """Return a generator of an integer seed, of chance (None), or the user's own, which goes on."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(checks.as_seed(seed))

"""The engine's registries as a matrix over which tests are repeated: cells, instruction sets, types of number."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _core

# The instruction sets of this machine and build, best first.
ISAS: list[str] = _core.isas()
# With fused multiply-adds: these agree bit for bit. The baseline, which every machine has, is the last.
EXACT, BASELINE = ISAS[:-1], ISAS[-1]
# The instruction sets that agree with one another bit for bit.
GROUPS = [group for group in (EXACT, [BASELINE]) if group]
# The first of these groups: what this machine computes with unless it is told otherwise.
BEST_GROUP = GROUPS[0]

# Numbers of threads, one of them more than a small machine has.
THREADS = (1, 2, 3)
# Instruction sets and numbers of threads that give the same bits.
SETTINGS = list(product(BEST_GROUP, THREADS))

DTYPES = ["float32", "float64"]

FAMILIES: list[str] = list(dict.fromkeys(cell["family"] for cell in _core.cells()))
# A layer has the name of the first of its families. Any: each has a signature of its own.
LAYERS: dict[str, Any] = {family: getattr(rf, family.upper()) for family in FAMILIES if hasattr(rf, family.upper())}


def epsilon(dtype: str) -> float:
    """The distance from 1 to the next number of a type."""
    return float(np.finfo(dtype).eps)


several_widths = pytest.mark.skipif(
    len(EXACT) < 2, reason="one instruction set with fma on this machine: nothing to compare"
)

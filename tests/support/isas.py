"""Instruction sets of this machine and build, best first."""

from __future__ import annotations

import pytest

from rnnfast._core import testing

ISAS = testing.isas()
# With fused multiply-adds: these agree bit for bit. The baseline, which every machine has, is the last.
EXACT = ISAS[:-1]

several_widths = pytest.mark.skipif(len(EXACT) < 2, reason="one vector width only")

"""The checkout: its folders, and the object files that a build has left in it."""

from __future__ import annotations

import os
from pathlib import Path

from rnnfast import _core

ROOT = Path(__file__).resolve().parents[2]
CPP = ROOT / "cpp"
PACKAGE = ROOT / "python" / "rnnfast"


def objects() -> list[tuple[str, Path]]:
    """Object files of the instruction sets in a build tree below the checkout or in ``RNNFAST_BUILD_DIR``."""
    roots = [Path(p) for p in [os.environ.get("RNNFAST_BUILD_DIR", "")] if p] + sorted(ROOT.glob("*build*"))
    found = [p for root in roots for p in root.rglob("kernels.cpp.o")]
    return [(isa, p) for p in found for isa in _core.testing.known_isas() if f"rnnfast_{isa}.dir" in str(p)]

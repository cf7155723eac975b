"""Files that other libraries wrote: those in the folder of data, or new ones of an installed version."""

from __future__ import annotations

import os
from pathlib import Path

KEPT = Path(__file__).parents[1] / "data" / "interop"
FOLDER = Path(os.environ.get("RNNFAST_INTEROP_FILES", KEPT))

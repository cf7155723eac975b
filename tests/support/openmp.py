"""The system's OpenMP runtime, for tests in which it brings the engine's threads."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

import pytest

RUNTIME = "libgomp.so.1"
LOADING = f"import ctypes; ctypes.CDLL({RUNTIME!r})\n"


def load_where_wanted() -> None:
    """Bring the runtime into this process where ``RNNFAST_THREADS`` asks for it."""
    if os.environ.get("RNNFAST_THREADS") == "openmp":
        ctypes.CDLL(RUNTIME)


def loading(environment: Mapping[str, str]) -> str:
    """What a process with this environment does first."""
    return LOADING if environment.get("RNNFAST_THREADS") == "openmp" else ""


def require() -> None:
    """Skip a test where the runtime is missing, or ThreadSanitizer would not see how its threads wait."""
    if "libtsan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("ThreadSanitizer does not see the barriers of an OpenMP runtime that is not instrumented")
    try:
        ctypes.CDLL(RUNTIME)
    except OSError:
        pytest.skip(f"{RUNTIME} is not installed")

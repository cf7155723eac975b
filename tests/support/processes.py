"""Processes of their own, for tests that change or end one, and the machines on which these tests can run."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from tests.support import openmp

needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals, limits and fork")
# Sanitizers reserve terabytes of addresses and make the kernels many times slower.
not_sanitized = pytest.mark.skipif(
    any(name in os.environ.get("LD_PRELOAD", "") for name in ("libasan", "libtsan")),
    reason="a sanitizer changes how long calls take and how memory runs out",
)


def run(code: str, timeout: float = 300, /, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter, at most ``timeout`` seconds; threads come from where they come from here."""
    env = {k: v for k, v in os.environ.items() if k == "RNNFAST_THREADS" or not k.startswith(("RNNFAST_", "OMP_"))}
    env |= environment
    return subprocess.run(
        [sys.executable, "-c", openmp.loading(env) + textwrap.dedent(code)],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def output(code: str, timeout: float = 300, /, **environment: str) -> str:
    """Return what the code prints; an error of the process fails the test."""
    done = run(code, timeout, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()

"""Processes under an MPI, for tests."""

from __future__ import annotations

import importlib.util
import os
import subprocess

import pytest

from bench import launch

WORKER = "tests.support.mpi_worker"


def require() -> None:
    """Skip a test where no MPI can be used."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed")
    if launch.mpiexec() is None:
        pytest.skip("mpiexec is not installed")
    if "LD_PRELOAD" in os.environ:
        pytest.skip("a sanitizer's library would be loaded into the launcher")


def command(size: int, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    """Return what starts ``size`` workers; ``options`` are further ones of the launcher."""
    return launch.command(size, WORKER, *arguments, options=options)


def run(size: int, *arguments: str, timeout: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``size`` workers to their end; ``more`` are variables of their environment."""
    return launch.run(command(size, *arguments), timeout=timeout, **more)

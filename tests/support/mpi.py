"""How tests start processes under an MPI."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def mpiexec() -> str | None:
    """Return the launcher: that beside the interpreter, or on the path."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("mpiexec", path=beside)


def require() -> None:
    """Skip a test where no MPI can be used."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed")
    if mpiexec() is None:
        pytest.skip("mpiexec is not installed")
    if "LD_PRELOAD" in os.environ:
        pytest.skip("a sanitizer's library would be loaded into the launcher")


@cache
def is_open_mpi() -> bool:
    """Whether the launcher is Open MPI's."""
    found = mpiexec()
    assert found is not None
    return "Open MPI" in subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout


def command(size: int, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    """Return what starts ``size`` workers; ``options`` are further ones of the launcher."""
    own = ("--oversubscribe", "--bind-to", "none") if is_open_mpi() else ()
    worker = (sys.executable, "-m", "tests.support.mpi_worker", *arguments)
    return [mpiexec() or "", "-n", str(size), *own, *options, *worker]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of processes that share this machine: one thread each."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("RNNFAST_", "PYTEST_"))}
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**own, **root, "RNNFAST_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **more}


def run(size: int, *arguments: str, timeout: float = 300, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run ``size`` workers to their end; ``more`` are variables of their environment."""
    return subprocess.run(
        command(size, *arguments),
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )

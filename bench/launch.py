"""How processes are started under an MPI that is installed beside this interpreter, or on the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


def mpiexec() -> str | None:
    """Return the launcher; None without one."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("mpiexec", path=beside)


@cache
def is_open_mpi() -> bool:
    """Whether the launcher is Open MPI's."""
    found = subprocess.run([mpiexec() or "", "--version"], capture_output=True, text=True, check=True)
    return "Open MPI" in found.stdout


def command(size: int, module: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    """Return what runs a module in ``size`` processes; ``options`` are further ones of the launcher."""
    own = ("--oversubscribe", "--bind-to", "none") if is_open_mpi() else ()
    return [mpiexec() or "", "-n", str(size), *own, *options, sys.executable, "-m", module, *arguments]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of processes that share this machine: one thread each."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("RNNFAST_", "PYTEST_"))}
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    root["OMPI_MCA_mpi_yield_when_idle"] = "1"  # others wait for the processor
    return {**own, **root, "RNNFAST_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **more}


def run(arguments: list[str], *, timeout: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
    """Run what ``command`` returned to its end; ``more`` are variables of the environment."""
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )

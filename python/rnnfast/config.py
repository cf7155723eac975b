"""Threads and instruction sets: what is in use, and how many threads a call may use."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from rnnfast import _ops, checks

cpu = SimpleNamespace(isa=_ops.isa, isas=_ops.isas)
VARIABLES = ("RNNFAST_NUM_THREADS", "RNNFAST_THREADS", "RNNFAST_MAX_ISA")


def get_num_threads() -> int:
    """Return the largest number of threads a call may use."""
    return _ops.num_threads()


def set_num_threads(n: int) -> None:
    """Set the largest number of threads a call may use, for the whole process.

    Results do not depend on it. The initial value is ``RNNFAST_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the number
    of processors that the process may use: those of its affinity mask, or the quota of its control group (a container's
    ``--cpus``) where that is less. A call never uses more threads than processors, whatever ``n`` is.

    Parameters
    ----------
    n : int
        Number of threads, within 1..1024.

    Raises
    ------
    ValueError
        If ``n`` is not within 1..1024.
    TypeError
        If ``n`` is not an integer.
    """
    count = checks.as_integer("n", n)
    if not 1 <= count <= 1024:
        raise ValueError(f"n: 1 to 1024 threads are required, got {count}")
    _ops.set_num_threads(count)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use at most ``n`` threads inside a ``with`` block.

    Parameters
    ----------
    n : int
        Number of threads, within 1..1024.

    Raises
    ------
    ValueError
        If ``n`` is not within 1..1024.
    TypeError
        If ``n`` is not an integer.

    Examples
    --------
    >>> import rnnfast as rf
    >>> with rf.threads(1):
    ...     rf.get_num_threads()
    1
    """
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def show_config() -> None:
    """Print the version, the instruction set, the threads, where they come from, and the environment."""
    quota = f", quota {_ops.processor_quota()}" if _ops.processor_quota() else ""
    rows = {
        "rnnfast": _ops.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "instruction set": f"{_ops.isa()} (of {', '.join(_ops.isas())})",
        "threads": f"{_ops.num_threads()} (of {os.cpu_count()} processors{quota})",
        "threads from": _ops.describe_thread_source(),
    }
    rows |= {name: os.environ[name] for name in VARIABLES if name in os.environ}
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:{width}}  {value}")

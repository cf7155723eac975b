"""What measurements depend on besides the code: processor, instruction set, threads, versions."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("rnnfast", "numpy", "threadpoolctl", "torch", "onnxruntime", "openvino", "jax")


def cpu_model() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def caches() -> dict[str, str]:
    """Sizes of the first processor's caches, such as ``{"L1d": "48K"}``; empty where the system does not say."""
    sizes = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        sizes[f"L{level}" + {"Data": "d", "Instruction": "i"}.get(kind, "")] = size
    return sizes


@cache
def cache_bytes() -> dict[str, int]:
    """Sizes of L1d, L2 and L3 in bytes; common ones where the system does not say."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    sizes = {"L1d": 32 << 10, "L2": 1 << 20, "L3": 16 << 20}
    return sizes | {name: int(size[:-1]) * units[size[-1]] for name, size in caches().items() if size[-1] in units}


def versions() -> dict[str, str]:
    """Versions of the packages that are installed among those benchmarked."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def blas() -> str:
    """The BLAS that NumPy was built with."""
    config: Any = np.show_config(mode="dicts")
    library = config.get("Build Dependencies", {}).get("blas", {})
    return f"{library.get('name', 'unknown')} {library.get('version', '')}".strip()


def processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_seconds() -> float:
    """Seconds that this process's processors were not idle since the start; 0 where the system does not say."""
    counters = Path("/proc/stat")
    if not counters.exists() or not hasattr(os, "sched_getaffinity"):
        return 0.0
    own = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    fields = [line.split() for line in counters.read_text().splitlines()]
    # user, nice, system, idle, waiting, interrupts, soft interrupts, stolen
    ticks = sum(sum(map(int, f[1:4] + f[6:9])) for f in fields if f[0] in own)
    return ticks / os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, Any]:
    """Everything about the machine that a report states."""
    import rnnfast

    return {
        "cpu": cpu_model(),
        "caches": caches(),
        "processors": processors(),
        "isa": rnnfast.cpu.isa(),
        "blas": blas(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else [],
        "versions": versions(),
    }

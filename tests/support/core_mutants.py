"""Runs the default tests with each fault compiled into the core: ``python -m tests.support.core_mutants [name ...]``.

Each run ends at its first failure. A fault that no test catches, or a failure without any fault, makes the exit code 1.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

NAMES = re.findall(r'X\(\w+, "([^"]+)"\)', (Path(__file__).parents[2] / "cpp/base/fault.hpp").read_text())
# Tests of the sources and of the build, of timing and of memory: they look at something else than what is computed.
OTHERS = ("architecture", "disassembly", "memory", "docstrings", "readme", "demo", "bench", "wavefront")


def first_failure(fault: str) -> str:
    """Name of a test that fails with the fault, or nothing."""
    ignored = [f"--ignore-glob=tests/test_{name}*" for name in OTHERS]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", *ignored]
    environment = {**os.environ, "RNNFAST_FAULT": fault}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
    # A fault may end a worker, or all of them.
    return found[1] if found else (done.stdout + done.stderr).strip().splitlines()[-1]


def main(names: list[str]) -> int:
    """Print what caught each fault; return the exit code."""
    wrong = 0
    for fault in names or ["", *NAMES]:
        start = time.perf_counter()
        caught = first_failure(fault)
        ok = bool(caught) == bool(fault)
        wrong += not ok
        print(
            f"{fault or 'no fault':16} {'' if ok else 'WRONG: '}{caught or 'nothing fails'} "
            f"({time.perf_counter() - start:.0f} s)",
            flush=True,
        )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

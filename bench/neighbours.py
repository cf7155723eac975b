"""What runs beside a measurement on the same processors: ``python -m bench.neighbours KIND ARGUMENT...``, without end.

``Neighbour`` starts one in a process of its own and lets it run only where it is asked for.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[1]
READY = "ready"
SIZE = 384
PR_SET_PDEATHSIG = 1
"""The option of prctl that names the signal a process gets when its parent ends (linux/prctl.h)."""
SPELL = 0.05
"""Seconds of one task that joblib deals out."""


def load(processor: str, duty: str, burst: str) -> None:
    """Take ``duty`` of one processor, in bursts of ``burst`` seconds of its time, as far as the scheduler allows."""
    os.sched_setaffinity(0, {int(processor)})
    print(READY, flush=True)
    begin = time.monotonic()
    while True:
        end = time.thread_time() + float(burst)
        while time.thread_time() < end:
            pass
        # A burst that came late leaves no debt.
        begin = max(begin + float(burst) / float(duty), time.monotonic())
        time.sleep(max(0.0, begin - time.monotonic()))


def repeated(run: Callable[[], object]) -> None:
    """Run again and again."""
    run()
    print(READY, flush=True)
    while True:
        run()


def copy(name: str, threads: str) -> None:
    """The case of that name, by rnnfast on a number of threads."""
    from bench.restless import loaded

    repeated(loaded(name, int(threads)))


def torch(threads: str) -> None:
    """Training of an LSTM by PyTorch, whose threads spin between its operations."""
    import torch

    torch.set_num_threads(int(threads))
    layer, x = torch.nn.LSTM(128, 128), torch.zeros(50, 32, 128)
    repeated(lambda: layer(x)[0].sum().backward())


def products(seconds: float) -> None:
    """Products by NumPy's BLAS for a while."""
    import numpy as np

    a, stop = np.ones((SIZE, SIZE), np.float32), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        a @ a


def openblas(threads: str) -> None:
    """Products by NumPy's BLAS on a number of threads, which are read from the environment when it is loaded."""
    os.environ["OPENBLAS_NUM_THREADS"] = threads
    repeated(lambda: products(SPELL))


def joblib(threads: str) -> None:
    """Products in processes of joblib."""
    from joblib import Parallel, delayed

    with Parallel(n_jobs=int(threads)) as pool:
        repeated(lambda: pool(delayed(products)(SPELL) for _ in range(int(threads))))


def end_with_parent() -> None:
    """Let Linux kill this process when the one that started it ends, also while it stands still."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


KINDS: dict[str, Callable[..., None]] = {
    "load": load,
    "copy": copy,
    "torch": torch,
    "openblas": openblas,
    "joblib": joblib,
}


class Neighbour:
    """A process of ``KINDS`` that stands still but within ``running()``. Use it in a ``with`` statement."""

    def __init__(self, kind: str, *arguments: Any) -> None:
        self.kind = kind
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.neighbours", kind, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=os.setpgrp,  # its children stop with it, and the scheduler still deals to it as to us
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != READY:
            self._end()
        self._signal(signal.SIGSTOP)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run; RuntimeError where it has ended."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    @property
    def pid(self) -> int:
        """The process, and the group of its children."""
        return self._process.pid

    def seconds(self) -> float:
        """Processor time that it has had, with all its processes and threads."""
        total = 0
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.getpgid(int(process.name)) == self.pid:
                    total += sum(int(task.read_text().split()[0]) for task in process.glob("task/*/schedstat"))
        return total * 1e-9

    def _signal(self, which: signal.Signals) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.kind}: a neighbour that runs is required, got code {self._process.returncode}")
        os.killpg(self.pid, which)

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()


if __name__ == "__main__":
    end_with_parent()
    KINDS[sys.argv[1]](*sys.argv[2:])

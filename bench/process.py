"""Each peer in its own process and environment, so that thread pools, allocators and packages never meet."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time
from timeit import Timer
from types import TracebackType
from typing import Any

from bench.machine import busy_seconds
from bench.peers import Peer, create
from bench.problem import Results, make_problem
from bench.shapes import Case

ROOT = Path(__file__).parents[1]
THREAD_VARIABLES = (
    "RNNFAST_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
)
BURST = 50e-6
"""Runs shorter than this are timed in bursts that last as long, so that the clock costs nothing."""


@dataclass(frozen=True)
class Sample:
    """Seconds of each run, or the mean of each burst of runs, and how many processors others kept busy meanwhile."""

    times: list[float]
    foreign: float


HINT = "install what it needs there, or name another interpreter: --python PEER=PATH"


class WorkerError(RuntimeError):
    """A peer failed in its process; the message holds its traceback."""


class PeerMissing(WorkerError):
    """The interpreter of a peer does not run, or lacks the packages that the peer needs."""


def thread_environment(threads: int) -> dict[str, str]:
    """This process's environment with the thread counts that libraries read when they are loaded."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def pin(threads: int) -> None:
    """Stay on as many processors as there are threads, the last ones, which take the fewest interrupts."""
    with suppress(AttributeError, OSError):
        available = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, available[-threads:])


class Session:
    """What runs inside the process: one peer and the case it has loaded."""

    def __init__(self, name: str, threads: int) -> None:
        self.peer: Peer = create(name, threads=threads)
        self.last = 0.0

    def start(self) -> None:
        """Do nothing: the peer has been imported."""

    def load(self, case: Case) -> dict[str, Any]:
        """Load a case and run it once."""
        notes = self.peer.load(make_problem(case))
        self.last = Timer(self.peer.run).timeit(1)
        return notes

    def results(self) -> Results:
        """What the last run computed."""
        return self.peer.results()

    def ask_peer(self, method: str) -> Any:
        """A method that this peer has beyond the protocol."""
        return getattr(self.peer, method)()

    def sample(self, seconds: float) -> Sample:
        """Run until ``seconds`` are over, at least once; short runs are warmed up first and timed in bursts."""
        timer, times = Timer(self.peer.run), list[float]()
        gc.collect()
        if self.last < seconds:
            self.last = timer.timeit(1)
        burst = max(1, round(BURST / self.last))
        busy, own, start = busy_seconds(), process_time(), perf_counter()
        while not times or perf_counter() < start + seconds:
            times.append(timer.timeit(burst) / burst)
        elapsed = perf_counter() - start
        foreign = busy_seconds() - busy - (process_time() - own)
        self.last = min(times)
        return Sample(times, max(0.0, foreign) / elapsed)


def receive(connection: Connection) -> Any:
    """The next request, None where the other end is gone."""
    try:
        return connection.recv()
    except EOFError:
        return None


def serve(handle: int, name: str, threads: int) -> None:
    """Answer requests ``(method, arguments)`` with ``(ok, value)`` until None arrives or the other end is gone.

    Where not ok, the value is the name of a missing package, or None, and the traceback.
    """
    pin(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection, session = Connection(handle), None
    while (request := receive(connection)) is not None:
        method, arguments = request
        try:
            session = session or Session(name, threads)
            connection.send((True, getattr(session, method)(*arguments)))
        except Exception as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) and session is None else None
            connection.send((False, (missing, traceback.format_exc())))


class Worker:
    """The caller's end: starts a peer's process and sends it requests. Use it in a ``with`` statement.

    >>> with Worker("numpy", threads=1) as worker:    # doctest: +SKIP
    ...     worker.load(case)
    ...     worker.sample(0.1)
    """

    def __init__(self, name: str, *, threads: int, python: str = sys.executable) -> None:
        self.name, self.python = name, python
        self._connection, other = Pipe()
        code = f"from bench.process import serve; serve({other.fileno()}, {name!r}, {threads})"
        environment = thread_environment(threads)
        try:
            self._process = subprocess.Popen(
                [python, "-c", code], cwd=ROOT, env=environment, pass_fds=[other.fileno()], stdin=subprocess.DEVNULL
            )
        except OSError as error:
            raise PeerMissing(f"{name}: {python} cannot be run; {HINT}") from error
        finally:
            other.close()

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            self._connection.send((method, arguments))
            ok, value = self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            raise WorkerError(f"{self.name}: its process ended with code {self._process.returncode}") from error
        if ok:
            return value
        missing, trace = value
        if missing:
            raise PeerMissing(f"{self.name}: {self.python} has no package {missing!r}; {HINT}")
        raise WorkerError(f"{self.name}: {method} failed\n{trace}")

    def start(self) -> None:
        """Import and construct the peer; raises PeerMissing where a package is not installed."""
        try:
            self._ask("start")
        except WorkerError as error:
            if self._process.poll() is not None:
                raise PeerMissing(f"{self.name}: {self.python} cannot run the benchmark; {HINT}") from error
            raise

    def load(self, case: Case) -> dict[str, Any]:
        """Load a case; returns the peer's notes."""
        notes: dict[str, Any] = self._ask("load", case)
        return notes

    def results(self) -> Results:
        """What the peer computed."""
        results: Results = self._ask("results")
        return results

    def sample(self, seconds: float) -> Sample:
        """Times of runs that fill ``seconds``."""
        sample: Sample = self._ask("sample", seconds)
        return sample

    def ask_peer(self, method: str) -> Any:
        """Call a method of the peer that is not part of the protocol."""
        return self._ask("ask_peer", method)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._connection.send(None)
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

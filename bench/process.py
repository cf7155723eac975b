"""A peer in a process of its own, so that thread pools, allocators and environments of libraries never meet."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter
from types import TracebackType
from typing import Any

from bench.peers import Peer, create
from bench.problem import Results, make_problem
from bench.shapes import Case

THREAD_VARIABLES = (
    "RNNFAST_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
)


class WorkerError(RuntimeError):
    """A peer failed in its process; the message holds its traceback."""


@contextmanager
def thread_environment(threads: int) -> Iterator[None]:
    """Set the thread counts that libraries read when they are loaded, for processes started meanwhile."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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

    def load(self, case: Case) -> dict[str, Any]:
        """Load a case and run it once."""
        notes = self.peer.load(make_problem(case))
        start = perf_counter()
        self.peer.run()
        self.last = perf_counter() - start
        return notes

    def results(self) -> Results:
        """What the last run computed."""
        return self.peer.results()

    def sample(self, seconds: float) -> list[float]:
        """Seconds of each run, at least one, until ``seconds`` are over; short runs are warmed up first."""
        run, times = self.peer.run, list[float]()
        gc.collect()
        gc.disable()
        if self.last < seconds:
            run()
        stop = perf_counter() + seconds
        while not times or perf_counter() < stop:
            start = perf_counter()
            run()
            times.append(perf_counter() - start)
        gc.enable()
        self.last = times[-1]
        return times


def serve(connection: Connection, name: str, threads: int) -> None:
    """Answer requests ``(method, arguments)`` with ``(ok, value)`` until None arrives."""
    pin(threads)
    session: Session | None = None
    while (request := connection.recv()) is not None:
        method, arguments = request
        try:
            session = session or Session(name, threads)
            connection.send((True, getattr(session, method)(*arguments)))
        except Exception:
            connection.send((False, traceback.format_exc()))


class Worker:
    """The other end: starts the process of a peer and asks it. Use it in a ``with`` statement.

    >>> with Worker("numpy", threads=1) as worker:    # doctest: +SKIP
    ...     worker.load(case)
    ...     worker.sample(0.1)
    """

    def __init__(self, name: str, *, threads: int) -> None:
        context = get_context("spawn")
        self.name = name
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, name, threads), daemon=True)
        with thread_environment(threads):
            self._process.start()
        other.close()

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            self._connection.send((method, arguments))
            ok, value = self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self._process.join(1.0)
            raise WorkerError(f"{self.name}: its process ended with code {self._process.exitcode}") from error
        if not ok:
            raise WorkerError(f"{self.name}: {method} failed\n{value}")
        return value

    def load(self, case: Case) -> dict[str, Any]:
        """Load a case; returns the peer's notes."""
        notes: dict[str, Any] = self._ask("load", case)
        return notes

    def results(self) -> Results:
        """What the peer computed."""
        results: Results = self._ask("results")
        return results

    def sample(self, seconds: float) -> list[float]:
        """Times of runs that fill ``seconds``."""
        times: list[float] = self._ask("sample", seconds)
        return times

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._connection.send(None)
        self._process.join(5.0)
        if self._process.is_alive():
            self._process.terminate()

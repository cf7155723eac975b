"""Numbers of threads: that of an estimator, and the engine as a library that threadpoolctl limits."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import LibController

from rnnfast import checks, config


class _Limits:
    """The limits of the estimators that compute at this time, in all Python threads; the smallest one holds.

    The engine's limit is the process's. Were each estimator to put back what it found, two that overlap could leave
    the limit of one behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[int] = []
        self._before = 0

    def begin(self, n: int) -> None:
        with self._lock:
            if not self._active:
                self._before = config.get_num_threads()
            self._active.append(n)
            config.set_num_threads(min(self._active))

    def end(self, n: int) -> None:
        with self._lock:
            self._active.remove(n)
            config.set_num_threads(min(self._active, default=self._before))


_limits = _Limits()


def _forget_other_threads() -> None:
    """Give a forked child limits of its own: the parent's estimators do not compute in it."""
    global _limits
    _limits = _Limits()


os.register_at_fork(after_in_child=_forget_other_threads)


@contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Let the engine use at most ``threads`` threads inside a ``with`` block; None leaves the process's limit.

    Where blocks of several Python threads overlap, the smallest limit holds for all of them.

    Raises
    ------
    ValueError, TypeError
        A number outside 1..1024, or no integer.
    """
    if threads is None:
        yield
        return
    n, limits = checks.as_integer("threads", threads, least=1, most=1024), _limits
    limits.begin(n)
    try:
        yield
    finally:
        limits.end(n)


class EngineController(LibController):
    """The engine in ``threadpoolctl.threadpool_info()`` and ``threadpool_limits``."""

    user_api = "rnnfast"
    internal_api = "rnnfast"
    filename_prefixes = ("_core",)
    check_symbols = ("PyInit_engine",)  # other packages have a module named _core, too

    def get_num_threads(self) -> int:
        """Return the engine's limit."""
        return config.get_num_threads()

    def set_num_threads(self, num_threads: int) -> None:
        """Set the engine's limit."""
        config.set_num_threads(num_threads)

    def get_version(self) -> str:
        """Return the package's version."""
        from rnnfast import __version__

        return __version__

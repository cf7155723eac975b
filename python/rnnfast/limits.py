"""Limits of threads that may overlap: of estimators, and of trainings on the workers of a cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rnnfast import checks, config


class _Limits:
    """The limits of all who compute at this time, in all Python threads; the smallest one holds.

    The engine's limit is the process's. Were each block to put back what it found, two that overlap could leave the
    limit of one behind.
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
    """Give a forked child limits of its own: the parent's other threads do not compute in it."""
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

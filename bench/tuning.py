"""The choice, before anything is timed, of what makes NumPy fastest: memory order and BLAS threads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol, TypeVar

from bench.numpy_layer import ORDERS, Order


class Runnable(Protocol):
    """Something that can be timed."""

    def run(self) -> None:
        """Do the operation once."""


R = TypeVar("R", bound=Runnable)


def limit_blas(threads: int) -> bool:
    """Set the number of threads of NumPy's BLAS; return False where threadpoolctl is not installed."""
    with suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads, user_api="blas")
        return True
    return False


def least_time(run: Callable[[], None], *, seconds: float = 0.05) -> float:
    """The least time of one run, among as many as fit in ``seconds``."""
    best, stop = float("inf"), perf_counter() + seconds
    while True:
        start = perf_counter()
        run()
        end = perf_counter()
        best = min(best, end - start)
        if end > stop:
            return best


def fastest(build: Callable[[Order], R], *, threads: int) -> tuple[R, dict[str, Any]]:
    """Build in every memory order, run with one BLAS thread and with all, and leave the fastest set up.

    Returns it with the choice, ``{"order": ..., "blas_threads": ...}``.
    """
    counts = sorted({1, threads}) if limit_blas(threads) else [threads]
    trials: list[tuple[float, Order, int]] = []
    for order in ORDERS:
        candidate = build(order)
        candidate.run()
        for count in counts:
            limit_blas(count)
            trials.append((least_time(candidate.run), order, count))
        del candidate
    _, order, count = min(trials)
    limit_blas(count)
    return build(order), {"order": order, "blas_threads": count}

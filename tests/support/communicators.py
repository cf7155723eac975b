"""Communicators of threads, which stand in for those of mpi4py, so that tests need no MPI."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

V = TypeVar("V")


class World:
    """What the threads of a communicator share."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size, timeout=60)
        self.slots: list[Any] = [None] * size
        self.aborted: list[int] = []
        self.calls = 0


class Communicator:
    """The methods of ``mpi4py.MPI.Comm`` that the package calls, among threads."""

    def __init__(self, world: World, rank: int) -> None:
        self.world, self.rank = world, rank

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return self.world.size

    def Abort(self, code: int = 0) -> None:
        self.world.aborted.append(self.rank)
        self.world.barrier.abort()

    def allgather(self, value: V) -> list[V]:
        self.world.slots[self.rank] = value
        self.world.barrier.wait()
        found = list(self.world.slots)
        self.world.barrier.wait()
        return found

    def bcast(self, value: V, root: int = 0) -> V:
        return self.allgather(value)[root]

    def Allgatherv(self, sent: Any, received: Any) -> None:
        array, counts = received
        parts = self.allgather(sent.ravel())
        assert [part.size for part in parts] == list(counts)
        assert {part.dtype for part in parts} == {array.dtype}
        array.reshape(-1)[:] = np.concatenate(parts)
        self.world.barrier.wait()

    def Alltoallv(self, sent: Any, received: Any) -> None:
        own, counts = sent
        ends = np.cumsum(counts)
        rows = self.allgather(np.split(own, ends[:-1]))
        got = [row[self.rank] for row in rows]
        array, wanted = received
        assert [part.size for part in got] == list(wanted)
        array[:] = np.concatenate(got)
        self.world.calls += self.rank == 0
        self.world.barrier.wait()


def in_processes(size: int, act: Callable[[Communicator], V]) -> tuple[list[V | BaseException], World]:
    """Return what ``act`` returned or raised in each of ``size`` threads, and what these shared."""
    world = World(size)
    found: list[V | BaseException] = [RuntimeError("not begun")] * size

    def run(rank: int) -> None:
        try:
            found[rank] = act(Communicator(world, rank))
        except BaseException as error:
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, world

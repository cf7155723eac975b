"""Processes that train one model together, over a communicator of mpi4py."""

from __future__ import annotations

import functools
import platform
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Float64

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")

_NEEDED = ("Get_rank", "Get_size", "Abort", "bcast", "allgather", "Alltoallv", "Allgatherv")

Node = tuple[int, int]
"""A subtree of a sum: its first leaf, and the number of leaves, a power of two; some may lie past the end."""


class Processes:
    """The processes of a communicator, or this one alone.

    Every method but ``share`` is called by all of them together.

    Parameters
    ----------
    communicator : mpi4py communicator or None
        None stands for this process alone.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and of all.

    Raises
    ------
    TypeError
        Something else than a communicator.

    Examples
    --------
    >>> alone = Processes()
    >>> alone.size, alone.gather("here"), alone.sum([np.array([1.0]), np.array([2.0])], 2)
    (1, ['here'], array([3.]))
    """

    def __init__(self, communicator: Any = None) -> None:
        if communicator is not None and not all(hasattr(communicator, name) for name in _NEEDED):
            raise TypeError(f"communicator: one of mpi4py or None is required, got {checks.shown(communicator)}")
        self._communicator = communicator
        self.rank: int = 0 if communicator is None else communicator.Get_rank()
        self.size: int = 1 if communicator is None else communicator.Get_size()

    @property
    def leads(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    def broadcast(self, value: V) -> V:
        """Return the value of process 0."""
        found: V = value if self.size == 1 else self._communicator.bcast(value, root=0)
        return found

    def once(self, act: Callable[[], V]) -> V:
        """Return what ``act`` returns in process 0, which alone calls it."""
        if self.size == 1:
            return act()
        found: V = self._communicator.bcast(act() if self.leads else None, root=0)
        return found

    def gather(self, value: V) -> list[V]:
        """Return the values of all processes, by rank."""
        return [value] if self.size == 1 else list(self._communicator.allgather(value))

    def share(self, parts: int, rank: int | None = None) -> range:
        """Return which of the ``parts`` are those of a process, by default of this one."""
        rank = self.rank if rank is None else rank
        return range(rank * parts // self.size, (rank + 1) * parts // self.size)

    def rows(self, own: Float64, parts: int) -> Float64:
        """Return the rows (parts, K) of all parts, of which this process has its own."""
        if self.size == 1:
            return own
        found = np.empty((parts, own.shape[1]))
        counts = [own.shape[1] * len(self.share(parts, rank)) for rank in range(self.size)]
        self._communicator.Allgatherv(np.ascontiguousarray(own), [found, counts])
        return found

    def sum(self, vectors: Sequence[Array], parts: int) -> Array:
        """Return the sum (n,) of the vectors of all parts, of which this process has its own, which are overwritten.

        Neighbours are added, then neighbouring sums, and so on: a tree that depends on the number of parts alone, and
        so do the bits. Every process adds a slice of n/size elements of whatever subtrees the others could not.
        """
        leaves = {(part, 1): vector for part, vector in zip(self.share(parts), vectors, strict=True)}
        top = (0, 1 << (parts - 1).bit_length())
        if self.size == 1:
            return _added(leaves, top, parts)
        nodes = [_nodes(self.share(parts, rank), parts) for rank in range(self.size)]
        own = [_added(leaves, node, parts) for node in nodes[self.rank]]
        n, size = len(own[0]), self.size
        cuts = [n * rank // size for rank in range(size + 1)]
        mine = cuts[self.rank + 1] - cuts[self.rank]
        sent = (
            own[0]
            if len(own) == 1
            else np.concatenate([vector[cuts[rank] : cuts[rank + 1]] for rank in range(size) for vector in own])
        )
        got = np.empty(mine * sum(map(len, nodes)), sent.dtype)
        self._communicator.Alltoallv(
            [sent, [(cuts[rank + 1] - cuts[rank]) * len(own) for rank in range(size)]],
            [got, [mine * len(each) for each in nodes]],
        )
        every = [node for each in nodes for node in each]
        slices = {node: got[i * mine : (i + 1) * mine] for i, node in enumerate(every)}
        found = np.empty(n, sent.dtype)
        self._communicator.Allgatherv(np.ascontiguousarray(_added(slices, top, parts)), [found, np.diff(cuts).tolist()])
        return found


def _nodes(own: range, parts: int) -> list[Node]:
    """Return the largest subtrees whose leaves are those of ``own``.

    Examples
    --------
    >>> _nodes(range(2, 5), 8), _nodes(range(4, 6), 6)
    ([(2, 2), (4, 1)], [(4, 4)])
    """
    found, first = [], own.start
    while first < own.stop:
        leaves = first & -first or 1 << (parts - 1).bit_length()
        while min(first + leaves, parts) > own.stop:
            leaves //= 2
        found.append((first, leaves))
        first += leaves
    return found


def _added(vectors: dict[Node, Array], node: Node, parts: int) -> Array:
    """Return the sum of a subtree, made in place of those below that are there."""
    if node in vectors:
        return vectors[node]
    first, half = node[0], node[1] // 2
    left = _added(vectors, (first, half), parts)
    if first + half < parts:
        left += _added(vectors, (first + half, half), parts)
    return left


def ends_all(fit: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function with an argument ``communicator`` so that an exception in one process ends all of them.

    The others would wait for it without end. The error names the process and its machine.
    """

    @functools.wraps(fit)
    def guarded(*args: P.args, **options: P.kwargs) -> R:
        communicator: Any = options.get("communicator")
        if Processes(communicator).size == 1:
            return fit(*args, **options)
        try:
            return fit(*args, **options)
        except BaseException as error:
            rank, size = communicator.Get_rank(), communicator.Get_size()
            where = f"process {rank} of {size}, on {platform.node()}"
            traceback.print_exc()
            print(f"rnnfast: {where}, ends all: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            communicator.Abort(1)
            raise

    return guarded

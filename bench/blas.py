"""Bare BLAS: the matrix products of the NumPy model and nothing else, the time that no ufunc can shorten."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.numpy_layer import Memory, Order, flat
from bench.peer_numpy import chunk_bounds
from bench.problem import F32, Problem, Results
from bench.shapes import CELLS, Case
from bench.tuning import fastest

Product = tuple[F32, F32, F32]


class Products:
    """The products of one case as calls ``matmul(a, b, out)``, of the shapes and strides that the NumPy model uses."""

    def __init__(self, case: Case, order: Order) -> None:
        self.calls: list[Product] = []
        self.memory, row = Memory(order), case.row
        rows = CELLS[case.cell].gates * row.H
        splits = [row.H, rows - row.H] if case.cell == "gru_before" else [rows]
        steps = [self.steps(size, row.H, row.B) for size in splits]
        for inputs in [row.I] + [row.H] * (row.L - 1):
            for start, stop in chunk_bounds(row.T, rows, row.B):
                forward, backward = self.chunk(rows, inputs, row.H, (stop - start, row.B))
                self.calls += forward + [pair[0] for pair in steps] * (stop - start)
                if case.mode == "train":
                    self.calls += [pair[1] for pair in steps] * (stop - start) + backward

    def steps(self, rows: int, hidden: int, batch: int) -> tuple[Product, Product]:
        """``R h`` and ``R^T dq`` of one step."""
        q, h = self.memory.step(rows, batch), self.memory.step(hidden, batch)
        R, Rt = np.ones((rows, hidden), np.float32), np.ones((hidden, rows), np.float32)
        return (self.memory.matrix(R), h, q), (self.memory.matrix(Rt), q, h)

    def chunk(self, rows: int, inputs: int, hidden: int, size: tuple[int, int]) -> tuple[list[Product], list[Product]]:
        """``W x`` of a chunk, and ``W^T du``, ``du x^T``, ``du h_prev^T``."""
        memory = self.memory
        x, h, u, dx = (flat(memory.sequence(features, *size)) for features in (inputs + 1, hidden + 1, rows, inputs))
        W, Wt, dR = (
            memory.matrix(np.ones(shape, np.float32))
            for shape in ((rows, inputs + 1), (inputs, rows), (rows, hidden + 1))
        )
        return [(W, x, u)], [(Wt, u, dx), (u, x.T, W), (u, h.T, dR)]

    def run(self) -> None:
        """Do the products once."""
        matmul = np.matmul
        for call in self.calls:
            matmul(*call)


class BlasPeer:
    """Bare BLAS behind the protocol of ``bench.peers``; it has no results to compare."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def load(self, problem: Problem) -> dict[str, Any]:
        """Lay out the products in the memory order, and with the number of threads, that is fastest."""
        self.products, notes = fastest(lambda order: Products(problem.case, order), threads=self.threads)
        return notes

    def run(self) -> None:
        """One timed operation."""
        self.products.run()

    def results(self) -> Results:
        """Nothing."""
        return {}

"""The NumPy model: the same recurrent layers, forward and full BPTT, as an expert would write them in NumPy.

The input product and the weight gradients are one product over many steps, the recurrence one product a step; ufuncs
write into preallocated buffers through views made once; float32 throughout. Time is cut into chunks whose
pre-activations stay in the cache. Either memory order can be faster, so ``NumpyPeer`` tries both, with one BLAS thread
and with all, and keeps the best before anything is timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.numpy_cells import Lstm, Rnn
from bench.numpy_gru import Gru, GruBefore
from bench.numpy_layer import Chunk, Layer, Memory, Order
from bench.problem import F32, Problem, Results
from bench.tuning import fastest

LAYERS: dict[str, type[Layer]] = {"rnn": Rnn, "lstm": Lstm, "gru": Gru, "gru_before": GruBefore}
CHUNK_FLOATS = 1 << 17
CHUNK_COLUMNS = 512
"""A chunk has about CHUNK_FLOATS pre-activations, and at least CHUNK_COLUMNS columns, which keeps products fast."""


def chunk_bounds(steps: int, rows: int, batch: int) -> list[tuple[int, int]]:
    """Cut time into ranges of nearly equal length for pre-activations (rows, batch) a step."""
    longest = max(1, CHUNK_FLOATS // (rows * batch), -(-CHUNK_COLUMNS // batch))
    count = -(-steps // longest)
    edges = [steps * k // count for k in range(count + 1)]
    return [(edges[k], edges[k + 1]) for k in range(count)]


class NumpyModel:
    """A stack of layers over the arrays of one problem.

    ``run()`` is one timed operation: forward, and backward too if the case is one of training. ``x``, ``dy``, ``y`` and
    ``dx`` stay in the layout of ``order``; ``results()`` converts them. ``bounds`` replaces the choice of chunks.
    """

    def __init__(self, problem: Problem, order: Order, *, bounds: list[tuple[int, int]] | None = None) -> None:
        row, self.memory = problem.case.row, Memory(order)
        self.problem, self.training = problem, problem.case.mode == "train"
        weights = problem.weights
        self.bounds = bounds or chunk_bounds(row.T, len(weights["weight_hh_l0"]), row.B)
        self.x = self.cut(problem.x, row.I)
        xs = self.sequences(row.I + 1)
        self.x_rows = [x[:-1] for x in xs]
        none: Sequence[F32 | None] = [None] * len(self.bounds)
        dxs = [self.sequences(size) if self.training else none for size in [row.I] + [row.H] * (row.L - 1)]
        dys = [*dxs[1:], none if problem.dy is None else self.cut(problem.dy, row.H)]
        self.layers: list[Layer] = []
        for k in range(row.L):
            chunks = []
            for (a, b), x, dx, dy in zip(self.bounds, xs, dxs[k], dys[k], strict=True):
                y = self.memory.sequence(row.H + 1, b - a + 1, row.B)
                x[-1] = y[-1] = 1.0
                chunks.append(Chunk(a, b, x, y, dx, dy))
            own = {name[: -len(f"_l{k}")]: w for name, w in weights.items() if name.endswith(f"_l{k}")}
            self.layers.append(LAYERS[problem.case.cell](self.memory, own, chunks, training=self.training))
            xs = [chunk.y[:, 1:] for chunk in chunks]
        self.h0, self.c0, self.dh = (self.transposed(state) for state in (problem.h0, problem.c0, problem.dh))

    def sequences(self, features: int) -> list[F32]:
        """An array (features, K, B) for every chunk."""
        return [self.memory.sequence(features, b - a, self.problem.case.row.B) for a, b in self.bounds]

    def cut(self, sequence: F32, features: int) -> list[F32]:
        """The chunks of an array (B, T, features)."""
        chunks = self.sequences(features)
        for (a, b), chunk in zip(self.bounds, chunks, strict=True):
            chunk[...] = sequence[:, a:b].transpose(2, 1, 0)
        return chunks

    def transposed(self, state: F32 | None) -> list[F32] | list[float]:
        """The states (H, B) of every layer, zeros if there is none."""
        row = self.problem.case.row
        if state is None:
            return [0.0] * row.L
        steps = self.memory.steps(row.L, row.H, row.B)
        steps[...] = state.transpose(0, 2, 1)
        return list(steps)

    def run(self) -> None:
        """Do the operation once."""
        for rows, x in zip(self.x_rows, self.x, strict=True):
            np.copyto(rows, x)
        for k, layer in enumerate(self.layers):
            np.copyto(layer.chunks[0].h[0], self.h0[k])
            if isinstance(layer, Lstm):
                np.copyto(layer.c[0], self.c0[k])
            layer.forward()
        if not self.training:
            return
        for k in reversed(range(len(self.layers))):
            layer = self.layers[k]
            np.copyto(layer.dh, self.dh[k])
            if isinstance(layer, Lstm):
                layer.dc[...] = 0.0
            layer.backward()

    def results(self) -> Results:
        """Outputs, states and gradients of the last run, in the conventions of ``Problem``."""
        layers, last = self.layers, self.layers[-1]
        results = {"y": np.concatenate([chunk.h[1:].transpose(2, 0, 1) for chunk in last.chunks], axis=1)}
        results["h"] = np.stack([layer.chunks[-1].h[-1].T for layer in layers])
        cells = [layer for layer in layers if isinstance(layer, Lstm)]
        if cells:
            results["c"] = np.stack([layer.c[-1].T for layer in cells])
        if not self.training:
            return results
        dx = [chunk.dx.transpose(2, 1, 0) for chunk in layers[0].chunks if chunk.dx is not None]
        results |= {"dx": np.concatenate(dx, axis=1), "dh": np.stack([layer.dh.T for layer in layers])}
        if cells:
            results["dc"] = np.stack([layer.dc.T for layer in cells])
        for k, layer in enumerate(layers):
            results |= {f"{name}_l{k}": gradient for name, gradient in layer.gradients().items()}
        return results


class NumpyPeer:
    """The NumPy model behind the protocol of ``bench.peers``."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def load(self, problem: Problem) -> dict[str, Any]:
        """Build the model in the memory order, and with the number of BLAS threads, that is fastest for this case."""
        self.model, notes = fastest(lambda order: NumpyModel(problem, order), threads=self.threads)
        return notes

    def run(self) -> None:
        """One timed operation."""
        self.model.run()

    def results(self) -> Results:
        """What the last run computed."""
        return self.model.results()


class PlainNumpyPeer(NumpyPeer):
    """The NumPy model without tuning: batch-major arrays, one product for the inputs of all steps, BLAS as it comes."""

    def load(self, problem: Problem) -> dict[str, Any]:
        """Build the model."""
        self.model = NumpyModel(problem, "batch", bounds=[(0, problem.case.row.T)])
        return {"order": "batch", "blas_threads": self.threads}

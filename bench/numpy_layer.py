"""What the layers of the NumPy model share: memory orders, packed weights, and the products over many steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from bench.problem import F32, Results

Order = Literal["features", "batch"]
ORDERS: tuple[Order, ...] = ("features", "batch")
Views: TypeAlias = list[tuple[Any, ...]]

HALF = np.array(0.5, np.float32)
ONE = np.array(1.0, np.float32)
SPAN_FLOATS = 1 << 16
"""Size of a span of steps whose derivative factors are computed at once: few calls, and in the cache."""


@dataclass(frozen=True)
class Memory:
    """Allocates float32 arrays whose last logical axis is the batch, in one of two memory orders.

    ``"features"`` stores them as written, so that every gate of a step is one contiguous block; ``"batch"`` stores
    features last, so that a step of a sequence is one contiguous block. The formulas are the same.
    """

    order: Order

    def sequence(self, features: int, steps: int, batch: int) -> F32:
        """An array (features, steps, batch) that reshapes to (features, steps * batch) without a copy."""
        shape = (features, steps, batch) if self.order == "features" else (steps, batch, features)
        array: F32 = np.zeros(shape, np.float32)
        return array if self.order == "features" else array.transpose(2, 0, 1)

    def steps(self, steps: int, features: int, batch: int) -> F32:
        """An array (steps, features, batch) in which each step is contiguous."""
        shape = (steps, features, batch) if self.order == "features" else (steps, batch, features)
        array: F32 = np.zeros(shape, np.float32)
        return array if self.order == "features" else array.transpose(0, 2, 1)

    def step(self, features: int, batch: int) -> F32:
        """An array (features, batch)."""
        step: F32 = self.steps(1, features, batch)[0]
        return step

    def matrix(self, values: F32) -> F32:
        """A copy of a weight matrix, laid out as the products of this order read it."""
        return np.array(values, np.float32, order="C" if self.order == "features" else "F")


def flat(sequence: F32) -> F32:
    """View a sequence (features, steps, batch) as a matrix (features, steps * batch)."""
    matrix = sequence.reshape(sequence.shape[0], -1)
    assert np.shares_memory(matrix, sequence)
    return matrix


def at(buffer: F32, step: int) -> F32:
    """The entry of a step, in a buffer that keeps every step or reuses one."""
    entry: F32 = buffer[step % len(buffer)]
    return entry


def blocks(step: F32, size: int) -> F32:
    """View (k * size, batch) as (k, size, batch)."""
    return step.reshape(-1, size, step.shape[-1])


@dataclass(frozen=True, eq=False)
class Chunk:
    """What a layer reads and writes over the steps from ``start`` to ``stop``, K of them.

    ``x (I + 1, K, N)`` and ``y (H + 1, K + 1, N)`` end in a row of ones, so that the products over all steps add the
    bias and yield its gradient; ``y[:H, 0]`` is the state before. To train there are ``dx (I, K, N)``, and
    ``dy (H, K, N)`` unless only the last state has a gradient.
    """

    start: int
    stop: int
    x: F32
    y: F32
    dx: F32 | None
    dy: F32 | None

    @property
    def h(self) -> F32:
        """The states (K + 1, H, N), the one before first."""
        return self.y[:-1].transpose(1, 0, 2)

    @property
    def dys(self) -> list[F32 | None]:
        """The gradient of every output, or None where only the last state has one."""
        return [None] * (self.stop - self.start) if self.dy is None else list(self.dy.transpose(1, 0, 2))


@dataclass(frozen=True)
class Part:
    """The views and arguments of one chunk, made once."""

    project: tuple[F32, F32, F32]
    forward: Views
    spans: Views
    products: list[tuple[F32, F32, F32]]
    sums: list[tuple[F32, F32]]


class Layer(ABC):
    """One layer: ``forward()`` fills y; after it, ``backward()`` fills dx, dW, dR and, in place, dh (and dc).

    Gate blocks are permuted so that gates that are treated alike are adjacent, and the weights of sigmoid gates are
    halved, because ``sigmoid(a) = (1 + tanh(a / 2)) / 2`` then needs one tanh over all gates. Biases are summed.
    """

    w_blocks: ClassVar[tuple[int, ...]]
    r_blocks: ClassVar[tuple[int, ...]]
    w_scale: ClassVar[tuple[float, ...]]
    r_scale: ClassVar[tuple[float, ...]]
    saved_blocks: ClassVar[int]

    def __init__(self, memory: Memory, weights: Results, chunks: list[Chunk], *, training: bool) -> None:
        self.memory, self.training, self.chunks = memory, training, chunks
        self.H, self.N, self.T = len(chunks[0].y) - 1, chunks[0].y.shape[-1], chunks[-1].stop
        W, R = weights["weight_ih"], weights["weight_hh"]
        self.W = memory.matrix(self.pack(np.c_[W, self.input_bias(weights)], self.w_blocks, self.w_scale))
        self.R = memory.matrix(self.pack(R, self.r_blocks, self.r_scale))
        self.q = memory.step(len(self.R), self.N)
        self.scratch: dict[int, F32] = {}
        if training:
            self.Wt = memory.matrix(self.pack(W, self.w_blocks, (1.0,) * len(self.w_blocks)).T)
            self.Rt = memory.matrix(self.pack(R, self.r_blocks, (1.0,) * len(self.r_blocks)).T)
            self.dW, self.dR = memory.matrix(0 * self.W), memory.matrix(np.c_[0 * self.R, 0 * self.R[:, 0]])
            self.dW_part, self.dR_part = memory.matrix(self.dW), memory.matrix(self.dR)
            self.dh, self.work = memory.step(self.H, self.N), memory.step(self.H, self.N)
        self.K = max(1, SPAN_FLOATS // (len(self.W) * self.N))
        self.prepare(weights)
        self.parts = [self.part(chunk) for chunk in chunks]

    def part(self, chunk: Chunk) -> Part:
        """Allocate what belongs to one chunk and make its views."""
        steps = chunk.stop - chunk.start
        size = self.saved_blocks * self.H
        keep_u = self.training and self.memory.order == "batch"
        u = self.memory.sequence(size, steps, self.N) if keep_u else self.scratch.get(steps)
        if u is None:
            u = self.scratch[steps] = self.memory.sequence(size, steps, self.N)
        by_step = u.transpose(1, 0, 2)
        saved = by_step if keep_u else self.memory.steps(steps if self.training else 1, size, self.N)
        project = (self.W, flat(chunk.x), flat(u[: len(self.W)]))
        forward = self.forward_views(chunk, by_step, saved)
        if not self.training:
            return Part(project, forward, [], [], [])
        copies = [None if keep_u else step for step in by_step]
        spans = [
            self.span_views(chunk, by_step, saved, copies, max(0, stop - self.K), stop)
            for stop in range(steps, 0, -self.K)
        ]
        assert chunk.dx is not None
        dx = (self.Wt, flat(u[: len(self.W)]), flat(chunk.dx))
        first = chunk.stop == self.T
        dW, dR = (self.dW, self.dR) if first else (self.dW_part, self.dR_part)
        sums = [] if first else [(self.dW, self.dW_part), (self.dR, self.dR_part)]
        return Part(project, forward, spans, [dx, *self.gradient_products(chunk, u, dW, dR)], sums)

    def gradient_products(self, chunk: Chunk, u: F32, dW: F32, dR: F32) -> list[tuple[F32, F32, F32]]:
        """Arguments of ``dW = du x^T`` and ``dR = dq h_prev^T`` over the chunk; u holds du first and dq last."""
        dq = flat(u[-len(self.R) :])
        return [(flat(u[: len(self.W)]), flat(chunk.x).T, dW), (dq, flat(chunk.y[:, :-1]).T, dR)]

    def pack(self, weights: F32, order: tuple[int, ...], scale: tuple[float, ...]) -> F32:
        """Permute the gate blocks of PyTorch's order and scale them."""
        parts = [weights[k * self.H : (k + 1) * self.H] * np.float32(s) for k, s in zip(order, scale, strict=True)]
        return np.concatenate(parts)

    def unpack(self, packed: F32, order: tuple[int, ...]) -> F32:
        """Undo the permutation of ``pack``."""
        return np.concatenate([packed[order.index(k) * self.H :][: self.H] for k in range(len(order))])

    def input_bias(self, weights: Results) -> F32:
        """The bias that the input product adds."""
        return weights["bias_ih"] + weights["bias_hh"]

    @abstractmethod
    def prepare(self, weights: Results) -> None:
        """Allocate what a cell needs beyond this class."""

    @abstractmethod
    def forward_views(self, chunk: Chunk, u: F32, saved: F32) -> Views:
        """What ``advance`` reads and writes, step by step; u and saved are (K, ..., N)."""

    @abstractmethod
    def span_views(self, chunk: Chunk, u: F32, saved: F32, copies: list[F32 | None], a: int, b: int) -> tuple[Any, ...]:
        """What ``retreat`` reads and writes over the steps from a to b of the chunk: of all of them, and of each."""

    @abstractmethod
    def advance(self, steps: Views) -> None:
        """The recurrence over the steps of a chunk."""

    @abstractmethod
    def retreat(self, *span: Any) -> None:
        """The reverse recurrence over the steps of a span: gate gradients and dh (and dc)."""

    def forward(self) -> None:
        """Compute y from x and the initial state."""
        before = None
        for chunk, part in zip(self.chunks, self.parts, strict=True):
            if before is not None:
                np.copyto(chunk.y[:, 0], before.y[:, -1])
            np.matmul(*part.project)
            self.advance(part.forward)
            before = chunk

    def backward(self) -> None:
        """Compute all gradients; dh (and dc) hold the gradient of the final state before, of the initial one after."""
        for part in reversed(self.parts):
            for span in part.spans:
                self.retreat(*span)
            for product in part.products:
                np.matmul(*product)
            for total, term in part.sums:
                np.add(total, term, total)

    def gradients(self) -> Results:
        """Parameter gradients under PyTorch's names, in its gate order."""
        dW, dR = self.unpack(self.dW, self.w_blocks), self.unpack(self.dR, self.r_blocks)
        return {"weight_ih": dW[:, :-1], "bias_ih": dW[:, -1], "weight_hh": dR[:, :-1], "bias_hh": dR[:, -1]}

"""The Elman and LSTM layers of the NumPy model."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.numpy_layer import HALF, ONE, Chunk, Layer, Views, at, blocks
from bench.problem import F32, Results


class Rnn(Layer):
    """``h = tanh(u + R h_prev)``; nothing is saved beyond y."""

    w_blocks = r_blocks = (0,)
    w_scale = r_scale = (1.0,)
    saved_blocks = 1

    def prepare(self, weights: Results) -> None:
        """Allocate the derivative factors."""
        self.factors = self.memory.steps(self.K, self.H, self.N)

    def forward_views(self, chunk: Chunk, u: F32, saved: F32) -> Views:
        """h_prev, u, h."""
        return list(zip(chunk.h[:-1], u, chunk.h[1:], strict=True))

    def span_views(self, chunk: Chunk, u: F32, saved: F32, copies: list[F32 | None], a: int, b: int) -> tuple[Any, ...]:
        """h, its derivative factors, and for each step dy, the factor, du."""
        factors, dy = self.factors[: b - a], chunk.dys
        return chunk.h[a + 1 : b + 1], factors, [(dy[t], factors[t - a], u[t]) for t in reversed(range(a, b))]

    def advance(self, steps: Views) -> None:
        """The recurrence over the steps of a chunk."""
        matmul, add, tanh = np.matmul, np.add, np.tanh
        R, q = self.R, self.q
        for h_prev, u, h in steps:
            matmul(R, h_prev, q)
            add(q, u, q)
            tanh(q, h)

    def retreat(self, *span: Any) -> None:
        """The reverse recurrence over the steps of a span."""
        matmul, add, multiply = np.matmul, np.add, np.multiply
        h, factors, steps = span
        Rt, dh = self.Rt, self.dh
        multiply(h, h, factors)
        np.subtract(ONE, factors, factors)
        for dy, d_tanh, du in steps:
            if dy is not None:
                add(dh, dy, dh)
            multiply(dh, d_tanh, du)
            matmul(Rt, du, dh)


class Lstm(Layer):
    """``c = f c_prev + i g``, ``h = o tanh(c)``; gate blocks in memory are o, i, f, g."""

    w_blocks = r_blocks = (3, 0, 1, 2)
    w_scale = r_scale = (0.5, 0.5, 0.5, 1.0)
    saved_blocks = 4

    def prepare(self, weights: Results) -> None:
        """Allocate the cell states and the derivative factors."""
        steps, H, N = self.memory.steps, self.H, self.N
        self.c = steps(self.T + 1 if self.training else 1, H, N)
        self.tanh_c = steps(self.T if self.training else 1, H, N)
        self.product = self.memory.step(H, N)
        if self.training:
            self.dc = self.memory.step(H, N)
            self.factors, self.through, self.forget = steps(self.K, 3 * H, N), steps(self.K, H, N), steps(self.K, H, N)

    def forward_views(self, chunk: Chunk, u: F32, saved: F32) -> Views:
        """h_prev, u, all gates, sigmoid gates, o, i, f, g, c_prev, c, tanh(c), h."""
        views = []
        for k, t in enumerate(range(chunk.start, chunk.stop)):
            s = at(saved, k)
            c = (at(self.c, t), at(self.c, t + 1), at(self.tanh_c, t))
            views.append((chunk.h[k], u[k], s, s[: 3 * self.H], *blocks(s, self.H), *c, chunk.h[k + 1]))
        return views

    def span_views(self, chunk: Chunk, u: F32, saved: F32, copies: list[F32 | None], a: int, b: int) -> tuple[Any, ...]:
        """The arguments of ``factorise``, and for each step dy, three factors, the gates, and where to copy them."""
        H, w, dy = self.H, self.factors[: b - a], chunk.dys
        through, forget = self.through[: b - a], self.forget[: b - a]
        s, first = saved[a:b], chunk.start + a
        gates = (s[:, : 3 * H], *(s[:, k * H : (k + 1) * H] for k in range(4)))
        parts = (w, w[:, :H], w[:, H : 2 * H], w[:, 2 * H :])
        cells = (self.c[first : first + b - a], self.tanh_c[first : first + b - a])
        steps = [
            (dy[a + k], through[k], forget[k], s[k, :H], blocks(s[k, H:], H), s[k], copies[a + k])
            for k in reversed(range(b - a))
        ]
        return (*gates, *parts, *cells, through, forget), steps

    def advance(self, steps: Views) -> None:
        """The recurrence over the steps of a chunk."""
        matmul, add, multiply, tanh = np.matmul, np.add, np.multiply, np.tanh
        R, q, ig = self.R, self.q, self.product
        for h_prev, u, gates, sigmoids, o, i, f, g, c_prev, c, tanh_c, h in steps:
            matmul(R, h_prev, q)
            add(q, u, q)
            tanh(q, gates)
            multiply(sigmoids, HALF, sigmoids)
            add(sigmoids, HALF, sigmoids)
            multiply(i, g, ig)
            multiply(f, c_prev, c)
            add(c, ig, c)
            tanh(c, tanh_c)
            multiply(o, tanh_c, h)

    @staticmethod
    def factorise(*views: F32) -> None:
        """Replace the gates of some steps by the factors that turn dh and dc into dgates.

        ``dc += dh through``; ``do = dh o'``; ``di, df, dg = dc (i', f', g')``; ``dc_prev = dc forget``.
        """
        sigmoids, o, i, f, g, w, w_o, w_i, w_f, c_prev, tanh_c, through, forget = views
        multiply, subtract = np.multiply, np.subtract
        multiply(tanh_c, tanh_c, through)
        subtract(ONE, through, through)
        multiply(through, o, through)
        np.copyto(forget, f)
        subtract(ONE, sigmoids, w)
        multiply(w, sigmoids, w)
        multiply(w_o, tanh_c, o)
        multiply(w_f, c_prev, f)
        multiply(w_i, g, w_i)
        multiply(g, g, g)
        subtract(ONE, g, g)
        multiply(g, i, g)
        np.copyto(i, w_i)

    def retreat(self, *span: Any) -> None:
        """The reverse recurrence over the steps of a span."""
        matmul, add, multiply = np.matmul, np.add, np.multiply
        views, steps = span
        Rt, dh, dc, work = self.Rt, self.dh, self.dc, self.work
        self.factorise(*views)
        for dy, through, forget, d_o, d_ifg, dgates, copy in steps:
            if dy is not None:
                add(dh, dy, dh)
            multiply(dh, through, work)
            add(dc, work, dc)
            multiply(d_o, dh, d_o)
            multiply(d_ifg, dc, d_ifg)
            multiply(dc, forget, dc)
            if copy is not None:
                np.copyto(copy, dgates)
            matmul(Rt, dgates, dh)

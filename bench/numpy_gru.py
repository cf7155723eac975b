"""The two GRU layers of the NumPy model."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.numpy_layer import HALF, ONE, Chunk, Layer, Views, at, blocks, flat
from bench.problem import F32, Results


class Gru(Layer):
    """Reset-after form: ``n = tanh(u_n + r q_n)``, ``h = n + z (h_prev - n)`` with ``q = R h_prev + b_r``.

    Blocks in memory are n, r, z, q_n: the first three are the rows of u, the last three those of q.
    """

    w_blocks, w_scale = (2, 0, 1), (1.0, 0.5, 0.5)
    r_blocks, r_scale = (0, 1, 2), (0.5, 0.5, 1.0)
    saved_blocks = 4

    def prepare(self, weights: Results) -> None:
        """Allocate the bias inside ``r q_n`` and the derivative factors."""
        step, H, N = self.memory.step, self.H, self.N
        self.b_n, self.difference = step(H, N), step(H, N)
        self.b_n[...] = weights["bias_hh"][2 * H :, None]
        self.factors, self.keep = self.memory.steps(self.K, H, N), self.memory.steps(self.K, H, N)

    def input_bias(self, weights: Results) -> F32:
        """All of b_ih, and the r and z parts of b_hh; the n part must stay inside ``r q_n``."""
        bias = weights["bias_ih"].copy()
        bias[: 2 * self.H] += weights["bias_hh"][: 2 * self.H]
        return bias

    def forward_views(self, chunk: Chunk, u: F32, saved: F32) -> Views:
        """h_prev, the two parts of u, both sigmoid gates, n, r, z, q_n, h."""
        H, views = self.H, []
        for k in range(chunk.stop - chunk.start):
            s = at(saved, k)
            inputs = (chunk.h[k], u[k, :H], u[k, H : 3 * H])
            views.append((*inputs, s[H : 3 * H], *blocks(s, H), chunk.h[k + 1]))
        return views

    def span_views(self, chunk: Chunk, u: F32, saved: F32, copies: list[F32 | None], a: int, b: int) -> tuple[Any, ...]:
        """The arguments of ``factorise``, and for each step dy, all gates, z, dq, the gates, and where to copy them."""
        H, keep, dy, s = self.H, self.keep[: b - a], chunk.dys, saved[a:b]
        gates = (s[:, k * H : (k + 1) * H] for k in range(4))
        steps = [(dy[a + k], blocks(s[k], H), keep[k], s[k, H:], s[k], copies[a + k]) for k in reversed(range(b - a))]
        return (*gates, chunk.h[a:b], self.factors[: b - a], keep), steps

    def advance(self, steps: Views) -> None:
        """The recurrence over the steps of a chunk."""
        matmul, add, multiply, tanh = np.matmul, np.add, np.multiply, np.tanh
        R, q, b_n, difference = self.R, self.q, self.b_n, self.difference
        q_sigmoids, q_candidate = q[: 2 * self.H], q[2 * self.H :]
        for h_prev, u_n, u_rz, sigmoids, n, r, z, q_n, h in steps:
            matmul(R, h_prev, q)
            add(q_sigmoids, u_rz, q_sigmoids)
            tanh(q_sigmoids, sigmoids)
            multiply(sigmoids, HALF, sigmoids)
            add(sigmoids, HALF, sigmoids)
            add(q_candidate, b_n, q_n)
            multiply(r, q_n, difference)
            add(u_n, difference, n)
            tanh(n, n)
            np.subtract(h_prev, n, difference)
            multiply(difference, z, difference)
            add(n, difference, h)

    @staticmethod
    def factorise(*views: F32) -> None:
        """Replace the gates of some steps by the factors that turn dh into dn, dr, dz, dq_n; keep z."""
        n, r, z, q_n, h_prev, w, keep = views
        multiply, subtract = np.multiply, np.subtract
        np.copyto(keep, z)
        subtract(h_prev, n, w)
        multiply(w, z, w)
        subtract(ONE, z, z)
        multiply(n, n, n)
        subtract(ONE, n, n)
        multiply(n, z, n)
        multiply(z, w, z)
        subtract(ONE, r, w)
        multiply(w, r, w)
        multiply(w, q_n, w)
        multiply(n, r, q_n)
        multiply(n, w, r)

    def retreat(self, *span: Any) -> None:
        """The reverse recurrence over the steps of a span."""
        matmul, add, multiply = np.matmul, np.add, np.multiply
        views, steps = span
        Rt, dh, work = self.Rt, self.dh, self.work
        self.factorise(*views)
        for dy, d_all, keep, dq, dgates, copy in steps:
            if dy is not None:
                add(dh, dy, dh)
            multiply(d_all, dh, d_all)
            if copy is not None:
                np.copyto(copy, dgates)
            multiply(dh, keep, dh)
            matmul(Rt, dq, work)
            add(dh, work, dh)


class GruBefore(Layer):
    """Reset-before form: ``n = tanh(u_n + R_n (r h_prev))``; blocks in memory are n, z, r."""

    w_blocks = r_blocks = (2, 1, 0)
    w_scale = r_scale = (1.0, 0.5, 0.5)
    saved_blocks = 3

    def prepare(self, weights: Results) -> None:
        """Split R and allocate the derivative factors."""
        memory, H, N = self.memory, self.H, self.N
        self.Rn, self.Rzr = memory.matrix(self.R[:H]), memory.matrix(self.R[H:])
        self.difference, self.drh = memory.step(H, N), memory.step(H, N)
        self.rh = [memory.sequence(H, c.stop - c.start if self.training else 1, N) for c in self.chunks]
        self.factors = memory.steps(self.K, H, N)
        self.keep, self.reset = memory.steps(self.K, H, N), memory.steps(self.K, H, N)
        if self.training:
            self.Rnt, self.Rzrt = memory.matrix(self.Rt[:, :H]), memory.matrix(self.Rt[:, H:])

    def forward_views(self, chunk: Chunk, u: F32, saved: F32) -> Views:
        """h_prev, the two parts of u, both sigmoid gates, n, z, r, r h_prev, h."""
        H, views = self.H, []
        rh = self.rh[self.chunks.index(chunk)].transpose(1, 0, 2)
        for k in range(chunk.stop - chunk.start):
            s = at(saved, k)
            inputs = (chunk.h[k], u[k, :H], u[k, H:])
            views.append((*inputs, s[H:], *blocks(s, H), at(rh, k), chunk.h[k + 1]))
        return views

    def span_views(self, chunk: Chunk, u: F32, saved: F32, copies: list[F32 | None], a: int, b: int) -> tuple[Any, ...]:
        """The arguments of ``factorise``, and for each step dy, z, r, views of the gates, and where to copy them."""
        H, dy, s = self.H, chunk.dys, saved[a:b]
        keep, reset = self.keep[: b - a], self.reset[: b - a]
        gates = (s[:, k * H : (k + 1) * H] for k in range(3))
        steps = []
        for k in reversed(range(b - a)):
            d_nz, dn, dr, dzr = blocks(s[k, : 2 * H], H), s[k, :H], s[k, 2 * H :], s[k, H:]
            steps.append((dy[a + k], keep[k], reset[k], d_nz, dn, dr, dzr, s[k], copies[a + k]))
        return (*gates, chunk.h[a:b], self.factors[: b - a], keep, reset), steps

    def gradient_products(self, chunk: Chunk, u: F32, dW: F32, dR: F32) -> list[tuple[F32, F32, F32]]:
        """Arguments of dW, and of the two blocks of dR: candidate rows see ``r h_prev``."""
        H, rh = self.H, self.rh[self.chunks.index(chunk)]
        du = flat(u)
        return [
            (du, flat(chunk.x).T, dW),
            (du[H:], flat(chunk.y[:, :-1]).T, dR[H:]),
            (du[:H], flat(rh).T, dR[:H, :-1]),
        ]

    def advance(self, steps: Views) -> None:
        """The recurrence over the steps of a chunk."""
        matmul, add, multiply, tanh = np.matmul, np.add, np.multiply, np.tanh
        Rn, Rzr, difference = self.Rn, self.Rzr, self.difference
        q_n, q_zr = self.q[: self.H], self.q[self.H :]
        for h_prev, u_n, u_zr, sigmoids, n, z, r, rh, h in steps:
            matmul(Rzr, h_prev, q_zr)
            add(q_zr, u_zr, q_zr)
            tanh(q_zr, sigmoids)
            multiply(sigmoids, HALF, sigmoids)
            add(sigmoids, HALF, sigmoids)
            multiply(r, h_prev, rh)
            matmul(Rn, rh, q_n)
            add(q_n, u_n, q_n)
            tanh(q_n, n)
            np.subtract(h_prev, n, difference)
            multiply(difference, z, difference)
            add(n, difference, h)

    @staticmethod
    def factorise(*views: F32) -> None:
        """Replace the gates by the factors of dn, dz (from dh) and dr (from d(r h_prev)); keep z and r."""
        n, z, r, h_prev, w, keep, reset = views
        multiply, subtract = np.multiply, np.subtract
        np.copyto(keep, z)
        np.copyto(reset, r)
        subtract(h_prev, n, w)
        multiply(w, z, w)
        subtract(ONE, z, z)
        multiply(n, n, n)
        subtract(ONE, n, n)
        multiply(n, z, n)
        multiply(z, w, z)
        subtract(ONE, r, w)
        multiply(w, r, w)
        multiply(w, h_prev, r)

    def retreat(self, *span: Any) -> None:
        """The reverse recurrence over the steps of a span."""
        matmul, add, multiply = np.matmul, np.add, np.multiply
        views, steps = span
        Rnt, Rzrt, dh, drh, work = self.Rnt, self.Rzrt, self.dh, self.drh, self.work
        self.factorise(*views)
        for dy, keep, reset, d_nz, dn, dr, dzr, dgates, copy in steps:
            if dy is not None:
                add(dh, dy, dh)
            multiply(d_nz, dh, d_nz)
            matmul(Rnt, dn, drh)
            multiply(dr, drh, dr)
            if copy is not None:
                np.copyto(copy, dgates)
            multiply(dh, keep, dh)
            multiply(drh, reset, drh)
            add(dh, drh, dh)
            matmul(Rzrt, dzr, work)
            add(dh, work, dh)

    def gradients(self) -> Results:
        """Parameter gradients; both biases enter every pre-activation alike, so theirs are equal."""
        results = super().gradients()
        return results | {"bias_hh": results["bias_ih"]}

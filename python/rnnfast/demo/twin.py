"""The NumPy twin of a training step: ids -> embedding -> GRU -> head -> loss, back through all of it, clip, Adam.

Written as fast as NumPy allows: the batch is packed, so that padding costs nothing; products over all steps stand
outside the loops, inside there is one product a step; element-wise work happens in place, on contiguous blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


class Packed:
    """Sequences of ids, longest first, step after step.

    Attributes
    ----------
    ids : (M,)
        The elements of step 0, then of step 1, ...
    counts, starts : list of int
        How many sequences have a step t, and where its elements begin.
    last : (N,)
        Where each sequence ends.
    order : (N,)
        Which sequence stands at each place.
    """

    def __init__(self, sequences: Sequence[Ids] | Ids) -> None:
        lengths = np.array([len(s) for s in sequences])
        self.order = np.argsort(-lengths, kind="stable")
        lengths = lengths[self.order]
        self.counts = [int(n) for n in (lengths[:, None] > np.arange(lengths[0])).sum(axis=0)]
        starts = np.concatenate([[0], np.cumsum(self.counts)])
        self.starts = [int(s) for s in starts]
        self.last = starts[lengths - 1] + np.arange(len(lengths))
        self.ids = self.aligned(sequences)

    def rows(self, t: int) -> slice:
        """Where the elements of step t are."""
        return slice(self.starts[t], self.starts[t + 1])

    def aligned(self, sequences: Sequence[Ids] | Ids) -> Ids:
        """Arrange sequences of these lengths in this way."""
        out = np.empty(self.starts[-1], np.int64)
        starts = np.array(self.starts)
        for row, n in enumerate(self.order):
            out[starts[: len(sequences[n])] + row] = sequences[n]
        return out


class GruTwin:
    """A model with the parameters of ``ManyToOne`` or ``OneToMany`` (GRU, one layer), trained by NumPy alone.

    ``r, z = sigmoid(u + q)``; ``n = tanh(u_n + r q_n)``; ``h = n + z (h_prev - n)``, with ``u = W x + b_ih`` and
    ``q = R h_prev + b_hh``; the head reads every h, or the last one.

    Parameters
    ----------
    parameters : mapping of arrays
        Copied.
    every_step : bool
        There is a target at every step instead of one a sequence.
    lr, clip_norm : float
    """

    def __init__(self, parameters: Mapping[str, Any], *, every_step: bool, lr: float, clip_norm: float) -> None:
        shapes = {name: value.shape for name, value in parameters.items()}
        self.flat = np.concatenate([np.ravel(v) for v in parameters.values()]).astype(np.float32)
        self.gradient, self.m, self.v = np.zeros((3, self.flat.size), np.float32)
        self.p, self.g = _views(self.flat, shapes), _views(self.gradient, shapes)
        self.every_step, self.lr, self.clip_norm, self.steps = every_step, lr, clip_norm, 0

    def step(self, sequences: Sequence[Ids] | Ids, targets: Any, weights: F32 | None = None) -> float:
        """Take one step of training.

        Parameters
        ----------
        sequences : N arrays of ids (T_n,)
        targets : N arrays (T_n,) or one array (N,)
        weights : (N,), of targets that stand one for each sequence

        Returns
        -------
        float
            The loss before it.
        """
        packed = Packed(sequences)
        wanted = packed.aligned(targets) if self.every_step else np.asarray(targets)[packed.order]
        shares = None if weights is None else weights[packed.order]
        x = self.p["embedding.weight"][packed.ids]
        saved = self._forward(packed, x)
        h = saved["h"] if self.every_step else saved["h"][packed.last]
        loss, dlogits = _cross_entropy(h @ self.p["head.weight"].T + self.p["head.bias"], wanted, shares)
        np.matmul(dlogits.T, h, out=self.g["head.weight"])
        np.sum(dlogits, axis=0, out=self.g["head.bias"])
        dh = dlogits @ self.p["head.weight"]
        if not self.every_step:
            dh_all = np.zeros_like(saved["h"])
            dh_all[packed.last] = dh
            dh = dh_all
        self._backward(packed, x, saved, dh)
        self._update()
        return loss

    def _forward(self, packed: Packed, x: F32) -> dict[str, F32]:
        weight, bias = self.p["rnn.weight_hh_l0"], self.p["rnn.bias_hh_l0"]
        size = weight.shape[1]
        u = x @ self.p["rnn.weight_ih_l0"].T
        u += self.p["rnn.bias_ih_l0"]
        u[:, : 2 * size] += bias[: 2 * size]
        gates, n, q_n, before, h = (np.empty((len(x), k * size), np.float32) for k in (2, 1, 1, 1, 1))
        h_prev = np.zeros((packed.counts[0], size), np.float32)
        transposed, q = np.ascontiguousarray(weight.T), np.empty((packed.counts[0], 3 * size), np.float32)
        for t, count in enumerate(packed.counts):
            rows, now = packed.rows(t), q[:count]
            before[rows] = h_prev[:count]
            np.matmul(h_prev[:count], transposed, out=now)
            a = np.add(now[:, : 2 * size], u[rows, : 2 * size], out=gates[rows])
            _sigmoid(a)
            np.add(now[:, 2 * size :], bias[2 * size :], out=q_n[rows])
            b = np.multiply(a[:, :size], q_n[rows], out=n[rows])
            b += u[rows, 2 * size :]
            np.tanh(b, out=b)
            h_prev = np.subtract(h_prev[:count], b, out=h[rows])
            h_prev *= a[:, size:]
            h_prev += b
        return {"gates": gates, "n": n, "q_n": q_n, "before": before, "h": h}

    def _backward(self, packed: Packed, x: F32, saved: dict[str, F32], dy: F32) -> None:
        weight = self.p["rnn.weight_hh_l0"]
        size = weight.shape[1]
        r, z, n = saved["gates"][:, :size], saved["gates"][:, size:], saved["n"]
        # Factors that do not depend on dh, over all steps at once.
        by_n = (1 - z) * (1 - n * n)
        by_z = (saved["before"] - n) * z * (1 - z)
        by_r = saved["q_n"] * r * (1 - r)
        dq = np.empty((len(x), 3 * size), np.float32)
        du_n = np.empty((len(x), size), np.float32)
        carried = np.zeros((packed.counts[0], size), np.float32)
        for t in range(len(packed.counts) - 1, -1, -1):
            rows = packed.rows(t)
            dh, now = carried[: packed.counts[t]], dq[rows]
            dh += dy[rows]
            d = np.multiply(dh, by_n[rows], out=du_n[rows])
            np.multiply(d, by_r[rows], out=now[:, :size])
            np.multiply(dh, by_z[rows], out=now[:, size : 2 * size])
            np.multiply(d, r[rows], out=now[:, 2 * size :])
            dh *= z[rows]
            dh += now @ weight
        np.matmul(dq.T, saved["before"], out=self.g["rnn.weight_hh_l0"])
        np.sum(dq, axis=0, out=self.g["rnn.bias_hh_l0"])
        dq[:, 2 * size :] = du_n
        np.matmul(dq.T, x, out=self.g["rnn.weight_ih_l0"])
        np.sum(dq, axis=0, out=self.g["rnn.bias_ih_l0"])
        dx = dq @ self.p["rnn.weight_ih_l0"]
        which = np.zeros((len(x), len(self.p["embedding.weight"])), np.float32)
        which[np.arange(len(x)), packed.ids] = 1
        np.matmul(which.T, dx, out=self.g["embedding.weight"])

    def _update(self) -> None:
        """Clip, then Adam with PyTorch's defaults."""
        g, m, v = self.gradient, self.m, self.v
        self.steps += 1
        g *= np.float32(min(1.0, self.clip_norm / (float(np.sqrt(g @ g)) + 1e-6)))
        m *= 0.9
        m += np.float32(0.1) * g
        v *= 0.999
        g *= g
        g *= np.float32(0.001)
        v += g
        np.sqrt(v, out=g)
        g /= np.float32(np.sqrt(1 - 0.999**self.steps))
        g += np.float32(1e-8)
        np.divide(m, g, out=g)
        g *= np.float32(self.lr / (1 - 0.9**self.steps))
        self.flat -= g


def _views(flat: F32, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, F32]:
    views, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        views[name] = flat[start : start + size].reshape(shape)
        start += size
    return views


def _sigmoid(a: F32) -> None:
    np.negative(a, out=a)
    np.exp(a, out=a)
    a += 1
    np.reciprocal(a, out=a)


def _cross_entropy(z: F32, wanted: Ids, weights: F32 | None) -> tuple[float, F32]:
    """Return the weighted mean of ``-log softmax(z)[wanted]`` and its gradient, which overwrites ``z``."""
    z -= z.max(axis=1, keepdims=True)
    at = np.arange(len(z)), wanted
    chosen = z[at]
    np.exp(z, out=z)
    sums = z.sum(axis=1)
    share = np.full(len(z), 1 / len(z), np.float32) if weights is None else (weights / weights.sum()).astype(np.float32)
    loss = float(share @ (np.log(sums) - chosen))
    z *= (share / sums)[:, None]
    z[at] -= share
    return loss, z


def time_side_by_side(ours: Callable[[int], object], twins: Callable[[int], object], *, rounds: int) -> float:
    """Return how many times faster ``ours`` is, over at most five batches.

    The two take turns for ``rounds`` rounds, and each is given its best time for every batch: what else runs on the
    machine then matters little. Both are called with the number of a batch, from 1; batch 0 comes first, untimed.
    """
    ours(0)
    twins(0)
    batches = min(rounds, 5)
    best = np.full((2, batches), np.inf)
    for k in range(rounds):
        batch = k % batches
        for side, step in enumerate((ours, twins)):
            start = time.perf_counter()
            step(1 + batch)
            best[side, batch] = min(best[side, batch], time.perf_counter() - start)
    mine, twin = best.sum(axis=1)
    return float(twin / mine)

"""Parts of training steps in NumPy alone, written to be as fast as NumPy allows.

Batches are packed, so that padding costs nothing. Products over all steps are outside the loops; a step has one
product. Element-wise work is done in place, on contiguous blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


class Packed:
    """Sequences of ids in one array, the longest first, step after step.

    Attributes
    ----------
    ids : (M,)
        The elements of step 0, then of step 1, ...
    counts, starts : list of int
        For each step t, the number of sequences that have it and the place of its first element.
    last : (N,)
        The place of each sequence's last element.
    order : (N,)
        The sequences in their order within a step.
    sequence, step : (M,)
        The sequence and the step of each element.
    """

    def __init__(self, sequences: Sequence[Ids] | Ids) -> None:
        lengths = np.array([len(s) for s in sequences])
        self.order = np.argsort(-lengths, kind="stable")
        lengths = lengths[self.order]
        self.counts = [int(n) for n in (lengths[:, None] > np.arange(lengths[0])).sum(axis=0)]
        starts = np.concatenate([[0], np.cumsum(self.counts)])
        self.starts = [int(s) for s in starts]
        self.last = starts[lengths - 1] + np.arange(len(lengths))
        self.step = np.repeat(np.arange(len(self.counts)), self.counts)
        self.sequence = self.order[np.arange(len(self.step)) - starts[self.step]]
        self.ids = self.aligned(sequences)

    def rows(self, t: int) -> slice:
        """Return the places of the elements of step t."""
        return slice(self.starts[t], self.starts[t + 1])

    def aligned(self, sequences: Sequence[Ids] | Ids) -> Ids:
        """Arrange sequences of the same lengths as ``ids`` are arranged."""
        out = np.empty(self.starts[-1], np.int64)
        starts = np.array(self.starts)
        for row, n in enumerate(self.order):
            out[starts[: len(sequences[n])] + row] = sequences[n]
        return out

    def spread(self, values: F32) -> F32:
        """Return values (M, F) of the elements as (N, T, F), zero past the ends."""
        out = np.zeros((len(self.order), len(self.counts), values.shape[1]), np.float32)
        out[self.sequence, self.step] = values
        return out


class NumpyModel:
    """Base of models in NumPy alone: parameters in one array, and the update of all of them.

    Parameters
    ----------
    parameters : mapping of arrays
        Copied.
    lr, clip_norm : float

    Attributes
    ----------
    p, g : dict of arrays
        Parameters and gradients.
    """

    def __init__(self, parameters: Mapping[str, Any], *, lr: float, clip_norm: float) -> None:
        shapes = {name: value.shape for name, value in parameters.items()}
        self.flat = np.concatenate([np.ravel(v) for v in parameters.values()]).astype(np.float32)
        self.gradient, self.m, self.v = np.zeros((3, self.flat.size), np.float32)
        self.p, self.g = _views(self.flat, shapes), _views(self.gradient, shapes)
        self.lr, self.clip_norm, self.steps = lr, clip_norm, 0

    def update(self) -> None:
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

    def affine(self, name: str, x: F32) -> F32:
        """Return ``W x + b`` of rows x."""
        y: F32 = x @ self.p[f"{name}.weight"].T
        y += self.p[f"{name}.bias"]
        return y

    def affine_backward(self, name: str, dy: F32, x: F32) -> F32:
        """Set the gradients of W and b; return dx."""
        np.matmul(dy.T, x, out=self.g[f"{name}.weight"])
        np.sum(dy, axis=0, out=self.g[f"{name}.bias"])
        dx: F32 = dy @ self.p[f"{name}.weight"]
        return dx

    def table_backward(self, name: str, ids: Ids, dx: F32) -> None:
        """Set the gradient of a table of ids, by a product with unit vectors."""
        which = np.zeros((len(ids), len(self.p[f"{name}.weight"])), np.float32)
        which[np.arange(len(ids)), ids] = 1
        np.matmul(which.T, dx, out=self.g[f"{name}.weight"])


class GruLayer:
    """A GRU over packed rows: ``r, z = sigmoid(u + q)``, ``n = tanh(u_n + r q_n)``, ``h = n + z (h_prev - n)``.

    ``u = W x + b_ih`` and ``q = R h_prev + b_hh``, of the parameters ``name.*`` of a model.
    """

    def __init__(self, model: NumpyModel, name: str) -> None:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.p = [model.p[f"{name}.{part}_l0"] for part in names]
        self.g = [model.g[f"{name}.{part}_l0"] for part in names]

    def forward(self, packed: Packed, x: F32, start: F32 | None = None) -> dict[str, F32]:
        """Return h and what ``backward`` needs; ``start`` (N, H) are the initial states."""
        w, weight, b_ih, bias = self.p
        size = weight.shape[1]
        u = x @ w.T
        u += b_ih
        u[:, : 2 * size] += bias[: 2 * size]
        gates, n, q_n, before, h = (np.empty((len(x), k * size), np.float32) for k in (2, 1, 1, 1, 1))
        h_prev = np.zeros((packed.counts[0], size), np.float32) if start is None else start[packed.order]
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
        return {"x": x, "gates": gates, "n": n, "q_n": q_n, "before": before, "h": h}

    def backward(self, packed: Packed, saved: dict[str, F32], dy: F32) -> tuple[F32, F32]:
        """Set the gradients of the parameters; return the gradients of x and ``start``."""
        w, weight, _, _ = self.p
        d_w, d_weight, d_b_ih, d_bias = self.g
        x = saved["x"]
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
        np.matmul(dq.T, saved["before"], out=d_weight)
        np.sum(dq, axis=0, out=d_bias)
        dq[:, 2 * size :] = du_n
        np.matmul(dq.T, x, out=d_w)
        np.sum(dq, axis=0, out=d_b_ih)
        dstart = np.empty_like(carried)
        dstart[packed.order] = carried
        return dq @ w, dstart


def cross_entropy(z: F32, wanted: Ids, weights: F32 | None) -> tuple[float, F32]:
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

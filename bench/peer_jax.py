"""JAX behind the protocol of ``bench.peers``: ``lax.scan`` over one step, input products of all steps hoisted."""

from __future__ import annotations

import os

# Read when the CPU backend starts, before anything is computed.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn

from bench.peers import stream_results
from bench.problem import Problem, Results

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def rnn_step(w: Any, state: Any, u: Any) -> Any:
    """``h = tanh(u + R h + b)``."""
    return (jnp.tanh(u + state[0] @ w["weight_hh"].T + w["bias_hh"]),)


def lstm_step(w: Any, state: Any, u: Any) -> Any:
    """``c = f c + i g``, ``h = o tanh(c)``."""
    i, f, g, o = jnp.split(u + state[0] @ w["weight_hh"].T + w["bias_hh"], 4, axis=-1)
    c = nn.sigmoid(f) * state[1] + nn.sigmoid(i) * jnp.tanh(g)
    return nn.sigmoid(o) * jnp.tanh(c), c


def gru_step(w: Any, state: Any, u: Any) -> Any:
    """Reset after the product: ``n = tanh(u_n + r q_n)``."""
    (h,) = state
    (ur, uz, un), (qr, qz, qn) = (jnp.split(a, 3, axis=-1) for a in (u, h @ w["weight_hh"].T + w["bias_hh"]))
    n = jnp.tanh(un + nn.sigmoid(ur + qr) * qn)
    return (n + nn.sigmoid(uz + qz) * (h - n),)


def gru_before_step(w: Any, state: Any, u: Any) -> Any:
    """Reset before the product: ``n = tanh(u_n + R_n (r h) + b_n)``."""
    (h,), H = state, state[0].shape[-1]
    R, b = w["weight_hh"], w["bias_hh"]
    r, z = jnp.split(nn.sigmoid(u[..., : 2 * H] + h @ R[: 2 * H].T + b[: 2 * H]), 2, axis=-1)
    n = jnp.tanh(u[..., 2 * H :] + (r * h) @ R[2 * H :].T + b[2 * H :])
    return (n + z * (h - n),)


STEPS = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step, "gru_before": gru_before_step}


def forward(cell: str, layers: Any, x: Any, states: Any) -> Any:
    """``y (T, B, H)`` and the final states of all layers."""
    last = []
    for w, state in zip(layers, states, strict=True):

        def body(carry: Any, u: Any, w: Any = w) -> Any:
            carry = STEPS[cell](w, carry, u)
            return carry, carry[0]

        state, x = lax.scan(body, state, x @ w["weight_ih"].T + w["bias_ih"])
        last.append(state)
    return x, last


def loss(cell: str, layers: Any, x: Any, states: Any, dy: Any, dh: Any) -> Any:
    """A number whose gradient sends ``dy`` into y, ``dh`` into the final h."""
    y, last = forward(cell, layers, x, states)
    total = sum(jnp.vdot(h, d) for (h, *_), d in zip(last, dh, strict=True)) if dh is not None else 0.0
    return total if dy is None else total + jnp.vdot(y, dy), (y, last)


class JaxPeer:
    """Compiled functions of weights, time-major inputs and states."""

    def __init__(self, threads: int) -> None:
        if (found := len(os.sched_getaffinity(0))) != threads:
            raise RuntimeError(f"threads: JAX takes one a processor, {threads} are required, got {found} processors")

    def load(self, problem: Problem) -> dict[str, Any]:
        """Compile the function of the case."""
        self.problem, case = problem, problem.case
        self.layers = [
            {name: jnp.asarray(problem.weights[f"{name}_l{layer}"]) for name in NAMES} for layer in range(case.row.L)
        ]
        self.x = jnp.asarray(np.ascontiguousarray(problem.x.transpose(1, 0, 2)))
        self.start()
        self.forward = jax.jit(partial(forward, case.cell))
        self.arguments: tuple[Any, ...]
        if case.mode == "train":
            dy = None if problem.dy is None else jnp.asarray(problem.dy.transpose(1, 0, 2))
            dh = None if problem.dh is None else jnp.asarray(problem.dh)
            self.arguments = (self.layers, self.x, self.state, dy, dh)
            self.function: Any = jax.jit(jax.value_and_grad(partial(loss, case.cell), (0, 1, 2), has_aux=True))
        else:
            x = self.x[:1] if case.mode == "stream" else self.x
            self.arguments, self.function = (self.layers, x, self.state), self.forward
        self.run = self.infer
        return {"layout": "time-major"}

    def start(self) -> None:
        """Make the initial state, zeros where the problem gives none."""
        row, problem = self.problem.case.row, self.problem
        given = [problem.h0, problem.c0] if self.problem.case.cell == "lstm" else [problem.h0]
        arrays = [np.zeros((row.L, row.B, row.H), np.float32) if a is None else a for a in given]
        self.state = [tuple(jnp.asarray(array[layer]) for array in arrays) for layer in range(row.L)]

    def infer(self) -> None:
        """The compiled function, until its results are there."""
        self.outputs = jax.block_until_ready(self.function(*self.arguments))

    def step(self, t: int) -> Any:
        """One step on ``x[:, t]``."""
        y, self.state = self.forward(self.layers, self.x[t : t + 1], self.state)
        return y

    def states(self) -> Results:
        """The state that the next step starts from."""
        return {name: np.stack([np.asarray(part) for part in parts]) for name, parts in self._by_kind(self.state, "")}

    def results(self) -> Results:
        """What the last run computed."""
        if self.problem.case.mode == "stream":
            return stream_results(self, self.problem)
        if self.problem.case.mode == "infer":
            y, self.state = self.outputs
            return {"y": np.asarray(y).transpose(1, 0, 2)} | self.states()
        (_, (y, self.state)), (layers, dx, dstate) = self.outputs
        results = {"y": np.asarray(y).transpose(1, 0, 2), "dx": np.asarray(dx).transpose(1, 0, 2)} | self.states()
        results |= {name: np.stack([np.asarray(part) for part in parts]) for name, parts in self._by_kind(dstate, "d")}
        return results | {f"{name}_l{k}": np.asarray(w[name]) for k, w in enumerate(layers) for name in NAMES}

    @staticmethod
    def _by_kind(state: Any, prefix: str) -> list[tuple[str, Any]]:
        return [(f"{prefix}{kind}", parts) for kind, parts in zip("hc", zip(*state, strict=True), strict=False)]

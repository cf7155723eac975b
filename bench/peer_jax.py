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


def scan(cell: str, w: Any, x: Any, state: Any, valid: Any, reverse: bool) -> Any:
    """The final state and ``y (T, B, H)`` of one direction; ``valid (T, B, 1)``, or None where all steps are."""

    def body(carry: Any, given: Any) -> Any:
        u, here = given
        after = STEPS[cell](w, carry, u)
        if here is None:
            return after, after[0]
        after = tuple(jnp.where(here, new, old) for new, old in zip(after, carry, strict=True))
        return after, jnp.where(here, after[0], 0)

    return lax.scan(body, state, (x @ w["weight_ih"].T + w["bias_ih"], valid), reverse=reverse)


def forward(cell: str, directions: int, valid: Any, layers: Any, x: Any, states: Any) -> Any:
    """``y (T, B, D H)`` and the final states, of index layer * D + direction."""
    last = []
    for first in range(0, len(layers), directions):
        outputs = []
        for d in range(directions):
            state, y = scan(cell, layers[first + d], x, states[first + d], valid, d == 1)
            last.append(state)
            outputs.append(y)
        x = outputs[0] if directions == 1 else jnp.concatenate(outputs, axis=-1)
    return x, last


def loss(cell: str, directions: int, valid: Any, layers: Any, x: Any, states: Any, dy: Any, dh: Any) -> Any:
    """A number whose gradient sends ``dy`` into y, ``dh`` into the final h."""
    y, last = forward(cell, directions, valid, layers, x, states)
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
        self.suffixes = [f"_l{k}{side}" for k in range(case.row.L) for side in ("", "_reverse")[: case.row.D]]
        self.layers = [{name: jnp.asarray(problem.weights[name + s]) for name in NAMES} for s in self.suffixes]
        self.x = jnp.asarray(np.ascontiguousarray(problem.x.transpose(1, 0, 2)))
        self.start()
        valid = None
        if problem.lengths is not None:
            valid = jnp.asarray(np.arange(case.row.T)[:, None, None] < problem.lengths[:, None])
        self.forward = jax.jit(partial(forward, case.cell, case.row.D, valid))
        self.arguments: tuple[Any, ...]
        if case.mode == "train":
            dy = None if problem.dy is None else jnp.asarray(problem.dy.transpose(1, 0, 2))
            dh = None if problem.dh is None else jnp.asarray(problem.dh)
            self.arguments = (self.layers, self.x, self.state, dy, dh)
            self.function: Any = jax.jit(
                jax.value_and_grad(partial(loss, case.cell, case.row.D, valid), (0, 1, 2), has_aux=True)
            )
        else:
            x = self.x[:1] if case.mode == "stream" else self.x
            self.arguments, self.function = (self.layers, x, self.state), self.forward
        self.run = self.infer
        return {"layout": "time-major"}

    def start(self) -> None:
        """Make the initial state, zeros where the problem gives none."""
        row, problem = self.problem.case.row, self.problem
        given = [problem.h0, problem.c0] if self.problem.case.cell == "lstm" else [problem.h0]
        arrays = [np.zeros((row.L * row.D, row.B, row.H), np.float32) if a is None else a for a in given]
        self.state = [tuple(jnp.asarray(array[k]) for array in arrays) for k in range(row.L * row.D)]

    def infer(self) -> None:
        """Call the compiled function and wait for its results."""
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
        pairs = zip(self.suffixes, layers, strict=True)
        return results | {name + suffix: np.asarray(w[name]) for suffix, w in pairs for name in NAMES}

    @staticmethod
    def _by_kind(state: Any, prefix: str) -> list[tuple[str, Any]]:
        return [(f"{prefix}{kind}", parts) for kind, parts in zip("hc", zip(*state, strict=True), strict=False)]

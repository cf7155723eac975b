"""The numbers of a case: one weight set, input, state and output gradient, equal for every peer."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.shapes import CELLS, STREAM_STEPS, Case

F32: TypeAlias = npt.NDArray[np.float32]
Results: TypeAlias = dict[str, F32]


@dataclass(frozen=True)
class Problem:
    """Arrays of one case in the conventions of PyTorch: gate order, names, batch-first sequences.

    ``x (B, T, I)``, ``h0`` and ``c0 (L, B, H)`` or None for zeros, ``dy (B, T, H)`` or None, ``dh (L, B, H)`` or None.
    To stream, T is ``STREAM_STEPS`` and states are given.
    A peer turns them into the layout it likes best before it is timed.
    """

    case: Case
    weights: dict[str, F32]
    x: F32
    h0: F32 | None
    c0: F32 | None
    dy: F32 | None
    dh: F32 | None


def make_problem(case: Case) -> Problem:
    """Draw the arrays of ``case``; the same case gives the same arrays in every process.

    Weights are U(-1/sqrt(H), 1/sqrt(H)), as layers are initialised; x, states and gradients are normal.
    """
    row = case.row
    rng = np.random.default_rng(zlib.crc32(f"{row.id} {case.cell}".encode()))

    def normal(*shape: int, scale: float = 1.0) -> F32:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    bound = row.H**-0.5
    weights: dict[str, F32] = {}
    for layer, (inputs, hidden) in enumerate(case.products):
        gates = CELLS[case.cell].gates * hidden
        shapes = {"weight_ih": (gates, inputs), "weight_hh": (gates, hidden), "bias_ih": (gates,), "bias_hh": (gates,)}
        for name, shape in shapes.items():
            weights[f"{name}_l{layer}"] = rng.uniform(-bound, bound, shape).astype(np.float32)

    stream = case.mode == "stream"
    x = normal(row.B, STREAM_STEPS if stream else row.T, row.I)
    h0 = normal(row.L, row.B, row.H, scale=0.5) if row.carried or stream else None
    c0 = normal(row.L, row.B, row.H) if h0 is not None and case.cell == "lstm" else None
    if case.mode != "train":
        return Problem(case, weights, x, h0, c0, None, None)
    if row.target == "all":
        return Problem(case, weights, x, h0, c0, normal(row.B, row.T, row.H), None)
    dh = np.zeros((row.L, row.B, row.H), np.float32)
    dh[-1] = normal(row.B, row.H)
    return Problem(case, weights, x, h0, c0, None, dh)

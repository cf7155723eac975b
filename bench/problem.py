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

    ``x (B, T, I)``, ``h0`` and ``c0 (L*D, B, H)`` or None for zeros, ``dy (B, T, D*H)`` or None, ``dh (L*D, B, H)`` or
    None, ``lengths (B,)`` or None. To stream, T is ``STREAM_STEPS`` and states are given.
    A peer turns them into the layout it likes best before it is timed.
    """

    case: Case
    weights: dict[str, F32]
    x: F32
    h0: F32 | None
    c0: F32 | None
    dy: F32 | None
    dh: F32 | None
    lengths: npt.NDArray[np.int64] | None = None


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
    for index, (inputs, hidden) in enumerate(case.products):
        layer, direction = divmod(index, row.D)
        gates = CELLS[case.cell].gates * hidden
        shapes = {"weight_ih": (gates, inputs), "weight_hh": (gates, hidden), "bias_ih": (gates,), "bias_hh": (gates,)}
        for name, shape in shapes.items():
            weights[f"{name}_l{layer}" + ("_reverse" if direction else "")] = rng.uniform(-bound, bound, shape).astype(
                np.float32
            )

    stream = case.mode == "stream"
    x = normal(row.B, STREAM_STEPS if stream else row.T, row.I)
    states = (row.L * row.D, row.B, row.H)
    h0 = normal(*states, scale=0.5) if row.carried or stream else None
    c0 = normal(*states) if h0 is not None and case.cell == "lstm" else None
    lengths = None if row.shortest is None else rng.permutation(np.array(case.lengths))
    if case.mode != "train":
        return Problem(case, weights, x, h0, c0, None, None, lengths)
    if row.target == "all":
        dy = normal(row.B, row.T, row.D * row.H)
        if lengths is not None:
            dy[np.arange(row.T) >= lengths[:, None]] = 0
        return Problem(case, weights, x, h0, c0, dy, None, lengths)
    dh = np.zeros(states, np.float32)
    dh[-row.D :] = normal(row.D, row.B, row.H)
    return Problem(case, weights, x, h0, c0, None, dh, lengths)

"""One direction of one layer over all steps, and its derivative.

Legend: N sequences, T steps, C inputs, H units. Arrays are ``(N, T, C)``, states ``(N, H)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnfast.reference.base import Array, Cell, State, Weights

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scan:
    """One direction of one layer: its weights, the order of its steps, and what each step saved.

    Attributes
    ----------
    suffix : str
        End of its parameters' names.
    weights : Weights
    order : sequence of int
        The steps t in the order in which they are taken.
    valid : bool array (N, T)
        Whether the sequence has the step.
    cut : bool array (N, T)
        Whether the state before the step is replaced by ``start``.
    start : tuple of arrays (1, H)
        The state after a reset.
    saved : dict of int to tuple of arrays
        What the cell saved at each t.
    zones : sequence of arrays (N, T, H) or floats
        For each state, the share that the previous one has in the new one (zoneout).
    """

    suffix: str
    weights: Weights
    order: Sequence[int]
    valid: Bool
    cut: Bool
    start: State
    saved: dict[int, State]
    zones: Sequence[Array | float] = ()

    def zone(self, t: int, state: int) -> Array | float:
        """Return the share of one previous state at step t, (N, H) or a number."""
        share = self.zones[state]
        return share[:, t] if isinstance(share, np.ndarray) else share


def scan_forward(cell: Cell, scan: Scan, x: Array, state: State) -> tuple[Array, State]:
    """Take all steps; return y (N, T, H) and the final state."""
    y = np.zeros((*x.shape[:2], scan.weights.R.shape[1]), x.dtype)
    for t in scan.order:
        valid, cut = scan.valid[:, t, None], scan.cut[:, t, None]
        entering = tuple(np.where(cut, first, s) for first, s in zip(scan.start, state, strict=True))
        result, scan.saved[t] = cell.step(scan.weights, x[:, t], entering)
        if scan.zones:
            mixed = [(scan.zone(t, i), new, old) for i, (new, old) in enumerate(zip(result, entering, strict=True))]
            result = tuple(z * old + (1 - z) * new for z, new, old in mixed)
        state = tuple(np.where(valid, new, old) for new, old in zip(result, state, strict=True))
        y[:, t] = np.where(valid, result[0], 0)
    return y, state


def scan_backward(cell: Cell, scan: Scan, dy: Array, dstate: State) -> tuple[Array, State, State, Weights]:
    """Take all steps back; return dx, the gradients of the initial state, of ``start`` and of the weights."""
    w = scan.weights
    dx = np.zeros((*dy.shape[:2], w.W.shape[1]), dy.dtype)
    total, dstart = w.zeros(), tuple(np.zeros_like(first) for first in scan.start)
    for t in reversed(scan.order):
        valid, cut = scan.valid[:, t, None], scan.cut[:, t, None]
        dresult = tuple(np.where(valid, d, 0) for d in dstate)
        dresult = (dresult[0] + dy[:, t], *dresult[1:])
        dnew = tuple((1 - scan.zone(t, i)) * d for i, d in enumerate(dresult)) if scan.zones else dresult
        dx[:, t], dentering, grads = cell.step_backward(w, scan.saved[t], dnew)
        if scan.zones:
            dentering = tuple(
                d + scan.zone(t, i) * own for i, (d, own) in enumerate(zip(dentering, dresult, strict=True))
            )
        anew = tuple(np.where(valid & cut, d, 0).sum(axis=0, keepdims=True) for d in dentering)
        dstart = tuple(d + own for d, own in zip(dstart, anew, strict=True))
        before = tuple(np.where(cut, 0, d) for d in dentering)
        dstate = tuple(np.where(valid, new, old) for new, old in zip(before, dstate, strict=True))
        total = total + grads
    return dx, dstate, dstart, total

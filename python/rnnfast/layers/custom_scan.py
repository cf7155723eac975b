"""One direction of one layer of a custom cell, over the steps of a batch and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnfast.arrays import Array
from rnnfast.layers.call import Inputs
from rnnfast.layers.custom_cell import CustomCell
from rnnfast.params import Parameter


@dataclass(eq=False)
class Scan:
    """A call's way through one direction of one layer, and what it saves for the way back.

    Attributes
    ----------
    index : int
        layer*D + direction, the place of its states.
    hidden : int
        H.
    parameters : dict of str to Parameter
        By the cell's names.
    steps : list of (t, rows, cut)
        The steps in the order of the direction: t, the sequences (n,) that have it, and (n, 1) whether a reset stands
        before it.
    saved : dict of int to object
        What the cell saved at each t.
    x : array (N, T, C) or None
        The input, where ``backward`` follows.
    """

    cell: CustomCell
    index: int
    hidden: int
    parameters: dict[str, Parameter]
    steps: list[tuple[int, Array, Array]]
    saved: dict[int, Any] = field(default_factory=dict)
    x: Array | None = None

    def forward(self, x: Array, states: list[Array], *, keep: bool) -> Array:
        """Return h (N, T, H) of x (N, T, C); ``states`` (L*D, N, H) hold the initial and receive the final ones."""
        y = np.zeros((*x.shape[:2], self.hidden), x.dtype)
        p = self._values()
        for t, rows, cut in self.steps:
            entering = tuple(np.where(cut, 0, s[self.index, rows]) for s in states)
            new, saved = self.cell.forward(p, x[rows, t], entering)
            self._check("forward", "states", new, len(rows))
            for s, value in zip(states, new, strict=True):
                s[self.index, rows] = value
            y[rows, t] = new[0]
            if keep:
                self.saved[t] = saved
        self.x = x if keep else None
        return y

    def backward(self, dy: Array, dstates: list[Array], norms: Array | None) -> Array:
        """Return dx; add to the parameters' gradients.

        ``dstates`` (L*D, N, H) hold the gradients of the final states and receive those of the initial ones; ``norms``
        (L*D, N, T), where given, receive |dL/dh|.
        """
        assert self.x is not None
        dx = np.zeros_like(self.x)
        p = self._values()
        for t, rows, cut in reversed(self.steps):
            first, *others = (d[self.index, rows] for d in dstates)
            dh = first + dy[rows, t]
            if norms is not None:
                norms[self.index, rows, t] = np.sqrt(np.square(dh, dtype=np.float64).sum(axis=1))
            own_dx, before, gradients = self.cell.backward(p, self.saved[t], (dh, *others))
            self._check("backward", "gradients of states", before, len(rows))
            wanted = {"x": dx[rows, t].shape, **{name: value.shape for name, value in p.items()}}
            found = {"x": np.shape(own_dx), **{name: np.shape(value) for name, value in gradients.items()}}
            if found != wanted:
                raise ValueError(f"{type(self.cell).__name__}.backward: gradients {wanted} are required, got {found}")
            dx[rows, t] = own_dx
            for d, value in zip(dstates, before, strict=True):
                d[self.index, rows] = np.where(cut, 0, value)
            for name, own in self.parameters.items():
                own.grad += gradients[name]
        return dx

    def _values(self) -> dict[str, Array]:
        return {name: own.value for name, own in self.parameters.items()}

    def _check(self, method: str, what: str, found: object, rows: int) -> None:
        S, shape = self.cell.states, (rows, self.hidden)
        if not isinstance(found, tuple) or len(found) != S or any(np.shape(part) != shape for part in found):
            got = [np.shape(part) for part in found] if isinstance(found, tuple) else type(found).__name__
            wanted = f"a tuple of {S} {what} of shape (N, H) = {shape} is required"
            raise ValueError(f"{type(self.cell).__name__}.{method}: {wanted}, got {got}")


@dataclass(eq=False)
class SavedScans:
    """The scans of a call in their order, and the masks of dropout before layers 1, 2, ..., or 1 where none acted.

    ``valid`` (N, T) says which steps exist in a call by rows; None in other calls.
    """

    scans: list[Scan]
    masks: list[Array | float]
    valid: Array | None = None
    used: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that the cell saved, and of the masks."""
        saved = [a for scan in self.scans for s in scan.saved.values() for a in (s if isinstance(s, tuple) else (s,))]
        return sum(getattr(a, "nbytes", 0) for a in [*saved, *self.masks])


def steps_of(given: Inputs, direction: int) -> Iterator[tuple[int, Array, Array]]:
    """Yield the steps in the order of the direction, as ``Scan.steps`` holds them."""
    x, lengths, resets = given
    N, T = x.shape[:2]
    lengths = np.full(N, T) if lengths is None else lengths
    resets = np.zeros((N, T), bool) if resets is None else resets.astype(bool)
    if direction:
        resets = np.pad(resets[:, 1:], ((0, 0), (0, 1))) & (np.arange(T) + 1 < lengths[:, None])
    for t in reversed(range(T)) if direction else range(T):
        rows = np.flatnonzero(lengths > t)
        if len(rows):
            yield t, rows, resets[rows, t, None]

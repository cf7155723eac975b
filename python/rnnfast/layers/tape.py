"""What lies between a layer and the engine: packed weights, and the tape of a forward call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnnfast import _ops
from rnnfast.copies import NotCopied
from rnnfast.params import Parameter, newest_version, no_writes

Array = npt.NDArray[Any]


@dataclass(eq=False, slots=True)
class Tape(NotCopied):
    """What a forward call keeps for ``backward``; single-use.

    It refers to the call's x and y, which must not be modified meanwhile. ``learned``: the parameters the call
    started from. ``rows``: R of a call by rows, whose ``steps`` are its longest length; else None.

    Attributes
    ----------
    gradient_norms : float64 array (L*D, N, T) or None
        After a backward call that was asked for them: the Euclidean norm of dL/dh(t), the whole gradient with respect
        to a layer's h, what comes from the layer above or dy as well as what comes from the step after; of index
        layer*D + direction, zero past the lengths. Where it shrinks or grows by a factor a step on the way back, the
        gradient vanishes or explodes (Bengio et al. 1994).
    """

    layer: object
    core: Any
    versions: tuple[int, ...]
    sequences: int
    steps: int
    learned: tuple[str, ...] = ()
    gradient_norms: Array | None = None
    rows: int | None = None
    instead: ClassVar[str] = "call forward of the copied layer"

    @property
    def used(self) -> bool:
        """Whether a backward pass has begun."""
        return bool(self.core.used)

    @property
    def nbytes(self) -> int:
        """Bytes kept beside x and y."""
        return int(self.core.nbytes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Axes of y before its last one: (N, T), or (R,) of a call by rows."""
        return (self.sequences, self.steps) if self.rows is None else (self.rows,)

    def require(self, layer: object, versions: tuple[int, ...]) -> None:
        """Raise RuntimeError unless the tape is unused, of this layer, and of parameters in these versions."""
        if self.layer is not layer:
            raise RuntimeError("tape: one of this layer's own forward calls is required, got another layer's")
        if self.core.used:
            raise RuntimeError("tape: a new one is required for every backward, got one that was used")
        if self.versions != versions:
            raise RuntimeError("tape: unchanged parameters are required between forward and backward, got changed ones")

    def read_gradient(
        self, dy: npt.ArrayLike | None, width: int, dtype: np.dtype[Any], *, time_major: bool
    ) -> npt.NDArray[Any] | None:
        """Return dL/dy batch-first; ``None`` stays ``None``. ValueError on another shape than that of y."""
        if dy is None:
            return None
        if self.rows is not None:
            given = _ops.rows("dy", dy, width, dtype)
            if len(given) != self.rows:
                raise ValueError(f"dy: the shape of y, R = {self.rows} rows, is required, got {np.shape(dy)}")
            return given
        given = _ops.sequences("dy", dy, width, dtype, time_major=time_major)
        if given.shape[:2] != (self.sequences, self.steps):
            N, T = self.sequences, self.steps
            raise ValueError(f"dy: the shape of y, N = {N} and T = {T}, is required, got {np.shape(dy)}")
        return given


LAYER_PARTS = (
    "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_ph", "weight_hr",
    "gamma_ih", "gamma_hh", "gamma_c", "beta_c",
)  # fmt: skip


class PackCache:
    """Packed weights of a stack of layers, packed again where a parameter or the instruction set changed.

    Nothing is packed while a parameter is written, so that what is kept is never half of a write.
    """

    def __init__(self, cell: _ops.Cell) -> None:
        self._cell = cell
        self._layers: list[tuple[tuple[int, ...], str, _ops.Weights]] = []
        self._newest: tuple[int, str, list[_ops.Weights]] = (-1, "", [])
        self._gradients: list[_ops.Gradients] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return PackCache, (self._cell,)

    def weights(self, parameters: Callable[[int], Sequence[Parameter | None]], layers: int) -> list[_ops.Weights]:
        """Return the packed weights, given what gives the parameters of one of ``layers``.

        Each direction of a layer counts as one, with the parameters that ``LAYER_PARTS`` names, or None.
        """
        version, isa, weights = self._newest
        if version == newest_version[0] and isa == _ops.isa():
            return weights
        with no_writes():
            version, isa = newest_version[0], _ops.isa()
            old = [*self._layers, *[None] * (layers - len(self._layers))]
            self._layers = [self._pack(parameters(k), old[k]) for k in range(layers)]
            weights = [weights for _, _, weights in self._layers]
            self._newest = version, isa, weights
        return weights

    def gradients(self, parameters: Callable[[int], Sequence[Parameter | None]], layers: int) -> list[_ops.Gradients]:
        """Return the gradients of every layer, in the order of ``LAYER_PARTS``, for the engine to add to.

        A parameter keeps its gradient's memory for life, so that they are looked up once.
        """
        if not self._gradients:
            self._gradients = [[None if p is None else p._grad for p in parameters(k)] for k in range(layers)]
        return self._gradients

    def _pack(
        self, parameters: Sequence[Parameter | None], old: tuple[tuple[int, ...], str, _ops.Weights] | None
    ) -> tuple[tuple[int, ...], str, _ops.Weights]:
        versions, isa = tuple(p.version for p in parameters if p is not None), _ops.isa()
        if old is not None and old[:2] == (versions, isa):
            return old
        w, r, *others = (None if p is None else p.value for p in parameters)
        assert w is not None
        assert r is not None
        return versions, isa, _ops.pack(self._cell, w, r, *others)

"""What lies between a layer and the engine: packed weights, and the tape of a forward call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnnfast import _ops
from rnnfast.params import Parameter


@dataclass(eq=False)
class Tape:
    """What a forward call keeps for ``backward``; single-use.

    It refers to the call's x and y, which must not be modified meanwhile.
    """

    layer: object
    core: _ops.CoreTape
    versions: tuple[int, ...]
    sequences: int
    steps: int
    used: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes kept beside x and y."""
        return self.core.nbytes


class PackCache:
    """Packed weights of a stack of layers, packed again where a parameter or the instruction set changed."""

    def __init__(self, cell: str, activation: str) -> None:
        self._cell = cell
        self._activation = activation
        self._packs: dict[int, tuple[tuple[int, ...], str, _ops.Weights]] = {}

    def weights(self, layers: Sequence[Sequence[Parameter | None]]) -> list[_ops.Weights]:
        """Return the packed weights of layers given as (weight_ih, weight_hh, bias_ih or None, bias_hh or None)."""
        isa, result = _ops.isa(), []
        for layer, parameters in enumerate(layers):
            versions = tuple(p.version for p in parameters if p is not None)
            pack = self._packs.get(layer)
            if pack is None or pack[:2] != (versions, isa):
                w, r, b_w, b_r = (None if p is None else p.value for p in parameters)
                assert w is not None
                assert r is not None
                pack = (versions, isa, _ops.pack(self._cell, self._activation, w, r, b_w, b_r))
                self._packs[layer] = pack
            result.append(pack[2])
        return result

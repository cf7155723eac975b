"""What the layers without a recurrence share: rows, single-use tapes, sources of random numbers."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.layers.call import SingleUseTape
from rnnfast.params import Module

Array = npt.NDArray[Any]
Seed: TypeAlias = int | np.random.Generator | None


@dataclass(eq=False, slots=True)
class BlockTape(SingleUseTape):
    """What ``forward`` of a ``Linear``, ``Embedding`` or ``Dropout`` keeps for one ``backward``.

    It refers to the call's x, which must not be modified until then.

    Attributes
    ----------
    rows : array (M, F), int64 array (M,) or None
        The x of a ``Linear``, the ids of an ``Embedding``, with all leading axes in one; None for a ``Dropout``.
    shape : tuple of int
        Shape of y.
    dtype : dtype
        Dtype of y.
    call : int
        Number of the call, which makes the masks of a ``Dropout``; 0 where nothing is dropped.
    """

    layer: object
    versions: tuple[int, ...]
    rows: Array | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    call: int = 0
    used: bool = False

    def read_gradient(self, dy: npt.ArrayLike) -> Array:
        """Return dL/dy (M, K), all leading axes in one; an error where its shape or dtype is not that of y."""
        given = checks.as_array("dy", dy)
        if given.dtype != self.dtype:
            raise TypeError(f"dy: dtype {self.dtype} is required, got {given.dtype}")
        if given.shape != self.shape:
            raise ValueError(f"dy: the shape of y = {self.shape} is required, got {given.shape}")
        return as_rows(given)


class Block(Module):
    """Base of the layers without a recurrence: a function of each row of x by itself."""

    @abstractmethod
    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return y of x (..., F), without dropout; nothing is kept."""

    @abstractmethod
    def forward(self, x: npt.ArrayLike, *, training: bool = True) -> tuple[Array, BlockTape]:
        """Return y of x (..., F), and what ``backward`` needs."""

    @abstractmethod
    def backward(self, tape: BlockTape, dy: npt.ArrayLike) -> Array | None:
        """Add dL/dp to the ``grad`` of every parameter; return dL/dx, or None where x are ids."""

    def _versions(self) -> tuple[int, ...]:
        return tuple([p.version for p in self.parameters().values()])

    def _use(self, tape: BlockTape, dy: npt.ArrayLike) -> Array:
        """Check the tape and return dL/dy (M, K); the tape is used from then on."""
        if not isinstance(tape, BlockTape):
            raise TypeError(f"tape: what forward returned is required, got {checks.shown(tape)}")
        tape.require(self, self._versions())
        rows = tape.read_gradient(dy)
        tape.used = True
        return rows


def as_rows(array: Array) -> Array:
    """Return an array (..., F) as (M, F)."""
    return array.reshape(int(np.prod(array.shape[:-1])), array.shape[-1])


def generator_of(seed: Seed) -> np.random.Generator:
    """Return the generator of a seed, or ``seed`` where it is a generator."""
    return seed if isinstance(seed, np.random.Generator) else np.random.default_rng(checks.as_seed(seed))

"""From a vector to the states that a recurrent layer starts with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.data import check_finite_rows
from rnnfast.models.parts import Affine

Array = npt.NDArray[Any]
DType = np.dtype[Any]


class StateMap(Affine):
    """``state = W v + b`` of vectors v (N, K): all initial states of a stack of layers, learned.

    Parameters ``weight (S*L*H, K)``, ``bias (S*L*H,)``; rows are ordered by state (h, then c for an LSTM),
    layer, unit. ``sizes``: the H of each state; that of a projected h is P.
    """

    def __init__(
        self, features: int, layers: int, sizes: Sequence[int], dtype: DType, rng: np.random.Generator
    ) -> None:
        super().__init__(features, layers * sum(sizes), dtype, rng)
        self.layers, self.sizes = layers, tuple(sizes)

    def start(self, v: Array) -> Any:
        """Return h (L, N, H), or the tuple (h, c)."""
        ends = np.cumsum(self.sizes)[:-1] * self.layers
        columns = np.split(self.forward(v), ends, axis=1)
        parts = [
            np.ascontiguousarray(each.reshape(len(v), self.layers, size).transpose(1, 0, 2))
            for each, size in zip(columns, self.sizes, strict=True)
        ]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def pull(self, dstate: Any, v: Array) -> None:
        """Add the gradients of weight and bias, given that of the states."""
        parts = dstate if isinstance(dstate, tuple) else (dstate,)
        rows = [part.transpose(1, 0, 2).reshape(len(v), -1) for part in parts]
        self.backward(np.concatenate(rows, axis=1), v)


def as_context(
    context: npt.ArrayLike | None, size: int | None, count: int, dtype: DType, *, warns: bool = False
) -> npt.NDArray[Any] | None:
    """Return the contexts (N, K) of N sequences in the model's dtype; an error, or a warning, where one is NaN."""
    if size is None:
        if context is not None:
            raise ValueError("context: None is required (context_size is None), got one")
        return None
    if context is None:
        raise ValueError(f"context: shape (N, context_size) = ({count}, {size}) is required, got None")
    values = checks.as_reals("context", context, dtype)
    if values.shape != (count, size):
        raise ValueError(f"context: shape (N, context_size) = ({count}, {size}) is required, got {values.shape}")
    check_finite_rows("context", values, warns=warns)
    return values

"""From a vector to the states that a recurrent layer starts with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.models.parts import Affine

Array = npt.NDArray[Any]
DType = np.dtype[Any]


class StateMap(Affine):
    """``state = W v + b`` of vectors v (N, K): all initial states of a stack of layers, learned.

    Parameters ``weight (S*L*H, K)``, ``bias (S*L*H,)``; rows are ordered by state (h, then c for an LSTM),
    layer, unit.
    """

    def __init__(
        self, features: int, states: int, layers: int, hidden: int, dtype: DType, rng: np.random.Generator
    ) -> None:
        super().__init__(features, states * layers * hidden, dtype, rng)
        self.shape = (states, layers, hidden)

    def start(self, v: Array) -> Any:
        """Return h (L, N, H), or the tuple (h, c)."""
        states, layers, hidden = self.shape
        rows = self.forward(v).reshape(len(v), states, layers, hidden)
        parts = np.ascontiguousarray(rows.transpose(1, 2, 0, 3))
        return parts[0] if states == 1 else tuple(parts)

    def pull(self, dstate: Any, v: Array) -> None:
        """Add the gradients of weight and bias, given that of the states."""
        parts = np.stack(dstate) if isinstance(dstate, tuple) else dstate[None]
        rows = np.ascontiguousarray(parts.transpose(2, 0, 1, 3)).reshape(len(v), self.weight.shape[0])
        self.backward(rows, v)


def as_context(context: npt.ArrayLike | None, size: int | None, count: int, dtype: DType) -> npt.NDArray[Any] | None:
    """Return the contexts (N, K) of N sequences in the model's dtype after checking them."""
    if size is None:
        if context is not None:
            raise ValueError("context: None required (context_size is None), got one")
        return None
    if context is None:
        raise ValueError(f"context: shape (N, context_size) = ({count}, {size}) required, got None")
    values = np.asarray(context)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"context: real numbers required, got dtype {values.dtype}")
    if values.shape != (count, size):
        raise ValueError(f"context: shape (N, context_size) = ({count}, {size}) required, got {values.shape}")
    return np.ascontiguousarray(values, dtype)

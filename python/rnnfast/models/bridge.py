"""From the states of an encoder that reads both ways to those that a decoder begins with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, init
from rnnfast.params import Module, Parameter

Array = npt.NDArray[Any]
DType = np.dtype[Any]


class Bridge(Module):
    """``state = W [state_forward; state_reverse]``, of each layer and each kind of state by a matrix of its own.

    Parameter ``weight (S*L*H, 2H)`` from U(-1/sqrt(2H), 1/sqrt(2H)); its rows are ordered by state (h, then c for an
    LSTM), layer, unit of the decoder.

    Parameters
    ----------
    states, layers, hidden : int
        S, L and H, of encoder and decoder alike.
    dtype : dtype
    rng : numpy Generator

    Examples
    --------
    >>> import numpy as np
    >>> bridge = Bridge(1, 1, 2, np.dtype("float64"), np.random.default_rng(0))
    >>> bridge.weight[...] = [[1, 0, 10, 0], [0, 1, 0, 10]]
    >>> bridge.start(np.array([[[1.0, 2.0]], [[3.0, 4.0]]]))
    array([[[31., 42.]]])
    """

    def __init__(self, states: int, layers: int, hidden: int, dtype: DType, rng: np.random.Generator) -> None:
        shape, bound = (states * layers * hidden, 2 * hidden), (2 * hidden) ** -0.5
        self.weight = Parameter(init.uniform(shape, bound, rng=rng, dtype=dtype))
        self.hidden = hidden

    def parameters(self) -> dict[str, Parameter]:
        """Return weight."""
        return {"weight": self.weight}

    def start(self, state: Any) -> Any:
        """Return the decoder's states (L, N, H) of the encoder's (2L, N, H), for an LSTM a tuple (h, c) of them."""
        parts, H = _parts(state), self.hidden
        found = [_ops.linear(rows, self.weight.value[i * H : (i + 1) * H], None) for i, rows in enumerate(_rows(parts))]
        return _like(state, np.stack(found).reshape(len(parts), -1, *found[0].shape))

    def pull(self, dstate: Any, state: Any) -> Any:
        """Add the gradient of weight, given that of the decoder's states; return that of the encoder's."""
        H, found = self.hidden, []
        dparts = np.concatenate(_parts(dstate))
        for i, (dy, rows) in enumerate(zip(dparts, _rows(_parts(state)), strict=True)):
            own = slice(i * H, (i + 1) * H)
            with self._adding:
                dx = _ops.linear_backward(dy, rows, self.weight.value[own], self.weight.grad[own])
            assert dx is not None
            found.append(dx.reshape(len(dx), 2, H).transpose(1, 0, 2))
        pairs = np.concatenate(found)
        return _like(state, pairs.reshape(len(_parts(state)), -1, *pairs.shape[1:]))


def _parts(state: Any) -> tuple[Array, ...]:
    return state if isinstance(state, tuple) else (state,)


def _like(state: Any, parts: Array) -> Any:
    return tuple(parts) if isinstance(state, tuple) else parts[0]


def _rows(parts: tuple[Array, ...]) -> list[Array]:
    """Return both directions side by side, (N, 2H), for every state and layer."""
    whole = np.concatenate(parts)
    pairs = whole.reshape(-1, 2, *whole.shape[1:]).transpose(0, 2, 1, 3)
    return list(np.ascontiguousarray(pairs).reshape(len(pairs), whole.shape[1], -1))

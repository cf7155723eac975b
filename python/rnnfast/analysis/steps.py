"""A step of a layer as a function of its whole state, and the derivative of that function."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.layers import GRU, LSTM, RNN, CustomLayer, State, StateLike

NUMBERS_AT_ONCE = 2**22  # of the states of a batch, which bounds the memory of a Jacobian's backward pass


def in_double(layer: Any) -> Any:
    """Return a float64 copy of a recurrent layer, batch-first and without dropout; TypeError for anything else."""
    cls: Any = next((known for known in (RNN, LSTM, GRU, CustomLayer) if isinstance(layer, known)), None)
    if cls is None:
        raise TypeError(f"layer: an RNN, LSTM, GRU or CustomLayer is required, got {checks.shown(layer)}")
    first = (layer.cell,) if cls is CustomLayer else ()
    options = layer.options | {"dtype": "float64", "time_major": False, "dropout": 0.0}
    copied: Any = cls(*first, layer.input_size, layer.hidden_size, seed=0, **options)
    copied.load_state_dict(layer.state_dict())
    return copied


class StepMap:
    """``F(s; x)``, a step of a layer as a function of its state: s (M, S) holds h of all layers, then c.

    Parameters
    ----------
    layer : RNN, LSTM, GRU or CustomLayer
        In one direction. The map computes with a float64 copy of it.

    Attributes
    ----------
    size : int
        S, the numbers of a state: L*H, of an LSTM 2*L*H (with a projection L*P + L*H).
    """

    def __init__(self, layer: Any) -> None:
        self._layer = in_double(layer)
        if self._layer.directions > 1:
            raise ValueError("layer: one direction is required, whose state goes from step to step, got two")
        self.size: int = self._layer.num_layers * sum(self._layer.state_sizes)

    def inputs(self, x: Any) -> Array:
        """Return inputs (M, C) of a step in float64."""
        given = checks.as_array("x", x)
        width = self._layer.input_size
        if given.ndim != 2 or given.shape[1] != width:
            raise ValueError(f"x: shape (N, C) with C = {width} is required, got {given.shape}")
        return finite("x", given)

    def stacked(self, name: str, state: StateLike, count: int | None) -> Array:
        """Return a layer's state as s (M, S); M is ``count``, or any number where that is None."""
        parts = state if isinstance(state, tuple | list) else (state,)
        arrays = [checks.as_array(name, part) for part in parts]
        M = count if count is not None else arrays[0].shape[1] if arrays and arrays[0].ndim == 3 else 1
        wanted = [(self._layer.num_layers, M, size) for size in self._layer.state_sizes]
        if [array.shape for array in arrays] != wanted:
            got = [array.shape for array in arrays]
            raise ValueError(f"{name}: arrays of shape {wanted} (L, N, H) are required, got {got}")
        return np.concatenate([finite(name, a).transpose(1, 0, 2).reshape(M, -1) for a in arrays], axis=1)

    def state(self, s: Array) -> State:
        """Return s (M, S) as the layer takes a state."""
        sizes = self._layer.state_sizes
        columns = np.split(s, np.cumsum(sizes)[:-1] * self._layer.num_layers, axis=1)
        parts = [
            np.ascontiguousarray(each.reshape(len(s), -1, size).transpose(1, 0, 2))
            for each, size in zip(columns, sizes, strict=True)
        ]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def __call__(self, s: Array, x: Array) -> Array:
        """Return F(s; x) (M, S)."""
        return self.stacked("state", self._layer(x[:, None], self.state(s))[1], len(s))

    def jacobian(self, s: Array, x: Array) -> Array:
        """Return dF/ds (M, S, S): row i has the gradient of F_i, a backward pass of a step for each."""
        S, J = self.size, np.empty((len(s), self.size, self.size))
        rows = max(1, NUMBERS_AT_ONCE // S**2)
        for first in range(0, len(s), rows):
            some = slice(first, first + rows)
            M = len(s[some])
            state = self.state(np.repeat(s[some], S, axis=0))
            _, _, tape = self._layer.forward(np.repeat(x[some], S, axis=0)[:, None], state, training=False)
            _, gradient = self._layer.backward(tape, None, self.state(np.tile(np.eye(S), (M, 1))), need_dx=False)
            J[some] = self.stacked("state", gradient, M * S).reshape(M, S, S)
        return J


def finite(name: str, given: Array) -> Array:
    """Return real numbers in float64; TypeError for other ones, ValueError where one is not finite."""
    if given.dtype.kind not in "fiu":
        raise TypeError(f"{name}: real numbers are required, got dtype {given.dtype}")
    if not np.isfinite(given).all():
        raise ValueError(f"{name}: finite numbers are required, got others")
    return given.astype(np.float64)


def jacobian(layer: Any, x: npt.ArrayLike, state: StateLike) -> Array:
    """Return the derivative of a layer's new state with respect to the state before, ``J = ds_t / ds_(t-1)``.

    s is the whole state in one vector: h of all layers, first to last, then for an LSTM c of all layers. The product
    of the Jacobians of successive steps says how fast a gradient vanishes or explodes between them.

    Parameters
    ----------
    layer : RNN, LSTM, GRU or CustomLayer
        In one direction, of any dtype.
    x : array (N, C)
        The inputs x_t of N steps.
    state : array (L, N, H), or tuple (h, c) of two for an LSTM
        The states s_(t-1) before them.

    Returns
    -------
    float64 array (N, S, S)
        Element (n, i, j) is the derivative of element i of the new state with respect to element j of the one before,
        for sequence n, outside of training. S is L*H, of an LSTM 2*L*H (with a projection L*P + L*H).

    Raises
    ------
    ValueError
        If the layer has two directions, a shape does not fit, or a number is not finite.
    TypeError
        If the layer is none, or numbers are not real.

    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML (2013).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer = rf.RNN(2, 3, dtype="float64", seed=0)
    >>> x, h = np.ones((1, 2)), np.zeros((1, 1, 3))
    >>> J = jacobian(layer, x, h)
    >>> new = layer(x[:, None], h)[1][0, 0]
    >>> bool(np.allclose(J[0], (1 - new**2)[:, None] * layer.parameters()["weight_hh_l0"].value))
    True
    """
    step = StepMap(layer)
    inputs = step.inputs(x)
    return step.jacobian(step.stacked("state", state, len(inputs)), inputs)

"""Recurrent nodes, computed by rnnfast's layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import rnnfast as rf
from rnnfast.interop.onnx.arrays import GATES, from_node
from rnnfast.interop.onnx.attributes import Recurrence, layer_accepts

Array = npt.NDArray[Any]

LAYERS: dict[str, Any] = {"rnn": rf.RNN, "lstm": rf.LSTM, "gru": rf.GRU}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


class RecurrentNode:
    """A node's layers, which are kept from one call to the next as long as its weights stay the same."""

    def __init__(self) -> None:
        self._layers: dict[tuple[int, ...], Any] = {}

    def run(self, recurrence: Recurrence, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Return Y, Y_h and, for an LSTM, Y_c.

        Parameters
        ----------
        recurrence : Recurrence
            What the node's attributes say.
        inputs : sequence of arrays
            In ONNX's order: X, W, R, B, sequence_lens, initial_h, initial_c, P; None for those that are left out.

        Raises
        ------
        ValueError
            A shape or a length does not fit.
        """
        given = dict(zip(INPUTS, inputs, strict=False))
        dtype = np.dtype(np.float64 if _array(given, "X").dtype == np.float64 else np.float32)
        values = _checked(recurrence, given, dtype)
        parts = range(len(recurrence.directions))
        groups = (
            [tuple(parts)]
            if recurrence.directions == ("forward", "reverse") and recurrence.alike
            else [(d,) for d in parts]
        )
        found = [self._run(recurrence, group, values, dtype) for group in groups]
        first, *others = zip(*found, strict=True)
        Y, states = np.concatenate(first, axis=2), [np.concatenate(each) for each in others]
        outputs = [Y.transpose(1, 2, 0, 3), *states]  # (T, D, N, H), (D, N, H)
        if recurrence.batch_first:
            outputs = [Y, *(state.transpose(1, 0, 2) for state in states)]
        return tuple(np.ascontiguousarray(each).astype(_array(given, "X").dtype, copy=False) for each in outputs)

    def _run(
        self, recurrence: Recurrence, group: tuple[int, ...], given: Mapping[str, Array | None], dtype: Any
    ) -> tuple[Array, ...]:
        """Return y (N, T, D, H) and the states (D, N, H) of the directions ``group``, D = 1 or 2 of them."""
        index = list(group)
        of = {name: None if v is None else v[index] for name, v in given.items() if name not in ("X", "sequence_lens")}
        x, lengths = given["X"], given["sequence_lens"]
        assert x is not None
        turned = recurrence.directions[group[0]] == "reverse"
        steps = _reversal(lengths, *x.shape[:2]) if turned else None
        if steps is not None:
            x = np.take_along_axis(x, steps[..., None], axis=1)
        state = _state(recurrence.cell, of["initial_h"], of["initial_c"])
        options = recurrence.options[group[0]]
        W, R = of["W"], of["R"]
        assert W is not None
        assert R is not None
        weights = from_node(recurrence.cell, W, R, of["B"], of["P"], coupled=recurrence.coupled)
        x = np.ascontiguousarray(x)
        if layer_accepts(options):
            y, last = self._layer(recurrence.cell, group, options, weights, dtype)(x, state, lengths=lengths)
        else:
            y, last, _ = rf.reference.forward(recurrence.cell, weights, x, state, lengths=lengths, **options)
        if steps is not None:
            y = np.take_along_axis(y, steps[..., None], axis=1)
        return y.reshape(*y.shape[:2], len(group), -1), *(last if isinstance(last, tuple) else (last,))

    def _layer(
        self, cell: str, group: tuple[int, ...], options: Mapping[str, Any], weights: Mapping[str, Array], dtype: Any
    ) -> Any:
        """Return the layer with these weights; it is never written to, so that threads may share it."""
        layer = self._layers.get(group)
        if layer is not None and _same(layer, weights, dtype):
            return layer
        layer = layer_of(cell, weights, options, dtype, bidirectional=len(group) == 2)
        self._layers[group] = layer
        return layer


def layer_of(
    cell: str,
    weights: Mapping[str, Array],
    options: Mapping[str, Any],
    dtype: Any,
    *,
    bidirectional: bool,
    num_layers: int = 1,
    time_major: bool = False,
) -> Any:
    """Return a layer with the parameters ``weights``, named as in its state dict."""
    layer = LAYERS[cell](
        weights["weight_ih_l0"].shape[1],
        weights["weight_hh_l0"].shape[1],
        num_layers=num_layers,
        bidirectional=bidirectional,
        time_major=time_major,
        dtype=np.dtype(dtype).name,
        seed=0,
        **shown_options(weights),
        **options,
    )
    layer.load_state_dict(weights)
    return layer


def shown_options(weights: Mapping[str, Array]) -> dict[str, bool]:
    """Return the options that the names of a layer's parameters show."""
    found = {"bias": "bias_ih_l0" in weights}
    if "weight_ph_l0" in weights:
        found["peephole"] = True
    if "h0" in weights:
        found["learn_initial_state"] = True
    return found


def _same(layer: Any, weights: Mapping[str, Array], dtype: Any) -> bool:
    parameters = layer.parameters()
    if layer.dtype != dtype or parameters.keys() != weights.keys():
        return False
    return all(np.array_equal(p.value, weights[name]) for name, p in parameters.items())


def _state(cell: str, h: Array | None, c: Array | None) -> Any:
    """Return the initial state as a layer and the reference take it; absent parts are zeros."""
    if cell != "lstm" or (h is None and c is None):
        return h
    given = h if h is not None else c
    return tuple(np.zeros_like(given) if part is None else part for part in (h, c))


def _reversal(lengths: Array | None, N: int, T: int) -> Array:
    """Return for every sequence the order of its steps from its end to its start, (N, T); its padding stays."""
    steps = np.broadcast_to(np.arange(T), (N, T))
    ends = np.full((N, 1), T) if lengths is None else lengths[:, None]
    return np.where(steps < ends, ends - 1 - steps, steps)


def _array(given: Mapping[str, Array | None], name: str) -> Array:
    value = given.get(name)
    if value is None:
        raise ValueError(f"{name}: an array is required, got none")
    return np.asarray(value)


def _checked(recurrence: Recurrence, given: Mapping[str, Array | None], dtype: Any) -> dict[str, Array | None]:
    """Return all inputs by name, X batch-first and states (D, N, H), after their shapes are checked."""
    X, R = _array(given, "X"), _array(given, "R")
    if X.ndim != 3 or R.ndim != 3:
        raise ValueError(f"X, R: three axes each are required, got shapes {X.shape} and {R.shape}")
    X = X if recurrence.batch_first else X.transpose(1, 0, 2)
    (N, T, C), H = X.shape, R.shape[2]
    D, G = len(recurrence.directions), GATES[recurrence.cell]
    if recurrence.hidden_size not in (None, H):
        raise ValueError(f"hidden_size: that of R, {H}, is required, got {recurrence.hidden_size}")
    shapes = {"W": (D, G * H, C), "R": (D, G * H, H), "B": (D, 2 * G * H), "P": (D, 3 * H), "sequence_lens": (N,)}
    shapes |= dict.fromkeys(("initial_h", "initial_c"), (N, D, H) if recurrence.batch_first else (D, N, H))
    found: dict[str, Array | None] = {"X": X.astype(dtype, copy=False)}
    for name, shape in shapes.items():
        if given.get(name) is None and name != "W":
            found[name] = None
            continue
        array = _array(given, name)
        if array.shape != shape:
            letters = f"T = {T}, N = {N}, C = {C}, D = {D}, H = {H}"
            raise ValueError(f"{name}: shape {shape} is required ({letters}), got {array.shape}")
        if name.startswith("initial") and recurrence.batch_first:
            array = array.transpose(1, 0, 2)
        found[name] = array if name == "sequence_lens" else np.ascontiguousarray(array.astype(dtype, copy=False))
    lengths = found["sequence_lens"]
    if lengths is not None and not ((lengths >= 0) & (lengths <= T)).all():
        raise ValueError(f"sequence_lens: 0..T (T = {T}) are required, got {lengths.tolist()}")
    return found

"""What the weights of every library have in common: one layer and direction at a time, in blocks of gates."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.init import stack_suffix
from rnnfast.layers import GRU, LSTM, RNN
from rnnfast.layers.options import known_activations
from rnnfast.layers.recurrent import Recurrent

Array = npt.NDArray[Any]

LAYERS: dict[str, type[Recurrent]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


@dataclass(frozen=True, eq=False)
class Scan:
    """The weights of one layer and direction, in the shapes and the order of gates of ``rf.RNN``, ``LSTM`` and ``GRU``.

    Attributes
    ----------
    weight_ih : array (G*H, C)
    weight_hh : array (G*H, H)
    bias_ih, bias_hh : array (G*H,), or None where the layer has no biases
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None = None
    bias_hh: Array | None = None

    @property
    def has_bias(self) -> bool:
        """Whether there are biases."""
        return self.bias_ih is not None

    def biases(self) -> tuple[Array, Array]:
        """Return both biases, zeros where the layer has none."""
        if self.bias_ih is None or self.bias_hh is None:
            zeros = np.zeros(len(self.weight_ih), self.weight_ih.dtype)
            return zeros, zeros
        return self.bias_ih, self.bias_hh


def reordered(array: Array, order: Sequence[int], axis: int = 0) -> Array:
    """Return the blocks of gates along an axis in another order: block k is block ``order[k]`` of ``array``.

    Examples
    --------
    >>> reordered(np.array([1, 1, 2, 2, 3, 3]), (1, 0, 2))
    array([2, 2, 1, 1, 3, 3])
    """
    blocks = np.split(array, len(order), axis=axis)
    return np.concatenate([blocks[k] for k in order], axis=axis)


def of_shape(name: str, given: Any, shape: tuple[int, ...], axes: str) -> Array:
    """Return an array after checking its shape."""
    array = checks.as_array(name, given)
    if array.shape != shape:
        raise ValueError(f"{name}: shape {axes} = {shape} is required, got {array.shape}")
    return array


def kernels(name: str, cell: str, kernel: Any, recurrent: Any) -> tuple[Array, Array]:
    """Return a kernel (C, G*H) and a recurrent kernel (H, G*H) after checking their shapes."""
    w, r = checks.as_array(f"{name} kernel", kernel), checks.as_array(f"{name} recurrent kernel", recurrent)
    columns = r.shape[-1] if r.ndim == 2 else 0
    H, left = divmod(columns, GATES[cell])
    if not H or left or r.shape != (H, columns):
        wanted = f"shape (H, G*H) with G = {GATES[cell]}"
        raise ValueError(f"{name} recurrent kernel: {wanted} is required, got {r.shape}")
    if w.ndim != 2 or w.shape[1] != columns or not len(w):
        raise ValueError(f"{name} kernel: shape (C, G*H) with G*H = {columns} is required, got {w.shape}")
    return w, r


def scans_of(layer: Recurrent) -> Iterator[Scan]:
    """Return the weights of every layer and direction, at index layer*D + direction."""
    state = layer.state_dict()
    for index in range(layer.num_layers * layer.directions):
        suffix = stack_suffix(index, layer.directions)
        w, r = state[f"weight_ih{suffix}"], state[f"weight_hh{suffix}"]
        yield Scan(w, r, state.get(f"bias_ih{suffix}"), state.get(f"bias_hh{suffix}"))


def layer_of(cell: str, scans: Sequence[Scan], *, directions: int = 1, options: Mapping[str, Any] | None = None) -> Any:
    """Return a layer with given weights.

    Parameters
    ----------
    cell : {"rnn", "lstm", "gru"}
    scans : sequence of Scan
        At index layer*D + direction.
    directions : int
        D, 1 or 2.
    options : dict, optional
        Further arguments of the layer's constructor.

    Returns
    -------
    RNN, LSTM or GRU
        In float64 if a weight is, else in float32.

    Raises
    ------
    ValueError
        If the weights do not fit each other.
    """
    if not scans or len(scans) % directions:
        raise ValueError(f"weights: a multiple of D = {directions} layers is required, got {len(scans)}")
    first = scans[0]
    if any(scan.has_bias != first.has_bias for scan in scans):
        raise ValueError("bias: a bias in all layers of a stack, or in none, is required, got both")
    parts = [np.asarray(a) for scan in scans for a in vars(scan).values() if a is not None]
    layer = LAYERS[cell](
        first.weight_ih.shape[1],
        first.weight_hh.shape[1],
        num_layers=len(scans) // directions,
        bidirectional=directions == 2,
        bias=first.has_bias,
        dtype="float64" if any(a.dtype == np.float64 for a in parts) else "float32",
        **(options or {}),
    )
    layer.load_state_dict(
        {
            name + stack_suffix(index, directions): value
            for index, scan in enumerate(scans)
            for name, value in vars(scan).items()
            if value is not None
        }
    )
    return layer


def cell_of(layer: Any) -> str:
    """Return the name of a layer's cell: rnn, lstm or gru; TypeError for anything but such a layer."""
    for name, cls in LAYERS.items():
        if isinstance(layer, cls):
            return name
    raise TypeError(f"layer: an RNN, LSTM or GRU is required, got {type(layer).__name__}")


def require_plain(layer: Any, library: str, *, allowed: Collection[str] = ()) -> str:
    """Return the name of a layer's cell; ValueError where an option of the layer has no counterpart in a library.

    Parameters
    ----------
    layer : RNN, LSTM or GRU
    library : str
        Its name, for the message.
    allowed : collection of str
        Options that the library has after all: "reset_after", "bidirectional", "activations".
    """
    name = cell_of(layer)
    cell = layer.cell
    plain: dict[str, tuple[Any, Any]] = {
        "proj_size": (0, getattr(layer, "proj_size", 0)),
        "peephole": (False, getattr(layer, "peephole", False)),
        "coupled": (False, getattr(layer, "coupled", False)),
        "layer_norm": (False, getattr(layer, "layer_norm", False)),
        "clip": (None, None if math.isinf(cell.clip) else cell.clip),
        "leak": (1.0, cell.leak),
        "zoneout": ((), cell.zoneout),
        "learn_initial_state": (False, bool(layer.learned_state)),
        "reset_after": (True, getattr(layer, "reset_after", True)),
        "bidirectional": (False, layer.bidirectional),
        "activations": (known_activations(cell.facts.activations, cell.facts.activations), cell.activations),
    }
    for option, (wanted, got) in plain.items():
        if option not in allowed and got != wanted:
            raise ValueError(f"{option}: {_shown(wanted)} is required, for {library} has no other, got {_shown(got)}")
    return name


def _shown(value: Any) -> str:
    """Return an option as messages show it; of activations the names."""
    if value == ():
        return "0"
    if isinstance(value, tuple) and isinstance(value[0], tuple):
        return ", ".join(activation_text(each) for each in value)
    return str(value)


def activation_text(activation: tuple[str, float, float]) -> str:
    """Return an activation as messages show it.

    Examples
    --------
    >>> activation_text(("elu", 0.5, 0.0)), activation_text(("tanh", 0.0, 0.0))
    ('elu(0.5)', 'tanh')
    """
    name, *numbers = activation
    used = numbers[: len(_ops.ACTIVATIONS[name].numbers)]
    return f"{name}({', '.join(f'{n:g}' for n in used)})" if used else name

"""Attributes of recurrent nodes and the options of layers that mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.layers.options import Known, known_activation

CELLS = {"RNN": "rnn", "LSTM": "lstm", "GRU": "gru"}
DEFAULTS = {"rnn": ("Tanh",), "lstm": ("Sigmoid", "Tanh", "Tanh"), "gru": ("Sigmoid", "Tanh")}

DIRECTIONS = {"forward": ("forward",), "reverse": ("reverse",), "bidirectional": ("forward", "reverse")}

# ONNX's name, the layers' name, and the default numbers alpha and beta that follow it.
_ACTIVATIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "Tanh": ("tanh", ()),
    "Relu": ("relu", ()),
    "Sigmoid": ("sigmoid", ()),
    "Softsign": ("softsign", ()),
    "Softplus": ("softplus", ()),
    "HardSigmoid": ("hard_sigmoid", (0.2, 0.5)),
    "Elu": ("elu", (1.0,)),
    "LeakyRelu": ("leaky_relu", (0.01,)),
    "ThresholdedRelu": ("thresholded_relu", (1.0,)),
    "ScaledTanh": ("scaled_tanh", (1.0, 1.0)),
    "Affine": ("affine", (1.0, 0.0)),
}
_LOWER = {name.lower(): name for name in _ACTIVATIONS}
_ONNX_NAMES = {own: name for name, (own, _) in _ACTIVATIONS.items()}

Spec = str | tuple[str | float, ...]


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """What a recurrent node computes.

    Attributes
    ----------
    cell : {"rnn", "lstm", "gru"}
    directions : tuple of str
        "forward", "reverse", or both.
    options : tuple of dict
        For each direction the options of ``rf.RNN``, ``rf.LSTM`` or ``rf.GRU``.
    batch_first : bool
        Whether the node has ``layout=1``.
    hidden_size : int or None
        H, where the node says it.
    """

    cell: str
    directions: tuple[str, ...]
    options: tuple[dict[str, Any], ...]
    batch_first: bool = False
    hidden_size: int | None = None

    @property
    def coupled(self) -> bool:
        """Whether the forget gate is one minus the input gate."""
        return bool(self.options[0].get("coupled", False))

    @property
    def alike(self) -> bool:
        """Whether all directions have the same options."""
        return all(own == self.options[0] for own in self.options)


def read_attributes(op_type: str, given: Mapping[str, Any]) -> Recurrence:
    """Return what the attributes of a node say; ``given`` holds those that the node has, by name.

    Raises
    ------
    ValueError
        An attribute has a value that ONNX does not define, or numbers of activations are left over.

    Examples
    --------
    >>> read_attributes("RNN", {"activations": ["Elu"], "activation_alpha": [0.5], "direction": "reverse"}).options
    ({'activation': ('elu', 0.5)},)
    """
    cell = CELLS[op_type]
    given = {name: value for name, value in given.items() if value is not None}
    directions = DIRECTIONS[checks.as_choice("direction", given.get("direction", "forward"), DIRECTIONS)]
    own: dict[str, Any] = {}
    if "clip" in given:
        own["clip"] = checks.above_zero("clip", shortest(given["clip"]))
    if cell == "gru":
        own["reset_after"] = bool(_flag("linear_before_reset", given))
    if cell == "lstm" and _flag("input_forget", given):
        own["coupled"] = True
    options = []
    for specs in _activations(cell, len(directions), given):
        key = "activation" if cell == "rnn" else "activations"
        options.append({key: specs[0] if cell == "rnn" else specs, **own})
    size = given.get("hidden_size")
    return Recurrence(
        cell=cell,
        directions=directions,
        options=tuple(options),
        batch_first=bool(_flag("layout", given)),
        hidden_size=None if size is None else checks.as_size("hidden_size", size),
    )


def activation_attributes(activations: Sequence[Known], directions: int) -> dict[str, Any]:
    """Return the attributes of a node for the ``activations`` of one direction, the same in all ``directions``.

    Numbers are written out, also where they are the defaults: runtimes differ in these.

    Raises
    ------
    ValueError
        ONNX's recurrent nodes have no such activation.

    Examples
    --------
    >>> activation_attributes([("elu", 0.5, 0.0)], 2)
    {'activations': ['Elu', 'Elu'], 'activation_alpha': [0.5, 0.5]}
    """
    names: list[str] = []
    numbers: tuple[list[float], list[float]] = ([], [])
    for kind, *values in activations:
        if kind == "identity":
            kind, values = "affine", [1.0, 0.0]
        if kind not in _ONNX_NAMES:
            raise ValueError(f"activation: one that ONNX has ({', '.join(_ONNX_NAMES)}) is required, got {kind!r}")
        names.append(_ONNX_NAMES[kind])
        _, defaults = _ACTIVATIONS[names[-1]]
        for place, value, _ in zip(numbers, values, defaults, strict=False):
            place.append(value)
    found: dict[str, Any] = {"activations": names * directions}
    for name, values in zip(("activation_alpha", "activation_beta"), numbers, strict=True):
        if values:
            found[name] = values * directions
    return found


def layer_accepts(options: Mapping[str, Any]) -> bool:
    """Return whether a layer takes the numbers of these activations; the reference takes all."""
    specs = options.get("activations") or (options.get("activation", "tanh"),)
    try:
        for spec in specs:
            known_activation("activation", spec)
    except ValueError:
        return False
    return True


def shortest(value: float) -> float:
    """Return the number with the fewest digits that rounds to an attribute's float32.

    A file holds 0.2 as 0.200000003; so the number that was written comes back.

    Examples
    --------
    >>> shortest(np.float32(0.2))
    0.2
    """
    return float(str(np.float32(value)))


def _activations(cell: str, directions: int, given: Mapping[str, Any]) -> list[tuple[Spec, ...]]:
    """Return the activations of every direction; numbers are consumed in their order by those that take any."""
    count = len(DEFAULTS[cell])
    names = list(given.get("activations") or DEFAULTS[cell] * directions)
    if len(names) != count * directions:
        wanted = f"{count} for each direction ({count} * {directions} = {count * directions})"
        raise ValueError(f"activations: {wanted} are required, got {len(names)}")
    numbers = {name: [shortest(v) for v in given.get(name) or ()] for name in ("activation_alpha", "activation_beta")}
    specs: list[Spec] = []
    for name in names:
        if str(name).lower() not in _LOWER:
            raise ValueError(f"activations: {', '.join(_ACTIVATIONS)} are required, got {name!r}")
        own, defaults = _ACTIVATIONS[_LOWER[str(name).lower()]]
        values = [left.pop(0) if left else default for left, default in zip(numbers.values(), defaults, strict=False)]
        specs.append((own, *values) if values else own)
    for name, left in numbers.items():
        if left:
            used = len(given[name]) - len(left)
            raise ValueError(f"{name}: a number for each activation that takes one ({used}) is required, got more")
    return [tuple(specs[d * count : (d + 1) * count]) for d in range(directions)]


def _flag(name: str, given: Mapping[str, Any]) -> int:
    value = int(given.get(name, 0))
    if value not in (0, 1):
        raise ValueError(f"{name}: 0 or 1 is required, got {value}")
    return value

"""Recurrent layers of Keras and ours: configurations, and kernels in the order of gates that each has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.interop import keras_files
from rnnfast.interop.keras_files import KerasLayer
from rnnfast.interop.layout import (
    GATES,
    Scan,
    activation_text,
    kernels,
    layer_of,
    reordered,
    require_plain,
    scans_of,
)
from rnnfast.layers.options import known_activation

Array = npt.NDArray[Any]

CELLS = {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru"}
KINDS = {cell: kind for kind, cell in CELLS.items()}
# Keras's activations; the numbers are those of Keras 3.
ACTIVATIONS: dict[str, Any] = {
    "tanh": "tanh", "sigmoid": "sigmoid", "relu": "relu", "linear": "identity", "softsign": "softsign",
    "softplus": "softplus", "hard_tanh": "hard_tanh", "elu": ("elu", 1.0), "leaky_relu": ("leaky_relu", 0.2),
    "hard_sigmoid": ("hard_sigmoid", 1 / 6, 0.5),
}  # fmt: skip
HARD_SIGMOID_2 = ("hard_sigmoid", 0.2, 0.5)
TO_RZN = (1, 0, 2)  # of z, r, h, and back


@dataclass(frozen=True, eq=False)
class Part:
    """A recurrent layer of Keras: its cell, directions, the options of ours that describe it, and its weights."""

    name: str
    cell: str
    directions: int
    options: dict[str, Any]
    scans: list[Scan]
    sequences: bool = True
    dropouts: dict[str, float] = field(default_factory=dict)


def layers_in(source: Any) -> Iterator[KerasLayer]:
    """Return the layers of a Keras model in memory, or the one layer."""
    for method in ("get_config", "get_weights"):
        if not hasattr(source, method):
            wanted = "a path, a layer or model of Keras, or a list of arrays"
            raise TypeError(f"source: {wanted} is required, got {checks.shown(source)}")
    kind = type(source).__name__
    if kind in ("Sequential", "Functional"):
        keras_files.require_chain({"class_name": kind, "config": source.get_config()})
        for each in source.layers:
            yield from layers_in(each)
        return
    config = source.get_config()
    yield KerasLayer(kind, config["name"], config, [checks.as_array("weights", w) for w in source.get_weights()])


def bias_shapes(cell: str, recurrent: Array) -> tuple[tuple[int, ...], ...]:
    """Return the shapes that the bias of a cell may have beside a recurrent kernel (H, G*H)."""
    columns = recurrent.shape[-1]
    return ((columns,), (2, columns)) if cell == "gru" else ((columns,),)


def scan_of(name: str, cell: str, arrays: Sequence[Array], reset_after: bool | None) -> tuple[Scan, bool]:
    """Return the weights of one layer and direction, and whether the reset gate of a GRU acts after the product."""
    if len(arrays) not in (2, 3):
        raise ValueError(f"{name}: kernel, recurrent kernel and perhaps a bias are required, got {len(arrays)} arrays")
    kernel, recurrent = kernels(name, cell, *arrays[:2])
    bias, zeros = None, np.zeros(kernel.shape[1], kernel.dtype)
    other: Array | None = None
    if len(arrays) == 3:
        known = bias_shapes(cell, recurrent)
        bias = checks.as_array(f"{name} bias", arrays[2])
        if bias.shape not in known:
            wanted = " or ".join(map(str, known))
            raise ValueError(
                f"{name} bias: shape {wanted} is required (CuDNN layers of Keras 2 differ), got {bias.shape}"
            )
        found = bias.ndim == 2
        if cell == "gru" and reset_after is not None and reset_after != found:
            raise ValueError(f"reset_after: {found} is required for a bias of shape {bias.shape}, got {reset_after}")
        reset_after = found
        bias, other = (bias[0], bias[1]) if found else (bias, zeros)
    scan = Scan(kernel.T, recurrent.T, bias, other)
    return _gates_of_gru(scan) if cell == "gru" else scan, True if reset_after is None else reset_after


def _gates_of_gru(scan: Scan) -> Scan:
    """Return weights whose gates are z, r, h in the order r, z, n, or the reverse."""
    biases = [None if a is None else reordered(a, TO_RZN) for a in (scan.bias_ih, scan.bias_hh)]
    return Scan(reordered(scan.weight_ih, TO_RZN), reordered(scan.weight_hh, TO_RZN), *biases)


def part_of(given: KerasLayer, options: Mapping[str, Any] | None = None) -> Part:
    """Return a recurrent layer of Keras, ValueError where it is none or has an option without a counterpart."""
    if not given.kind:
        return _of_weights_alone(given, options)
    if given.kind != "Bidirectional":
        if given.config.get("go_backwards"):
            wanted = "go_backwards: False is required, or Bidirectional (a layer that reads sequences from their end is"
            raise ValueError(f"{given.name}: {wanted} one of x[:, ::-1]), got True")
        return _single(given.name, given.kind, given.config, given.weights, given.keras_version)
    mode = given.config.get("merge_mode", "concat")
    if mode != "concat":
        raise ValueError(f"{given.name}: merge_mode 'concat' is required, got {mode!r}")
    half = len(given.weights) // 2
    inner = given.config["layer"]
    back = given.config.get("backward_layer") or {**inner, "config": {**inner["config"], "go_backwards": True}}
    if inner["config"].get("go_backwards") or not back["config"].get("go_backwards"):
        wanted = "go_backwards: False of the forward layer and True of the backward layer are required"
        raise ValueError(f"{given.name}: {wanted}, got the reverse")
    both = [
        _single(given.name, each["class_name"], each["config"], weights, given.keras_version)
        for each, weights in ((inner, given.weights[:half]), (back, given.weights[half:]))
    ]
    require_equal(both)
    first, second = both
    return Part(given.name, first.cell, 2, first.options, first.scans + second.scans, first.sequences, first.dropouts)


def _single(name: str, kind: str, config: Mapping[str, Any], weights: Sequence[Array], version: str) -> Part:
    if kind not in CELLS:
        raise ValueError(f"{name}: a SimpleRNN, LSTM, GRU or Bidirectional of one is required, got {kind}")
    if config.get("time_major"):
        raise ValueError(f"{name}: time_major False is required, got True")
    cell = CELLS[kind]
    act = _activation(name, "activation", config, version)
    options: dict[str, Any] = {"activation": act}
    if cell != "rnn":
        gates = _activation(name, "recurrent_activation", config, version)
        options = {"activations": (gates, act, act) if cell == "lstm" else (gates, act)}
    scan, after = scan_of(name, cell, weights, config.get("reset_after", False) if cell == "gru" else None)
    if cell == "gru":
        options["reset_after"] = after
    rates = {"input_dropout": config.get("dropout", 0.0), "recurrent_dropout": config.get("recurrent_dropout", 0.0)}
    return Part(name, cell, 1, options, [scan], bool(config.get("return_sequences")), rates)


def _activation(name: str, option: str, config: Mapping[str, Any], version: str) -> Any:
    given = config.get(option)
    given = "linear" if given is None else given
    if not isinstance(given, str) or given not in ACTIVATIONS:
        raise ValueError(f"{name}: {option}: one of {', '.join(ACTIVATIONS)} is required, got {checks.shown(given)}")
    return HARD_SIGMOID_2 if given == "hard_sigmoid" and version.startswith("2") else ACTIVATIONS[given]


def _of_weights_alone(given: KerasLayer, options: Mapping[str, Any] | None) -> Part:
    """Return a recurrent layer of a file of weights alone, whose shapes tell the cell."""
    directions = 2 if any(path.startswith("backward_layer/") for path in given.paths) else 1
    size = len(given.weights) // directions
    recurrent = given.weights[1] if len(given.weights) > 1 else np.zeros(0)
    gates = recurrent.shape[-1] // recurrent.shape[0] if recurrent.ndim == 2 else 0
    cell = next((cell for cell, count in GATES.items() if count == gates), None)
    if cell is None or not any("cell/" in path for path in given.paths):
        raise ValueError(f"{given.name}: a recurrent layer is required, got arrays {', '.join(given.paths) or 'none'}")
    known = dict(options or {})
    reset_after, scans = known.pop("reset_after", None), []
    for first in range(0, len(given.weights), size):
        scan, after = scan_of(given.name, cell, given.weights[first : first + size], reset_after)
        scans.append(scan)
    return Part(given.name, cell, directions, known | ({"reset_after": after} if cell == "gru" else {}), scans)


def require_equal(parts: Sequence[Part]) -> None:
    """Raise ValueError, which names what differs, unless layers can be one stack."""
    first = parts[0]
    for part in parts[1:]:
        names = first.name if part.name == first.name else f"{first.name} and {part.name}"
        own = {"units": first.scans[0].weight_hh.shape[1], "use_bias": first.scans[0].has_bias, **first.options}
        other = {"units": part.scans[0].weight_hh.shape[1], "use_bias": part.scans[0].has_bias, **part.options}
        pairs = {
            "class": (KINDS[first.cell], KINDS[part.cell]),
            "Bidirectional": (first.directions == 2, part.directions == 2),
            **{name: (own[name], other.get(name)) for name in own},
        }
        for name, (one, two) in pairs.items():
            if one != two:
                raise ValueError(f"{names}: {name}: the same in all layers of a stack is required, got {one} and {two}")


def stack_of(parts: Sequence[Part]) -> Any:
    """Return recurrent layers of Keras as one layer; ValueError, which names what differs, where they cannot be."""
    require_equal(parts)
    for below in parts[:-1]:
        if not below.sequences:
            raise ValueError(f"{below.name}: return_sequences True is required below another layer, got False")
    options = parts[0].options | shared_dropouts(parts)
    scans = [scan for part in parts for scan in part.scans]
    return layer_of(parts[0].cell, scans, directions=parts[0].directions, options=options)


def shared_dropouts(parts: Sequence[Part]) -> dict[str, float]:
    """Return the rates of dropout that all layers of a stack share, by the names of our options."""
    found = {}
    for name in ("input_dropout", "recurrent_dropout"):
        rates = {part.dropouts.get(name, 0.0) for part in parts}
        if len(rates) > 1:
            checks.warn(f"{name}: one rate in all layers is required, got {sorted(rates)}, which are left out")
        elif rates != {0.0}:
            found[name] = rates.pop()
    return found


def described(layer: Any, *, sequences: bool) -> list[KerasLayer]:
    """Return a layer of ours as layers of Keras, one for each layer of the stack.

    Parameters
    ----------
    layer : RNN, LSTM or GRU
    sequences : bool
        Whether the last one returns its h at every step.

    Raises
    ------
    ValueError
        If an option of the layer has no counterpart, which the message names.
    """
    cell = require_plain(layer, "Keras", allowed=("reset_after", "bidirectional", "activations"))
    kind, scans = KINDS[cell], list(scans_of(layer))
    config = {"units": layer.hidden_size, "use_bias": scans[0].has_bias, **_activations(cell, layer)}
    config |= {"reset_after": layer.reset_after} if cell == "gru" else {}
    found = []
    for number in range(layer.num_layers):
        own = scans[number * layer.directions : (number + 1) * layer.directions]
        weights = [a for scan in own for a in arrays_of(cell, scan, reset_after=config.get("reset_after", False))]
        last = number == layer.num_layers - 1
        config = config | {"name": f"{kind.lower()}_{number}", "return_sequences": sequences or not last}
        config |= {"dtype": weights[0].dtype.name}
        found.append(_bidirectional(kind, config, weights) if layer.bidirectional else _plain(kind, config, weights))
    return found


def _activations(cell: str, layer: Any) -> dict[str, str]:
    known = {known_activation("activation", ours): theirs for theirs, ours in ACTIVATIONS.items()}
    names = []
    for given in layer.cell.activations:
        if given not in known:
            wanted = f"activations: those of Keras ({', '.join(ACTIVATIONS)})"
            raise ValueError(f"{wanted} are required, got {activation_text(given)}")
        names.append(known[given])
    if cell == "rnn":
        return {"activation": names[0]}
    if names[1] != names[-1]:
        wanted = "activations: one activation of g and of c, as Keras has,"
        raise ValueError(f"{wanted} is required, got {names[1]} and {names[-1]}")
    return {"recurrent_activation": names[0], "activation": names[1]}


def arrays_of(cell: str, scan: Scan, *, reset_after: bool) -> list[Array]:
    """Return kernel, recurrent kernel and bias of one layer and direction in Keras's shapes and order."""
    if cell == "gru":
        scan = _gates_of_gru(scan)
    found = [np.ascontiguousarray(scan.weight_ih.T), np.ascontiguousarray(scan.weight_hh.T)]
    if scan.bias_ih is not None and scan.bias_hh is not None:
        found.append(np.stack([scan.bias_ih, scan.bias_hh]) if reset_after else scan.bias_ih + scan.bias_hh)
    return found


def _plain(kind: str, config: Mapping[str, Any], weights: Sequence[Array]) -> KerasLayer:
    return KerasLayer(kind, config["name"], config, weights, [f"cell/vars/{i}" for i in range(len(weights))])


def _bidirectional(kind: str, config: Mapping[str, Any], weights: Sequence[Array]) -> KerasLayer:
    half, name = len(weights) // 2, config["name"]
    forward = keras_files.serialized(kind, {**config, "name": f"forward_{name}"})
    back = keras_files.serialized(kind, {**config, "name": f"backward_{name}", "go_backwards": True})
    both: dict[str, Any] = {
        "name": f"bidirectional_{name}",
        "merge_mode": "concat",
        "layer": forward,
        "backward_layer": back,
    }
    paths = [f"{way}_layer/cell/vars/{i}" for way in ("forward", "backward") for i in range(half)]
    return KerasLayer("Bidirectional", both["name"], {**both, "dtype": config["dtype"]}, weights, paths)

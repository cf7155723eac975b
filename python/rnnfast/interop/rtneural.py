"""RTNeural's JSON files, read and written: LSTM and GRU layers with a dense layer above them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.atomic import StrPath, replacing
from rnnfast.interop.keras_layers import Part, arrays_of, scan_of, stack_of
from rnnfast.interop.layout import Scan, cell_of, require_plain, scans_of
from rnnfast.layers import Recurrent
from rnnfast.models import ManyToMany

Array = npt.NDArray[Any]

DENSE = ("dense", "time-distributed-dense")
TASKS = {"": "regression", "sigmoid": "multilabel", "softmax": "classification"}


def from_rtneural(source: StrPath | Mapping[str, Any], *, dtype: npt.DTypeLike = "float32") -> Any:
    """Return the layer or model that a JSON file of RTNeural describes.

    Parameters
    ----------
    source : path or dict
        The file, or what it holds. Weights are in Keras's shapes and order of gates.
    dtype : {"float32", "float64"}
        Dtype of the parameters; the file has numbers as text.

    Returns
    -------
    LSTM, GRU or ManyToMany
        A layer of recurrent layers alone; a model where a dense layer is above them. The activation of the dense layer
        is the task: none, sigmoid or softmax is regression, multilabel or classification.

    Raises
    ------
    ValueError
        If the file is damaged, or has something without a counterpart, which the message names: a layer of another
        type, an activation, recurrent layers of several sizes.

    Examples
    --------
    >>> import rnnfast as rf
    >>> model = rf.ManyToMany(1, 1, cell="lstm", hidden_size=4, task="regression", seed=0)
    >>> from_rtneural(to_rtneural(model)).rnn
    LSTM(1, 4, num_layers=1, dtype=float32)
    """
    dtype = checks.as_dtype(dtype)
    name = "source" if isinstance(source, Mapping) else os.fsdecode(source)
    given = source if isinstance(source, Mapping) else _read(source)
    try:
        layers = [_Layer(i, each) for i, each in enumerate(given["layers"])]
        return _module(int(given["in_shape"][-1]), layers, dtype)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{name}: an undamaged file of RTNeural is required, got {error!r:.200}") from None


def _read(path: StrPath) -> Mapping[str, Any]:
    with open(path, encoding="utf-8") as file:
        try:
            found = json.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{os.fsdecode(path)}: JSON is required, got {error}") from None
    return checks.as_mapping(os.fsdecode(path), found)


class _Layer:
    """An entry of ``layers``: type, activation, size of the output, and weights."""

    def __init__(self, number: int, entry: Mapping[str, Any]) -> None:
        self.name = f"layers[{number}]"
        self.kind, self.activation = str(entry["type"]), str(entry.get("activation", ""))
        self.size, self.weights = int(entry["shape"][-1]), entry.get("weights", [])

    def arrays(self, dtype: np.dtype[Any]) -> list[Array]:
        """Return the weights, a nested list of numbers each."""
        return [checks.as_reals(f"{self.name}.weights[{i}]", a, dtype) for i, a in enumerate(self.weights)]


def _module(features: int, layers: Sequence[_Layer], dtype: np.dtype[Any]) -> Any:
    parts: list[Part] = []
    dense: _Layer | None = None
    for layer in layers:
        if layer.kind in ("lstm", "gru") and dense is None:
            parts.append(_part(layer, features if not parts else _units(parts[-1]), dtype))
        elif layer.kind in DENSE and parts and dense is None:
            dense = layer
        elif layer.kind == "activation" and dense is not None and not dense.activation:
            dense.activation = layer.activation
        else:
            wanted = "lstm or gru layers and one dense layer are required, in this order"
            raise ValueError(f"{layer.name}: type: {wanted}, got {layer.kind}, which has no counterpart there")
    if not parts:
        raise ValueError("layers: an lstm or gru layer is required, got none")
    return stack_of(parts) if dense is None else _model(stack_of(parts), dense)


def _units(part: Part) -> int:
    return int(part.scans[0].weight_hh.shape[1])


def _part(layer: _Layer, features: int, dtype: np.dtype[Any]) -> Part:
    if layer.activation not in ("", "tanh"):
        raise ValueError(f"{layer.name}: activation: tanh is required of {layer.kind}, got {layer.activation}")
    scan, _ = scan_of(layer.name, layer.kind, layer.arrays(dtype), True if layer.kind == "gru" else None)
    part = Part(layer.name, layer.kind, 1, {}, [scan])
    got = (scan.weight_ih.shape[1], _units(part))
    if got != (features, layer.size):
        raise ValueError(f"{layer.name}: kernels for shapes (C, H) = {(features, layer.size)} are required, got {got}")
    return part


def _model(rnn: Any, dense: _Layer) -> ManyToMany:
    if dense.activation not in TASKS:
        wanted = "one of none, sigmoid, softmax"
        raise ValueError(f"{dense.name}: activation: {wanted} is required of a head, got {dense.activation}")
    arrays = dense.arrays(rnn.dtype)
    if [a.shape for a in arrays] != [(rnn.hidden_size, dense.size), (dense.size,)]:
        wanted = f"weights of shapes {[(rnn.hidden_size, dense.size), (dense.size,)]}"
        raise ValueError(f"{dense.name}: {wanted} are required, got {[a.shape for a in arrays]}")
    plain = {} if "bias_ih_l0" in rnn.parameters() else {"bias": False}
    model = ManyToMany(
        rnn.input_size,
        dense.size,
        cell=cell_of(rnn),
        hidden_size=rnn.hidden_size,
        num_layers=rnn.num_layers,
        task=TASKS[dense.activation],
        cell_options=plain,
        dtype=rnn.dtype,
    )
    state = {f"rnn.{name}": value for name, value in rnn.state_dict().items()}
    model.load_state_dict(state | {"head.weight": arrays[0].T, "head.bias": arrays[1]})
    return model


def to_rtneural(module: Any) -> dict[str, Any]:
    """Return a layer or model as RTNeural's JSON files describe it, ready for ``json.dump``.

    Both biases of an LSTM are added, for RTNeural has one.

    Parameters
    ----------
    module : LSTM, GRU or ManyToMany
        In one direction.

    Raises
    ------
    ValueError
        If something has no counterpart in RTNeural, which the message names.
    TypeError
        If the module is another layer or model.
    """
    if isinstance(module, Recurrent):
        return _described(module, [])
    if not isinstance(module, ManyToMany):
        raise TypeError(f"module: an LSTM, GRU or ManyToMany is required, got {type(module).__name__}")
    if list(module.heads.parts) != [""]:
        raise ValueError(f"outputs: one head is required for RTNeural, got {', '.join(module.heads.parts)}")
    if module.config["embedding"] is not None:
        raise ValueError(f"embedding: None is required, for RTNeural has none, got {module.config['embedding']}")
    activations = {task: activation for activation, task in TASKS.items()}
    if module.task.name not in activations or not module.task.direct:
        raise ValueError(f"task: one of {', '.join(activations)} is required for RTNeural, got {module.task.title}")
    state = module.state_dict()
    arrays = [state["head.weight"].T, state["head.bias"]]
    return _described(module.rnn, [_entry("dense", activations[module.task.name], len(arrays[1]), arrays)])


def save_rtneural(module: Any, path: StrPath) -> None:
    """Write ``to_rtneural(module)`` to a file, completely or not at all; errors are those of ``to_rtneural``."""
    text = json.dumps(to_rtneural(module))
    with replacing(path) as file:
        file.write(text.encode())


def _described(layer: Recurrent, above: list[dict[str, Any]]) -> dict[str, Any]:
    cell = require_plain(layer, "RTNeural")
    if cell == "rnn":
        raise ValueError("cell: lstm or gru is required, for RTNeural has no other, got rnn")
    entries = []
    for scan in scans_of(layer):
        whole = Scan(scan.weight_ih, scan.weight_hh, *scan.biases())
        arrays = arrays_of(cell, whole, reset_after=cell == "gru")
        entries.append(_entry(cell, "tanh", layer.hidden_size, arrays))
    return {"in_shape": [None, None, layer.input_size], "layers": [*entries, *above]}


def _entry(kind: str, activation: str, size: int, arrays: Sequence[Array]) -> dict[str, Any]:
    weights = [a.tolist() for a in arrays]
    return {"type": kind, "activation": activation, "shape": [None, None, size], "weights": weights}

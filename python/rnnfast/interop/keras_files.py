"""Keras 3's files, ``.keras`` and ``.weights.h5``, and older ``.h5``, read and written without Keras."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.atomic import StrPath, replacing

Array = npt.NDArray[Any]

# What a file that claims to be small may unpack to: the configuration of a model of a thousand layers.
LARGEST_CONFIG = 1 << 24


@dataclass(frozen=True, eq=False)
class KerasLayer:
    """A layer of Keras.

    Attributes
    ----------
    kind : str
        Name of its class; "" in a file of weights alone.
    name : str
    config : mapping
        Its configuration; empty in a file of weights alone.
    weights : list of arrays
        In the order of Keras's ``get_weights``.
    paths : list of str
        Where each of them lies in a file, relative to the layer; empty for a layer in memory.
    keras_version : str
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    weights: Sequence[Array]
    paths: Sequence[str] = ()
    keras_version: str = "3"


def read(path: StrPath) -> list[KerasLayer]:
    """Return the layers in a file: in the order of the model where the file has its configuration, else by name.

    Raises
    ------
    ImportError
        If h5py is not installed.
    OSError
        If the file cannot be read.
    ValueError
        If it is no file of Keras, or the model is no chain of layers.
    """
    h5py = _library()
    shown = os.fsdecode(path)
    with open(path, "rb") as file:
        try:
            return _read(h5py, file, shown)
        except (ValueError, MemoryError):
            raise
        except Exception as error:
            raise ValueError(f"{shown}: an undamaged file of Keras is required, got {error!r:.200}") from error


def _library() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f"h5py: required for files of Keras (pip install 'rnnfast[keras]'), got {error}") from None
    return h5py


def _read(h5py: Any, file: Any, shown: str) -> list[KerasLayer]:
    if zipfile.is_zipfile(file):
        return _from_zip(h5py, file, shown)
    file.seek(0)
    with h5py.File(file, "r") as h5:
        if "model_config" in h5.attrs:
            return _from_whole_h5(h5)
        if "layers" in h5:
            return [_weights_alone(name, h5["layers"][name]) for name in sorted(h5["layers"], key=_by_number)]
    raise ValueError(f"{shown}: a file of Keras with layers is required, got one without")


def _from_zip(h5py: Any, file: Any, shown: str) -> list[KerasLayer]:
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        missing = [name for name in ("config.json", "model.weights.h5") if name not in names]
        if missing:
            raise ValueError(f"{shown}: {' and '.join(missing)} in a .keras file is required, got {sorted(names)[:5]}")
        if archive.getinfo("config.json").file_size > LARGEST_CONFIG:
            raise ValueError(f"{shown}: a config.json of at most {LARGEST_CONFIG} bytes is required, got a larger one")
        model = json.loads(archive.read("config.json"))
        facts = json.loads(archive.read("metadata.json")) if "metadata.json" in names else {}
        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as h5:
            return list(_described(model, h5, facts.get("keras_version", "3")))


def _described(model: Mapping[str, Any], h5: Any, version: str) -> Iterator[KerasLayer]:
    """Return the layers of a model, whose weights lie in groups that are named by class and number."""
    seen: dict[str, int] = {}
    if model["class_name"] not in ("Sequential", "Functional"):
        # A file of a single layer.
        yield _described_layer(model, h5, version)
        return
    require_chain(model)
    for layer in model["config"]["layers"]:
        group = snake_case(layer["class_name"])
        number = seen[group] = seen.get(group, -1) + 1
        place = f"layers/{group}_{number}" if number else f"layers/{group}"
        yield _described_layer(layer, h5.get(place), version)


def _described_layer(layer: Mapping[str, Any], group: Any, version: str) -> KerasLayer:
    paths = list(_weight_paths(group)) if group else []
    weights = [np.asarray(group[path]) for path in paths]
    return KerasLayer(layer["class_name"], layer["config"]["name"], layer["config"], weights, paths, version)


def _weights_alone(name: str, group: Any) -> KerasLayer:
    paths = list(_weight_paths(group))
    return KerasLayer("", name, {}, [np.asarray(group[path]) for path in paths], paths)


def _weight_paths(group: Any) -> Iterator[str]:
    """Return where the arrays of a layer lie, in the order of ``get_weights``: the forward direction comes first."""
    parts = ("vars", "cell/vars", "layer/vars", "forward_layer/cell/vars", "backward_layer/cell/vars")
    for part in parts:
        if part in group:
            yield from (f"{part}/{number}" for number in sorted(group[part], key=int))


def _from_whole_h5(h5: Any) -> list[KerasLayer]:
    """Return the layers of the older format, where each group lists its arrays by name."""
    text = h5.attrs["model_config"]
    model = json.loads(text if isinstance(text, str) else text.decode())
    require_chain(model)
    version = str(h5.attrs.get("keras_version", "2"))
    found = []
    for layer in model["config"]["layers"]:
        name = layer["config"]["name"]
        group = h5["model_weights"].get(name)
        paths = [] if group is None else [p if isinstance(p, str) else p.decode() for p in group.attrs["weight_names"]]
        weights = [np.asarray(group[path]) for path in paths] if group is not None else []
        found.append(KerasLayer(layer["class_name"], name, layer["config"], weights, paths, version))
    return found


def require_chain(model: Mapping[str, Any]) -> None:
    """Raise ValueError unless every layer of a model's configuration reads the layer before it, and nothing else."""
    if model["class_name"] not in ("Sequential", "Functional", "Model"):
        raise ValueError(f"model: a Sequential or Functional one is required, got {model['class_name']}")
    if model["class_name"] == "Sequential":
        return
    before: str | None = None
    for layer in model["config"]["layers"]:
        sources = re.findall(r'"keras_history": \["([^"]+)"', json.dumps(layer.get("inbound_nodes", [])))
        # The older format has [[["name", 0, 0, {}]]].
        sources = sources or re.findall(r'\["([^"]+)", 0, 0, \{', json.dumps(layer.get("inbound_nodes", [])))
        if sources != ([] if before is None else [before]):
            name, got = layer["config"]["name"], ", ".join(sources) or "nothing"
            raise ValueError(f"{name}: a chain is required, where it reads {before or 'nothing'}, got {got}")
        before = layer["config"]["name"]


def snake_case(name: str) -> str:
    """Return a class's name as Keras names the group of its weights.

    Examples
    --------
    >>> snake_case("SimpleRNN"), snake_case("TimeDistributed"), snake_case("LSTM")
    ('simple_rnn', 'time_distributed', 'lstm')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _by_number(name: str) -> tuple[str, int]:
    base, _, number = name.rpartition("_")
    return (base, int(number)) if number.isdecimal() else (name, 0)


def write(path: StrPath, layers: Sequence[KerasLayer]) -> None:
    """Write a Sequential model to ``.keras``, or its weights to ``.weights.h5``, completely or not at all.

    Raises
    ------
    ImportError
        If h5py is not installed.
    ValueError
        If the path ends otherwise.
    """
    h5py = _library()
    name = os.fsdecode(path)
    if not name.endswith((".keras", ".weights.h5")):
        raise ValueError(f"path: a name that ends with .keras or .weights.h5 is required, got {name!r}")
    weights = io.BytesIO()
    with h5py.File(weights, "w") as h5:
        seen: dict[str, int] = {}
        for layer in layers:
            group = snake_case(layer.kind)
            number = seen[group] = seen.get(group, -1) + 1
            place = h5.create_group(f"layers/{group}_{number}" if number else f"layers/{group}")
            for part, array in zip(layer.paths, layer.weights, strict=True):
                place[part] = array
    with replacing(path) as file:
        if name.endswith(".weights.h5"):
            file.write(weights.getbuffer())
            return
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": "3.3.0"}))
            archive.writestr("config.json", json.dumps(_sequential(layers)))
            archive.writestr("model.weights.h5", weights.getvalue())


def _sequential(layers: Sequence[KerasLayer]) -> dict[str, Any]:
    described = [serialized(layer.kind, layer.config) for layer in layers]
    return serialized("Sequential", {"name": "sequential", "layers": described}, module="keras")


def serialized(kind: str, config: Mapping[str, Any], *, module: str = "keras.layers") -> dict[str, Any]:
    """Return an object as the configuration of a Keras model names it."""
    return {"module": module, "class_name": kind, "config": dict(config), "registered_name": None}

"""Files of layers and models from one format to another."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnfast import checkpoint, checks
from rnnfast.atomic import StrPath, replacing
from rnnfast.interop.keras import from_keras, save_keras
from rnnfast.interop.rtneural import from_rtneural, save_rtneural
from rnnfast.interop.state_dicts import from_state_dict, to_state_dict
from rnnfast.models import Model, load


@dataclass(frozen=True)
class Choices:
    """What a file does not tell of the layer or model in it: the arguments of ``convert``."""

    layer: Sequence[str] = ()
    model: str | None = None
    task: str = "classification"
    activation: str = "tanh"

    def require_none(self, path: str) -> None:
        """Raise ValueError where a choice is made for a file that leaves none."""
        for name in ("layer", "model"):
            if getattr(self, name):
                raise ValueError(f"{name}: nothing is required for {path}, whose model is known, got {name}")


@dataclass(frozen=True)
class Format:
    """How files of a format are read and written."""

    read: Callable[[str, Choices], Any]
    write: Callable[[Any, str], None]


def convert(
    source: StrPath,
    destination: StrPath,
    *,
    layer: str | Sequence[str] = (),
    model: str | None = None,
    task: str = "classification",
    activation: str = "tanh",
) -> Any:
    """Read a layer or model from one file and write it to another; the names' endings are the formats.

    ===================  =============================================================================================
    ``.safetensors``     a model's own file; another file of safetensors is a state dictionary of PyTorch
    ``.pt``, ``.pth``    a state dictionary of PyTorch (PyTorch is required)
    ``.onnx``            an ONNX model (onnx is required)
    ``.keras``, ``.h5``  a Keras model, or its weights in ``.weights.h5`` (h5py is required)
    ``.json``            a model of RTNeural
    ===================  =============================================================================================

    A model is written to ``.safetensors`` as its own file, which ``rf.load`` reads. A layer is written as a state
    dictionary, which ``load_state_dict`` reads.

    Parameters
    ----------
    source, destination : str or path
    layer : str or sequence of str, optional
        The recurrent layer to read from a state dictionary, or the layers of a Keras model; nothing else is read.
    model, task, activation
        What a state dictionary does not tell; see ``rnnfast.interop.state_dicts.from_state_dict``.

    Returns
    -------
    layer or model
        What was written.

    Raises
    ------
    ValueError
        If a format is unknown, a file is damaged, or something has no counterpart, which the message names.
    TypeError
        If a format has no such models.
    OSError
        If a file cannot be read or written.
    ImportError
        If a library that a format requires is not installed.
    """
    names = (layer,) if isinstance(layer, str) else tuple(layer)
    paths = [os.fsdecode(checks.as_path(name, p)) for name, p in (("source", source), ("destination", destination))]
    formats = [_format(name, path) for name, path in zip(("source", "destination"), paths, strict=True)]
    module = formats[0].read(paths[0], Choices(names, model, task, activation))
    formats[1].write(module, paths[1])
    return module


def _format(name: str, path: str) -> Format:
    ending = os.path.splitext(path)[1].lower()
    if ending not in FORMATS:
        raise ValueError(f"{name}: a name that ends with {', '.join(FORMATS)} is required, got {path!r}")
    return FORMATS[ending]


def _from_arrays(state: Any, choices: Choices) -> Any:
    if len(choices.layer) > 1:
        raise ValueError(f"layer: one name is required for a state dictionary, got {', '.join(choices.layer)}")
    only = choices.layer[0] if choices.layer else None
    return from_state_dict(state, layer=only, model=choices.model, task=choices.task, activation=choices.activation)


def _read_safetensors(path: str, choices: Choices) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            own = (file.metadata() or {}).get("format") == checkpoint.FORMAT
            state = {} if own else {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: an undamaged safetensors file is required, got {error}") from None
    if not own:
        return _from_arrays(state, choices)
    choices.require_none(path)
    return load(path)


def _write_safetensors(module: Any, path: str) -> None:
    from safetensors.numpy import save

    if isinstance(module, Model):
        module.save(path)
        return
    content = save(to_state_dict(module))
    with replacing(path) as file:
        file.write(content)


def _read_torch(path: str, choices: Choices) -> Any:
    import pickle

    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        wanted = "a state dictionary is required, as torch.save(module.state_dict(), path) writes it"
        got = str(error).partition("\n")[0]
        raise ValueError(f"{path}: {wanted}, got {got}") from None
    if not isinstance(found, Mapping):
        raise ValueError(f"{path}: a state dictionary is required, got {type(found).__name__}")
    others = [str(name) for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise ValueError(f"{path}: a state dictionary of tensors alone is required, got {', '.join(others)} among them")
    return _from_arrays({name: tensor.detach() for name, tensor in found.items()}, choices)


def _write_torch(module: Any, path: str) -> None:
    import torch

    state = {name: torch.from_numpy(value) for name, value in to_state_dict(module).items()}
    with replacing(path) as file:
        torch.save(state, file)


def _read_keras(path: str, choices: Choices) -> Any:
    if choices.model is not None:
        raise ValueError(f"model: nothing is required for {path}, whose model is known, got model")
    return from_keras(path, layer=choices.layer or None)


def _read_json(path: str, choices: Choices) -> Any:
    choices.require_none(path)
    return from_rtneural(path)


def _read_onnx(path: str, choices: Choices) -> Any:
    choices.require_none(path)
    return importlib.import_module("rnnfast.interop.onnx").from_onnx(path)


def _write_onnx(module: Any, path: str) -> None:
    if not hasattr(module, "to_onnx"):
        raise TypeError(f"destination: a module with to_onnx is required for .onnx, got {type(module).__name__}")
    module.to_onnx(path)


_TORCH, _KERAS = Format(_read_torch, _write_torch), Format(_read_keras, save_keras)
FORMATS = {
    ".safetensors": Format(_read_safetensors, _write_safetensors),
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".onnx": Format(_read_onnx, _write_onnx),
    ".keras": _KERAS,
    ".h5": _KERAS,
    ".json": Format(_read_json, save_rtneural),
}

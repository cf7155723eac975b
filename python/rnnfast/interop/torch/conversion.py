"""Layers and models from PyTorch and to it; the numbers move bit for bit, or the conversion raises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

import rnnfast as rf
from rnnfast import _ops
from rnnfast.interop.torch import modules
from rnnfast.interop.torch.models import MODELS, TorchModel

_CLASSES: dict[str, tuple[Any, Any, Any]] = {
    "rnn": (rf.RNN, nn.RNN, nn.RNNCell),
    "lstm": (rf.LSTM, nn.LSTM, nn.LSTMCell),
    "gru": (rf.GRU, nn.GRU, nn.GRUCell),
}
_DTYPES = {torch.float32: "float32", torch.float64: "float64"}


def from_torch(
    module: nn.Module, *, rename: Mapping[str, str] | None = None, model: type[Any] | None = None, **options: Any
) -> Any:
    """Return a module of PyTorch as a layer or model of rnnfast, with the same numbers.

    Parameters
    ----------
    module : torch.nn.Module
        A layer or cell of ``torch.nn``, accelerated or not, a layer of ``rnnfast.interop.torch``, what ``to_torch``
        returned, or with ``model`` any module with the parts of that model.
    rename : mapping of str to str, optional
        Names of the module's parts, and what the model calls them: ``{"gru": "rnn", "fc": "head"}``. Parts of the same
        name need no entry. A model's parts are ``embedding``, ``rnn`` and ``head``; of an ``EncoderDecoder``
        ``source_embedding``, ``encoder``, ``target_embedding``, ``decoder`` and ``head``.
    model : class, optional
        ``rnnfast.ManyToOne``, ``ManyToMany``, ``OneToMany`` or ``EncoderDecoder``. Sizes, cell and dtype are read from
        the module.
    **options
        Further arguments of the model, ``task="regression"`` for instance.

    Returns
    -------
    layer or model

    Raises
    ------
    TypeError
        If the module is of no known kind, or its dtype is neither float32 nor float64.
    ValueError
        If a part is missing or left over, or a shape does not fit.

    Examples
    --------
    >>> class Tagger(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.gru, self.fc = nn.GRU(3, 5, batch_first=True), nn.Linear(5, 2)
    >>> net = from_torch(Tagger(), rename={"gru": "rnn", "fc": "head"}, model=rf.ManyToMany)
    >>> net.summary  # doctest: +ELLIPSIS
    <bound method ...>
    """
    if isinstance(module, TorchModel):
        made = MODELS[type(module)](**module.config)
        made.load_state_dict(_state(module))
        return made
    if model is not None:
        return _model(module, model, dict(rename or {}), options)
    if rename or options:
        raise TypeError("model: a class of model is required beside rename and other options, got None")
    return _layer(module)


def _state(module: nn.Module, names: Any = None) -> dict[str, Any]:
    """Return arrays of a module's parameters; the values of parametrised ones."""
    tensors = dict(module.named_parameters()) if names is None else {name: getattr(module, name) for name in names}
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def _dtype(module: nn.Module) -> str:
    found = {p.dtype for p in module.parameters()}
    if len(found) != 1 or not found <= _DTYPES.keys() or any(p.device.type != "cpu" for p in module.parameters()):
        wanted = "parameters of one dtype, float32 or float64, on the CPU are required"
        raise TypeError(f"module: {wanted}, got {', '.join(sorted(str(dtype) for dtype in found)) or 'none'}")
    return _DTYPES[found.pop()]


def _layer(module: Any) -> Any:
    if isinstance(module, modules.Recurrent):
        layer = module.layer_class(**module.options, dtype=_dtype(module))
        layer.load_state_dict(_state(module))
        return layer
    for cls, layer_class, cell_class in _CLASSES.values():
        if isinstance(module, layer_class | cell_class):
            shape = _layer_options(module) | (
                {"time_major": not module.batch_first} if isinstance(module, layer_class) else {}
            )
            layer = cls(module.input_size, module.hidden_size, dtype=_dtype(module), **shape)
            names = list(layer.parameters())
            if isinstance(module, cell_class):
                values = _state(module, [name.removesuffix("_l0") for name in names])
                layer.load_state_dict(dict(zip(names, values.values(), strict=True)))
            else:
                layer.load_state_dict(_state(module, names))
            return layer
    raise TypeError(
        f"module: a recurrent layer or cell is required, or model=... beside other modules, got {type(module).__name__}"
    )


def _layer_options(module: Any) -> dict[str, Any]:
    names = ("num_layers", "bidirectional", "dropout", "proj_size")
    options = {name: value for name in names if (value := getattr(module, name, 0))}
    if isinstance(module, nn.RNN | nn.RNNCell) and module.nonlinearity != "tanh":
        options["activation"] = module.nonlinearity
    return options | ({} if module.bias else {"bias": False})


def _model(module: nn.Module, model: type[Any], rename: dict[str, str], options: dict[str, Any]) -> Any:
    parts = {rename.get(name, name): part for name, part in module.named_children()}
    unknown = [name for name in rename if name not in dict(module.named_children())]
    if unknown:
        raise ValueError(f"rename: names of the module's parts are required, got {', '.join(unknown)}")
    reader = "encoder" if issubclass(model, rf.EncoderDecoder) else "rnn"
    for name in (reader, "head"):
        if name not in parts:
            raise ValueError(f"rename: a part that becomes {name} is required, got {', '.join(parts) or 'none'}")
    rnn, head = parts[reader], parts["head"]
    cell = next((name for name, (_, cls, _) in _CLASSES.items() if isinstance(rnn, cls)), None)
    if cell is None:
        raise TypeError(f"{reader}: a layer of torch.nn is required, got {type(rnn).__name__}")
    known = {"cell": cell, "hidden_size": rnn.hidden_size, "num_layers": rnn.num_layers, "dtype": _dtype(module)}
    known |= {"bidirectional": rnn.bidirectional, "dropout": rnn.dropout}
    own = _layer_options(rnn).keys() - {"num_layers", "bidirectional", "dropout"}
    if own:
        known["cell_options"] = {name: _layer_options(rnn)[name] for name in own} | options.pop("cell_options", {})
    known |= _model_sizes(model, parts, head)
    made = model(**(known | options))
    state = {f"{name}.{key}": value for name, part in parts.items() for key, value in _state(part).items()}
    made.load_state_dict(state)
    return made


def _model_sizes(model: type[Any], parts: Mapping[str, Any], head: Any) -> dict[str, Any]:
    """Return the sizes that a model's constructor takes, read from the parts."""
    if issubclass(model, rf.EncoderDecoder):
        sizes: dict[str, Any] = {"source_size": parts["encoder"].input_size}
        if "source_embedding" in parts:
            table = parts["source_embedding"]
            sizes = {"source_size": table.num_embeddings, "source_embedding": table.embedding_dim}
        if "target_embedding" in parts:
            sizes["target_embedding"] = parts["target_embedding"].embedding_dim
        return sizes | {"target_size": head.out_features}
    sizes = {"input_size": parts["rnn"].input_size, "output_size": head.out_features}
    if "embedding" in parts:
        sizes |= {"input_size": parts["embedding"].num_embeddings, "embedding": parts["embedding"].embedding_dim}
    if "context" in parts:
        sizes["context_size"] = parts["context"].in_features
    return sizes


def to_torch(layer: Any) -> nn.Module:
    """Return a layer as one of ``torch.nn``, or a model as a module with the same state names, with the same numbers.

    Parameters
    ----------
    layer : RNN, LSTM, GRU, ManyToOne, ManyToMany, OneToMany or EncoderDecoder

    Returns
    -------
    torch.nn.Module
        Of a model a module whose ``forward`` returns the head's outputs; ``from_torch`` takes it back.

    Raises
    ------
    ValueError
        If ``torch.nn`` has not an option of the layer; the modules of ``rnnfast.interop.torch`` have it.
    TypeError
        If it is no such layer or model.

    Examples
    --------
    >>> to_torch(rf.GRU(3, 5, seed=0))
    GRU(3, 5, batch_first=True)
    """
    for cls, made in MODELS.items():
        if type(layer) is made:
            return cls(layer, to_torch)
    for name, (own, layer_class, _) in _CLASSES.items():
        if type(layer) is own:
            _require_in_torch(name, layer)
            bias = "bias_ih_l0" in layer.parameters()
            options = {"proj_size": layer.proj_size} if name == "lstm" else {}
            if name == "rnn":
                options = {"nonlinearity": layer.activation}
            module: nn.Module = layer_class(
                layer.input_size,
                layer.hidden_size,
                layer.num_layers,
                bias=bias,
                batch_first=not layer.time_major,
                dropout=layer.dropout,
                bidirectional=layer.bidirectional,
                dtype=getattr(torch, layer.dtype.name),
                **options,
            )
            module.load_state_dict({key: torch.from_numpy(value) for key, value in layer.state_dict().items()})
            return module
    raise TypeError(f"layer: RNN, LSTM, GRU or a model of rnnfast is required, got {type(layer).__name__}")


def _require_in_torch(name: str, layer: Any) -> None:
    """Raise ValueError if a layer has an option that the one of ``torch.nn`` has not."""
    cell: _ops.Cell = layer._packs._cell
    activations = [activation for activation, *_ in cell.activations]
    usual = activations in ([["tanh"], ["relu"]] if name == "rnn" else [list(_ops.FAMILIES[name].activations)])
    found = {
        "activations": not usual,
        "reset_after=False": not getattr(layer, "reset_after", True),
        "coupled": getattr(layer, "coupled", False),
        "peephole": getattr(layer, "peephole", False),
        "layer_norm": getattr(layer, "layer_norm", False),
        "clip": math.isfinite(cell.clip),
        "leak": cell.leak != 1,
        "zoneout": bool(cell.zoneout),
        "input_dropout, recurrent_dropout or noise": any(layer._random[1:4]),
        "learn_initial_state": bool(layer.learned_state),
    }
    others = [option for option, present in found.items() if present]
    if others:
        raise ValueError(
            f"layer: what torch.nn.{type(layer).__name__} computes is required, got one with {', '.join(others)} "
            f"(rnnfast.interop.torch.{type(layer).__name__} has these options)"
        )

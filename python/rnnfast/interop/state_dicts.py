"""State dictionaries of PyTorch: the layer or model that names and shapes tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.interop.layout import GATES, LAYERS, require_plain
from rnnfast.layers import Recurrent
from rnnfast.models import ManyToMany, ManyToOne

Array = npt.NDArray[Any]

MODELS: dict[str, type[ManyToOne] | type[ManyToMany]] = {"many-to-one": ManyToOne, "many-to-many": ManyToMany}
_NAME = re.compile(r"(?P<prefix>.*?)(?P<part>(weight|bias)_(ih|hh)|weight_hr)(?P<place>_l\d+(_reverse)?)?")


def from_state_dict(
    state: Mapping[str, npt.ArrayLike],
    *,
    layer: str | None = None,
    model: str | None = None,
    task: str = "classification",
    activation: str = "tanh",
) -> Any:
    """Return the layer or model whose parameters a state dictionary of PyTorch has.

    The cell is told by the shapes: ``weight_hh`` has (G*H, H) numbers, with G = 1 for an RNN, 3 for a GRU and 4 for an
    LSTM, whose projection is ``weight_hr``.

    Parameters
    ----------
    state : mapping of str to array_like
        One recurrent layer, ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` or a cell of these. For a model also a Linear layer
        (K, D*H) with a bias, and perhaps an Embedding (V, C). They may have any names.
    layer : str, optional
        What stands before the names of the recurrent layer, such as "encoder"; other parameters are then ignored.
    model : {"many-to-one", "many-to-many"}, optional
        The model; required where there is a Linear layer.
    task : str
        Task of the model.
    activation : {"tanh", "relu"}
        Activation of an RNN, which a state dictionary does not tell.

    Returns
    -------
    RNN, LSTM, GRU, ManyToOne or ManyToMany

    Raises
    ------
    ValueError
        If parameters do not fit, or have no counterpart; the message names them.

    Examples
    --------
    >>> import rnnfast as rf
    >>> named = {f"lstm.{name}": value for name, value in rf.LSTM(2, 3).state_dict().items()}
    >>> from_state_dict(named)
    LSTM(2, 3, num_layers=1, dtype=float32)
    """
    arrays = {name: checks.as_array(str(name), value) for name, value in checks.as_mapping("state", state).items()}
    prefix, own, others = _divided(arrays, layer)
    rnn = _layer(prefix, own, checks.as_choice("activation", activation, ("tanh", "relu")))
    if layer is not None or not others:
        if model is not None:
            raise ValueError(f"model: a Linear layer is required for {model}, got a recurrent layer alone")
        return rnn
    return _model(rnn, others, model, task, activation)


def _divided(arrays: Mapping[str, Array], layer: str | None) -> tuple[str, dict[str, Array], dict[str, Array]]:
    """Return the prefix of the recurrent layer, its parameters by the names of ours, and all other parameters."""
    found: dict[str, dict[str, Array]] = {}
    others = {}
    for name, array in arrays.items():
        match = _NAME.fullmatch(name)
        if match is None:
            others[name] = array
        else:
            found.setdefault(match["prefix"], {})[match["part"] + (match["place"] or "_l0")] = array
    prefixes = ", ".join(prefix.rstrip(".") or "''" for prefix in found) or "none"
    if layer is not None:
        wanted = [prefix for prefix in found if prefix.rstrip(".") == layer.rstrip(".")]
        if not wanted:
            raise ValueError(f"layer: one of {prefixes} is required, got {layer!r}")
        return wanted[0], found[wanted[0]], others
    if len(found) != 1:
        raise ValueError(f"state: one recurrent layer is required, or its name as layer, got {prefixes}")
    (prefix, own), *_ = found.items()
    return prefix, own, others


def _layer(prefix: str, own: Mapping[str, Array], activation: str) -> Any:
    first = own.get("weight_ih_l0"), own.get("weight_hh_l0")
    if first[0] is None or first[1] is None or first[0].ndim != 2 or first[1].ndim != 2:
        raise ValueError(f"{prefix}weight_ih_l0, {prefix}weight_hh_l0: two axes are required, got {', '.join(own)}")
    rows, outputs = first[1].shape
    projection = own.get("weight_hr_l0")
    H = outputs if projection is None or projection.ndim != 2 else projection.shape[1]
    cell = next((cell for cell, gates in GATES.items() if gates * H == rows), None)
    if cell is None or (projection is not None and cell != "lstm"):
        raise ValueError(f"{prefix}weight_hh_l0: (G*H, H) with G of {GATES} is required, got {first[1].shape}")
    options: dict[str, Any] = {"activation": activation} if cell == "rnn" else {}
    layer = LAYERS[cell](
        first[0].shape[1],
        H,
        num_layers=len({name.removesuffix("_reverse") for name in own if name.startswith("weight_ih")}),
        bidirectional=any(name.endswith("_reverse") for name in own),
        bias="bias_ih_l0" in own,
        dtype="float64" if any(a.dtype == np.float64 for a in own.values()) else "float32",
        **(options if projection is None else {"proj_size": outputs}),
    )
    try:
        layer.load_state_dict(own)
    except ValueError as error:
        raise ValueError(f"{prefix.rstrip('.') or 'state'}: {error}") from None
    return layer


@dataclass(frozen=True)
class Around:
    """Names of the parameters of a model beside the recurrent ones."""

    head: str
    bias: str
    table: str | None


def _around(rnn: Any, others: Mapping[str, Array]) -> Around:
    """Return the names of the head and the embedding; ValueError names parameters that are neither."""
    rest, heads, tables = set(others), [], []
    for name, array in others.items():
        bias = f"{name.removesuffix('weight')}bias"
        if name.endswith("weight") and array.ndim == 2:
            if bias in others and array.shape[1] == rnn.output_size and others[bias].shape == (len(array),):
                heads.append(Around(name, bias, None))
            elif bias not in others and array.shape[1] == rnn.input_size:
                tables.append(name)
    if len(heads) == 1 and len(tables) <= 1:
        rest -= {heads[0].head, heads[0].bias, *tables}
        if not rest:
            return Around(heads[0].head, heads[0].bias, tables[0] if tables else None)
    shown = ", ".join(f"{name} {others[name].shape}" for name in sorted(rest))
    wanted = f"one Linear layer (K, {rnn.output_size}) with a bias, and at most one Embedding (V, {rnn.input_size}),"
    raise ValueError(f"state: {wanted} are required beside the recurrent layer, got {shown}, without counterpart")


def _model(rnn: Any, others: Mapping[str, Array], model: str | None, task: str, activation: str) -> Any:
    around = _around(rnn, others)
    if model is None:
        raise ValueError(f"model: one of {', '.join(MODELS)} is required for a file with {around.head}, got none")
    cls = MODELS[checks.as_choice("model", model, MODELS)]
    head, table = others[around.head], None if around.table is None else others[around.table]
    cell = next(cell for cell, kind in LAYERS.items() if isinstance(rnn, kind))
    options: dict[str, Any] = {"activation": activation} if cell == "rnn" else {}
    options |= {"proj_size": rnn.proj_size} if getattr(rnn, "proj_size", 0) else {}
    options |= {} if "bias_ih_l0" in rnn.parameters() else {"bias": False}
    made = cls(
        rnn.input_size if table is None else len(table),
        len(head),
        cell=cell,
        hidden_size=rnn.hidden_size,
        num_layers=rnn.num_layers,
        bidirectional=rnn.bidirectional,
        task=task,
        embedding=None if table is None else table.shape[1],
        cell_options=options,
        dtype=rnn.dtype,
    )
    state = {f"rnn.{name}": value for name, value in rnn.state_dict().items()}
    state |= {"head.weight": head, "head.bias": others[around.bias]}
    made.load_state_dict(state | ({} if table is None else {"embedding.weight": table}))
    return made


def to_state_dict(module: Any) -> dict[str, Array]:
    """Return the parameters of a layer or model as a state dictionary that tells all of it.

    Raises
    ------
    ValueError
        If an option of the recurrent layers is not told by names and shapes, which the message names.
    TypeError
        If the module is another layer or model.
    """
    rnn = module if isinstance(module, Recurrent) else getattr(module, "rnn", None)
    if rnn is None or not isinstance(module, Recurrent | ManyToOne | ManyToMany):
        wanted = "an RNN, LSTM, GRU, ManyToOne or ManyToMany"
        raise TypeError(f"module: {wanted} is required for a state dictionary, got {type(module).__name__}")
    require_plain(rnn, "a state dictionary of PyTorch", allowed=("bidirectional", "proj_size"))
    if not isinstance(module, Recurrent) and list(module.heads.parts) != [""]:
        raise ValueError(f"outputs: one head is required for a state dictionary, got {', '.join(module.heads.parts)}")
    return module.state_dict()

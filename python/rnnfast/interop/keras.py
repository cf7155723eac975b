"""Weights from and to Keras 3: SimpleRNN, LSTM, GRU and Bidirectional, and models of an input, a stack and a head."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.atomic import StrPath
from rnnfast.interop import keras_files
from rnnfast.interop.keras_files import KerasLayer
from rnnfast.interop.keras_layers import (
    CELLS,
    Part,
    bias_shapes,
    described,
    layers_in,
    part_of,
    require_equal,
    scan_of,
    shared_dropouts,
    stack_of,
)
from rnnfast.interop.layout import GATES, cell_of, layer_of
from rnnfast.layers import Recurrent
from rnnfast.models import ManyToMany, ManyToOne

Array = npt.NDArray[Any]

TASKS = {"softmax": "classification", "sigmoid": "multilabel", "linear": "regression"}


def from_keras(
    source: Any,
    *,
    layer: str | Sequence[str] | None = None,
    cell: str | None = None,
    bidirectional: bool = False,
    cell_options: Mapping[str, Any] | None = None,
) -> Any:
    """Return the layer or model that a file, a layer, a model or a list of weights of Keras holds.

    Gates are put in our order: i, f, c, o are our i, f, g, o, and z, r, h are our z, r, n. The one bias of an LSTM, a
    SimpleRNN and a GRU with ``reset_after=False`` becomes ``bias_ih``, and ``bias_hh`` is zero.

    Parameters
    ----------
    source : path, Keras layer or model, or list of arrays
        A path to a ``.keras``, ``.weights.h5`` or older ``.h5`` file, which is read with h5py, without Keras; or an
        object of Keras; or what ``get_weights`` of recurrent layers returned.
    layer : str or sequence of str, optional
        Names of the recurrent layers to read, from the bottom of the stack to its top. By default all layers are read:
        recurrent ones alone become a layer. An optional Embedding, recurrent layers and a Dense layer become a
        ``ManyToOne`` or, where the Dense layer reads every step, a ``ManyToMany``. Its activation is the task: softmax,
        sigmoid or linear is classification, multilabel or regression.
    cell : {"rnn", "lstm", "gru"}, optional
        Required for a list of arrays.
    bidirectional : bool
        Whether a list of arrays is one of bidirectional layers.
    cell_options : dict, optional
        Options of our layer that a list of arrays and a file of weights alone do not tell: activations,
        ``reset_after`` where a GRU has no bias, and ``bias`` where the shapes of a list of arrays leave it open.

    Returns
    -------
    RNN, LSTM, GRU, ManyToOne or ManyToMany

    Raises
    ------
    ValueError
        If something has no counterpart here, which the message names: an activation, ``go_backwards`` outside of
        Bidirectional, a ``merge_mode`` other than "concat", a layer of another class, layers of a stack that differ.
    ImportError
        If a file is given and h5py is not installed.

    Warns
    -----
    UserWarning
        If a Dropout layer or a mask is left out. Masks are given as ``lengths`` with the data.

    Examples
    --------
    >>> kernel, recurrent, bias = np.ones((2, 12)), np.eye(3, 12), np.zeros(12)
    >>> from_keras([kernel, recurrent, bias], cell="lstm")
    LSTM(2, 3, num_layers=1, dtype=float64)
    """
    if isinstance(source, list | tuple):
        return _from_arrays(source, cell, bidirectional=bidirectional, options=cell_options)
    if not isinstance(source, str | bytes | os.PathLike):
        return _from_layers(list(layers_in(source)), layer, cell_options)
    given = keras_files.read(source)
    try:
        return _from_layers(given, layer, cell_options)
    except (KeyError, IndexError, AttributeError) as error:
        name = os.fsdecode(source)
        raise ValueError(f"{name}: an undamaged file of Keras is required, got {error!r:.200}") from error


def _from_layers(
    given: Sequence[KerasLayer], layer: str | Sequence[str] | None, cell_options: Mapping[str, Any] | None
) -> Any:
    if cell_options is not None and any(each.kind for each in given):
        raise ValueError("cell_options: None is required beside a configuration of Keras, which has them, got some")
    if layer is not None:
        names = [layer] if isinstance(layer, str) else list(layer)
        by_name = {each.name: each for each in given}
        for name in names:
            checks.as_choice("layer", name, by_name)
        return stack_of([part_of(by_name[name], cell_options) for name in names])
    if any(not each.kind for each in given):
        return _from_weights(given, cell_options)
    return _whole(given)


def _from_arrays(
    arrays: Sequence[Any], cell: str | None, *, bidirectional: bool, options: Mapping[str, Any] | None
) -> Any:
    if cell is None:
        raise ValueError(f"cell: one of {', '.join(GATES)} is required beside a list of arrays, got None")
    cell = checks.as_choice("cell", cell, GATES)
    directions = 2 if checks.as_flag("bidirectional", bidirectional) else 1
    found = [checks.as_array(f"source[{i}]", a) for i, a in enumerate(arrays)]
    known = dict(options or {})
    size = 3 if known.pop("bias", _have_biases(cell, found)) else 2
    if not found or len(found) % (size * directions):
        wanted = f"{size} arrays for each of {directions} directions of a layer"
        raise ValueError(f"source: {wanted} are required, got {len(found)}")
    reset_after = known.pop("reset_after", None)
    scans = []
    for first in range(0, len(found), size):
        scan, after = scan_of(f"source[{first}]", cell, found[first : first + size], reset_after)
        scans.append(scan)
        known |= {"reset_after": after} if cell == "gru" else {}
    return layer_of(cell, scans, directions=directions, options=known)


def _have_biases(cell: str, arrays: Sequence[Array]) -> bool:
    """Return whether every third array can be a bias."""
    if len(arrays) % 3 or any(r.ndim != 2 for r in arrays[1::3]):
        return len(arrays) % 2 == 1
    return all(b.ndim < 2 or b.shape in bias_shapes(cell, r) for r, b in zip(arrays[1::3], arrays[2::3], strict=True))


def _from_weights(given: Sequence[KerasLayer], options: Mapping[str, Any] | None) -> Any:
    holding = [each for each in given if each.weights]
    if len(holding) != 1:
        names = ", ".join(each.name for each in holding) or "none"
        raise ValueError(f"layer: names are required for a file of weights alone that has several layers ({names})")
    return stack_of([part_of(holding[0], options)])


def to_keras_weights(module: Any, target: Any = None) -> list[Array]:
    """Return the weights of a layer or model in the order of Keras's ``get_weights``, and set those of a target.

    Both biases of an LSTM, an RNN and a GRU with ``reset_after=False`` are added, for Keras has one.

    Parameters
    ----------
    module : RNN, LSTM, GRU, ManyToOne or ManyToMany
        A stack of several layers is several layers of Keras.
    target : layer or model of Keras, optional
        Built, and of the same layers.

    Returns
    -------
    list of arrays
        Kernel (C, G*H), recurrent kernel (H, G*H) and bias of every layer and direction, from the bottom of the stack
        to its top; of a model the embedding before them, and kernel and bias of the Dense layer after them.

    Raises
    ------
    ValueError
        If an option has no counterpart in Keras, or the target is another layer; the message names it.

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer = rf.GRU(2, 3, seed=0)
    >>> [w.shape for w in to_keras_weights(layer)]
    [(2, 9), (3, 9), (2, 9)]
    >>> same = from_keras(to_keras_weights(layer), cell="gru")
    >>> all((same.state_dict()[name] == value).all() for name, value in layer.state_dict().items())
    True
    """
    layers = _described(module)
    arrays = [array for layer in layers for array in layer.weights]
    if target is None:
        return arrays
    if hasattr(target, "get_weights") and not target.get_weights():
        raise ValueError("target: a layer with weights is required (target.build makes them), got none")
    own = [part_of(layer) for layer in layers if layer.kind in (*CELLS, "Bidirectional")]
    theirs = [part_of(layer) for layer in layers_in(target) if layer.kind in (*CELLS, "Bidirectional")]
    if len(own) != len(theirs):
        raise ValueError(f"target: {len(own)} recurrent layers are required, got {len(theirs)}")
    for pair in zip(own, theirs, strict=True):
        require_equal(pair)
    shapes, others = [a.shape for a in arrays], [np.shape(a) for a in target.get_weights()]
    if shapes != others:
        raise ValueError(f"target: weights of shapes {shapes} are required, got {others}")
    target.set_weights(arrays)
    return arrays


def save_keras(module: Any, path: StrPath) -> None:
    """Write a layer or model to a file that Keras 3 loads; h5py is required, Keras is not.

    Parameters
    ----------
    module : RNN, LSTM, GRU, ManyToOne or ManyToMany
        Dropout is not part of the file.
    path : str or path
        A name that ends with ``.keras``, of a whole Sequential model, or with ``.weights.h5``.

    Raises
    ------
    ValueError
        If something has no counterpart in Keras, which the message names.
    ImportError
        If h5py is not installed.
    """
    keras_files.write(path, _described(module))


def _described(module: Any) -> list[KerasLayer]:
    if isinstance(module, Recurrent):
        return [_input(module.input_size, module.dtype.name), *described(module, sequences=True)]
    if not isinstance(module, ManyToOne | ManyToMany):
        wanted = "an RNN, LSTM, GRU, ManyToOne or ManyToMany"
        raise TypeError(f"module: {wanted} is required, got {type(module).__name__}")
    if list(module.heads.parts) != [""]:
        raise ValueError(f"outputs: one head is required for Keras, got {', '.join(module.heads.parts)}")
    activations = {task: activation for activation, task in TASKS.items()}
    if module.task.name not in activations or not module.task.direct:
        raise ValueError(f"task: one of {', '.join(activations)} is required for Keras, got {module.task.title}")
    dtype, state = module.dtype.name, module.state_dict()
    table = state.get("embedding.weight")
    found = [_input(module.rnn.input_size, dtype)]
    if table is not None:
        config = {"name": "embedding", "dtype": dtype, "input_dim": len(table), "output_dim": table.shape[1]}
        found = [_input(None, dtype), KerasLayer("Embedding", "embedding", config, [table], ["vars/0"])]
    found += described(module.rnn, sequences=isinstance(module, ManyToMany))
    weight = np.ascontiguousarray(state["head.weight"].T)
    config = {"name": "dense", "dtype": dtype, "units": weight.shape[1], "activation": activations[module.task.name]}
    found.append(KerasLayer("Dense", "dense", config, [weight, state["head.bias"]], ["vars/0", "vars/1"]))
    return found


def _input(features: int | None, dtype: str) -> KerasLayer:
    """Return the layer for an input of vectors, or of ids where there are no features."""
    shape = [None, None] if features is None else [None, None, features]
    config = {"name": "input", "batch_shape": shape, "dtype": "int32" if features is None else dtype}
    return KerasLayer("InputLayer", "input", config, [])


@dataclass(eq=False)
class Chain:
    """The layers of a model by what they are to ours."""

    embedding: KerasLayer | None = None
    parts: list[Part] = field(default_factory=list)
    dropouts: list[tuple[int, float]] = field(default_factory=list)  # number of recurrent layers below, rate
    head: KerasLayer | None = None
    activation: str = "linear"


def _whole(given: Sequence[KerasLayer]) -> Any:
    chain = Chain()
    for each in given:
        _sort(chain, each)
    if not chain.parts:
        raise ValueError(f"source: a recurrent layer is required, got {', '.join(e.kind for e in given) or 'none'}")
    if chain.head is None:
        if chain.embedding is not None:
            wanted = "a Dense layer above the recurrent ones is required"
            raise ValueError(f"{chain.embedding.name}: {wanted} in a model with an Embedding, got none; see layer")
        return stack_of(chain.parts)
    return _model(chain, chain.head)


def _sort(chain: Chain, given: KerasLayer) -> None:
    """Put a layer into its place in the chain; ValueError where it has none."""
    if given.kind == "InputLayer":
        return
    if given.kind == "Masking":
        checks.warn(f"{given.name}: a mask has no counterpart and is left out; give lengths with the data")
    elif given.kind == "Embedding" and not chain.parts and chain.embedding is None:
        chain.embedding = given
        if given.config.get("mask_zero"):
            checks.warn(f"{given.name}: mask_zero has no counterpart and is left out; give lengths with the data")
    elif given.kind in (*CELLS, "Bidirectional") and chain.head is None:
        chain.parts.append(part_of(given))
    elif given.kind == "Dropout" and chain.head is None:
        chain.dropouts.append((len(chain.parts), float(given.config["rate"])))
    elif given.kind in ("Dense", "TimeDistributed") and chain.parts and chain.head is None:
        config = given.config if given.kind == "Dense" else given.config["layer"]["config"]
        if given.kind != "Dense" and given.config["layer"]["class_name"] != "Dense":
            raise ValueError(f"{given.name}: a Dense layer is required, got {given.config['layer']['class_name']}")
        chain.head, chain.activation = given, config.get("activation") or "linear"
    elif given.kind in ("Activation", "Softmax") and chain.head is not None and chain.activation == "linear":
        chain.activation = given.config.get("activation", "softmax")
    else:
        wanted = "an Embedding, recurrent layers and one Dense layer are required, in this order"
        raise ValueError(f"{given.name}: {wanted}, got {given.kind}, which has no counterpart there; see layer")


def _model(chain: Chain, head: KerasLayer) -> Any:
    if chain.activation not in TASKS:
        wanted = f"activation: one of {', '.join(TASKS)}"
        raise ValueError(f"{head.name}: {wanted} is required of a head, got {chain.activation}")
    rnn = stack_of(chain.parts)
    weight = checks.as_array(f"{head.name} kernel", head.weights[0]).T
    bias = head.weights[1] if len(head.weights) > 1 else np.zeros(len(weight), weight.dtype)
    table = None if chain.embedding is None else chain.embedding.weights[0]
    state = {f"rnn.{name}": value for name, value in rnn.state_dict().items()}
    state |= {"head.weight": weight, "head.bias": bias} | ({} if table is None else {"embedding.weight": table})
    cls = ManyToMany if chain.parts[-1].sequences else ManyToOne
    model = cls(
        rnn.input_size if table is None else len(table),
        len(weight),
        cell=cell_of(rnn),
        hidden_size=rnn.hidden_size,
        num_layers=rnn.num_layers,
        bidirectional=rnn.bidirectional,
        task=TASKS[chain.activation],
        embedding=None if table is None else table.shape[1],
        cell_options=chain.parts[0].options
        | shared_dropouts(chain.parts)
        | ({} if "bias_ih_l0" in rnn.parameters() else {"bias": False}),
        dtype=rnn.dtype,
        **_model_dropouts(chain),
    )
    model.load_state_dict(state)
    return model


def _model_dropouts(chain: Chain) -> dict[str, Any]:
    """Return the rates of Dropout layers that have a counterpart: between all recurrent layers, and below the head."""
    layers, rates = len(chain.parts), dict(chain.dropouts)
    found: dict[str, Any] = {"output_dropout": rates.pop(layers)} if layers in rates else {}
    between = [rates.get(k) for k in range(1, layers)]
    if between and between[0] is not None and len(set(between)) == 1:
        found["dropout"] = between[0]
        rates = {k: rate for k, rate in rates.items() if not 0 < k < layers}
    if rates:
        wanted = "one rate between all recurrent layers, or below the head, is required"
        checks.warn(f"Dropout: {wanted}, got others, which are left out: {sorted(rates.values())}")
    return found

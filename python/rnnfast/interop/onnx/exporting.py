"""Layers and models, written to ONNX files."""

from __future__ import annotations

from typing import Any

from rnnfast import checks
from rnnfast.atomic import StrPath
from rnnfast.interop.onnx.layers import save_layer
from rnnfast.interop.onnx.models import save_model
from rnnfast.layers import Recurrent


def to_onnx(item: Any, path: StrPath, *, lengths: bool = False, state: bool = False) -> list[str]:
    """Write a layer or a model to ONNX files; the methods ``to_onnx`` of layers and models describe the graphs.

    Parameters
    ----------
    item : RNN, LSTM, GRU, ManyToOne, ManyToMany, OneToMany or EncoderDecoder
    path : str or path
    lengths : bool
        Whether the graph has an input ``lengths``, int32 (N,).
    state : bool
        Whether the graph of a layer has inputs for the initial state.

    Returns
    -------
    list of str
        The paths of the files.

    Raises
    ------
    ImportError
        The package onnx is not installed.
    ValueError
        ONNX cannot express an option; the message names it.
    TypeError
        The item is neither a layer nor a model.
    """
    lengths, state = checks.as_flag("lengths", lengths), checks.as_flag("state", state)
    if isinstance(item, Recurrent):
        return save_layer(item, path, lengths=lengths, state=state)
    return save_model(item, path, lengths=lengths)

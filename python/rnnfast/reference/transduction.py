"""Encoder and decoder: one recurrent network reads a sequence, a second one continues from its state.

Legend: N pairs, S steps of a source, T steps of a target, C and V features or ids, H units, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast.reference.attention import AttentionParams, attentional
from rnnfast.reference.base import Array
from rnnfast.reference.heads import embedding, linear
from rnnfast.reference.sequence import forward


def encoder_decoder(
    cell: str,
    params: Mapping[str, Array],
    sources: Array,
    inputs: Array,
    *,
    source_lengths: Sequence[int] | Array | None = None,
    lengths: Sequence[int] | Array | None = None,
    **options: Any,
) -> Array:
    """Return the outputs ``W_head h(t) + b_head`` at every step of the decoder (Sutskever et al. 2014).

    The decoder's initial state is the encoder's state after the source's last step. ``h(t)`` is the h of the top layer
    after ``inputs(1..t)`` or, with attention, what :func:`attentional` makes of it and of the encoder's outputs.

    Parameters
    ----------
    cell : {"rnn", "lstm", "gru"}
    params : mapping of str to array
        ``encoder.*``, ``decoder.*``, ``head.weight`` (K, H) and ``head.bias`` (K,); for an encoder with two directions
        ``bridge.weight``, see :func:`bridged`; for ids the tables ``source_embedding.weight`` and
        ``target_embedding.weight``; for attention ``attention.key.weight``, ``attention.combine.*`` and, where scores
        are additive, ``attention.query.*`` and ``attention.score.weight``.
    sources : array (N, S, C), or ids (N, S)
    inputs : array (N, T, V), or ids (N, T)
        Without a table, ids are unit vectors.
    source_lengths, lengths : integers (N,)
        Number of steps, within 0..S and 0..T.
    options
        ``activation`` and ``reset_after``, as for :func:`forward`.

    Returns
    -------
    array (N, T, K)
        Steps past a length have no meaning.

    Examples
    --------
    >>> ones = {f"{part}.weight_{kind}_l0": np.ones((1, 1)) for part in ("encoder", "decoder") for kind in ("ih", "hh")}
    >>> params = {**ones, "head.weight": np.ones((1, 1)), "head.bias": np.zeros(1)}
    >>> sources, inputs = np.array([[[1.0], [2.0]]]), np.array([[[10.0], [20.0]]])
    >>> encoder_decoder("rnn", params, sources, inputs, activation="identity")[0, :, 0]
    array([13., 33.])
    """
    encoder, decoder = _part(params, "encoder"), _part(params, "decoder")
    bridge = params.get("bridge.weight")
    x = _vectors(sources, params.get("source_embedding.weight"), encoder)
    state: Any
    memory, state, _ = forward(cell, encoder, x, lengths=source_lengths, **options)
    if bridge is not None:
        state = bridged(bridge, state)
    u = _vectors(inputs, params.get("target_embedding.weight"), decoder)
    h, _, _ = forward(cell, decoder, u, state, lengths=lengths, **options)
    if "attention.key.weight" in params:
        p = _attention(params)
        counts = [x.shape[1]] * len(x) if source_lengths is None else source_lengths
        h = np.stack([attentional(own, m[: int(s)], p)[0] for own, m, s in zip(h, memory, counts, strict=True)])
    return linear(h, params["head.weight"], params["head.bias"])


def bridged(weight: Array, state: Any) -> Any:  # Any: an array gives an array, a tuple a tuple
    """Return the decoder's initial states ``W [forward; reverse]`` of a bidirectional encoder's final states.

    Parameters
    ----------
    weight : array (S*L*H, 2H)
        Rows by state (h, then c), layer and unit; S is the number of states.
    state : array (2L, N, H), or tuple (h, c) of two for an LSTM

    Returns
    -------
    array (L, N, H), or tuple of two

    Examples
    --------
    >>> bridged(np.array([[1.0, 10.0]]), np.array([[[2.0]], [[3.0]]]))
    array([[[32.]]])
    """
    if isinstance(state, tuple):
        return tuple(bridged(own, part) for own, part in zip(np.split(weight, 2), state, strict=True))
    layers = np.split(weight, len(state) // 2)
    return np.stack([np.hstack([state[2 * k], state[2 * k + 1]]) @ own.T for k, own in enumerate(layers)])


def _attention(params: Mapping[str, Array]) -> AttentionParams:
    return AttentionParams(
        key=params["attention.key.weight"],
        combine=params["attention.combine.weight"],
        combine_bias=params["attention.combine.bias"],
        query=params.get("attention.query.weight"),
        query_bias=params.get("attention.query.bias"),
        v=params.get("attention.score.weight"),
    )


def _part(params: Mapping[str, Array], name: str) -> dict[str, Array]:
    return {key.removeprefix(f"{name}."): value for key, value in params.items() if key.startswith(f"{name}.")}


def _vectors(x: Array, table: Array | None, network: Mapping[str, Array]) -> Array:
    """Return the input of a network: ``x`` itself, or the vector of every id."""
    if x.ndim == 3:
        return x
    if table is None:
        table = np.eye(network["weight_ih_l0"].shape[1])
    return embedding(x.ravel(), table).reshape(*x.shape, table.shape[1])

"""Encoder and decoder: one recurrent network reads a sequence, a second one goes on from its state.

Legend: N pairs, S steps of a source, T of what is written, C and V features or ids, H units, K outputs.
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
    """Outputs at every step of the decoder (Sutskever et al. 2014), ``W_head h(t) + b_head``.

    ``(h, c)(0)`` of the decoder is the encoder's state after the source's last step; ``h(t)`` is that of the top layer
    after ``inputs(1..t)``, or with attention what :func:`attentional` makes of it and of the encoder's outputs.

    Parameters
    ----------
    cell : "rnn", "lstm" or "gru".
    params : ``encoder.*``, ``decoder.*``, of an encoder with two directions ``bridge.weight`` (:func:`bridged`),
        ``head.weight (K, H)``, ``head.bias (K,)``, the tables of ids, ``source_embedding.weight`` and
        ``target_embedding.weight``, and for attention ``attention.key.weight``, ``attention.combine.*`` and, where
        scores are additive, ``attention.query.*`` and ``attention.score.weight``.
    sources : (N, S, C), or ids (N, S).
    inputs : (N, T, V), or ids (N, T); without a table these are unit vectors.
    source_lengths, lengths : (N,) integers in 0..S and 0..T.
    options : ``activation``, ``reset_after``, as of :func:`forward`.

    Returns
    -------
    (N, T, K); what stands at steps past a length has no meaning.

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


def bridged(weight: Array, state: Any) -> Any:
    """The decoder's states ``W [forward; reverse]`` of a bidirectional encoder's.

    Parameters
    ----------
    weight : (S*L*H, 2H), rows by state (h, then c), layer and unit.
    state : (2L, N, H), for the LSTM the pair (h, c).

    Returns
    -------
    (L, N, H), or the pair.

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
    """What a network reads: ``x`` itself, or the vector of every id."""
    if x.ndim == 3:
        return x
    if table is None:
        table = np.eye(network["weight_ih_l0"].shape[1])
    return embedding(x.ravel(), table).reshape(*x.shape, table.shape[1])

"""Generation: sequences written by a model that reads its own output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast import _core
from rnnfast._ops.recurrent import Weights
from rnnfast.arrays import Array, Float64, Int64

State = Array | tuple[Array, ...]


@dataclass(frozen=True, kw_only=True)
class WriterAttention:
    """Attention of a writer: row r of the states attends to source r of R.

    The head reads ``tanh(combine [context; h] + combine_bias)``.

    Attributes
    ----------
    keys : array (R, S, A)
    memory : array (R, S, M)
    source_lengths : int64 array (R,) or None
        Number of steps of each source.
    v : array (A,) or None
        Weight of additive scores, ``v . tanh(query h + query_bias + key)``. None for scores that are products,
        ``h . key``, where A = H.
    query : array (A, H) or None
        With v only.
    query_bias : array (A,) or None
        With v only.
    combine : array (H, M + H)
    combine_bias : array (H,)
    """

    keys: Array
    memory: Array
    source_lengths: Int64 | None
    v: Array | None
    query: Array | None
    query_bias: Array | None
    combine: Array
    combine_bias: Array


@dataclass(frozen=True, kw_only=True)
class Writer:
    """The parts of a model that writes.

    Attributes
    ----------
    layers : list of Weights
        Packed weights of every layer.
    table : array (V, C), int or None
        The input of every id; V where the inputs are unit vectors; None where there are no ids.
    head : array (K, H)
        Weight of the head.
    bias : array (K,) or None
        Bias of the head.
    attention : WriterAttention or None
    """

    layers: list[Weights]
    table: Array | int | None
    head: Array
    bias: Array | None
    attention: WriterAttention | None = None

    def parts(self) -> dict[str, Any]:  # Any: keyword arguments of several types
        """Return the parts under the engine's names."""
        a = self.attention
        attention = a and (a.keys, a.memory, a.source_lengths, a.v, a.query, a.query_bias, a.combine, a.combine_bias)
        return dict(layers=self.layers, table=self.table, head=self.head, bias=self.bias, attention=attention)


def _states(state: State) -> tuple[Array, Array | None]:
    h, c = state if isinstance(state, tuple) else (state, None)
    return np.ascontiguousarray(h), None if c is None else np.ascontiguousarray(c)


def generate(
    writer: Writer,
    state: State,
    *,
    element: str,
    length: int,
    stop: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    seed: int = 0,
    prefix: Int64 | None = None,
    log_probs: bool = False,
) -> tuple[Array, Int64, Float64]:
    """Generate ``length`` elements from each of R states.

    Parameters
    ----------
    writer : Writer
        The model's parts.
    state : array (L, R, H), or tuple (h, c) of two for an LSTM
        The states to start from.
    element : {"id", "labels", "vector"}
        What an element is.
    length, stop, temperature, top_k, top_p, greedy, seed
        As for ``WritingOptions``; ``seed`` is its key.
    prefix : int64 array (R, P) or None
        The first P ids; one below 0 is chosen like the others.
    log_probs : bool
        Whether log p is returned.

    Returns
    -------
    elements : array (R, length), or (R, length, K) for labels and vectors
    counts : int64 array (R,)
        Number of elements before ``stop``.
    log_p : float64 array (R, length), or (R, 0) without ``log_probs``
        Log-probability of each id.
    """
    h0, c0 = _states(state)
    return _core.generate(
        **writer.parts(),
        h0=h0,
        c0=c0,
        element=element,
        length=length,
        stop=-1 if stop is None else stop,
        temperature=temperature,
        top_k=top_k or 0,
        top_p=1.0 if top_p is None else top_p,
        greedy=greedy,
        seed=seed,
        prefix=prefix,
        log_probability=log_probs,
    )


def beam_search(
    writer: Writer, state: State, *, length: int, beams: int, stop: int | None, length_penalty: float
) -> tuple[Int64, Int64, Float64]:
    """Search for the best ids from each of R states with a beam of ``beams`` hypotheses.

    Parameters
    ----------
    writer, state
        As for :func:`generate`.
    length, beams, stop, length_penalty
        As for ``WritingOptions``.

    Returns
    -------
    ids : int64 array (R, length)
    counts : int64 array (R,)
        Number of ids before ``stop``.
    scores : float64 array (R,)
        ``log p / ((5 + n) / 6)^length_penalty`` of each sequence of n ids.
    """
    h0, c0 = _states(state)
    return _core.beam_search(
        **writer.parts(),
        h0=h0,
        c0=c0,
        length=length,
        beams=beams,
        stop=-1 if stop is None else stop,
        length_penalty=length_penalty,
    )

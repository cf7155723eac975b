"""Sequences written by a model that reads its own output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _core
from rnnfast._ops.recurrent import Weights

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WriterAttention:
    """What a writer attends with: row r of the states to ``keys (R, S, A)`` and ``memory (R, S, M)`` of source r.

    With ``v (A,)`` scores are additive and queries ``query (A, H) h + query_bias (A,)``; else A = H and the query
    is h. The head reads ``tanh(combine (H, M + H) [context; h] + combine_bias (H,))``.
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
    """A model's parts: packed layers, the input of every id, the head's W (K, H) and b (K,).

    ``table``: the inputs (V, C), or V where they are unit vectors, or None where there are no ids.
    """

    layers: list[Weights]
    table: Array | int | None
    head: Array
    bias: Array | None
    attention: WriterAttention | None = None

    def parts(self) -> dict[str, Any]:
        """Return the parts as the engine names them."""
        a = self.attention
        attention = a and (a.keys, a.memory, a.source_lengths, a.v, a.query, a.query_bias, a.combine, a.combine_bias)
        return dict(layers=self.layers, table=self.table, head=self.head, bias=self.bias, attention=attention)


def _states(state: Any) -> tuple[Array, Array | None]:
    h, c = state if isinstance(state, tuple) else (state, None)
    return np.ascontiguousarray(h), None if c is None else np.ascontiguousarray(c)


def generate(
    writer: Writer,
    state: Any,
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
    """Write ``length`` elements ("id", "labels" or "vector") on from states of R sequences.

    Returns elements (R, length) or (R, length, K), the counts (R,) before ``stop``, and log p (R, length) of ids
    where ``log_probs`` asks for it, else (R, 0). ``prefix`` (R, P) forces the first ids; below 0 they are free.
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
    writer: Writer, state: Any, *, length: int, beams: int, stop: int | None, length_penalty: float
) -> tuple[Int64, Int64, Float64]:
    """Return the best ids (R, length), their counts (R,) before ``stop`` and scores (R,)."""
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

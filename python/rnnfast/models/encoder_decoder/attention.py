"""A decoder's look at its source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnnfast import _ops, checks, init
from rnnfast.arrays import Array, DType, Int64
from rnnfast.layers import BlockTape, Linear
from rnnfast.models.config import ATTENTION
from rnnfast.params import Module, Parameter


@dataclass(frozen=True)
class AttentionTape:
    """What ``backward`` needs: both inputs, what was computed of them, the lengths, and the tapes of the maps."""

    memory: Array
    query: Array
    keys: Array
    weights: Array
    combined: Array
    lengths: Int64
    source_lengths: Int64
    query_tape: BlockTape | None
    combine_tape: BlockTape


class Attention(Module):
    """What a head reads of a decoder's h and a source's outputs, its memory.

    ``p = softmax(e)`` over the source's steps, ``context = sum_s p_s memory_s`` and
    ``combined = tanh(W_combine [context; h] + b_combine)`` (Luong et al. 2015, equation 5), where with
    ``key_s = W_key memory_s`` the score e_s is

    - "dot": ``h . key_s`` (Luong et al. 2015, "general"),
    - "additive": ``w_score . tanh(W_query h + b_query + key_s)`` (Bahdanau et al. 2015).

    It stands behind the decoder's recurrence, so that all steps of all targets are one batch: Q rows of targets, R of
    sources, sequence after sequence.

    Parameters
    ----------
    kind : "additive" or "dot"
    decoder_size : int
        H, of h and of the result.
    memory_size : int
        M, of a source's outputs.
    dtype : dtype
    rng : numpy.random.Generator
        Of the initial values, U(-1/sqrt(F), 1/sqrt(F)) with F the inputs of each map.

    Raises
    ------
    ValueError
        An unknown kind.

    Examples
    --------
    >>> import numpy as np
    >>> part = Attention("dot", 4, 3, np.dtype("float64"), np.random.default_rng(0))
    >>> combined, weights = part.infer(np.ones((5, 4)), np.ones((6, 3)), np.array([5]), np.array([6]))
    >>> combined.shape, weights.shape, float(weights[0, 0] * 6)
    ((5, 4), (5, 6), 1.0)
    """

    def __init__(self, kind: str, decoder_size: int, memory_size: int, dtype: DType, rng: np.random.Generator) -> None:
        checks.as_choice("attention", kind, ATTENTION, others=" or None")
        self.key = Parameter(init.uniform((decoder_size, memory_size), memory_size**-0.5, rng=rng, dtype=dtype))
        self.query: Linear | None = None
        self.score: Parameter | None = None
        if kind == "additive":
            self.query = Linear(decoder_size, decoder_size, dtype=dtype, seed=rng)
            self.score = Parameter(init.uniform((decoder_size,), decoder_size**-0.5, rng=rng, dtype=dtype))
        self.combine = Linear(memory_size + decoder_size, decoder_size, dtype=dtype, seed=rng)

    def parameters(self) -> dict[str, Parameter]:
        """Return key.weight, of additive scores query.weight, query.bias and score.weight, and combine's."""
        named = {"key.weight": self.key}
        if self.query is not None and self.score is not None:
            named |= {f"query.{name}": p for name, p in self.query.parameters().items()}
            named |= {"score.weight": self.score}
        return named | {f"combine.{name}": p for name, p in self.combine.parameters().items()}

    def infer(self, h: Array, memory: Array, lengths: Int64, source_lengths: Int64) -> tuple[Array, Array]:
        """Return combined (Q, H) and the weights (Q, S) of h (Q, H) and memory (R, M)."""
        combined, tape = self.forward(h, memory, lengths, source_lengths)
        return combined, tape.weights

    def forward(self, h: Array, memory: Array, lengths: Int64, source_lengths: Int64) -> tuple[Array, AttentionTape]:
        """Return combined (Q, H) and the tape; the arguments must not change before ``backward``."""
        query, query_tape = (h, None) if self.query is None else self.query.forward(h)
        keys = _ops.linear(memory, self.key.value)
        context, weights = _ops.attend(query, keys, memory, self._v(), lengths=lengths, source_lengths=source_lengths)
        before, combine_tape = self.combine.forward(np.concatenate([context, h], axis=1))
        combined = _ops.tanh(before)
        tape = AttentionTape(
            memory=memory,
            query=query,
            keys=keys,
            weights=weights,
            combined=combined,
            lengths=lengths,
            source_lengths=source_lengths,
            query_tape=query_tape,
            combine_tape=combine_tape,
        )
        return combined, tape

    def backward(self, tape: AttentionTape, dcombined: Array) -> tuple[Array, Array]:
        """Add the parameters' gradients; return those of h (Q, H) and memory (R, M)."""
        size = tape.memory.shape[1]
        before = dcombined * (1 - tape.combined * tape.combined)
        djoined = self.combine.backward(tape.combine_tape, before)
        with self._adding:
            dquery, dkeys, dmemory = _ops.attend_backward(
                djoined[:, :size],
                tape.weights,
                tape.query,
                tape.keys,
                tape.memory,
                self._v(),
                None if self.score is None else self.score.grad,
                lengths=tape.lengths,
                source_lengths=tape.source_lengths,
            )
            through_keys = _ops.linear_backward(dkeys, tape.memory, self.key.value, self.key.grad)
        assert through_keys is not None
        if self.query is not None and tape.query_tape is not None:
            dquery = self.query.backward(tape.query_tape, dquery)
        dh = djoined[:, size:] + dquery
        return dh, dmemory + through_keys

    def parts(self, memory: Array, source_lengths: Int64 | None) -> _ops.WriterAttention:
        """Return what the engine needs to attend while it writes, row r to source r of memory (N, S, M)."""
        query = self.query
        rows = _ops.linear(np.ascontiguousarray(memory).reshape(-1, memory.shape[2]), self.key.value)
        assert self.combine.bias is not None
        return _ops.WriterAttention(
            keys=rows.reshape(*memory.shape[:2], rows.shape[1]),
            memory=np.ascontiguousarray(memory),
            source_lengths=source_lengths,
            query=None if query is None else query.weight.value,
            query_bias=None if query is None or query.bias is None else query.bias.value,
            v=self._v(),
            combine=self.combine.weight.value,
            combine_bias=self.combine.bias.value,
        )

    def _v(self) -> Array | None:
        return None if self.score is None else self.score.value

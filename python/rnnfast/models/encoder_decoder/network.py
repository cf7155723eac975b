"""The two stacks of layers of an encoder-decoder, and the head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnfast import _ops, init
from rnnfast.arrays import Array, DType, Float64, Int64
from rnnfast.data import Gaps, PairBatch, PairData, Sequences, batch_indices
from rnnfast.layers import State, Trace
from rnnfast.models.backbone import Backbone, BackboneTape
from rnnfast.models.base import Heads, HeadsTape
from rnnfast.models.config import Config, HeadConfig
from rnnfast.models.encoder_decoder.attention import Attention, AttentionTape
from rnnfast.models.encoder_decoder.framing import TargetFraming
from rnnfast.models.generation import in_steps, write_on
from rnnfast.params import Module, Parameter
from rnnfast.sampling import WritingOptions
from rnnfast.tasks import Task
from rnnfast.text import as_vocabulary


@dataclass(frozen=True, eq=False)
class NetworkTape:
    """What ``EncoderDecoderNetwork.backward`` needs."""

    encoder: BackboneTape
    encoded: State
    decoder: BackboneTape
    attention: AttentionTape | None
    heads: HeadsTape

    @property
    def backbones(self) -> tuple[BackboneTape, ...]:
        """Tapes of what may have a penalty."""
        return self.encoder, self.decoder


class EncoderDecoderNetwork:
    """``sources -> encoder -> states (-> bridge) -> decoder (-> attention) -> head``, in training and in writing.

    Parameters
    ----------
    config : dict
        The configuration of ``EncoderDecoder``.
    task : Task
    rng : numpy.random.Generator
        Draws the initial values.

    Attributes
    ----------
    encoder, decoder : Backbone
    bridge : Bridge or None
        Of an encoder that reads both ways.
    attention : Attention or None
    heads : Heads
        The one head.
    framing : TargetFraming
    """

    def __init__(self, config: Config, task: Task, rng: np.random.Generator) -> None:
        dtype = np.dtype(config["dtype"])
        self.task = task
        written = as_vocabulary("target_vocabulary", config["target_vocabulary"])
        self.framing = TargetFraming(task, config["target_size"], config["start"], config["stop"], dtype, written)
        embedding = config["target_embedding"]
        if embedding is not None and not self.framing.ids:
            raise ValueError(f"target_embedding: None is required for task={task.name!r}, got {embedding}")
        if not task.writes or (task.direct and task.outputs(self.framing.outputs) != self.framing.outputs):
            raise ValueError(f"task: one whose outputs are the next element is required, got {task.title!r}")
        self.encoder = Backbone(
            config,
            config["source_size"],
            rng,
            embedding=config["source_embedding"],
            one_hot=False,
            bidirectional=config["bidirectional"],
            named="source_size",
            vocabulary=as_vocabulary("source_vocabulary", config["source_vocabulary"]),
        )
        self.decoder = Backbone(
            config, self.framing.inputs, rng, embedding=embedding, one_hot=self.framing.ids, bidirectional=False
        )
        self.bridge: Bridge | None = None
        if config["bidirectional"]:
            if len(set(self.decoder.rnn.state_sizes)) > 1:
                raise ValueError("cell_options: proj_size=0 is required beside bidirectional=True, got another")
            self.bridge = Bridge(self.encoder.states, config["num_layers"], config["hidden_size"], dtype, rng)
        self.attention: Attention | None = None
        if config["attention"] is not None:
            self.attention = Attention(config["attention"], self.decoder.size, self.encoder.size, dtype, rng)
        head = HeadConfig(task=task, size=self.framing.outputs)
        self.heads = Heads({"": head}, self.decoder.size, dtype, rng, dropout=config["output_dropout"])

    def parts(self) -> dict[str, Any]:
        """Return what has parameters, under the names of the model's file, but the head."""
        return {
            "source_embedding": self.encoder.input,
            "encoder": self.encoder.rnn,
            **({} if self.bridge is None else {"bridge": self.bridge}),
            "target_embedding": self.decoder.input,
            "decoder": self.decoder.rnn,
            **({} if self.attention is None else {"attention": self.attention}),
        }

    def read(self, sources: Sequences) -> tuple[Array, State]:
        """Return the encoder's outputs (R, D*H) and the states that the decoder begins with."""
        memory, last = self.encoder.infer(sources, None)
        return memory, self._bridged(last)

    def _bridged(self, last: State) -> State:
        return last if self.bridge is None else self.bridge.forward(last)

    def infer(self, batch: PairBatch) -> tuple[dict[str, Array], Array | None]:
        """Return the outputs (M, K) at all steps that have a target; and the weights (N, T, S) of attention."""
        memory, state = self.read(batch.sources)
        h, _ = self.decoder.infer(batch.inputs, state)
        weights = None
        if self.attention is not None:
            h, of_rows = self.attention.infer(h, memory, batch.inputs.lengths, batch.sources.lengths)
            weights = batch.inputs.pad(of_rows)
        return self.heads.infer(h, batch.target_rows), weights

    def forward(self, batch: PairBatch) -> tuple[dict[str, Array], NetworkTape]:
        """Return the outputs (M, K), with dropout, and the tape."""
        memory, last, encoder = self.encoder.forward(batch.sources, None)
        h, _, decoder = self.decoder.forward(batch.inputs, self._bridged(last))
        attention = None
        if self.attention is not None:
            h, attention = self.attention.forward(h, memory, batch.inputs.lengths, batch.sources.lengths)
        outputs, heads = self.heads.forward(h, batch.target_rows, batch.place)
        return outputs, NetworkTape(encoder, last, decoder, attention, heads)

    def backward(self, tape: NetworkTape, doutputs: dict[str, Array]) -> None:
        """Add the gradients of all parameters."""
        dh, dmemory = self.heads.backward(tape.heads, doutputs), None
        if self.attention is not None and tape.attention is not None:
            dh, dmemory = self.attention.backward(tape.attention, dh)
        dlast = self.decoder.backward(tape.decoder, dh)
        if self.bridge is not None:
            dlast = self.bridge.backward(dlast, tape.encoded)
        self.encoder.backward(tape.encoder, dmemory, dlast)

    def trace(self, batch: PairBatch, gaps: Gaps | None) -> dict[str, Trace]:
        """Return all states and gates of both stacks; ``gaps`` are those of the sources."""
        encoder = self.encoder.trace(batch.sources, None, gaps=gaps)
        return {"encoder": encoder, "decoder": self.decoder.trace(batch.inputs, self._bridged(encoder.state))}

    def write(
        self, sources: Sequences, limits: Int64, options: WritingOptions, batch_size: int
    ) -> tuple[list[Array], Float64]:
        """Return what belongs to each of N sources, (T_n,) ids without stop or (T_n, K) numbers, and its log p.

        With ``num_sequences`` n there are n*N of them, those of a source side by side. log p counts the stop; without
        ``return_log_probs`` it means nothing. ``limits`` (N,) are the most elements of each. A search looks at
        hypotheses of that length, so that it runs once for every limit; else what is too long is cut off.
        """
        n = options.num_sequences
        found: dict[int, Array] = {}
        total = np.zeros(n * len(sources))
        for index in _groups(limits, batch_size, alike=options.beams is not None):
            chosen = sources.select(index)
            memory, state = self.read(chosen)
            own = replace(options, length=int(limits[index].max()))
            attention = self.attending(chosen.like(memory), function=in_steps(self.decoder, self.task, own))
            _, state = self.decoder.infer(self.framing.first(len(index)), state)
            head = self.heads.parts[""]
            elements, counts, log_p = write_on(self.decoder, head, self.task, state, own, attention=attention)
            most = np.repeat(limits[index], n)
            places = (n * index[:, None] + np.arange(n)).ravel()
            for place, row, each, count, limit in zip(places, elements, log_p, counts, most, strict=True):
                found[int(place)] = row[: min(count, limit)].astype(self.framing.kind, copy=False)
                total[place] = each[: min(count + 1, limit)].sum()
        return [found[place] for place in range(len(total))], total

    def attending(self, memory: Sequences, *, function: bool) -> Any:
        """Return what attends while elements are written: the engine's form, or a ``function`` of h (N*B, H).

        It is None without attention.
        """
        part = self.attention
        if part is None:
            return None
        if not function:
            return part.parts(memory.padded(), memory.lengths)
        rows, N = memory.flat(), len(memory)
        return lambda h: part.infer(h, rows, np.full(N, len(h) // N, np.int64), memory.lengths)[0]

    def again(self, sources: Sequences, found: list[Array], batch_size: int) -> PairData:
        """Return data with which the decoder reads what it has written; the targets are that, without a stop."""
        targets = self.framing.joined(found)
        framed = self.framing.framed(targets)
        inputs = Sequences(framed.values, framed.offsets, targets.lengths, ragged=True)
        return PairData(sources=sources, inputs=inputs, targets={"": targets}, batch_size=batch_size)

    def maps(self, sources: Sequences, found: list[Array], batch_size: int) -> list[Array]:
        """Return the weights (T_n, S_n) of attention at the elements of each prediction."""
        weights: list[Array] = []
        for batch in self.again(sources, found, batch_size).batches():
            assert isinstance(batch, PairBatch)
            several = self.infer(batch)[1]
            assert several is not None
            weights += list(several)
        own = [w[: len(e), :size].copy() for w, e, size in zip(weights, found, sources.lengths, strict=True)]
        return own if sources.gaps is None else sources.gaps.columns(own)


def _groups(limits: Int64, batch_size: int, *, alike: bool) -> Iterator[Int64]:
    """Deal sequences into batches; ``alike``: whose limits are equal."""
    every = np.arange(len(limits), dtype=np.int64)
    for group in [every[limits == limit] for limit in np.unique(limits)] if alike else [every]:
        for index in batch_indices(limits[group], batch_size):
            yield group[index]


class Bridge(Module):
    """``state = W [state_forward; state_reverse]``, of each layer and each kind of state by a matrix of its own.

    Parameter ``weight (S*L*H, 2H)`` from U(-1/sqrt(2H), 1/sqrt(2H)); its rows are ordered by state (h, then c for an
    LSTM), layer, unit of the decoder.

    Parameters
    ----------
    states, layers, hidden : int
        S, L and H, of encoder and decoder alike.
    dtype : numpy dtype
    rng : numpy.random.Generator
        Draws the initial values.

    Examples
    --------
    >>> import numpy as np
    >>> bridge = Bridge(1, 1, 2, np.dtype("float64"), np.random.default_rng(0))
    >>> bridge.weight[...] = [[1, 0, 10, 0], [0, 1, 0, 10]]
    >>> bridge.forward(np.array([[[1.0, 2.0]], [[3.0, 4.0]]]))
    array([[[31., 42.]]])
    """

    def __init__(self, states: int, layers: int, hidden: int, dtype: DType, rng: np.random.Generator) -> None:
        shape, bound = (states * layers * hidden, 2 * hidden), (2 * hidden) ** -0.5
        self.weight = Parameter(init.uniform(shape, bound, rng=rng, dtype=dtype))
        self.hidden = hidden

    def parameters(self) -> dict[str, Parameter]:
        """Return weight."""
        return {"weight": self.weight}

    def forward(self, state: State) -> State:
        """Return the decoder's states (L, N, H) of the encoder's (2L, N, H), for an LSTM a tuple (h, c) of them."""
        parts, H = _parts(state), self.hidden
        found = [_ops.linear(rows, self.weight.value[i * H : (i + 1) * H], None) for i, rows in enumerate(_rows(parts))]
        return _like(state, np.stack(found).reshape(len(parts), -1, *found[0].shape))

    def backward(self, dstate: State, state: State) -> State:
        """Add the gradient of weight, given that of the decoder's states; return that of the encoder's."""
        H, found = self.hidden, []
        dparts = np.concatenate(_parts(dstate))
        for i, (dy, rows) in enumerate(zip(dparts, _rows(_parts(state)), strict=True)):
            own = slice(i * H, (i + 1) * H)
            with self._adding:
                dx = _ops.linear_backward(dy, rows, self.weight.value[own], self.weight.grad[own])
            assert dx is not None
            found.append(dx.reshape(len(dx), 2, H).transpose(1, 0, 2))
        pairs = np.concatenate(found)
        return _like(state, pairs.reshape(len(_parts(state)), -1, *pairs.shape[1:]))


def _parts(state: State) -> tuple[Array, ...]:
    return state if isinstance(state, tuple) else (state,)


def _like(state: State, parts: Array) -> State:
    return tuple(parts) if isinstance(state, tuple) else parts[0]


def _rows(parts: tuple[Array, ...]) -> list[Array]:
    """Return both directions side by side, (N, 2H), for every state and layer."""
    whole = np.concatenate(parts)
    pairs = whole.reshape(-1, 2, *whole.shape[1:]).transpose(0, 2, 1, 3)
    return list(np.ascontiguousarray(pairs).reshape(len(pairs), whole.shape[1], -1))

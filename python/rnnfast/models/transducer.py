"""The two stacks of layers of an encoder-decoder, and the head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.data import PairBatch, PairData, Sequences, batch_indices
from rnnfast.layers import Trace
from rnnfast.losses import Task
from rnnfast.models.attention import Attention
from rnnfast.models.bridge import Bridge
from rnnfast.models.config import Config, build_stem
from rnnfast.models.generation import write_on
from rnnfast.models.parts import Head
from rnnfast.models.targets import Targets
from rnnfast.sampling import WritingOptions

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]


class Transducer:
    """``sources -> encoder -> states (-> bridge) -> decoder (-> attention) -> head``, in training and in writing.

    Parameters
    ----------
    config : dict
        As of ``EncoderDecoder``.
    task : Task
    rng : numpy Generator
        Of the initial values.

    Attributes
    ----------
    encoder, decoder : Stem
    bridge : Bridge or None
        Of an encoder that reads both ways.
    attention : Attention or None
    head : Head
    targets : Targets
    """

    def __init__(self, config: Config, task: Task, rng: np.random.Generator) -> None:
        dtype = np.dtype(config["dtype"])
        self.task = task
        self.targets = Targets(task, config["target_size"], config["start"], config["stop"], dtype)
        embedding = config["target_embedding"]
        if embedding is not None and not self.targets.ids:
            raise ValueError(f"target_embedding: None is required for task={task.name!r}, got {embedding}")
        self.encoder = build_stem(
            config, config["source_size"], rng, embedding=config["source_embedding"], one_hot=False,
            bidirectional=config["bidirectional"], named="source_size",
        )  # fmt: skip
        self.decoder = build_stem(
            config, self.targets.inputs, rng, embedding=embedding, one_hot=self.targets.ids, bidirectional=False
        )  # fmt: skip
        self.bridge: Bridge | None = None
        if config["bidirectional"]:
            if len(set(self.decoder.rnn.state_sizes)) > 1:
                raise ValueError("cell_options: proj_size=0 is required beside bidirectional=True, got another")
            self.bridge = Bridge(self.encoder.states, config["num_layers"], config["hidden_size"], dtype, rng)
        self.attention: Attention | None = None
        if config["attention"] is not None:
            self.attention = Attention(config["attention"], self.decoder.size, self.encoder.size, dtype, rng)
        self.head = Head(self.decoder.size, self.targets.outputs, dtype, rng, dropout=config["output_dropout"])

    def parts(self) -> dict[str, Any]:
        """Return what has parameters, under the names of the model's file."""
        return {
            "source_embedding": self.encoder.input,
            "encoder": self.encoder.rnn,
            **({} if self.bridge is None else {"bridge": self.bridge}),
            "target_embedding": self.decoder.input,
            "decoder": self.decoder.rnn,
            **({} if self.attention is None else {"attention": self.attention}),
            "head": self.head,
        }

    def read(self, sources: Array, lengths: Array | None) -> tuple[Array, Any]:
        """Return the encoder's outputs (N, S, D*H) and the states that the decoder begins with."""
        memory, last = self.encoder.infer(sources, None, lengths)
        return memory, last if self.bridge is None else self.bridge.start(last)

    def infer(self, batch: PairBatch) -> tuple[Array, Array | None]:
        """Return the outputs (M, K) at all steps that have a target; and the weights (N, T, S) of attention."""
        memory, state = self.read(batch.sources, batch.source_lengths)
        h, _ = self.decoder.infer(batch.inputs, state, batch.lengths)
        weights = None
        if self.attention is not None:
            h, weights = self.attention.infer(h, memory, batch.lengths, batch.source_lengths)
        return self.head.read(h, batch.rows, training=False)[0], weights

    def forward(self, batch: PairBatch) -> tuple[Array, Any]:
        """Return the outputs (M, K), with dropout, and the tape."""
        memory, last, encoder_tape = self.encoder.forward(batch.sources, None, batch.source_lengths)
        start = last if self.bridge is None else self.bridge.start(last)
        h, _, decoder_tape = self.decoder.forward(batch.inputs, start, batch.lengths)
        attention_tape = None
        if self.attention is not None:
            h, attention_tape = self.attention.forward(h, memory, batch.lengths, batch.source_lengths)
        outputs, read = self.head.read(h, batch.rows, training=True)
        return outputs, (encoder_tape, last, decoder_tape, attention_tape, read, batch.rows, h.shape)

    def trace(self, batch: PairBatch) -> dict[str, Trace]:
        """Return all states and gates of both stacks."""
        encoder = self.encoder.trace(batch.sources, None, batch.source_lengths)
        start = encoder.state if self.bridge is None else self.bridge.start(encoder.state)
        return {"encoder": encoder, "decoder": self.decoder.trace(batch.inputs, start, batch.lengths)}

    def backward(self, tape: Any, doutputs: Array) -> None:
        """Add the gradients of all parameters."""
        encoder_tape, last, decoder_tape, attention_tape, read, rows, shape = tape
        dh, dmemory = self.head.pull(doutputs, read, rows, shape), None
        if self.attention is not None:
            dh, dmemory = self.attention.backward(attention_tape, dh)
        dlast = self.decoder.backward(decoder_tape, dh)
        if self.bridge is not None:
            dlast = self.bridge.pull(dlast, last)
        self.encoder.backward(encoder_tape, dmemory, dlast)

    def write(self, sources: Sequences, limits: Int64, options: WritingOptions, batch_size: int) -> list[Array]:
        """Return what belongs to each of N sources, (T_n,) ids without stop or (T_n, K) numbers.

        ``limits`` (N,) are the most elements of each. A search looks at hypotheses of that length, so that it runs
        once for every limit; else what is too long is cut off.
        """
        found: dict[int, Array] = {}
        for index in _groups(limits, batch_size, alike=options.beams is not None):
            x, lengths = sources.take(index)
            memory, state = self.read(x, lengths)
            attention = None if self.attention is None else self._attention(self.attention, memory, lengths)
            _, state = self.decoder.infer(self.targets.first(len(index)), state, None)
            own = replace(options, length=int(limits[index].max()))
            elements, counts, _ = write_on(self.decoder, self.head, self.task, state, own, attention=attention)
            for n, row, count in zip(index, elements, np.minimum(counts, limits[index]), strict=True):
                found[n] = row[:count].astype(self.targets.kind, copy=False)
        return [found[n] for n in range(len(sources))]

    def _attention(self, part: Attention, memory: Array, lengths: Int64 | None) -> Any:
        """Return what attends while elements are written: the engine's form, or of a custom cell a function of h."""
        if not self.decoder.custom:
            return part.parts(memory, lengths)
        return lambda h: part.infer(h, memory, None, lengths)[0]

    def again(self, sources: Sequences, found: list[Array], batch_size: int) -> PairData:
        """Return data with which the decoder reads what it has written; the targets are that, without a stop."""
        targets = self.targets.joined(found)
        framed = self.targets.framed(targets)
        inputs = Sequences(framed.values, framed.offsets, targets.lengths, ragged=True)
        return PairData(sources=sources, inputs=inputs, targets=targets, batch_size=batch_size)

    def maps(self, sources: Sequences, found: list[Array], batch_size: int) -> list[Array]:
        """Return the weights (T_n, S_n) of attention at the elements of each prediction."""
        weights: list[Array] = []
        for batch in self.again(sources, found, batch_size).batches():
            assert isinstance(batch, PairBatch)
            own = self.infer(batch)[1]
            assert own is not None
            weights += list(own)
        return [w[: len(e), :size].copy() for w, e, size in zip(weights, found, sources.lengths, strict=True)]


def _groups(limits: Int64, batch_size: int, *, alike: bool) -> Iterator[Int64]:
    """Deal sequences into batches; ``alike``: whose limits are equal."""
    every = np.arange(len(limits), dtype=np.int64)
    for group in [every[limits == limit] for limit in np.unique(limits)] if alike else [every]:
        for index in batch_indices(limits[group], batch_size):
            yield group[index]

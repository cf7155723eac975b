"""Models that are fed step by step."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.checks import names_arguments
from rnnfast.data import check_finite
from rnnfast.layers import Stream, Surroundings, Trace
from rnnfast.models.base import Model
from rnnfast.models.parts import Affine, Head, unit_vectors
from rnnfast.models.stem import Stem
from rnnfast.models.supervised import SupervisedModel
from rnnfast.models.transducer import Transducer

Array = npt.NDArray[Any]


class Streaming(Model):
    """What a model of one layer stack and a head adds: ``stream()``."""

    stem: Stem
    head: Head

    @names_arguments
    def stream(self, batch_size: int = 1, state: Any = None) -> Stream:
        """Return a copy of the model that is fed step by step.

        ``step(x)`` gives ``W_head h(t) + b_head`` after the sequence up to x(t): logits or numbers; what the task
        would decide by them (softmax, the largest) is left to the caller.

        Parameters
        ----------
        batch_size : int
            Sequences N, which advance together.
        state : array (L, N, H), for LSTM a tuple (h, c) of them, optional
            Where they begin; zeros by default.

        Returns
        -------
        Stream
            Its ``step`` takes x (N, C), or integers (N,) where the model takes ids, and returns (N, K); where N is 1
            also x (C,), or an integer, and then (K,). ``process`` takes (N, T, C) or ids (N, T). Real numbers of
            another dtype than the model's are converted, at the price of a copy.

        Examples
        --------
        >>> import numpy as np
        >>> import rnnfast as rf
        >>> model = rf.ManyToMany(4, 3, embedding=2, hidden_size=5, seed=0)
        >>> s = model.stream()
        >>> outputs = np.stack([s.step(i) for i in [3, 0, 1]])
        >>> s.reset()
        >>> np.array_equal(s.process([[3, 0, 1]])[0], outputs)
        True
        """
        return stream_of(self.stem, self.head, batch_size, state)


class DecoderStreaming(SupervisedModel):
    """What an encoder-decoder adds: ``stream()`` of its decoder, and ``trace()`` of both parts."""

    net: Transducer

    @abstractmethod
    def predict(self, x: Any, *, lengths: npt.ArrayLike | None = None) -> Any:
        """Return what belongs to each source."""

    @names_arguments
    def trace(self, x: Any, y: Any = None, *, lengths: npt.ArrayLike | None = None) -> dict[str, Trace]:
        """Return all states and gates under "encoder", arrays (N, S, D*H), and "decoder", (N, T, H).

        Parameters
        ----------
        x, lengths
            As of ``predict``.
        y : as of ``fit``, optional
            What the decoder reads, after a start; by default the model's own greedy prediction. T is one above the
            longest; past a length there are zeros.
        """
        read = self.predict(x, lengths=lengths) if y is None else y
        return self.net.trace(self._one_batch(x, read, lengths=lengths))

    @property
    def start_id(self) -> int | None:
        """The id that the decoder reads first; None where it reads vectors, which begin with zeros."""
        return self.net.targets.start

    @property
    def stop_id(self) -> int | None:
        """The id that ends what the decoder writes; None where it writes vectors."""
        return self.net.targets.stop

    @names_arguments
    def stream(self, batch_size: int = 1, state: Any = None, *, source: Any = None) -> Stream:
        """Return a copy of the decoder that is fed step by step.

        ``step(x)`` gives ``W_head h(t) + b_head`` after the elements up to x, the first of which is ``start_id`` or
        a vector of zeros.

        Parameters
        ----------
        batch_size : int
            Targets N, which advance together.
        state : array (L, N, H), for LSTM a tuple (h, c) of them, optional
            Where the decoder begins; zeros by default.
        source : as x of ``predict``, N sequences, optional
            Instead: it begins where the encoder ends these, again after every ``reset``.

        Returns
        -------
        Stream
            Its ``step`` takes integers (N,), or vectors (N, K), and returns (N, K).

        Raises
        ------
        ValueError
            For a model with attention, which looks at its whole source at every step; where both ``state`` and
            ``source`` are given, or another number of sources than N.

        Examples
        --------
        >>> import rnnfast as rf
        >>> model = rf.EncoderDecoder(3, 5, hidden_size=8, source_embedding=4, seed=0)
        >>> s = model.stream(source=[[2, 0, 1]])
        >>> x, written = model.start_id, []
        >>> while len(written) < 16 and (x := s.step(x).argmax()) != model.stop_id:
        ...     written.append(int(x))
        >>> written == model.predict([[2, 0, 1]])[0].tolist()
        True
        """
        if self.net.attention is not None:
            raise ValueError(
                "stream: a model without attention is required, which needs the whole source at every step"
            )
        if state is not None and source is not None:
            raise ValueError("state: None is required where source is given, got both")
        start = None
        if source is not None:
            sources = self.net.encoder.input.sequences(source, None, "source")
            check_finite("source", sources, self.dtype, warns=True)
            if len(sources) != checks.as_size("batch_size", batch_size):
                raise ValueError(f"source: N = batch_size = {batch_size} sequences are required, got {len(sources)}")
            x, lengths = sources.take(np.arange(len(sources), dtype=np.int64))
            start = self.net.read(x, lengths)[1]
        return stream_of(self.net.decoder, self.net.head, batch_size, state, start)


def stream_of(stem: Stem, head: Affine, batch_size: int, state: Any, start: Any = None) -> Stream:
    """Return a stream of layers and a head that begins with ``state``, or with ``start`` and there after a reset."""
    if stem.custom:
        raise ValueError("stream: a built-in cell is required, a custom one has no stream")
    part = stem.input
    table = part.table.copy() if isinstance(part.table, np.ndarray) else part.table
    step = partial(_step, batch=batch_size, width=part.size, dtype=stem.dtype)
    return Stream(
        stem.rnn,
        batch_size,
        state,
        start=start,
        surroundings=Surroundings(
            step=step if table is None else partial(_step_ids, batch=batch_size),
            block=partial(_block, part=part, table=table, dtype=stem.dtype),
            table=table,
            head=head.weight.value,
            bias=head.bias.value,
        ),
    )


def _block(block: npt.ArrayLike, part: Any, table: Array | int | None, dtype: np.dtype[Any]) -> Array:
    """Return the layer's input (N, T, C) of a block of reals or ids."""
    found = part.sequences(checks.as_array("block", block), None, "block")
    values: Array = found.take(np.arange(len(found), dtype=np.int64))[0]
    if isinstance(table, int):
        return unit_vectors(values, table, dtype)
    return values if table is None else table[values]


def _step(x: Any, batch: int, width: int, dtype: np.dtype[Any]) -> Array:
    return _ops.step_array(checks.as_reals("x", x, dtype), sequences=batch, width=width, dtype=dtype)


def _step_ids(x: Any, batch: int) -> Array:
    ids = checks.as_array("x", x)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"x: integer ids are required, got dtype {ids.dtype}")
    if ids.shape != (batch,) and (ids.shape != () or batch != 1):
        one = ", or one integer," if batch == 1 else ""
        raise ValueError(f"x: ids (N,) = ({batch},){one} is required, got shape {ids.shape}")
    return ids.astype(np.int64)

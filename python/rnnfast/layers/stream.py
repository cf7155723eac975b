"""Streams: sequences that arrive step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast._ops import Parts
from rnnfast.arrays import Array, DType
from rnnfast.copies import NotCopied
from rnnfast.layers.call import State, StateLike, initial_states, split_state
from rnnfast.params import Parameter, no_writes


class StreamedLayer(Protocol):
    """What a stream needs of a recurrent layer."""

    input_size: int
    bidirectional: bool
    time_major: bool
    dtype: DType
    learned_state: dict[str, Parameter]

    def packed(self) -> list[_ops.Weights]: ...  # noqa: D102

    def state_shapes(self, sequences: int) -> tuple[tuple[int, int, int], ...]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a model puts before and after a streamed layer. Arrays are copies.

    Attributes
    ----------
    step : function
        Converts and checks the x of one step where the engine cannot read it.
    block : function
        Converts several steps to the layer's input (N, T, C).
    table : array (V, C), int or None
        The layer's input for every id; V where these are unit vectors; None where x holds vectors.
    head : array (K, H) or None
        Weight of the head.
    bias : array (K,) or None
        Bias of the head.
    """

    step: Callable[[npt.ArrayLike], Array]
    block: Callable[[npt.ArrayLike], Array]
    table: Array | int | None = None
    head: Array | None = None
    bias: Array | None = None


class Stream(NotCopied, _ops.StreamCore):
    """A layer or model that reads step by step and keeps its state; ``stream()`` returns it.

    ``h(t), c(t) = f(x(t), h(t-1), c(t-1))``. The results are the bits of one call over all steps, however the steps are
    divided. A stream holds a copy of the weights: later writes to parameters do not reach it. A step allocates nothing
    but its result. One thread at a time may use a stream; different threads may use different streams.

    Methods
    -------
    step(x, /, *, out=None)
        Advance by one step: x (N, C) gives h (N, H); where N is 1, (C,) gives (H,). The stream of a model returns the
        head's outputs, (N, K) or (K,). The result is written to ``out`` where it is given.
    process(block)
        Advance by several steps.
    reset(mask=None)
        Return to the initial state, for all sequences or some.

    Attributes
    ----------
    state : array (L, N, H), or tuple (h, c) of two for an LSTM
        A copy of all layers' states. Setting it replaces them; None sets the initial state.
    batch_size : int
        N, the number of sequences.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer = rf.LSTM(3, 5, seed=0)
    >>> x = np.random.default_rng(0).normal(size=(1, 7, 3)).astype(np.float32)
    >>> s = layer.stream()
    >>> steps = [s.step(x_t) for x_t in x[0]]
    >>> np.array_equal(steps, layer(x)[0][0])
    True
    >>> h = np.empty(5, np.float32)
    >>> s.step(x[0, 0], out=h) is h
    True
    >>> s.reset()
    >>> np.array_equal(s.process(x), layer(x)[0])
    True
    """

    instead = "make another one with stream() and set its state"
    __slots__ = ("_block", "_dtype", "_learned", "_shapes", "_start", "_time_major", "batch_size")

    def __init__(
        self,
        layer: StreamedLayer,
        batch_size: int,
        state: StateLike,
        *,
        start: StateLike = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        if layer.bidirectional:
            raise ValueError("stream: a layer of one direction is required, the reverse one starts at the end; got two")
        self.batch_size = checks.as_size("batch_size", batch_size)
        around = _alone(layer, self.batch_size) if surroundings is None else surroundings
        self._shapes = layer.state_shapes(self.batch_size)
        self._dtype = layer.dtype
        self._time_major = layer.time_major
        self._block = around.block
        with no_writes():
            self._learned, _ = initial_states((None, None), layer.learned_state, self.batch_size)
            self._start = self._from_learned(self._split("start", start))
            initial = self._start if state is None else self._from_learned(self._split("state", state))
            super().__init__(layer.packed(), self.batch_size, around.step, around.table, around.head, around.bias)
        self._write_state(*initial, None)

    def _split(self, name: str, state: StateLike) -> Parts:
        return split_state(name, state, self._shapes, self._dtype)

    def _from_learned(self, given: Parts) -> Parts:
        h, c = (a if a is not None else b for a, b in zip(given, self._learned, strict=True))
        return h, c

    @property
    def state(self) -> State:
        """A copy of all layers' states: h (L, N, H), or the tuple (h, c) for an LSTM."""
        h, c = self._read_state()
        return h if c is None else (h, c)

    @state.setter
    def state(self, state: StateLike) -> None:
        self._write_state(*self._from_learned(self._split("state", state)), None)

    def process(self, block: npt.ArrayLike) -> Array:
        """Advance by T steps.

        Parameters
        ----------
        block : array (N, T, C) of the layer's dtype, (T, N, C) with ``time_major``
            T may be 0. The stream of a model over ids takes integers (N, T).

        Returns
        -------
        array (N, T, H), (T, N, H) with ``time_major``
            The last layer's h at every step: the bits of T calls of ``step``. The stream of a model returns the head's
            outputs (N, T, K).

        Raises
        ------
        ValueError, TypeError
            As from ``step``; the state is then unchanged.
        """
        y = self._process(self._block(block), self._time_major)
        return y.transpose(1, 0, 2) if self._time_major else y

    def reset(self, mask: npt.ArrayLike | None = None) -> None:
        """Return to the layer's initial state: the learned one, or zeros.

        It is the same where ``stream`` was given a ``state``. The stream of a model that was given a ``context`` or a
        ``source`` returns to the state that this gives.

        Parameters
        ----------
        mask : bool (N,), optional
            True for the sequences that return; by default all do.

        Raises
        ------
        ValueError
            If the mask has another shape.
        TypeError
            If the mask is not bool.
        """
        if mask is None:
            self._write_state(*self._start, None)
            return
        chosen = checks.as_array("mask", mask)
        if chosen.dtype != bool:
            raise TypeError(f"mask: dtype bool is required, got {chosen.dtype}")
        if chosen.shape != (self.batch_size,):
            raise ValueError(f"mask: shape (N,) = ({self.batch_size},) is required, got {chosen.shape}")
        self._write_state(*self._start, np.ascontiguousarray(chosen))

    def __repr__(self) -> str:
        layers, sequences, units = self._shapes[-1]
        return f"Stream(num_layers={layers}, batch_size={sequences}, hidden_size={units}, dtype={self._dtype})"


def _alone(layer: StreamedLayer, batch: int) -> Surroundings:
    step = partial(_ops.step_array, sequences=batch, width=layer.input_size, dtype=layer.dtype)
    block = partial(_ops.sequences, "block", width=layer.input_size, dtype=layer.dtype, time_major=layer.time_major)
    return Surroundings(step=step, block=block)

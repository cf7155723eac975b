"""Sequences that arrive step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast._ops import Parts
from rnnfast.copies import NotCopied
from rnnfast.layers.call import State, StateLike, initial_states, split_state
from rnnfast.params import Parameter, no_writes

Array = npt.NDArray[Any]


class StreamedLayer(Protocol):
    """What a stream needs of a recurrent layer."""

    input_size: int
    bidirectional: bool
    time_major: bool
    dtype: np.dtype[Any]
    learned_state: dict[str, Parameter]

    def packed(self) -> list[_ops.Weights]: ...  # noqa: D102

    def state_shapes(self, sequences: int) -> tuple[tuple[int, int, int], ...]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What stands around a streamed layer, as copies: input of every id, head's weight (K, H) and bias (K,).

    ``table``: the inputs (V, C), or V where they are unit vectors, or None where x holds vectors.
    ``step`` makes an x of one step readable for the engine where it is not, ``block`` turns several steps into
    the layer's (N, T, C).
    """

    step: Callable[[Any], Array]
    block: Callable[[Any], Array]
    table: Array | int | None = None
    head: Array | None = None
    bias: Array | None = None


class Stream(NotCopied, _ops.StreamCore):
    """A layer or model that is fed step by step and keeps its states; what ``stream()`` returns.

    ``h(t), c(t) = f(x(t), h(t-1), c(t-1))``: the bits of one call over all steps, however they are cut. The weights
    are those of the moment it was made. A step allocates nothing but its result. One stream serves one thread at a
    time; different streams may run in different threads.

    Methods
    -------
    step(x, /, *, out=None)
        One step: x (N, C) to h (N, H), or (C,) to (H,) where N is 1; written to ``out`` where one is given. Of a
        model the head's outputs, (N, K) or (K,).
    process(block)
        Several steps at once.
    reset(mask=None)
        Back to the start, for all sequences or some.

    Attributes
    ----------
    state
        Copies of all layers' states, (L, N, H), for LSTM a tuple (h, c); may be set, None to the learned one or zeros.
    batch_size : int
        Sequences N.

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
        """Copies of all layers' states: h (L, N, H), for LSTM the tuple (h, c)."""
        h, c = self._read_state()
        return h if c is None else (h, c)

    @state.setter
    def state(self, state: StateLike) -> None:
        self._write_state(*self._from_learned(self._split("state", state)), None)

    def process(self, block: npt.ArrayLike) -> Array:
        """Advance by T steps.

        Parameters
        ----------
        block : array (N, T, C), with the layer's ``time_major`` (T, N, C)
            Of the layer's dtype; T may be 0. For a model over ids, integers (N, T).

        Returns
        -------
        array (N, T, H), or (T, N, H)
            The last layer's h at every step, the same bits as from T calls of ``step``; of a model the head's
            outputs (N, T, K).

        Raises
        ------
        ValueError, TypeError
            As from ``step``; the states have not changed then.
        """
        y = self._process(self._block(block), self._time_major)
        return y.transpose(1, 0, 2) if self._time_major else y

    def reset(self, mask: npt.ArrayLike | None = None) -> None:
        """Go back to the initial state of the layer: the learned one where there is one, else zero.

        That is so also where ``stream`` was given a ``state``. A model's stream of a ``context`` or a ``source`` goes
        back to the states that these give.

        Parameters
        ----------
        mask : bool (N,), optional
            Only the sequences where it is True.

        Raises
        ------
        ValueError
            On another shape of the mask.
        TypeError
            On another type than bool.
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

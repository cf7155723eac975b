"""All states and gates of a call."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from rnnfast import _ops
from rnnfast.copies import CopiedWhole
from rnnfast.layers.call import Inputs, Sequences, State, StateLike, Tape
from rnnfast.params import Module

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Trace(CopiedWhole):
    """What every unit of every layer did at every step; arrays (N, T, D*H), (T, N, D*H) with ``time_major``.

    Of two directions, the columns of the reverse one stand behind those of the first. Past a sequence's length there
    are zeros. Of a projected h there are D*P numbers.

    Attributes
    ----------
    h : list of arrays, one a layer
        ``h[-1]`` is the layer's y.
    c : list of arrays, one a layer
        Of an LSTM; else empty.
    gates : dict of lists of arrays, one a layer
        By name and after their activations: i, f, g, o of an LSTM (coupled: i, g, o, for f is 1 - i), r, z, n of a GRU;
        none of an RNN.
    state
        The final state, as from the call.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer, x = rf.LSTM(3, 5, num_layers=2, seed=0), np.ones((2, 7, 3), np.float32)
    >>> trace = layer.trace(x, lengths=[7, 4])
    >>> len(trace.c), trace.gates["f"][1].shape
    (2, (2, 7, 5))
    >>> c = trace.gates["f"][0][:, 1] * trace.c[0][:, 0] + trace.gates["i"][0][:, 1] * trace.gates["g"][0][:, 1]
    >>> bool(np.allclose(c, trace.c[0][:, 1]))
    True
    """

    h: list[Array]
    c: list[Array]
    gates: dict[str, list[Array]]
    state: State


class Traceable(Module):
    """What a layer that keeps its gates adds: ``trace``."""

    gate_names: tuple[str, ...]
    time_major: bool

    @abstractmethod
    def _read(self, x: Sequences, lengths: npt.ArrayLike | None, resets: npt.ArrayLike | None) -> Inputs: ...

    @abstractmethod
    def _run(
        self, given: Inputs, state: StateLike, *, save: str, training: bool
    ) -> tuple[Array, State, Tape | None]: ...

    def trace(
        self,
        x: Sequences,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
    ) -> Trace:
        """Run the layer as ``__call__`` does, to the bit, and return all states and gates, (N, T, D*H) each.

        They are those that training keeps: no step is computed twice, and it takes the time of ``forward`` and of a
        copy. Arguments and errors are those of ``__call__``.

        Returns
        -------
        Trace
        """
        y, final, tape = self._run(self._read(x, lengths, resets), state, save="all", training=False)
        assert tape is not None
        layers = _ops.trace(tape.core)
        return Trace(
            h=[*(self._user_axes(h) for h, _, _ in layers[:-1]), y],
            c=[self._user_axes(c) for _, c, _ in layers if c is not None],
            gates={
                name: [self._user_axes(gates[g]) for _, _, gates in layers] for g, name in enumerate(self.gate_names)
            },
            state=final,
        )

    def _user_axes(self, array: Array | None) -> Array:
        assert array is not None
        return array.transpose(1, 0, 2) if self.time_major else array

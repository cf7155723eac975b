"""Traces: all states and gates of a call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy.typing as npt

from rnnfast import _ops
from rnnfast.arrays import Array, DType
from rnnfast.copies import CopiedWhole
from rnnfast.layers.call import Inputs, SequencesLike, State, StateLike, Tape
from rnnfast.layers.step_mask import read_existing
from rnnfast.params import Module


@dataclass(frozen=True, eq=False)
class Trace(CopiedWhole):
    """States and gates of every unit at every step, as ``layer.trace(x)`` returns them.

    All arrays are (N, T, D*H), or (T, N, D*H) with ``time_major``. The columns of the reverse direction follow those of
    the forward one. Past a sequence's length they are zero. A projected h has D*P columns.

    Attributes
    ----------
    h : list of arrays, one for each layer
        ``h[-1]`` is y.
    c : list of arrays, one for each layer
        The cell state of an LSTM; empty for other cells.
    gates : dict of str to list of arrays, one for each layer
        The gates by name, after their activations: i, f, g, o for an LSTM (with ``coupled`` i, g, o, since f = 1 - i),
        r, z, n for a GRU, none for an RNN.
    state : array (L*D, N, H) or tuple of such
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

    def mapped(self, change: Callable[[Array], Array]) -> Trace:
        """Return a trace of the same final state whose arrays are those of this one after a ``change``."""
        gates = {name: [change(gate) for gate in each] for name, each in self.gates.items()}
        return Trace(h=[change(h) for h in self.h], c=[change(c) for c in self.c], gates=gates, state=self.state)


class Traceable(Module):
    """Base of layers that can return their gates: adds ``trace``."""

    gate_names: tuple[str, ...]
    input_size: int
    dtype: DType
    time_major: bool

    @abstractmethod
    def _run(
        self, given: Inputs, state: StateLike, *, save: str, training: bool
    ) -> tuple[Array, State, Tape | None]: ...

    def trace(
        self,
        x: SequencesLike,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
    ) -> Trace:
        """Run the layer as ``__call__`` does and return all states and gates.

        They are what ``forward`` keeps for ``backward``: a trace takes the time of ``forward`` and of a copy.

        Parameters
        ----------
        x, state, lengths, resets, mask
            As for ``__call__``.

        Returns
        -------
        Trace
            Its y and final state are those of ``__call__``, to the bit.

        Raises
        ------
        ValueError, TypeError
            As from ``__call__``.
        """
        given, gaps = read_existing(self, x, lengths, resets, mask)
        y, final, tape = self._run(given, state, save="all", training=False)
        assert tape is not None
        layers = _ops.trace(tape.core)
        found = Trace(
            h=[*(self._user_axes(h) for h, _, _ in layers[:-1]), y],
            c=[self._user_axes(c) for _, c, _ in layers if c is not None],
            gates={
                name: [self._user_axes(gates[g]) for _, _, gates in layers] for g, name in enumerate(self.gate_names)
            },
            state=final,
        )
        return found if gaps is None else found.mapped(gaps.spread)

    def _user_axes(self, array: Array | None) -> Array:
        assert array is not None
        return array.transpose(1, 0, 2) if self.time_major else array

"""What the three recurrent layers share: parameters, packed weights, forward and backward."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnnfast import _ops
from rnnfast.init import stack_shapes, uniform
from rnnfast.layers.checks import require_later, require_positive
from rnnfast.layers.states import State, StateLike, split_state
from rnnfast.layers.stream import Stream
from rnnfast.layers.tape import PackCache, Tape
from rnnfast.params import Module, Parameter

Array = npt.NDArray[Any]
Sequences = npt.ArrayLike | list[Any] | tuple[Any, ...]


class Recurrent(Module):
    """Base of RNN, LSTM and GRU: a stack of ``num_layers`` layers of one cell."""

    gates: ClassVar[int]
    has_cell_state: ClassVar[bool] = False

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        *,
        activation: str = "tanh",
        num_layers: int,
        bidirectional: bool,
        bias: bool,
        dropout: float,
        time_major: bool,
        dtype: npt.DTypeLike,
        seed: int | None,
    ) -> None:
        require_later(bidirectional=bidirectional)
        self.input_size = require_positive("input_size", input_size)
        self.hidden_size = require_positive("hidden_size", hidden_size)
        self.num_layers = require_positive("num_layers", num_layers)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise TypeError(f"dtype: float32 or float64 is required, got {self.dtype}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: a probability within [0, 1) is required, got {dropout}")
        self.dropout = float(dropout)
        self.time_major = bool(time_major)
        rng = np.random.default_rng(seed)
        shapes = stack_shapes(self.gates, self.input_size, self.hidden_size, self.num_layers, bias=bias)
        bound = 1 / math.sqrt(hidden_size)
        self._parameters = {
            name: Parameter(uniform(shape, bound, rng=rng, dtype=self.dtype)) for name, shape in shapes.items()
        }
        self._dropout_seed = int(rng.integers(2**63))
        self._calls = 0
        self._packs = PackCache(cell, activation)

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters under PyTorch's names: ``weight_ih_l0`` (G*H, C), ``weight_hh_l0`` (G*H, H), ..."""
        return dict(self._parameters)

    def _layer_parameters(self, layer: int) -> list[Parameter | None]:
        return [self._parameters.get(f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def packed(self) -> list[_ops.Weights]:
        """Return every layer's weights as the engine reads them."""
        return self._packs.weights(self._versions(), self._layer_parameters, self.num_layers)

    def _versions(self) -> tuple[int, ...]:
        return tuple([p.version for p in self._parameters.values()])

    def _split_state(self, name: str, state: StateLike, sequences: int) -> tuple[Array | None, Array | None]:
        shape = (self.num_layers, sequences, self.hidden_size)
        return split_state(name, state, shape, self.dtype, pair=self.has_cell_state)

    def _run(
        self, x: Sequences, state: StateLike, lengths: npt.ArrayLike | None, *, save: bool, training: bool
    ) -> tuple[Array, State, Tape | None]:
        if isinstance(x, (list, tuple)):
            if lengths is not None:
                raise ValueError("lengths: none are accepted beside a list of arrays, which has its own")
            batch, lengths = _ops.pad(x, self.input_size, self.dtype)
        else:
            batch = _ops.sequences("x", x, self.input_size, self.dtype, time_major=self.time_major)
        N, T = batch.shape[:2]
        h0, c0 = self._split_state("state", state, N)
        valid = _ops.lengths_array(lengths, N, T)
        dropout = (0.0, 0, 0)
        if training and self.dropout > 0 and self.num_layers > 1:
            self._calls += 1
            dropout = (self.dropout, self._dropout_seed, self._calls)
        y, h, c, core = _ops.rnn_forward(
            self.packed(), batch, h0, c0, valid, time_major=self.time_major, save=save, dropout=dropout
        )
        tape = None if core is None else Tape(self, core, self._versions(), N, T)
        return (y.transpose(1, 0, 2) if self.time_major else y), h if c is None else (h, c), tape

    def __call__(
        self, x: Sequences, state: StateLike = None, *, lengths: npt.ArrayLike | None = None, resets: Any = None
    ) -> tuple[Array, State]:
        """Run the layer without dropout, keeping nothing.

        Parameters
        ----------
        x : array (N, T, C) of the layer's dtype, or list of arrays (T_i, C)
            The sequences; (T, N, C) with ``time_major``.
        state : array (L, N, H), for LSTM a tuple (h, c) of them, optional
            The initial state; zeros by default.
        lengths : integers (N,), optional
            Valid steps of each sequence, 0..T. Past them y is 0 and the state stays as it is.

        Returns
        -------
        y : array (N, T, H)
            The last layer's h at every step.
        state : array (L, N, H), for LSTM a tuple (h, c) of them
            Every layer's state after the last valid step.

        Raises
        ------
        ValueError
            On a wrong shape or length.
        TypeError
            On another dtype than the layer's.
        """
        require_later(resets=resets)
        y, final, _ = self._run(x, state, lengths, save=False, training=False)
        return y, final

    def forward(
        self,
        x: Sequences,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: Any = None,
        training: bool = True,
        save: str = "all",
    ) -> tuple[Array, State, Tape]:
        """Run the layer as ``__call__`` does, with dropout if ``training``; keep what ``backward`` needs.

        Parameters
        ----------
        x, state, lengths, resets
            As for ``__call__``. x and the returned y must not be modified until ``backward``.
        training : bool
            Whether dropout acts between the layers.
        save : "all"

        Returns
        -------
        y, state
            As from ``__call__``, to the bit where there is no dropout.
        tape : Tape
            To be passed to ``backward``, once.
        """
        require_later(resets=resets)
        if save not in ("all", "recompute"):
            raise ValueError(f"save: 'all' is required, got {save!r}")
        require_later(save=None if save == "all" else save)
        y, final, tape = self._run(x, state, lengths, save=True, training=training)
        assert tape is not None
        return y, final, tape

    def backward(
        self, tape: Tape, dy: npt.ArrayLike | None, dstate: StateLike = None, *, need_dx: bool = True
    ) -> tuple[Array, State]:
        """Go back through time: add dL/dp to the ``grad`` of every parameter, and return the gradients of x and state.

        Parameters
        ----------
        tape : Tape
            From ``forward``; used up.
        dy : array (N, T, H) or None
            dL/dy; ``None`` for zeros. Ignored past the lengths.
        dstate : as state, optional
            dL/d(final state); zeros by default, also for an entry of the tuple that is ``None``.
        need_dx : bool
            False saves the time for dx where nobody wants it; dx is then empty, (N, T, 0).

        Returns
        -------
        dx : array (N, T, C)
            Zero past the lengths.
        dstate : as state
            dL/d(initial state).

        Raises
        ------
        RuntimeError
            If the tape was used before, comes from another layer, or a parameter changed since ``forward``.
        KeyboardInterrupt
            After Ctrl-C. Every ``grad`` then holds an unknown part of the sum: ``zero_grad`` before the next call, as
            the models' ``fit`` does. Parameters are as they were. Any other error leaves the gradients alone.
        """
        if not isinstance(tape, Tape):
            raise TypeError(f"tape: what forward returned is required, got {type(tape).__name__}")
        if tape.layer is not self:
            raise RuntimeError("tape: one of this layer's own forward calls is required, got another layer's")
        if tape.used:
            raise RuntimeError("tape: a new one is required for every backward, got one that was used")
        if tape.versions != self._versions():
            raise RuntimeError("tape: unchanged parameters are required between forward and backward, got changed ones")
        grad_y = None
        if dy is not None:
            grad_y = _ops.sequences("dy", dy, self.hidden_size, self.dtype, time_major=self.time_major)
            if grad_y.shape[:2] != (tape.sequences, tape.steps):
                raise ValueError(
                    f"dy: the shape of y, N = {tape.sequences} and T = {tape.steps}, is required, got {np.shape(dy)}"
                )
        dh, dc = self._split_state("dstate", dstate, tape.sequences)
        gradients = []
        for layer in range(self.num_layers):
            w, r, b_w, b_r = (None if p is None else p.grad for p in self._layer_parameters(layer))
            assert w is not None
            assert r is not None
            gradients.append((w, r, b_w, b_r))
        tape.used = True
        dx, dh0, dc0 = _ops.rnn_backward(tape.core, grad_y, dh, dc, gradients, need_dx=need_dx)
        if dx is None:
            dx = np.empty((tape.sequences, tape.steps, 0), self.dtype)
        return (dx.transpose(1, 0, 2) if self.time_major else dx), dh0 if dc0 is None else (dh0, dc0)

    def stream(self, batch_size: int = 1, state: StateLike = None) -> Stream:
        """Return a copy of the layer that is fed step by step: ``step(x)`` takes (N, C) to (N, H), see ``Stream``.

        Parameters
        ----------
        batch_size : int
            Sequences N, which advance together.
        state
            As for ``__call__``.
        """
        return Stream(self, batch_size, state)

    def trace(self, x: Sequences, state: StateLike = None, *, lengths: npt.ArrayLike | None = None) -> Any:
        """Not available yet; raises NotImplementedError."""
        raise NotImplementedError("trace: this method is not available yet")

    def __repr__(self) -> str:
        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"
        return f"{type(self).__name__}({sizes}, dtype={self.dtype})"

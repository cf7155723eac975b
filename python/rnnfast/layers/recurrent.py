"""What the three recurrent layers share: parameters, packed weights, forward and backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.init import first_values, stack_shapes, stack_suffix
from rnnfast.layers.call import Inputs, Sequences, read_inputs, read_rows
from rnnfast.layers.randomness import Randomness
from rnnfast.layers.states import (
    STARTS,
    Parts,
    State,
    StateLike,
    add_to_learned,
    after_reset,
    first_states,
    split_state,
    started,
)
from rnnfast.layers.stream import Stream
from rnnfast.layers.tape import LAYER_PARTS, PackCache, Tape
from rnnfast.layers.trace import Traceable
from rnnfast.params import Parameter

Array = npt.NDArray[Any]
_SAVES = ("all", "recompute")


class Recurrent(Traceable):
    """Base of RNN, LSTM and GRU: a stack of ``num_layers`` layers of one cell, in D = ``directions``, 1 or 2."""

    def __init__(
        self,
        cell: _ops.Cell,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int,
        bidirectional: bool,
        bias: bool,
        random: Randomness,
        learn_initial_state: bool,
        time_major: bool,
        dtype: npt.DTypeLike,
        seed: int | None,
        proj_size: int = 0,
        layer_norm: bool = False,
        peephole: bool = False,
    ) -> None:
        facts = cell.facts
        self.gate_names, self.has_cell_state = facts.gate_names, facts.states > 1
        self.input_size = checks.as_size("input_size", input_size)
        self.hidden_size = checks.as_size("hidden_size", hidden_size)
        self.num_layers = checks.as_size("num_layers", num_layers)
        self.dtype, self.time_major = checks.as_dtype(dtype), checks.as_flag("time_major", time_major)
        self.dropout, self._random = random.dropout, random.numbers(self.num_layers)
        self.bidirectional = checks.as_flag("bidirectional", bidirectional)
        self.directions = 2 if bidirectional else 1
        self.state_sizes = (proj_size or self.hidden_size, self.hidden_size)[: facts.states]
        self.output_size = self.directions * self.state_sizes[0]
        learned = checks.as_flag("learn_initial_state", learn_initial_state)
        self.learned_state = first_states(self.state_shapes(1), self.dtype) if learned else {}
        rng = np.random.default_rng(checks.as_seed(seed))
        norms = ("ih", "hh", "c")[: 1 + facts.states] if layer_norm else ()
        shapes = stack_shapes(
            facts.gates, self.input_size, self.hidden_size, self.num_layers,
            bias=checks.as_flag("bias", bias), directions=self.directions, peepholes=facts.peepholes if peephole else 0,
            projection=proj_size, norms=norms,
        )  # fmt: skip
        first = first_values(shapes, 1 / math.sqrt(hidden_size), rng=rng, dtype=self.dtype, normed=layer_norm)
        self._parameters = {name: Parameter(value) for name, value in first.items()} | self.learned_state
        self._dropout_seed, self._calls = int(rng.integers(2**63)), 0
        self._packs = PackCache(cell)

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters under PyTorch's names: ``weight_ih_l0`` (G*H, C), ``weight_hh_l0`` (G*H, H), ..."""
        return dict(self._parameters)

    def _scan_parameters(self, index: int) -> list[Parameter | None]:
        suffix = stack_suffix(index, self.directions)
        return [self._parameters.get(name + suffix) for name in LAYER_PARTS]

    def packed(self) -> list[_ops.Weights]:
        """Return the weights of every layer and direction, of index layer*D + direction, as the engine reads them."""
        return self._packs.weights(self._scan_parameters, self.num_layers * self.directions)

    def _versions(self) -> tuple[int, ...]:
        return tuple([p.version for p in self._parameters.values()])

    def state_shapes(self, sequences: int) -> tuple[tuple[int, int, int], ...]:
        """Return the shape (L*D, N, H) of each state of N sequences; of a projected h (L*D, N, P)."""
        return tuple([(self.num_layers * self.directions, sequences, size) for size in self.state_sizes])

    def _read(self, x: Sequences, lengths: npt.ArrayLike | None, resets: npt.ArrayLike | None) -> Inputs:
        return read_inputs(x, lengths, resets, width=self.input_size, dtype=self.dtype, time_major=self.time_major)

    def _run(
        self, given: Inputs, state: StateLike, *, save: str, training: bool, offsets: Array | None = None
    ) -> tuple[Array, State, Tape | None]:
        x, lengths, resets = given
        N = len(x if offsets is None else offsets)
        h0, c0 = (None, None) if state is None else split_state("state", state, self.state_shapes(N), self.dtype)
        learned: tuple[str, ...] = ()
        reset_state: Parts | None = None
        if self.learned_state:
            (h0, c0), learned = started((h0, c0), self.learned_state, N)
            reset_state = None if resets is None else after_reset(self.learned_state)
        random: _ops.Random | None = None
        if training and any(self._random):
            object.__setattr__(self, "_calls", self._calls + 1)  # spares the module's own, which looks for parameters
            random = (self._random, self._dropout_seed, self._calls)
        versions = () if save == "nothing" else self._versions()
        y, h, c, core = _ops.rnn_forward(
            self.packed(), x, h0, c0, lengths, resets=resets, reset_state=reset_state, directions=self.directions,
            time_major=self.time_major, save=save, random=random, offsets=offsets,
        )  # fmt: skip
        final = h if c is None else (h, c)
        if offsets is not None:
            assert lengths is not None
            T = int(lengths.max(initial=0))
            return y, final, None if core is None else Tape(self, core, versions, N, T, learned, rows=len(y))
        tape = None if core is None else Tape(self, core, versions, N, y.shape[1], learned)
        return (y.transpose(1, 0, 2) if self.time_major else y), final, tape

    def __call__(
        self,
        x: Sequences,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
    ) -> tuple[Array, State]:
        """Run the layer without dropout, keeping nothing.

        Parameters
        ----------
        x : array (N, T, C) of the layer's dtype, or list of arrays (T_i, C)
            The sequences; (T, N, C) with ``time_major``.
        state : array (L*D, N, H), for LSTM a tuple (h, c) of them, optional
            The initial state, of index layer*D + direction; by default the learned one, or zeros.
        lengths : integers (N,), optional
            Valid steps of each sequence, 0..T. Past them y is 0 and the state stays as it is; the reverse direction
            begins at the sequence's own end.
        resets : bool (N, T), (T, N) with ``time_major``, or beside a list of arrays a list of (T_i,), optional
            True at t separates step t-1 from step t, in both directions: the state that enters t is the layer's initial
            state, the learned one where there is one, else zero, at t = 0 instead of the given one. No gradient
            crosses, but the learned state receives its own.

        Returns
        -------
        y : array (N, T, D*H)
            The last layer's h at every step, of both directions side by side; (N, T, D*P) where h is projected.
        state : array (L*D, N, H), for LSTM a tuple (h, c) of them
            Every layer's state after the last valid step, of the reverse direction after the first step.

        Raises
        ------
        ValueError
            On a wrong shape or length.
        TypeError
            On another dtype than the layer's, or resets that are not bool.
        """
        y, final, _ = self._run(self._read(x, lengths, resets), state, save="nothing", training=False)
        return y, final

    def forward(
        self,
        x: Sequences,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
        training: bool = True,
        save: str = "all",
    ) -> tuple[Array, State, Tape]:
        """Run the layer as ``__call__`` does, with dropout and noise if ``training``; keep what ``backward`` needs.

        Parameters
        ----------
        x, state, lengths, resets
            As for ``__call__``. x and the returned y must not be modified until ``backward``.
        training : bool
            Whether dropout and noise act.
        save : "all" or "recompute"
            Keep the gates; or compute them again in ``backward``, a piece of time at once, from y and, of an LSTM, c at
            a few steps: the same bits, less memory, a third more time.

        Returns
        -------
        y, state
            As from ``__call__``, to the bit where nothing is random.
        tape : Tape
            To be passed to ``backward``, once.
        """
        if type(save) is not str or save not in _SAVES:
            checks.as_choice("save", save, _SAVES)
        training = checks.as_flag("training", training)
        y, final, tape = self._run(self._read(x, lengths, resets), state, save=save, training=training)
        assert tape is not None
        return y, final, tape

    def call_rows(
        self,
        values: npt.ArrayLike,
        offsets: npt.ArrayLike,
        lengths: npt.ArrayLike,
        state: StateLike = None,
        *,
        resets: npt.ArrayLike | None = None,
    ) -> tuple[Array, State]:
        """Run the layer as ``__call__`` does, on rows of an array; arguments are those of ``forward_rows``."""
        given, first = read_rows(values, offsets, lengths, resets, width=self.input_size, dtype=self.dtype)
        y, final, _ = self._run(given, state, save="nothing", training=False, offsets=first)
        return y, final

    def forward_rows(
        self,
        values: npt.ArrayLike,
        offsets: npt.ArrayLike,
        lengths: npt.ArrayLike,
        state: StateLike = None,
        *,
        resets: npt.ArrayLike | None = None,
        training: bool = True,
        save: str = "all",
    ) -> tuple[Array, State, Tape]:
        """Run the layer as ``forward`` does, to the bit, on rows of an array, without padding; for the models.

        Parameters
        ----------
        values : array (M, C)
            Rows that the batch may use in part, in any order and more than once. They are not copied, and must not be
            modified until ``backward``.
        offsets, lengths : integers (N,)
            Step t of sequence n is row ``offsets[n] + t``, for t below ``lengths[n]``.
        resets : bool (R,), optional
            For each row of y, as for ``__call__``.
        state, training, save
            As for ``forward``.

        Returns
        -------
        y : array (R, D*H)
            The R = sum of lengths rows of the sequences, one sequence after another.
        state
            As from ``__call__``.
        tape : Tape
            For ``backward``, whose dy and dx are then (R, D*H) and (R, C), in the order of y.

        Raises
        ------
        ValueError
            On a wrong shape, or rows beyond M.
        TypeError
            As from ``__call__``.
        """
        checks.as_choice("save", save, _SAVES)
        training = checks.as_flag("training", training)
        given, first = read_rows(values, offsets, lengths, resets, width=self.input_size, dtype=self.dtype)
        y, final, tape = self._run(given, state, save=save, training=training, offsets=first)
        assert tape is not None
        return y, final, tape

    def backward(
        self,
        tape: Tape,
        dy: npt.ArrayLike | None,
        dstate: StateLike = None,
        *,
        need_dx: bool = True,
        gradient_norms: bool = False,
    ) -> tuple[Array, State]:
        """Go back through time: add dL/dp to the ``grad`` of every parameter, and return the gradients of x and state.

        Parameters
        ----------
        tape : Tape
            From ``forward``; used up.
        dy : array (N, T, D*H) or None
            dL/dy; ``None`` for zeros. Ignored past the lengths.
        dstate : as state, optional
            dL/d(final state); zeros by default, also for an entry of the tuple that is ``None``.
        need_dx : bool
            False saves the time for dx where nobody wants it; dx is then empty, (N, T, 0).
        gradient_norms : bool
            Whether ``tape.gradient_norms`` receives |dL/dh(t)| of every layer, direction and sequence.

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
        need_dx, want_norms = checks.as_flag("need_dx", need_dx), checks.as_flag("gradient_norms", gradient_norms)
        with self._adding:
            tape.require(self, self._versions())
            grad_y = tape.read_gradient(dy, self.output_size, self.dtype, time_major=self.time_major)
            dh, dc = split_state("dstate", dstate, self.state_shapes(tape.sequences), self.dtype)
            scans = self.num_layers * self.directions
            gradients = self._packs.gradients(self._scan_parameters, scans)
            norms = np.zeros((scans, tape.sequences, tape.steps)) if want_norms else None
            tape.gradient_norms = norms
            dx, dh0, dc0, *danew = _ops.rnn_backward(tape.core, grad_y, dh, dc, gradients, need_dx=need_dx, norms=norms)
            if self.learned_state:
                add_to_learned(self.learned_state, tape.learned, (dh0, dc0))
                add_to_learned(self.learned_state, STARTS, danew)
        dx = np.empty((*tape.shape, 0), self.dtype) if dx is None else dx
        transposed = self.time_major and tape.rows is None
        return (dx.transpose(1, 0, 2) if transposed else dx), dh0 if dc0 is None else (dh0, dc0)

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

    def __repr__(self) -> str:
        both = ", bidirectional=True" if self.bidirectional else ""
        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}{both}"
        return f"{type(self).__name__}({sizes}, dtype={self.dtype})"


def plain_norm(chosen: bool, **others: object) -> bool:
    """Return whether a layer is normalised, which it cannot be beside any of the other options."""
    for other, value in others.items():
        if checks.as_flag("layer_norm", chosen) and value:
            raise ValueError(f"layer_norm: a layer without {other} is required, got {other}={value}")
    return checks.as_flag("layer_norm", chosen)

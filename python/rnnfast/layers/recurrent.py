"""What RNN, LSTM and GRU share: parameters, packed weights, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast._ops import Parts
from rnnfast.arrays import Array
from rnnfast.atomic import StrPath
from rnnfast.describe import layer_call
from rnnfast.init import first_values, stack_shapes, stack_suffix
from rnnfast.layers.call import (
    LAYER_PARTS,
    STATE_NAMES,
    Inputs,
    PackCache,
    SequencesLike,
    State,
    StateLike,
    Tape,
    add_to_learned,
    initial_states,
    make_learned_states,
    read_rows,
    reset_states,
    split_state,
)
from rnnfast.layers.options import Randomness
from rnnfast.layers.step_mask import read_existing, spread
from rnnfast.layers.stream import Stream
from rnnfast.layers.trace import Traceable
from rnnfast.params import Parameter

_SAVES = ("all", "recompute")


class Recurrent(Traceable):
    """Base of RNN, LSTM and GRU: a stack of ``num_layers`` layers of one cell, in D = ``directions``, 1 or 2.

    Attributes
    ----------
    options : dict of str to object
        The constructor's options that differ from their defaults, without sizes and seed.
    """

    options: dict[str, Any]

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
        self.learned_state = make_learned_states(self.state_shapes(1), self.dtype) if learned else {}
        rng = np.random.default_rng(checks.as_seed(seed))
        norms = ("ih", "hh", "c")[: 1 + facts.states] if layer_norm else ()
        shapes = stack_shapes(
            facts.gates,
            self.input_size,
            self.hidden_size,
            self.num_layers,
            bias=checks.as_flag("bias", bias),
            directions=self.directions,
            peepholes=facts.peepholes if peephole else 0,
            projection=proj_size,
            norms=norms,
        )
        first = first_values(shapes, 1 / math.sqrt(hidden_size), rng=rng, dtype=self.dtype, normed=layer_norm)
        self._parameters = {name: Parameter(value) for name, value in first.items()} | self.learned_state
        self._dropout_seed, self._calls = int(rng.integers(2**63)), 0
        self.cell, self._packs = cell, PackCache(cell)

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters under PyTorch's names: ``weight_ih_l0`` (G*H, C), ``weight_hh_l0`` (G*H, H) and so on.

        G is the number of gates: 1 for an RNN, 4 for an LSTM (3 with ``coupled``), 3 for a GRU.
        """
        return dict(self._parameters)

    def random_state(self) -> dict[str, Any]:
        """Return the number of calls so far, of which random masks are functions."""
        return {"calls": self._calls}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the number of calls."""
        self._calls = int(state["calls"])

    @property
    def is_random(self) -> bool:
        """Whether dropout, zoneout or noise acts in training."""
        return any(self._random)

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw the seed of all random masks anew."""
        self._dropout_seed, self._calls = int(rng.integers(2**63)), 0

    def _scan_parameters(self, index: int) -> list[Parameter | None]:
        suffix = stack_suffix(index, self.directions)
        return [self._parameters.get(name + suffix) for name in LAYER_PARTS]

    def packed(self) -> list[_ops.Weights]:
        """Return the packed weights of every layer and direction, at index layer*D + direction."""
        return self._packs.weights(self._scan_parameters, self.num_layers * self.directions)

    def _versions(self) -> tuple[int, ...]:
        return tuple([p.version for p in self._parameters.values()])

    def state_shapes(self, sequences: int) -> tuple[tuple[int, int, int], ...]:
        """Return the shape (L*D, N, H) of each state of N sequences; (L*D, N, P) for a projected h."""
        return tuple([(self.num_layers * self.directions, sequences, size) for size in self.state_sizes])

    def _run(
        self, given: Inputs, state: StateLike, *, save: str, training: bool, offsets: Array | None = None
    ) -> tuple[Array, State, Tape | None]:
        x, lengths, resets = given
        N = len(x if offsets is None else offsets)
        h0, c0 = (None, None) if state is None else split_state("state", state, self.state_shapes(N), self.dtype)
        learned: tuple[str, ...] = ()
        reset_state: Parts | None = None
        if self.learned_state:
            (h0, c0), learned = initial_states((h0, c0), self.learned_state, N)
            reset_state = None if resets is None else reset_states(self.learned_state)
        random: _ops.Random | None = None
        if training and any(self._random):
            object.__setattr__(self, "_calls", self._calls + 1)  # skips the search of Module.__setattr__
            random = (self._random, self._dropout_seed, self._calls)
        versions = () if save == "nothing" else self._versions()
        y, h, c, core = _ops.rnn_forward(
            self.packed(),
            x,
            h0,
            c0,
            lengths,
            resets=resets,
            reset_state=reset_state,
            directions=self.directions,
            time_major=self.time_major,
            save=save,
            random=random,
            offsets=offsets,
        )
        final = h if c is None else (h, c)
        if offsets is not None:
            assert lengths is not None
            if core is None:
                return y, final, None
            T = int(lengths.max(initial=0))
            return y, final, Tape(self, core, versions, N, T, learned, row_count=len(y))
        tape = None if core is None else Tape(self, core, versions, N, y.shape[1], learned)
        return (y.transpose(1, 0, 2) if self.time_major else y), final, tape

    def __call__(
        self,
        x: SequencesLike,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
    ) -> tuple[Array, State]:
        """Run the layer without dropout and noise; nothing is kept for ``backward``.

        Parameters
        ----------
        x : array (N, T, C) of the layer's dtype, or list of arrays (T_i, C)
            N sequences of T steps; (T, N, C) with ``time_major``.
        state : array (L*D, N, H), or tuple (h, c) of two for an LSTM, optional
            The initial state, at index layer*D + direction. By default it is the learned one, or zeros.
        lengths : integers (N,), optional
            Number of valid steps of each sequence, 0..T. Past them y is 0 and the state stays as it is. The reverse
            direction begins at each sequence's own end.
        resets : bool (N, T), (T, N) with ``time_major``, or a list of (T_i,) for a list of arrays, optional
            True at t separates step t-1 from step t, in both directions: step t starts from the layer's initial state,
            which is the learned one or zeros, also where ``state`` is given and t is 0. No gradient passes a reset; the
            learned state receives the gradient of step t.
        mask : bool (N, T), (T, N) with ``time_major``, or a list of (T_i,) for a list of arrays, optional
            Whether a step exists, in place of ``lengths``. Where it is False y is 0, the state stays as it is, and
            nothing is read of x and resets: the step might as well be left out.

        Returns
        -------
        y : array (N, T, D*H)
            The last layer's h at every step, both directions side by side; (N, T, D*P) for a projected h.
        state : array (L*D, N, H), or tuple (h, c) of two for an LSTM
            Every layer's state after the last valid step; in the reverse direction, after the first step.

        Raises
        ------
        ValueError
            If a shape or a length does not fit.
        TypeError
            If the dtype is not the layer's, or resets are not bool.
        """
        given, gaps = read_existing(self, x, lengths, resets, mask)
        y, final, _ = self._run(given, state, save="nothing", training=False)
        return spread(y, gaps), final

    def forward(
        self,
        x: SequencesLike,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        training: bool = True,
        save: str = "all",
    ) -> tuple[Array, State, Tape]:
        """Run the layer as ``__call__`` does, with dropout and noise if ``training``; keep what ``backward`` needs.

        Parameters
        ----------
        x, state, lengths, resets, mask
            As for ``__call__``. x and the returned y must not be modified until ``backward``.
        training : bool
            Whether dropout, zoneout and noise are random.
        save : {"all", "recompute"}
            "all" keeps the gates for ``backward``. "recompute" lets ``backward`` compute them again, chunk by chunk,
            from y and, for an LSTM, c at a few steps: the same bits in less memory and a third more time.

        Returns
        -------
        y, state
            As from ``__call__``; the same bits where nothing is random.
        tape : Tape
            To be passed to ``backward``, once.

        Raises
        ------
        ValueError, TypeError
            As from ``__call__``.
        """
        if type(save) is not str or save not in _SAVES:
            checks.as_choice("save", save, _SAVES)
        training = checks.as_flag("training", training)
        given, gaps = read_existing(self, x, lengths, resets, mask)
        y, final, tape = self._run(given, state, save=save, training=training)
        assert tape is not None
        tape.gaps = gaps
        return spread(y, gaps), final, tape

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
        """Back-propagate through time: add dL/dp to every parameter's ``grad``; return dL/dx and dL/d(initial state).

        Parameters
        ----------
        tape : Tape
            From ``forward``; used up.
        dy : array (N, T, D*H) or None
            dL/dy; ``None`` for zeros. It is ignored past the lengths.
        dstate : array (L*D, N, H), or tuple (dh, dc) of two for an LSTM, optional
            dL/d(final state). ``None``, also within the tuple, stands for zeros.
        need_dx : bool
            False saves the time for dx, which is then empty, (N, T, 0).
        gradient_norms : bool
            Whether ``tape.gradient_norms`` receives |dL/dh(t)| of every layer, direction and sequence.

        Returns
        -------
        dx : array (N, T, C)
            dL/dx, zero past the lengths; (T, N, C) with ``time_major``.
        dstate : array (L*D, N, H), or tuple (dh, dc) of two for an LSTM
            dL/d(initial state).

        Raises
        ------
        RuntimeError
            If the tape was used before, comes from another layer, or a parameter changed since ``forward``.
        ValueError
            If dy or dstate has another shape than y and the state.
        TypeError
            If the dtype is not the layer's.
        KeyboardInterrupt
            After Ctrl-C. Every ``grad`` then holds an unknown part of the sum; call ``zero_grad`` before the next
            ``backward``. Parameters are unchanged. Every other error leaves the gradients unchanged.
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
                add_to_learned(self.learned_state, STATE_NAMES, danew)
        dx = np.empty((*tape.shape, 0), self.dtype) if dx is None else dx
        transposed = self.time_major and tape.row_count is None
        dx = tape.spread(dx.transpose(1, 0, 2) if transposed else dx)
        return dx, dh0 if dc0 is None else (dh0, dc0)

    def stream(self, batch_size: int = 1, state: StateLike = None) -> Stream:
        """Return a copy of the layer that reads step by step: ``step(x)`` maps (N, C) to (N, H), see ``Stream``.

        Parameters
        ----------
        batch_size : int
            N, the number of sequences, which advance together.
        state : array (L, N, H), or tuple (h, c) of two for an LSTM, optional
            The initial state, as for ``__call__``.

        Returns
        -------
        Stream

        Raises
        ------
        ValueError
            If the layer is bidirectional, or a shape does not fit.
        TypeError
            If the dtype is not the layer's.
        """
        return Stream(self, batch_size, state)

    def to_onnx(self, path: StrPath, *, lengths: bool = False, state: bool = False) -> list[str]:
        """Write the layer to an ONNX file; it computes what ``layer(x, state, lengths=lengths)`` does.

        The graph's input is ``x`` (N, T, C), or (T, N, C) with ``time_major``; its outputs are ``y`` and the final
        state ``h`` (L*D, N, H), for an LSTM also ``c``. N and T are free.

        Parameters
        ----------
        path : str or path
            The file; an older one is replaced as a whole.
        lengths : bool
            Whether the graph has an input ``lengths``, int32 (N,).
        state : bool
            Whether it has inputs ``initial_h`` (L*D, N, H) and, for an LSTM, ``initial_c``. Else sequences start from
            the learned state or zeros.

        Returns
        -------
        list of str
            The file's path.

        Raises
        ------
        ImportError
            The package onnx is not installed.
        ValueError
            ONNX cannot express an option: ``proj_size``, ``layer_norm``, ``leak``, ``zoneout``, or the activation
            "hard_tanh".
        OSError
            The file cannot be written.
        """
        saved: list[str] = import_module("rnnfast.interop.onnx").to_onnx(self, path, lengths=lengths, state=state)
        return saved

    def __repr__(self) -> str:
        return layer_call(self, self.input_size, self.hidden_size)

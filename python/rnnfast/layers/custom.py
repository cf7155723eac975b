"""Layers of custom cells: sequences, directions and back-propagation through time in NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.arrays import Array
from rnnfast.checks import names_arguments
from rnnfast.describe import changed_options, layer_call
from rnnfast.init import stack_suffix
from rnnfast.layers.call import Inputs, SequencesLike, State, StateLike, Tape, pad_rows, read_rows
from rnnfast.layers.custom_cell import CustomCell
from rnnfast.layers.custom_scan import SavedScans, Scan, steps_of
from rnnfast.layers.options import Randomness
from rnnfast.layers.step_mask import read_existing, spread
from rnnfast.layers.trace import Trace
from rnnfast.outline import count_layer, outlined
from rnnfast.params import Module, Parameter


class CustomLayer(Module):
    """A stack of layers of a cell that is written in NumPy: what ``rf.LSTM`` is to its cell, at NumPy's speed.

    At each step t, for each sequence: ``state(t) = f(x(t), state(t-1); p)`` with the function f and the parameters p of
    the cell. The first array of the state is h, the output. Parameters have the cell's names, followed by ``_l0``,
    ``_l0_reverse``, ``_l1`` and so on. The state is an array (L*D, N, H) for N sequences or, of a cell with several, a
    tuple of them, where D is the number of directions.

    A sequence's results depend on NumPy's products and so, in the last bits, on its batch.

    Parameters
    ----------
    cell : CustomCell
        One step of the recurrence and its derivative; an object, not its class.
    input_size : int
        C, the number of features of x at a step.
    hidden_size : int
        H, the number of units in a layer and direction.
    num_layers : int
        L, the number of layers. Each layer above the first reads the outputs of the layer below.
    bidirectional : bool
        Whether a second set of weights, named ``..._reverse``, reads each sequence from its end to its start. The
        outputs of both directions stand side by side: y and the input of the next layer have twice the features
        (Schuster and Paliwal 1997).
    dropout : float
        Probability, within [0, 1), of dropping an output on its way to the next layer in training, drawn anew at every
        step; the others are scaled by 1 / (1 - dropout). It does nothing in a single layer.
    time_major : bool
        Whether arrays are (T, N, C) instead of (N, T, C).
    dtype : {"float32", "float64"}
        Dtype of parameters, inputs and outputs.
    seed : int or None
        Seed of the first weights and of everything random in training. None takes a new one every time.

    Raises
    ------
    ValueError
        If a number is out of its range, or the cell draws a first value of another shape.
    TypeError
        If an argument has another type, or the dtype is neither float32 nor float64.

    References
    ----------
    M. Schuster, K. K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45
    (1997).

    Examples
    --------
    A sum:

    >>> import numpy as np
    >>> import rnnfast as rf
    >>> class Sum(rf.CustomCell, name="sum"):
    ...     def shapes(self, inputs, hidden):
    ...         return {}
    ...
    ...     def forward(self, p, x, state):
    ...         return (state[0] + x,), None
    ...
    ...     def backward(self, p, saved, dstate):
    ...         return dstate[0], dstate, {}
    >>> y, h = rf.CustomLayer(Sum(), 1, 1)(np.ones((1, 4, 1), np.float32))
    >>> y[0, :, 0], h
    (array([1., 2., 3., 4.], dtype=float32), array([[[4.]]], dtype=float32))
    """

    @names_arguments
    def __init__(
        self,
        cell: CustomCell,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        time_major: bool = False,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        if not isinstance(cell, CustomCell):
            raise TypeError(f"cell: a CustomCell is required (an object, not its class), got {checks.shown(cell)}")
        self.cell = cell
        self.input_size = checks.as_size("input_size", input_size)
        self.hidden_size = checks.as_size("hidden_size", hidden_size)
        self.num_layers = checks.as_size("num_layers", num_layers)
        self.directions = 2 if checks.as_flag("bidirectional", bidirectional) else 1
        self.dropout = Randomness(dropout=dropout).numbers(self.num_layers)[0]
        self.time_major = checks.as_flag("time_major", time_major)
        self.dtype = checks.as_dtype(dtype)
        self.state_sizes = (self.hidden_size,) * cell.states
        self.output_size = self.directions * self.hidden_size
        rng = np.random.default_rng(checks.as_seed(seed))
        self._scan_parameters: list[dict[str, Parameter]] = []
        for index in range(self.num_layers * self.directions):
            count_layer()
            width = self.input_size if index < self.directions else self.directions * self.hidden_size
            shapes = cell.shapes(width, self.hidden_size)
            values = {name: self._first_value(shape, rng, name) for name, shape in shapes.items()}
            self._scan_parameters.append({name: Parameter(value) for name, value in values.items()})
        self._parameters = {
            name + stack_suffix(index, self.directions): p
            for index, own in enumerate(self._scan_parameters)
            for name, p in own.items()
        }
        self._masks = np.random.default_rng(rng.integers(2**63))
        self.options = changed_options(CustomLayer, locals())

    def _first_value(self, shape: tuple[int, ...], rng: np.random.Generator, name: str) -> Array:
        outline = outlined(shape, self.dtype)
        if outline is not None:
            return outline
        value = np.asarray(self.cell.first_value(shape, self.hidden_size, rng, name=name))
        if value.shape != tuple(shape):
            raise ValueError(f"first_value: shape {tuple(shape)} is required for {name}, got {value.shape}")
        return value.astype(self.dtype)

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters under the cell's names, followed by ``_l0``, ``_l0_reverse``, ``_l1`` and so on."""
        return dict(self._parameters)

    def random_state(self) -> dict[str, Any]:
        """Return the state of the generator of dropout's masks."""
        return {"masks": self._masks.bit_generator.state}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the state of the generator."""
        self._masks.bit_generator.state = state["masks"]

    @property
    def is_random(self) -> bool:
        """Whether dropout acts in training."""
        return self.dropout > 0

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw the seed of the generator anew."""
        self._masks = np.random.default_rng(rng.integers(2**63))

    def __call__(
        self,
        x: SequencesLike,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
    ) -> tuple[Array, State]:
        """Run the layer without dropout; nothing is kept for ``backward``.

        Parameters
        ----------
        x : array (N, T, C) of the layer's dtype, or list of arrays (T_i, C)
            N sequences of T steps; (T, N, C) with ``time_major``.
        state : array (L*D, N, H), or tuple of such for a cell with several states, optional
            The initial state, at index layer*D + direction; zeros by default.
        lengths : integers (N,), optional
            Number of valid steps of each sequence, 0..T. Past them y is 0 and the state stays as it is.
        resets : bool (N, T), (T, N) with ``time_major``, or a list of (T_i,) for a list of arrays, optional
            True at t separates step t-1 from step t, in both directions: step t starts from zeros.
        mask : bool (N, T), (T, N) with ``time_major``, or a list of (T_i,) for a list of arrays, optional
            Whether a step exists, in place of ``lengths``. Where it is False y is 0, the state stays as it is, and
            nothing is read of x and resets: the step might as well be left out.

        Returns
        -------
        y : array (N, T, D*H)
            The last layer's h at every step, both directions side by side.
        state : array (L*D, N, H), or tuple of such
            Every layer's state after the last valid step; in the reverse direction, after the first step.

        Raises
        ------
        ValueError
            If a shape or a length does not fit, or the cell returns states of another shape.
        TypeError
            If the dtype is not the layer's, or resets are not bool.
        """
        given, gaps = read_existing(self, x, lengths, resets, mask)
        h, final, _ = self._run(given, state, keep=False, dropping=False)
        return spread(self._user_axes(h[-1]), gaps), self._one(final)

    def forward(
        self,
        x: SequencesLike,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        training: bool = True,
    ) -> tuple[Array, State, Tape]:
        """Run the layer as ``__call__`` does, with dropout if ``training``; keep what ``backward`` needs.

        Parameters
        ----------
        x, state, lengths, resets, mask
            As for ``__call__``. x must not be modified until ``backward``.
        training : bool
            Whether dropout acts.

        Returns
        -------
        y, state
            As from ``__call__``.
        tape : Tape
            To be passed to ``backward``, once.
        """
        dropping = checks.as_flag("training", training)
        given, gaps = read_existing(self, x, lengths, resets, mask)
        h, final, tape = self._run(given, state, keep=True, dropping=dropping)
        tape.gaps = gaps
        return spread(self._user_axes(h[-1]), gaps), self._one(final), tape

    def call_rows(
        self,
        values: npt.ArrayLike,
        offsets: npt.ArrayLike,
        lengths: npt.ArrayLike,
        state: Any = None,
        *,
        resets: npt.ArrayLike | None = None,
    ) -> tuple[Array, Any]:
        """Run the layer on rows of an array as ``rf.LSTM`` does; they are copied to a padded array."""
        given, valid = self._read_rows(values, offsets, lengths, resets)
        h, final, _ = self._run(given, state, keep=False, dropping=False)
        return h[-1][valid], self._one(final)

    def forward_rows(
        self,
        values: npt.ArrayLike,
        offsets: npt.ArrayLike,
        lengths: npt.ArrayLike,
        state: Any = None,
        *,
        resets: npt.ArrayLike | None = None,
        training: bool = True,
    ) -> tuple[Array, Any, Tape]:
        """Run the layer as ``call_rows`` does, and return the tape too, with dropout if ``training``."""
        dropping = checks.as_flag("training", training)
        given, valid = self._read_rows(values, offsets, lengths, resets)
        h, final, tape = self._run(given, state, keep=True, dropping=dropping)
        y = h[-1][valid]
        tape.core.valid, tape.row_count = valid, len(y)
        return y, self._one(final), tape

    def trace(
        self,
        x: SequencesLike,
        state: StateLike = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
    ) -> Trace:
        """Run the layer as ``__call__`` does and return h of every layer.

        Other quantities of a cell are its own: ``c`` and ``gates`` of the trace are empty.

        Parameters
        ----------
        x, state, lengths, resets, mask
            As for ``__call__``.

        Returns
        -------
        Trace
        """
        given, gaps = read_existing(self, x, lengths, resets, mask)
        h, final, _ = self._run(given, state, keep=False, dropping=False)
        found = [spread(self._user_axes(array), gaps) for array in h]
        return Trace(h=found, c=[], gates={}, state=self._one(final))

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
        dstate : array (L*D, N, H), or tuple of such, optional
            dL/d(final state). ``None``, also within the tuple, stands for zeros.
        need_dx : bool
            Whether dx is returned; else it is empty, (N, T, 0).
        gradient_norms : bool
            Whether ``tape.gradient_norms`` receives |dL/dh(t)| of every layer, direction and sequence.

        Returns
        -------
        dx : array (N, T, C)
            dL/dx, zero past the lengths; (T, N, C) with ``time_major``.
        dstate : array (L*D, N, H), or tuple of such
            dL/d(initial state).

        Raises
        ------
        RuntimeError
            If the tape was used before, comes from another layer, or a parameter changed since ``forward``.
        ValueError
            If a shape does not fit, or the cell returns gradients of another shape.
        TypeError
            If the dtype is not the layer's.
        """
        if not isinstance(tape, Tape):
            raise TypeError(f"tape: what forward returned is required, got {checks.shown(tape)}")
        need_dx, gradient_norms = checks.as_flag("need_dx", need_dx), checks.as_flag("gradient_norms", gradient_norms)
        with self._adding:
            tape.require(self, self._versions())
            N, T, D, H = tape.sequences, tape.steps, self.directions, self.hidden_size
            given = tape.read_gradient(dy, D * H, self.dtype, time_major=self.time_major)
            valid = tape.core.valid
            dx = np.zeros((N, T, D * H), self.dtype) if given is None or valid is not None else given
            if given is not None and valid is not None:
                dx[valid] = given
            dstates = self._states("dstate", dstate, N)
            tape.core.used = True
            tape.gradient_norms = norms = np.zeros((self.num_layers * D, N, T)) if gradient_norms else None
            for layer in reversed(range(self.num_layers)):
                parts = [
                    scan.backward(dx[..., d * H : (d + 1) * H], dstates, norms)
                    for d, scan in enumerate(tape.core.scans[layer * D : (layer + 1) * D])
                ]
                dx = sum(parts[1:], parts[0])
                if layer:
                    dx = dx * tape.core.masks[layer - 1]
        dx = dx if need_dx else dx[:, :, :0]
        return tape.spread(self._user_axes(dx) if valid is None else dx[valid]), self._one(dstates)

    def _read_rows(
        self, values: npt.ArrayLike, offsets: npt.ArrayLike, lengths: npt.ArrayLike, resets: npt.ArrayLike | None
    ) -> tuple[Inputs, Array]:
        given, first = read_rows(values, offsets, lengths, resets, width=self.input_size, dtype=self.dtype)
        return pad_rows(given, first)

    def _run(
        self, given: Inputs, state: StateLike, *, keep: bool, dropping: bool
    ) -> tuple[list[Array], list[Array], Tape]:
        N, T = given[0].shape[:2]
        states, kept, found = self._states("state", state, N), SavedScans([], []), [given[0]]
        versions = self._versions()
        steps = [list(steps_of(given, direction)) for direction in range(self.directions)]
        for layer in range(self.num_layers):
            below = found[-1]
            if layer:
                drop = self.dropout if dropping else 0.0
                kept.masks.append(self._mask(below.shape, drop) if drop else 1.0)
                below = below * kept.masks[-1]
            outputs = []
            for direction in range(self.directions):
                index = layer * self.directions + direction
                scan = Scan(self.cell, index, self.hidden_size, self._scan_parameters[index], steps[direction])
                outputs.append(scan.forward(below, states, keep=keep))
                kept.scans.append(scan)
            found.append(np.concatenate(outputs, axis=2))
        return found[1:], states, Tape(self, kept, versions, N, T)

    def _mask(self, shape: tuple[int, ...], p: float) -> Array:
        """Return a mask (N, T, F) in which a number depends on its own place alone, not on N and T."""
        seed = int(self._masks.integers(2**63))
        return _ops.dropout(np.ones((shape[0], math.prod(shape[1:])), self.dtype), p, seed, 0).reshape(shape)

    def _states(self, name: str, given: StateLike, sequences: int) -> list[Array]:
        """Return copies of the given states, zeros for those that are None."""
        S, shape = self.cell.states, (self.num_layers * self.directions, sequences, self.hidden_size)
        parts: tuple[npt.ArrayLike | None, ...]
        if given is None:
            parts = (None,) * S
        elif isinstance(given, tuple) and S > 1 and len(given) == S:
            parts = given
        elif not isinstance(given, tuple) and S == 1:
            parts = (given,)
        else:
            wanted = "one array" if S == 1 else f"a tuple of {S} arrays"
            raise TypeError(f"{name}: {wanted} is required, got {type(given).__name__}")
        checked = [_ops.state_array(name, part, shape, self.dtype) for part in parts]
        return [np.zeros(shape, self.dtype) if part is None else part.copy() for part in checked]

    def _one(self, parts: list[Array]) -> State:
        """Return the states as the user sees them: one array, or a tuple of several."""
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _versions(self) -> tuple[int, ...]:
        return tuple([p.version for own in self._scan_parameters for p in own.values()])

    def _user_axes(self, array: Array) -> Array:
        return array.transpose(1, 0, 2) if self.time_major else array

    def __repr__(self) -> str:
        return layer_call(self, self.cell.name, self.input_size, self.hidden_size)

"""Layers of cells that users write: sequences, directions and back-propagation through time in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.checks import names_arguments
from rnnfast.init import stack_suffix
from rnnfast.layers.call import Inputs, Sequences, pad_rows, read_inputs, read_rows
from rnnfast.layers.custom_cell import CustomCell
from rnnfast.layers.custom_scan import Kept, Scan, steps_of
from rnnfast.layers.randomness import Randomness
from rnnfast.layers.tape import Tape
from rnnfast.layers.trace import Trace
from rnnfast.outline import count_layer, outlined
from rnnfast.params import Module, Parameter

Array = npt.NDArray[Any]


class CustomLayer(Module):
    """A stack of layers of a cell that is written in NumPy; what ``rf.LSTM`` is to its cell, at NumPy's speed.

    Calls, ``forward``, ``backward`` and ``trace`` are those of ``rf.LSTM``. The state is an array (L*D, N, H) or, of a
    cell with several states, a tuple of them. Parameters are the cell's, with ``_l0``, ``_l0_reverse``, ... behind
    their names. Results of a sequence depend on NumPy's products and hence, in the last bits, on its batch.

    Parameters
    ----------
    cell : CustomCell
    input_size, hidden_size : int
        C and H.
    num_layers, bidirectional, dropout, time_major, dtype, seed
        As of ``rf.RNN``.

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

    def _first_value(self, shape: tuple[int, ...], rng: np.random.Generator, name: str) -> Array:
        outline = outlined(shape, self.dtype)
        if outline is not None:
            return outline
        value = np.asarray(self.cell.first_value(shape, self.hidden_size, rng, name=name))
        if value.shape != tuple(shape):
            raise ValueError(f"first_value: shape {tuple(shape)} is required for {name}, got {value.shape}")
        return value.astype(self.dtype)

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters, by the cell's names with ``_l0``, ``_l0_reverse``, ``_l1``, ... behind them."""
        return dict(self._parameters)

    def __call__(
        self,
        x: Sequences,
        state: Any = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
    ) -> tuple[Array, Any]:
        """Return y (N, T, D*H) and the final state; arguments as of ``rf.LSTM``."""
        h, final, _ = self._run(self._read(x, lengths, resets), state, keep=False, dropping=False)
        return self._user_axes(h[-1]), self._one(final)

    def forward(
        self,
        x: Sequences,
        state: Any = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
        training: bool = True,
    ) -> tuple[Array, Any, Tape]:
        """Return y, the final state and the tape for ``backward``, with dropout if ``training``."""
        dropping = checks.as_flag("training", training)
        h, final, tape = self._run(self._read(x, lengths, resets), state, keep=True, dropping=dropping)
        return self._user_axes(h[-1]), self._one(final), tape

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
        tape.core.valid, tape.rows = valid, len(y)
        return y, self._one(final), tape

    def trace(
        self,
        x: Sequences,
        state: Any = None,
        *,
        lengths: npt.ArrayLike | None = None,
        resets: npt.ArrayLike | None = None,
    ) -> Trace:
        """Return h of every layer; what else a cell has it may save itself."""
        h, final, _ = self._run(self._read(x, lengths, resets), state, keep=False, dropping=False)
        return Trace(h=[self._user_axes(array) for array in h], c=[], gates={}, state=self._one(final))

    def backward(
        self,
        tape: Tape,
        dy: npt.ArrayLike | None,
        dstate: Any = None,
        *,
        need_dx: bool = True,
        gradient_norms: bool = False,
    ) -> tuple[Array, Any]:
        """Add every parameter's gradient; return those of x and of the initial state, as ``rf.LSTM`` does."""
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
        return self._user_axes(dx) if valid is None else dx[valid], self._one(dstates)

    def _read(self, x: Sequences, lengths: npt.ArrayLike | None, resets: npt.ArrayLike | None) -> Inputs:
        return read_inputs(x, lengths, resets, width=self.input_size, dtype=self.dtype, time_major=self.time_major)

    def _read_rows(
        self, values: npt.ArrayLike, offsets: npt.ArrayLike, lengths: npt.ArrayLike, resets: npt.ArrayLike | None
    ) -> tuple[Inputs, Array]:
        given, first = read_rows(values, offsets, lengths, resets, width=self.input_size, dtype=self.dtype)
        return pad_rows(given, first)

    def _run(self, given: Inputs, state: Any, *, keep: bool, dropping: bool) -> tuple[list[Array], list[Array], Tape]:
        N, T = given[0].shape[:2]
        states, kept, found = self._states("state", state, N), Kept([], []), [given[0]]
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
        return np.where(self._masks.random(shape) >= p, 1 / (1 - p), 0).astype(self.dtype)

    def _states(self, name: str, given: Any, sequences: int) -> list[Array]:
        S, shape = self.cell.states, (self.num_layers * self.directions, sequences, self.hidden_size)
        if given is not None and (isinstance(given, tuple) is (S == 1) or (S > 1 and len(given) != S)):
            wanted = "one array" if S == 1 else f"a tuple of {S} arrays"
            raise TypeError(f"{name}: {wanted} is required, got {type(given).__name__}")
        parts = [None] * S if given is None else [given] if S == 1 else given
        checked = [_ops.state_array(name, part, shape, self.dtype) for part in parts]
        return [np.zeros(shape, self.dtype) if part is None else part.copy() for part in checked]

    def _one(self, parts: list[Array]) -> Any:
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _versions(self) -> tuple[int, ...]:
        return tuple([p.version for own in self._scan_parameters for p in own.values()])

    def _user_axes(self, array: Array) -> Array:
        return array.transpose(1, 0, 2) if self.time_major else array

"""What a call of a layer needs: its arguments checked, packed weights, and the tape for the way back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks, init
from rnnfast._ops import Parts
from rnnfast.arrays import Array, DType
from rnnfast.copies import NotCopied
from rnnfast.params import Parameter, newest_version, no_writes

SequencesLike: TypeAlias = npt.ArrayLike | list[Any] | tuple[Any, ...]  # Any: ArrayLike, but list is invariant
"""x as users give it: an array (N, T, C), or a list of arrays (T_i, C)."""

Inputs: TypeAlias = tuple[Array, Array | None, Array | None]
"""x (N, T, C), lengths int64 (N,) and resets uint8 (N, T), the latter two None where there are none."""

Rows: TypeAlias = tuple[Array, Array, Array | None]
"""Values (M, C), lengths int64 (N,) and resets uint8 (R,); resets are None where there are none."""

State: TypeAlias = Array | tuple[Array, ...]
"""The state of a layer, (L*D, N, H): the array h, or a tuple where a cell has more; of an LSTM (h, c)."""

StateLike: TypeAlias = npt.ArrayLike | tuple[npt.ArrayLike | None, ...] | None
"""A state as users give it; None, also within the tuple, stands for the layer's own initial state."""

STATE_NAMES = ("h0", "c0")

LAYER_PARTS = (
    "weight_ih",
    "weight_hh",
    "bias_ih",
    "bias_hh",
    "weight_ph",
    "weight_hr",
    "gamma_ih",
    "gamma_hh",
    "gamma_c",
    "beta_c",
)
"""Parameters that a layer of one direction may have, in the order in which the engine takes them."""


def read_inputs(
    x: SequencesLike,
    lengths: npt.ArrayLike | None,
    resets: npt.ArrayLike | None,
    *,
    width: int,
    dtype: DType,
    time_major: bool,
) -> Inputs:
    """Return the user's sequences, of C = ``width``, batch-first; a list of them is padded.

    Raises
    ------
    ValueError
        If a shape or a length does not fit.
    TypeError
        If x has another dtype, lengths are not integers, or resets are not bool.
    """
    if isinstance(x, (list, tuple)):
        if lengths is not None:
            raise ValueError("lengths: none are accepted beside a list of arrays, which has its own")
        batch, own = _ops.pad(checks.unpacked("x", x), width, dtype)
        N, T = batch.shape[:2]
        return batch, own, _ops.resets_array(resets, N, T, own=own, time_major=False)
    batch = _ops.sequences("x", x, width, dtype, time_major=time_major)
    if lengths is None and resets is None:
        return batch, None, None
    N, T = batch.shape[:2]
    cuts = _ops.resets_array(resets, N, T, own=None, time_major=time_major)
    return batch, _ops.lengths_array(lengths, N, T), cuts


def read_rows(
    values: npt.ArrayLike,
    offsets: npt.ArrayLike,
    lengths: npt.ArrayLike,
    resets: npt.ArrayLike | None,
    *,
    width: int,
    dtype: DType,
) -> tuple[Rows, Array]:
    """Return a batch of rows of ``values`` (M, C) with C = ``width``, and the offsets as int64 (N,).

    Step t of sequence n is row ``offsets[n] + t``, for t below ``lengths[n]``. Resets are bool (R,) with R = sum of
    lengths, one sequence after another.

    Raises
    ------
    ValueError
        On a wrong shape, or rows beyond M.
    TypeError
        On another dtype of the values, offsets or lengths that are no integers, resets that are not bool.
    """
    x = _ops.row_array("values", values, width, dtype)
    first, own = _ops.row_ranges(offsets, lengths, len(x))
    return (x, own, None if resets is None else _ops.row_resets(resets, int(own.sum()))), first


def pad_rows(given: Rows, offsets: Array) -> tuple[Inputs, Array]:
    """Return the rows copied to x (N, T, C), T being the longest length, and which steps exist, bool (N, T)."""
    values, lengths, resets = given
    steps = np.arange(lengths.max(initial=0))
    valid = steps < lengths[:, None]
    x = np.zeros((*valid.shape, values.shape[1]), values.dtype)
    x[valid] = values[(offsets[:, None] + steps)[valid]]
    if resets is None:
        return (x, lengths, None), valid
    cuts = np.zeros(valid.shape, np.uint8)
    cuts[valid] = resets
    return (x, lengths, cuts), valid


def split_state(name: str, state: StateLike, shapes: Sequence[tuple[int, int, int]], dtype: DType) -> Parts:
    """Return h and c of the ``shapes`` (L*D, N, H), None where none is given; c is None where there is one shape.

    Raises
    ------
    ValueError
        If a shape does not fit.
    TypeError
        If the dtype is another one, or an array is given for a tuple or a tuple for an array.
    """
    if state is None:
        return None, None
    if len(shapes) == 1:
        if isinstance(state, tuple):
            raise TypeError(f"{name}: one array h is required, got a tuple")
        return _ops.state_array(name, state, shapes[0], dtype), None
    if not isinstance(state, tuple) or len(state) != 2:
        raise TypeError(f"{name}: a tuple (h, c) is required, got {type(state).__name__}")
    h, c = state
    return _ops.state_array(f"{name}[0]", h, shapes[0], dtype), _ops.state_array(f"{name}[1]", c, shapes[1], dtype)


def make_learned_states(shapes: Sequence[tuple[int, int, int]], dtype: DType) -> dict[str, Parameter]:
    """Return zeros as parameters: h0 and, where there are two ``shapes`` (L*D, 1, H), c0."""
    return {name: Parameter(init.zeros(shape, dtype)) for name, shape in zip(STATE_NAMES, shapes, strict=False)}


def initial_states(given: Parts, learned: Mapping[str, Parameter], sequences: int) -> tuple[Parts, tuple[str, ...]]:
    """Return h and c of N ``sequences``: what is given, else the learned h0 and c0; and the names of those taken."""
    names = tuple([name for name, part in zip(STATE_NAMES, given, strict=True) if part is None and name in learned])
    h, c = (
        np.repeat(learned[name].value, sequences, axis=1) if name in names else part
        for name, part in zip(STATE_NAMES, given, strict=True)
    )
    return (h, c), names


def reset_states(learned: Mapping[str, Parameter]) -> Parts:
    """Return the learned h0 and c0 (L*D, 1, H), which a reset goes back to."""
    h, c = (learned[name].value if name in learned else None for name in STATE_NAMES)
    return h, c


def add_to_learned(learned: Mapping[str, Parameter], names: tuple[str, ...], gradients: Sequence[Array | None]) -> None:
    """Add the gradients of initial states, (L*D, N, H), to those of the learned states ``names`` that were used."""
    for name, d in zip(STATE_NAMES, gradients, strict=True):
        if name in names and d is not None:
            learned[name].grad += d.sum(axis=1, keepdims=True)


class PackCache:
    """Packed weights of a stack of layers, which are packed again after a write or a change of the instruction set.

    No parameter is written while weights are packed, so that a pack never holds half of a write.
    """

    def __init__(self, cell: _ops.Cell) -> None:
        self._cell = cell
        self._layers: list[tuple[tuple[int, ...], str, _ops.Weights]] = []
        self._newest: tuple[int, str, list[_ops.Weights]] = (-1, "", [])
        self._gradients: list[_ops.Gradients] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return PackCache, (self._cell,)

    def weights(self, parameters: Callable[[int], Sequence[Parameter | None]], layers: int) -> list[_ops.Weights]:
        """Return the packed weights of every layer.

        Parameters
        ----------
        parameters : function
            Takes the index of a layer; returns its parameters in the order of ``LAYER_PARTS``, None for those it lacks.
        layers : int
            Number of layers; each direction counts as one.

        Returns
        -------
        list of Weights
        """
        version, isa, weights = self._newest
        if version == newest_version[0] and isa == _ops.isa():
            return weights
        with no_writes():
            version, isa = newest_version[0], _ops.isa()
            old = [*self._layers, *[None] * (layers - len(self._layers))]
            self._layers = [self._pack(parameters(k), old[k]) for k in range(layers)]
            weights = [weights for _, _, weights in self._layers]
            self._newest = version, isa, weights
        return weights

    def gradients(self, parameters: Callable[[int], Sequence[Parameter | None]], layers: int) -> list[_ops.Gradients]:
        """Return the gradients of every layer, in the order of ``LAYER_PARTS``, which the engine adds to.

        They are looked up once: a parameter keeps its gradient's memory for life. Arguments are those of ``weights``.
        """
        if not self._gradients:
            self._gradients = [[None if p is None else p._grad for p in parameters(k)] for k in range(layers)]
        return self._gradients

    def _pack(
        self, parameters: Sequence[Parameter | None], old: tuple[tuple[int, ...], str, _ops.Weights] | None
    ) -> tuple[tuple[int, ...], str, _ops.Weights]:
        versions, isa = tuple(p.version for p in parameters if p is not None), _ops.isa()
        if old is not None and old[:2] == (versions, isa):
            return old
        w, r, *others = (None if p is None else p.value for p in parameters)
        assert w is not None
        assert r is not None
        return versions, isa, _ops.pack(self._cell, w, r, *others)


class SingleUseTape(NotCopied):
    """What a forward call keeps for one ``backward``: the layer, and the versions that its parameters had.

    ``versions`` are ``Parameter.version`` in the order of ``parameters()``.
    """

    __slots__ = ()
    instead: ClassVar[str] = "call forward of the copied layer"
    layer: object
    versions: tuple[int, ...]

    @property
    @abstractmethod
    def used(self) -> bool:
        """Whether a backward pass has begun."""

    def require(self, layer: object, versions: tuple[int, ...]) -> None:
        """Raise RuntimeError unless the tape is unused, of this layer, and of parameters in these versions."""
        if self.layer is not layer:
            raise RuntimeError("tape: one of this layer's own forward calls is required, got another layer's")
        if self.used:
            raise RuntimeError("tape: a new one is required for every backward, got one that was used")
        if self.versions != versions:
            raise RuntimeError("tape: unchanged parameters are required between forward and backward, got changed ones")


@dataclass(eq=False, slots=True)
class Tape(SingleUseTape):
    """What a recurrent layer's ``forward`` keeps for one ``backward``.

    It refers to the call's x and y, which must not be modified until then.

    Attributes
    ----------
    sequences, steps : int
        N and T of the call.
    learned : tuple of str
        Names of the learned initial states that the call started from.
    row_count : int or None
        R of a call by rows, whose ``steps`` are the longest length; else None.
    gradient_norms : float64 array (L*D, N, T) or None
        Set by ``backward(..., gradient_norms=True)``: the Euclidean norm of dL/dh(t), the whole gradient with respect
        to a layer's h, from the layer above (or dy) and from the step after. The first index is layer*D + direction.
        Past the lengths the norms are zero. Where they shrink or grow by a factor from step to step on the way back,
        the gradient vanishes or explodes (Bengio et al. 1994).
    """

    layer: object
    core: Any  # a CoreTape of the engine, or the SavedScans of a custom cell
    versions: tuple[int, ...]
    sequences: int
    steps: int
    learned: tuple[str, ...] = ()
    gradient_norms: Array | None = None
    row_count: int | None = None
    gaps: Any = None  # a StepMask: where the user's steps were moved from

    @property
    def used(self) -> bool:
        """Whether a backward pass has begun."""
        return bool(self.core.used)

    @property
    def nbytes(self) -> int:
        """Bytes kept beside x and y."""
        return int(self.core.nbytes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Axes of y before its last one: (N, T), or (R,) of a call by rows."""
        return (self.sequences, self.steps) if self.row_count is None else (self.row_count,)

    def read_gradient(self, dy: npt.ArrayLike | None, width: int, dtype: DType, *, time_major: bool) -> Array | None:
        """Return dL/dy batch-first; ``None`` stays ``None``. ValueError on another shape than that of y."""
        if dy is None:
            return None
        if self.row_count is not None:
            given = _ops.row_array("dy", dy, width, dtype)
            if len(given) != self.row_count:
                raise ValueError(f"dy: the shape of y, R = {self.row_count} rows, is required, got {np.shape(dy)}")
            return given
        given = _ops.sequences("dy", dy, width, dtype, time_major=time_major)
        if given.shape[:2] != (self.sequences, self.steps):
            N, T = self.sequences, self.steps
            raise ValueError(f"dy: the shape of y, N = {N} and T = {T}, is required, got {np.shape(dy)}")
        return given if self.gaps is None else self.gaps.to_front(given)

    def spread(self, dx: Array) -> Array:
        """Return dL/dx in the places of the user's steps; so are ``gradient_norms`` from now on."""
        if self.gaps is None:
            return dx
        if self.gradient_norms is not None:
            self.gradient_norms = self.gaps.spread_norms(self.gradient_norms)
        found: Array = self.gaps.spread(dx)
        return found

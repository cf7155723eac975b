"""Recurrent stacks over the engine: from the user's arrays to contiguous ones of the right type, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnfast import _core, checks
from rnnfast._ops.layout import plain
from rnnfast._ops.registry import CELLS, FAMILIES, CellFacts
from rnnfast.arrays import Array, DType

Weights = _core.Weights
CoreTape = _core.Tape
StreamCore = _core.Stream
Gradients = Sequence[Array | None]
Random = tuple[tuple[float, ...], int, int]
Parts = tuple[Array | None, Array | None]

NORM_EPS = 1e-5


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A family of the engine's cells and what a layer chooses of it.

    ``pack`` takes the fastest cell of the family that reads all that is chosen, and refuses what none reads. The name
    of a cell that is no family's is that cell alone.

    ``activations`` are (name, alpha, beta) of f, g and h, as many as the cell has, or none for those of the papers;
    ``recurrent_dropout`` says whether calls may ask for it; ``zoneout`` is the probability of keeping a unit, for each
    state, or empty.
    """

    name: str
    activations: tuple[tuple[str, float, float], ...] = ()
    clip: float = math.inf
    leak: float = 1.0
    recurrent_dropout: bool = False
    zoneout: tuple[float, ...] = ()

    @property
    def facts(self) -> CellFacts:
        """Sizes of the cell; options that the most general one of the family has."""
        return FAMILIES.get(self.name) or CELLS[self.name]


def pack(
    cell: Cell,
    w: Array,
    r: Array,
    b_w: Array | None = None,
    b_r: Array | None = None,
    peepholes: Array | None = None,
    projection: Array | None = None,
    gamma_ih: Array | None = None,
    gamma_hh: Array | None = None,
    gamma_c: Array | None = None,
    beta_c: Array | None = None,
) -> Weights:
    """Pack one layer's weights for the current instruction set; the arrays must not change while in use."""
    norm = None if gamma_ih is None else (gamma_ih, gamma_hh, gamma_c, beta_c)
    units = len(w) // cell.facts.gates
    zoneout = np.repeat(np.array(cell.zoneout, w.dtype)[:, None], units, axis=1) if cell.zoneout else None
    return _core.Weights(
        cell=cell.name,
        activations=cell.activations,
        clip=cell.clip,
        leak=cell.leak,
        recurrent_dropout=cell.recurrent_dropout,
        w=w,
        r=r,
        b_w=b_w,
        b_r=b_r,
        peepholes=peepholes,
        projection=projection,
        zoneout=zoneout,
        norm=norm,
        eps=NORM_EPS,
    )


def isa() -> str:
    """Name of the instruction set in use."""
    return _core.isa()


def pad(sequences: Sequence[npt.ArrayLike], width: int, dtype: DType) -> tuple[Array, Array]:
    """Turn arrays (T_i, width) into one (N, T, width), zero past each length, and the lengths (N,)."""
    arrays = [checks.as_array(f"x[{i}]", a) for i, a in enumerate(sequences)]
    for i, a in enumerate(arrays):
        if a.ndim != 2:
            raise ValueError(f"x[{i}]: two axes (T, C) are required, got shape {a.shape}")
        _require_dtype(f"x[{i}]", a, dtype)
        if a.shape[1] != width:
            raise ValueError(f"x[{i}]: shape (T, C) with C = {width} is required, got {a.shape}")
    lengths = np.array([len(a) for a in arrays], dtype=np.int64)
    steps = int(lengths.max(initial=0))
    x = np.zeros((len(arrays), steps, width), dtype)
    for row, a in zip(x, arrays, strict=True):
        row[: len(a)] = a
    return x, lengths


def _require_dtype(name: str, array: Array, dtype: DType) -> None:
    if array.dtype != dtype:
        raise TypeError(f"{name}: dtype {dtype} is required, got {array.dtype}")


def sequences(name: str, array: npt.ArrayLike, width: int, dtype: DType, *, time_major: bool) -> Array:
    """Check an array (N, T, width), or (T, N, width) if ``time_major``; return it batch-first, copied if need be."""
    a = array if type(array) is np.ndarray else checks.as_array(name, array)
    axes = "(T, N, C)" if time_major else "(N, T, C)"
    if a.ndim != 3:
        hint = f"; reshape it to {axes} first" if a.ndim > 3 else ""
        raise ValueError(f"{name}: three axes {axes} are required, got shape {a.shape}{hint}")
    _require_dtype(name, a, dtype)
    if a.shape[2] != width:
        raise ValueError(f"{name}: shape {axes} with C = {width} is required, got {a.shape}")
    flags = a.flags
    if not (flags.carray or (flags.aligned and _rows_contiguous(a))):
        a = np.require(a, requirements=("C", "A"))
    return a.transpose(1, 0, 2) if time_major else a


def _rows_contiguous(array: Array) -> bool:
    *others, by_last = array.strides
    size = array.itemsize
    return (by_last == size or array.shape[-1] == 1) and all(by % size == 0 for by in others)


def row_array(name: str, array: npt.ArrayLike, width: int, dtype: DType) -> Array:
    """Check rows (M, width); return them, copied only where their numbers do not lie side by side."""
    a = checks.as_array(name, array)
    if a.ndim != 2:
        raise ValueError(f"{name}: two axes (M, C) are required, got shape {a.shape}")
    _require_dtype(name, a, dtype)
    if a.shape[1] != width:
        raise ValueError(f"{name}: shape (M, C) with C = {width} is required, got {a.shape}")
    flags = a.flags
    return a if flags.carray or (flags.aligned and _rows_contiguous(a)) else np.require(a, requirements=("C", "A"))


def step_array(array: npt.ArrayLike, *, sequences: int, width: int, dtype: DType) -> Array:
    """Check the x of one step, (N, width), or (width,) where N is 1; return it C-contiguous."""
    a = checks.as_array("x", array)
    _require_dtype("x", a, dtype)
    if a.shape != (sequences, width) and (sequences != 1 or a.shape != (width,)):
        single = f" or (C,) = ({width},)" if sequences == 1 else ""
        raise ValueError(f"x: shape (N, C) = ({sequences}, {width}){single} is required, got {a.shape}")
    return plain(a)


def state_array(name: str, array: npt.ArrayLike | None, shape: tuple[int, ...], dtype: DType) -> Array | None:
    """Check a state (L*D, N, H), or (L*D, N, P) of a projected h; ``None`` stays ``None``."""
    if array is None:
        return None
    a = checks.as_array(name, array)
    _require_dtype(name, a, dtype)
    if a.shape != shape:
        raise ValueError(f"{name}: shape (L*D, N, H) = {shape} is required, got {a.shape}")
    return plain(a)


def lengths_array(lengths: npt.ArrayLike | None, sequences: int, steps: int) -> Array | None:
    """Check lengths (N,), each within 0..T."""
    return None if lengths is None else checks.as_lengths("lengths", lengths, sequences, steps)


def _int64_rows(array: npt.ArrayLike) -> bool:
    return type(array) is np.ndarray and array.dtype == np.int64 and array.ndim == 1 and array.flags.carray


def row_ranges(offsets: npt.ArrayLike, lengths: npt.ArrayLike, rows: int) -> tuple[Array, Array]:
    """Check that offsets (N,) and lengths (N,) are integers within M = ``rows`` rows; return both as int64."""
    if _int64_rows(offsets) and _int64_rows(lengths):
        return np.asarray(offsets), np.asarray(lengths)  # the engine checks their bounds
    first = checks.as_array("offsets", offsets)
    if first.dtype.kind not in "iu":
        raise TypeError(f"offsets: integers (N,) are required, got dtype {first.dtype}")
    if first.ndim != 1:
        raise ValueError(f"offsets: one axis (N,) is required, got shape {first.shape}")
    own = checks.as_lengths("lengths", lengths, len(first), rows)
    outside = np.flatnonzero((first < 0) | (first > rows - own))
    if outside.size:
        n = outside[0]
        wanted = f"each within 0..M - lengths[n] is required (M = {rows}, lengths[n] = {own[n]})"
        raise ValueError(f"offsets: {wanted}, got {first[n]} at index {n}")
    return np.require(first, np.int64, ("C", "A")), own


def row_resets(resets: npt.ArrayLike | None, rows: int) -> Array | None:
    """Check resets of R = ``rows`` rows, bool (R,), and return them as uint8; None where there are none."""
    if resets is None:
        return None
    a = checks.as_array("resets", resets)
    _require_bool("resets", a)
    if a.shape != (rows,):
        raise ValueError(f"resets: shape (R,) = (sum of lengths,) = ({rows},) is required, got {a.shape}")
    return plain(a.view(np.uint8)) if a.any() else None


def resets_array(
    resets: npt.ArrayLike | None, sequences: int, steps: int, *, own: Array | None, time_major: bool
) -> Array | None:
    """Check resets as ``step_flags`` does; None where there are none."""
    if resets is None:
        return None
    flags = step_flags("resets", resets, sequences, steps, own=own, time_major=time_major)
    return flags if flags.any() else None


def step_flags(
    name: str, flags: npt.ArrayLike, sequences: int, steps: int, *, own: Array | None, time_major: bool
) -> Array:
    """Check one bool for every step, (N, T), (T, N) if ``time_major``, and return them as uint8 (N, T).

    ``own`` are the lengths of a list of sequences, to which a list of (T_i,) belongs.
    """
    if isinstance(flags, (list, tuple)) and own is not None:
        return _pad_flags(name, flags, sequences, steps, own)
    a = checks.as_array(name, flags)
    _require_bool(name, a)
    axes, shape = ("(T, N)", (steps, sequences)) if time_major else ("(N, T)", (sequences, steps))
    if a.shape != shape:
        raise ValueError(f"{name}: shape {axes} = {shape} is required, got {a.shape}")
    return plain((a.T if time_major else a).view(np.uint8))


def _pad_flags(name: str, flags: Sequence[npt.ArrayLike], sequences: int, steps: int, lengths: Array) -> Array:
    if len(flags) != sequences:
        raise ValueError(f"{name}: one array for each of N = {sequences} sequences is required, got {len(flags)}")
    padded = np.zeros((sequences, steps), np.uint8)
    for i, (own, length) in enumerate(zip(flags, lengths, strict=True)):
        a = checks.as_array(f"{name}[{i}]", own)
        _require_bool(f"{name}[{i}]", a)
        if a.shape != (length,):
            raise ValueError(f"{name}[{i}]: shape (T,) = ({length},) is required, got {a.shape}")
        padded[i, :length] = a
    return padded


def _require_bool(name: str, array: Array) -> None:
    if array.dtype != bool:
        raise TypeError(f"{name}: dtype bool is required, got {array.dtype}")


def rnn_forward(
    weights: list[Weights],
    x: Array,
    h0: Array | None,
    c0: Array | None,
    lengths: Array | None,
    *,
    directions: int,
    time_major: bool,
    save: str,
    resets: Array | None = None,
    reset_state: Parts | None = None,
    random: Random | None = None,
    offsets: Array | None = None,
) -> tuple[Array, Array, Array | None, CoreTape | None]:
    """Run a stack over x (N, T, C). Returns y (N, T, D*P), h, c, tape.

    With ``offsets``, int64 (N,), x is (M, C), and step t of sequence n is its row ``offsets[n] + t``; x is not copied.
    ``resets`` (R,), y (R, D*P), and dy and dx of the backward call then hold the R = sum of ``lengths`` rows of the
    sequences, one sequence after another.

    ``weights`` are those of layer*D + direction; ``reset_state`` are h (L*D, 1, P) and c (L*D, 1, H) that resets begin
    with, None for zeros; ``save`` is "nothing", "all" or "recompute"; ``random`` is (the numbers of
    ``Randomness``, seed, call), or None where nothing is.
    """
    return _core.forward(
        weights, directions, x, h0, c0, reset_state, lengths, resets, time_major, save, random, offsets
    )


def rnn_backward(
    tape: CoreTape,
    dy: Array | None,
    dh: Array | None,
    dc: Array | None,
    gradients: list[Gradients],
    *,
    need_dx: bool = True,
    norms: Array | None = None,
) -> tuple[Array | None, Array, Array | None, Array | None, Array | None]:
    """Go back through time; return dx, dh0, dc0, and add to ``gradients``, by ``weights`` in the order of ``pack``.

    Behind them, of the same shapes, those of the ``reset_state`` of forward: each sequence's sum, or None.
    ``norms``, float64 zeros (L*D, N, T), receive |dL/dh| of every step.
    """
    return _core.backward(tape, dy, dh, dc, gradients, need_dx, norms)


def trace(tape: CoreTape) -> list[tuple[Array | None, Array | None, list[Array]]]:
    """Return (N, T, D*H) arrays of every layer: h (None for the last one's, which is y), c or None, the gates.

    Of a projected h (N, T, D*P). Of a call with offsets the arrays are the same, and T is the longest length.
    """
    return _core.trace(tape)

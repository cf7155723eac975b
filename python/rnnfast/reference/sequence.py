"""A recurrent network over sequences (layers, directions, lengths, resets) and its derivative.

Legend: N sequences, T steps, C inputs, H units, L layers, D directions. Arrays are ``(N, T, C)``, states
``(L*D, N, H)`` with index ``layer*D + direction``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnfast.reference.base import Array, Cell, State, Weights
from rnnfast.reference.cells import make_cell
from rnnfast.reference.scan import Bool, Scan, scan_backward, scan_forward

PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_ph", "weight_hr")
NORMS = ("gamma_ih", "gamma_hh", "gamma_c", "beta_c")
STARTS = ("h0", "c0")


@dataclass(frozen=True)
class Tape:
    """What :func:`backward` needs.

    Attributes
    ----------
    cell : Cell
    names : tuple of str
        Names of the parameters.
    scans : list of Scan
        At index layer*D + direction.
    directions : int
        D.
    masks : mapping of int to array
        Masks of the layers' inputs, by layer.
    single_state : bool
        Whether the state is one array.
    starts : tuple of int
        Indices of the states that started from the parameters h0 and c0.
    """

    cell: Cell
    names: tuple[str, ...]
    scans: list[Scan]
    directions: int
    masks: Mapping[int, Array]
    single_state: bool
    starts: tuple[int, ...] = ()


def forward(
    cell: str,
    params: Mapping[str, Array],
    x: Array,
    state: Array | tuple[Array, Array] | None = None,
    *,
    lengths: Sequence[int] | Array | None = None,
    resets: Array | None = None,
    masks: Sequence[Array] | None = None,
    input_masks: Sequence[Array] | None = None,
    recurrent_masks: Sequence[Array] | None = None,
    zones: Sequence[Sequence[Array | float]] | None = None,
    **options: Any,
) -> tuple[Array, Array | tuple[Array, ...], Tape]:
    """Run a network over ``x``: at every step ``state = f(x(t), state)`` and ``y(t) = h``.

    Parameters
    ----------
    cell : {"rnn", "lstm", "gru"}
    params : mapping of str to array
        PyTorch's names and shapes; they determine L and D. For each layer and direction ``weight_ih_l{k}[_reverse]``
        (G*H, C), above the first layer (G*H, D*H), and ``weight_hh_...`` (G*H, H). Optional are ``bias_ih_...`` and
        ``bias_hh_...`` (G*H,), peepholes ``weight_ph_...`` (3 or 2, H), projections ``weight_hr_...`` (K, H), where y,
        h and ``weight_hh_...`` then have K columns, for layer normalisation ``gamma_ih_...`` and ``gamma_hh_...``
        (G*H,) and, of an LSTM, ``gamma_c_...`` and ``beta_c_...`` (H,), and initial states ``h0`` and ``c0``
        (L*D, 1, H).
    x : array (N, T, C)
    state : array (L*D, N, H), or tuple (h, c) of two for an LSTM
        The initial state; by default h0 and c0, or zeros.
    lengths : integers (N,)
        Number of steps of each sequence, 0..T. Past it y is zero and the state stays as it is. The reverse direction
        starts at each sequence's own end.
    resets : bool array (N, T)
        True at t separates step t-1 from step t: in either direction, the step after the cut starts from h0 and c0, or
        from zeros where ``params`` has none, also where t is 0 and a state is given.
    masks : sequence of L-1 arrays (N, T, D*H)
        Multiply the input of the layers 1..L-1 (dropout).
    input_masks : sequence of L arrays (N, C or D*H)
        Multiply the input of each layer at every step (input dropout).
    recurrent_masks : sequence of L*D arrays (N, H)
        Multiply the h that R reads at every step (recurrent dropout).
    zones : sequence of L*D tuples, of one array (N, T, H) or float for each state
        Shares of the previous state in the new one, ``state = zone state_prev + (1 - zone) state`` (zoneout, Krueger et
        al. 2017). A float p is the expectation.
    options
        Those of :func:`make_cell`.

    Returns
    -------
    y : array (N, T, D*H)
    state : like the argument ``state``
        The state after the last step of each sequence.
    tape : Tape
        For :func:`backward`.

    Raises
    ------
    ValueError
        If the cell or an activation is unknown, or a length is outside 0..T.

    Examples
    --------
    >>> params = {"weight_ih_l0": np.ones((3, 2)), "weight_hh_l0": np.zeros((3, 3))}
    >>> y, state, tape = forward("rnn", params, np.ones((1, 4, 2)), lengths=[2])
    >>> y.shape, np.round(y[0, :, 0], 3)
    ((1, 4, 3), array([0.964, 0.964, 0.   , 0.   ]))
    """
    policy = make_cell(cell, **options)
    steps = x.shape[1]
    valid = _valid(lengths, x.shape[0], steps)
    resets = np.zeros_like(valid) if resets is None else np.asarray(resets, bool) & valid
    layers, directions = _structure(params)
    given: State = () if state is None else state if isinstance(state, tuple) else (state,)
    starts = tuple(range(policy.states)) if state is None and "h0" in params else ()
    if starts:
        given = tuple(np.repeat(params[name], x.shape[0], axis=1) for name in STARTS[: policy.states])
    dtype = np.result_type(np.float32, x, *given, *params.values())
    hidden = params["weight_hr_l0" if "weight_hr_l0" in params else "weight_hh_l0"].shape[1]
    sizes = (params["weight_hh_l0"].shape[1], hidden)[: policy.states]
    states = _initial(policy, given, [(layers * directions, x.shape[0], size) for size in sizes], dtype)
    own: State = tuple(params[name] for name in STARTS[: policy.states]) if "h0" in params else ()
    anew = _initial(policy, own, [(layers * directions, 1, size) for size in sizes], dtype)
    final: list[State] = []
    scans: list[Scan] = []
    y = np.where(valid[..., None], x, 0).astype(dtype)
    dropped = _masks_of_inputs(layers, masks, input_masks)
    for layer in range(layers):
        y = y * dropped[layer] if layer in dropped else y
        outputs = []
        for direction in range(directions):
            mask = 1.0 if recurrent_masks is None else recurrent_masks[len(scans)].astype(dtype)
            start = tuple(s[len(scans)] for s in anew)
            scan = _make_scan(params, layer, direction, valid, resets, start, mask, dtype)
            scan = scan if zones is None else replace(scan, zones=zones[len(scans)])
            out, last = scan_forward(policy, scan, y, tuple(s[len(scans)] for s in states))
            scans.append(scan)
            outputs.append(out)
            final.append(last)
        y = np.concatenate(outputs, axis=2)
    stacked = tuple(np.stack(parts) for parts in zip(*final, strict=True))
    single = policy.states == 1
    return y, stacked[0] if single else stacked, Tape(policy, tuple(params), scans, directions, dropped, single, starts)


def backward(
    tape: Tape,
    dy: Array | None,
    dstate: Array | tuple[Array | None, ...] | None = None,
) -> tuple[Array, Array | tuple[Array, ...], dict[str, Array]]:
    """Back-propagate through time (Werbos 1990): return the gradients of a scalar loss.

    A weight is used at every step, so that its gradient is a sum over the steps.

    Parameters
    ----------
    tape : Tape
        From :func:`forward`.
    dy : array (N, T, D*H) or None
        The loss's gradient with respect to y; None for zeros.
    dstate : array (L*D, N, H), or tuple of two for an LSTM, or None
        The loss's gradient with respect to the final state; None, also within the tuple, stands for zeros.

    Returns
    -------
    dx : array (N, T, C)
    dstate : like the state
        The gradient with respect to the initial state.
    grads : dict of str to array
        The gradients with respect to the parameters, by name.

    Examples
    --------
    >>> params = {"weight_ih_l0": np.full((1, 1), 2.0), "weight_hh_l0": np.full((1, 1), 3.0)}
    >>> y, state, tape = forward("rnn", params, np.ones((1, 2, 1)), activation="identity")
    >>> dx, dstate, grads = backward(tape, None, np.ones((1, 1, 1)))
    >>> dx[0, :, 0], dstate[0, 0], grads["weight_ih_l0"], grads["weight_hh_l0"]
    (array([6., 2.]), array([9.]), array([[4.]]), array([[2.]]))
    """
    count, last = len(tape.scans), tape.scans[-1]
    hidden, (rows, steps) = last.weights.R.shape[1], last.valid.shape
    sizes = (hidden, len(last.weights.W) // tape.cell.gates)
    dtype = last.weights.W.dtype
    given = (dstate,) if dstate is None or isinstance(dstate, np.ndarray) else dstate
    given = given + (None,) * (tape.cell.states - len(given))
    dstates = [
        np.zeros((count, rows, size), dtype) if d is None else np.array(d, dtype)
        for d, size in zip(given, sizes, strict=False)
    ]
    if dy is None:
        dy = np.zeros((rows, steps, tape.directions * hidden), dtype)
    dy = np.where(last.valid[..., None], dy, 0)
    dstarts = [np.zeros((count, 1, size), dtype) for size in sizes[: tape.cell.states]]
    grads: dict[str, Array] = {}
    for layer in reversed(range(count // tape.directions)):
        parts = []
        for direction in range(tape.directions):
            index = layer * tape.directions + direction
            scan = tape.scans[index]
            own = dy[..., direction * hidden : (direction + 1) * hidden]
            dx, first, anew, total = scan_backward(tape.cell, scan, own, tuple(d[index] for d in dstates))
            parts.append(dx)
            for d, value in zip([*dstates, *dstarts], [*first, *anew], strict=True):
                d[index] = value
            grads |= {name + scan.suffix: value for name, value in zip(PARTS + NORMS, total.tensors(), strict=True)}
        dy = sum(parts[1:], parts[0])
        dy = dy * tape.masks[layer] if layer in tape.masks else dy
    for index, name in enumerate(STARTS[: tape.cell.states]):
        used = index in tape.starts
        grads[name] = dstarts[index] + (dstates[index] if used else 0 * dstates[index]).sum(axis=1, keepdims=True)
    return dy, dstates[0] if tape.single_state else tuple(dstates), {name: grads[name] for name in tape.names}


def _valid(lengths: Sequence[int] | Array | None, rows: int, steps: int) -> Bool:
    if lengths is None:
        return np.ones((rows, steps), bool)
    array = np.asarray(lengths)
    if array.shape != (rows,) or not ((array >= 0) & (array <= steps)).all():
        raise ValueError(f"lengths: {rows} integers in 0..T (T = {steps}) are required, got {array.tolist()}")
    return np.asarray(np.arange(steps) < array[:, None])


def _masks_of_inputs(
    layers: int, masks: Sequence[Array] | None, input_masks: Sequence[Array] | None
) -> dict[int, Array]:
    """Return by layer the mask of its input: (N, T, C), or (N, 1, C) where it is the same at every step."""
    found = {} if masks is None else dict(enumerate(masks, 1))
    for layer, mask in enumerate(input_masks or ()):
        found[layer] = mask[:, None] * found.get(layer, 1.0)
    return found


def _structure(params: Mapping[str, Array]) -> tuple[int, int]:
    """Return L and D, which the names of the parameters tell."""
    layers = sum(name.startswith("weight_hh_l") and not name.endswith("_reverse") for name in params)
    return layers, 2 if "weight_hh_l0_reverse" in params else 1


def _initial(cell: Cell, given: State, shapes: list[tuple[int, ...]], dtype: np.dtype[Any]) -> State:
    if not given:
        return tuple(np.zeros(shape, dtype) for shape in shapes)
    if len(given) != cell.states or [np.shape(part) for part in given] != shapes:
        got = [np.shape(part) for part in given]
        raise ValueError(f"state: {cell.states} of shape {shapes[-1]} (L*D, N, H) is required, got {got}")
    return tuple(np.asarray(part, dtype) for part in given)


def _make_scan(
    params: Mapping[str, Array],
    layer: int,
    direction: int,
    valid: Bool,
    resets: Bool,
    start: State,
    mask: Array | float,
    dtype: np.dtype[Any],
) -> Scan:
    suffix = f"_l{layer}" + ("_reverse" if direction else "")
    W, R = (params[name + suffix].astype(dtype) for name in PARTS[:2])
    none = (np.zeros(len(W)), np.zeros(len(W)), np.zeros((0, 1)), np.zeros((0, 1)))
    b_ih, b_hh, P, S = (
        params.get(name + suffix, zero).astype(dtype) for name, zero in zip(PARTS[2:], none, strict=True)
    )
    steps = range(valid.shape[1])
    cut = np.pad(resets[:, 1:], ((0, 0), (0, 1))) if direction else resets
    norms = {name: params[name + suffix].astype(dtype) for name in NORMS if name + suffix in params}
    weights = Weights(W, R, b_ih, b_hh, P, S, **norms, mask=mask)
    return Scan(suffix, weights, steps[::-1] if direction else steps, valid, cut, start, {})

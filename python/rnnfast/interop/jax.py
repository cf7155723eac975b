"""Weights from and to Flax and Equinox, as plain dictionaries of arrays; neither library is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.interop.layout import GATES, Scan, kernels, layer_of, of_shape, require_plain, scans_of

Array = npt.NDArray[Any]

LETTERS = {"lstm": "ifgo", "gru": "rzn"}
FORMS = ("linen", "nnx")


def from_flax(
    params: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    bidirectional: bool = False,
    cell_options: Mapping[str, Any] | None = None,
) -> Any:
    """Return the layer of the parameters of Flax's LSTMCell, OptimizedLSTMCell, GRUCell or SimpleCell.

    Parameters
    ----------
    params : dict, or list of dicts
        The parameters of a cell of ``flax.linen`` (``variables["params"]``) or of ``flax.nnx``
        (``nnx.to_pure_dict(nnx.state(cell, nnx.Param))``): nested dictionaries of arrays. A dictionary with one entry,
        as that of ``linen.RNN``, stands for this entry. A list has a cell for each layer and direction of a stack, at
        index layer*D + direction.
    bidirectional : bool
        Whether every second cell reads sequences from their end (``reverse=True, keep_order=True``).
    cell_options : dict, optional
        Options that the parameters do not tell: ``activation`` of a SimpleCell, ``activations`` of the others.

    Returns
    -------
    RNN, LSTM or GRU

    Raises
    ------
    ValueError
        If the names or shapes are not those of such a cell.

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer = rf.RNN(2, 3, seed=0)
    >>> params = to_flax(layer)[0]
    >>> {name: sorted(part) for name, part in params.items()}
    {'i': ['bias', 'kernel'], 'h': ['kernel']}
    >>> from_flax(params)
    RNN(2, 3, num_layers=1, dtype=float32)
    """
    found = [_flax_scan(f"params[{i}]", each) for i, each in enumerate(_listed(params))]
    return _layer(found, bidirectional=bidirectional, cell_options=cell_options)


def from_equinox(
    params: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    bidirectional: bool = False,
    cell_options: Mapping[str, Any] | None = None,
) -> Any:
    """Return the layer of the parameters of Equinox's LSTMCell or GRUCell.

    Parameters
    ----------
    params : dict, or list of dicts
        The arrays ``weight_ih``, ``weight_hh``, ``bias`` and, of a GRUCell, ``bias_n``, by name. Biases are left out,
        or None, where the cell has none. A list has a cell for each layer and direction, at index layer*D + direction.
    bidirectional : bool
        Whether every second cell reads sequences from their end.
    cell_options : dict, optional
        Further options of the layer.

    Returns
    -------
    LSTM or GRU

    Raises
    ------
    ValueError
        If the names or shapes are not those of such a cell.

    Examples
    --------
    >>> import rnnfast as rf
    >>> params = to_equinox(rf.GRU(2, 3, seed=0))[0]
    >>> {name: array.shape for name, array in params.items()}
    {'weight_ih': (9, 2), 'weight_hh': (9, 3), 'bias': (9,), 'bias_n': (3,)}
    >>> from_equinox(params)
    GRU(2, 3, num_layers=1, dtype=float32)
    """
    found = [_equinox_scan(f"params[{i}]", each) for i, each in enumerate(_listed(params))]
    return _layer(found, bidirectional=bidirectional, cell_options=cell_options)


def _listed(params: Any) -> Iterator[Mapping[str, Any]]:
    for i, each in enumerate([params] if isinstance(params, Mapping) else checks.as_items("params", params)):
        inner = checks.as_mapping(f"params[{i}]", each)
        while len(inner) == 1 and isinstance(next(iter(inner.values())), Mapping):
            inner = next(iter(inner.values()))
        yield inner


def _layer(found: Sequence[tuple[str, Scan]], *, bidirectional: bool, cell_options: Mapping[str, Any] | None) -> Any:
    cells = sorted({cell for cell, _ in found})
    if len(cells) != 1:
        raise ValueError(f"params: cells of one kind are required, got {', '.join(cells) or 'none'}")
    directions = 2 if checks.as_flag("bidirectional", bidirectional) else 1
    return layer_of(cells[0], [scan for _, scan in found], directions=directions, options=cell_options)


def _flax_scan(name: str, params: Mapping[str, Any]) -> tuple[str, Scan]:
    """Return the cell and the weights of one cell of Flax, its parameters in either form."""
    if set(params) == {"dense_i", "dense_h"}:
        return _scan(name, params["dense_i"], params["dense_h"])
    if set(params) == {"i", "h"}:
        return _scan(name, params["i"], params["h"])
    own = {key.rstrip("_"): value for key, value in params.items()}  # nnx has if_ for linen's if
    for letters in LETTERS.values():
        if set(own) == {side + letter for side in "ih" for letter in letters}:
            parts = [_joined(f"{name}.{side}", {gate: own[side + gate] for gate in letters}) for side in "ih"]
            return _scan(name, *parts)
    wanted = "the parameters of an LSTMCell, OptimizedLSTMCell, GRUCell or SimpleCell"
    raise ValueError(f"{name}: {wanted} are required, got {', '.join(map(str, params)) or 'none'}")


def _joined(name: str, gates: Mapping[str, Mapping[str, Any]]) -> dict[str, Array]:
    """Return the parts of all gates side by side; the bias of a gate that has none is zero where another has one."""
    blocks = [checks.as_array(f"{name}{gate}.kernel", part["kernel"]) for gate, part in gates.items()]
    found = {"kernel": np.concatenate(blocks, axis=1)}
    if any("bias" in part for part in gates.values()):
        zeros = np.zeros(blocks[0].shape[1], blocks[0].dtype)
        found["bias"] = np.concatenate([np.asarray(part.get("bias", zeros)) for part in gates.values()])
    return found


def _scan(name: str, inputs: Mapping[str, Any], hidden: Mapping[str, Any]) -> tuple[str, Scan]:
    w, r = (checks.as_array(f"{name} kernel", part["kernel"]) for part in (inputs, hidden))
    gates = r.shape[-1] // max(r.shape[0], 1) if r.ndim == 2 else 0
    cell = next((cell for cell, count in GATES.items() if count == gates), None)
    if cell is None:
        raise ValueError(f"{name}: a hidden kernel (H, G*H) with G of {GATES} is required, got shape {r.shape}")
    w, r = kernels(name, cell, w, r)
    rows = r.shape[1]
    biases: list[Array | None] = [None, None]
    if "bias" in inputs or "bias" in hidden:
        biases = [
            of_shape(f"{name} bias", part["bias"], (rows,), "(G*H,)") if "bias" in part else np.zeros(rows, r.dtype)
            for part in (inputs, hidden)
        ]
    return cell, Scan(w.T, r.T, *biases)


def _equinox_scan(name: str, params: Mapping[str, Any]) -> tuple[str, Scan]:
    own = {key: value for key, value in params.items() if value is not None}
    if not {"weight_ih", "weight_hh"} <= set(own) <= {"weight_ih", "weight_hh", "bias", "bias_n"}:
        wanted = "weight_ih, weight_hh and perhaps bias and bias_n"
        raise ValueError(f"{name}: {wanted} are required, got {', '.join(map(str, params)) or 'none'}")
    w, r = (
        checks.as_array(f"{name}.weight_ih", own["weight_ih"]),
        checks.as_array(f"{name}.weight_hh", own["weight_hh"]),
    )
    gates = len(r) // max(r.shape[1], 1) if r.ndim == 2 else 0
    cell = {3: "gru", 4: "lstm"}.get(gates)
    if cell is None or ("bias_n" in own) != (cell == "gru" and "bias" in own):
        wanted = "weight_hh (4*H, H) without, or (3*H, H) and bias with bias_n"
        raise ValueError(f"{name}: {wanted} is required, got {', '.join(own)} with weight_hh {r.shape}")
    w, r = kernels(name, cell, w.T, r.T)
    if "bias" not in own:
        return cell, Scan(w.T, r.T)
    H, rows = r.shape
    bias, other = of_shape(f"{name}.bias", own["bias"], (rows,), "(G*H,)"), np.zeros(rows, r.dtype)
    if cell == "gru":
        other[2 * H :] = of_shape(f"{name}.bias_n", own["bias_n"], (H,), "(H,)")
    return cell, Scan(w.T, r.T, bias, other)


def to_flax(layer: Any, *, form: str = "linen") -> list[dict[str, Any]]:
    """Return the parameters of a layer for cells of Flax: nested dictionaries of NumPy arrays.

    Parameters
    ----------
    layer : RNN, LSTM or GRU
        With its usual activations.
    form : {"linen", "nnx"}
        "linen" is for SimpleCell, LSTMCell, OptimizedLSTMCell and GRUCell of ``flax.linen``; "nnx" for SimpleCell,
        OptimizedLSTMCell and GRUCell of ``flax.nnx``.

    Returns
    -------
    list of dicts
        One for each layer and direction, at index layer*D + direction. Biases that the cell has once are added.

    Raises
    ------
    ValueError
        If an option has no counterpart, which the message names. GRUCell of ``flax.nnx`` has no bias of n within the
        reset gate, so that ``bias_hh`` of n must be zero.
    """
    cell = require_plain(layer, "Flax", allowed=("bidirectional",))
    form = checks.as_choice("form", form, FORMS)
    return [_flax_params(cell, scan, form) for scan in scans_of(layer)]


def _flax_params(cell: str, scan: Scan, form: str) -> dict[str, Any]:
    bias_ih, bias_hh = scan.biases()
    H = scan.weight_hh.shape[1]
    if cell == "lstm":
        bias_ih, bias_hh = np.zeros_like(bias_ih), bias_ih + bias_hh
    elif cell == "rnn":
        bias_ih, bias_hh = bias_ih + bias_hh, np.zeros_like(bias_hh)
    else:
        bias_ih, bias_hh = _gru_biases(bias_ih, bias_hh, H)
    w, r = np.ascontiguousarray(scan.weight_ih.T), np.ascontiguousarray(scan.weight_hh.T)
    if cell == "rnn" or form == "nnx":
        if cell == "gru" and bias_hh.any():
            raise ValueError("bias_hh: zeros for n are required, for GRUCell of flax.nnx has no such bias, got others")
        i, h = ("i", "h") if form == "linen" else ("dense_i", "dense_h")
        if cell == "lstm":
            return {i: {"kernel": w}, h: {"kernel": r, "bias": bias_hh}}
        return {i: {"kernel": w, "bias": bias_ih}, h: {"kernel": r}}
    found: dict[str, Any] = {}
    for k, gate in enumerate(LETTERS[cell]):
        block = np.s_[k * H : (k + 1) * H]
        found["i" + gate] = {"kernel": np.ascontiguousarray(w[:, block])}
        found["h" + gate] = {"kernel": np.ascontiguousarray(r[:, block])}
        if cell == "gru":
            found["i" + gate]["bias"] = bias_ih[block]
        if cell == "lstm" or gate == "n":
            found["h" + gate]["bias"] = bias_hh[block]
    return found


def _gru_biases(bias_ih: Array, bias_hh: Array, H: int) -> tuple[Array, Array]:
    """Return the biases of a GRU, those of r and z added in the first, that of n as it is in both."""
    within = np.zeros_like(bias_hh)
    within[2 * H :] = bias_hh[2 * H :]
    return bias_ih + (bias_hh - within), within


def to_equinox(layer: Any) -> list[dict[str, Array]]:
    """Return the parameters of a layer for Equinox's LSTMCell or GRUCell: dictionaries of NumPy arrays.

    Parameters
    ----------
    layer : LSTM or GRU
        With its usual activations.

    Returns
    -------
    list of dicts
        ``weight_ih``, ``weight_hh``, ``bias`` and ``bias_n`` as far as the cell has them, for each layer and direction,
        at index layer*D + direction. Biases that the cell has once are added.

    Raises
    ------
    ValueError
        If an option has no counterpart, which the message names.
    """
    cell = require_plain(layer, "Equinox", allowed=("bidirectional",))
    if cell == "rnn":
        raise ValueError("cell: lstm or gru is required, for Equinox has no other, got rnn")
    return [_equinox_params(cell, scan) for scan in scans_of(layer)]


def _equinox_params(cell: str, scan: Scan) -> dict[str, Array]:
    found = {"weight_ih": scan.weight_ih, "weight_hh": scan.weight_hh}
    if scan.bias_ih is None or scan.bias_hh is None:
        return found
    if cell == "lstm":
        return {**found, "bias": scan.bias_ih + scan.bias_hh}
    H = scan.weight_hh.shape[1]
    bias, within = _gru_biases(scan.bias_ih, scan.bias_hh, H)
    return {**found, "bias": bias, "bias_n": within[2 * H :]}

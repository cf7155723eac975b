"""Weights of recurrent nodes and layers: ONNX stacks directions and orders gates in its own way.

D directions, G gates, C inputs, H units. A node has W (D, G*H, C), R (D, G*H, H), B (D, 2*G*H) with the biases of W
before those of R, and P (D, 3*H).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
"""G of a node. ONNX keeps the rows of a forget gate that ``input_forget`` leaves unused."""

# At index k, the place in ONNX of the layer's k-th block of rows. LSTM: iofc, where a layer has ifgo; GRU: zrh and rzn.
_ORDER = {"rnn": (0,), "lstm": (0, 2, 3, 1), "gru": (1, 0, 2)}
_COUPLED = (0, 3, 1)  # the layer has i, g, o
# Peepholes: ONNX has i, o, f; a layer i, f, o, or i, o where it is coupled.
_PEEPHOLES, _COUPLED_PEEPHOLES = (0, 2, 1), (0, 1)

SUFFIXES = ("", "_reverse")


def from_node(
    cell: str, W: Array, R: Array, B: Array | None, P: Array | None, *, coupled: bool, layer: int = 0
) -> dict[str, Array]:
    """Return the parameters of a layer of D = ``len(W)`` directions under rnnfast's names, bit for bit.

    Parameters
    ----------
    cell : {"rnn", "lstm", "gru"}
    W, R, B, P : arrays
        Of a node; None where it has no biases or no peepholes.
    coupled : bool
        Whether the node has ``input_forget``; the rows of its forget gate are left out.
    layer : int
        Number in the names, as in ``weight_ih_l0``.

    Examples
    --------
    >>> W = np.array([[[1.0], [2.0], [3.0], [4.0]]])  # gates i, o, f, c
    >>> from_node("lstm", W, W, None, None, coupled=False)["weight_ih_l0"].ravel()
    array([1., 3., 4., 2.])
    """
    order = _COUPLED if coupled else _ORDER[cell]
    found: dict[str, Array] = {}
    for d in range(len(W)):
        own = {"weight_ih": _picked(W[d], GATES[cell], order), "weight_hh": _picked(R[d], GATES[cell], order)}
        if B is not None:
            of_W, of_R = np.split(B[d], 2)
            own |= {"bias_ih": _picked(of_W, GATES[cell], order), "bias_hh": _picked(of_R, GATES[cell], order)}
        if P is not None:
            own["weight_ph"] = P[d].reshape(3, -1)[list(_COUPLED_PEEPHOLES if coupled else _PEEPHOLES)]
        found |= {f"{name}_l{layer}{SUFFIXES[d]}": value for name, value in own.items()}
    return found


def to_node(cell: str, state: Mapping[str, Array], layer: int, *, directions: int, coupled: bool) -> dict[str, Array]:
    """Return W and R, and B and P where there are any, of one layer of a state dict; the inverse of ``from_node``.

    Rows of a forget gate that the layer lacks are zeros.

    Examples
    --------
    >>> rows = np.array([[1.0], [2.0], [3.0], [4.0]])  # gates i, f, g, o
    >>> to_node("lstm", {"weight_ih_l0": rows, "weight_hh_l0": rows}, 0, directions=1, coupled=False)["W"].ravel()
    array([1., 4., 2., 3.])
    """
    order = _COUPLED if coupled else _ORDER[cell]
    found: dict[str, list[Array]] = {}
    for suffix in SUFFIXES[:directions]:
        own = {
            name: state[f"{name}_l{layer}{suffix}"]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_ph")
            if f"{name}_l{layer}{suffix}" in state
        }
        parts = {
            "W": _placed(own["weight_ih"], GATES[cell], order),
            "R": _placed(own["weight_hh"], GATES[cell], order),
        }
        if "bias_ih" in own:
            biases = [_placed(own[name], GATES[cell], order) for name in ("bias_ih", "bias_hh")]
            parts["B"] = np.concatenate(biases)
        if "weight_ph" in own:
            rows = own["weight_ph"].reshape(-1)
            parts["P"] = _placed(rows, 3, _COUPLED_PEEPHOLES if coupled else _PEEPHOLES)
        for name, value in parts.items():
            found.setdefault(name, []).append(value)
    return {name: np.stack(values) for name, values in found.items()}


def _picked(rows: Array, count: int, order: Sequence[int]) -> Array:
    """Return the blocks at ``order`` of ``count`` equal blocks of rows."""
    blocks = np.split(rows, count)
    return np.concatenate([blocks[k] for k in order])


def _placed(rows: Array, count: int, order: Sequence[int]) -> Array:
    """Return ``count`` blocks of rows, of which those at ``order`` are given and the others zeros."""
    given = np.split(rows, len(order))
    blocks = [np.zeros_like(given[0])] * count
    for k, block in zip(order, given, strict=True):
        blocks[k] = block
    return np.concatenate(blocks)

"""What the random options of a layer draw, seen through layers that show nothing else, and the reference under it."""

from __future__ import annotations

from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast import reference
from tests.support.comparison import KINDS, Problem, Result, bundle, collect, unbundle

MASKED = ["rnn-tanh", "rnn-leaky", "lstm", "lstm-coupled-peephole", "gru", "gru-activations"]
# Cells and the random options that are tried with them.
DROPPING = ["rnn-tanh", "rnn-leaky", "lstm", "lstm-coupled-peephole", "lstm-normed", "gru", "gru-normed"]
RANDOM_OPTIONS = [
    *((kind, "dropout") for kind in [*DROPPING, "gru-before"]),
    *((kind, "recurrent_dropout") for kind in DROPPING),
    *((kind, "noise") for kind in DROPPING[:2]),
    *((kind, "zoneout") for kind in ["rnn-tanh", "lstm", "lstm-coupled", "gru", "gru-before"]),
]


def silent(H: int, **options: Any) -> rf.RNN:
    """A layer without weights: y is its noise."""
    layer = rf.RNN(1, H, activation="identity", **options)
    for p in layer.parameters().values():
        p[...] = 0
    return layer


def noise_of(layer: Any, N: int, T: int) -> np.ndarray:
    """The noise that the layer's next training call adds to its pre-activations, (N, T, H)."""
    probe = silent(layer.hidden_size, noise=layer._random[3], dtype=layer.dtype)
    probe._dropout_seed, probe._calls = layer._dropout_seed, layer._calls
    return probe.forward(np.zeros((N, T, 1), layer.dtype))[0]


def masks_of(layer: Any, N: int) -> np.ndarray:
    """The factors of the h that R reads in the layer's next training call, (L*D, N, H)."""
    L, H = layer.num_layers, layer.hidden_size
    probe = silent(H, num_layers=L, bidirectional=layer.bidirectional, recurrent_dropout=0.5, dtype=layer.dtype)
    for name, p in probe.parameters().items():
        if "weight_hh" in name:
            p[...] = np.eye(H)
    probe._dropout_seed, probe._calls = layer._dropout_seed, layer._calls
    last = probe.forward(np.zeros((N, 1, 1), layer.dtype), np.ones((L * layer.directions, N, H), layer.dtype))[1]
    return unbundle(last)[0]


def trained(layer: Any, problem: Problem, dtype: str) -> Result:
    """Forward in training, and backward."""
    state = bundle([s.astype(dtype) for s in problem.state or ()])
    y, last, tape = layer.forward(problem.x.astype(dtype), state, lengths=problem.lengths)
    dx, dfirst = layer.backward(tape, problem.dy.astype(dtype), bundle([d.astype(dtype) for d in problem.dstate]))
    return collect(y, last, dx, dfirst, {name: p.grad for name, p in layer.parameters().items()})


def masked_reference(problem: Problem, masks: np.ndarray) -> Result:
    """The reference's results under masks (L*D, N, H) of the h that R reads."""
    kind, choice = KINDS[problem.cell]
    choice = {"lengths": problem.lengths, "recurrent_masks": masks, **choice}
    y, last, tape = reference.forward(kind, problem.params, problem.x, bundle(problem.state), **choice)
    dx, dfirst, grads = reference.backward(tape, problem.dy, bundle(problem.dstate))
    return collect(y, last, dx, dfirst, grads)


ZONED: dict[str, Any] = {
    "rnn-tanh": 0.3,
    "rnn-leaky": 0.3,
    "gru": 0.3,
    "gru-before": 0.3,
    "lstm": 0.3,
    "lstm-coupled": (0.3, 0.2),
    "lstm-activations": (0.3, 0.2),
    "lstm-peephole": 0.3,
}


Zones = list[tuple[Any, ...]]


def counter(cell: str, H: int, **options: Any) -> Any:
    """A layer whose states grow by one at every step at which they do not stay."""
    if cell == "lstm":
        layer: Any = rf.LSTM(1, H, activations=("identity",) * 3, dtype="float64", **options)
    else:
        layer = rf.RNN(1, H, activation="identity", dtype="float64", **options)
    for name, p in layer.parameters().items():
        p[...] = np.eye(H) if cell == "rnn" and "weight_hh" in name else float("bias_ih" in name)
    return layer


def stays(layer: Any, zoneout: Any, N: int, T: int, state: int) -> list[np.ndarray]:
    """Which units of a state stay in the layer's next training call, (N, T, H) for every layer and direction."""
    options = {"num_layers": layer.num_layers, "bidirectional": layer.bidirectional, "zoneout": zoneout}
    probe = counter("lstm" if state else "rnn", layer.hidden_size, **options)
    probe._dropout_seed = layer._dropout_seed
    scans = layer.num_layers * layer.directions
    counts = np.zeros((scans, T + 1, N, layer.hidden_size))
    for steps in range(1, T + 1):
        probe._calls = layer._calls
        final = probe.forward(np.zeros((N, steps, 1)))[1]
        counts[:, steps] = final[1] if state else final
    return list((1 - np.diff(counts, axis=1)).transpose(0, 2, 1, 3))


def zones_of(layer: Any, zoneout: Any, N: int, T: int) -> Zones:
    """The units that stay, in the form of the reference's ``zones``."""
    pair = zoneout if isinstance(zoneout, tuple) else (zoneout, 0.0)
    found = [stays(layer, pair[0], N, T, 0)]
    if layer.has_cell_state:
        found.append(stays(layer, (0.0, pair[1]), N, T, 1))
    return list(zip(*found, strict=True))


def zoned_reference(problem: Problem, zones: Zones) -> Result:
    kind, choice = KINDS[problem.cell]
    given = {"lengths": problem.lengths, "resets": problem.resets, "zones": zones, **choice}
    y, last, tape = reference.forward(kind, problem.params, problem.x, bundle(problem.state), **given)
    dx, dfirst, grads = reference.backward(tape, problem.dy, bundle(problem.dstate))
    return collect(y, last, dx, dfirst, grads)


def expected_zones(problem: Problem, zoneout: Any) -> Zones:
    pair = zoneout if isinstance(zoneout, tuple) else (zoneout, 0.0)
    return [pair[: len(problem.dstate)]] * len(problem.dstate[0])

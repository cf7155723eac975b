"""A small layer and a small model of every kind, with data to train them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import rnnfast as rf

RNG = np.random.default_rng(0)
X, LABELS, IDS = RNG.normal(size=(12, 5, 3)), np.arange(12) % 2, RNG.integers(0, 6, (12, 7))


class Decay(rf.CustomCell, name="decaying"):
    """``h = h_prev / 2 + w x``."""

    def shapes(self, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {"w": (hidden, inputs)}

    def forward(self, p: Any, x: Any, state: Any) -> Any:
        return (state[0] / 2 + x @ p["w"].T,), x

    def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
        return dstate[0] @ p["w"], (dstate[0] / 2,), {"w": dstate[0].T @ saved}


SMALL_LAYERS: dict[str, Callable[[], Any]] = {
    "rnn": lambda: rf.RNN(3, 4, activation="relu", noise=0.1, seed=0),
    "lstm": lambda: rf.LSTM(3, 4, num_layers=2, dropout=0.3, bidirectional=True, proj_size=2, seed=0),
    "gru": lambda: rf.GRU(3, 4, recurrent_dropout=0.2, learn_initial_state=True, dtype="float64", seed=0),
    "norm": lambda: rf.LSTM(3, 4, layer_norm=True, time_major=True, seed=0),
    "zoneout": lambda: rf.GRU(3, 4, zoneout=0.2, reset_after=False, seed=0),
    "custom": lambda: rf.CustomLayer(Decay(), 3, 4, num_layers=2, dropout=0.3, seed=0),
}


SMALL_MODELS: dict[str, tuple[Callable[[], Any], tuple[Any, ...]]] = {
    "many to one": (lambda: rf.ManyToOne(3, 2, num_layers=2, dropout=0.2, hidden_size=4, seed=0), (X, LABELS)),
    "many to many": (lambda: rf.ManyToMany(6, 6, embedding=2, cell="gru", hidden_size=4, seed=0), (IDS, IDS)),
    "one to many": (lambda: rf.OneToMany(6, cell="rnn", hidden_size=4, seed=0), (IDS,)),
    "encoder decoder": (
        lambda: rf.EncoderDecoder(
            6, 6, hidden_size=4, source_embedding=3, bidirectional=True, attention="additive", seed=0
        ),
        (IDS, IDS),
    ),
    "custom": (lambda: rf.ManyToOne(3, 2, cell=Decay, hidden_size=4, seed=0), (X, LABELS)),
}

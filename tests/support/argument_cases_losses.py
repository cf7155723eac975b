"""The cases of losses and metrics."""

from __future__ import annotations

import numpy as np

import rnnfast as rf
from tests.support.argument_cases import Case

LOSSES: dict[str, Case] = {
    "Huber": Case(make=lambda: rf.losses.Huber, valid=lambda: {"delta": 0.5}),
    "Quantile": Case(
        make=lambda: rf.losses.Quantile, valid=lambda: {"quantiles": [0.1, 0.9]}, accepted={"quantiles": ""}
    ),
    "CrossEntropy": Case(
        make=lambda: rf.losses.CrossEntropy,
        valid=lambda: {"class_weights": [1.0, 2.0], "label_smoothing": 0.1, "ignore_index": -100},
    ),
    "CrossEntropy.__call__": Case(
        make=rf.losses.CrossEntropy,
        valid=lambda: {"outputs": np.ones((3, 2)), "y": [0, 1, 1], "weights": [1, 2, 3]},
        accepted={"outputs": "", "weights": "None"},
    ),
    "Huber.__call__": Case(
        make=rf.losses.Huber,
        valid=lambda: {"outputs": np.ones((3, 2)), "y": np.ones((3, 2)), "weights": [1, 2, 3]},
        accepted={"outputs": "", "weights": "None"},
    ),
    "TopKAccuracy": Case(make=lambda: rf.metrics.TopKAccuracy, valid=lambda: {"k": 3}),
    "F1": Case(make=lambda: rf.metrics.F1, valid=lambda: {"average": "macro"}, accepted={"average": "None"}),
    "EditDistance": Case(
        make=lambda: rf.metrics.EditDistance, valid=lambda: {"stop": 3}, accepted={"stop": "None -1 0"}
    ),
    "edit_distance": Case(
        make=lambda: rf.metrics.edit_distance,
        valid=lambda: {"a": "ab", "b": "ba"},
        accepted={"a": "text", "b": "text"},
    ),
}

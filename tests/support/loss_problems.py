"""A small model of every kind for every loss, with data to learn, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import rnnfast as rf

Array = npt.NDArray[Any]
N, T, C, K = 6, 4, 2, 2
LENGTHS = (4, 2, 3, 4, 1, 3)

# Losses of outputs that are the predictions, and then those of others.
DIRECT: dict[str, Any] = {
    "mse": "mse",
    "mae": "mae",
    "huber": {"name": "huber", "delta": 0.3},
    "log_cosh": "log_cosh",
    "median": {"name": "quantile", "quantiles": [0.4]},
    "binary_cross_entropy": "binary_cross_entropy",
    "cross_entropy": {
        "name": "cross_entropy",
        "class_weights": [0.5, 2.0, 1.0],
        "label_smoothing": 0.1,
        "ignore_index": 1,
    },
}
OTHERS: dict[str, Any] = {
    "quantile": {"name": "quantile", "quantiles": [0.1, 0.5, 0.9]},
    "gaussian": "gaussian",
    "student_t": "student_t",
    "poisson": "poisson",
    "negative_binomial": "negative_binomial",
}
KINDS = ("ManyToOne", "ManyToMany", "OneToMany", "EncoderDecoder")
LOSSES: dict[str, Any] = {**DIRECT, **OTHERS}
CASES = [(kind, name) for kind in KINDS for name in LOSSES]


def make(kind: str, problem: str, **options: Any) -> Any:
    """A float64 model; ids are 0..2, all else has two numbers."""
    size = 3 if problem == "cross_entropy" else K
    sizes: tuple[int, ...] = (size, size) if kind == "OneToMany" else (C, size)
    loss = LOSSES[problem]
    if problem == "cross_entropy" and kind == "EncoderDecoder":
        loss = {**loss, "class_weights": [*loss["class_weights"], 1.5]}  # of the stop
    own = {"cell": "gru", "hidden_size": 4, "dtype": "float64", "seed": 0, **options}
    return getattr(rf, kind)(*sizes, **{"loss": loss, **own})


def targets(loss: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if loss == "cross_entropy":
        return rng.integers(0, 3, shape)
    full = (*shape, K)
    if loss in ("poisson", "negative_binomial"):
        return rng.poisson(3, full).astype(float)
    return rng.random(full) if loss == "binary_cross_entropy" else rng.normal(size=full)


def data(kind: str, loss: str, rng: np.random.Generator) -> dict[str, Any]:
    """Arguments of ``loss``, of ragged sequences where targets are aligned or pairs."""
    if kind == "OneToMany":
        return {"sequences": targets(loss, (N, T), rng)}
    x = [rng.normal(size=(n, C)) for n in LENGTHS]
    if kind == "ManyToOne":
        return {"x": x, "y": targets(loss, (N,), rng)}
    return {"x": x, "y": [targets(loss, (n,), rng) for n in LENGTHS]}


def gradients(model: Any, given: dict[str, Any]) -> dict[str, Array]:
    model.zero_grad()
    loss = model.loss_and_grad(**given)
    return {"loss": np.array(loss), **{name: p.grad.copy() for name, p in model.parameters().items()}}


def assert_alike(found: dict[str, Array], expected: dict[str, Array]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-13, err_msg=name)


def heads(**options: Any) -> Any:
    own = {"cell": "gru", "hidden_size": 4, "dtype": "float64", "seed": 0, "loss_weights": {"b": 0.3}, **options}
    return rf.ManyToMany(C, outputs={"a": 3, "b": 2}, **own)


def headed(rng: np.random.Generator) -> tuple[list[Array], dict[str, list[Array]]]:
    x = [rng.normal(size=(n, C)) for n in LENGTHS]
    return x, {"a": [rng.integers(0, 3, n) for n in LENGTHS], "b": [rng.normal(size=(n, 2)) for n in LENGTHS]}

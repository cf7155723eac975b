"""Weights of classes: those of elements, made when data are read."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.loss_problems import KINDS, LENGTHS, N, data, headed, heads, make


@pytest.mark.parametrize("form", ["balanced", "dict", "array"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_classes_are_weights_of_elements(kind: str, form: str, rng: np.random.Generator) -> None:
    """Those of "balanced" are computed of the targets; the validation has none."""
    model = make(kind, "cross_entropy", loss=None)
    twin, given = copy.deepcopy(model), data(kind, "cross_entropy", rng)
    values = given["sequences" if kind == "OneToMany" else "y"]
    seen = values[:, 1:] if kind == "OneToMany" else values
    if kind == "EncoderDecoder":
        seen = [np.append(s, 3) for s in values]
    ids = np.concatenate(seen) if isinstance(seen, list) else seen.ravel()
    size = 4 if kind == "EncoderDecoder" else 3
    if form == "balanced":
        counts = np.bincount(ids, minlength=size)
        v = len(ids) / ((counts > 0).sum() * np.maximum(counts, 1))
        weight: Any = "balanced"
    else:
        v = np.array([0.5, 1.0, 3.0, 0.5])[:size]
        weight = {0: 0.5, 2: 3, **({3: 0.5} if size == 4 else {})} if form == "dict" else v
    options: dict[str, Any] = {"epochs": 1, "optimizer": "sgd", "lr": 0.1, "progress": False, "batch_size": N}
    history = model.fit(
        *(given[name] for name in given),
        **options,
        class_weight=weight,
        validation_data=given["sequences"] if kind == "OneToMany" else (given["x"], given["y"]),
    ).history
    assert history["val_loss"][0] == pytest.approx(model.loss(**given), rel=1e-12)
    twin.zero_grad()
    if kind == "EncoderDecoder":  # the stop's weight is not that of the element before it
        twin = make(kind, "cross_entropy", loss={"name": "cross_entropy", "class_weights": v})
        expected = twin.loss_and_grad(**given)
    else:
        weights = [v[s] for s in values] if isinstance(values, list) else v[values]
        expected = twin.loss_and_grad(**given, sample_weight=weights)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-12)
    rf.SGD(twin.parameters(), lr=0.1).step()
    for name, value in twin.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], value, rtol=1e-10, atol=1e-13)


def test_weights_of_classes_multiply_those_of_samples(rng: np.random.Generator) -> None:
    model, given = make("ManyToOne", "cross_entropy", loss=None), data("ManyToOne", "cross_entropy", rng)
    w, v = rng.random(N), np.array([1.0, 2.0, 0.5])
    w[0] = 0
    fit: dict[str, Any] = {"epochs": 1, "lr": 1e-9, "progress": False}
    history = copy.deepcopy(model).fit(**given, sample_weight=w, class_weight=v, **fit).history
    assert history["loss"][0] == pytest.approx(model.loss(**given, sample_weight=w * v[given["y"]]), rel=1e-6)
    counts = np.bincount(given["y"][1:], minlength=3)
    balanced = np.where(counts > 0, (N - 1) / ((counts > 0).sum() * np.maximum(counts, 1)), 0)
    history = copy.deepcopy(model).fit(**given, sample_weight=w, class_weight="balanced", **fit).history
    expected = model.loss(**given, sample_weight=w * balanced[given["y"]])
    assert history["loss"][0] == pytest.approx(expected, rel=1e-6)
    two, (x, y) = heads(loss_weights=None), headed(rng)
    y["b"] = [rng.integers(0, 2, n) for n in LENGTHS]
    history = copy.deepcopy(two).fit(x, y, class_weight={"a": v}, **fit).history
    weighed = {"a": [v[ids] for ids in y["a"]]}
    assert history["loss"][0] == pytest.approx(two.loss(x, y, sample_weight=weighed), rel=1e-6)


CLASS_WEIGHTS: list[tuple[Any, type[Exception], str]] = [
    ("balance", ValueError, "class_weight: 'balanced', a dict or an array is required, got 'balance'"),
    ([1, 2], ValueError, r"class_weight: a weight for each class, shape \(K,\) = \(3,\), is required, got \(2,\)"),
    ([1, 2, -1], ValueError, "class_weight: finite numbers >= 0 are required"),
    ({3: 1.0}, ValueError, "class_weight: a class: at most 2 is required, got 3"),
    ({0: -1.0}, ValueError, r"class_weight\[0\]: a finite number of at least 0 is required"),
    ({"0": 1.0}, TypeError, "class_weight: a class: an integer is required, got '0'"),
    ({0: 0, 1: 0, 2: 0}, ValueError, "class_weight: a weight above 0 for a class among the targets is required"),
]


@pytest.mark.parametrize(("given", "error", "message"), CLASS_WEIGHTS, ids=range(len(CLASS_WEIGHTS)))
def test_weights_of_classes_that_are_refused(given: Any, error: type[Exception], message: str, rng: Any) -> None:
    model = make("ManyToOne", "cross_entropy", loss=None)
    with pytest.raises(error, match=f"^{message}"):
        model.fit(**data("ManyToOne", "cross_entropy", rng), epochs=1, progress=False, class_weight=given)
    number, own = make("ManyToOne", "mse"), data("ManyToOne", "mse", rng)
    with pytest.raises(ValueError, match=r"^class_weight: None is required for task='regression'"):
        number.fit(**own, epochs=1, progress=False, class_weight=given)

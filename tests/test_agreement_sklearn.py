"""Losses, metrics and weights of classes agree with scikit-learn and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnfast as rf
from rnnfast import losses, metrics
from rnnfast.losses.special import digamma_rise, log_gamma_rise
from rnnfast.tasks import as_task

judge = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
special = pytest.importorskip("scipy.special")
balanced_weights = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight

Array = npt.NDArray[Any]
M = 60


def softmax(outputs: Array) -> Array:
    e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def of_batches(metric: rf.Metric, task: Any, outputs: Array, y: Array, weights: Array | None, size: int) -> float:
    """The metric over all data, which come in batches of one size."""
    metric.bind(as_task("task", task))
    metric.reset()
    for i in range(0, len(y), size):
        metric.update(outputs[i : i + size], y[i : i + size], None if weights is None else weights[i : i + size])
    return metric.result()


def f1(average: str) -> Callable[..., float]:
    return lambda y, o, w: judge.f1_score(y, o.argmax(1), average=average, sample_weight=w, zero_division=0)


OF_CLASSES: dict[str, tuple[Callable[[], rf.Metric], Callable[..., float]]] = {
    "accuracy": (metrics.Accuracy, lambda y, o, w: judge.accuracy_score(y, o.argmax(1), sample_weight=w)),
    "balanced": (
        metrics.BalancedAccuracy,
        lambda y, o, w: judge.balanced_accuracy_score(y, o.argmax(1), sample_weight=w),
    ),
    "macro": (lambda: metrics.F1("macro"), f1("macro")),
    "micro": (lambda: metrics.F1("micro"), f1("micro")),
    "weighted": (lambda: metrics.F1("weighted"), f1("weighted")),
    "perplexity": (
        metrics.Perplexity,
        lambda y, o, w: np.exp(judge.log_loss(y, softmax(o), sample_weight=w, labels=np.arange(o.shape[1]))),
    ),
}


@pytest.mark.parametrize("batch", [1, 7, M])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_metrics_of_classes(name: str, classes: int, weighted: bool, batch: int, rng: np.random.Generator) -> None:
    make, expected = OF_CLASSES[name]
    outputs, y = rng.normal(size=(M, classes)), rng.integers(0, classes, M)
    outputs[np.arange(M), y] += 1
    w = rng.random(M) if weighted else None
    found = of_batches(make(), "classification", outputs, y, w, batch)
    assert found == pytest.approx(expected(y, outputs, w), rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_f1_of_two_classes_and_of_classes_that_do_not_occur(weighted: bool, rng: np.random.Generator) -> None:
    outputs, y = rng.normal(size=(M, 2)), rng.integers(0, 2, M)
    w = rng.random(M) if weighted else None
    expected = judge.f1_score(y, outputs.argmax(1), sample_weight=w)
    assert of_batches(metrics.F1(), "classification", outputs, y, w, 9) == pytest.approx(expected, rel=1e-12)
    wide = np.concatenate([outputs, np.full((M, 2), -9.0)], axis=1)
    wide[0, 3] = 9.0  # predicted once, never a target
    expected = judge.f1_score(y, wide.argmax(1), average="macro", sample_weight=w)
    assert of_batches(metrics.F1(), "classification", wide, y, w, 9) == pytest.approx(expected, rel=1e-12)
    expected = judge.balanced_accuracy_score(y, np.minimum(wide.argmax(1), 1), sample_weight=w)
    wide[0, 3], wide[0, 1] = -9.0, 9.0
    assert of_batches(metrics.BalancedAccuracy(), "classification", wide, y, w, 9) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match=r"^average: 'macro', 'micro' or 'weighted' is required for 4 classes"):
        of_batches(metrics.F1("binary"), "classification", wide, y, w, 9)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_top_k(k: int, weighted: bool, rng: np.random.Generator) -> None:
    outputs, y = rng.normal(size=(M, 5)), rng.integers(0, 5, M)
    w = rng.random(M) if weighted else None
    expected = judge.top_k_accuracy_score(y, outputs, k=k, sample_weight=w, labels=np.arange(5))
    assert of_batches(metrics.TopKAccuracy(k), "classification", outputs, y, w, 11) == pytest.approx(expected)


@pytest.mark.parametrize("batch", [1, 13, M])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_area_under_the_curve(weighted: bool, ties: bool, batch: int, rng: np.random.Generator) -> None:
    outputs, y = rng.normal(size=(M, 2)), rng.integers(0, 2, M)
    if ties:
        outputs = np.stack([np.zeros(M), rng.integers(0, 4, M)], axis=1).astype(float)
    w = rng.random(M) if weighted else None
    expected = judge.roc_auc_score(y, outputs[:, 1] - outputs[:, 0], sample_weight=w)
    assert of_batches(metrics.AUC(), "classification", outputs, y, w, batch) == pytest.approx(expected, rel=1e-12)
    outputs, y = rng.normal(size=(M, 4)), rng.integers(0, 4, M)
    expected = judge.roc_auc_score(y, softmax(outputs), multi_class="ovr", average="macro", sample_weight=w)
    assert of_batches(metrics.AUC(), "classification", outputs, y, w, batch) == pytest.approx(expected, rel=1e-12)
    labels = (rng.random((M, 3)) < 0.4).astype(float)
    expected = judge.roc_auc_score(labels, outputs[:, :3], average="macro", sample_weight=w)
    found = of_batches(metrics.AUC(), "multilabel", outputs[:, :3], labels, w, batch)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("weighted", [False, True])
def test_f1_of_labels(average: str, weighted: bool, rng: np.random.Generator) -> None:
    outputs, labels = rng.normal(size=(M, 3)), (rng.random((M, 3)) < 0.4).astype(float)
    w = rng.random(M) if weighted else None
    expected = judge.f1_score(labels, outputs > 0, average=average, sample_weight=w)
    assert of_batches(metrics.F1(average), "multilabel", outputs, labels, w, 7) == pytest.approx(expected, rel=1e-12)


OF_NUMBERS: dict[str, tuple[type[rf.Metric], Callable[..., float]]] = {
    "mae": (metrics.MeanAbsoluteError, judge.mean_absolute_error),
    "rmse": (metrics.RootMeanSquaredError, judge.root_mean_squared_error),
    "r2": (metrics.R2, judge.r2_score),
}


@pytest.mark.parametrize("batch", [1, 7, M])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", OF_NUMBERS)
def test_metrics_of_numbers(name: str, weighted: bool, batch: int, rng: np.random.Generator) -> None:
    make, expected = OF_NUMBERS[name]
    y = rng.normal(size=(M, 3)) * [1, 5, 0.1] + [0, 1e4, 7]
    outputs = y + rng.normal(size=(M, 3))
    w = rng.random(M) if weighted else None
    found = of_batches(make(), "regression", outputs, y, w, batch)
    assert found == pytest.approx(expected(y, outputs, sample_weight=w), rel=1e-10)


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_missing_numbers_are_left_out_of_metrics(name: str, rng: np.random.Generator) -> None:
    """Through a model: each column is judged by the targets that it has."""
    _, expected = OF_NUMBERS[name]
    model, x = rf.ManyToOne(2, 1, loss="huber", hidden_size=3, seed=0, dtype="float64"), rng.normal(size=(M, 4, 2))
    y = rng.normal(size=(M, 1))
    there = rng.random(M) < 0.6
    y[~there] = np.nan
    found = model.evaluate(x, y, metrics=name, batch_size=7)[name]
    assert found == pytest.approx(expected(y[there], model.predict(x)[there]), rel=1e-10)
    two = rf.ManyToOne(2, 2, task="gaussian", hidden_size=3, seed=0, dtype="float64")
    y = rng.normal(size=(M, 2))
    y[::3, 0] = y[::4, 1] = np.nan
    p, w = two.predict(x), rng.random(M)
    columns = [np.flatnonzero(~np.isnan(y[:, k])) for k in (0, 1)]
    each = [expected(y[i, k], p[i, k], sample_weight=w[i]) for k, i in enumerate(columns)]
    if name == "mae":
        each = [np.average(each, weights=[w[i].sum() for i in columns])]
    assert two.evaluate(x, y, sample_weight=w, metrics=[name])[name] == pytest.approx(np.mean(each), rel=1e-10)


def test_r2_of_constant_targets() -> None:
    for right in (False, True):
        y, outputs = np.ones((5, 1)), np.ones((5, 1)) + (not right)
        expected = judge.r2_score(y, outputs)
        assert of_batches(metrics.R2(), "regression", outputs, y, None, 2) == expected


def test_balanced_weights_of_classes(rng: np.random.Generator) -> None:
    """``fit`` learns by the loss that scikit-learn's weights make."""
    x, y = rng.normal(size=(30, 4, 2)), rng.choice([0, 1, 3], 30, p=[0.7, 0.2, 0.1])
    v = np.zeros(5)
    v[np.unique(y)] = balanced_weights("balanced", classes=np.unique(y), y=y)
    model = rf.ManyToOne(2, 5, hidden_size=3, dtype="float64", seed=0)
    expected = model.loss(x, y, sample_weight=v[y])
    history = model.fit(x, y, epochs=1, class_weight="balanced", batch_size=30, progress=False).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-12)


def test_balanced_weights_themselves(rng: np.random.Generator) -> None:
    """Their scale too, which no mean shows."""
    x, y = rng.normal(size=(30, 4, 2)), rng.choice([0, 1, 3], 30, p=[0.7, 0.2, 0.1])
    model = rf.ManyToOne(2, 5, hidden_size=3, dtype="float64", seed=0)
    data = model._class_weighted(model._read_data(x, y, batch_size=4), "balanced")
    v = dict(zip(np.unique(y), balanced_weights("balanced", classes=np.unique(y), y=y), strict=True))
    np.testing.assert_allclose(np.asarray(data.weights), [v[k] for k in y], rtol=1e-14)


def test_quantiles(rng: np.random.Generator) -> None:
    levels, y, w = [0.1, 0.5, 0.7], rng.normal(size=50), rng.random(50)
    outputs = rng.normal(size=(50, 3))
    expected = [judge.mean_pinball_loss(y, outputs[:, i], alpha=q, sample_weight=w) for i, q in enumerate(levels)]
    assert losses.Quantile(levels)(outputs, y[:, None], w)[0] == pytest.approx(np.mean(expected), rel=1e-13)


LIKELIHOODS: dict[str, Callable[[dict[str, Array]], Any]] = {
    "gaussian": lambda p: stats.norm(p["loc"], p["scale"]),
    "student_t": lambda p: stats.t(p["df"], p["loc"], p["scale"]),
    "poisson": lambda p: stats.poisson(p["rate"]),
    "negative_binomial": lambda p: stats.nbinom(1 / p["dispersion"], 1 / (1 + p["dispersion"] * p["mean"])),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods(name: str, rng: np.random.Generator) -> None:
    loss: Any = losses.as_loss("loss", name)
    outputs, y = rng.normal(size=(M, 2 * loss.width)), rng.poisson(4, size=(M, 2)).astype(float)
    of = LIKELIHOODS[name](loss.parameters(outputs))
    log_p = of.logpdf(y) if name in ("gaussian", "student_t") else of.logpmf(y)
    assert loss(outputs, y)[0] == pytest.approx(-log_p.mean(), rel=1e-12)
    np.testing.assert_allclose(loss.point(outputs), of.mean(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_quantiles_of_distributions(name: str, rng: np.random.Generator) -> None:
    """At any level, of parameters of any size; counts are equal."""
    loss: Any = losses.as_loss("loss", name)
    outputs = rng.normal(size=(300, 2 * loss.width)) * 3
    levels = [1e-9, 0.01, 0.3, 0.5, 0.75, 0.999]
    found, p = loss.predicted(outputs, levels), loss.parameters(outputs)
    expected = np.stack([LIKELIHOODS[name](p).ppf(q) for q in levels], axis=2)
    if name in ("poisson", "negative_binomial"):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.float64
    else:
        scale = p["scale"][:, :, None]
        np.testing.assert_allclose(found / scale, expected / scale, rtol=1e-9, atol=1e-10)
    u = rng.random((300, 2))
    np.testing.assert_allclose(loss.draw(outputs, u), LIKELIHOODS[name](p).ppf(u), rtol=1e-9, atol=1e-9)
    assert np.isfinite(loss.draw(outputs[:2], np.array([[0.0, 1 - 2**-53]] * 2))).all()


def test_quantiles_of_large_counts() -> None:
    poisson = losses.Poisson()
    outputs, u = np.log([[1e5, 1e7, 1e10, 1e14]]), np.array([[0.01, 0.9, 0.3, 0.99]])
    expected = stats.poisson.ppf(u, np.exp(outputs))
    found = poisson.draw(outputs, u)
    np.testing.assert_array_equal(found[0, :2], expected[0, :2])
    np.testing.assert_allclose(found, expected, atol=2, rtol=1e-13)
    assert np.isinf(poisson.draw(np.array([[800.0]]), np.array([[0.5]]))).all()
    wide = losses.NegativeBinomial().draw(np.array([[20.0, 3.0]]), np.array([[0.5]]))
    p = losses.NegativeBinomial().parameters(np.array([[20.0, 3.0]]))
    assert wide[0, 0] == pytest.approx(LIKELIHOODS["negative_binomial"](p).ppf(0.5)[0, 0], rel=1e-7)


def test_differences_of_gamma_functions(rng: np.random.Generator) -> None:
    a, y = 10 ** rng.uniform(-6, 2, 2000), rng.integers(0, 1000, 2000).astype(float)
    expected = special.gammaln(a + y) - special.gammaln(a)
    np.testing.assert_allclose(log_gamma_rise(a, y), expected, rtol=1e-13, atol=1e-11)
    expected = special.digamma(a + y) - special.digamma(a)
    np.testing.assert_allclose(digamma_rise(a, y), expected, rtol=1e-12, atol=1e-13)
    # of large a, where the difference of the functions cancels, by the products and sums that they are
    a, y = 10 ** rng.uniform(4, 9, 200), np.array(5.0)
    terms = a[:, None] + np.arange(5)
    np.testing.assert_allclose(log_gamma_rise(a, y), np.log(terms).sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(digamma_rise(a, y), (1 / terms).sum(axis=1), rtol=1e-12)

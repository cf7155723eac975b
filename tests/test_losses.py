"""Losses by themselves: values and gradients against PyTorch and differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnfast as rf
from rnnfast import losses

Array = npt.NDArray[Any]
E, K = 9, 3
FLOOR = 1e-6

NUMBERS: dict[str, Any] = {
    "mse": losses.MeanSquaredError(),
    "mae": losses.MeanAbsoluteError(),
    "huber": losses.Huber(0.7),
    "log_cosh": losses.LogCosh(),
    "quantile": losses.Quantile([0.05, 0.3, 0.5, 0.9]),
    "gaussian": losses.Gaussian(),
    "student_t": losses.StudentT(),
    "poisson": losses.Poisson(),
    "negative_binomial": losses.NegativeBinomial(),
    "binary_cross_entropy": losses.BinaryCrossEntropy(),
}


def problem(loss: losses.Loss, rng: np.random.Generator) -> tuple[Array, Array]:
    """Outputs (E, K P) and targets (E, K) that the loss is defined for."""
    outputs, y = rng.normal(size=(E, K * loss.width)) * 1.5, rng.normal(size=(E, K)) * 2
    if loss.name in ("poisson", "negative_binomial"):
        y = rng.poisson(4, size=(E, K)).astype(float)
    if loss.element == "labels":
        y = rng.random((E, K))
    return outputs, y


def by_torch(loss: losses.Loss, outputs: Array, y: Array, weights: Array) -> tuple[float, Array]:
    """The weighted mean and its gradient by autograd."""
    import torch
    from torch import distributions as of
    from torch.nn import functional

    x = torch.tensor(outputs, requires_grad=True)
    t, p = torch.tensor(y), x.reshape(E, K, loss.width)
    q = torch.tensor(getattr(loss, "quantiles", [0.5]))

    def scale(values: Any) -> Any:
        return functional.softplus(values) + FLOOR

    def pinball() -> Any:
        error = t[..., None] - p
        return torch.maximum(q * error, (q - 1) * error).mean(-1)

    def binomial() -> Any:
        r = 1 / scale(p[..., 1])
        return -of.NegativeBinomial(r, logits=p[..., 0] - r.log()).log_prob(t)

    each: dict[str, Callable[[], Any]] = {
        "mse": lambda: functional.mse_loss(x, t, reduction="none"),
        "mae": lambda: functional.l1_loss(x, t, reduction="none"),
        "huber": lambda: functional.huber_loss(x, t, reduction="none", delta=0.7),
        "log_cosh": lambda: torch.log(torch.cosh(x - t)),
        "quantile": pinball,
        "gaussian": lambda: -of.Normal(p[..., 0], scale(p[..., 1])).log_prob(t),
        "student_t": lambda: -of.StudentT(2 + functional.softplus(p[..., 2]), p[..., 0], scale(p[..., 1])).log_prob(t),
        "poisson": lambda: -of.Poisson(p[..., 0].exp()).log_prob(t),
        "negative_binomial": binomial,
        "binary_cross_entropy": lambda: functional.binary_cross_entropy_with_logits(x, t, reduction="none"),
    }
    w = torch.tensor(np.broadcast_to(weights, y.shape).copy())
    total = (each[loss.name]() * w).sum() / w.sum()
    total.backward()
    assert x.grad is not None
    return total.item(), x.grad.numpy()


@pytest.mark.parametrize("weighted", ["no", "rows", "elements"])
@pytest.mark.parametrize("name", NUMBERS)
def test_losses_of_numbers_are_those_of_torch(name: str, weighted: str, rng: np.random.Generator) -> None:
    pytest.importorskip("torch")
    loss = NUMBERS[name]
    outputs, y = problem(loss, rng)
    weights = {"no": None, "rows": rng.random(E), "elements": rng.random((E, K))}[weighted]
    w = np.ones((E, 1)) if weights is None else weights.reshape(E, -1)
    expected, dexpected = by_torch(loss, outputs, y, w)
    found, gradient = loss(outputs, y, weights)
    assert found == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, dexpected, rtol=1e-12, atol=1e-13 * np.abs(dexpected).max())
    narrow, single = loss(outputs.astype("f"), y, weights)
    assert single.dtype == np.float32
    assert narrow == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(single, dexpected, rtol=1e-4, atol=1e-5 * np.abs(dexpected).max())


@pytest.mark.parametrize("name", NUMBERS)
def test_gradients_are_differences(name: str, rng: np.random.Generator) -> None:
    loss = NUMBERS[name]
    outputs, y = problem(loss, rng)
    _, gradient = loss(outputs, y)
    for index in np.ndindex(2, outputs.shape[1]):
        losses_of = []
        for step in (1e-5, -1e-5):
            moved = outputs.copy()
            moved[index] += step
            losses_of.append(loss(moved, y)[0])
        assert gradient[index] == pytest.approx((losses_of[0] - losses_of[1]) / 2e-5, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", ["rows", "steps"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_missing_value_counts_for_nothing(name: str, shape: str, rng: np.random.Generator) -> None:
    """The loss is that of the numbers that are there, one by one; nothing of the others is read."""
    loss = NUMBERS[name]
    outputs, y = problem(loss, rng)
    gone = rng.random(y.shape) < 0.4
    there, P = np.flatnonzero(~gone.ravel()), loss.width
    weights = rng.random(y.shape)
    expected, dexpected = loss(outputs.reshape(-1, P)[there], y.reshape(-1, 1)[there], weights.reshape(-1, 1)[there])
    y[gone] = np.nan
    outputs.reshape(-1, P)[gone.ravel()] = np.inf
    lead = (E,) if shape == "rows" else (3, 3)
    own = outputs.reshape(*lead, K * P), y.reshape(*lead, K), weights.reshape(*lead, K)
    found, gradient = loss(*own)
    assert found == pytest.approx(expected, rel=1e-13)
    assert gradient.shape == own[0].shape
    flat = gradient.reshape(-1, P)
    np.testing.assert_allclose(flat[there], dexpected, rtol=1e-12, atol=1e-17)
    assert not flat[gone.ravel()].any()


@pytest.mark.parametrize("name", NUMBERS)
def test_nothing_has_no_loss(name: str) -> None:
    loss = NUMBERS[name]
    for rows in (0, 2):
        outputs, y = np.ones((rows, K * loss.width)), np.full((rows, K), np.nan)
        found, gradient = loss(outputs, y)
        assert (found, gradient.shape) == (0.0, outputs.shape)
        assert not gradient.any()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, -100, 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("classes", [False, True])
def test_cross_entropy_is_that_of_torch(
    classes: bool, smoothing: float, ignored: int | None, weighted: bool, rng: np.random.Generator
) -> None:
    """Its weighted mean too; weights of rows, which PyTorch lacks, by what each row adds to both sums."""
    torch = pytest.importorskip("torch")
    M, C = 12, 4
    outputs, y = rng.normal(size=(M, C)) * 3, rng.integers(0, C, M)
    if ignored == -100:
        y[::3] = ignored
    v = rng.random(C) if classes else None
    w = rng.random(M) if weighted else np.ones(M)
    x, t = torch.tensor(outputs, requires_grad=True), torch.tensor(y)
    options: dict[str, Any] = {"weight": None if v is None else torch.tensor(v), "label_smoothing": smoothing}
    if ignored is not None:
        options["ignore_index"] = ignored
    if weighted:
        each = torch.nn.functional.cross_entropy(x, t, reduction="none", **options)
        read = y != (ignored if ignored is not None else -100)
        own = w * read * (np.ones(C) if v is None else v)[np.where(read, y, 0)]
        expected = (each * torch.tensor(w)).sum() / own.sum()
    else:
        expected = torch.nn.CrossEntropyLoss(**options)(x, t)
    expected.backward()
    loss = losses.CrossEntropy(class_weights=v, label_smoothing=smoothing, ignore_index=ignored)
    found, gradient = loss(outputs, y, w if weighted else None)
    assert found == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-11, atol=1e-15)
    assert loss(outputs.astype("f"), y, w)[1].dtype == np.float32


@pytest.mark.parametrize("name", ["gaussian", "student_t", "negative_binomial", "log_cosh", "huber"])
@pytest.mark.parametrize("size", [-800.0, 800.0])
def test_extreme_outputs_have_finite_losses(name: str, size: float) -> None:
    loss = NUMBERS[name]
    outputs = np.full((1, loss.width), size)
    if name == "negative_binomial":
        outputs[0, 0] = 1.0
    found, gradient = loss(outputs, np.ones((1, 1)))
    assert np.isfinite(found)
    assert np.isfinite(gradient).all()


def test_a_poisson_like_negative_binomial() -> None:
    """Where the dispersion is least, likelihood and gradient of the mean are nearly Poisson's, and all digits stand."""
    y = np.array([[3.0]])
    found, gradient = losses.NegativeBinomial()(np.array([[1.0, -60.0]]), y)
    expected, dexpected = losses.Poisson()(np.array([[1.0]]), y)
    assert found == pytest.approx(expected, rel=1e-5)
    assert gradient[0, 0] == pytest.approx(dexpected[0, 0], rel=1e-5)
    assert abs(gradient[0, 1]) < 1e-20


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: losses.Huber(0), ValueError, "delta: a finite number above 0 is required, got 0"),
    (lambda: losses.Quantile([]), ValueError, r"quantiles: numbers within \(0, 1\) are required"),
    (lambda: losses.Quantile([0.5, 1.0]), ValueError, r"quantiles: numbers within \(0, 1\) are required"),
    (lambda: losses.Quantile([0.5, 0.1]), ValueError, "quantiles: ascending numbers are required"),
    (lambda: losses.CrossEntropy(class_weights=[1, -1]), ValueError, "class_weights: finite numbers >= 0"),
    (lambda: losses.CrossEntropy(class_weights=[0, 0]), ValueError, "class_weights: .* not all 0, are required"),
    (lambda: losses.CrossEntropy(class_weights=3), ValueError, r"class_weights: shape \(K,\) is required"),
    (lambda: losses.CrossEntropy(label_smoothing=1.5), ValueError, r"label_smoothing: a number within \[0, 1\]"),
    (
        lambda: losses.as_loss("loss", {"name": "cross_entropy", "ignore_index": 0.5}),
        TypeError,
        "ignore_index: an integer is required",
    ),
    (lambda: losses.Huber()([1, 2], [1, 2]), TypeError, "outputs: float32 or float64 is required, got int64"),
    (lambda: losses.Huber()(1.0, 2.0), ValueError, r"outputs: shape \(..., K\) is required, got a number"),
    (lambda: losses.Huber()(np.ones(2), np.ones(3)), ValueError, r"y: shape \(2,\) is required, as the outputs have"),
    (lambda: losses.Gaussian()(np.ones(3), np.ones(1)), ValueError, "y: shape .* 2 outputs for each number, got"),
    (lambda: losses.Huber()(np.ones(2), [1, np.inf]), ValueError, "y: finite numbers, or NaN for missing ones"),
    (lambda: losses.Huber()(np.ones(2), [1, 1], [1]), ValueError, r"weights: shape \(\) or \(2,\) is required"),
    (lambda: losses.Huber()(np.ones(2), [1, 1], [1, -1]), ValueError, "weights: finite numbers >= 0 are required"),
    (lambda: losses.Poisson()(np.ones(1), [-1.0]), ValueError, "y: counts >= 0 are required, got -1.0"),
    (lambda: losses.NegativeBinomial()(np.ones(2), [-1.0]), ValueError, "y: counts >= 0 are required, got -1.0"),
    (lambda: losses.BinaryCrossEntropy()(np.ones(1), [2.0]), ValueError, r"y: values in \[0, 1\] are required, got 2"),
    (lambda: losses.CrossEntropy()(np.ones((2, 3)), [0, 3]), ValueError, "y: integer class ids 0..K-1 .*, got 3"),
    (lambda: losses.CrossEntropy()(np.ones((2, 3)), [0.0, 1.0]), ValueError, "y: integer class ids .* got dtype"),
    (lambda: losses.CrossEntropy()(np.ones((2, 3)), [0]), ValueError, r"y: class ids of shape \(2,\) are required"),
    (
        lambda: losses.CrossEntropy(class_weights=[1, 1])(np.ones((2, 3)), [0, 1]),
        ValueError,
        r"class_weights: a weight for each class, shape \(K,\) = \(3,\), is required, got \(2,\)",
    ),
    (lambda: losses.as_loss("loss", "hubert"), ValueError, "loss: one of .* is required, .*; did you mean 'huber'"),
    (lambda: losses.as_loss("loss", 3), TypeError, "loss: one of .*, a Loss or a function is required, got 3"),
    (lambda: losses.as_loss("loss", losses.Huber), TypeError, "loss: one of .*, a Loss or a function is required"),
    (lambda: losses.as_loss("loss", {"delta": 1}), TypeError, "loss: one of .* is required, got None"),
    (
        lambda: losses.as_loss("loss", {"name": "huber", "delte": 1}),
        TypeError,
        "loss: huber: unknown argument 'delte'; did you mean 'delta'",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        call()


def test_names_options_and_objects() -> None:
    for name, alias in (("mse", "mean_squared_error"), ("quantile", "pinball"), ("gaussian", "normal")):
        assert losses.as_loss("loss", alias).name == name
    for loss in (*NUMBERS.values(), losses.CrossEntropy([1, 2], 0.1, -1)):
        config = losses.loss_config(loss)
        again = losses.as_loss("loss", config)
        assert type(again) is type(loss)
        assert losses.loss_config(again) == config
    assert losses.loss_config(losses.Huber()) == "huber"
    assert losses.loss_config(losses.Huber(2)) == {"name": "huber", "delta": 2.0}


def test_a_loss_without_a_formula_says_so() -> None:
    class Empty(rf.losses.Loss):
        pass

    with pytest.raises(NotImplementedError, match="Empty: values, or mean, is required"):
        Empty()(np.ones(1), np.ones(1))

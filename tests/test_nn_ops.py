"""Heads and losses: every instruction set and type against float64 formulas, PyTorch, and planted faults.

Bounds count roundings (Higham 2002, 3.1): a chain of n additions errs by at most n units of the sum of its
terms' magnitudes; log and exp add an ulp each, and exp the rounding of its argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops, reference
from rnnfast._core import testing
from tests.support.matrix import EXACT, ISAS, several_widths
from tests.support.state import using_isa

SIZES = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1000]
BLOCK = 256
Array = np.ndarray


def unit(dtype: Any) -> float:
    return float(np.finfo(dtype).eps) / 2


def real(rng: np.random.Generator, dtype: str, *shape: int, scale: float = 1.0) -> Array:
    return (rng.normal(size=shape) * scale).astype(dtype)


def wide(*arrays: Array) -> list[Array]:
    return [a.astype(np.longdouble) for a in arrays]


def within(actual: Any, expected: Any, bound: Any) -> None:
    error = np.abs(actual - expected)
    assert np.all(error <= bound), f"off by {np.max(error / np.maximum(bound, 1e-300)):.2f} bounds"


def assert_product(actual: Array, a: Array, b: Array, start: Array, roundings: int) -> None:
    """``start + a b``, each element a sum with at most ``roundings`` roundings."""
    a, b, start = wide(a, b, start)
    within(actual, start + a @ b, 1.001 * roundings * unit(actual.dtype) * (abs(start) + abs(a) @ abs(b)))


def assert_rows_summed(actual: Array, a: Array, b: Array, start: Array) -> None:
    """``start + a^T b``, summed over rows in blocks."""
    assert_product(actual, a.T, b, start, BLOCK + len(a) // BLOCK + 3)


def softmax_bound(x: Array) -> Array:
    """Relative error of a probability, absolute error of its logarithm."""
    z = x.max(-1, keepdims=True) - x.astype(np.float64)
    return np.asarray(unit(x.dtype) * (2 * z + x.shape[1] / 16 + 2 * np.log(x.shape[1]) + 16))


def assert_softmax(actual: Array, x: Array) -> None:
    p = reference.softmax(x.astype(np.longdouble))
    within(actual, p, softmax_bound(x) * p + 2 * np.finfo(x.dtype).smallest_normal)


def shares(x: Array, weight: Array | None) -> tuple[Array, float]:
    """Each row's share in the mean, and the relative error of sums over rows, which run in float64."""
    w = np.ones(len(x), np.longdouble) if weight is None else weight.astype(np.longdouble)
    return w / max(w.sum(), np.longdouble(1e-300)), (min(len(x), BLOCK) + len(x) // BLOCK + 4) * 2.0**-53


def assert_cross_entropy(result: tuple[float, Array], x: Array, ids: Array, weight: Array | None) -> None:
    share, sums = shares(x, weight)
    loss, d = reference.softmax_cross_entropy(x.astype(np.longdouble), ids, share)
    p, bound = reference.softmax(x.astype(np.longdouble)), softmax_bound(x)
    within(result[0], loss, (share * bound[np.arange(len(x)), ids]).sum() + 2 * sums * abs(loss))
    flushed = 2 * np.finfo(x.dtype).smallest_normal
    within(result[1], d, share[:, None] * (bound * p + 4 * unit(x.dtype)) + sums * abs(d) + flushed)


def assert_squared_error(result: tuple[float, Array], x: Array, y: Array, weight: Array | None) -> None:
    share, sums = shares(x, weight)
    loss, d = reference.mean_squared_error(x.astype(np.longdouble), y.astype(np.longdouble), share)
    within(result[0], loss, (unit(x.dtype) * (x.shape[1] / 16 + 12) + 2 * sums) * loss)
    within(result[1], d, (6 * unit(x.dtype) + sums) * abs(d))


def assert_binary(result: tuple[float, Array], x: Array, y: Array, weight: Array | None) -> None:
    share, sums = shares(x, weight)
    loss, d = reference.binary_cross_entropy(x.astype(np.longdouble), y.astype(np.longdouble), share)
    share = share[:, None] / x.shape[1]
    bound = unit(x.dtype) * (x.shape[1] / 16 + 12) + 2 * sums
    within(result[0], loss, bound * (share * (1 + abs(x.astype(np.longdouble)))).sum())
    within(result[1], d, (6 * unit(x.dtype) + sums) * share)


def test_linear(isa: str, dtype: str, rng: np.random.Generator) -> None:
    for M in SIZES:
        for N, K in [(1, 1), (9, 33), (17, 0), (0, 3), (66, 130)]:
            x, W, b = real(rng, dtype, M, K), real(rng, dtype, N, K), real(rng, dtype, N)
            y = _ops.linear(x, W, b)
            assert y.shape == (M, N)
            assert y.dtype == dtype
            assert_product(y, x, W.T, b, K + 1)
            assert_product(_ops.linear(x, W), x, W.T, np.zeros(N, dtype), K + 1)


def test_linear_over_many_inputs_and_outputs(isa: str, dtype: str, rng: np.random.Generator) -> None:
    for M, N, K in [(3, 300, 1100), (9, 300, 1100), (1, 1000, 7), (257, 1, 600)]:
        x, W, b = real(rng, dtype, M, K), real(rng, dtype, N, K), real(rng, dtype, N)
        assert_product(_ops.linear(x, W, b), x, W.T, b, K + 1)


def test_a_row_does_not_depend_on_the_others(isa: str, dtype: str, rng: np.random.Generator) -> None:
    """The promise behind batches: few rows take another path than many, to the same bits."""
    x, W, b = real(rng, dtype, 200, 40), real(rng, dtype, 21, 40), real(rng, dtype, 21)
    whole = {"linear": _ops.linear(x, W, b), "softmax": _ops.softmax(x), "log_softmax": _ops.log_softmax(x)}
    for M in (1, 2, 7, 8, 9, 100):
        part = x[-M:].copy()
        np.testing.assert_array_equal(_ops.linear(part, W, b), whole["linear"][-M:])
        np.testing.assert_array_equal(_ops.softmax(part), whole["softmax"][-M:])
        np.testing.assert_array_equal(_ops.log_softmax(part), whole["log_softmax"][-M:])


def test_linear_backward(isa: str, dtype: str, rng: np.random.Generator) -> None:
    for M in SIZES:
        for N, K in [(1, 1), (9, 33), (17, 0), (0, 3), (66, 40)]:
            dy, x, W = real(rng, dtype, M, N), real(rng, dtype, M, K), real(rng, dtype, N, K)
            dW0, db0 = real(rng, dtype, N, K), real(rng, dtype, N)
            dW, db = dW0.copy(), db0.copy()
            dx = _ops.linear_backward(dy, x, W, dW, db)
            assert dx is not None
            assert_product(dx, dy, W, np.zeros((M, K), dtype), N + 1)
            assert_rows_summed(dW, dy, x, dW0)
            assert_rows_summed(db[:, None], dy, np.ones((M, 1), dtype), db0[:, None])
            again = dW0.copy()
            assert _ops.linear_backward(dy, x, W, again, None, need_dx=False) is None
            np.testing.assert_array_equal(again, dW)


def test_sums_over_rows_run_in_blocks(isa: str, dtype: str, rng: np.random.Generator) -> None:
    dy, x, W = real(rng, dtype, 600, 9), real(rng, dtype, 600, 17), real(rng, dtype, 9, 17)
    whole, parts = (np.zeros((9, 17), dtype), np.zeros(9, dtype)), (np.zeros((9, 17), dtype), np.zeros(9, dtype))
    _ops.linear_backward(dy, x, W, *whole)
    for m in range(0, 600, BLOCK):
        _ops.linear_backward(dy[m : m + BLOCK], x[m : m + BLOCK], W, *parts)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])


@pytest.mark.parametrize("V", [1, 5, 300])
def test_embedding(isa: str, dtype: str, V: int, rng: np.random.Generator) -> None:
    for M in SIZES:
        for D in (0, 1, 9, 33):
            E, ids, dy = real(rng, dtype, V, D), rng.integers(0, V, M), real(rng, dtype, M, D)
            np.testing.assert_array_equal(_ops.embedding(ids, E), E[ids])
            dE = E.copy()
            _ops.embedding_backward(ids, dy, dE)
            assert_rows_summed(dE, np.eye(V, dtype=dtype)[ids], dy, E)
            np.testing.assert_array_equal(dE[np.bincount(ids, minlength=V) == 0], E[np.bincount(ids, minlength=V) == 0])


@pytest.mark.parametrize("K", SIZES[1:])
def test_softmax(isa: str, dtype: str, K: int, rng: np.random.Generator) -> None:
    for scale in (1.0, 30.0):
        x = real(rng, dtype, 5, K, scale=scale)
        assert_softmax(_ops.softmax(x), x)
        within(_ops.log_softmax(x), reference.log_softmax(x.astype(np.longdouble)), softmax_bound(x))


@pytest.mark.parametrize("K", SIZES[1:])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses(isa: str, dtype: str, K: int, weighted: bool, rng: np.random.Generator) -> None:
    for M in (0, 1, 5, 257) if K < 300 else (3,):
        x, y, ids = real(rng, dtype, M, K, scale=3.0), real(rng, dtype, M, K), rng.integers(0, K, M)
        weight = rng.uniform(0, 2, M).astype(dtype) if weighted else None
        assert_cross_entropy(_ops.mean_loss("softmax_cross_entropy", x, ids, weight), x, ids, weight)
        assert_squared_error(_ops.mean_loss("mean_squared_error", x, y, weight), x, y, weight)
        target = rng.uniform(0, 1, (M, K)).astype(dtype)
        assert_binary(_ops.mean_loss("binary_cross_entropy", x, target, weight), x, target, weight)


def losses_of(x: Array, weight: Array | None) -> list[tuple[float, Array]]:
    return [
        _ops.mean_loss("softmax_cross_entropy", x, np.zeros(len(x), np.int64), weight),
        _ops.mean_loss("mean_squared_error", x, np.zeros_like(x), weight),
        _ops.mean_loss("binary_cross_entropy", x, np.zeros_like(x), weight),
    ]


def test_nothing_valid_gives_zero(isa: str, dtype: str) -> None:
    for x, weight in [(np.ones((0, 3), dtype), None), (np.full((4, 3), np.nan, dtype), np.zeros(4, dtype))]:
        for loss, gradient in losses_of(x, weight):
            assert loss == 0.0
            np.testing.assert_array_equal(gradient, np.zeros_like(x))
    no_outputs = np.ones((3, 0), dtype)
    assert _ops.softmax(no_outputs).shape == _ops.log_softmax(no_outputs).shape == (3, 0)
    for name in (name for name, facts in _ops.LOSSES.items() if facts.targets == "numbers"):
        loss, gradient = _ops.mean_loss(name, no_outputs, no_outputs)
        assert (loss, gradient.shape) == (0.0, (3, 0))


def test_a_row_of_weight_zero_is_not_read(isa: str, dtype: str, rng: np.random.Generator) -> None:
    x = real(rng, dtype, 5, 9)
    weight = np.array([1, 0, 2, 0.5, 1], dtype)
    x[1] = np.nan
    kept = weight > 0
    for (loss, gradient), (expected, d) in zip(losses_of(x, weight), losses_of(x[kept], weight[kept]), strict=True):
        assert loss == expected
        np.testing.assert_array_equal(gradient[kept], d)
        np.testing.assert_array_equal(gradient[1], 0)


def test_nan_shows(isa: str, dtype: str, rng: np.random.Generator) -> None:
    for K in (1, 5, 33):
        x = real(rng, dtype, 3, K)
        x[1, K - 1] = np.nan
        for loss, gradient in losses_of(x, None):
            assert np.isnan(loss)
            assert np.isnan(gradient[1, K - 1])
            assert np.isfinite(gradient[[0, 2]]).all()
        assert np.isnan(_ops.softmax(x)[1]).all()
        assert np.isnan(_ops.log_softmax(x)[1]).all()


def test_extreme_logits(isa: str, dtype: str) -> None:
    x = np.array([[1e4, -1e4, 0.0]], dtype)
    np.testing.assert_array_equal(_ops.softmax(x), [[1, 0, 0]])
    np.testing.assert_array_equal(_ops.log_softmax(x), [[0, -2e4, -1e4]])
    for target, expected in [(0, 0.0), (1, 2e4), (2, 1e4)]:
        loss, d = _ops.mean_loss("softmax_cross_entropy", x, np.array([target]))
        assert loss == expected
        np.testing.assert_array_equal(d[0], np.eye(3)[0] - np.eye(3)[target])
    loss, d = _ops.mean_loss("binary_cross_entropy", x[:, :2], np.array([[0, 1]], dtype))
    assert loss == 1e4
    np.testing.assert_array_equal(d, [[0.5, -0.5]])
    loss, d = _ops.mean_loss("binary_cross_entropy", x[:, :2], np.array([[1, 0]], dtype))
    assert loss == 0
    np.testing.assert_array_equal(d, [[0, 0]])
    masked = np.array([[-np.inf, 0.0, 0.0]], dtype)
    np.testing.assert_array_equal(_ops.softmax(masked), [[0, 0.5, 0.5]])


def test_small_losses_keep_their_digits(isa: str, dtype: str) -> None:
    """``log(1 + e)`` of a confident, right answer: computed naively it is lost at e = eps."""
    x = np.linspace(0, 80, 161)[:, None].astype(dtype)
    for i in range(len(x)):
        loss, d = _ops.mean_loss("binary_cross_entropy", x[i : i + 1], np.ones((1, 1), dtype))
        expected = np.log1p(np.exp(-x[i, 0].astype(np.longdouble)))
        assert abs(loss - expected) <= 8 * unit(dtype) * expected
        loss, d = _ops.mean_loss("binary_cross_entropy", -x[i : i + 1], np.zeros((1, 1), dtype))
        p = 1 / (1 + np.exp(x[i, 0].astype(np.longdouble)))
        assert abs(loss - expected) <= 8 * unit(dtype) * expected
        assert abs(d[0, 0] - p) <= 8 * unit(dtype) * p


@pytest.mark.parametrize("function", ["log", "log1p"])
@pytest.mark.parametrize("isa_name", ISAS)
def test_logarithms_within_two_ulp(function: str, isa_name: str, dtype: str, rng: np.random.Generator) -> None:
    if np.finfo(np.longdouble).eps >= np.finfo(dtype).eps:
        pytest.skip("no wider format on this machine to compare with")
    x = np.concatenate([rng.uniform(0, 1, 100_000), np.exp(rng.uniform(-80, 0, 100_000))])
    if function == "log":
        x = np.concatenate([x, np.exp(rng.uniform(-80, 80, 100_000)), 1 + 1e-3 * x, np.arange(1.0, 1000)])
    x = x.astype(dtype)
    expected = getattr(np, function)(x.astype(np.longdouble))
    actual = testing.unary(isa_name, function, x)
    ulp = np.spacing(np.abs(expected.astype(dtype)))
    assert (np.abs(actual - expected) / ulp).max() <= 2
    edges = np.array([0, -0.0, np.finfo(dtype).smallest_subnormal, np.inf, -1, -np.inf, np.nan, 1], dtype)
    if function == "log":
        wanted = [-np.inf, -np.inf, -np.inf, np.inf, np.nan, np.nan, np.nan, 0]
        np.testing.assert_array_equal(testing.unary(isa_name, "log", edges), wanted)


def everything(dtype: str) -> dict[str, Array]:
    """Results of all operations on one problem, large enough for a team of threads."""
    rng = np.random.default_rng(11)
    x, W, b, dy = real(rng, dtype, 700, 257), real(rng, dtype, 65, 257), real(rng, dtype, 65), real(rng, dtype, 700, 65)
    ids, weight = rng.integers(0, 65, 700), rng.uniform(0, 1, 700).astype(dtype)
    dW, db, dE = np.zeros_like(W), np.zeros_like(b), np.zeros_like(W)
    dx = _ops.linear_backward(dy, x, W, dW, db)
    assert dx is not None
    _ops.embedding_backward(ids, x, dE)
    out = {"linear": _ops.linear(x, W, b), "few": _ops.linear(x[:7], W, b), "dx": dx, "dW": dW, "db": db, "dE": dE}
    out |= {"embedding": _ops.embedding(ids, W), "softmax": _ops.softmax(x), "log_softmax": _ops.log_softmax(x)}
    for name, (loss, d) in {
        "cross entropy": _ops.mean_loss("softmax_cross_entropy", x, ids, weight),
        "squared error": _ops.mean_loss("mean_squared_error", x, x[::-1], weight),
        "binary": _ops.mean_loss("binary_cross_entropy", x, abs(np.sin(x)), weight),
    }.items():
        out |= {f"{name} loss": np.array(loss), f"{name} gradient": d}
    return out


def assert_same_bits(actual: dict[str, Array], expected: dict[str, Array]) -> None:
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name, strict=True)


@several_widths
def test_instruction_sets_give_the_same_bits(dtype: str) -> None:
    results = []
    for name in EXACT:
        with using_isa(name):
            results.append(everything(dtype))
    for result in results[1:]:
        assert_same_bits(result, results[0])


def test_threads_change_no_bit(isa: str, dtype: str) -> None:
    with rf.threads(1):
        alone = everything(dtype)
    for n in (2, 3):
        with rf.threads(n):
            assert_same_bits(everything(dtype), alone)


def test_any_memory_layout(dtype: str, rng: np.random.Generator) -> None:
    x, W = real(rng, dtype, 9, 6), real(rng, dtype, 4, 6)
    expected = _ops.linear(x, W)
    frozen = x.copy()
    frozen.flags.writeable = False
    for same in (np.asfortranarray(x), x[::-1].copy()[::-1], np.repeat(x, 2, 1)[:, ::2], frozen):
        np.testing.assert_array_equal(_ops.linear(same, W), expected)
        np.testing.assert_array_equal(_ops.softmax(same), _ops.softmax(x))


@pytest.mark.torch
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_agree_with_torch(isa: str, dtype: str, weighted: bool, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    x, y, ids = real(rng, dtype, 300, 37, scale=3), rng.uniform(0, 1, (300, 37)).astype(dtype), rng.integers(0, 37, 300)
    weight = rng.uniform(0, 1, 300).astype(dtype) if weighted else np.ones(300, dtype)
    w, target = torch.from_numpy(weight), torch.from_numpy(y)
    pairs: list[tuple[tuple[float, Array], Callable[[Any], Any]]] = [
        (
            _ops.mean_loss("softmax_cross_entropy", x, ids, weight),
            lambda t: F.cross_entropy(t, torch.from_numpy(ids), reduction="none"),
        ),
        (_ops.mean_loss("mean_squared_error", x, y, weight), lambda t: F.mse_loss(t, target, reduction="none").mean(1)),
        (
            _ops.mean_loss("binary_cross_entropy", x, y, weight),
            lambda t: F.binary_cross_entropy_with_logits(t, target, reduction="none").mean(1),
        ),
    ]
    for (loss, gradient), formula in pairs:
        t = torch.from_numpy(x).clone().requires_grad_()
        expected = (formula(t) * w).sum() / w.sum()
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=tolerance)
        np.testing.assert_allclose(gradient, t.grad.numpy(), rtol=tolerance, atol=tolerance * 1e-2)


def planted_faults(dtype: str) -> dict[str, Callable[[], None]]:
    """Wrong results as a wrong implementation would give them, each with the check that must refuse it."""
    rng = np.random.default_rng(5)
    x, W, b = real(rng, dtype, 300, 9), real(rng, dtype, 9, 9), real(rng, dtype, 9)
    ids, w, zero = rng.integers(0, 9, 300), rng.uniform(0.5, 1, 300).astype(dtype), np.zeros((9, 9), dtype)
    y, dW, p = x @ W.T + b, x.T @ x, reference.softmax(x.astype(np.float64)).astype(dtype)
    good = reference.softmax_cross_entropy(x.astype(np.float64), ids, w.astype(np.float64))
    plain = reference.softmax_cross_entropy(x.astype(np.float64), ids)
    shifted = reference.softmax_cross_entropy(x.astype(np.float64), (ids + 1) % 9, w.astype(np.float64))
    return {
        "dropped bias": lambda: assert_product(y - b, x, W.T, b, 10),
        "transposed weights": lambda: assert_product((x @ W + b).astype(dtype), x, W.T, b, 10),
        "a forgotten row": lambda: assert_rows_summed((x[1:].T @ x[1:]).astype(dtype), x, x, zero),
        "a forgotten last block": lambda: assert_rows_summed((x[:256].T @ x[:256]).astype(dtype), x, x, zero),
        "overwritten instead of added": lambda: assert_rows_summed(dW, x, x, W),
        "a number left out of the sum": lambda: assert_softmax(p / (1 - p[:, :1]), x),
        "gradient without the target": lambda: assert_cross_entropy((good[0], p / 300), x, ids, w),
        "sum instead of mean": lambda: assert_cross_entropy((good[0] * 300, good[1]), x, ids, w),
        "ignored weights": lambda: assert_cross_entropy(plain, x, ids, w),
        "another target": lambda: assert_cross_entropy(shifted, x, ids, w),
        "half the gradient": lambda: assert_squared_error((0.0, (x - x[::-1]) / x.size), x, x[::-1], None),
    }


@pytest.mark.parametrize("fault", planted_faults("float32"))
def test_planted_faults_are_refused(fault: str, dtype: str) -> None:
    with pytest.raises(AssertionError):
        planted_faults(dtype)[fault]()

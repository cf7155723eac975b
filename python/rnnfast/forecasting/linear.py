"""The linear forecast that a network starts from: ridge regression on windows, and the spread of what it leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnfast.arrays import Array, Float64
from rnnfast.forecasting.network import Network
from rnnfast.forecasting.windows import Windows
from rnnfast.layers import Linear
from rnnfast.losses import Loss, Quantile

RIDGES = (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)
CHUNK = 4096  # windows that are in memory at once
MOST = 100_000  # windows that the regression reads; of more it takes some in equal steps
LEAST_SPREAD = 1e-3  # of scaled residuals
FIRST_DF = 6.0  # degrees of freedom from which Student's t starts


def start_linear(network: Network, windows: Windows, validation: Windows | None, ridge: float | None) -> None:
    """Let the network start from the linear forecast of least squares, ``min |Z w + b - y|^2 + ridge |w|^2``.

    Without a ``ridge`` it is the one of ``RIDGES`` whose forecasts of the validation have the least squared error; 1
    where there is none. The residuals give the first quantiles, or the first scale. The products are those of the
    engine and the solution is computed column by column, so that the start has the same bits on any number of threads.
    """
    parts = _pairs(network, windows)
    ridges = [1.0 if ridge is None else ridge] if ridge is not None or validation is None else RIDGES
    found = regression(parts, ridges)
    judged = _pairs(network, validation) if validation is not None and len(found) > 1 else []
    errors = [sum(np.nansum(_residuals(z, y, *each) ** 2) for z, y in judged) for each in found]
    weight, bias = found[int(np.argmin(errors))]
    residuals = np.concatenate([_residuals(z, y, weight, bias) for z, y in parts])
    network.start_from(*_outputs(network.loss_of_numbers, weight, bias, residuals))


def _pairs(network: Network, windows: Windows) -> list[tuple[Float64, Float64]]:
    """Return z (M, F) and targets (M, H) of windows, of many at most ``MOST``, in parts."""
    step = -(-len(windows.origins) // MOST)
    some = windows.select(np.arange(0, len(windows.origins), step))
    chunks = [np.arange(i, min(i + CHUNK, len(some.origins))) for i in range(0, len(some.origins), CHUNK)]
    return [_pair(network, some, index) for index in chunks]


def _residuals(z: Float64, y: Float64, weight: Float64, bias: Float64) -> Float64:
    return np.asarray(y - sum_of_products(z, weight) - bias)


def _pair(network: Network, windows: Windows, index: Array) -> tuple[Float64, Float64]:
    """Return z (M, F) and targets (M, H) of some windows; step by step only those of the first step."""
    batch = windows.batch(index)
    z, y = network.beside(batch), batch.targets[""]
    y = np.where(batch.weights == 0, np.nan, y) if batch.weights is not None else y
    H = network.sizes.horizon
    if network.strategy == "recursive":
        z, y = z[::H], y[::H]
    return z.astype(np.float64), y.reshape(len(z), -1).astype(np.float64)


def regression(parts: Sequence[tuple[Float64, Float64]], ridges: Sequence[float]) -> list[tuple[Float64, Float64]]:
    """Return weight (H, F) and bias (H,) of ridge regression on z (M, F) and y (M, H), in parts, for each penalty.

    NaN in y is missing. The bias has no penalty.

    Examples
    --------
    >>> z = np.array([[0.0], [1.0], [2.0]])
    >>> weight, bias = regression([(z, np.array([[1.0], [3.0], [np.nan]]))], [0.0])[0]
    >>> weight.round(6).tolist(), bias.round(6).tolist()
    ([[2.0]], [1.0])
    """
    missing = any(np.isnan(y).any() for _, y in parts)
    H = parts[0][1].shape[1]
    groups = [slice(k, k + 1) for k in range(H)] if missing else [slice(0, H)]
    sums = [_sums([(z, y[:, group]) for z, y in parts]) for group in groups]
    found = []
    for ridge in ridges:
        penalty = np.full(sums[0].shape[1], ridge)
        penalty[-1] = 0
        F = len(penalty)
        solution = np.concatenate([solve(each[:F] + np.diag(penalty), each[F:].T).T for each in sums])
        found.append((solution[:, :-1], solution[:, -1]))
    return found


def _sums(parts: list[tuple[Float64, Float64]]) -> Float64:
    """Return ``[A y]^T A`` (F + 1 + H, F + 1), where A is z with a column of ones."""
    F = parts[0][0].shape[1] + 1
    products = Linear(F, F + parts[0][1].shape[1], bias=False, dtype="float64", seed=0)
    for z, y in parts:
        there = ~np.isnan(y).any(axis=1)
        a = np.concatenate([z[there], np.ones((int(there.sum()), 1))], axis=1)
        _, tape = products.forward(a)
        products.backward(tape, np.concatenate([a, y[there]], axis=1))
    found: Float64 = products.weight.grad
    return found


def solve(A: Float64, B: Float64) -> Float64:
    """Return x of ``A x = B``, A symmetric and positive (semi-)definite, by LDL^T; 0 where a pivot is rounding.

    Examples
    --------
    >>> solve(np.array([[4.0, 2.0], [2.0, 3.0]]), np.array([[2.0], [5.0]])).round(6).ravel().tolist()
    [-0.5, 2.0]
    """
    A, x = A.copy(), B.copy()
    n = len(A)
    least = np.diag(A).max() * n * np.finfo(np.float64).eps
    for k in range(n):
        usable = A[k, k] > least
        factor = A[k + 1 :, k] / A[k, k] if usable else np.zeros(n - k - 1)
        A[k + 1 :, k + 1 :] -= factor[:, None] * A[k, k + 1 :]
        x[k + 1 :] -= factor[:, None] * x[k]
        if not usable:
            A[k, k], A[k, k + 1 :], x[k] = 1, 0, 0
    for k in range(n - 1, -1, -1):
        x[k] = (x[k] - (A[k, k + 1 :, None] * x[k + 1 :]).sum(axis=0)) / A[k, k]
    return x


def sum_of_products(z: Float64, weight: Float64) -> Float64:
    """Return ``z weight^T`` with the engine's product."""
    layer = Linear(z.shape[1], len(weight), bias=False, dtype="float64", seed=0)
    layer.weight[...] = weight
    return layer(z)


def _outputs(loss: Loss, weight: Float64, bias: Float64, residuals: Float64) -> tuple[Float64, Float64]:
    """Return weight (H P, F) and bias (H P,) of a loss with P outputs, given those of the mean."""
    H, F = weight.shape
    weights, biases = np.zeros((H, loss.width, F)), np.zeros((H, loss.width))
    if isinstance(loss, Quantile):
        weights[:] = weight[:, None]
        biases[:] = bias[:, None] + np.nanquantile(residuals, loss.quantiles, axis=0).T
    else:
        weights[:, 0], biases[:, 0] = weight, bias
        spread = np.maximum(np.sqrt(np.nanmean(residuals**2, axis=0)), LEAST_SPREAD)
        biases[:, 1] = np.log(np.expm1(spread))
        if loss.width > 2:
            biases[:, 2] = np.log(np.expm1(FIRST_DF - 2))
    return weights.reshape(-1, F), biases.reshape(-1)

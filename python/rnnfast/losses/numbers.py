"""Losses of real numbers: errors of a point forecast, and quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, Float64
from rnnfast.losses.base import Loss
from rnnfast.losses.classes import engine_mean


class MeanSquaredError(Loss):
    """The squared error, ``l = (outputs - y)^2``.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> rf.losses.MeanSquaredError()(np.array([[3.0]]), np.array([[1.0]]))
    (4.0, array([[4.]]))
    """

    name = "mse"

    def mean(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the weighted mean and its gradient (M, K)."""
        return engine_mean("mean_squared_error", outputs, targets, weights)


class MeanAbsoluteError(Loss):
    """The absolute error, ``l = |outputs - y|``, of gradient 0 where it is 0.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> rf.losses.MeanAbsoluteError()(np.array([[3.0]]), np.array([[1.0]]))
    (2.0, array([[1.]]))
    """

    name = "mae"

    def values(self, outputs: Float64, targets: Float64) -> tuple[Float64, Float64]:
        """Return the losses (E,) and their gradients (E, 1)."""
        error = outputs[:, 0] - targets
        return np.abs(error), np.sign(error)[:, None]


class Huber(Loss):
    """``l = e^2 / 2`` where ``|e| <= delta``, else ``delta (|e| - delta / 2)``, of ``e = outputs - y`` (Huber 1964).

    Parameters
    ----------
    delta : float
        The error above which the loss is linear, above 0.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> rf.losses.Huber()(np.array([[3.0]]), np.array([[1.0]]))
    (1.5, array([[1.]]))
    """

    name = "huber"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = checks.as_number("delta", delta, "a finite number above 0", lambda d: 0 < d < np.inf)

    def options(self) -> dict[str, Any]:
        """Return delta, unless it is 1."""
        return {} if self.delta == 1 else {"delta": self.delta}

    def values(self, outputs: Float64, targets: Float64) -> tuple[Float64, Float64]:
        """Return the losses (E,) and their gradients (E, 1)."""
        error = outputs[:, 0] - targets
        near = np.clip(error, -self.delta, self.delta)
        return near * (error - near / 2), near[:, None]


class LogCosh(Loss):
    """``l = log(cosh(outputs - y))``: half the squared error of small errors, the absolute error of large ones.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> loss, gradient = rf.losses.LogCosh()(np.array([[3.0]]), np.array([[1.0]]))
    >>> round(loss, 6), gradient.round(6)
    (1.325003, array([[0.964028]]))
    """

    name = "log_cosh"

    def values(self, outputs: Float64, targets: Float64) -> tuple[Float64, Float64]:
        """Return the losses (E,) and their gradients (E, 1)."""
        error = outputs[:, 0] - targets
        size = np.abs(error)
        small = np.log1p(np.sinh(np.minimum(size, 1)) ** 2) / 2  # keeps the digits of small errors
        large = size + np.log1p(np.exp(-2 * size)) - np.log(2)
        return np.where(size < 1, small, large), np.tanh(error)[:, None]


class Quantile(Loss):
    """The pinball loss of Q quantiles at once (Koenker and Bassett 1978).

    ``l = mean over q of max(q e, (q - 1) e)``, ``e = y - outputs_q``; the gradient is 0 where e is. A head has Q
    outputs for each number, which stand side by side. The prediction is the quantile nearest to the median.

    Parameters
    ----------
    quantiles : numbers (Q,) or float
        The levels q within (0, 1), in ascending order.

    References
    ----------
    R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46 (1978).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> rf.losses.Quantile([0.25, 0.75])(np.array([[0.0, 0.0]]), np.array([[1.0]]))
    (0.5, array([[-0.125, -0.375]]))
    """

    name = "quantile"

    def __init__(self, quantiles: npt.ArrayLike = (0.1, 0.5, 0.9)) -> None:
        levels = np.atleast_1d(checks.as_reals("quantiles", quantiles, np.dtype(np.float64)))
        if levels.ndim != 1 or not len(levels) or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"quantiles: numbers within (0, 1) are required, got {checks.shown(quantiles)}")
        if (np.diff(levels) <= 0).any():
            raise ValueError(f"quantiles: ascending numbers are required, got {checks.shown(quantiles)}")
        self.quantiles = levels
        self.width = len(levels)
        self.direct = self.width == 1

    def options(self) -> dict[str, Any]:
        """Return the quantiles."""
        return {"quantiles": tuple(map(float, self.quantiles))}

    def values(self, outputs: Float64, targets: Float64) -> tuple[Float64, Float64]:
        """Return the losses (E,) and their gradients (E, Q)."""
        error = targets[:, None] - outputs
        slope = np.where(error > 0, self.quantiles, np.where(error < 0, self.quantiles - 1, 0.0))
        return (slope * error).mean(axis=1), -slope / self.width

    def rearranged(self, outputs: Array) -> Array:
        """Return the quantiles (M, K, Q) of outputs (M, K Q) in ascending order (Chernozhukov et al. 2010)."""
        return np.sort(outputs.reshape(len(outputs), outputs.shape[1] // self.width, self.width), axis=2)

    def predicted(self, outputs: Array, levels: Any = None) -> Array:
        """Return the quantiles (M, K, Q) of the given levels, which are among the learned ones; None means all."""
        found = self.rearranged(outputs)
        if levels is None:
            return found
        wanted = np.atleast_1d(checks.as_reals("quantiles", levels, np.dtype(np.float64)))
        places = np.abs(wanted[:, None] - self.quantiles).argmin(axis=1) if wanted.ndim == 1 else np.zeros(0, np.int64)
        if wanted.ndim != 1 or not np.allclose(self.quantiles[places], wanted, rtol=0, atol=1e-9):
            known = ", ".join(f"{q:g}" for q in self.quantiles)
            raise ValueError(f"quantiles: some of {known}, which are learned, are required, got {checks.shown(levels)}")
        return found[:, :, places]

    def point(self, outputs: Array) -> Array:
        """Return the quantile that is nearest to the median, (M, K)."""
        found: Array = self.rearranged(outputs)[:, :, int(np.argmin(np.abs(self.quantiles - 0.5)))]
        return found

"""Negative log-likelihoods: a head's outputs are the parameters of a distribution of each number."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Float64
from rnnfast.losses import inverse
from rnnfast.losses.base import Loss
from rnnfast.losses.special import digamma_rise, log_gamma_rise

# Below every scale and dispersion, so that no likelihood is infinite.
LEAST = 1e-6
LEVELS = (0.1, 0.5, 0.9)
LEAST_U = 2.0**-54


class Likelihood(Loss):
    """A negative log-likelihood in nats, ``l = -log p(y; parameters)``.

    A head has P outputs for each number, which stand side by side. ``parameters`` makes the distribution's parameters
    of them; the prediction is the distribution's mean.
    """

    direct = False

    def parameters(self, outputs: Array) -> dict[str, Array]:
        """Return the parameters (M, K) by name, in the dtype of the outputs (M, K P)."""
        x = outputs.reshape(len(outputs), outputs.shape[1] // self.width, self.width).astype(np.float64)
        with np.errstate(over="ignore"):
            return {name: values.astype(outputs.dtype) for name, values in self._parameters(x).items()}

    @abstractmethod
    def _parameters(self, x: Float64) -> dict[str, Float64]:
        """Return the parameters (...) by name, of outputs (..., P)."""

    def point(self, outputs: Array) -> Array:
        """Return the mean (M, K), which is the first parameter."""
        return next(iter(self.parameters(outputs).values()))

    def predicted(self, outputs: Array, levels: Any = None) -> Array:
        """Return the quantiles (M, K, Q) at levels (Q,) within (0, 1); None stands for 0.1, 0.5 and 0.9."""
        u = np.atleast_1d(checks.as_reals("quantiles", LEVELS if levels is None else levels, np.dtype(np.float64)))
        if u.ndim != 1 or not ((u > 0) & (u < 1)).all():
            raise ValueError(f"quantiles: numbers within (0, 1) are required, got {checks.shown(levels)}")
        found = [self._inverse(np.full(1, each), outputs) for each in u]
        return np.stack(found, axis=2) if found else np.zeros((len(outputs), outputs.shape[1] // self.width, 0))

    def draw(self, outputs: Array, u: Float64) -> Array:
        """Return numbers (M, K) drawn from the distributions by random numbers u (M, K) within [0, 1)."""
        return self._inverse(np.clip(u, LEAST_U, 1 - LEAST_U), outputs)

    def _inverse(self, u: Float64, outputs: Array) -> Array:
        """Return the quantiles (M, K) at u, which broadcasts."""
        p = {name: values.astype(np.float64) for name, values in self.parameters(outputs).items()}
        with np.errstate(over="ignore"):
            found = self._quantile(np.broadcast_to(u, next(iter(p.values())).shape), **p)
            return found.astype(outputs.dtype)

    @abstractmethod
    def _quantile(self, u: Float64, **parameters: Float64) -> Float64:
        """Return the quantiles at every u, of parameters like u."""


class Gaussian(Likelihood):
    """A normal distribution: ``loc = outputs_1``, ``scale = softplus(outputs_2) + 1e-6``.

    ``l = z^2 / 2 + log(scale) + log(2 pi) / 2``, ``z = (y - loc) / scale``.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> loss, gradient = rf.losses.Gaussian()(np.array([[0.0, 0.5413236]]), np.array([[1.0]]))
    >>> round(loss, 4), gradient.round(4)
    (1.4189, array([[-1.,  0.]]))
    """

    name = "gaussian"
    width = 2

    def _parameters(self, x: Float64) -> dict[str, Float64]:
        return {"loc": x[..., 0], "scale": softplus(x[..., 1]) + LEAST}

    def _quantile(self, u: Float64, **parameters: Float64) -> Float64:
        return parameters["loc"] + parameters["scale"] * inverse.normal(u)

    def values(self, outputs: Float64, targets: Float64) -> tuple[Float64, Float64]:
        """Return the losses (E,) and their gradients (E, 2)."""
        p = self._parameters(outputs)
        z = (targets - p["loc"]) / p["scale"]
        dscale = (1 - z * z) / p["scale"]
        gradient = np.stack([-z / p["scale"], dscale * sigmoid(outputs[:, 1])], axis=1)
        return z * z / 2 + np.log(p["scale"]) + np.log(2 * np.pi) / 2, gradient


class StudentT(Likelihood):
    """Student's t distribution, whose tails are heavier than a normal distribution's.

    ``loc = outputs_1``, ``scale = softplus(outputs_2) + 1e-6``, ``df = 2 + softplus(outputs_3)``, so that the variance
    is finite; ``l = log gamma(df / 2) - log gamma((df + 1) / 2) + log(pi df) / 2 + log(scale)
    + (df + 1) / 2 log(1 + z^2 / df)``, ``z = (y - loc) / scale``.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> loss, gradient = rf.losses.StudentT()(np.array([[0.0, 0.5413236, 0.5413236]]), np.array([[1.0]]))
    >>> round(loss, 4), gradient.round(4)
    (1.5763, array([[-1.    ,  0.    , -0.0312]]))
    """

    name = "student_t"
    width = 3

    def _parameters(self, x: Float64) -> dict[str, Float64]:
        return {"loc": x[..., 0], "scale": softplus(x[..., 1]) + LEAST, "df": 2 + softplus(x[..., 2])}

    def _quantile(self, u: Float64, **parameters: Float64) -> Float64:
        return parameters["loc"] + parameters["scale"] * inverse.student_t(u, parameters["df"])

    def values(self, outputs: Float64, targets: Float64) -> tuple[Float64, Float64]:
        """Return the losses (E,) and their gradients (E, 3)."""
        p = self._parameters(outputs)
        n, scale, half = p["df"], p["scale"], np.array(0.5)
        z = (targets - p["loc"]) / scale
        u = z * z / n
        tail = np.log1p(u)
        values = np.log(np.pi * n) / 2 + np.log(scale) + (n + 1) / 2 * tail - log_gamma_rise(n / 2, half)
        dz = (n + 1) / n * z / (1 + u)
        dn = (1 / n + tail - digamma_rise(n / 2, half) - (n + 1) / n * u / (1 + u)) / 2
        parts = [-dz / scale, (1 - z * dz) / scale * sigmoid(outputs[:, 1]), dn * sigmoid(outputs[:, 2])]
        return values, np.stack(parts, axis=1)


class Poisson(Likelihood):
    """A Poisson distribution of counts: ``rate = exp(outputs)``, ``l = rate - y log(rate) + log(y!)``.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> rf.losses.Poisson()(np.array([[0.0]]), np.array([[0.0]]))
    (1.0, array([[1.]]))
    """

    name = "poisson"

    def _parameters(self, x: Float64) -> dict[str, Float64]:
        return {"rate": np.exp(x[..., 0])}

    def _quantile(self, u: Float64, **parameters: Float64) -> Float64:
        return inverse.poisson(u, parameters["rate"])

    def check(self, name: str, targets: Array) -> None:
        """Raise ValueError for negative counts."""
        _check_counts(name, targets)

    def values(self, outputs: Float64, targets: Float64) -> tuple[Float64, Float64]:
        """Return the losses (E,) and their gradients (E, 1)."""
        rate = np.exp(outputs[:, 0])
        values = rate - targets * outputs[:, 0] + log_gamma_rise(np.array(1.0), targets)
        return values, (rate - targets)[:, None]


class NegativeBinomial(Likelihood):
    """A negative binomial distribution of counts, whose variance is ``mean + dispersion mean^2`` (Salinas et al. 2020).

    ``mean = exp(outputs_1)``, ``dispersion = softplus(outputs_2) + 1e-6``; with ``r = 1 / dispersion``,
    ``l = log gamma(r) + log(y!) - log gamma(y + r) - r log(r / (r + mean)) - y log(mean / (r + mean))``.

    References
    ----------
    D. Salinas et al., "DeepAR: probabilistic forecasting with autoregressive recurrent networks", Int. J. Forecasting
    36 (2020).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> loss, gradient = rf.losses.NegativeBinomial()(np.array([[0.0, 0.5413236]]), np.array([[0.0]]))
    >>> round(loss, 4), gradient.round(4)
    (0.6931, array([[ 0.5   , -0.1221]]))
    """

    name = "negative_binomial"
    width = 2

    def _parameters(self, x: Float64) -> dict[str, Float64]:
        return {"mean": np.exp(x[..., 0]), "dispersion": softplus(x[..., 1]) + LEAST}

    def _quantile(self, u: Float64, **parameters: Float64) -> Float64:
        return inverse.negative_binomial(u, parameters["mean"], parameters["dispersion"])

    def check(self, name: str, targets: Array) -> None:
        """Raise ValueError for negative counts."""
        _check_counts(name, targets)

    def values(self, outputs: Float64, targets: Float64) -> tuple[Float64, Float64]:
        """Return the losses (E,) and their gradients (E, 2)."""
        p = self._parameters(outputs)
        mean, r = p["mean"], 1 / p["dispersion"]
        u = mean / r
        tail = np.log1p(u)
        log_u = outputs[:, 0] - np.log(r)
        values = log_gamma_rise(np.array(1.0), targets) - log_gamma_rise(r, targets) + r * tail
        values -= targets * (log_u - tail)
        slope = (targets - mean) / (1 + u)
        ddispersion = r * r * (digamma_rise(r, targets) - tail) - r * slope
        return values, np.stack([-slope, ddispersion * sigmoid(outputs[:, 1])], axis=1)


def _check_counts(name: str, targets: Array) -> None:
    if (targets < 0).any():
        raise ValueError(f"{name}: counts >= 0 are required, got {np.nanmin(targets)}")


def softplus(x: Float64) -> Float64:
    """Return ``log(1 + exp(x))``.

    Examples
    --------
    >>> softplus(np.array([0.0])).round(4)
    array([0.6931])
    """
    found: Float64 = np.logaddexp(0.0, x)
    return found


def sigmoid(x: Float64) -> Float64:
    """Return ``1 / (1 + exp(-x))``, the derivative of ``softplus``.

    Examples
    --------
    >>> sigmoid(np.array([-800.0, 0.0]))
    array([0. , 0.5])
    """
    found: Float64 = np.exp(-softplus(-x))
    return found

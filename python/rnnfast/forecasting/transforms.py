"""Monotone functions that values are forecast under, and their inverses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnnfast.arrays import Float64


@dataclass(frozen=True)
class Transform:
    """A function of values, defined from ``least`` on, or above it where ``open``."""

    forward: np.ufunc
    inverse: np.ufunc
    least: float
    open: bool = False

    @property
    def wanted(self) -> str:
        """What is required of values, in words."""
        return f"values {'above' if self.open else 'of at least'} {self.least:g}"

    def defined(self, values: Float64) -> bool:
        """Return whether all values are where the function is defined; NaN counts as missing."""
        there = values[~np.isnan(values)]
        return bool(((there > self.least) if self.open else (there >= self.least)).all())

    def undone(self, values: Float64) -> Float64:
        """Return the values whose transforms are given; what no value has becomes the least one."""
        found: Float64 = self.inverse(
            np.maximum(values, self.forward(np.float64(self.least))) if not self.open else values
        )
        return found


TRANSFORMS = {
    "sqrt": Transform(np.sqrt, np.square, 0.0),
    "log1p": Transform(np.log1p, np.expm1, 0.0),
    "log": Transform(np.log, np.exp, 0.0, open=True),
}

"""Polynomial coefficients of math-inl.hpp and log-inl.hpp, by Chebyshev interpolation at 60 digits (near-minimax).

Rounded to the target type, highest power first.

Run with mpmath installed: ``python coefficients.py``.
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 60


def interpolate(f, lo, hi, degree):
    """Coefficients, lowest power first, of the polynomial through f at the Chebyshev nodes of [lo, hi]."""
    n = degree + 1
    nodes = [(lo + hi) / 2 + (hi - lo) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    matrix = mp.matrix(n, n)
    for row, node in enumerate(nodes):
        for power in range(n):
            matrix[row, power] = node**power
    return list(mp.lu_solve(matrix, mp.matrix([f(node) for node in nodes])))


def exp_tail(r):
    """(exp(r) - 1 - r) / r^2."""
    return (mp.e**r - 1 - r) / r**2 if abs(r) > mp.mpf("1e-15") else mp.mpf(1) / 2 + r / 6


def tanh_tail(z):
    """(tanh(x) / x - 1) / x^2 at z = x^2."""
    x = mp.sqrt(z)
    return (mp.tanh(x) / x - 1) / z if z else -mp.mpf(1) / 3


def log_tail(z):
    """(2 atanh(s) / s - 2) / s^2 at z = s^2."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z if z else mp.mpf(2) / 3


def main():
    """Print all sets for float and double, highest power first."""
    half = mp.log(2) / 2 * mp.mpf("1.01")
    split = mp.mpf("0.55") ** 2
    root = mp.sqrt(2)
    widest = ((root - 1) / (root + 1)) ** 2 * mp.mpf("1.01")
    for name, dtype, exp_degree, tanh_degree, log_degree in (
        ("float", np.float32, 4, 4, 2),
        ("double", np.float64, 9, 10, 6),
    ):
        for kind, f, lo, hi, degree in (
            ("exp", exp_tail, -half, half, exp_degree),
            ("tanh", tanh_tail, mp.mpf("1e-40"), split, tanh_degree),
            ("log", log_tail, mp.mpf("1e-40"), widest, log_degree),
        ):
            rounded = [dtype(c) for c in reversed(interpolate(f, lo, hi, degree))]
            print(name, kind, ", ".join(float(c).hex() for c in rounded))


if __name__ == "__main__":
    main()

"""Elementary functions of every instruction set, in units of the last place (ulp) of the exact value.

The slow tests read every float32 there is. The truth of a float32 is NumPy's float64, whose own error is some 2^-29 ulp
of a float32; that of a float64 is the 80-bit format of the C library, 2^-11.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rnnfast._core import testing
from tests.support.matrix import BASELINE, EXACT, ISAS

Array = np.ndarray
SIZES = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65]
LIMIT = {"float32": 88.0, "float64": 709.0}  # beyond, exp is 0 or what it is there
CHUNK = 2**17

# What docs/numerics.md states, measured and rounded up: with fused multiply-adds, and without (baseline).
BOUNDS = {
    ("tanh", "float32"): (1.38, 1.38),
    ("sigmoid", "float32"): (2.0, 2.0),
    ("exp", "float32"): (1.07, 1.03),
    ("tanh", "float64"): (1.42, 1.42),
    ("sigmoid", "float64"): (2.0, 2.0),
    ("exp", "float64"): (1.08, 1.05),
}

every_isa = pytest.mark.parametrize("name", ISAS)
every_function = pytest.mark.parametrize("function", ["tanh", "sigmoid", "exp"])


def exact(function: str, x: Array) -> Array:
    """The function in the next wider format: float64 for float32, the 80-bit format for float64."""
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if function == "tanh":
            return np.asarray(np.tanh(wide))
        if function == "exp":
            return np.asarray(np.exp(np.minimum(wide, LIMIT[str(x.dtype)])))
        e: Array = np.exp(-np.abs(wide))
        return np.asarray(np.where(x > 0, 1, e) / (1 + e))


def ulps(actual: Array, expected: Array) -> Array:
    """Distance in units of the last place of the expected value.

    Denormal numbers are flushed to zero by design: below the smallest normal number its unit counts, and zero is right.
    """
    info = np.finfo(actual.dtype)
    magnitude = np.abs(expected)
    with np.errstate(under="ignore"):
        binade = np.maximum(magnitude, expected.dtype.type(info.smallest_normal))
        if expected.dtype == np.float64:
            binade = (binade.view(np.int64) & 0x7FF0000000000000).view(np.float64)
        else:
            binade = np.ldexp(expected.dtype.type(0.5), np.frexp(binade)[1])
        distance: Array = np.abs(actual - expected) / (binade * expected.dtype.type(info.eps))
    distance[(magnitude < info.smallest_normal) & (np.abs(actual) <= info.smallest_normal)] = 0
    return distance


def assert_close(function: str, x: Array) -> None:
    """Every set within its bound; those with fused multiply-adds agree to the bit and meet the truth once."""
    expected = exact(function, x)
    for names, bound in zip((EXACT, [BASELINE]), BOUNDS[function, str(x.dtype)], strict=True):
        results = [testing.unary(name, function, x) for name in names if name in ISAS]
        for y in results[1:]:
            assert (y.view(np.uint8) == results[0].view(np.uint8)).all()
        for y in results[:1]:
            distance = ulps(y, expected)
            at = int(distance.argmax())
            assert distance[at] <= bound, f"{names[0]}: {function}({x[at]!r}) is off by {distance[at]:.3f} ulp"


def saturated(function: str, x: Array) -> Array:
    """The value that every x of magnitude 128 and more gives."""
    high = testing.unary(ISAS[0], "exp", np.array([LIMIT[str(x.dtype)]], x.dtype))[0]
    low, high = {"tanh": (-1, 1), "sigmoid": (0, 1), "exp": (0, high)}[function]
    return np.where(x > 0, high, low).astype(x.dtype)


def check_bits(function: str, first: int) -> None:
    """The CHUNK float32 numbers whose bits begin at `first`."""
    x = np.arange(first, first + CHUNK, dtype=np.uint32).view(np.float32)
    if abs(float(x[0])) < 128:
        assert_close(function, x)
        return
    number = ~np.isnan(x)
    expected = saturated(function, x[number])
    for name in ISAS:
        y = testing.unary(name, function, x)
        assert (y[number] == expected).all(), name
        assert np.isnan(y[~number]).all(), name


@pytest.mark.slow
@pytest.mark.timeout(3600)
@every_function
def test_every_float32(function: str) -> None:
    """All 2^32 of them, the sets of one machine at once; NumPy leaves the interpreter to the second thread."""
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda first: check_bits(function, first), range(0, 2**32, CHUNK)):
            pass


def of_every_exponent(dtype: str, count: int, rng: np.random.Generator) -> Array:
    """``count`` random fractions of every exponent and sign, with denormal numbers and infinities."""
    info = np.finfo(dtype)
    exponents = np.arange(2**info.iexp, dtype=np.uint64)[:-1]
    fractions = rng.integers(0, 2**info.nmant, (len(exponents), count), dtype=np.uint64)
    fractions[:, 0], fractions[:, 1] = 0, 2**info.nmant - 1
    bits = (exponents[:, None] << np.uint64(info.nmant)) | fractions
    x = bits.astype(f"uint{info.bits}").view(dtype).ravel()
    return np.concatenate([x, -x, np.array([np.inf, -np.inf], dtype)])


def where_they_bend(dtype: str, rng: np.random.Generator) -> Array:
    """Arguments of usual size, and both sides of branches, limits and multiples of ln 2 / 2, where formulas change."""
    limit = LIMIT[dtype]
    multiples = np.arange(-2 * limit / np.log(2), 2 * limit / np.log(2)) * np.log(2) / 2
    points = np.concatenate([multiples, multiples / 2, [0.55, -0.55, limit, -limit, limit / 4, -limit / 4]])
    steps = np.arange(-40, 41) * np.finfo(dtype).eps
    near = (points[:, None] * (1 + steps)).ravel()
    return np.concatenate([near, np.linspace(-20, 20, 200_001), rng.normal(size=100_000)]).astype(dtype)


def needs_wider(dtype: str) -> None:
    if dtype == "float64" and np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        pytest.skip("no format wider than float64 on this machine to compare with")


@every_function
def test_every_exponent(function: str, dtype: str, rng: np.random.Generator) -> None:
    needs_wider(dtype)
    assert_close(function, of_every_exponent(dtype, 3000 if dtype == "float32" else 100, rng))


@every_function
def test_where_the_formulas_change(function: str, dtype: str, rng: np.random.Generator) -> None:
    needs_wider(dtype)
    assert_close(function, where_they_bend(dtype, rng))


@pytest.mark.slow
@every_function
def test_float64_densely(function: str, rng: np.random.Generator) -> None:
    """Fifty million numbers, most of them where the functions bend."""
    needs_wider("float64")
    assert_close(function, of_every_exponent("float64", 1000, rng))
    for _ in range(20):
        scale = np.exp2(rng.uniform(-12, 8, 2**20))
        assert_close(function, rng.uniform(-1, 1, 2**20) * scale)


@every_isa
def test_the_edges(name: str, dtype: str) -> None:
    info = np.finfo(dtype)
    x = np.array([np.inf, -np.inf, np.nan, info.max, -info.max, 0.0, 100.0, -800.0], dtype)
    np.testing.assert_array_equal(testing.unary(name, "tanh", x), [1, -1, np.nan, 1, -1, 0, 1, -1])
    sigmoid = testing.unary(name, "sigmoid", x)
    np.testing.assert_array_equal(sigmoid[:-1], [1, 0, np.nan, 1, 0, 0.5, 1])
    assert 0 <= sigmoid[-1] < info.smallest_normal
    tiny = np.array([info.smallest_normal, -info.smallest_normal, info.smallest_subnormal, -0.0], dtype)
    np.testing.assert_array_equal(testing.unary(name, "tanh", tiny)[:2], tiny[:2])
    assert (np.abs(testing.unary(name, "tanh", tiny)[2:]) <= info.smallest_subnormal).all()
    np.testing.assert_array_equal(testing.unary(name, "sigmoid", tiny), [0.5] * 4)
    np.testing.assert_array_equal(testing.unary(name, "exp", tiny), [1] * 4)


@every_isa
@every_function
def test_range_and_symmetry(name: str, function: str, dtype: str) -> None:
    """No value outside the range, wherever rounding may fall; tanh is odd to the bit."""
    x = np.linspace(-30, 30, 200_001).astype(dtype)
    y = testing.unary(name, function, x)
    low, high = {"tanh": (-1, 1), "sigmoid": (0, 1), "exp": (0, np.inf)}[function]
    assert low <= y.min() <= y.max() <= high
    if function == "tanh":
        np.testing.assert_array_equal(testing.unary(name, function, -x), -y)


@every_isa
@every_function
def test_an_element_does_not_depend_on_its_place(
    name: str, function: str, dtype: str, rng: np.random.Generator
) -> None:
    x = (rng.normal(size=65) * 5).astype(dtype)
    whole = testing.unary(name, function, x)
    for size in SIZES:
        np.testing.assert_array_equal(testing.unary(name, function, x[:size].copy()), whole[:size])
        np.testing.assert_array_equal(testing.unary(name, function, x[65 - size :].copy()), whole[65 - size :])

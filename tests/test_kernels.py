"""Products and sums of every instruction set, by the bounds of their chains."""

from __future__ import annotations

import numpy as np
import pytest

from rnnfast._core import testing
from tests.support.matrix import EXACT, ISAS, several_widths

SIZES = [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65]
TILES = [1, 5, 6, 7, 8, 13, 14, 15, 28, 29]
BLOCK = 256

every_isa = pytest.mark.parametrize("name", ISAS)


def problem(rng: np.random.Generator, dtype: str, M: int, N: int, K: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(rng.normal(size=s).astype(dtype) for s in [(M, K), (K, N), (N,)])  # type: ignore[return-value]


def assert_product(actual: np.ndarray, a: np.ndarray, b: np.ndarray, start: np.ndarray) -> None:
    """``start + a b``, each element within the bound of a chain of K + 1 roundings (Higham 2002, 3.1)."""
    wide_a, wide_b = a.astype(np.longdouble), b.astype(np.longdouble)
    expected = start + wide_a @ wide_b
    terms = np.abs(start) + np.abs(wide_a) @ np.abs(wide_b)
    unit = np.finfo(actual.dtype).eps / 2
    assert (np.abs(actual - expected) <= 1.001 * (a.shape[1] + 1) * unit * terms).all()


@every_isa
@pytest.mark.parametrize("M", TILES)
def test_product(name: str, M: int, dtype: str, rng: np.random.Generator) -> None:
    for N in SIZES:
        for K in (0, 1, 2, 9, 33):
            a, b, bias = problem(rng, dtype, M, N, K)
            assert_product(testing.gemm(name, a, b, bias), a, b, bias)


@every_isa
def test_product_without_bias(name: str, dtype: str, rng: np.random.Generator) -> None:
    a, b, bias = problem(rng, dtype, 7, 17, 9)
    assert_product(testing.gemm(name, a, b, None), a, b, np.zeros_like(bias))


@every_isa
@pytest.mark.parametrize("shape", [(300, 130, 1), (3, 70, 1000), (65, 500, 257)])
def test_large_product(name: str, shape: tuple[int, int, int], dtype: str, rng: np.random.Generator) -> None:
    a, b, bias = problem(rng, dtype, *shape)
    assert_product(testing.gemm(name, a, b, bias), a, b, bias)


@every_isa
def test_rows_and_columns_of_a_product_are_independent(name: str, dtype: str, rng: np.random.Generator) -> None:
    """An element is the same whatever surrounds it: the promise behind batches, tiles and threads."""
    a, b, bias = problem(rng, dtype, 29, 65, 40)
    whole = testing.gemm(name, a, b, bias)
    for M in TILES:
        np.testing.assert_array_equal(testing.gemm(name, a[:M].copy(), b, bias), whole[:M])
    for N in SIZES:
        part = testing.gemm(name, a, b[:, :N].copy(), bias[:N].copy())
        np.testing.assert_array_equal(part, whole[:, :N])


@pytest.mark.skipif(not EXACT, reason="no instruction set with fma on this machine")
@pytest.mark.parametrize("name", EXACT)
def test_an_element_of_a_product_is_one_chain_of_fma(name: str, rng: np.random.Generator) -> None:
    """float32 products are exact in float64: a chain of fma is a chain of additions, each rounded once."""
    a, b, bias = problem(rng, "float32", 7, 33, 20)
    chain = np.broadcast_to(bias, (7, 33)).copy()
    for k in range(20):
        exact_product = a[:, k, None].astype(np.float64) * b[k]
        chain = (exact_product.astype(np.longdouble) + chain).astype(np.float32)
    np.testing.assert_array_equal(testing.gemm(name, a, b, bias), chain)


@several_widths
def test_products_have_the_same_bits_everywhere(dtype: str, rng: np.random.Generator) -> None:
    for M, N, K in [(1, 1, 1), (7, 33, 20), (29, 65, 257), (37, 3, 20)]:
        a, b, bias = problem(rng, dtype, M, N, K)
        first = testing.gemm(EXACT[0], a, b, bias)
        for name in EXACT[1:]:
            np.testing.assert_array_equal(testing.gemm(name, a, b, bias), first)


def outer_problem(
    rng: np.random.Generator, dtype: str, rows: int, M: int, N: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(rng.normal(size=s).astype(dtype) for s in [(rows, M), (rows, N), (M, N)])  # type: ignore[return-value]


@every_isa
@pytest.mark.parametrize("rows", [0, 1, 2, 255, 256, 257, 600])
def test_sum_of_outer_products(name: str, rows: int, dtype: str, rng: np.random.Generator) -> None:
    for M in (1, 6, 7, 17):
        for N in SIZES:
            a, b, c = outer_problem(rng, dtype, rows, M, N)
            assert_product(testing.gemm_tn(name, a, b, c), a.T, b, c)


@every_isa
def test_sums_over_rows_run_in_blocks(name: str, dtype: str, rng: np.random.Generator) -> None:
    """A call over many rows adds what calls over blocks of 256 rows add, in order."""
    a, b, c = outer_problem(rng, dtype, 3 * BLOCK + 5, 9, 17)
    whole = testing.gemm_tn(name, a, b, c)
    for start in range(0, len(a), BLOCK):
        c = testing.gemm_tn(name, a[start : start + BLOCK].copy(), b[start : start + BLOCK].copy(), c)
    np.testing.assert_array_equal(whole, c)


@several_widths
def test_sums_of_outer_products_have_the_same_bits_everywhere(dtype: str, rng: np.random.Generator) -> None:
    a, b, c = outer_problem(rng, dtype, 300, 29, 65)
    first = testing.gemm_tn(EXACT[0], a, b, c)
    for name in EXACT[1:]:
        np.testing.assert_array_equal(testing.gemm_tn(name, a, b, c), first)


def test_the_registry_names_what_runs() -> None:
    assert testing.get_isa() in ISAS
    with pytest.raises(ValueError, match="nonsense"):
        testing.set_isa("nonsense")

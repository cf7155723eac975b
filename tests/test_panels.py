"""Panels: arrays (case, channel, time), nested frames and multi-index frames, against loops over their cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnfast.data import frame_sequences, from_multiindex, from_nested, from_numpy3d

pd = pytest.importorskip("pandas", reason="pandas is not installed")

LENGTHS = (3, 1, 4)
CASES = ("b", "a", "c")


def sequences(rng: np.random.Generator) -> list[Any]:
    return [rng.normal(size=(length, 2)) for length in LENGTHS]


def nested(values: list[Any], kind: Any = None) -> Any:
    kind = kind or pd.Series
    return pd.DataFrame({name: [kind(v[:, c]) for v in values] for c, name in enumerate("uv")})


def multiindex(values: list[Any], cases: tuple[Any, ...] = CASES) -> Any:
    pairs = [(case, t) for case, v in zip(cases, values, strict=True) for t in range(len(v))]
    index = pd.MultiIndex.from_tuples(pairs, names=["case", "time"])
    return pd.DataFrame(np.concatenate(values), index=index, columns=["u", "v"])


def assert_same(found: Any, expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_numpy3d_has_its_last_axes_swapped(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 2, 5))
    found = from_numpy3d(x)
    assert found.flags.c_contiguous
    assert found.shape == (3, 5, 2)
    for index in np.ndindex(3, 2, 5):
        assert found[index[0], index[2], index[1]] == x[index]


@pytest.mark.parametrize("kind", [pd.Series, np.array, list], ids=["series", "array", "list"])
def test_nested(rng: np.random.Generator, kind: Any) -> None:
    values = sequences(rng)
    for read in (from_nested, frame_sequences):
        assert_same(read(nested(values, kind)), values)


def test_multiindex_keeps_the_order_of_cases(rng: np.random.Generator) -> None:
    values = sequences(rng)
    for read in (from_multiindex, frame_sequences):
        assert_same(read(multiindex(values)), values)
    mixed = multiindex(values).iloc[[4, 0, 5, 3, 1, 6, 2, 7]]
    assert_same(from_multiindex(mixed), [values[2], values[0], values[1]])
    assert mixed.index.droplevel(-1).unique().tolist() == ["c", "b", "a"]


def test_the_last_level_is_the_time(rng: np.random.Generator) -> None:
    values = sequences(rng)
    frame = multiindex(values, cases=(("x", 1), ("x", 0), ("y", 1)))
    frame.index = pd.MultiIndex.from_tuples([(*case, t) for case, t in frame.index])
    assert_same(from_multiindex(frame), values)


@pytest.mark.parametrize("x", [np.zeros((2, 3)), [[1, 2]], pd.DataFrame({"u": [1.0]}), pd.DataFrame(), None])
def test_everything_else_is_no_panel(x: Any) -> None:
    assert frame_sequences(x) is None


BAD: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "axes": (from_numpy3d, np.zeros((2, 3)), ValueError, r"^x: shape \(N, C, T\) is required.*\(2, 3\)"),
    "lists": (from_numpy3d, [[[1], [2, 3]]], ValueError, "^x: an array, or lists of equal lengths, is required"),
    "no frame": (from_nested, np.zeros((2, 3)), TypeError, "^frame: a DataFrame of pandas is required"),
    "no frame either": (from_multiindex, [1], TypeError, "^frame: a DataFrame of pandas is required"),
    "one level": (from_multiindex, pd.DataFrame({"u": [1.0]}), ValueError, "at least 2 levels, case and time"),
    "text": (from_nested, pd.DataFrame({"u": [["a", "b"]]}), TypeError, r"^frame\['u'\]\[0\]: real numbers"),
    "flat": (from_nested, pd.DataFrame({"u": [1.0]}), ValueError, r"^frame\['u'\]\[0\]: a Series or an array"),
    "lengths": (from_nested, pd.DataFrame({"u": [[1]], "v": [[1, 2]]}), ValueError, r"one length.*\[1, 2\] in row 0"),
}


@pytest.mark.parametrize(("read", "given", "error", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_no_panel_is_refused(read: Any, given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read(given)


@pytest.mark.parametrize("rows", [[1, 0], [0, 0]], ids=["backwards", "twice"])
def test_times_increase(rows: list[int]) -> None:
    frame = multiindex([np.zeros((2, 2))], cases=("a",)).iloc[rows]
    with pytest.raises(ValueError, match=r"times that increase within each case are required.*got others in case 'a'"):
        from_multiindex(frame)


def test_columns_hold_numbers() -> None:
    frame = multiindex([np.zeros((2, 2))], cases=("a",)).assign(w=["p", "q"])
    with pytest.raises(TypeError, match=r"frame\['w'\]: real numbers are required"):
        from_multiindex(frame)

"""Windows, splits, padding and scaling of data, against NumPy and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnnfast as rf
from rnnfast.data import Scaler, bucketed, from_left_padded, pad, split_by_time, split_sequences, windows


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), st.integers(1, 5))
def test_windows_are_those_of_numpy(steps: int, features: int, length: int, horizon: int, stride: int) -> None:
    series = np.arange(steps * features, dtype=np.float64).reshape(steps, features)
    if steps < length + horizon:
        with pytest.raises(ValueError, match=rf"series: at least length \+ horizon = {length + horizon} steps"):
            windows(series, length, horizon=horizon, stride=stride)
        return
    x, y = windows(series, length, horizon=horizon, stride=stride)
    whole = np.lib.stride_tricks.sliding_window_view(series, (length + horizon, features))[::stride, 0]
    np.testing.assert_array_equal(x, whole[:, :length])
    np.testing.assert_array_equal(y if features > 1 else y[..., None], whole[:, length:])
    for k in range(features):
        np.testing.assert_array_equal(
            windows(series, length, horizon=horizon, stride=stride, target=k)[1], whole[:, length:, k]
        )


def test_windows_of_several_series_follow_each_other(rng: np.random.Generator) -> None:
    several = [rng.normal(size=(n, 2)) for n in (9, 5, 12)]
    x, y = windows(several, 3, horizon=2, stride=2)
    each = [windows(one, 3, horizon=2, stride=2) for one in several]
    np.testing.assert_array_equal(x, np.concatenate([one for one, _ in each]))
    np.testing.assert_array_equal(y, np.concatenate([one for _, one in each]))


def test_windows_of_one_series_are_views(rng: np.random.Generator) -> None:
    series = rng.normal(size=(1000, 3))
    x, y = windows(series, 100)
    assert np.shares_memory(x, series)
    assert not x.flags.writeable
    assert np.shares_memory(y, series)


def test_windows_train_a_forecast() -> None:
    wave = np.sin(np.arange(300) / 5)
    past, future = split_by_time(wave, test=60)
    model = rf.ManyToOne(1, 2, task="regression", hidden_size=16, seed=0)
    model.fit(*windows(past, 12, horizon=2), epochs=30, lr=1e-2, progress=False, seed=0)
    assert model.evaluate(*windows(future, 12, horizon=2))["mae"] < 0.1


@given(
    st.integers(1, 50), st.one_of(st.floats(0.01, 0.99), st.integers(1, 30)), st.integers(0, 10), st.sampled_from("slf")
)
def test_the_future_is_never_seen(steps: int, test: Any, gap: int, form: str) -> None:
    one = np.arange(steps)
    count = min(max(round(test * steps), 1), max(steps - 1, 1)) if isinstance(test, float) else test
    series = {"s": one, "l": [one, one[::-1]], "f": np.stack([one, one[::-1]])[..., None]}[form]
    if steps - count - gap < 1:
        with pytest.raises(ValueError, match=r"at least 1 \+ gap \+ test"):
            split_by_time(series, test=test, gap=gap)
        return
    past, future = split_by_time(series, test=test, gap=gap)
    assert isinstance(past, list) == (form == "l")
    first = past if form == "s" else past[0]
    last = future if form == "s" else future[0]
    np.testing.assert_array_equal(first.ravel(), one[: steps - count - gap])
    np.testing.assert_array_equal(last.ravel(), one[steps - count :])


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.booleans(), st.integers(0, 5))
def test_sequences_are_split_with_what_belongs_to_them(count: int, test: float, shuffle: bool, seed: int) -> None:
    x = [np.full((1, 1), n) for n in range(count)]
    y = np.arange(count) * 10
    x_train, x_test, y_train, y_test = split_sequences(x, y, test=test, shuffle=shuffle, seed=seed)
    assert isinstance(x_train, list)
    assert [int(one[0, 0]) * 10 for one in x_train] == y_train.tolist()
    assert [int(one[0, 0]) * 10 for one in x_test] == y_test.tolist()
    assert sorted([*y_train, *y_test]) == y.tolist()
    assert len(y_test) == min(max(round(count * test), 1), count - 1)
    again = split_sequences(y, test=test, shuffle=shuffle, seed=seed)
    np.testing.assert_array_equal(again[1], y_test)
    if not shuffle:
        assert y_test.tolist() == y[-len(y_test) :].tolist()


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=40), st.floats(0.05, 0.95), st.booleans())
def test_groups_stay_together(names: list[str], test: float, shuffle: bool) -> None:
    groups = np.array(names)
    distinct = list(dict.fromkeys(names))
    if len(distinct) < 2:
        with pytest.raises(ValueError, match="groups: at least 2 are required"):
            split_sequences(groups, groups=groups, test=test)
        return
    train, judged = split_sequences(groups, groups=groups, test=test, shuffle=shuffle, seed=1)
    assert not set(train) & set(judged)
    assert len(train) + len(judged) == len(names)
    held = min(max(round(len(distinct) * test), 1), len(distinct) - 1)
    assert len(set(judged)) == held
    if not shuffle:
        assert set(judged) == set(distinct[-held:])


def test_the_shuffle_moves_sequences() -> None:
    shares = [split_sequences(np.arange(100), test=0.3, seed=seed)[1] for seed in range(20)]
    counts = np.bincount(np.concatenate(shares), minlength=100)
    assert counts.max() < 15
    assert len({tuple(each) for each in shares}) == 20


@pytest.mark.parametrize("value", [0, -7, 0.5])
@pytest.mark.parametrize("left", [False, True])
def test_padding(value: float, left: bool, rng: np.random.Generator) -> None:
    items = [rng.normal(size=(n, 2)) for n in (3, 0, 5)]
    x, lengths = pad(items, length=7, value=value, left=left)
    assert lengths.tolist() == [3, 0, 5]
    for row, item in zip(x, items, strict=True):
        ends = slice(7 - len(item), None) if left else slice(len(item))
        np.testing.assert_array_equal(row[ends], item)
        assert (np.delete(row, np.arange(7)[ends], axis=0) == value).all()


def test_left_padding_has_a_way_back(rng: np.random.Generator) -> None:
    items = [rng.normal(size=(n, 2)) for n in (3, 1, 5)]
    x, lengths = pad(items, left=True)
    mask = np.arange(5) >= 5 - lengths[:, None]
    moved, found = from_left_padded(x, mask)
    np.testing.assert_array_equal(moved, pad(items)[0])
    np.testing.assert_array_equal(found, lengths)


def test_buckets_hold_every_sequence_once_and_little_padding(rng: np.random.Generator) -> None:
    items = [np.full((int(n), 1), n, np.float32) for n in rng.integers(1, 200, 500)]
    seen, padded = [], 0
    for index, x, lengths in bucketed(items, 16, seed=0):
        assert x.dtype == np.float32
        for i, row, length in zip(index, x, lengths, strict=True):
            np.testing.assert_array_equal(row[:length], items[i])
            assert not row[length:].any()
        padded += x.shape[0] * x.shape[1]
        seen += index.tolist()
    assert sorted(seen) == list(range(500))
    assert seen != sorted(seen)
    assert padded < 1.1 * sum(map(len, items))
    kept = [index.tolist() for index, _, _ in bucketed(items[:5], 2, shuffle=False)]
    assert kept == [[0, 1], [2, 3], [4]]


def holed(rng: np.random.Generator) -> Any:
    x = rng.normal(3, 5, size=(40, 3)) * [1, 1e-6, 1e9]
    x[rng.random(x.shape) < 0.2] = np.nan
    return x


def test_a_scaler_is_scikit_learns(rng: np.random.Generator) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="scikit-learn is not installed")
    x = holed(rng)
    ours, theirs = Scaler.fit(x), preprocessing.StandardScaler().fit(x)
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.std, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(ours.transform(x), theirs.transform(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_a_scaler_takes_every_form(dtype: str, rng: np.random.Generator) -> None:
    x = (rng.normal(3, 5, size=(40, 3)) * 10).astype(dtype)
    scaler = Scaler.fit(x)
    forms: dict[str, Any] = {"rows": x, "array": x.reshape(8, 5, 3), "list": [x[:7], x[7:]]}
    wanted = scaler.transform(x)
    assert wanted.dtype == (np.float32 if dtype == "float32" else np.float64)
    np.testing.assert_allclose(wanted.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(wanted.std(axis=0), 1, rtol=1e-5)
    for name, form in forms.items():
        assert Scaler.fit(form) == scaler
        found = scaler.transform(form)
        assert isinstance(found, list) == (name == "list")
        back = scaler.inverse_transform(found)
        for got, expected in ((found, wanted), (back, x)):
            flat = np.concatenate(got) if name == "list" else got.reshape(-1, 3)
            np.testing.assert_allclose(flat, expected, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-5)


def test_a_scaler_of_one_feature_and_of_padded_sequences() -> None:
    assert Scaler.fit([np.array([1.0, 3.0]), np.array([5.0])]) == Scaler.fit(np.array([[1.0], [3.0], [5.0]]))
    padded = np.array([[[1.0], [3.0]], [[5.0], [99.0]]])
    assert Scaler.fit(padded, lengths=[2, 1]) == Scaler.fit(np.array([1.0, 3.0, 5.0]))


def test_features_that_do_not_vary_stay_finite() -> None:
    x = np.array([[0.1, np.nan, 7.0]] * 30)
    scaler = Scaler.fit(x)
    assert scaler.std.tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(scaler.transform(x)[:, [0, 2]], 0, atol=1e-12)
    assert np.isnan(scaler.transform(x)[:, 1]).all()


@pytest.mark.parametrize("way", ["text", "file"])
def test_a_scaler_is_kept_bit_for_bit(way: str, rng: np.random.Generator, tmp_path: Any) -> None:
    scaler = Scaler.fit(holed(rng))
    text = scaler.to_json()
    if way == "file":
        model = rf.ManyToOne(3, 2, hidden_size=2)
        model.metadata["scaler"] = text
        model.save(tmp_path / "m.safetensors")
        text = rf.load(tmp_path / "m.safetensors").metadata["scaler"]
    again = Scaler.from_json(text)
    assert again == scaler
    assert again.mean.tobytes() == scaler.mean.tobytes()
    assert again.std.tobytes() == scaler.std.tobytes()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"mean": [0], "std": [0]}', '{"mean": [0], "std": "x"}', "nan"])
def test_another_text_is_no_scaler(text: str) -> None:
    with pytest.raises(ValueError, match=r"text: what Scaler\.to_json returns is required"):
        Scaler.from_json(text)


def test_frames_are_series() -> None:
    values = np.arange(12.0).reshape(6, 2)
    frames = [pytest.importorskip(name).DataFrame({"a": values[:, 0], "b": values[:, 1]}) for name in FRAMES]
    for frame in frames:
        for found, expected in zip(windows(frame, 2), windows(values, 2), strict=True):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(split_by_time(frame, test=2)[1], values[4:])
        assert Scaler.fit(frame) == Scaler.fit(values)


FRAMES = ("pandas", "polars")

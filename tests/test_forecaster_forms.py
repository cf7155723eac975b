"""In what form forecasts come: arrays, pandas and polars, one series, lists, wide and long frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnfast as rf
from rnnfast.arrays import Float64
from rnnfast.forecasting.times import CALENDAR, Times, calendar_features, read_times
from tests.support.forecasts import long_frame

pd: Any = pytest.importorskip("pandas", reason="pandas is not installed")

INDICES: dict[str, Any] = {
    "days": pd.date_range("2024-02-01", periods=40, freq="D", name="day"),
    "months": pd.date_range("2024-01-31", periods=40, freq="ME"),
    "weeks": pd.date_range("2024-01-06", periods=40, freq="W-SAT"),
    "hours": pd.date_range("2024-03-30", periods=40, freq="h", tz="Europe/Berlin"),
    "workdays": pd.date_range("2024-01-01", periods=40, freq="B"),
    "periods": pd.period_range("2020-01", periods=40, freq="M"),
    "quarters": pd.period_range("2020Q1", periods=40, freq="Q"),
    "numbers": pd.RangeIndex(100, 180, 2, name="step"),
    "years": pd.Index(np.arange(1980, 2020)),
}


def values(count: int = 40, seed: int = 0) -> Float64:
    found: Float64 = 10 + np.random.default_rng(seed).normal(size=count).cumsum()
    return found


def forecaster(**options: Any) -> rf.Forecaster:
    return rf.Forecaster(**{"window": 6, "horizon": 3, "hidden_size": 3, "epochs": 1, "seed": 0, **options})


def fitted(series: Any, *args: Any, **options: Any) -> rf.Forecaster:
    return forecaster(**options).fit(series, *args, progress=False)


@pytest.mark.parametrize("name", INDICES)
def test_an_index_goes_on(name: str) -> None:
    index = INDICES[name]
    series = pd.Series(values(), index, name="flow")
    model = fitted(series.iloc[:-3])
    found = model.predict()
    assert_array_equal(found.index, index[-3:])
    assert (found.name, found.index.name, found.index.dtype) == ("flow", index.name, index.dtype)
    quantiles, samples = model.predict(2, quantiles=[0.1, 0.9]), model.predict(num_samples=4)
    assert (list(quantiles.columns), list(quantiles.index)) == ([0.1, 0.9], list(index[-3:-1]))
    assert (list(samples.columns), list(samples.index)) == ([0, 1, 2, 3], list(index[-3:]))
    assert_array_equal(found.to_numpy(), fitted(series.to_numpy()[:-3]).predict())


def test_an_index_of_names_is_none() -> None:
    series = pd.Series(values(), [f"row {n}" for n in range(40)])
    assert_array_equal(fitted(series).predict().index, pd.RangeIndex(40, 43))


def test_times_that_are_not_regular_are_refused() -> None:
    days = pd.date_range("2024-01-01", periods=40)
    for index, message in (
        (days.delete(7), "series: times of one frequency are required, or freq beside gaps"),
        (days[::-1], r"series: times that ascend are required \(sort_index\(\) orders them\)"),
        (pd.Index([0, 2, 3, *range(5, 42)]).delete(3).append(pd.Index([50])) / 1, None),
    ):
        series = pd.Series(values(len(index)), index)
        if message is None:
            fitted(series)
            continue
        with pytest.raises(ValueError, match=message):
            fitted(series)
    with pytest.raises(ValueError, match="series: times of the frequency 'MS' are required, got 2024-01-02"):
        forecaster().fit(pd.Series(values(), days), freq="MS", progress=False)
    months = pd.date_range("2024-01-15", periods=40, freq=pd.DateOffset(months=1))
    with pytest.raises(ValueError, match="freq: a frequency of pandas is required, as 'D' or 'MS', got '<DateOffset"):
        fitted(pd.Series(values(), months))
    with pytest.raises(ValueError, match="series: an index of integers in equal steps is required"):
        fitted(pd.Series(values(3), [0, 2, 5]))
    with pytest.raises(ValueError, match="freq: None is required for series without dates, got 'D'"):
        forecaster().fit(values(), freq="D", progress=False)


def test_several_series_come_in_their_form() -> None:
    wide = np.stack([values(seed=1), values(seed=2)], axis=1)
    listed = fitted([wide[:, 0], wide[:, 1]])
    expected = np.stack(listed.predict(), axis=1)
    assert expected.shape == (3, 2)
    array = fitted(wide)
    assert_array_equal(array.predict(), expected)
    assert array.predict(quantiles=[0.1, 0.5, 0.7, 0.9]).shape == (3, 2, 4)
    assert array.predict(num_samples=5).shape == (3, 2, 5)
    frame = fitted(pd.DataFrame(wide, INDICES["days"], columns=["a", "b"]))
    found = frame.predict()
    assert_array_equal(found, expected)
    assert (list(found.columns), list(found.index)) == (["a", "b"], list(INDICES["days"].shift(40)[:3]))
    assert list(frame.predict(quantiles=[0.1, 0.9]).columns) == [("a", 0.1), ("a", 0.9), ("b", 0.1), ("b", 0.9)]
    mixed = fitted([pd.Series(wide[:, 0], INDICES["days"]), wide[:, 1]]).predict()
    assert (type(mixed[0]), type(mixed[1])) == (pd.Series, np.ndarray)
    frames = [pd.DataFrame(wide[:, :1], INDICES["days"]), pd.DataFrame(wide[:, 1:], INDICES["days"])]
    assert_array_equal(np.stack(fitted(frames).predict(), axis=1), expected)
    with pytest.raises(ValueError, match=r"series\[0\]: shape \(T,\) is required, got \(40, 2\)"):
        fitted([pd.DataFrame(wide)])
    single = fitted(pd.DataFrame({"a": wide[:, 0]}, INDICES["days"])).predict()
    assert (type(single), single.name) == (pd.Series, "a")
    assert fitted(wide[:, :1]).predict().shape == (3,)


def test_polars() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    wide = np.stack([values(seed=1), values(seed=2)], axis=1)
    gap = wide.copy()
    gap[5, 0] = np.nan
    series = polars.Series("flow", [None if np.isnan(v) else v for v in gap[:, 0]])
    one = fitted(series)
    found = one.predict()
    assert (type(found), found.name) == (polars.Series, "flow")
    assert_array_equal(found.to_numpy(), fitted(gap[:, 0]).predict())
    assert one.predict(quantiles=[0.1, 0.9]).columns == ["0.1", "0.9"]
    frame = fitted(polars.DataFrame(wide, schema=["a", "b"]))
    assert frame.predict().columns == ["a", "b"]
    assert_array_equal(frame.predict().to_numpy(), fitted(wide).predict())
    assert frame.predict(quantiles=[0.1]).columns == ["a_0.1", "b_0.1"]
    long = polars.DataFrame(long_frame().drop(columns=["price", "size"]).to_dict("list"))
    many = forecaster().fit_many(long, progress=False).predict()
    same = forecaster().fit_many(long_frame(), progress=False).predict()
    assert type(many) is polars.DataFrame
    assert_array_equal(many["y"].to_numpy(), same["y"])
    assert many["ds"].to_list() == [time.to_pydatetime() for time in same["ds"]]


def test_missing_values_of_pandas() -> None:
    plain = pd.Series(values())
    plain[3] = np.nan
    nullable = plain.astype("Float64")
    assert_array_equal(fitted(nullable).predict(), fitted(plain).predict())


def test_a_long_frame_is_its_series() -> None:
    """In any order of rows; with covariates, and with rows ahead."""
    frame = long_frame()
    ahead = [
        pd.DataFrame({"unique_id": name, "ds": last + pd.to_timedelta([1, 2, 3], "D"), "price": [0.0, 1.0, 2.0]})
        for name, last in frame.groupby("unique_id").ds.max().items()
    ]
    future = pd.concat(ahead)
    model = forecaster().fit_many(
        frame.sample(frac=1, random_state=0).sort_values("unique_id", kind="stable"),
        future=["price"],
        static="size",
        progress=False,
    )
    groups = [rows.set_index("ds") for _, rows in frame.groupby("unique_id")]
    lists = fitted([g.y for g in groups], None, [g.price for g in groups], [[0.0], [1.0], [2.0]])
    found = model.predict(future=future)
    assert list(found.columns) == ["unique_id", "ds", "y"]
    assert_array_equal(found.unique_id, np.repeat(["x", "y", "z"], 3))
    assert_array_equal(found.ds, future.ds)
    expected = np.concatenate(lists.predict(future=[part.price.to_numpy() for part in ahead]))
    assert_array_equal(found.y, expected)
    whole = pd.concat([frame, future]).assign(size=lambda f: f.unique_id.map({"x": 0, "y": 1, "z": 2}))
    known = forecaster().fit_many(whole, future=["price"], static=["size"], progress=False)
    assert_array_equal(known.predict().y, expected)
    assert_allclose(model.predict(series=whole).y, expected, rtol=1e-6)
    assert list(known.predict(quantiles=[0.25]).columns) == ["unique_id", "ds", 0.25]
    tested = model.backtest(frame, start=24, stride=3)
    assert_array_equal(tested.labels, ["x", "x", "y", "y", "z", "z"])
    assert list(tested.frame().time[:3]) == list(pd.to_datetime(["2024-01-25", "2024-01-26", "2024-01-27"]))


def test_long_frames_that_are_wrong_are_refused() -> None:
    frame = long_frame()
    model = forecaster()
    for given, options, message in (
        (frame, {"id": "name"}, r"id: columns of the frame \(unique_id, ds, y, price, size\) are required, got 'name'"),
        (frame.iloc[:0], {}, "frame: at least one row is required, got none"),
        (frame, {"static": ["price"]}, r"frame\['x'\]: static covariates that do not change are required"),
        (pd.concat([frame, frame]), {}, r"frame\['x'\]: times that ascend are required"),
        (frame.assign(ds=frame.ds.where(frame.index != 3)), {}, "time: a value in every row is required, got missing"),
        (frame.assign(y=np.nan), {}, r"frame\['x'\]: at least one value is required, got none"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit_many(given, progress=False, **options)
    with pytest.raises(TypeError, match="frame: a DataFrame of pandas or polars is required"):
        model.fit_many(np.zeros((3, 3)), progress=False)
    with pytest.raises(TypeError, match=r"frame\['y'\]: real numbers are required"):
        model.fit_many(frame.assign(y="text"), progress=False)


def test_covariates_are_put_where_their_times_say() -> None:
    index = INDICES["days"]
    known = pd.date_range(index[0], periods=43, freq="D")
    rng = np.random.default_rng(0)
    past, future = pd.DataFrame({"p": rng.normal(size=40)}, index), pd.DataFrame({"f": rng.normal(size=43)}, known)
    series = pd.Series(values(), index)
    expected = fitted(series.to_numpy(), past.to_numpy(), future.to_numpy())
    model = fitted(series, past.iloc[::-1], future.sample(frac=1, random_state=0).sort_index())
    assert_array_equal(model.predict(), expected.predict())
    earlier = pd.concat([pd.DataFrame({"f": [99.0]}, known[:1] - pd.Timedelta(days=1)), future])
    assert_array_equal(fitted(series, past, earlier).predict(), expected.predict())
    assert_array_equal(model.predict(future=future.iloc[40:]), expected.predict())
    late = future.iloc[40:] + 1.0
    assert (model.predict(future=late) != expected.predict()).any()
    with pytest.raises(ValueError, match=r"future: times up to 2024-03-14 00:00:00 are required"):
        model.predict(future=future.iloc[40:42])


def test_covariates_that_do_not_fit_are_refused() -> None:
    series = values()
    model = fitted(series, None, np.ones((43, 2)))
    for call, message in (
        (lambda: fitted(series, np.ones(39)), "past: 40 steps are required, got 39"),
        (lambda: fitted(series, np.ones(41)), "past: 40 steps, as many as the series has, are required, got 41"),
        (lambda: fitted(series, None, np.ones(39)), "future: 40 steps are required, got 39"),
        (lambda: fitted(series, np.ones((40, 1, 1))), r"past: shape \(T,\) or \(T, C\) is required, got \(40, 1, 1\)"),
        (lambda: fitted([series] * 2, [np.ones(40)]), "past: an entry for each of 2 series is required, got 1"),
        (lambda: fitted([series] * 2, [np.ones(40), np.ones((40, 2))]), r"past\[1\]: the 1 covariates of the first"),
        (lambda: fitted([series] * 2, None, None, np.ones(3)), r"static: shape \(N, S\) with N = 2 series is required"),
        (lambda: model.predict(future=np.ones((3, 1))), "future: 2 covariates, as the model has, are required, got 1"),
        (lambda: model.predict(future=np.ones((2, 2))), "future: 3 steps are required, got 2"),
        (lambda: model.predict(series=series), "future: 2 covariates, as in fit, are required, got 0"),
        (lambda: model.predict(past=series), "past: None is required without series"),
        (lambda: fitted(series, np.ones(40), strategy="recursive"), "past: None is required with strategy='recursive'"),
        (lambda: fitted(series, calendar="month"), "calendar: a series with an index of dates is required"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    short = fitted(series, None, np.ones((41, 2)))
    with pytest.raises(ValueError, match="future: covariates of horizon = 3 steps ahead are required, got 1 steps"):
        short.predict()
    assert short.predict(1).shape == (1,)


def test_other_errors() -> None:
    with pytest.raises(RuntimeError, match="Forecaster: fit is required before"):
        forecaster().predict()
    model = fitted(values())
    for call, message in (
        (lambda: model.predict(4), r"horizon: at most 3, the steps that were trained \(strategy='recursive' goes on\)"),
        (lambda: model.predict(quantiles=[0.1], num_samples=3), "num_samples: None is required beside quantiles"),
        (lambda: model.predict(quantiles=[0.0]), r"quantiles: numbers within \(0, 1\) are required"),
        (lambda: fitted(values(3)), "series: more than horizon = 3 steps, with values to learn from, are required"),
        (lambda: fitted([]), "series: .* required"),
        (lambda: fitted([1.0, np.inf] * 10), "series: finite numbers, or NaN where one is missing, are required"),
        (lambda: fitted(-values(), likelihood="negative_binomial"), r"series\[0\]: counts >= 0 are required, got -"),
        (lambda: fitted(-values(), transform="log"), r"series\[0\]: values above 0 are required with transform='log'"),
        (lambda: forecaster(likelihood="negative_binomial", difference=1), "difference: 0 is required with"),
        (
            lambda: forecaster(likelihood="negative_binomial", scale="window"),
            "scale: True, 'mean' or False is required",
        ),
        (lambda: forecaster(likelihood="negative_binomial", transform="log"), "transform: None is required with"),
        (lambda: model.backtest(values(), start=39), "start: an origin with horizon = 3 steps behind it is required"),
        (lambda: model.backtest(values(), start=1.5), r"start: a share within \(0, 1\) is required, got 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="start: steps, or a share, are required for a series without times"):
        model.backtest(values(), start="2024-01-01")
    with pytest.raises(TypeError, match="Forecaster: unknown argument 'hidden'; did you mean 'hidden_size'"):
        rf.Forecaster(hidden=3)  # type: ignore[call-arg]


def test_the_start_of_a_backtest() -> None:
    series = pd.Series(values(), INDICES["days"])
    model = fitted(series)
    firsts = [
        int(model.backtest(series, start=start).origins[0])
        for start in (None, 10, 0.5, "2024-02-11", INDICES["days"][10], np.int64(10), np.float64(0.25))
    ]
    assert firsts == [6, 10, 20, 10, 10, 10, 10]
    months = pd.Series(values(), INDICES["periods"])
    assert fitted(months).backtest(months, start="2021-03").origins[0] == 14


def test_repr() -> None:
    made = rf.Forecaster(window=12, scale="window", calendar=["month", "hour"], quantiles=[0.5], seed=3)
    assert repr(made) == "Forecaster(window=12, quantiles=(0.5,), scale='window', calendar=('month', 'hour'))"
    assert repr(rf.Forecaster()) == "Forecaster()"
    assert repr(fitted([values()] * 2).backtest([values()] * 2)) == "<Backtest: 64 forecasts of 3 steps, series: 2>"


@pytest.mark.parametrize("name", CALENDAR)
def test_the_calendar(name: str) -> None:
    """Every cycle comes round, once, and is the same for dates and for periods."""
    start, freq, cycle = {
        "minute": ("2024-01-01", "min", 60), "hour": ("2024-01-01", "h", 24), "day_of_week": ("2024-01-01", "D", 7),
        "day_of_month": ("2024-01-01", "D", 31), "day_of_year": ("2023-01-01", "D", 365),
        "week_of_year": ("2024-01-01", "W-MON", 52), "month": ("2024-01-01", "MS", 12),
        "quarter": ("2024-01-01", "QS", 4),
    }[name]  # fmt: skip
    found = calendar_features(Times(kind="datetime", start=start, freq=freq), cycle + 1, [name])
    angle = np.arctan2(found[:, 0], found[:, 1]) % (2 * np.pi)
    assert_allclose((found**2).sum(axis=1), 1)
    assert (np.diff(angle[:cycle]) > 0).all()
    assert angle[0] == 0
    assert angle[cycle] < angle[1]
    if name not in ("week_of_year", "quarter"):
        period, _ = read_times("index", pd.period_range(start, periods=3, freq=freq.removesuffix("S")), None)
        assert_array_equal(calendar_features(period, cycle, [name]), found[:cycle])

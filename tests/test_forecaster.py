"""Forecasts: what they may read, how gaps, scales, differences and covariates act, and in what form results come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rnnfast.forecasting.features import differences, filled
from rnnfast.forecasting.series import read_panel
from tests.support.forecasts import LIKELIHOODS, STRATEGIES, fitted, forecaster, seasonal

pd: Any = pytest.importorskip("pandas", reason="pandas is not installed")


# --- what a forecast may read


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "options",
    [
        {"scale": "window"},
        {"scale": False, "difference": 1},
        {"scale": "window", "difference": 7, "linear": False},
        {"scale": False, "difference": 2, "transform": "sqrt"},
    ],
)
def test_a_backtest_forecasts_what_predict_does(strategy: str, options: dict[str, Any]) -> None:
    """From each origin it is the forecast of a series that ends there: nothing behind an origin is read."""
    series = seasonal(gaps=0.1)
    model = fitted(series[:80], strategy=strategy, **options)
    found = model.backtest(series, start=90, stride=5, quantiles=[0.2, 0.7])
    assert found.origins.tolist() == [90, 95, 100, 105, 110, 115]
    for n, origin in enumerate(found.origins):
        assert_allclose(found.forecast[n], model.predict(series=series[:origin]), rtol=1e-5)
        assert_array_equal(found.truth[n], series[origin : origin + 3])


def test_a_scaled_series_is_scaled_by_what_is_known() -> None:
    """A backtest that starts where the fit ended scales as the fit did."""
    series = seasonal()
    model = fitted(series[:90])
    found = model.backtest(series, start=90, stride=100)
    assert_array_equal(found.forecast[0], model.predict())
    assert_array_equal(found.quantiles[0], model.predict(quantiles=[0.1, 0.5, 0.9]))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_forecasts_follow_scale_and_level(strategy: str) -> None:
    """A series in other units has the same forecasts in these units."""
    series = seasonal(gaps=0.05)
    for options in ({}, {"scale": "window"}, {"difference": 7}):
        one = fitted(series, strategy=strategy, dtype="float64", **options).predict(quantiles=[0.1, 0.9])
        other = fitted(1000 * series - 5e4, strategy=strategy, dtype="float64", **options).predict(quantiles=[0.1, 0.9])
        assert_allclose(other, 1000 * one - 5e4, rtol=1e-6)


@pytest.mark.parametrize("difference", [1, 7])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_differences_are_undone(difference: int, strategy: str) -> None:
    """What repeats with a drift is forecast exactly, intervals included."""
    series = np.array([0.0, 3.0, 1.0, 5.0, 2.0, 8.0, 4.0])[np.arange(70) % 7] if difference == 7 else np.zeros(70)
    series = series + 0.5 * np.arange(70)
    model = fitted(series[:60], difference=difference, strategy=strategy, horizon=9, likelihood="quantile")
    assert_allclose(model.predict(), series[60:69], atol=0.05)
    assert_allclose(model.predict(quantiles=[0.1, 0.9]), np.stack([series[60:69]] * 2, axis=1), atol=0.05)


def test_a_network_that_says_nothing_forecasts_its_base() -> None:
    """Where all outputs are 0, it is the value a season before, and the mean difference for each season between."""
    series = seasonal()
    model = fitted(series, difference=7, horizon=16, likelihood="gaussian", epochs=0)
    for parameter in model.networks[0].parameters().values():
        parameter[...] = np.zeros(parameter.shape, np.float32)
    steps = np.arange(16)
    drift = (series[7:] - series[:-7]).mean()
    assert_allclose(model.predict(), series[-7:][steps % 7] + (steps // 7 + 1) * drift)


@pytest.mark.parametrize("difference", [0, 1, 3])
def test_recursive_forecasts_read_their_own_as_if_they_had_come_true(difference: int) -> None:
    """What training reads of true values is what forecasting reads of its own."""
    series = seasonal()
    options: dict[str, Any] = {"horizon": 5, "likelihood": "gaussian", "epochs": 10, "lr": 0.03, "dtype": "float64"}
    model = fitted(series, strategy="recursive", difference=difference, **options)
    found = model.predict()
    whole = read_panel(np.concatenate([series, found]))
    rows = model.fitted.rows(whole, [len(series)], model.fitted.scales)
    windows = model.fitted.windows(rows, rows.starts + len(series), np.array([0]))
    outputs = model.networks[0].batch_loss(windows.batch(np.array([0]))).outputs[""]
    assert_allclose(outputs[:, 0], windows.batch(np.array([0])).targets[""][:, 0], rtol=1e-9)
    assert abs(np.diff(outputs[:, 0])).min() > 1e-3


# --- gaps


def test_gaps_are_filled_by_the_last_of_their_phase() -> None:
    series = np.array([np.nan, 1.0, 2.0, np.nan, 4.0, np.nan, np.nan])
    assert filled(series, 1).tolist() == [1, 1, 2, 2, 4, 4, 4]
    assert filled(series, 3).tolist() == [7 / 3, 1, 2, 7 / 3, 4, 2, 7 / 3]
    whole, d, known = differences(series, 1)
    assert_array_equal(whole, filled(series, 1))
    assert d.tolist() == [0, 0, 1, 0, 2, 0, 0]
    assert known.tolist() == [False, False, True, False, False, False, False]


@pytest.mark.parametrize("difference", [0, 1, 7])
def test_what_is_kept_of_a_series_forecasts_as_all_of_it(difference: int) -> None:
    """Also where gaps are longer than what is kept."""
    series = seasonal(200)
    series[100:] = np.nan
    series[[150, 195]] = 30.0
    model = fitted(series, difference=difference, scale=False)
    assert len(model.fitted.panel.series[0]) < 40
    assert_array_equal(model.predict(), model.predict(series=series))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gaps_are_out_of_the_loss(strategy: str) -> None:
    """A window's missing targets have no weight and no gradient; others count as without them."""
    model = fitted(seasonal(), strategy=strategy, horizon=2).fitted
    series = seasonal(gaps=0.3)
    panel = fitted(series, strategy=strategy, horizon=2).fitted.panel
    rows = model.rows(panel, [len(series)], model.scales)
    network = model.networks[0]
    first = int(rows.starts[0])
    there = ~np.isnan(rows.values) if strategy != "recursive" else rows.known
    half = next(o for o in range(first + 9, len(rows.values)) if there[o] and not there[o + 1])
    batch = model.windows(rows, np.array([half]), np.array([0])).batch(np.array([0]))
    assert batch.weights is not None
    assert batch.weights.ravel().tolist() == [1.0, 0.0]
    found = network.batch_loss(batch)
    targets = {"": batch.targets[""].copy()}
    targets[""].ravel()[1] = 100.0
    assert network.batch_loss(replace(batch, targets=targets)).loss == found.loss


def test_a_mask_says_what_is_known() -> None:
    """The same value reads differently where it is filled."""
    series = seasonal()
    model = fitted(series, epochs=5, linear=False, lr=0.05, scale=False)
    gap = series.copy()
    gap[-1] = np.nan
    assert (model.predict(series=gap) != model.predict(series=filled(gap, 1))).all()


def test_missing_times_are_gaps() -> None:
    """An index that lacks times is one with NaN at them."""
    index = pd.date_range("2024-01-01", periods=100, freq="D")
    series = pd.Series(seasonal(100), index, name="flow")
    series.iloc[[10, 50, 51]] = np.nan
    whole, short = fitted(series, difference=1), forecaster(difference=1).fit(series.dropna(), freq="D", progress=False)
    pd.testing.assert_series_equal(whole.predict(), short.predict())


@pytest.mark.parametrize("length", [4, 5, 9, 11, 12])
@pytest.mark.parametrize("difference", [0, 2])
def test_short_series_are_padded(length: int, difference: int) -> None:
    """Beside a long one, also the shortest has forecasts of its own size, and never reads another's values."""
    short, long = np.full(length, 1000.0) + np.arange(length), seasonal()
    for order in ([short, long], [long, short]):
        model = fitted(order, difference=difference, scale="window" if difference else True)
        place = 0 if order[0] is short else 1
        assert abs(model.predict()[place] - 1000).max() < 100
        alone = model.predict(series=[short])[0]
        assert_allclose(alone, model.predict()[place], rtol=1e-5)
        found = model.backtest(order, start=2)
        assert len(found.origins) == max(length - 3 - 2 + 1, 0) + len(long) - 3 - 2 + 1


# --- covariates and the calendar


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_covariates_known_ahead_are_used(strategy: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(203, 1))
    series = 10 + 5 * x[:200, 0] + 0.1 * rng.normal(size=200)
    options: dict[str, Any] = {"strategy": strategy, "epochs": 60, "lr": 0.03, "patience": None, "hidden_size": 8}
    model = fitted(series, None, x, **options)
    assert abs(model.predict() - 10 - 5 * x[200:, 0]).max() < 2
    other = -x[200:]
    assert abs(model.predict(future=other) - 10 - 5 * other[:, 0]).max() < 2


@pytest.mark.parametrize("strategy", ["direct", "encoder_decoder"])
def test_covariates_of_the_past_are_used(strategy: str) -> None:
    """The series is what the covariate was two steps before."""
    x = np.random.default_rng(2).normal(size=302)
    series = x[:300]
    past = np.stack([x[2:302]], axis=1)
    model = fitted(series, past, strategy=strategy, horizon=2, epochs=60, lr=0.03, patience=None, hidden_size=8)
    assert abs(model.predict() - x[300:]).max() < 0.7


def test_static_covariates_are_used() -> None:
    """What the window cannot tell: noise becomes a number that is the series' own."""
    rng = np.random.default_rng(3)
    levels = np.array([1.0, 2.0, 5.0, 9.0] * 10)
    series = [np.concatenate([rng.normal(size=8), [level] * 3]) for level in levels]
    model = fitted(series, None, None, levels[:, None], scale=False, epochs=5)
    found = model.predict(series=[one[:8] for one in series[:4]], static=levels[:4, None])
    assert_allclose(np.array(found).mean(axis=1), levels[:4], atol=1)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_calendar_is_used(strategy: str) -> None:
    """Without lags of a week, only the calendar knows the day."""
    index = pd.date_range("2024-01-01", periods=150, freq="D")
    series = pd.Series(np.where(index.day_of_week >= 5, 10.0, 0.0) + np.arange(150) % 2, index)
    options: dict[str, Any] = {"window": 2, "horizon": 7, "epochs": 80, "lr": 0.03, "patience": None, "hidden_size": 8}
    model = fitted(series.iloc[:143], calendar="day_of_week", strategy=strategy, **options)
    found = model.predict()
    assert_array_equal(found.index, index[143:150])
    assert abs(found - series.iloc[143:150]).max() < 5
    blind = fitted(series.iloc[:143], strategy=strategy, **options).predict()
    assert abs(blind - series.iloc[143:150]).max() > abs(found - series.iloc[143:150]).max()


# --- what is learned of each step


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_quantiles_and_samples_agree(likelihood: str, strategy: str) -> None:
    series = seasonal(300)
    model = fitted(series, likelihood=likelihood, strategy=strategy, epochs=3, lr=0.01)
    levels = np.array([0.05, 0.25, 0.5, 0.8, 0.95])
    found = model.predict(quantiles=levels)
    assert (np.diff(found, axis=1) >= 0).all()
    samples = model.predict(num_samples=4000)
    spread = found[:, -1] - found[:, 0]
    assert_allclose(np.quantile(samples, levels, axis=1).T, found, atol=0.15 * spread.max())
    assert abs(model.predict() - found[:, 2]).max() < 0.15 * spread.max()


def test_quantiles_never_cross() -> None:
    """Where the network's own ones do."""
    model = fitted(seasonal())
    bias = model.networks[0].parameters()["skip.bias"]
    bias[...] = bias.value[::-1].copy()
    assert (np.diff(model.predict(quantiles=[0.1, 0.5, 0.9]), axis=1) >= 0).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_calibrated_quantiles_are_right_in_the_validation(strategy: str) -> None:
    """As many of the values behind the training lie below a quantile as its level says; the median stays."""
    series = seasonal(600, gaps=0.1)
    options: dict[str, Any] = {"strategy": strategy, "quantiles": [0.05, 0.3, 0.5, 0.8], "validation": 0.3}
    options |= {"horizon": 2, "difference": 7, "dtype": "float64"}
    model, other = fitted(series, **options), fitted(series, calibrate=False, **options)
    start = len(series) - round(0.3 * len(series))
    levels = np.array(options["quantiles"])
    found = [each.fitted.networks[0] for each in (model, other)]
    assert_array_equal(model.predict(), other.predict())
    if strategy == "recursive":  # all steps have one shift, of forecasts that read what came true
        rows = model.fitted.rows(read_panel(series), [start], model.fitted.scales)
        origins = rows.starts[0] + np.arange(start, len(series) - 1)
        batch = model.fitted.windows(rows, origins, np.zeros(len(origins), int)).batch(np.arange(len(origins)))
        there = np.asarray(batch.weights)[:, 0] > 0
        outputs = [network.batch_loss(batch).outputs[""] for network in found]
        shares = [(batch.targets[""] < each)[there].mean(axis=0) for each in outputs]
    else:
        windows = [each.backtest(series, start=start) for each in (model, other)]
        there = ~np.isnan(windows[0].truth)
        shares = [(each.truth[..., None] < each.quantiles)[there].mean(axis=0) for each in windows]
    outer = levels != 0.5
    assert_allclose(shares[0][outer], levels[outer], atol=0.02)
    assert abs(shares[1] - levels)[outer].max() > 0.02
    few = {"validation": 0.1, "strategy": strategy}
    assert_array_equal(
        fitted(series, **few).predict(quantiles=[0.1]), fitted(series, calibrate=False, **few).predict(quantiles=[0.1])
    )


def test_intervals_cover() -> None:
    """Of noise around a season, 80 % intervals hold 80 %."""
    series = seasonal(700)
    for options in ({}, {"likelihood": "gaussian"}, {"difference": 7}, {"strategy": "recursive"}):
        found = fitted(series[:500], window=14, epochs=5, **options).backtest(series, start=500)
        assert 0.7 < found.scores()["model"]["coverage_80"] < 0.9, options


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_counts(strategy: str) -> None:
    rng = np.random.default_rng(4)
    series = [rng.poisson(rate * (1 + 0.8 * np.sin(np.arange(150) / 4))) for rate in (2, 200)]
    model = fitted(series, likelihood="negative_binomial", strategy=strategy, epochs=60, validation=0, window=16)
    samples = model.predict(num_samples=50)
    for one, rate in zip(samples, (2, 200), strict=True):
        assert_array_equal(one, np.round(one))
        assert (one >= 0).all()
        assert 0.1 * rate < one.mean() < 4 * rate
    found = model.backtest(series, start=100)
    assert found.scores()["model"]["mae"] < found.scores()["naive"]["mae"]


def test_recursive_forecasts_go_on() -> None:
    series = seasonal(200)
    model = fitted(series, strategy="recursive", window=14)
    assert model.predict(30).shape == (30,)
    assert_array_equal(model.predict(30)[:3], model.predict())
    assert model.predict(30, num_samples=5).shape == (30, 5)


# --- many series


def test_a_global_model_of_several_scales() -> None:
    """Series of one shape in three units are forecast alike, and better than by the seasonal naive forecast."""
    series = [10.0**k * seasonal(150, seed) for seed in range(6) for k in (-1, 1, 3)]
    model = fitted([one[:120] for one in series], difference=7, epochs=4, horizon=7, window=14)
    scores = model.backtest(series, start=120).scores()
    assert scores["model"]["mase"] < 0.85 * scores["seasonal_naive"]["mase"] < scores["naive"]["mase"]


def test_an_ensemble_is_the_mean_of_its_networks() -> None:
    series = seasonal()
    model = fitted(series, ensemble=3, epochs=2)
    assert len(model.networks) == len(model.histories) == 3
    each = []
    for network in model.networks:
        alone = fitted(series, epochs=0)
        alone.networks[0].load_state_dict(network.state_dict())
        each.append(alone.predict())
    assert_allclose(model.predict(), np.mean(each, axis=0), rtol=1e-6)
    assert len({one.tobytes() for one in each}) == 3
    assert model.predict(num_samples=10).shape == (3, 10)

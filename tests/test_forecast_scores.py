"""Scores of forecasts and forecasts without a model, beside their definitions and statsmodels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnfast as rf
from rnnfast import forecasting, metrics
from rnnfast.arrays import Float64
from rnnfast.forecasting.distribution import between
from rnnfast.forecasting.linear import RIDGES, regression, solve
from rnnfast.losses.inverse import normal


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[Float64, Float64]:
    truth = rng.normal(size=(7, 4))
    truth[2, 1] = np.nan
    return truth, rng.normal(size=(7, 4))


def test_errors_are_means_over_what_is_there(pair: tuple[Float64, Float64]) -> None:
    truth, forecast = pair
    error = (forecast - truth).ravel()
    error = error[~np.isnan(error)]
    assert len(error) == 27
    assert_allclose(metrics.rmse(truth, forecast), np.sqrt((error**2).mean()))
    assert_allclose(metrics.mae(truth, forecast), abs(error).mean())
    history = np.array([1.0, 4.0, np.nan, 2.0, 8.0])
    assert metrics.naive_error(history) == (3 + 6) / 2
    assert metrics.naive_error(history, season=3) == (1 + 4) / 2
    assert_allclose(metrics.mase(truth, forecast, history, season=3), abs(error).mean() / 2.5)
    assert np.isnan(metrics.mase(truth, forecast, np.ones(5)))
    assert np.isnan(metrics.rmse([np.nan], [1.0]))
    with pytest.raises(ValueError, match=r"history: shape \(T,\) with T > season = 5 is required, got \(5,\)"):
        metrics.mase(truth, forecast, history, season=5)


def test_crps_of_samples(pair: tuple[Float64, Float64], rng: np.random.Generator) -> None:
    """It is the definition over all pairs, and the closed form of a normal distribution (Gneiting and Raftery 2007)."""
    truth, _ = pair
    x = rng.normal(size=(7, 4, 6))
    pairs = abs(x[..., :, None] - x[..., None, :]).sum(axis=(2, 3)) / (6 * 5)
    expected = abs(x - truth[..., None]).mean(axis=2) - pairs / 2
    assert_allclose(metrics.crps(truth, x), np.nanmean(expected))
    u = (np.arange(20_000) + 0.5) / 20_000
    exact = 0.7 * (2 * 0.758036 - 1) + 2 * 0.312254 - 1 / np.sqrt(np.pi)  # cdf and density at 0.7
    assert_allclose(metrics.crps([0.7], normal(u)[None]), exact, atol=1e-4)
    levels = (np.arange(1999) + 1) / 2000
    assert_allclose(metrics.crps([0.7], normal(levels)[None], quantiles=levels), exact, atol=1e-3)
    assert metrics.crps([3.0], [[1.0]]) == 2.0


def test_crps_of_quantiles_is_twice_the_pinball_loss(pair: tuple[Float64, Float64], rng: np.random.Generator) -> None:
    truth, _ = pair
    levels, q = np.array([0.1, 0.5, 0.9]), np.sort(rng.normal(size=(7, 4, 3)))
    loss, _ = rf.losses.Quantile(levels)(q.reshape(28, 3), truth.reshape(28, 1))
    assert_allclose(metrics.crps(truth, q, quantiles=levels), 2 * loss)


def test_metrics_of_models(rng: np.random.Generator) -> None:
    """What models report are the functions' values, over whatever batches."""
    x, y = rng.normal(size=(20, 5, 1)), rng.normal(size=(20, 2))
    y[3, 1] = np.nan
    history = rng.normal(size=30)
    for task, levels in (("quantile", [0.1, 0.5, 0.9]), ("student_t", (np.arange(50) + 0.5) / 50)):
        model = rf.ManyToOne(1, 2, task=task, hidden_size=4, seed=0, dtype="float64")
        given = [metrics.CRPS(), metrics.MASE(history, season=3)]
        found = model.evaluate(x, y, batch_size=7, metrics=given)
        quantiles = model.predict_quantiles(x, levels)
        assert found["crps"] == pytest.approx(metrics.crps(y, quantiles, quantiles=levels), rel=1e-9)
        assert found["mase"] == pytest.approx(metrics.mase(y, model.predict(x), history, season=3), rel=1e-9)
    with pytest.raises(
        ValueError, match="metrics: for 'crps' a task with quantiles is required, got task='regression'"
    ):
        rf.ManyToOne(1, 2, task="regression", hidden_size=4).evaluate(x, y, metrics=metrics.CRPS())
    with pytest.raises(ValueError, match="history: values that change from season to season are required"):
        metrics.MASE(np.ones(4))


def test_coverage_leaves_out_what_is_missing() -> None:
    assert metrics.coverage([0.0, 1.0, np.nan, 3.0], [0, 0, 0, 0], [0, 0, 0, 3]) == 2 / 3


def test_forecasts_without_a_model() -> None:
    history = np.array([np.nan, 2.0, 5.0, 3.0, np.nan, 9.0, np.nan])
    assert forecasting.naive(history, 3).tolist() == [9, 9, 9]
    assert forecasting.seasonal_naive(history, 4, season=3).tolist() == [2, 9, 3, 2]
    assert forecasting.drift(history, 3).tolist() == [9 + 7 / 4 * k for k in (2, 3, 4)]
    with pytest.raises(ValueError, match="history: at least season = 8 steps are required, got 7"):
        forecasting.seasonal_naive(history, 1, season=8)


def test_a_backtest_has_the_scores_of_its_forecasts() -> None:
    rng = np.random.default_rng(0)
    series = [10.0 * (n + 1) * (3 + np.sin(np.arange(90) * 2 * np.pi / 6) + rng.normal(size=90)) for n in range(2)]
    series[1][[70, 75]] = np.nan
    model = rf.Forecaster(window=6, horizon=4, hidden_size=3, epochs=1, seed=0, difference=6)
    model.fit([one[:60] for one in series], progress=False)
    found = model.backtest(series, start=60, stride=3, quantiles=[0.05, 0.1, 0.5, 0.9])
    scores = found.scores()
    assert set(scores) == {"model", "naive", "seasonal_naive"}
    expected = [
        metrics.mase(found.truth[found.labels == n], found.forecast[found.labels == n], one[:60], season=6)
        for n, one in enumerate(series)
    ]
    assert_allclose(scores["model"]["mase"], np.mean(expected))
    low, high = found.interval(0.8)
    assert_array_equal([low, high], [found.quantiles[:, :, 1], found.quantiles[:, :, 3]])
    assert scores["model"]["coverage_80"] == metrics.coverage(found.truth, low, high)
    assert scores["model"]["crps"] == metrics.crps(found.truth, found.quantiles, quantiles=found.levels)
    with pytest.raises(ValueError, match=r"level: an interval of the quantiles .* is required, got 0.9"):
        found.interval(0.9)
    naive = [
        forecasting.seasonal_naive(series[n][:o], 4, season=6) for n, o in zip(found.labels, found.origins, strict=True)
    ]
    assert scores["seasonal_naive"]["mae"] == metrics.mae(found.truth, np.array(naive))
    last = [forecasting.naive(series[n][:o], 4) for n, o in zip(found.labels, found.origins, strict=True)]
    assert scores["naive"]["rmse"] == metrics.rmse(found.truth, np.array(last))
    frame = found.frame()
    assert list(frame.columns) == ["series", "origin", "step", "time", "truth", "forecast", "0.05", "0.1", "0.5", "0.9"]
    assert_array_equal(frame.truth, found.truth.ravel())
    assert_array_equal(frame.time, (found.origins[:, None] + np.arange(4)).ravel())


def test_quantiles_between_those_that_are_known() -> None:
    """Those of a normal distribution are found exactly, within and beyond."""
    known = np.array([0.1, 0.3, 0.5, 0.9])
    values = 3 + 2 * normal(known)[None]
    u = np.array([[0.01, 0.1, 0.2, 0.45, 0.5, 0.77, 0.9, 0.999]])
    assert_allclose(between(known, values, u), 3 + 2 * normal(u))
    assert between(np.array([0.5]), np.array([[4.0]]), u).tolist() == [[4.0] * 8]


def test_ridge_regression(rng: np.random.Generator) -> None:
    z, w = rng.normal(size=(200, 5)), rng.normal(size=(3, 5))
    y = z @ w.T + [1.0, 2.0, 3.0] + 0.1 * rng.normal(size=(200, 3))
    missing = y.copy()
    missing[:20, 1] = np.nan
    for target in (y, missing):
        (weight, bias), (other, _) = regression([(z[:90], target[:90]), (z[90:], target[90:])], [2.0, 1e9])
        assert abs(other).max() < 1e-6
        for k in range(3):
            there = ~np.isnan(target[:, k])
            a, b = z[there] - z[there].mean(axis=0), target[there, k] - target[there, k].mean()
            expected = np.linalg.solve(a.T @ a + 2 * np.eye(5), a.T @ b)
            assert_allclose(weight[k], expected, rtol=1e-9)
            assert_allclose(bias[k], target[there, k].mean() - expected @ z[there].mean(axis=0), rtol=1e-9)
    singular = np.ones((3, 3))
    assert_allclose(singular @ solve(singular, np.full((3, 1), 6.0)), np.full((3, 1), 6.0))


# --- beside statsmodels


@pytest.fixture(scope="module")
def sunspots() -> Any:
    pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("statsmodels", reason="statsmodels is not installed")
    from statsmodels.datasets import sunspots

    return sunspots.load_pandas().data.set_index("YEAR").SUNACTIVITY


def test_without_a_network_it_is_an_autoregression(sunspots: Any) -> None:
    """The linear start of one step is AR(9) by least squares, whose forecasts are those of statsmodels."""
    from statsmodels.tsa.ar_model import AutoReg

    series = sunspots.to_numpy()
    options: dict[str, Any] = {"likelihood": "gaussian", "validation": 0.0, "dtype": "float64", "ridge": 0.0}
    for strategy in ("direct", "recursive"):
        model = rf.Forecaster(window=9, hidden_size=2, epochs=0, strategy=strategy, seed=0, **options)
        found = model.fit(series[:-50], progress=False).backtest(series, start=len(series) - 50)
        fitted = AutoReg(series[:-50], 9).fit()
        expected = fitted.append(series[-50:]).predict(len(series) - 50, len(series) - 1)
        assert_allclose(found.forecast[:, 0], expected, rtol=1e-6)
        assert_allclose(metrics.rmse(series[-50:], expected), 16.95, atol=0.01)


def test_recursive_points_are_those_of_an_autoregression(sunspots: Any) -> None:
    from statsmodels.tsa.ar_model import AutoReg

    series = sunspots.to_numpy()
    model = rf.Forecaster(
        window=9, hidden_size=2, epochs=0, strategy="recursive", likelihood="gaussian", validation=0.0,
        dtype="float64", ridge=0.0, seed=0,
    )  # fmt: skip
    found = model.fit(series[:-50], progress=False).predict(20)
    assert_allclose(found, AutoReg(series[:-50], 9).fit().forecast(20), rtol=1e-6)
    samples = model.predict(20, num_samples=4000)
    errors = AutoReg(series[:-50], 9).fit().get_prediction(len(series) - 50, len(series) - 31).se_mean
    assert_allclose(samples.std(axis=1), errors, rtol=0.08)


@pytest.mark.slow
def test_it_beats_exponential_smoothing_on_co2() -> None:
    """Monthly means of co2, every origin of the last 20 %, twelve steps ahead."""
    pytest.importorskip("statsmodels", reason="statsmodels is not installed")
    from statsmodels.datasets import co2
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    series = co2.load_pandas().data.co2.resample("MS").mean().interpolate().loc["1960":]
    cut = round(0.8 * len(series))
    model = rf.Forecaster(window=24, horizon=12, difference=12, hidden_size=16, seed=0)
    found = model.fit(series.iloc[:cut], progress=False).backtest(series, start=cut)
    smoothed = ExponentialSmoothing(series.iloc[:cut], trend="add", seasonal="add", seasonal_periods=12).fit()
    parameters = {n: smoothed.params[n] for n in ("smoothing_level", "smoothing_trend", "smoothing_seasonal")}
    expected = []
    for origin in found.origins:
        again = ExponentialSmoothing(series.iloc[:origin], trend="add", seasonal="add", seasonal_periods=12)
        expected.append(again.fit(**parameters, optimized=False).forecast(12).to_numpy())
    scores = found.scores()
    assert scores["model"]["mae"] < metrics.mae(found.truth, np.array(expected)) < scores["seasonal_naive"]["mae"]
    assert 0.65 < scores["model"]["coverage_80"] < 0.95


def test_the_penalty_is_chosen_in_the_validation() -> None:
    """Of noise it is larger than of what is exactly linear."""
    options: dict[str, Any] = {"window": 20, "horizon": 2, "hidden_size": 2, "epochs": 0, "seed": 0}

    def forecast(series: Float64, **more: Any) -> Float64:
        found: Float64 = rf.Forecaster(**options, **more).fit(series, progress=False).predict()
        return found

    exact, chosen = np.sin(np.arange(150) / 3) + 5, []
    for series in (np.random.default_rng(0).normal(size=150), exact):
        given = [ridge for ridge in RIDGES if (forecast(series, ridge=ridge) == forecast(series)).all()]
        assert len(given) == 1
        chosen += given
    assert chosen[0] > chosen[1] == min(RIDGES)
    assert_array_equal(forecast(exact, validation=0.0), forecast(exact, validation=0.0, ridge=1.0))

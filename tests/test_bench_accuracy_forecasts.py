"""The rows of forecasts and of an agent: parts in order of time, floors that others know, bounds that count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.accuracy import floors, readers
from bench.accuracy.metrics import Bounds, Metric, Part
from bench.accuracy.rows import ROWS, Row
from bench.accuracy.run import Record
from bench.accuracy.table import within
from bench.accuracy.task import Task
from bench.accuracy.tasks import TASKS

FORECASTS = [
    ("yearly-sunspots", 309, 50, 16.95),
    ("monthly-sunspots", 3120, 624, 16.95),
    ("co2", 2284, 457, 0.610),
    ("many-series", 132, 24, 0.774),
]


@pytest.mark.data
@pytest.mark.parametrize(("name", "steps", "judged", "floor"), FORECASTS)
def test_parts_follow_each_other(
    name: str, steps: int, judged: int, floor: float, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is learned ends where the first forecast that is judged begins."""
    monkeypatch.setenv(readers.VARIABLE, str(data_folder))
    if name == "co2":
        pytest.importorskip("pandas")
    data = TASKS[name].load()

    def values(part: Part) -> Any:
        return np.asarray(part.x, np.float64).reshape(-1, steps) if part is data.test else np.atleast_2d(part.x)

    whole = values(data.test)
    for part, end in (
        (data.train, steps - judged),
        (data.validation, steps - judged),
        (data.inner, steps - 2 * judged),
    ):
        np.testing.assert_array_equal(values(part), whole[:, :end])
    assert (data.test.y, data.validation.y) == (steps - judged, steps - 2 * judged)
    assert data.train.y is data.inner.y is None
    method = TASKS[name].floor
    assert method is not None
    assert method.score(data) == pytest.approx(floor, abs=6e-3 if floor > 1 else 6e-4)


def test_autoregression_against_statsmodels() -> None:
    models = pytest.importorskip("statsmodels.tsa.ar_model")
    y = np.cumsum(np.random.default_rng(0).normal(size=120)) + np.sin(np.arange(120))
    fitted = models.AutoReg(y[:100], 3).fit()
    found = floors.autoregression(y, 100, 3, 4)
    assert found.shape == (17, 4)
    for row, end in ((0, 100), (5, 105)):
        expected = fitted.apply(y[:end]).forecast(4)
        np.testing.assert_allclose(found[row], expected, rtol=1e-6)


def test_yule_walker_against_statsmodels() -> None:
    regression = pytest.importorskip("statsmodels.api").regression
    y = np.sin(np.arange(200) / 3) + np.random.default_rng(0).normal(size=200)
    rho = np.asarray(regression.yule_walker(y[:150], order=5, method="mle", inv=True)[0])
    mean = y[:150].mean()
    found = floors.yule_walker(y, 150, 5, 1)[:, 0]
    expected = [mean + rho @ (y[end - 5 : end][::-1] - mean) for end in range(150, 200)]
    np.testing.assert_allclose(found, expected)


def test_seasonal_naive_forecasts_by_hand() -> None:
    y = np.array([1.0, 2, 3, np.nan, 5, 6, 7, 8])
    np.testing.assert_array_equal(floors.filled(y, 3), [1, 2, 3, 1, 5, 6, 7, 8])
    np.testing.assert_array_equal(floors.filled(np.array([np.nan, 4, 5, 6]), 2), [5, 4, 5, 6])
    np.testing.assert_array_equal(floors.seasonal_naive(y, 5, 2, 3), [[3, 1], [1, 5]])
    np.testing.assert_array_equal(floors.seasonal_naive_with_drift(y, 5, 2, 3), [[3 + 3, 1 + 3], [1 + 3, 5 + 3]])
    np.testing.assert_array_equal(floors.truth(y, 5, 2), [[6, 7], [7, 8]])
    error = floors.mean_scaled_error(np.array([1.0, 2, 4, 5, 7]), np.array([[5.0], [5.0]]), 3, 1)
    assert error == pytest.approx(1 / 1.5)


def test_a_file_of_months(tmp_path: Path) -> None:
    path = tmp_path / "months.dat"
    path.write_text("Year Jan\n\n1749 " + " ".join(f"{m}.5" for m in range(12)) + "\n1750 " + "1.0* " * 12 + "\nnote.")
    np.testing.assert_array_equal(readers.months(path), [*(np.arange(12) + 0.5), *[1.0] * 12])
    (tmp_path / "table.csv").write_text('"a","b"\n1,2.5\n2,\n')
    np.testing.assert_array_equal(readers.table(tmp_path / "table.csv"), [[1, 2.5], [2, np.nan]])


def record_of(score: Callable[..., float], bounded: float) -> Record:
    task = Task("t", object, lambda: None, Metric("error", score, False), None, Bounds("share", score, 0.7, 0.9))  # type: ignore[arg-type, return-value]
    row = Row("r", task, 2.0, 1.0, ROWS[0].configuration)
    return Record(row, [0.5], [0.0], 1, None, [bounded])


@pytest.mark.parametrize(("bounded", "verdict"), [(0.69, "missed"), (0.7, "aim"), (0.9, "aim"), (0.91, "missed")])
def test_a_score_out_of_its_bounds_misses_the_goal(bounded: float, verdict: str) -> None:
    assert record_of(lambda model, part: 0.0, bounded).verdict == verdict


def test_how_bounds_are_shown() -> None:
    assert within({"task": "co2", "bounded": [0.8, 0.9]}) == "80 % interval: 0.8500 (0.7 to 0.9)"
    assert within({"task": "reber", "bounded": []}) == "-"


def test_episodes_of_parts_differ() -> None:
    pytest.importorskip("gymnasium")
    data = TASKS["cartpole"].load()
    assert not set(data.validation.x) & set(data.test.x)
    assert len(data.test.x) == len(data.validation.x) == 100
    method = TASKS["cartpole"].floor
    assert method is not None
    assert method.score(data) == pytest.approx(43, abs=3)

"""Forecasters as files and copies, and that their bits depend on the seed alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnnfast as rf
from rnnfast import checkpoint
from tests.support.forecasts import STRATEGIES, fitted, forecaster, long_frame, seasonal

pd: Any = pytest.importorskip("pandas", reason="pandas is not installed")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_file_keeps_everything(strategy: str, tmp_path: Path) -> None:
    index = pd.date_range("2020-01-01", periods=120, freq="W-SAT", tz="Europe/Berlin", name="when")
    series = pd.Series(seasonal(gaps=0.1), index, name="flow")
    future = np.random.default_rng(0).normal(size=(123, 2))
    options: dict[str, Any] = {"strategy": strategy, "difference": 2, "calendar": ["month"], "ensemble": 2}
    model = fitted(series, None, future, [1.0, 2.0], transform="log", **options)
    path = tmp_path / "forecaster.safetensors"
    model.save(path)
    same = rf.Forecaster.load(path)
    assert repr(same) == repr(model)
    pd.testing.assert_series_equal(same.predict(), model.predict(), check_freq=False)
    pd.testing.assert_frame_equal(same.predict(num_samples=4), model.predict(num_samples=4), check_freq=False)
    assert_array_equal(same.predict(future=-future[120:]), model.predict(future=-future[120:]))


def test_a_file_keeps_a_long_frame(tmp_path: Path) -> None:
    frame = long_frame()
    model = forecaster(window=4, horizon=2).fit_many(frame, future=["price"], static=["size"], progress=False)
    model.save(tmp_path / "many")
    future = frame.groupby("unique_id").tail(2).assign(ds=lambda f: f.ds + pd.Timedelta(days=2))
    found = rf.Forecaster.load(tmp_path / "many").predict(future=future)
    pd.testing.assert_frame_equal(found, model.predict(future=future))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    fitted(seasonal()).save(path)
    with pytest.raises(ValueError, match=r"a model file is required, got one that Forecaster\.load reads"):
        rf.load(path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="an undamaged rnnfast 1 model file required"):
        rf.Forecaster.load(path)
    fitted(seasonal()).save(path)
    tensors, saved = checkpoint.read(path)
    kinds = json.dumps([{**each, "kind": "os"} for each in json.loads(saved["panel"]["series"])])
    for changed in (
        {"config": {**saved["config"], "hidden_size": 2**40}},
        {"config": {**saved["config"], "ensemble": 2**40}},
        {"config": {**saved["config"], "strategy": "recursive"}},
        {"panel": {**saved["panel"], "series": kinds}},
        {"scales": "[]"},
    ):
        checkpoint.write(path, tensors, {**saved, **changed})
        with pytest.raises(ValueError, match=r"a file of Forecaster\.save is required"):
            rf.Forecaster.load(path)
    rf.ManyToOne(1, 1, hidden_size=2).save(path)
    with pytest.raises(ValueError, match=r"a file of Forecaster\.save is required"):
        rf.Forecaster.load(path)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_seed_gives_the_same_bits_on_any_number_of_threads(strategy: str) -> None:
    found = []
    for count in (1, 2, 3):
        with rf.threads(count):
            model = fitted(seasonal(gaps=0.1), strategy=strategy, output_dropout=0.1, epochs=2, batch_size=16)
            found.append((model.predict(num_samples=5), model.predict(quantiles=[0.3])))
    for samples, quantiles in found[1:]:
        assert_array_equal(samples, found[0][0])
        assert_array_equal(quantiles, found[0][1])
    other = fitted(seasonal(gaps=0.1), strategy=strategy, epochs=2, batch_size=16, seed=1)
    assert (other.predict() != found[0][1]).any()


def test_a_failed_fit_changes_nothing() -> None:
    model = fitted(seasonal())
    before = model.predict()
    with pytest.raises(ValueError, match="series"):
        model.fit(np.full(50, np.nan), progress=False)
    assert_array_equal(model.predict(), before)
    assert_array_equal(copy.copy(model).predict(), before)

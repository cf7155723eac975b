"""Estimators in pipelines, searches and cross-validation, in processes and threads; scaled sequences."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pytest

import rnnfast as rf
from tests.support.labelled import as_objects, dense, directions, peaks, ragged
from tests.support.processes import output

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from joblib.externals.loky import get_reusable_executor
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from rnnfast.limits import limited
from rnnfast.sklearn import SequenceClassifier, SequenceRegressor, SequenceScaler, SequenceTagger

SMALL: dict[str, Any] = {"cell": "gru", "hidden_size": 4, "epochs": 2, "random_state": 0}
X = ragged(40, 2)
Y = directions(X)
FORMS: dict[str, Any] = {"list": X, "objects": as_objects(X), "array": dense(40)}
every_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(scope="module", autouse=True)
def no_processes_stay() -> Iterator[None]:
    yield
    get_reusable_executor().shutdown(wait=True)


def search(**options: Any) -> Any:
    pipeline = make_pipeline(SequenceScaler(), SequenceClassifier(**SMALL))
    grid = {"sequenceclassifier__hidden_size": [3, 4], "sequenceclassifier__cell": ["gru", "rnn"]}
    return GridSearchCV(pipeline, grid, cv=2, **options)


def tables(found: Any) -> dict[str, Any]:
    return {name: values for name, values in found.cv_results_.items() if "time" not in name}


@every_form
def test_a_search_finds_the_same_in_processes_and_in_threads(form: str) -> None:
    x = FORMS[form]
    y = directions(x)
    alone = search().fit(x, y)
    for backend in ("threading", "loky"):
        # The threads of scikit-learn change the filters of warnings under each other.
        with joblib.parallel_config(backend, n_jobs=2), warnings.catch_warnings():
            found = search().fit(x, y)
        np.testing.assert_equal(tables(found), tables(alone))
        np.testing.assert_array_equal(found.predict_proba(x), alone.predict_proba(x))
    best = alone.best_estimator_[-1]
    assert best.get_params()["hidden_size"] == alone.best_params_["sequenceclassifier__hidden_size"]


@every_form
def test_cross_validation_is_a_loop_over_folds(form: str) -> None:
    x = FORMS[form]
    y = directions(x)
    folds = list(KFold(3).split(y))
    estimator = SequenceClassifier(**SMALL)
    expected, predicted = [], np.empty(len(y), y.dtype)
    for learned, held in folds:
        part = [x[i] for i in learned], [x[i] for i in held]
        fitted = estimator.fit(part[0], y[learned])
        predicted[held] = fitted.predict(part[1])
        expected.append(np.mean(predicted[held] == y[held]))
    np.testing.assert_array_equal(cross_val_score(estimator, x, y, cv=folds), expected)
    np.testing.assert_array_equal(cross_val_predict(estimator, x, y, cv=folds), predicted)
    learned_x, _, learned_y, _ = train_test_split(x, y, random_state=0)
    assert len(learned_x) == len(learned_y) == 30


def test_cross_validation_of_a_tagger() -> None:
    y = peaks(X)
    tagger = SequenceTagger(**SMALL)
    scores = cross_val_score(tagger, X, y, cv=2)
    np.testing.assert_array_equal(cross_val_score(tagger, as_objects(X), as_objects(y), cv=2), scores)
    predicted = cross_val_predict(tagger, as_objects(X), as_objects(y), cv=2)
    assert [len(each) for each in predicted] == [len(walk) for walk in X]
    halves = [np.concatenate(predicted[part]) == np.concatenate(y[part]) for part in (slice(20), slice(20, 40))]
    np.testing.assert_allclose([half.mean() for half in halves], scores)


def test_a_pipeline_of_numbers() -> None:
    y = np.array([walk[:, 0].mean() for walk in X])
    pipeline = make_pipeline(SequenceScaler(), SequenceRegressor(**SMALL)).fit(X, y)
    scaler = SequenceScaler().fit(X)
    alone = SequenceRegressor(**SMALL).fit(scaler.transform(X), y)
    np.testing.assert_array_equal(pipeline.predict(X), alone.predict(scaler.transform(X)))


@pytest.mark.parametrize("features", [1, 2])
def test_a_scaler_is_the_standard_scaler_of_all_steps(features: int) -> None:
    x, array = ragged(20, features), dense(20, features)
    for given in (x, as_objects(x), array, list(array), *([array[..., 0]] if features == 1 else [])):
        steps = np.concatenate([np.reshape(walk, (-1, features)) for walk in given])
        expected, scaler = StandardScaler().fit(steps), SequenceScaler().fit(given)
        np.testing.assert_allclose(scaler.mean_, expected.mean_)
        np.testing.assert_allclose(scaler.scale_, expected.scale_)
        scaled = scaler.transform(given)
        assert type(scaled) is type(given)
        assert [np.shape(each) for each in scaled] == [np.shape(walk) for walk in given]
        found = np.concatenate([np.reshape(each, (-1, features)) for each in scaled])
        np.testing.assert_allclose(found, expected.transform(steps))
        for there_and_back, walk in zip(scaler.inverse_transform(scaled), given, strict=True):
            np.testing.assert_allclose(there_and_back, walk, atol=1e-12)
        halves = SequenceScaler().partial_fit(given[:7]).partial_fit(given[7:])
        np.testing.assert_allclose(halves.mean_, expected.mean_)
        np.testing.assert_allclose(halves.scale_, expected.scale_)


def test_options_and_frames_of_a_scaler() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    nested = pd.DataFrame({name: [walk[:, c] for walk in X] for c, name in enumerate("uv")})
    scaler = SequenceScaler().fit(nested)
    assert scaler.get_feature_names_out().tolist() == ["u", "v"]
    assert SequenceScaler().fit(nested).fit(X).get_feature_names_out().tolist() == ["x0", "x1"]
    for one, other in zip(scaler.transform(nested), SequenceScaler().fit_transform(X), strict=True):
        np.testing.assert_array_equal(one, other)
    centred = SequenceScaler(with_std=False).fit(X)
    assert centred.scale_ is None
    np.testing.assert_allclose(np.concatenate(centred.transform(X)).mean(axis=0), 0, atol=1e-12)
    assert SequenceScaler().fit_transform([walk.astype("f") for walk in X])[0].dtype == np.float32
    with pytest.raises(ValueError, match=r"^X has 1 features, but SequenceScaler is expecting 2"):
        scaler.transform(ragged(4))


def engine() -> Any:
    (found,) = [each for each in threadpool_info() if each["user_api"] == "rnnfast"]
    return found


def test_threadpoolctl_limits_the_engine() -> None:
    assert engine()["num_threads"] == rf.get_num_threads()
    assert engine()["version"] == rf.__version__
    with rf.threads(3):
        for limits in (1, {"rnnfast": 2}):
            with threadpool_limits(limits):
                assert rf.get_num_threads() == engine()["num_threads"] == (1 if limits == 1 else 2)
            assert rf.get_num_threads() == 3
        with threadpool_limits(1, user_api="blas"):
            assert rf.get_num_threads() == 3


def test_processes_of_joblib_share_the_processors() -> None:
    for limit in (1, 3):
        with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=limit):
            assert joblib.Parallel()(joblib.delayed(rf.get_num_threads)() for _ in range(2)) == [limit] * 2


class Counts(rf.Callback):
    """Notes the engine's limit during a training."""

    seen: list[int] = []  # noqa: RUF012  # shared by the copies that are made for each training

    def on_step_end(self, run: Any) -> None:
        self.seen.append(rf.get_num_threads())


def test_threads_of_an_estimator() -> None:
    with rf.threads(3):
        for threads, expected in ((None, 3), (2, 2)):
            Counts.seen.clear()
            SequenceClassifier(**SMALL, threads=threads, callbacks=Counts()).fit(X, Y)
            assert set(Counts.seen) == {expected}
            assert rf.get_num_threads() == 3


def test_limits_that_overlap_leave_nothing_behind() -> None:
    """The one that began first ends first."""
    begun, go_on, seen = threading.Event(), threading.Event(), []

    def first() -> None:
        with limited(2):
            begun.set()
            go_on.wait(60)

    with rf.threads(4):
        thread = threading.Thread(target=first)
        thread.start()
        begun.wait(60)
        with limited(1):
            with limited(3):
                seen.append(rf.get_num_threads())
            go_on.set()
            thread.join()
            seen.append(rf.get_num_threads())
        assert [*seen, rf.get_num_threads()] == [1, 1, 4]
        with pytest.raises(KeyError), limited(2):
            raise KeyError
        assert rf.get_num_threads() == 4


def test_a_forked_child_does_not_wait_for_threads_of_its_parent() -> None:
    code = """
    import os, signal
    from rnnfast import limits
    with limits._limits._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            with limits.limited(1):
                os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert output(code) == "7"

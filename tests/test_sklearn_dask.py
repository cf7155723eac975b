"""The search over parameters on a cluster of Dask: the bits of the local one, and no more threads than a worker has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf

pytest.importorskip("sklearn")
pytest.importorskip("distributed")

import joblib  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402

from rnnfast.sklearn import SequenceClassifier  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def found(x: Any, y: Any) -> tuple[Any, Any]:
    estimator = SequenceClassifier(hidden_size=4, epochs=2, batch_size=8, random_state=0)
    search = GridSearchCV(estimator, {"learning_rate": [0.01, 0.05], "cell": ["gru", "lstm"]}, cv=2, n_jobs=2)
    search.fit(x, y)
    return search.cv_results_["mean_test_score"], search.best_estimator_.predict_proba(x)


def test_a_search_on_two_workers_equals_the_local_one() -> None:
    from distributed import Client, LocalCluster

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 6, 3)).astype(np.float32), np.arange(24) % 2
    with joblib.parallel_config("loky", n_jobs=1):
        scores, probabilities = found(x, y)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        assert set(client.run(rf.get_num_threads).values()) == {1}
        again, same = found(x, y)
    np.testing.assert_array_equal(again, scores)
    np.testing.assert_array_equal(same, probabilities)

"""A search over parameters on a cluster of Dask: the bits of the local one, and no more threads than a worker has."""

from __future__ import annotations

import json

import pytest

from tests.support.processes import output

pytest.importorskip("sklearn")
pytest.importorskip("distributed")

pytestmark = pytest.mark.slow

SEARCH = """
    import json
    import joblib
    import numpy as np
    from distributed import Client, LocalCluster
    from sklearn.model_selection import GridSearchCV
    import rnnfast as rf
    from rnnfast.sklearn import SequenceClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 6, 3)).astype(np.float32), np.arange(24) % 2

    def found():
        estimator = SequenceClassifier(hidden_size=4, epochs=2, batch_size=8, random_state=0)
        search = GridSearchCV(estimator, {"learning_rate": [0.01, 0.05], "cell": ["gru", "lstm"]}, cv=2, n_jobs=2)
        search.fit(x, y)
        return search.cv_results_["mean_test_score"].tolist(), search.best_estimator_.predict_proba(x).tolist()

    if __name__ == "__main__":
        with joblib.parallel_config("threading", n_jobs=1):
            alone = found()
        one = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
        with LocalCluster(**one) as cluster, Client(cluster) as client:
            threads = sorted(client.run(rf.get_num_threads).values())
            with joblib.parallel_config("dask"):
                print(json.dumps([threads, found() == alone]))
"""


def test_a_search_on_two_workers_equals_the_local_one() -> None:
    assert json.loads(output(SEARCH).splitlines()[-1]) == [[1, 1], True]

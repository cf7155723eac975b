"""Scikit-learn's own checks of estimators, none of which fails where a batch holds all of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support.state import numpy_random, set_numpy_random

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator  # noqa: E402

from rnnfast.sklearn import SequenceClassifier, SequenceRegressor, SequenceScaler, SequenceTagger  # noqa: E402

SMALL: dict[str, Any] = {"cell": "gru", "hidden_size": 8, "epochs": 60, "batch_size": 100, "dtype": "float64"}
# Weights (N, 2) should be refused, but of sequences of two steps they are those of the steps.
EXPECTED = {("Stepwise", "check_sample_weights_shape")}
SCORED = {**SMALL, "batch_size": 32}

pytestmark = pytest.mark.filterwarnings("ignore")  # the checks make warnings, and catch those that they are about


@pytest.fixture(autouse=True)
def same_random_numbers() -> Iterator[None]:
    """The checks draw NumPy's global random numbers, as estimators do without a ``random_state``."""
    before = numpy_random()
    yield
    set_numpy_random(before)


class Stepwise(SequenceTagger):
    """A tagger whose every step has the label of its row, which is what the checks give a row."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        return super().fit(X, repeated(X, y), sample_weight)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        if classes is None and not hasattr(self, "model_"):
            classes = np.unique(y)
        return super().partial_fit(X, repeated(X, y), classes, sample_weight)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return super().score(X, repeated(X, y), sample_weight)


def repeated(X: Any, y: Any) -> Any:
    width = (X if hasattr(X, "shape") else np.asarray(X)).shape[-1]
    return None if y is None else np.repeat(np.asarray(y).reshape(-1, 1), width, axis=1)


ESTIMATORS = (SequenceClassifier(**SCORED), SequenceRegressor(**SCORED), Stepwise(**SMALL), SequenceScaler())
CHECKS = [pair for estimator in ESTIMATORS for pair in estimator_checks_generator(estimator)]


def name_of(value: Any) -> str:
    return type(value).__name__ if hasattr(value, "get_params") else str(value.func.__name__)


@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=name_of)
def test_checks(estimator: Any, check: Any) -> None:
    if (name_of(estimator), name_of(check)) in EXPECTED:
        with pytest.raises(AssertionError):
            check(estimator)
    else:
        check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [SequenceClassifier(), SequenceRegressor(), SequenceTagger()], ids=name_of)
def test_defaults(estimator: Any) -> None:
    reason = "in mini-batches and float32 a weight of two is not exactly two sequences"
    check_estimator(estimator, expected_failed_checks={"check_sample_weight_equivalence_on_dense_data": reason})

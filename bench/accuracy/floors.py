"""What simple methods reach: the numbers that a recurrent network has to beat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.demo.ngrams import ngram_nats, ngram_probabilities
from rnnfast.metrics import mase

Ids = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def least_squares(x: Any, y: Any, test_x: Any, test_y: Any) -> float:
    """Mean squared error of a linear regression on all steps and a constant."""

    def design(values: Any) -> Any:
        flat = np.asarray(values, np.float64).reshape(len(values), -1)
        return np.hstack([flat, np.ones((len(flat), 1))])

    weights, *_ = np.linalg.lstsq(design(x), np.asarray(y, np.float64), rcond=None)
    return float(np.mean((design(test_x) @ weights - test_y) ** 2))


def logistic_regression(x: Sequence[Any], y: Ids, test_x: Sequence[Any], test_y: Ids) -> float:
    """Accuracy of a logistic regression on the mean and the deviation of each channel; needs scikit-learn."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def features(sequences: Sequence[Any]) -> Any:
        return np.array([np.r_[s.mean(axis=0), s.std(axis=0)] for s in sequences])

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(features(x), y)
    return float(model.score(features(test_x), test_y))


def most_frequent_tag(x: Sequence[Any], y: Sequence[Any], test_x: Sequence[Any], test_y: Sequence[Any]) -> float:
    """Accuracy of each word's most frequent tag; words that were never seen get the most frequent tag of all."""
    counts: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for words, tags in zip(x, y, strict=True):
        for word, tag in zip(words, tags, strict=True):
            counts[int(word)][int(tag)] += 1
    usual = sum(counts.values(), Counter[int]()).most_common(1)[0][0]
    best = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
    found = [
        best.get(int(word), usual) == tag
        for words, tags in zip(test_x, test_y, strict=True)
        for word, tag in zip(words, tags, strict=True)
    ]
    return float(np.mean(found))


def ngrams_of_text(train: Ids, test: Ids, alphabet_size: int, order: int) -> float:
    """Nats a character of the n-gram model of a text, with Witten-Bell smoothing."""
    return ngram_nats(train, test, alphabet_size, order)[order]


def ngrams_of_sequences(train: Sequence[Ids], test: Sequence[Ids], alphabet_size: int, order: int) -> float:
    """Nats an element of the n-gram model of sequences that begin with an id of their own.

    The first id stands ``order - 1`` times before each sequence, and is not predicted.
    """
    before = order - 2

    def joined(sequences: Sequence[Ids]) -> Ids:
        return np.concatenate([np.r_[np.repeat(s[:1], before), s] for s in sequences])

    symbols = joined(test)
    counted = np.concatenate([np.r_[np.zeros(before + 1, bool), np.ones(len(s) - 1, bool)] for s in test])
    p = ngram_probabilities(joined(train), symbols[:-1], symbols[1:], alphabet_size, order)[order]
    return float(-np.log(p[counted[1:]]).mean())


def truth(series: Values, known: int, horizon: int) -> Values:
    """What comes true (O, horizon) behind each origin from ``known`` steps on."""
    return np.lib.stride_tricks.sliding_window_view(series, horizon)[known:]


def origins(series: Values, known: int, horizon: int) -> Ids:
    """The origins (O,) of forecasts of ``horizon`` steps, as numbers of steps known before."""
    return np.arange(known, len(series) - horizon + 1)


def filled(series: Values, season: int) -> Values:
    """The series, each missing value replaced by the last known one of its phase, or by the first known one."""
    whole = series.copy()
    for t in range(season, len(whole)):
        whole[t] = whole[t - season] if np.isnan(whole[t]) else whole[t]
    for t in reversed(range(len(whole) - season)):
        whole[t] = whole[t + season] if np.isnan(whole[t]) else whole[t]
    return whole


def autoregression(series: Values, known: int, order: int, horizon: int, season: int = 1) -> Values:
    """Forecasts (O, horizon) of an AR model that least squares fit to the first ``known`` values, filled by season."""
    whole = filled(series, season)
    windows = np.lib.stride_tricks.sliding_window_view(whole[:known], order + 1)
    weights, *_ = np.linalg.lstsq(np.c_[windows[:, :-1], np.ones(len(windows))], windows[:, -1], rcond=None)
    return _recursive(whole, weights[:-1], weights[-1], origins(series, known, horizon), horizon)


def yule_walker(series: Values, known: int, order: int, horizon: int) -> Values:
    """Forecasts (O, horizon) of an AR model that the Yule-Walker equations fit to the first ``known`` values."""
    mean = series[:known].mean()
    z = series[:known] - mean
    r = np.array([z[: known - k] @ z[k:] for k in range(order + 1)])
    phi = np.linalg.solve(r[np.abs(np.subtract.outer(np.arange(order), np.arange(order)))], r[1:])
    constant = mean * (1 - phi.sum())
    return _recursive(series, phi[::-1], constant, origins(series, known, horizon), horizon)


def _recursive(series: Values, weights: Any, constant: float, at: Ids, horizon: int) -> Values:
    """Forecasts (O, horizon) from origins, step by step; ``weights`` begin with the oldest value's."""
    order = len(weights)
    values = np.lib.stride_tricks.sliding_window_view(series, order)[at - order]
    for _ in range(horizon):
        values = np.c_[values, values[:, -order:] @ weights + constant]
    return values[:, order:]


def seasonal_naive(series: Values, known: int, horizon: int, season: int) -> Values:
    """Forecasts (O, horizon): the last known values of the same phase; no horizon is longer than a season."""
    return truth(filled(series, season), known - season, horizon)[: len(origins(series, known, horizon))]


def seasonal_naive_with_drift(series: Values, known: int, horizon: int, season: int) -> Values:
    """The same, and what the last known value has gained in a season."""
    at, whole = origins(series, known, horizon), filled(series, season)
    return seasonal_naive(series, known, horizon, season) + (whole[at - 1] - whole[at - 1 - season])[:, None]


def mean_scaled_error(series: Values, forecast: Values, known: int, season: int) -> float:
    """The MASE of forecasts (O, H) of one series."""
    return mase(truth(series, known, forecast.shape[1]), forecast, series[:known], season=season)

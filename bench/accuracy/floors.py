"""What simple methods reach: the numbers that a recurrent network has to beat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.demo.ngrams import ngram_nats, ngram_probabilities

Ids = npt.NDArray[np.int64]


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

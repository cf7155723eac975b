"""The errors of ``EncoderDecoder``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

X, Y = np.zeros((4, 6, 3)), np.array([[1, 2], [2, 2], [1, 1], [2, 1]])
IDS, V = np.zeros((4, 6), int), np.zeros((4, 2, 5))


def model(**options: Any) -> Any:
    return rf.EncoderDecoder(3, 5, **{"cell": "gru", "hidden_size": 4, "seed": 0, **options})


def numbers(**options: Any) -> Any:
    return model(task="regression", **options)


CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: rf.EncoderDecoder(0, 5), ValueError, r"source_size: at least 1 is required, got 0"),
    (lambda: rf.EncoderDecoder(3, 2.0), TypeError, r"target_size: an integer is required, got 2.0"),
    (lambda: model(cell="elman"), ValueError, r"cell: one of rnn, lstm, gru or a CustomCell is required, got 'elman'"),
    (lambda: model(task="ranking"), ValueError, r"task: one of classification, .* is required, got 'ranking'"),
    (lambda: model(dtype="float16"), TypeError, r"dtype: float32 or float64 is required, got float16"),
    (lambda: model(source_embedding=0), ValueError, r"source_embedding: at least 1 is required, got 0"),
    (lambda: model(target_embedding=0), ValueError, r"target_embedding: at least 1 is required, got 0"),
    (
        lambda: numbers(target_embedding=2),
        ValueError,
        r"target_embedding: None is required for task='regression', got 2",
    ),
    (lambda: model(start=5), ValueError, r"start: None or an id 0..4 is required, got 5"),
    (lambda: model(stop=-1), ValueError, r"stop: None or an id 0..4 is required, got -1"),
    (lambda: model(stop=1.0), TypeError, r"stop: an integer is required, got 1.0"),
    (lambda: numbers(start=0), ValueError, r"start: None is required for task='regression', got 0"),
    (lambda: model(task="multilabel", stop=0), ValueError, r"stop: None is required for task='multilabel', got 0"),
    (lambda: model(attention="hard"), ValueError, r"attention: one of additive, dot or None is required, got 'hard'"),
    (lambda: model().predict(X, return_attention=True), ValueError, r"return_attention: a model with attention is req"),
    (lambda: model().loss(X[..., :2], Y), ValueError, r"x: last axis C = source_size = 3 is required, got shape"),
    (lambda: model().loss(X[0], Y), ValueError, r"x: shape \(N, T, C\) with C = 3 is required, got shape \(6, 3\)"),
    (lambda: model(source_embedding=2).loss(IDS + 3, Y), ValueError, r"x: ids 0..2 \(source_size = 3\) are required"),
    (
        lambda: model(source_embedding=2).loss(IDS + 0.5, Y),
        TypeError,
        r"x: integer ids are required, got dtype float64",
    ),
    (lambda: model().loss(X, Y + 3), ValueError, r"y: ids 0..4 \(target_size = 5\) are required, got 5"),
    (lambda: model().loss(X, Y.astype(float)), TypeError, r"y: integer ids are required, got dtype float64"),
    (lambda: model().loss(X, Y[:3]), ValueError, r"y: a sequence for every source is required \(N = 4\), got 3"),
    (
        lambda: model().loss(X, Y[:, 0]),
        ValueError,
        r"y: integer ids \(N, T\) or a list .* is required, got shape \(4,\)",
    ),
    (lambda: model(start=1).loss(X, Y), ValueError, r"y: ids other than start = 1 are required \(the model adds it\)"),
    (lambda: model(stop=2).loss(X, Y), ValueError, r"y: ids other than stop = 2 are required \(the model adds it\)"),
    (lambda: numbers().loss(X, V[..., :4]), ValueError, r"y: last axis C = target_size = 5 is required, got shape"),
    (
        lambda: model(task="multilabel").loss(X, V + 2),
        ValueError,
        r"y: values in \[0, 1\] are required for task='multil",
    ),
    (lambda: model().loss(X, Y, lengths=[1, 2, 3]), ValueError, r"lengths: shape \(N,\) = \(4,\) is required"),
    (
        lambda: model().loss(list(X), Y, lengths=[1] * 4),
        ValueError,
        r"lengths: None is required beside a list x",
    ),
    (lambda: model().loss(X, Y, context=V), TypeError, r"loss: unknown argument 'context'"),
    (lambda: model().loss(X, Y, sample_weight=[1]), ValueError, r"sample_weight: shape \(N,\) = \(4,\) is required"),
    (
        lambda: model().loss(X, Y, sample_weight=Y[:, :1]),
        ValueError,
        r"sample_weight: a value for every step is requir",
    ),
    (lambda: model().predict(X, max_length=-1), ValueError, r"max_length: at least 0 is required, got -1"),
    (lambda: model().predict(X, max_length=2**70), OverflowError, r"max_length: at most 2\^62 is required"),
    (lambda: model().predict(X, max_length=2.5), TypeError, r"max_length: an integer is required, got 2.5"),
    (lambda: model().predict(X, beams=0), ValueError, r"beams: at least 1 is required, got 0"),
    (
        lambda: model().predict(X, length_penalty=1.0),
        ValueError,
        r"length_penalty: 0.0 is required without beams, got 1",
    ),
    (lambda: model().predict(X, batch_size=0), ValueError, r"batch_size: at least 1 is required, got 0"),
    (
        lambda: numbers().predict(X),
        ValueError,
        r"max_length: a number is required for task='regression' \(nothing stops",
    ),
    (lambda: numbers().predict(X, max_length=2, beams=2), ValueError, r"beams: None is required for task='regression'"),
    (
        lambda: numbers().predict_proba(X),
        ValueError,
        r"predict_proba: a task with probabilities is required, got task=",
    ),
    (lambda: model().fit(X, Y, epochs=1, batch_size=0), ValueError, r"batch_size: at least 1 is required, got 0"),
    (lambda: model().fit(X, Y, epochs=-1), ValueError, r"epochs: at least 0 is required, got -1"),
    (lambda: model(attention="dot").stream(), ValueError, r"stream: a model without attention is required"),
    (
        lambda: model().stream(4, np.zeros((1, 4, 4)), source=X),
        ValueError,
        r"state: None is required where source",
    ),
    (lambda: model().stream(3, source=X), ValueError, r"source: N = batch_size = 3 sequences are required, got 4"),
    (lambda: model().stream(4, source=X[..., :2]), ValueError, r"source: last axis C = source_size = 3 is required"),
]


@pytest.mark.parametrize(("call", "kind", "message"), CASES, ids=[case[2][:40] for case in CASES])
def test_refused(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_length_that_memory_cannot_hold_raises() -> None:
    with pytest.raises((MemoryError, ValueError)):
        model().predict(X, max_length=2**50)


def test_what_is_refused_changes_nothing() -> None:
    own = numbers(dtype="float64")
    before = own.state_dict()
    with pytest.raises(FloatingPointError):
        own.fit(X, V + 1e200, epochs=1, progress=False)
    for name, value in own.state_dict().items():
        np.testing.assert_array_equal(value, before[name])

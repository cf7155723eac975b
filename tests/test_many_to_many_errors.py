"""The errors of ``ManyToMany``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf

X, Y = np.zeros((4, 5, 3)), np.zeros((4, 5), np.int64)
Z = np.zeros((4, 5, 2))
LISTED = [np.zeros((n, 3)) for n in (5, 2)]


def tagger(**options: Any) -> Any:
    return rf.ManyToMany(3, 2, hidden_size=2, seed=0, **options)


def numbers() -> Any:
    return tagger(task="regression")


CASES: list[tuple[Any, type[Exception], str]] = [
    # construction
    (lambda: rf.ManyToMany(0, 2), ValueError, r"input_size: at least 1 is required, got 0"),
    (lambda: rf.ManyToMany(3, 2.5), TypeError, r"output_size: an integer is required, got 2.5"),
    (lambda: tagger(cell="elman"), ValueError, r"cell: one of rnn, lstm, gru or a CustomCell is required, got 'elman'"),
    (lambda: tagger(task="ranking"), ValueError, r"task: one of classification, .* is required, got 'ranking'"),
    (lambda: tagger(dtype="float16"), TypeError, r"dtype: float32 or float64 is required, got float16"),
    # x and lengths
    (lambda: tagger().loss(X[0], Y), ValueError, r"x: shape \(N, T, C\) with C = 3 is required, got shape \(5, 3\)"),
    (lambda: tagger().predict(X[..., :2]), ValueError, r"x: last axis C = input_size = 3 is required"),
    (lambda: tagger(embedding=2).predict(Y + 3), ValueError, r"x: ids 0..2 \(input_size = 3\) are required, got 3"),
    (
        lambda: tagger().predict(X, lengths=[1, 2]),
        ValueError,
        r"lengths: shape \(N,\) = \(4,\) is required, got \(2,\)",
    ),
    (lambda: tagger().loss(LISTED, Y, lengths=[5, 2]), ValueError, r"lengths: None is required beside a list x"),
    # y: shape
    (
        lambda: tagger().loss(X, Y[:, 0]),
        ValueError,
        r"y: a value for every step is required, shape \(N, T\) = \(4, 5\), got \(4,\)",
    ),
    (lambda: tagger().loss(X, Y[:, :4]), ValueError, r"y: .* shape \(N, T\) = \(4, 5\), got \(4, 4\)"),
    (lambda: tagger().loss(X, Y[:, :4], lengths=[4] * 4), ValueError, r"y: .* \(N, T\) = \(4, 5\), got \(4, 4\)"),
    (lambda: tagger().loss(X, Z), ValueError, r"y: .* shape \(N, T\) = \(4, 5\), got \(4, 5, 2\)"),
    (lambda: tagger().loss(X[:, :2], Y[:, 0]), ValueError, r"y: .* \(N, T\) = \(4, 2\), got \(4,\)"),
    (lambda: numbers().loss(X, Y), ValueError, r"y: .* shape \(N, T, K\) = \(4, 5, 2\), got \(4, 5\)"),
    (lambda: numbers().loss(X, Z[..., :1]), ValueError, r"y: .* \(N, T, K\) = \(4, 5, 2\), got \(4, 5, 1\)"),
    (lambda: tagger().loss(LISTED, Y[:2, :4]), ValueError, r"y: .* \(N, T\) = \(2, 5\), got \(2, 4\)"),
    (lambda: tagger().loss(LISTED, list(Y[:2])), ValueError, r"y\[1\]: .* shape \(T\) = \(2,\), got \(5,\)"),
    (lambda: tagger().loss(LISTED, [0, 1]), ValueError, r"y\[0\]: .* shape \(T\) = \(5,\), got \(\)"),
    (lambda: numbers().loss(LISTED, [Z[0], Z[0]]), ValueError, r"y\[1\]: .* \(T, K\) = \(2, 2\), got \(5, 2\)"),
    (lambda: tagger().loss(LISTED, [Y[0]]), ValueError, r"y: an entry for every sequence is required \(N = 2\), got 1"),
    # y: values
    (lambda: tagger().loss(X, Y + 2), ValueError, r"y: integer class ids 0..K-1 \(K = output_size = 2\) .* got 2"),
    (lambda: tagger().loss(X, Y - 1), ValueError, r"y: integer class ids .* got -1"),
    (lambda: tagger().loss(X, Y * 0.5), ValueError, r"y: integer class ids .* got dtype float64"),
    (lambda: tagger().loss(X, Y.astype(str)), ValueError, r"y: integer class ids .* got dtype <U"),
    (lambda: numbers().loss(X, Z + 1j), TypeError, r"y: real numbers are required, got dtype complex128"),
    (lambda: tagger(task="multilabel").loss(X, Z + 1.5), ValueError, r"y: values in \[0, 1\] .* got 1.5"),
    (lambda: numbers().predict_proba(X), ValueError, r"predict_proba: .* got task='regression'"),
    # weights and contexts
    (
        lambda: tagger().loss(X, Y, sample_weight=[1, 2]),
        ValueError,
        r"sample_weight: shape \(N,\) = \(4,\) is required",
    ),
    (
        lambda: tagger().loss(X, Y, sample_weight=np.ones((4, 6))),
        ValueError,
        r"sample_weight: .* \(N, T\) = \(4, 5\), got \(4, 6\)",
    ),
    (
        lambda: tagger().loss(LISTED, [Y[0], Y[0, :2]], sample_weight=[[1] * 5, [1]]),
        ValueError,
        r"sample_weight\[1\]: .* \(T\) = \(2,\), got \(1,\)",
    ),
    (lambda: tagger().loss(X, Y, sample_weight=Y - 1), ValueError, r"sample_weight: finite numbers >= 0 are required"),
    (lambda: tagger().loss(X, Y, sample_weight=[1, 1, 1, -1]), ValueError, r"sample_weight: finite numbers >= 0"),
    (lambda: tagger().loss(X, Y, sample_weight=Y + 1j), TypeError, r"sample_weight: real numbers are required"),
    (lambda: tagger().loss(X, Y, context=[1]), TypeError, r"loss: unknown argument 'context'"),
    # fit
    (lambda: tagger().fit(X, Y, epochs=1, batch_size=0), ValueError, r"batch_size: at least 1 is required, got 0"),
    (lambda: tagger().fit(X, Y, epochs=1, validation_data=(X,)), ValueError, r"validation_data: a pair .* got 1"),
    (
        lambda: numbers().fit(X, Z + np.inf, epochs=1, progress=False),
        ValueError,
        r"y: finite numbers are required, got inf in sequence 0 at step 0, number 0 of 2",
    ),
    (
        lambda: numbers().fit(X, Z * np.nan, epochs=1, progress=False),
        ValueError,
        r"y: at least one target that is not missing is required, got none",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), CASES, ids=range(len(CASES)))
def test_message(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_an_error_in_the_data_changes_nothing() -> None:
    model = tagger()
    before = model.state_dict()
    wrong = Y.copy()
    wrong[3, 4] = 2
    with pytest.raises(ValueError, match="y:"):
        model.fit(X, wrong, epochs=1, batch_size=1, progress=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_parameters_have_the_promised_names_and_shapes() -> None:
    model = rf.ManyToMany(7, 5, embedding=3, hidden_size=4, num_layers=2, cell="gru")
    shapes = {name: p.shape for name, p in model.parameters().items()}
    assert next(iter(shapes)) == "embedding.weight"
    assert shapes["embedding.weight"] == (7, 3)
    assert shapes["rnn.weight_ih_l0"] == (12, 3)
    assert shapes["rnn.weight_hh_l1"] == (12, 4)
    assert shapes["head.weight"] == (5, 4)
    assert shapes["head.bias"] == (5,)
    assert model.summary().startswith("ManyToMany: cell=gru, task=classification, dtype=float32")

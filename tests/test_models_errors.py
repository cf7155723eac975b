"""Every message: the name, what was is required, what was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

X, Y = np.zeros((4, 5, 3)), [0, 1, 1, 0]
IDS = np.zeros((4, 5), np.int64)


def classifier(**options: Any) -> Any:
    return rf.ManyToOne(3, 2, hidden_size=2, seed=0, **options)


def writer(size: int = 3, **options: Any) -> Any:
    return rf.OneToMany(size, hidden_size=2, seed=0, **options)


CASES: list[tuple[Any, type[Exception], str]] = [
    # construction
    (lambda: rf.ManyToOne(0, 2), ValueError, r"input_size: at least 1 is required, got 0"),
    (lambda: rf.ManyToOne(3, 2.5), TypeError, r"output_size: an integer is required, got 2.5"),
    (
        lambda: classifier(cell="elman"),
        ValueError,
        r"cell: one of rnn, lstm, gru or a CustomCell .* got 'elman'",
    ),
    (lambda: classifier(task="ranking"), ValueError, r"task: one of classification, .* is required, got 'ranking'"),
    (lambda: classifier(dtype="float16"), TypeError, r"dtype: float32 or float64 is required, got float16"),
    (lambda: classifier(embedding=0), ValueError, r"embedding: at least 1 is required, got 0"),
    (lambda: classifier(bidirectional=1), TypeError, r"bidirectional: True or False is required, got 1"),
    (lambda: classifier(bidirectional=True).stream(), ValueError, r"stream: a layer of one direction"),
    (lambda: writer(bidirectional=True), ValueError, r"bidirectional: False is required"),
    (lambda: rf.OneToMany(3, 4), ValueError, r"output_size: at most input_size = 3 is required, got 4"),
    (lambda: rf.OneToMany(3, 2, task="regression"), ValueError, r"output_size: input_size = 3 is required for task"),
    (lambda: writer(task="regression", embedding=2), ValueError, r"embedding: None is required for task='regression'"),
    # x
    (
        lambda: classifier().loss(X[0], Y),
        ValueError,
        r"x: shape \(N, T, C\) with C = 3 is required, got shape \(5, 3\)",
    ),
    (lambda: classifier().loss(X[None], Y), ValueError, r"got shape \(1, 4, 5, 3\); reshape it to \(N, T, C\)"),
    (lambda: classifier().loss(X[..., :2], Y), ValueError, r"x: last axis C = input_size = 3 is required"),
    (lambda: classifier().loss([X[0], X[0, :, :1]], Y), ValueError, r"x\[1\]: last axis C = input_size = 3"),
    (lambda: classifier().loss(X + 1j, Y), TypeError, r"x: real numbers are required, got dtype complex128"),
    (lambda: classifier(embedding=2).loss(X, Y), ValueError, r"x: integer ids \(N, T\) or a list .*; reshape"),
    (lambda: classifier(embedding=2).loss(X[..., 0], Y), TypeError, r"x: integer ids are required, got dtype float64"),
    (
        lambda: classifier(embedding=2).loss(IDS + 3, Y),
        ValueError,
        r"x: ids 0..2 \(input_size = 3\) are required, got 3",
    ),
    (lambda: classifier(embedding=2).loss([[0], [-1]], [0, 0]), ValueError, r"x: ids 0..2 .* are required, got -1"),
    # lengths
    (lambda: classifier().loss(X, Y, lengths=[1, 2]), ValueError, r"lengths: shape \(N,\) = \(4,\) is required"),
    (
        lambda: classifier().loss(X, Y, lengths=[1, 2, 3, 6]),
        ValueError,
        r"lengths: values 0..T \(T = 5\) are required, got 6",
    ),
    (lambda: classifier().loss(X, Y, lengths=[1, -2, 3, 6]), ValueError, r"lengths: values 0..T .* got -2"),
    (
        lambda: classifier().loss(X, Y, lengths=[1.0] * 4),
        TypeError,
        r"lengths: integers \(N,\) are required, got dtype float",
    ),
    (
        lambda: classifier().loss(list(X), Y, lengths=[1] * 4),
        ValueError,
        r"lengths: None is required beside a list x",
    ),
    # y
    (
        lambda: classifier().loss(X, [0, 1, 2, 0]),
        ValueError,
        r"y: integer class ids 0..K-1 \(K = output_size = 2\) .* got 2",
    ),
    (lambda: classifier().loss(X, [0, 1, -1, 0]), ValueError, r"y: integer class ids .* got -1"),
    (lambda: classifier().loss(X, [0.0, 1.0, 1.0, 0.0]), ValueError, r"y: integer class ids .* got dtype float64"),
    (lambda: classifier().loss(X, list("abba")), ValueError, r"y: integer class ids .* got dtype <U1"),
    (
        lambda: classifier().loss(X, np.eye(4)),
        ValueError,
        r"y: integer class ids .* of shape \(N,\) is required, got shape",
    ),
    (lambda: classifier().loss(X, Y[:3]), ValueError, r"y: one target per sequence is required \(N = 4\), got 3"),
    (
        lambda: classifier(task="regression").loss(X, Y),
        ValueError,
        r"y: shape \(N, K\) with K = output_size = 2 is required",
    ),
    (lambda: classifier(task="regression").loss(X, [["a", "b"]] * 4), TypeError, r"y: real numbers are required"),
    (
        lambda: classifier(task="multilabel").loss(X, np.full((4, 2), 1.5)),
        ValueError,
        r"y: values in \[0, 1\] .* got 1.5",
    ),
    (lambda: classifier(task="regression").predict_proba(X), ValueError, r"predict_proba: .* got task='regression'"),
    # weights and contexts
    (
        lambda: classifier().loss(X, Y, sample_weight=[1, 2]),
        ValueError,
        r"sample_weight: shape \(N,\) = \(4,\) is required",
    ),
    (lambda: classifier().loss(X, Y, sample_weight=[1, 2, -1, 0]), ValueError, r"sample_weight: finite numbers >= 0"),
    (lambda: classifier().loss(X, Y, context=[1]), TypeError, r"loss: unknown argument 'context'"),
    (lambda: writer().loss(IDS, context=[1]), ValueError, r"context: None is required \(context_size is None\)"),
    (
        lambda: writer(context_size=2).loss(IDS),
        ValueError,
        r"context: shape \(N, context_size\) = \(4, 2\) is required, got None",
    ),
    (lambda: writer(context_size=2).loss(IDS, context=np.ones((4, 3))), ValueError, r"context: .* got \(4, 3\)"),
    # sequences
    (lambda: writer().loss([[0, 1], [2]]), ValueError, r"sequences: at least 2 elements each are required .* got 1"),
    (lambda: writer().loss([0]), ValueError, r"sequences: at least 2 elements each are required .* got 1"),
    (lambda: writer().loss(IDS[0], lengths=[2]), ValueError, r"lengths: None is required where sequences is a single"),
    (lambda: writer().loss(IDS, burn_in=-1), ValueError, r"burn_in: at least 0 is required, got -1"),
    (lambda: writer().evaluate(IDS, tbptt=0), ValueError, r"tbptt: at least 1 is required, got 0"),
    (lambda: rf.OneToMany(3, 2, hidden_size=2).loss([0, 2, 1]), ValueError, r"sequences: integer class ids .* got 2"),
    # fit
    (lambda: classifier().fit(X, Y, epochs=-1), ValueError, r"epochs: at least 0 is required, got -1"),
    (lambda: classifier().fit(X, Y, epochs=1, batch_size=0), ValueError, r"batch_size: at least 1 is required, got 0"),
    (
        lambda: classifier().fit(X, Y, epochs=1, clip_norm=0),
        ValueError,
        r"clip_norm: a number above zero is required",
    ),
    (lambda: classifier().fit(X, Y, epochs=1, optimizer="lbfgs"), ValueError, r"optimizer: one of sgd, .* got 'lbfgs'"),
    (
        lambda: classifier().fit(X, Y, epochs=1, optimizer=3),
        TypeError,
        r"optimizer: a name or an Optimizer is required",
    ),
    (
        lambda: classifier().fit(X, Y, epochs=1, validation_split=1.0),
        ValueError,
        r"validation_split: a number in \[0, 1\)",
    ),
    (lambda: classifier().fit(X[:1], [0], epochs=1, validation_split=0.5), ValueError, r"at least 2 sequences"),
    (
        lambda: classifier().fit(X, Y, epochs=1, validation_data=(X, Y, Y)),
        ValueError,
        r"validation_data: a pair .* got 3",
    ),
    (lambda: classifier(cell_options={"bias": {1}}), TypeError, r"cell_options\['bias'\]: what a model's file can"),
]


@pytest.mark.parametrize(("call", "error", "message"), CASES, ids=range(len(CASES)))
def test_message(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_an_error_in_the_data_changes_nothing() -> None:
    model = classifier()
    before = model.state_dict()
    with pytest.raises(ValueError, match="y:"):
        model.fit(X, [0, 1, 1, 2], epochs=1, progress=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_parameters_have_the_promised_names_and_shapes() -> None:
    model = rf.OneToMany(7, 5, embedding=3, hidden_size=4, num_layers=2, context_size=6)
    shapes = {name: p.shape for name, p in model.parameters().items()}
    assert shapes["embedding.weight"] == (7, 3)
    assert shapes["rnn.weight_ih_l0"] == (16, 3)
    assert shapes["rnn.weight_hh_l1"] == (16, 4)
    assert shapes["head.weight"] == (5, 4)
    assert shapes["head.bias"] == (5,)
    assert shapes["context.weight"] == (2 * 2 * 4, 6)
    assert "summary" not in shapes
    assert "rnn.bias_hh_l1" in model.summary()
    assert f"{sum(int(np.prod(s)) for s in shapes.values()):,} parameters" in model.summary()


def test_only_known_classes_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file names one of them, or a subclass could not be loaded."""
    own = rf.ManyToOne(2, 2, hidden_size=2)
    monkeypatch.setattr(type(own), "known", {"EncoderDecoder": rf.EncoderDecoder})
    with pytest.raises(TypeError, match=r"^model: EncoderDecoder or a subclass of one is required, got ManyToOne"):
        own.save(tmp_path / "m")

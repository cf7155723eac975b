"""The errors of heads, losses and optimiser steps; a refused call changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnfast import _ops

X, W, B = np.ones((4, 3)), np.ones((2, 3)), np.ones(2)
DY, IDS = np.ones((4, 2)), np.array([0, 1, 1, 2])
HALF, WHOLE = np.ones((4, 3), np.float16), np.ones((4, 3), np.int64)


def read_only(shape: tuple[int, ...]) -> np.ndarray:
    array = np.zeros(shape)
    array.flags.writeable = False
    return array


def backward(dy: Any = DY, x: Any = X, weights: Any = W, dW: Any = None, db: Any = None) -> None:
    _ops.linear_backward(dy, x, weights, np.zeros((2, 3)) if dW is None else dW, np.zeros(2) if db is None else db)


def bad_weight(value: float) -> np.ndarray:
    return np.array([1, 1, value, 1])


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "x of one axis": (lambda: _ops.linear(B, W), ValueError, r"x: two axes \(M, K\) are required, got shape \(2,\)"),
    "W of other inputs": (
        lambda: _ops.linear(X, np.ones((2, 5))),
        ValueError,
        r"W: shape \(N, K\) = \(2, 3\) is required, got \(2, 5\)",
    ),
    "b of other outputs": (lambda: _ops.linear(X, W, np.ones(3)), ValueError, r"b: shape \(N,\) = \(2,\) is required"),
    "half precision": (lambda: _ops.linear(HALF, W), TypeError, "x: dtype float32 or float64 is required, got float16"),
    "integers": (lambda: _ops.softmax(WHOLE), TypeError, "x: dtype float32 or float64 is required, got int64"),
    "mixed dtypes": (
        lambda: _ops.linear(X, W.astype(np.float32)),
        TypeError,
        "W: dtype float64 is required, got float32",
    ),
    "dy of other rows": (lambda: backward(dy=DY[:3]), ValueError, r"dy: shape \(M, N\) = \(4, 2\) is required"),
    "dW transposed": (lambda: backward(dW=np.zeros((3, 2))), ValueError, r"dW: shape \(N, K\) = \(2, 3\)"),
    "dW read-only": (lambda: backward(dW=read_only((2, 3))), ValueError, "dW: a writable array is required"),
    "db strided": (lambda: backward(db=np.zeros(4)[::2]), ValueError, "db: a C-contiguous, aligned array is required"),
    "dW of another dtype": (lambda: backward(dW=np.zeros((2, 3), np.float32)), TypeError, "dW: dtype float64"),
    "id too high": (
        lambda: _ops.embedding(IDS, W),
        ValueError,
        r"ids: each within 0..V-1 is required \(V = 2\), got 2 at index 3",
    ),
    "id negative": (lambda: _ops.embedding(IDS - 1, X), ValueError, "got -1 at index 0"),
    "ids of 32 bits": (lambda: _ops.embedding(IDS.astype(np.int32), X), TypeError, "ids: dtype int64 is required"),
    "ids of two axes": (lambda: _ops.embedding(IDS[None], X), ValueError, r"ids: shape \(M,\) = \(4,\) is required"),
    "id too high, backward": (
        lambda: _ops.embedding_backward(IDS, DY, np.zeros((2, 2))),
        ValueError,
        r"\(V = 2\), got 2",
    ),
    "target too high": (
        lambda: _ops.mean_loss("softmax_cross_entropy", X, IDS + 1),
        ValueError,
        r"targets: each within 0..K-1 is required \(K = 3\), got 3 at index 3",
    ),
    "targets one short": (
        lambda: _ops.mean_loss("softmax_cross_entropy", X, IDS[1:]),
        ValueError,
        r"targets: shape \(M,\) = \(4,\)",
    ),
    "no classes": (
        lambda: _ops.mean_loss("softmax_cross_entropy", X[:, :0], IDS * 0),
        ValueError,
        r"\(K = 0\), got 0 at index 0",
    ),
    "target of another shape": (
        lambda: _ops.mean_loss("mean_squared_error", X, X[:, :1]),
        ValueError,
        r"target: shape \(M, K\) = \(4, 3\) is required, got \(4, 1\)",
    ),
    "weight of another length": (
        lambda: _ops.mean_loss("mean_squared_error", X, X, B),
        ValueError,
        r"weight: shape \(M,\) = \(4,\)",
    ),
    "weight negative": (
        lambda: _ops.mean_loss("softmax_cross_entropy", X, IDS, bad_weight(-0.5)),
        ValueError,
        "weight: finite numbers >= 0 are required, got -0.5 at index 2",
    ),
    "weight NaN": (
        lambda: _ops.mean_loss("binary_cross_entropy", X, X, bad_weight(np.nan)),
        ValueError,
        "got nan at index 2",
    ),
    "weight infinite": (
        lambda: _ops.mean_loss("mean_squared_error", X, X, bad_weight(np.inf)),
        ValueError,
        "got inf at index 2",
    ),
    "norm of integers": (lambda: _ops.squared_norm([WHOLE]), TypeError, r"arrays\[0\]: dtype float32 or float64"),
    "norm of mixed dtypes": (lambda: _ops.squared_norm([X, HALF]), TypeError, r"arrays\[1\]: dtype float64"),
    "read-only scaled": (lambda: _ops.scale_([read_only((2,))], 2), ValueError, r"arrays\[0\]: a writable array"),
    "one array twice": (lambda: _ops.scale_([X, X], 2), ValueError, "each in memory of its own is required"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_words(case: str) -> None:
    call, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        call()
    assert (X == 1).all()


STEP_REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a list too short": (
        {"grads": [np.ones(3)]},
        ValueError,
        r"grads: as many arrays as values \(2\) are required, got 1",
    ),
    "a buffer missing": (
        {"exp_avg_sq": []},
        ValueError,
        r"exp_avg_sq: as many arrays as values \(2\) are required, got 0",
    ),
    "a shape": (
        {"grads": [np.ones(3), np.ones(4)]},
        ValueError,
        r"grads\[1\]: shape of values\[1\] = \(2, 2\) is required, got \(4,\)",
    ),
    "a dtype": (
        {"exp_avg": [np.zeros(3), np.zeros((2, 2), np.float32)]},
        TypeError,
        r"exp_avg\[1\]: dtype float64 is required",
    ),
    "read-only values": ({"values": [np.ones(3), read_only((2, 2))]}, ValueError, r"values\[1\]: a writable array"),
    "strided values": ({"values": [np.ones(6)[::2], np.ones((2, 2))]}, ValueError, r"values\[0\]: a C-contiguous"),
    "a step of 32 bits": ({"step": np.zeros(1, np.int32)}, TypeError, "step: dtype int64 is required, got int32"),
    "a step of no axis": ({"step": np.array(0)}, ValueError, r"step: shape \(1,\) = \(1,\) is required"),
    "a negative step": ({"step": np.array([-1])}, ValueError, "step: at least 0 is required, got -1"),
    "a negative rate": ({"lr": -1e-9}, ValueError, "lr: a finite number >= 0 is required, got -1e-09"),
    "a rate that is no number": ({"lr": np.nan}, ValueError, "lr: a finite number >= 0 is required, got nan"),
    "a beta of one": ({"beta2": 1.0}, ValueError, r"beta2: a number in \[0, 1\) is required, got 1.0"),
}


@pytest.mark.parametrize("case", STEP_REFUSED)
def test_a_refused_step_changes_nothing(case: str) -> None:
    change, error, words = STEP_REFUSED[case]
    arguments: dict[str, Any] = {
        "values": [np.ones(3), np.ones((2, 2))],
        "grads": [np.ones(3), np.ones((2, 2))],
        "exp_avg": [np.zeros(3), np.zeros((2, 2))],
        "exp_avg_sq": [np.zeros(3), np.zeros((2, 2))],
        "step": np.zeros(1, np.int64),
        "lr": 0.1,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "decoupled": False,
    } | change
    rule = _ops.OPTIMIZERS["adam"]
    call = {name: arguments[name] for name in ("values", "grads", "step")}
    call["buffers"] = [arguments[name] for name in rule.buffers]
    call["options"] = {name: arguments[name] for name in rule.options}
    written = ("values", *rule.buffers)
    before = [a.copy() for name in written for a in arguments[name]] + [arguments["step"].copy()]
    with pytest.raises(error, match=words):
        _ops.update("adam", **call)
    after = [a for name in written for a in arguments[name]] + [arguments["step"]]
    for a, b in zip(after, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_refused_gradient_leaves_the_sums_alone() -> None:
    dE = np.zeros((2, 2))
    with pytest.raises(ValueError, match="ids"):
        _ops.embedding_backward(np.array([0, 1, 1, 2]), DY, dE)
    assert not dE.any()
    dW, db = np.zeros((2, 3)), np.zeros(3)
    with pytest.raises(ValueError, match="db"):
        _ops.linear_backward(DY, X, W, dW, db)
    assert not dW.any()

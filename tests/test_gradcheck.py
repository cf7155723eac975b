"""The check of gradients finds what is wrong, names it, and leaves everything as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

X = np.random.default_rng(0).normal(size=(3, 5, 2))


def loss_of(layer: Any, spoil: Callable[[dict[str, Any]], None] = lambda named: None) -> Callable[[], float]:
    """Half the squared output of a layer; ``spoil`` changes its gradients afterwards."""

    def loss() -> float:
        y, _, tape = layer.forward(X)
        layer.backward(tape, y)
        spoil(layer.parameters())
        return float((y**2).sum() / 2)

    return loss


@pytest.mark.parametrize("make", [rf.RNN, rf.LSTM, rf.GRU])
def test_right_gradients_pass(make: Any) -> None:
    layer = make(2, 4, num_layers=2, dtype="float64", seed=0)
    report = rf.check_gradient(loss_of(layer), layer.parameters(), samples=4)
    assert report.error < 1e-7
    assert report.compared == 4 * 8
    assert report.name in layer.parameters()
    assert report.gradient == layer.parameters()[report.name].grad[report.index]
    assert report.gradient == pytest.approx(report.difference, rel=1e-5)


@pytest.mark.parametrize("wrong", [1e-4, -0.3, np.nan, np.inf])
def test_a_wrong_gradient_is_named_with_its_place_and_both_numbers(wrong: float) -> None:
    layer = rf.GRU(2, 4, dtype="float64", seed=0)

    def spoil(named: dict[str, Any]) -> None:
        named["weight_hh_l0"].grad[7, 2] += wrong

    expected = r"^weight_hh_l0\[7, 2\]: the gradient by central differences = \S+ is required, got \S+ \(relative error"
    with pytest.raises(AssertionError, match=expected):
        rf.check_gradient(loss_of(layer, spoil), layer.parameters(), samples=None)


def test_a_missing_gradient_is_found() -> None:
    layer = rf.RNN(2, 4, dtype="float64", seed=0)
    with pytest.raises(AssertionError, match=r"^bias_ih_l0\[\d\]: .* got 0 \(relative error 1\)"):
        rf.check_gradient(loss_of(layer, lambda named: named["bias_ih_l0"].grad.fill(0)), layer.parameters())


def test_values_are_put_back_and_gradients_are_those_of_one_call() -> None:
    layer = rf.GRU(2, 4, dtype="float64", seed=0)
    before = layer.state_dict()
    rf.check_gradient(loss_of(layer), layer.parameters())
    found = {name: p.grad.copy() for name, p in layer.parameters().items()}
    layer.zero_grad()
    loss_of(layer)()
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(p.value, before[name])
        np.testing.assert_array_equal(p.grad, found[name])


def test_values_are_put_back_after_an_error() -> None:
    p = rf.Parameter(np.array([1.0, 2.0]))

    def loss() -> float:
        if p.value[0] != 1:
            raise KeyError("no such value")
        return 0.0

    with pytest.raises(KeyError):
        rf.check_gradient(loss, [p])
    np.testing.assert_array_equal(p.value, [1, 2])


def test_elements_that_bounds_hold_are_left_out() -> None:
    p = rf.Parameter(np.array([1.0, 2.0, 3.0]))
    p.constrain(mask=np.array([False, True, True]), limit=3.0)

    def loss() -> float:
        p.grad += [7, 4, 7]  # only the second is the derivative, 2 v
        return float((p.value**2).sum())

    report = rf.check_gradient(loss, {"p": p})
    assert (report.name, report.index, report.compared) == ("p", (1,), 1)
    p.constrain(mask=np.zeros(3, bool))
    with pytest.raises(ValueError, match=r"^params: at least one element that can move both ways is required"):
        rf.check_gradient(loss, {"p": p})


def test_samples_are_drawn_from_the_seed() -> None:
    p, seen = rf.Parameter(np.zeros(100)), set()

    def loss() -> float:
        seen.update(np.flatnonzero(p.value).tolist())
        return 0.0

    assert rf.check_gradient(loss, [p], samples=7).compared == 7
    first, seen = seen, set()
    rf.check_gradient(loss, [p], samples=7, seed=1)
    assert len(first) == len(seen) == 7
    assert first != seen
    assert rf.check_gradient(loss, [p], samples=None).compared == 100


def test_what_cannot_be_checked_is_refused() -> None:
    p, calls = rf.Parameter(np.zeros(2)), [0]

    def random() -> float:
        calls[0] += 1
        return float(calls[0])

    refused: list[tuple[Any, Any, type[Exception], str]] = [
        (random, [p], ValueError, r"^f: the same loss from every call is required, got 1 and 2"),
        (lambda: None, [p], TypeError, r"^f: a function that returns a finite number is required, got None"),
        (lambda: np.nan, [p], ValueError, r"^f: a function that returns a finite number is required, got nan"),
        (lambda: 0.0, [rf.Parameter(np.zeros(2, "f"))], TypeError, r"^params\['0'\]: dtype float64 is required"),
        (lambda: 0.0, [], ValueError, r"^params: at least one element"),
    ]
    for f, params, error, message in refused:
        with pytest.raises(error, match=message):
            rf.check_gradient(f, params)


def test_zero_gradients_agree() -> None:
    """Of a loss that does not depend on a parameter; there is no scale to divide by."""
    assert rf.check_gradient(lambda: 0.0, [rf.Parameter(np.ones(3))]).error == 0

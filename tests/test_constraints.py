"""Bounds of parameters: held through every write, whatever the optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.params import Parameter


def test_every_write_is_bounded(dtype: str) -> None:
    p = Parameter(np.arange(-3, 3, dtype=dtype).reshape(2, 3))
    version = p.version
    p.constrain(mask=[True, True, False], sign=[[0], [1]], limit=2)
    assert p.version > version
    np.testing.assert_array_equal(p.value, [[-2, -2, 0], [0, 1, 0]])
    p.assign(np.full((2, 3), -9))
    np.testing.assert_array_equal(p.value, [[-2, -2, 0], [0, 0, 0]])
    p[1] = 5
    np.testing.assert_array_equal(p.value, [[-2, -2, 0], [2, 2, 0]])
    assert p.value.dtype == dtype
    p.constrain()
    p.assign(np.full((2, 3), -9))
    assert (p.value == -9).all()


@pytest.mark.parametrize("make", [rf.SGD, rf.RMSprop, rf.Adam, rf.AdamW])
def test_no_step_leaves_them(make: Any, rng: np.random.Generator) -> None:
    """Excitatory and inhibitory units, a fixed connectivity, and a recurrence without self-connections."""
    layer = rf.RNN(3, 8, activation="relu", leak=0.2, seed=0)
    R = layer.parameters()["weight_hh_l0"]
    mask, sign = ~np.eye(8, dtype=bool), np.where(np.arange(8) < 6, 1, -1)
    R.constrain(mask=mask, sign=sign)
    optimizer = make(layer.parameters(), lr=0.05)
    x = rng.normal(size=(5, 7, 3)).astype(np.float32)
    start = R.value.copy()
    for _ in range(5):
        y, _, tape = layer.forward(x)
        layer.zero_grad()
        layer.backward(tape, y - 1)
        optimizer.step()
        assert (R.value * sign >= 0).all()
        assert (R.value[~mask] == 0).all()
    assert (R.value != start).sum() > 20
    twin = rf.RNN(3, 8, activation="relu", leak=0.2)
    twin.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(twin(x)[0], layer(x)[0])


def test_held_elements_have_no_gradient() -> None:
    """They count neither in the norm for clipping nor in an optimiser's buffers."""
    free, held = Parameter(np.ones(3)), Parameter(np.ones(4))
    held.constrain(mask=[True, True, True, False])
    for p in (free, held):
        p.grad[:3] = [3.0, 4.0, 12.0]
    held.grad[3] = 100.0
    assert rf.clip_grad_norm([held], 1.0) == rf.clip_grad_norm([free], 1.0)
    np.testing.assert_array_equal(held.grad[:3], free.grad)
    held.grad[3] = 100.0
    for p in (free, held):
        rf.Adam([p], lr=0.1).step()
    np.testing.assert_array_equal(held.value, [*free.value, 0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mask": np.ones((3, 2), bool)}, r"mask: a shape that broadcasts to \(2, 3\) is required, got \(3, 2\)"),
        ({"mask": np.ones((2, 3))}, "mask: dtype bool is required, got float64"),
        ({"sign": [1, 2, 0]}, "sign: -1, 0 or 1"),
        ({"sign": 2**63}, "sign: -1, 0 or 1"),
        ({"sign": np.ones(4)}, "sign: a shape that broadcasts"),
        ({"limit": -1.0}, "limit: a number of at least 0 is required, got -1.0"),
    ],
)
def test_wrong_bounds_are_named(options: dict[str, Any], words: str) -> None:
    p = Parameter(np.ones((2, 3)))
    with pytest.raises(ValueError, match=words):
        p.constrain(**options)
    p.assign(np.full((2, 3), 7))
    assert (p.value == 7).all()

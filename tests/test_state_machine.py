"""Layers under any order of writes, copies, pickles, calls, training, streams and threads, beside a model in NumPy."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import rnnfast as rf
from rnnfast import reference
from tests.support.matrix import LAYERS

LR, MOMENTUM = 0.1, 0.9
WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}
X = np.random.default_rng(0).normal(size=(3, 4, 2))
numbers = st.integers(-8, 8).map(lambda n: n / 16)


@dataclass
class Tracked:
    """A layer with its optimiser and streams, and what NumPy says they hold."""

    layer: Any
    optimizer: Any
    values: dict[str, np.ndarray]
    momentum: dict[str, np.ndarray]
    steps: int = 0
    streams: list[tuple[Any, dict[str, np.ndarray], int]] = field(default_factory=list)


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11)


class LayersAsNumpySeesThem(RuleBasedStateMachine):
    """Everything in float64; the reference computes in another order, hence the tolerance."""

    @initialize(kind=st.sampled_from(sorted(LAYERS)), layers=st.integers(1, 2))
    def begin(self, kind: str, layers: int) -> None:
        self.kind = kind
        layer = LAYERS[kind](2, 3, num_layers=layers, dtype="float64", seed=0)
        values = layer.state_dict()
        optimizer = rf.SGD(layer.parameters(), lr=LR, momentum=MOMENTUM)
        self.tracked = [Tracked(layer, optimizer, values, {name: np.zeros_like(v) for name, v in values.items()})]

    def expected(self, values: dict[str, np.ndarray], x: np.ndarray = X) -> np.ndarray:
        y: np.ndarray = reference.forward(self.kind, values, x)[0]
        return y

    @rule(data=st.data(), value=numbers, part=st.booleans())
    def write(self, data: Any, value: float, part: bool) -> None:
        one = data.draw(st.sampled_from(self.tracked))
        name = data.draw(st.sampled_from(sorted(one.values)))
        if part:
            one.layer.parameters()[name][0] = value
            one.values[name][0] = value
        else:
            new = one.values[name] * 0.5 + value
            one.layer.parameters()[name].assign(new)
            one.values[name] = new.copy()

    @rule(data=st.data(), scale=numbers)
    def load(self, data: Any, scale: float) -> None:
        one = data.draw(st.sampled_from(self.tracked))
        state = {name: v * scale for name, v in one.values.items()}
        one.layer.load_state_dict(state)
        one.values = {name: v.copy() for name, v in state.items()}

    @rule(data=st.data(), way=st.sampled_from(sorted(WAYS)))
    def copy_both(self, data: Any, way: str) -> None:
        one = data.draw(st.sampled_from(self.tracked))
        pair = (one.layer, one.optimizer)
        layer, optimizer = WAYS[way](pair) if way != "copy" else copy.deepcopy(pair)
        self.tracked.append(Tracked(layer, optimizer, *copy.deepcopy((one.values, one.momentum)), one.steps))
        self.tracked = self.tracked[-4:]

    @rule(data=st.data(), way=st.sampled_from(sorted(WAYS)))
    def copy_apart(self, data: Any, way: str) -> None:
        """The optimiser comes unbound and is bound to the copied layer."""
        one = data.draw(st.sampled_from(self.tracked))
        layer, optimizer = WAYS[way](one.layer), WAYS[way](one.optimizer)
        assert optimizer.params is None
        optimizer.bind(layer.parameters())
        self.tracked.append(Tracked(layer, optimizer, *copy.deepcopy((one.values, one.momentum)), one.steps))
        self.tracked = self.tracked[-4:]

    @rule(data=st.data())
    def train(self, data: Any) -> None:
        one = data.draw(st.sampled_from(self.tracked))
        y, _, tape = one.layer.forward(X)
        one.layer.zero_grad()
        one.layer.backward(tape, y)
        with pytest.raises(RuntimeError, match="tape: a new one is required"):
            one.layer.backward(tape, y)
        wanted, _, reference_tape = reference.forward(self.kind, one.values, X)
        gradients = reference.backward(reference_tape, wanted)[2]
        one.optimizer.step()
        one.steps += 1
        for name, g in gradients.items():
            close(one.layer.parameters()[name].grad, g)
            b = one.momentum[name]
            b[...] = g if one.steps == 1 else MOMENTUM * b + g
            one.values[name] = one.values[name] - LR * b

    @rule(data=st.data())
    def stale_tape(self, data: Any) -> None:
        """A write between forward and backward is noticed."""
        one = data.draw(st.sampled_from(self.tracked))
        y, _, tape = one.layer.forward(X)
        name = data.draw(st.sampled_from(sorted(one.values)))
        one.layer.parameters()[name].assign(one.values[name])
        with pytest.raises(RuntimeError, match="tape: unchanged parameters are required"):
            one.layer.backward(tape, y)

    @rule(data=st.data())
    def stream(self, data: Any) -> None:
        """A stream keeps the weights of the moment it was made."""
        one = data.draw(st.sampled_from(self.tracked))
        one.streams = [*one.streams[-1:], (one.layer.stream(len(X)), copy.deepcopy(one.values), 0)]

    @rule(data=st.data())
    def step(self, data: Any) -> None:
        one = data.draw(st.sampled_from(self.tracked))
        for index, (stream, values, t) in enumerate(one.streams):
            close(stream.step(X[:, t]), self.expected(values, X[:, : t + 1])[:, t])
            one.streams[index] = (stream, values, (t + 1) % X.shape[1])
            if t + 1 == X.shape[1]:
                stream.reset()

    @rule(data=st.data(), value=numbers)
    def write_beside_calls(self, data: Any, value: float) -> None:
        """Calls of other threads may see old or new weights, or some of each; the next call sees the new ones."""
        one = data.draw(st.sampled_from(self.tracked))
        readers = [threading.Thread(target=one.layer, args=(X,)) for _ in range(2)]
        new = {name: v * 0.9 + value for name, v in one.values.items()}
        readers[0].start()
        one.layer.load_state_dict(new)
        readers[1].start()
        for reader in readers:
            reader.join()
        one.values = new

    @invariant()
    def holds(self) -> None:
        for one in getattr(self, "tracked", []):
            for name, p in one.layer.parameters().items():
                close(p.value, one.values[name])
            close(one.layer(X)[0], self.expected(one.values))


LayersAsNumpySeesThem.TestCase.settings = settings(
    parent=settings.get_profile("rnnfast"), max_examples=30, stateful_step_count=20
)
test_layers_as_numpy_sees_them = LayersAsNumpySeesThem.TestCase

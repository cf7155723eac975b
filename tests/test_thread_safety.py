"""Several Python threads use one layer or model at once, and each gets the bits it would get alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

THREADS, ROUNDS = 4, 6
MAKES: dict[str, Callable[[], Any]] = {
    "rnn": lambda: rf.RNN(5, 16, num_layers=2, seed=0),
    "lstm": lambda: rf.LSTM(5, 24, bidirectional=True, seed=0),
    "lstm with options": lambda: rf.LSTM(5, 16, proj_size=4, activations=("sigmoid", "tanh", "relu"), seed=0),
    "normed": lambda: rf.LSTM(5, 16, layer_norm=True, seed=0),
    "gru": lambda: rf.GRU(5, 160, seed=0),
    "gru before": lambda: rf.GRU(5, 16, num_layers=3, reset_after=False, seed=0),
}


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run all calls at the same time, each in a thread of its own; an error of one is the caller's."""
    results: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(i: int) -> None:
        start.wait()
        try:
            results[i] = calls[i]()
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def inputs(k: int) -> np.ndarray:
    return np.random.default_rng(k).normal(size=(3, 9, 5)).astype(np.float32)


@pytest.mark.parametrize("kind", MAKES)
def test_one_layer_for_inference(kind: str, threads: int) -> None:
    """This holds for the first calls, too, which pack the weights."""
    alone = [MAKES[kind]()(inputs(k))[0] for k in range(THREADS)]
    for _ in range(ROUNDS):
        layer = MAKES[kind]()
        for k, y in enumerate(at_once(*[lambda k=k, layer=layer: layer(inputs(k))[0] for k in range(THREADS)])):
            np.testing.assert_array_equal(y, alone[k])


@pytest.mark.parametrize("kind", MAKES)
def test_layers_of_their_own(kind: str, threads: int) -> None:
    def train(k: int) -> list[np.ndarray]:
        layer = MAKES[kind]()
        optimizer = rf.Adam(layer.parameters(), lr=0.01)
        for _ in range(ROUNDS):
            y, _, tape = layer.forward(inputs(k))
            layer.backward(tape, y)
            optimizer.step()
            optimizer.zero_grad()
        return list(layer.state_dict().values())

    alone = [train(k) for k in range(THREADS)]
    for found, expected in zip(at_once(*[lambda k=k: train(k) for k in range(THREADS)]), alone, strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [kind for kind in MAKES if kind != "lstm"])
def test_streams_of_one_layer(kind: str) -> None:
    layer = MAKES[kind]()
    alone = [layer(inputs(k))[0] for k in range(THREADS)]

    def follow(k: int) -> np.ndarray:
        stream = layer.stream(3)
        return np.stack([stream.step(x) for x in inputs(k).transpose(1, 0, 2)], axis=1)

    for found, expected in zip(at_once(*[lambda k=k: follow(k) for k in range(THREADS)]), alone, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_one_model(threads: int) -> None:
    writer = rf.OneToMany(7, hidden_size=24, embedding=6, seed=0)
    tagger = rf.ManyToMany(5, 3, hidden_size=12, bidirectional=True, seed=0)
    calls: list[Callable[[], Any]] = [
        lambda: writer.generate([1, 2], 30, num_sequences=3, seed=1),
        lambda: writer.generate([3], 20, beams=3),
        lambda: tagger.predict_proba(inputs(0)),
        lambda: tagger.predict(inputs(1)),
    ]
    alone = [call() for call in calls]
    for _ in range(ROUNDS):
        for found, expected in zip(at_once(*calls), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_number_of_threads_beside_calls() -> None:
    layer = rf.GRU(5, 160, seed=0)
    expected = layer(inputs(0))[0]
    before = rf.get_num_threads()

    def change() -> None:
        for k in range(20 * ROUNDS):
            rf.set_num_threads(1 + k % 4)

    try:
        found = at_once(change, *[lambda: [layer(inputs(0))[0] for _ in range(ROUNDS)]] * 3)
    finally:
        rf.set_num_threads(before)
    for results in found[1:]:
        for y in results:
            np.testing.assert_array_equal(y, expected)

"""Truncated back-propagation: the state passes on from piece to piece, the gradient does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

LENGTHS = np.array([23, 7, 1, 15])
LR = 0.5


def problem(rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    x = [rng.normal(size=(length, 3)) for length in LENGTHS]
    return x, [rng.normal(size=(length, 2)) for length in LENGTHS]


def model_of(kind: Any, **options: Any) -> Any:
    return kind(3, 2, task="regression", hidden_size=5, num_layers=2, dtype="float64", seed=0, **options)


def fitted(model: Any, x: Any, y: Any, **options: Any) -> dict[str, np.ndarray]:
    model.fit(x, y, epochs=1, optimizer=rf.SGD(lr=LR), shuffle=False, progress=False, **options)
    found: dict[str, np.ndarray] = model.state_dict()
    return found


class ByHand:
    """The model's layer and head, stepped by hand."""

    def __init__(self, model: Any) -> None:
        state = model.state_dict()
        kind = {"lstm": rf.LSTM, "gru": rf.GRU}[model.config["cell"]]
        self.layer = kind(3, 5, num_layers=2, dtype="float64")
        self.layer.load_state_dict({k.removeprefix("rnn."): v for k, v in state.items() if k.startswith("rnn.")})
        self.weight, self.bias = state["head.weight"].copy(), state["head.bias"].copy()

    def step(self, dy: Any, tape: Any, h: Any, error: Any, dstate: Any = None) -> None:
        """A step of SGD, given the error (M, 2) of the outputs read from h (M, 5)."""
        self.layer.backward(tape, dy, dstate)
        for p in self.layer.parameters().values():
            p[...] = p.value - LR * p.grad
        self.layer.zero_grad()
        self.weight = self.weight - LR * error.T @ h
        self.bias = self.bias - LR * error.sum(axis=0)

    def compare(self, actual: dict[str, np.ndarray]) -> None:
        own = {f"rnn.{name}": p.value for name, p in self.layer.parameters().items()}
        for name, value in {**own, "head.weight": self.weight, "head.bias": self.bias}.items():
            np.testing.assert_allclose(actual[name], value, rtol=1e-11, atol=1e-13, err_msg=name)


def padded(items: list[np.ndarray], start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps start..stop of every sequence, and how many of them exist."""
    counts = np.clip([len(item) - start for item in items], 0, stop - start)
    out = np.zeros((len(items), counts.max(), items[0].shape[1]))
    for n, item in enumerate(items):
        out[n, : counts[n]] = item[start : start + counts[n]]
    return out, counts


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("tbptt", "burn_in"), [(6, 0), (6, 8), (23, 0), (100, 3)])
def test_every_piece_is_a_step(cell: str, tbptt: int, burn_in: int, rng: np.random.Generator) -> None:
    """By hand: forward from the state before, the loss of this piece's targets, a step."""
    x, y = problem(rng)
    model = model_of(rf.ManyToMany, cell=cell)
    by_hand, state = ByHand(model), None
    actual = fitted(model, x, y, batch_size=4, tbptt=tbptt, burn_in=burn_in)
    for start in range(0, max(LENGTHS), tbptt):
        piece, counts = padded(x, start, start + tbptt)
        targets, _ = padded(y, start, start + tbptt)
        h, state, tape = by_hand.layer.forward(piece, state, lengths=counts)
        steps = np.arange(piece.shape[1])
        counted = (steps < counts[:, None]) & (start + steps >= burn_in)
        if not counted.any():
            continue
        error = 2 * (h @ by_hand.weight.T + by_hand.bias - targets)[counted] / (2 * counted.sum())
        dy = np.zeros_like(h)
        dy[counted] = error @ by_hand.weight
        by_hand.step(dy, tape, h[counted], error)
    by_hand.compare(actual)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("tbptt", [1, 6, 15, 100])
def test_one_output_has_a_gradient_over_the_last_steps(cell: str, tbptt: int, rng: np.random.Generator) -> None:
    """By hand: the state ahead of each sequence's last steps is a constant."""
    x, _ = problem(rng)
    y = rng.normal(size=(4, 2))
    model = model_of(rf.ManyToOne, cell=cell)
    by_hand = ByHand(model)
    actual = fitted(model, x, y, batch_size=4, tbptt=tbptt)
    lead = [np.maximum(0, length - tbptt) for length in LENGTHS]
    first, counts = padded([item[:n] for item, n in zip(x, lead, strict=True)], 0, 100)
    _, state = by_hand.layer(first, lengths=counts)
    last, counts = padded([item[n:] for item, n in zip(x, lead, strict=True)], 0, 100)
    _, final, tape = by_hand.layer.forward(last, state, lengths=counts)
    h = final[0][-1] if cell == "lstm" else final[-1]
    error = 2 * (h @ by_hand.weight.T + by_hand.bias - y) / (2 * 4)
    dh = np.zeros((2, 4, 5))
    dh[-1] = error @ by_hand.weight
    by_hand.step(None, tape, h, error, (dh, None) if cell == "lstm" else dh)
    by_hand.compare(actual)


def test_pieces_of_a_model_at_rest_are_whole_sequences(rng: np.random.Generator) -> None:
    """Without learning, losses and metrics of all pieces add up to those of the sequences."""
    x, y = problem(rng)
    one = rng.normal(size=(4, 2))
    for model, targets in ((model_of(rf.ManyToMany), y), (model_of(rf.ManyToOne), one)):
        whole = model.evaluate(x, targets)
        for tbptt in (1, 4, 50):
            still = rf.SGD(lr=0.0)
            history = model.fit(
                x,
                targets,
                epochs=1,
                batch_size=3,
                optimizer=still,
                tbptt=tbptt,
                progress=False,
                seed=1,
                validation_data=(x, targets),
            ).history
            assert history["loss"][0] == pytest.approx(whole["loss"], rel=1e-12)
            assert history["val_mae"][0] == pytest.approx(whole["mae"], rel=1e-12)
            assert model.evaluate(x, targets, tbptt=tbptt)["loss"] == pytest.approx(whole["loss"], rel=1e-12)


def test_resets_and_weights_go_along(rng: np.random.Generator) -> None:
    x, y = problem(rng)
    resets = [rng.random(length) < 0.3 for length in LENGTHS]
    weights = [rng.random(length) for length in LENGTHS]
    model = model_of(rf.ManyToMany)
    expected = model.loss(x, y, resets=resets, sample_weight=weights)
    found = model.fit(
        x, y, epochs=1, resets=resets, sample_weight=weights, tbptt=5, optimizer=rf.SGD(lr=0.0), progress=False
    )
    assert found.history["loss"][0] == pytest.approx(expected, rel=1e-12)


def test_what_burn_in_leaves_out(rng: np.random.Generator) -> None:
    x, y = problem(rng)
    other = [np.where(np.arange(len(item))[:, None] < 4, 100, item) for item in y]
    results = [fitted(model_of(rf.ManyToMany), x, targets, tbptt=3, burn_in=4) for targets in (y, other)]
    for name, value in results[0].items():
        np.testing.assert_array_equal(results[1][name], value, err_msg=name)


def test_a_dependence_longer_than_the_pieces_is_not_learned_and_a_shorter_one_is(rng: np.random.Generator) -> None:
    """The target is the input of `lag` steps ago, so that the gradient must reach back through the state."""
    bits = rng.integers(0, 2, size=(16, 240))
    losses = {}
    for lag, tbptt in ((2, 1), (2, 12)):
        y = np.concatenate([np.zeros((16, lag), int), bits[:, :-lag]], axis=1)
        model = rf.ManyToMany(2, 2, embedding=4, hidden_size=12, cell="gru", seed=0)
        history = model.fit(bits, y, epochs=12, batch_size=16, tbptt=tbptt, lr=0.03, progress=False, seed=0).history
        losses[tbptt] = history["loss"][-1]
    assert losses[12] < 0.05
    assert losses[1] > 0.2


CASES: list[tuple[dict[str, Any], str]] = [
    ({"tbptt": 0}, r"tbptt: at least 1 is required, got 0"),
    ({"burn_in": -1}, r"burn_in: at least 0 is required, got -1"),
]


@pytest.mark.parametrize(("options", "message"), CASES)
def test_messages(options: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    x, y = problem(rng)
    with pytest.raises(ValueError, match=message):
        model_of(rf.ManyToMany).fit(x, y, epochs=1, **options)


def test_refusals(rng: np.random.Generator) -> None:
    x, y = problem(rng)
    with pytest.raises(ValueError, match=r"tbptt: None is required for a bidirectional model"):
        model_of(rf.ManyToMany, bidirectional=True).fit(x, y, epochs=1, tbptt=4)
    with pytest.raises(TypeError, match=r"fit: unknown argument 'burn_in'"):
        model_of(rf.ManyToOne).fit(x, np.zeros((4, 2)), epochs=1, burn_in=3)
    translator: Any = rf.EncoderDecoder(3, 5, hidden_size=4)
    with pytest.raises(TypeError, match=r"fit: unknown argument 'tbptt'"):
        translator.fit(x, [[1], [2], [3], [4]], epochs=1, tbptt=4)
    with pytest.raises(TypeError, match=r"tbptt: an integer is required, got 4.0"):
        model_of(rf.ManyToOne).fit(x, np.zeros((4, 2)), epochs=1, tbptt=4.0)
    for model, targets in ((model_of(rf.ManyToMany), y), (model_of(rf.ManyToOne), np.zeros((4, 2)))):
        for call in (model.loss, model.loss_and_grad):
            with pytest.raises(TypeError, match=r"^loss.*: unknown argument 'tbptt'"):
                call(x, targets, tbptt=4)


LONG = """
import re, sys
import numpy as np
import rnnfast as rf
steps, kind = int(sys.argv[1]), sys.argv[2]
rf.set_num_threads(1)
x = np.random.default_rng(0).standard_normal((1, steps, 1), np.float32)
model = getattr(rf, kind)(1, 2, hidden_size=64, seed=0)
y = (x[..., 0] > 0).astype(np.int8) if kind == "ManyToMany" else [1]
loss = model.fit(x, y, epochs=1, batch_size=1, tbptt=500, progress=False).history["loss"][0]
assert 0 < loss < 0.7, loss
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


def megabytes(steps: int, kind: str) -> float:
    """Peak of memory of a process that trains on one sequence of ``steps`` steps."""
    done = subprocess.run(
        [sys.executable, "-c", LONG, str(steps), kind], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(re.findall(r"\d+", done.stdout)[-1]) / 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory's peak from /proc")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer keeps memory of its own")
@pytest.mark.parametrize("kind", ["ManyToMany", "ManyToOne"])
@pytest.mark.parametrize(("steps", "most"), [(100_000, 100), pytest.param(1_000_000, 200, marks=pytest.mark.slow)])
def test_long_sequences_in_little_memory(steps: int, most: int, kind: str) -> None:
    """y and the tape would be 150 MB and 1.5 GB; x and its targets are 1.2 and 12 MB."""
    assert megabytes(steps, kind) < most

"""The same model in PyTorch, trained side by side: the losses must agree all the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.support.torch_models import (  # noqa: E402
    OPTIMIZERS,
    TORCH_LAYERS,
    TorchModel,
    assert_same_parameters,
    optimizer_of,
    padded,
    torch_losses,
)

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_torch_thread")]


def our_losses(model: Any, batches: list[tuple[Any, ...]], name: str, clip: float | None, steps: int) -> list[float]:
    """Fit one batch at a time with one optimiser."""
    optimizer, losses = optimizer_of(name), []
    for step in range(steps):
        *args, options = batches[step % len(batches)]
        history = model.fit(
            *args, epochs=1, batch_size=1000, optimizer=optimizer, clip_norm=clip, progress=False, **options
        )
        losses += history.history["loss"]
    return losses


def compare(
    model: Any,
    peer: TorchModel,
    loss: Any,
    ours: list[Any],
    theirs: list[Any],
    name: str,
    clip: float | None,
    steps: int,
) -> None:
    """Train both; at fifty steps the losses agree to 1e-8, at two hundred to 1e-6."""
    expected = torch_losses(peer, loss, theirs, name, steps, clip)
    found = our_losses(model, ours, name, clip, steps)
    assert len(found) == len(expected) == steps
    np.testing.assert_allclose(found[:50], expected[:50], rtol=1e-8)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert expected[-1] < expected[0]
    assert_same_parameters(model, peer)


def compare_many_to_one(cell: str, embedding: int | None, name: str, steps: int, **options: Any) -> None:
    rng = np.random.default_rng(0)
    model = rf.ManyToOne(
        7, 3, cell=cell, hidden_size=9, num_layers=2, embedding=embedding, dtype="float64", seed=1, **options
    )
    batches = []
    for _ in range(2):
        lengths = rng.integers(1, 12, 10)
        x = [rng.integers(0, 7, n) if embedding else rng.normal(size=(n, 7)) for n in lengths]
        batches.append((x, rng.integers(0, 3, 10), lengths))

    def loss(peer: TorchModel, x: Any, y: Any, lengths: np.ndarray) -> Any:
        return torch.nn.functional.cross_entropy(peer.head(peer(padded(x), lengths)[1]), torch.tensor(y))

    ours: list[tuple[Any, ...]] = [(x, y, {}) for x, y, _ in batches]
    compare(model, TorchModel(model, embedding or 7), loss, ours, batches, name, 1.0, steps)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("cell", TORCH_LAYERS)
@pytest.mark.parametrize("embedding", [None, 6])
def test_many_to_one_learns_as_in_pytorch(cell: str, embedding: int | None, name: str) -> None:
    compare_many_to_one(cell, embedding, name, 50)


@pytest.mark.parametrize("cell", TORCH_LAYERS)
def test_many_to_one_learns_both_ways_as_in_pytorch(cell: str) -> None:
    compare_many_to_one(cell, 6, "adam", 50, bidirectional=True)


@pytest.mark.parametrize("cell", TORCH_LAYERS)
def test_many_to_one_learns_as_in_pytorch_for_two_hundred_steps(cell: str) -> None:
    compare_many_to_one(cell, 6, "adam", 200)


def compare_one_to_many(cell: str, kind: str, name: str, steps: int) -> None:
    rng = np.random.default_rng(2)
    lengths = rng.integers(2, 12, 8)
    context = rng.normal(size=(8, 3))
    if kind == "ids":
        model = rf.OneToMany(7, cell=cell, hidden_size=9, embedding=5, context_size=3, dtype="float64", seed=3)
        sequences = [rng.integers(0, 7, n) for n in lengths]
    else:
        model = rf.OneToMany(2, cell=cell, hidden_size=9, task="regression", context_size=3, dtype="float64", seed=3)
        sequences = [np.sin(rng.normal() + np.arange(n)[:, None] * [0.5, 0.9]) for n in lengths]

    def loss(peer: TorchModel, sequences: Any, context: Any) -> Any:
        outputs, _ = peer(padded([s[:-1] for s in sequences]), lengths - 1, torch.tensor(context))
        outputs = torch.cat([outputs[n, : lengths[n] - 1] for n in range(8)])
        targets = torch.cat([torch.tensor(s[1:]) for s in sequences])
        f = torch.nn.functional
        return f.cross_entropy(outputs, targets) if kind == "ids" else f.mse_loss(outputs, targets)

    ours = [(sequences, {"context": context})]
    compare(model, TorchModel(model, 5 if kind == "ids" else 2), loss, ours, [(sequences, context)], name, None, steps)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("cell", TORCH_LAYERS)
@pytest.mark.parametrize("kind", ["ids", "reals"])
def test_one_to_many_learns_as_in_pytorch(cell: str, kind: str, name: str) -> None:
    compare_one_to_many(cell, kind, name, 50)


@pytest.mark.parametrize("cell", TORCH_LAYERS)
@pytest.mark.parametrize("kind", ["ids", "reals"])
def test_one_to_many_learns_as_in_pytorch_for_two_hundred_steps(cell: str, kind: str) -> None:
    compare_one_to_many(cell, kind, "adam", 200)


def test_carried_states_are_those_of_a_detached_state() -> None:
    """Truncated back-propagation in streams: a step a piece, the state detached between pieces."""
    model = rf.OneToMany(6, cell="lstm", hidden_size=8, embedding=4, dtype="float64", seed=5)
    peer = TorchModel(model, 4)
    text = np.random.default_rng(6).integers(0, 6, 41)
    optimizer = torch.optim.SGD(peer.parameters(), lr=0.5)
    inputs, targets = torch.tensor(text[:-1]).reshape(4, 10), torch.tensor(text[1:]).reshape(4, 10)
    expected = []
    for _ in range(3):
        state, total = None, 0.0
        for t in range(0, 10, 4):
            piece = slice(t, t + 4)
            y, state = peer.rnn(peer.embedding(inputs[:, piece]), state)
            state = tuple(s.detach() for s in state)
            value = torch.nn.functional.cross_entropy(peer.head(y).reshape(-1, 6), targets[:, piece].reshape(-1))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += float(value.detach()) * y.shape[0] * y.shape[1]
        expected.append(total / 40)
    history = model.fit(text, epochs=3, batch_size=4, tbptt=4, optimizer=rf.SGD(lr=0.5), shuffle=False, progress=False)
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-10)

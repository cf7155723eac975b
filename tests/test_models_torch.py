"""The same model in PyTorch, trained side by side: the losses must agree all the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.torch

CELLS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
OPTIMIZERS = {"adam": (torch.optim.Adam, 1e-2), "sgd": (torch.optim.SGD, 0.3)}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two pools of threads that wait for each other's cores would take most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with rf.threads(1):
        yield
    torch.set_num_threads(before)


class Twin(torch.nn.Module):
    """Embedding, layer and head with our model's parameters."""

    def __init__(self, model: Any, features: int) -> None:
        super().__init__()
        config = model.config
        if config["embedding"]:
            self.embedding = torch.nn.Embedding(config["input_size"], config["embedding"])
        shape = {"num_layers": config["num_layers"], "bidirectional": config["bidirectional"]}
        self.directions = 1 + config["bidirectional"]
        self.rnn = CELLS[config["cell"]](features, config["hidden_size"], batch_first=True, **shape)
        self.head = torch.nn.Linear(self.directions * config["hidden_size"], config["output_size"])
        if config.get("context_size"):
            states = (2 if config["cell"] == "lstm" else 1) * config["num_layers"] * config["hidden_size"]
            self.context = torch.nn.Linear(config["context_size"], states)
        self.double()
        self.load_state_dict({k: torch.tensor(v) for k, v in model.state_dict().items()})

    def start(self, context: Any) -> Any:
        """Return the initial states that a context gives."""
        if context is None:
            return None
        layers, hidden = self.rnn.num_layers, self.rnn.hidden_size
        parts = self.context(context).reshape(len(context), -1, layers, hidden).permute(1, 2, 0, 3).contiguous()
        return (parts[0], parts[1]) if len(parts) == 2 else parts[0]

    def forward(self, x: Any, lengths: np.ndarray, context: Any = None) -> tuple[Any, Any]:
        """Return outputs at all steps and the top layer's last h."""
        if hasattr(self, "embedding"):
            x = self.embedding(x)
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        y, state = self.rnn(packed, self.start(context))
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        h = state[0] if isinstance(state, tuple) else state
        return self.head(y), torch.cat(list(h[-self.directions :]), dim=1)


def padded(items: list[np.ndarray]) -> Any:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(i) for i in items], batch_first=True)


def torch_losses(twin: Twin, loss: Any, batches: list[Any], name: str, clip: float | None, steps: int) -> list[float]:
    kind, lr = OPTIMIZERS[name]
    optimizer = kind(twin.parameters(), lr=lr)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        value = loss(twin, *batches[step % len(batches)])
        value.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), clip)
        optimizer.step()
        losses.append(float(value.detach()))
    return losses


def our_losses(model: Any, batches: list[tuple[Any, ...]], name: str, clip: float | None, steps: int) -> list[float]:
    """Fit one batch at a time with one optimiser."""
    optimizer = {"adam": rf.Adam, "sgd": rf.SGD}[name](lr=OPTIMIZERS[name][1])
    losses = []
    for step in range(steps):
        *args, options = batches[step % len(batches)]
        history = model.fit(
            *args, epochs=1, batch_size=1000, optimizer=optimizer, clip_norm=clip, progress=False, **options
        )
        losses += history.history["loss"]
    return losses


def compare(
    model: Any, twin: Twin, loss: Any, ours: list[Any], theirs: list[Any], name: str, clip: float | None, steps: int
) -> None:
    """Train both; at fifty steps the losses agree to 1e-8, at two hundred to 1e-6."""
    expected = torch_losses(twin, loss, theirs, name, clip, steps)
    found = our_losses(model, ours, name, clip, steps)
    assert len(found) == len(expected) == steps
    np.testing.assert_allclose(found[:50], expected[:50], rtol=1e-8)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert expected[-1] < expected[0]
    for key, value in twin.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=1e-5, atol=1e-7, err_msg=key)


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

    def loss(twin: Twin, x: Any, y: Any, lengths: np.ndarray) -> Any:
        return torch.nn.functional.cross_entropy(twin.head(twin(padded(x), lengths)[1]), torch.tensor(y))

    ours = [(x, y, {}) for x, y, _ in batches]
    compare(model, Twin(model, embedding or 7), loss, ours, batches, name, 1.0, steps)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("embedding", [None, 6])
def test_many_to_one_learns_as_in_pytorch(cell: str, embedding: int | None, name: str) -> None:
    compare_many_to_one(cell, embedding, name, 50)


@pytest.mark.parametrize("cell", CELLS)
def test_many_to_one_learns_both_ways_as_in_pytorch(cell: str) -> None:
    compare_many_to_one(cell, 6, "adam", 50, bidirectional=True)


@pytest.mark.parametrize("cell", CELLS)
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

    def loss(twin: Twin, sequences: Any, context: Any) -> Any:
        outputs, _ = twin(padded([s[:-1] for s in sequences]), lengths - 1, torch.tensor(context))
        outputs = torch.cat([outputs[n, : lengths[n] - 1] for n in range(8)])
        targets = torch.cat([torch.tensor(s[1:]) for s in sequences])
        f = torch.nn.functional
        return f.cross_entropy(outputs, targets) if kind == "ids" else f.mse_loss(outputs, targets)

    ours = [(sequences, {"context": context})]
    compare(model, Twin(model, 5 if kind == "ids" else 2), loss, ours, [(sequences, context)], name, None, steps)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", ["ids", "reals"])
def test_one_to_many_learns_as_in_pytorch(cell: str, kind: str, name: str) -> None:
    compare_one_to_many(cell, kind, name, 50)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", ["ids", "reals"])
def test_one_to_many_learns_as_in_pytorch_for_two_hundred_steps(cell: str, kind: str) -> None:
    compare_one_to_many(cell, kind, "adam", 200)


def test_carried_states_are_those_of_a_detached_state() -> None:
    """Truncated back-propagation in streams: a step a piece, the state detached between pieces."""
    model = rf.OneToMany(6, cell="lstm", hidden_size=8, embedding=4, dtype="float64", seed=5)
    twin = Twin(model, 4)
    text = np.random.default_rng(6).integers(0, 6, 41)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.5)
    inputs, targets = torch.tensor(text[:-1]).reshape(4, 10), torch.tensor(text[1:]).reshape(4, 10)
    expected = []
    for _ in range(3):
        state, total = None, 0.0
        for t in range(0, 10, 4):
            piece = slice(t, t + 4)
            y, state = twin.rnn(twin.embedding(inputs[:, piece]), state)
            state = tuple(s.detach() for s in state)
            value = torch.nn.functional.cross_entropy(twin.head(y).reshape(-1, 6), targets[:, piece].reshape(-1))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += float(value.detach()) * y.shape[0] * y.shape[1]
        expected.append(total / 40)
    history = model.fit(text, epochs=3, batch_size=4, tbptt=4, optimizer=rf.SGD(lr=0.5), shuffle=False, progress=False)
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-10)

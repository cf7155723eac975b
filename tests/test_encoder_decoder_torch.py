"""``EncoderDecoder`` and the same model in PyTorch, trained side by side: the losses agree all the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch

from tests.support.torch_models import (
    LOSSES,
    TORCH_LAYERS,
    assert_same_parameters,
    optimizer_of,
    padded,
    torch_losses,
)

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_torch_thread")]
SOURCE_LENGTHS = np.array([4, 11, 1, 7, 7, 2, 9, 5])
LENGTHS = np.array([3, 6, 6, 1, 0, 4, 2, 5])
Embeddings = tuple[int | None, int | None]


class Attention(torch.nn.Module):
    """``tanh(W [context; h] + b)``, the context under the softmax of additive scores or products."""

    def __init__(self, kind: str, size: int, memory: int) -> None:
        super().__init__()
        self.key = torch.nn.Linear(memory, size, bias=False)
        if kind == "additive":
            self.query = torch.nn.Linear(size, size)
            self.score = torch.nn.ParameterDict({"weight": torch.nn.Parameter(torch.empty(size))})
        self.combine = torch.nn.Linear(memory + size, size)

    def forward(self, h: Any, memory: Any) -> Any:
        """Return the head's input, (N, T, H)."""
        keys = self.key(memory)
        if hasattr(self, "query"):
            scores = torch.tanh(self.query(h)[:, :, None] + keys[:, None]) @ self.score["weight"]
        else:
            scores = h @ keys.transpose(1, 2)
        past = torch.arange(memory.shape[1]) >= torch.tensor(SOURCE_LENGTHS)[:, None]
        weights = torch.softmax(scores.masked_fill(past[:, None], -torch.inf), dim=2)
        return torch.tanh(self.combine(torch.cat([weights @ memory, h], dim=2)))


class TorchEncoderDecoder(torch.nn.Module):
    """Tables, encoder, decoder and head with our model's parameters."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        config, shapes = model.config, {name: p.shape for name, p in model.parameters().items()}
        for name in ("source_embedding", "target_embedding"):
            if config[name] is not None:
                setattr(self, name, torch.nn.Embedding(*shapes[f"{name}.weight"]))
        for name in ("encoder", "decoder"):
            size = shapes[f"{name}.weight_ih_l0"][1]
            layers = {"num_layers": config["num_layers"], "batch_first": True}
            layers["bidirectional"] = name == "encoder" and config["bidirectional"]
            setattr(self, name, TORCH_LAYERS[config["cell"]](size, config["hidden_size"], **layers))
        if config["bidirectional"]:
            self.bridge = torch.nn.ParameterDict({"weight": torch.nn.Parameter(torch.empty(shapes["bridge.weight"]))})
        if config["attention"] is not None:
            memory = (1 + config["bidirectional"]) * config["hidden_size"]
            self.attention = Attention(config["attention"], config["hidden_size"], memory)
        self.head = torch.nn.Linear(config["hidden_size"], shapes["head.weight"][0])
        self.double()
        self.load_state_dict({k: torch.tensor(v) for k, v in model.state_dict().items()})

    def forward(self, x: Any, inputs: Any) -> Any:
        """Return outputs at every step of ``inputs``."""
        x = self.source_embedding(x) if hasattr(self, "source_embedding") else x
        pack = torch.nn.utils.rnn.pack_padded_sequence
        packed, state = self.encoder(pack(x, torch.tensor(SOURCE_LENGTHS), batch_first=True, enforce_sorted=False))
        if hasattr(self, "bridge"):
            state = self.bridged(state)
        if hasattr(self, "target_embedding"):
            inputs = self.target_embedding(inputs)
        elif inputs.ndim == 2:
            inputs = torch.nn.functional.one_hot(inputs, self.decoder.input_size).double()
        h, _ = self.decoder(inputs, state)
        if hasattr(self, "attention"):
            memory, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
            h = self.attention(h, memory)
        return self.head(h)

    def bridged(self, state: Any) -> Any:
        """Return the decoder's states, each a product with a block of the bridge's rows."""
        parts = state if isinstance(state, tuple) else (state,)
        L = self.decoder.num_layers
        blocks = self.bridge["weight"].chunk(len(parts) * L)
        found = []
        for k, part in enumerate(parts):
            both = torch.cat([part[0::2], part[1::2]], dim=2)
            found.append(torch.stack([both[layer] @ blocks[k * L + layer].T for layer in range(L)]))
        return tuple(found) if len(found) == 2 else found[0]


def problem(
    cell: str, task: str, embeddings: Embeddings, attention: str | None, *, bidirectional: bool = False
) -> tuple[Any, Any, Any, Any, Any]:
    """Return a model, its x and y, and the decoder's inputs and targets: stop is id 6, start 7."""
    rng = np.random.default_rng(0)
    source, target = embeddings
    model = rf.EncoderDecoder(
        7,
        6,
        cell=cell,
        hidden_size=9,
        num_layers=2,
        source_embedding=source,
        target_embedding=target,
        task=task,
        attention=attention,
        bidirectional=bidirectional,
        dtype="float64",
        seed=1,
    )
    x = [rng.integers(0, 7, n) if source else rng.normal(size=(n, 7)) for n in SOURCE_LENGTHS]
    if task == "classification":
        y = [rng.integers(0, 6, n) for n in LENGTHS]
        return model, x, y, [np.array([7, *s]) for s in y], [np.array([*s, 6]) for s in y]
    y = [rng.uniform(size=(n, 6)) for n in LENGTHS]
    return model, x, y, [np.concatenate([np.zeros((1, 6)), s])[: len(s)] for s in y], y


def compare(
    cell: str,
    task: str,
    embeddings: Embeddings,
    name: str,
    steps: int,
    rtol: float,
    attention: str | None = None,
    **options: Any,
) -> None:
    """Train on all pairs for ``steps`` steps; compare the losses and, loosely, the parameters."""
    model, x, y, inputs, targets = problem(cell, task, embeddings, attention, **options)
    peer = TorchEncoderDecoder(model)
    lengths = torch.tensor([len(t) for t in targets])
    exists = torch.arange(int(lengths.max())) < lengths[:, None]
    wanted = torch.cat([torch.tensor(t) for t in targets])

    def loss(peer: TorchEncoderDecoder, x: Any, inputs: Any) -> Any:
        return LOSSES[task](peer(x, inputs)[exists], wanted)

    theirs = torch_losses(peer, loss, [(padded(x), padded(inputs))], name, steps, None)
    fitted = model.fit(x, y, epochs=steps, batch_size=8, optimizer=optimizer_of(name), shuffle=False, progress=False)
    np.testing.assert_allclose(fitted.history["loss"], theirs, rtol=rtol)
    assert theirs[-1] < theirs[0]
    assert_same_parameters(model, peer)


@pytest.mark.parametrize("cell", TORCH_LAYERS)
@pytest.mark.parametrize(
    ("task", "embeddings"),
    [
        ("classification", (6, 5)),
        ("classification", (None, None)),
        ("regression", (6, None)),
        ("multilabel", (3, None)),
    ],
)
def test_fifty_steps(cell: str, task: str, embeddings: Embeddings) -> None:
    compare(cell, task, embeddings, "adam", 50, 1e-8)


@pytest.mark.parametrize("attention", [None, "additive"])
@pytest.mark.parametrize("cell", TORCH_LAYERS)
def test_fifty_steps_both_ways(cell: str, attention: str | None) -> None:
    compare(cell, "classification", (6, 5), "adam", 50, 1e-8, attention, bidirectional=True)


def test_fifty_steps_of_gradient_descent() -> None:
    compare("gru", "classification", (None, 4), "sgd", 50, 1e-8)


@pytest.mark.parametrize("attention", ["additive", "dot"])
@pytest.mark.parametrize("cell", TORCH_LAYERS)
def test_fifty_steps_with_attention(cell: str, attention: str) -> None:
    compare(cell, "classification", (6, 5), "adam", 50, 1e-8, attention)
    compare(cell, "regression", (None, None), "sgd", 50, 1e-8, attention)


@pytest.mark.parametrize("attention", [None, "additive", "dot"])
@pytest.mark.parametrize("cell", TORCH_LAYERS)
def test_two_hundred_steps(cell: str, attention: str | None) -> None:
    compare(cell, "classification", (6, 5), "adam", 200, 1e-6, attention)

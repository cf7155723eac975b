"""Our models in PyTorch; whoever imports this file has made sure that PyTorch is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import rnnfast as rf
from tests.support.comparison import CELLS
from tests.support.matrix import LAYERS

TORCH_LAYERS: dict[str, Any] = {name: getattr(torch.nn, layer.__name__) for name, layer in LAYERS.items()}
OPTIMIZERS: dict[str, tuple[Any, float]] = {"adam": (torch.optim.Adam, 1e-2), "sgd": (torch.optim.SGD, 0.3)}
LOSSES: dict[str, Callable[..., Any]] = {
    "classification": torch.nn.functional.cross_entropy,
    "regression": torch.nn.functional.mse_loss,
    "multilabel": torch.nn.functional.binary_cross_entropy_with_logits,
}


def torch_layer(cell: str, C: int, H: int, **options: Any) -> Any:
    """PyTorch's layer of one of the cells ``IN_TORCH``."""
    kind, choice = CELLS[cell]
    names = {"nonlinearity": choice["activation"]} if kind == "rnn" else {}
    return TORCH_LAYERS[kind](C, H, batch_first=True, **names, **options)


class TorchModel(torch.nn.Module):
    """Embedding, layer and head with our model's parameters."""

    def __init__(self, model: Any, features: int) -> None:
        super().__init__()
        config = model.config
        if config["embedding"]:
            self.embedding = torch.nn.Embedding(config["input_size"], config["embedding"])
        shape = {"num_layers": config["num_layers"], "bidirectional": config["bidirectional"]}
        self.directions = 1 + config["bidirectional"]
        self.rnn = TORCH_LAYERS[config["cell"]](features, config["hidden_size"], batch_first=True, **shape)
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
    """Sequences as one tensor, filled up with zeros."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(i) for i in items], batch_first=True)


def optimizer_of(name: str) -> rf.optim.Optimizer:
    """Our optimiser, with the learning rate of PyTorch's."""
    makes: dict[str, Callable[..., rf.optim.Optimizer]] = {"adam": rf.Adam, "sgd": rf.SGD}
    return makes[name](lr=OPTIMIZERS[name][1])


def torch_losses(
    peer: Any, loss: Callable[..., Any], batches: Sequence[tuple[Any, ...]], name: str, steps: int, clip: float | None
) -> list[float]:
    """The losses before each of the steps, one batch a step."""
    make, lr = OPTIMIZERS[name]
    optimizer = make(peer.parameters(), lr=lr)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        value = loss(peer, *batches[step % len(batches)])
        value.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(peer.parameters(), clip)
        optimizer.step()
        losses.append(float(value.detach()))
    return losses


def assert_same_parameters(model: Any, peer: Any) -> None:
    """Both have learned the same, to what hundreds of steps leave of float64."""
    for key, value in peer.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=1e-5, atol=1e-7, err_msg=key)

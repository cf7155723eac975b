"""The models as PyTorch modules, with the same state names; ``to_torch`` makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import rnnfast as rf

ToTorch = Callable[[Any], nn.Module]


class TorchModel(nn.Module):
    """Base of the models.

    Attributes
    ----------
    config : dict
        The arguments of the model of rnnfast.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.config = dict(model.config)
        self.dtype = getattr(torch, self.config["dtype"])
        self.output_dropout = nn.Dropout(self.config["output_dropout"])

    def take(self, model: Any) -> None:
        """Copy all numbers of a model."""
        self.load_state_dict({name: torch.from_numpy(value) for name, value in model.state_dict().items()})

    def add_heads(self, model: Any) -> None:
        """Add the head, or several under ``heads``."""
        made = {name: _linear(part.weight, part.bias) for name, part in model.heads.parts.items()}
        if list(made) == [""]:
            self.head = made[""]
        else:
            self.heads = nn.ModuleDict(made)

    def outputs(self, h: Tensor) -> Any:
        """Return the outputs of the head, or a dict of those of all heads."""
        h = self.output_dropout(h)
        return {name: head(h) for name, head in self.heads.items()} if hasattr(self, "heads") else self.head(h)

    def vectors(self, x: Tensor, table: str, size: int) -> Tensor:
        """Return the rows of a table or, where there is none, unit vectors of ids (N, T), or x (N, T, C) itself."""
        if hasattr(self, table):
            rows: Tensor = getattr(self, table)(x)
            return rows
        return nn.functional.one_hot(x, size).to(self.dtype) if x.dim() == 2 else x


class _Single(TorchModel):
    """A model with one stack of layers: ``embedding``, ``rnn`` and ``head``."""

    def __init__(self, model: Any, to_torch: ToTorch) -> None:
        super().__init__(model)
        if self.config["embedding"] is not None:
            self.embedding = nn.Embedding(self.config["input_size"], self.config["embedding"], dtype=self.dtype)
        self.rnn = to_torch(model.rnn)
        self.add_heads(model)
        if self.config.get("context_size") is not None:
            self.context = _linear(model.context.map.weight, model.context.map.bias)
        self.take(model)

    def run(self, x: Tensor, lengths: Tensor | None, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return h (N, T, D*H) at all steps, and the top layer's last (N, D*H)."""
        x = self.vectors(x, "embedding", self.rnn.input_size)
        y, state = self.rnn(_packed(x, lengths), None if context is None else self.start(context))
        h = state[0] if isinstance(state, tuple) else state
        directions = 1 + self.rnn.bidirectional
        return _padded(y, x.shape[1]), torch.cat(list(h[-directions:]), dim=1)

    def start(self, context: Tensor) -> Any:
        """Return the initial states that a context (N, K) gives."""
        rows, layers = self.context(context), self.rnn.num_layers
        sizes = [self.rnn.hidden_size] * (2 if isinstance(self.rnn, nn.LSTM) else 1)
        sizes[0] = getattr(self.rnn, "proj_size", 0) or sizes[0]
        parts = rows.split([layers * size for size in sizes], dim=1)
        states = [
            part.reshape(len(part), layers, size).transpose(0, 1).contiguous()
            for part, size in zip(parts, sizes, strict=True)
        ]
        return tuple(states) if len(states) > 1 else states[0]


class ManyToOne(_Single):
    """A model that reads a sequence and gives one output."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Any:
        """Return the head's outputs (N, K) of x (N, T, C), or of ids (N, T); ``lengths`` (N,) are at least 1."""
        return self.outputs(self.run(x, lengths)[1])


class ManyToMany(_Single):
    """A model that gives an output at every step."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Any:
        """Return the head's outputs (N, T, K) of x (N, T, C), or of ids (N, T); ``lengths`` (N,) are at least 1."""
        return self.outputs(self.run(x, lengths)[0])


class OneToMany(_Single):
    """A model of the next element."""

    def forward(self, x: Tensor, lengths: Tensor | None = None, context: Tensor | None = None) -> Any:
        """Return the head's outputs (N, T, K), about the next elements; ``context`` (N, K) starts the state."""
        return self.outputs(self.run(x, lengths, context)[0])


class EncoderDecoder(TorchModel):
    """A model that reads a source and writes a target."""

    def __init__(self, model: Any, to_torch: ToTorch) -> None:
        super().__init__(model)
        config, shapes = self.config, {name: p.shape for name, p in model.parameters().items()}
        if config["source_embedding"] is not None:
            self.source_embedding = nn.Embedding(*shapes["source_embedding.weight"], dtype=self.dtype)
        self.encoder = to_torch(model.encoder)
        if config["bidirectional"]:
            weight = torch.empty(shapes["bridge.weight"], dtype=self.dtype)
            self.bridge = nn.ParameterDict({"weight": nn.Parameter(weight)})
        if config["target_embedding"] is not None:
            self.target_embedding = nn.Embedding(*shapes["target_embedding.weight"], dtype=self.dtype)
        self.decoder = to_torch(model.decoder)
        if config["attention"] is not None:
            self.attention = Attention(config["attention"], *shapes["attention.key.weight"], dtype=self.dtype)
        self.add_heads(model.network)
        self.take(model)

    def forward(self, x: Tensor, inputs: Tensor, lengths: Tensor | None = None) -> Any:
        """Return the head's outputs (N, T, K) at every step of what the decoder reads.

        Parameters
        ----------
        x : Tensor (N, S, C), or ids (N, S)
            The sources.
        inputs : Tensor (N, T, K), or ids (N, T)
            What the decoder reads: the target behind ``start``, or behind zeros.
        lengths : integer Tensor (N,), optional
            Valid steps of every source, at least 1.

        Returns
        -------
        Tensor
        """
        x = self.vectors(x, "source_embedding", self.encoder.input_size)
        y, state = self.encoder(_packed(x, lengths))
        if hasattr(self, "bridge"):
            state = self.bridged(state)
        h, _ = self.decoder(self.vectors(inputs, "target_embedding", self.decoder.input_size), state)
        if hasattr(self, "attention"):
            h = self.attention(h, _padded(y, x.shape[1]), lengths)
        return self.outputs(h)

    def bridged(self, state: Any) -> Any:
        """Return the decoder's states, each the product of both directions with a block of the bridge's rows."""
        parts, L = state if isinstance(state, tuple) else (state,), self.decoder.num_layers
        blocks = self.bridge["weight"].chunk(len(parts) * L)
        found = []
        for k, part in enumerate(parts):
            both = torch.cat([part[0::2], part[1::2]], dim=2)
            found.append(torch.stack([both[layer] @ blocks[k * L + layer].T for layer in range(L)]))
        return tuple(found) if len(found) == 2 else found[0]


class Attention(nn.Module):
    """``tanh(W [context; h] + b)``, the context under the softmax of additive scores or products."""

    def __init__(self, kind: str, size: int, memory: int, *, dtype: Any) -> None:
        super().__init__()
        self.key = nn.Linear(memory, size, bias=False, dtype=dtype)
        if kind == "additive":
            self.query = nn.Linear(size, size, dtype=dtype)
            self.score = nn.ParameterDict({"weight": nn.Parameter(torch.empty(size, dtype=dtype))})
        self.combine = nn.Linear(memory + size, size, dtype=dtype)

    def forward(self, h: Tensor, memory: Tensor, lengths: Tensor | None) -> Tensor:
        """Return the head's input (N, T, H) of h (N, T, H) and the encoder's outputs (N, S, M)."""
        keys = self.key(memory)
        if hasattr(self, "query"):
            scores = torch.tanh(self.query(h)[:, :, None] + keys[:, None]) @ self.score["weight"]
        else:
            scores = h @ keys.transpose(1, 2)
        if lengths is not None:
            past = torch.arange(memory.shape[1]) >= lengths[:, None]
            scores = scores.masked_fill(past[:, None], -torch.inf)
        context = torch.softmax(scores, dim=2) @ memory
        combined: Tensor = torch.tanh(self.combine(torch.cat([context, h], dim=2)))
        return combined


MODELS: dict[Any, Any] = {
    ManyToOne: rf.ManyToOne,
    ManyToMany: rf.ManyToMany,
    OneToMany: rf.OneToMany,
    EncoderDecoder: rf.EncoderDecoder,
}
"""The model of rnnfast that each module is."""


def _linear(weight: Any, bias: Any) -> nn.Linear:
    K, F = weight.value.shape
    return nn.Linear(F, K, bias=bias is not None, dtype=getattr(torch, weight.dtype.name))


def _packed(x: Tensor, lengths: Tensor | None) -> Any:
    return x if lengths is None else pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)


def _padded(y: Any, steps: int) -> Tensor:
    if not isinstance(y, PackedSequence):
        padded: Tensor = y
        return padded
    return pad_packed_sequence(y, batch_first=True, total_length=steps)[0]

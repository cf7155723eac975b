"""The same training in PyTorch, as its users write it: a ``DataLoader`` for sequences of unequal lengths, packed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils import rnn

from bench.epochs.problems import Problem

LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
NO_TAG = -100


class Net(torch.nn.Module):
    """An embedding where the model has one, recurrent layers and a head, with the model's parameters."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        super().__init__()
        config, shapes = model.config, {name: p.shape for name, p in model.parameters().items()}
        self.embedded = "embedding.weight" in shapes
        if self.embedded:
            self.embedding = torch.nn.Embedding(*shapes["embedding.weight"])
        layers = {"num_layers": config["num_layers"], "bidirectional": config.get("bidirectional", False)}
        size = shapes["rnn.weight_ih_l0"][1]
        self.rnn = LAYERS[config["cell"]](size, config["hidden_size"], batch_first=True, **layers)
        self.head = torch.nn.Linear(*reversed(shapes["head.weight"]))
        adopt(self, model, dtype)

    def forward(self, x: Any, lengths: Any = None, state: Any = None) -> tuple[Any, Any]:
        """Outputs h at every step, and the final state."""
        x = self.embedding(x) if self.embedded else x
        if lengths is None:
            h, state = self.rnn(x, state)
            return h, state
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        h, state = self.rnn(packed, state)
        return rnn.pad_packed_sequence(h, batch_first=True)[0], state


class Translator(torch.nn.Module):
    """Encoder, decoder, attention (Luong et al. 2015, "general") and head, with the model's parameters."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        super().__init__()
        shapes = {name: p.shape for name, p in model.parameters().items()}
        hidden = model.config["hidden_size"]
        for side, stack in (("source", "encoder"), ("target", "decoder")):
            table = torch.nn.Embedding(*shapes[f"{side}_embedding.weight"])
            setattr(self, f"{side}_embedding", table)
            setattr(self, stack, torch.nn.LSTM(table.embedding_dim, hidden, batch_first=True))
        self.attention = torch.nn.ModuleDict(
            {
                "key": torch.nn.Linear(hidden, hidden, bias=False),
                "combine": torch.nn.Linear(2 * hidden, hidden),
            }
        )
        self.head = torch.nn.Linear(hidden, shapes["head.weight"][0])
        adopt(self, model, dtype)

    def forward(self, x: Any, lengths: Any, inputs: Any) -> Any:
        """Outputs at every step of the targets, which are all of one length."""
        packed = rnn.pack_padded_sequence(self.source_embedding(x), lengths, batch_first=True, enforce_sorted=False)
        packed, state = self.encoder(packed)
        memory, _ = rnn.pad_packed_sequence(packed, batch_first=True)
        h, _ = self.decoder(self.target_embedding(inputs), state)
        scores = h @ self.attention["key"](memory).transpose(1, 2)
        past = torch.arange(memory.shape[1]) >= lengths[:, None]
        context = torch.softmax(scores.masked_fill(past[:, None], -torch.inf), dim=2) @ memory
        return self.head(torch.tanh(self.attention["combine"](torch.cat([context, h], dim=2))))


def adopt(net: torch.nn.Module, model: Any, dtype: torch.dtype) -> None:
    """Take the parameters of a model of rnnfast."""
    net.to(dtype)
    net.load_state_dict({name: torch.tensor(p.value) for name, p in model.parameters().items()})


@dataclass(frozen=True)
class Loop:
    """What the loop of training needs: parameters, batches, and of a batch its mean loss and its number of targets.

    The state of a batch before is None in the first one; ``validate`` runs after each epoch.
    """

    net: torch.nn.Module
    batches: Callable[[], Iterable[Any]]
    loss: Callable[[Any, Any], tuple[Any, int, Any]]
    validate: Callable[[], tuple[float, float]] | None = None


def train(problem: Problem, name: str, dtype: str, epochs: int) -> tuple[list[float], list[float]]:
    """Seconds and loss of each epoch."""
    loop = LOOPS[name](problem, getattr(torch, dtype))
    params = list(loop.net.parameters())
    optimizer = torch.optim.Adam(params, lr=problem.lr)
    times, losses = list[float](), list[float]()
    for _ in range(epochs):
        begin, total, count, state = perf_counter(), 0.0, 0, None
        for batch in loop.batches():
            optimizer.zero_grad()
            loss, targets, state = loop.loss(batch, state)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(params, problem.clip_norm)
            optimizer.step()
            total, count = total + targets * loss.item(), count + targets
        if loop.validate is not None:
            with torch.no_grad():
                loop.validate()
        times.append(perf_counter() - begin)
        losses.append(total / count)
    return times, losses


def padded(items: list[Any], filling: int = 0) -> tuple[Any, Any]:
    """Sequences in one tensor, and their lengths."""
    lengths = torch.tensor([len(item) for item in items])
    return rnn.pad_sequence(items, batch_first=True, padding_value=filling), lengths


def tensors(items: Iterable[Any], dtype: torch.dtype) -> list[Any]:
    """One tensor for each; integers stay integers."""
    found = [torch.from_numpy(np.asarray(item)) for item in items]
    return [each.to(dtype) if each.is_floating_point() else each for each in found]


def vowels(problem: Problem, dtype: torch.dtype) -> Loop:
    """A class of each sequence, from the last h."""
    net = Net(problem.model(str(dtype).split(".")[1]), dtype)
    assert problem.validation is not None
    train, test = (
        list(zip(tensors(x, dtype), map(int, y), strict=True)) for x, y in ((problem.x, problem.y), problem.validation)
    )

    def together(items: list[Any]) -> Any:
        return *padded([x for x, _ in items]), torch.tensor([y for _, y in items])

    def loss(batch: Any, _: Any) -> tuple[Any, int, None]:
        x, lengths, y = batch
        return functional.cross_entropy(net.head(net(x, lengths)[1][0]), y), len(y), None

    def validate() -> tuple[float, float]:
        right, total = 0, 0.0
        for x, lengths, y in torch.utils.data.DataLoader(test, problem.batch_size, collate_fn=together):
            outputs = net.head(net(x, lengths)[1][0])
            total += len(y) * float(functional.cross_entropy(outputs, y))
            right += int((outputs.argmax(1) == y).sum())
        return total / len(test), right / len(test)

    batches = torch.utils.data.DataLoader(train, problem.batch_size, collate_fn=together)
    return Loop(net, lambda: batches, loss, validate)


def tagging(problem: Problem, dtype: torch.dtype) -> Loop:
    """A class of each step."""
    net = Net(problem.model(str(dtype).split(".")[1]), dtype)
    assert problem.validation is not None
    train, test = (
        list(zip(tensors(x, dtype), tensors(y, dtype), strict=True))
        for x, y in ((problem.x, problem.y), problem.validation)
    )

    def together(items: list[Any]) -> Any:
        return *padded([x for x, _ in items]), padded([y for _, y in items], NO_TAG)[0]

    def measured(batch: Any) -> tuple[Any, Any, Any]:
        x, lengths, y = batch
        outputs, wanted = net.head(net(x, lengths)[0]).flatten(0, 1), y.flatten()
        return functional.cross_entropy(outputs, wanted, ignore_index=NO_TAG), outputs, wanted

    def loss(batch: Any, _: Any) -> tuple[Any, int, None]:
        return measured(batch)[0], int(batch[1].sum()), None

    def validate() -> tuple[float, float]:
        right, total, count = 0, 0.0, 0
        for batch in torch.utils.data.DataLoader(test, problem.batch_size, collate_fn=together):
            mean, outputs, wanted = measured(batch)
            targets = int(batch[1].sum())
            total, count = total + targets * float(mean), count + targets
            right += int((outputs.argmax(1) == wanted).sum())
        return total / count, right / count

    batches = torch.utils.data.DataLoader(train, problem.batch_size, collate_fn=together)
    return Loop(net, lambda: batches, loss, validate)


def characters(problem: Problem, dtype: torch.dtype) -> Loop:
    """The next character at every step; streams are read piece by piece and their state passes on."""
    net, ids = Net(problem.model(str(dtype).split(".")[1]), dtype), torch.from_numpy(np.asarray(problem.x))
    steps = (len(ids) - 1) // problem.batch_size
    inputs, targets = (ids[k : k + problem.batch_size * steps].view(problem.batch_size, steps) for k in (0, 1))
    assert problem.tbptt is not None
    pieces = list(zip(inputs.split(problem.tbptt, 1), targets.split(problem.tbptt, 1), strict=True))

    def loss(batch: Any, state: Any) -> tuple[Any, int, Any]:
        x, y = batch
        h, (hn, cn) = net(x, None, state)
        return functional.cross_entropy(net.head(h).flatten(0, 1), y.flatten()), y.numel(), (hn.detach(), cn.detach())

    return Loop(net, lambda: pieces, loss)


def hydrology(problem: Problem, dtype: torch.dtype) -> Loop:
    """A number of each sequence, from the last h."""
    net = Net(problem.model(str(dtype).split(".")[1]), dtype)
    x, y = tensors((problem.x, problem.y), dtype)

    def loss(batch: Any, _: Any) -> tuple[Any, int, None]:
        x, y = batch
        return functional.mse_loss(net.head(net(x)[1][0][0]), y), len(y), None

    return Loop(net, lambda: zip(x.split(problem.batch_size), y.split(problem.batch_size), strict=True), loss)


def audio(problem: Problem, dtype: torch.dtype) -> Loop:
    """A number at every step; segments are read piece by piece and their state passes on."""
    net = Net(problem.model(str(dtype).split(".")[1]), dtype)
    x, y = tensors((problem.x, problem.y), dtype)
    assert problem.tbptt is not None
    pieces = list(zip(x.split(problem.tbptt, 1), y.split(problem.tbptt, 1), strict=True))

    def loss(batch: Any, state: Any) -> tuple[Any, int, Any]:
        x, y = batch
        h, (hn, cn) = net(x, None, state)
        return functional.mse_loss(net.head(h), y), y.numel(), (hn.detach(), cn.detach())

    return Loop(net, lambda: pieces, loss)


def dates(problem: Problem, dtype: torch.dtype) -> Loop:
    """The next character of a target, of those before and of the source."""
    model = problem.model(str(dtype).split(".")[1])
    net = Translator(model, dtype)
    framing = model.network.framing
    y = [np.concatenate([[framing.start], each, [framing.stop]]) for each in problem.y]
    pairs = list(zip(tensors(problem.x, dtype), tensors(y, dtype), strict=True))

    def together(items: list[Any]) -> Any:
        return *padded([x for x, _ in items]), torch.stack([y for _, y in items])

    def loss(batch: Any, _: Any) -> tuple[Any, int, None]:
        x, lengths, y = batch
        outputs, wanted = net(x, lengths, y[:, :-1]).flatten(0, 1), y[:, 1:].flatten()
        return functional.cross_entropy(outputs, wanted), wanted.numel(), None

    batches = torch.utils.data.DataLoader(pairs, problem.batch_size, collate_fn=together)
    return Loop(net, lambda: batches, loss)


LOOPS: dict[str, Callable[[Problem, torch.dtype], Loop]] = {
    "characters": characters,
    "vowels": vowels,
    "hydrology": hydrology,
    "audio": audio,
    "tagging": tagging,
    "dates": dates,
}

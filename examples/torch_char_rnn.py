"""Learn the letters of a text with a GRU, one stream of text for each row of the batch, and write some more.

The state is carried from batch to batch and detached, so that gradients go back through one batch. ``accelerate`` lets
the GRU compute on rnnfast; nothing else changes. Writing reads one letter at a time. The baseline is the frequency of
each letter behind each other one.
"""

from __future__ import annotations

import argparse
import sys

import torch
from torch import Tensor, nn

from rnnfast.interop.torch import accelerate

TEXT = "".join(f"{i} times {i + 1} is {i * (i + 1)}. " for i in range(1, 400))
LETTERS = sorted(set(TEXT))


class CharRNN(nn.Module):
    """Embedding, GRU and a linear layer, with scores of the next letter."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), 16)
        self.gru = nn.GRU(16, hidden, num_layers=2)
        self.fc = nn.Linear(hidden, len(LETTERS))

    def forward(self, letters: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return scores (T, N, K) of letters (T, N), and the state."""
        y, state = self.gru(self.embedding(letters), state)
        return self.fc(y), state


def streams(rows: int) -> Tensor:
    """Return the text as letters (T, N), N = ``rows`` pieces side by side."""
    ids = torch.tensor([LETTERS.index(letter) for letter in TEXT])
    return ids[: len(ids) // rows * rows].reshape(rows, -1).T


def pairs_loss() -> float:
    """Return the loss of the frequencies of pairs of letters, counted in the same text."""
    ids = torch.tensor([LETTERS.index(letter) for letter in TEXT])
    counts = torch.zeros(len(LETTERS), len(LETTERS)).index_put((ids[:-1], ids[1:]), torch.tensor(1.0), accumulate=True)
    return float(nn.functional.nll_loss((counts / counts.sum(dim=1, keepdim=True)).log()[ids[:-1]], ids[1:]))


@torch.no_grad()
def write(model: CharRNN, start: str, count: int) -> str:
    """Return ``start`` and the ``count`` letters that the model finds most likely."""
    scores, state = model(torch.tensor([[LETTERS.index(letter)] for letter in start]), None)
    written = start
    for _ in range(count):
        letter = scores[-1].argmax(dim=-1)
        written += LETTERS[int(letter)]
        scores, state = model(letter[None], state)
    return written


def train(*, steps: int, hidden: int, fast: bool, dtype: torch.dtype) -> tuple[CharRNN, list[float]]:
    """Return the trained model and the loss of every step."""
    torch.manual_seed(0)
    model = CharRNN(hidden).to(dtype)
    if fast:
        accelerate(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    text, length = streams(16), 40
    losses: list[float] = []
    state = None
    while len(losses) < steps:
        first = length * (len(losses) % ((len(text) - 1) // length))
        state = None if first == 0 or state is None else state.detach()
        read = text[first : first + length + 1]
        optimizer.zero_grad()
        scores, state = model(read[:-1], state)
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), read[1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def main(*, steps: int = 300, hidden: int = 64, fast: bool = True, dtype: torch.dtype = torch.float32) -> list[float]:
    """Train the model; return the loss of every step."""
    return train(steps=steps, hidden=hidden, fast=fast, dtype=dtype)[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--plain", action="store_true", help="leave the GRU to PyTorch")
    arguments = parser.parse_args()
    trained, found = train(steps=arguments.steps, hidden=64, fast=not arguments.plain, dtype=torch.float32)
    print(write(trained, "12 times 13 is ", 60))
    print(
        f"loss {found[0]:.3f} at first, {found[-1]:.3f} after {len(found)} steps; pairs of letters {pairs_loss():.3f}"
    )
    sys.exit(None if found[-1] < pairs_loss() else "the model does not beat pairs of letters")

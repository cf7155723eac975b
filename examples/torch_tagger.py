"""Tag the words of made-up sentences with a bidirectional LSTM over packed sequences.

The rule to learn: a word's tag is its class, except that a word after a negation has the opposite class. Sentences are
of different lengths, so they are packed. ``accelerate`` lets the LSTM compute on rnnfast; nothing else changes. The
program trains both ways, and compares losses and times.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from rnnfast.interop.torch import accelerate

WORDS = 40
NEGATION = 0


class Tagger(nn.Module):
    """Embedding, LSTM and a linear layer, with a tag for every word."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 16)
        self.lstm = nn.LSTM(16, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(2 * hidden, 2)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Return scores (N, T, 2) of words (N, T)."""
        packed = pack_padded_sequence(self.embedding(words), lengths, batch_first=True, enforce_sorted=False)
        y, _ = self.lstm(packed)
        padded, _ = pad_packed_sequence(y, batch_first=True)
        scores: Tensor = self.fc(padded)
        return scores


def make_batch(sentences: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return words (N, T), lengths (N,) and tags (N, T), which are -1 past the end."""
    lengths = torch.randint(3, 15, (sentences,))
    words = [torch.randint(WORDS, (int(n),)) for n in lengths]
    tags = []
    for sentence in words:
        after = torch.cat([torch.tensor([False]), sentence[:-1] == NEGATION])
        tags.append((sentence % 2) ^ after.long())
    return pad_sequence(words, batch_first=True), lengths, pad_sequence(tags, batch_first=True, padding_value=-1)


def main(*, steps: int = 300, hidden: int = 64, fast: bool = True, dtype: torch.dtype = torch.float32) -> list[float]:
    """Train the tagger; return the loss of every step."""
    torch.manual_seed(0)
    model = Tagger(hidden).to(dtype)
    if fast:
        accelerate(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        words, lengths, tags = make_batch(32)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(words, lengths).transpose(1, 2), tags, ignore_index=-1)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    main(steps=1, fast=True)  # loads what is loaded once
    found, seconds = {}, {}
    for fast in (False, True):
        start = time.perf_counter()
        found[fast] = main(steps=arguments.steps, fast=fast)
        seconds[fast] = time.perf_counter() - start
    print(f"loss {found[True][0]:.3f} at first, {found[True][-1]:.4f} after {arguments.steps} steps")
    print(f"loss with PyTorch's LSTM {found[False][-1]:.4f}")
    print(f"{seconds[True]:.1f} s; with PyTorch's LSTM {seconds[False]:.1f} s")
    sys.exit(None if seconds[True] < seconds[False] else "no faster than PyTorch")

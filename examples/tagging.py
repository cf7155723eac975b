"""Find the words of a text without spaces: a tag for every letter, 1 where a word ends.

The text is Python's own manual (``pydoc_data.topics``). A bidirectional GRU reads pieces of its letters. Every sixth
topic is judged, not learned. The baseline takes the most frequent tag between the three letters before and the three
letters behind, or between fewer letters where these are new.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from pydoc_data.topics import topics

import numpy as np

import rnnfast as rf

PIECE = 30  # words
SHOWN = "thevaluemaybeaninstanceofanyclassthatsupportsthismethod"
Tags = Sequence[Sequence[int]]


def pieces(names: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Cut topics into pieces; yield the letters of each and their tags."""
    for name in names:
        words = re.findall("[a-z]+", topics[name].lower())
        for first in range(0, len(words), PIECE):
            piece = words[first : first + PIECE]
            yield "".join(piece), [int(i == len(word)) for word in piece for i in range(1, len(word) + 1)]


def contexts(text: str) -> Iterator[list[str]]:
    """Yield what stands around each letter's end, the most letters first."""
    padded = f"   {text}   "
    for i in range(4, len(text) + 4):
        yield [padded[i - n : i] + "|" + padded[i : i + n] for n in (3, 2, 1)]


def by_contexts(x: Sequence[str], y: Tags, judged: Sequence[str]) -> Tags:
    """Return the most frequent tag of every context."""
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for text, tags in zip(x, y, strict=True):
        for around, tag in zip(contexts(text), tags, strict=True):
            for context in around:
                counts[context][tag] += 1
    best = {context: found.most_common(1)[0][0] for context, found in counts.items()}
    return [[next((best[c] for c in around if c in best), 0) for around in contexts(text)] for text in judged]


def f1(found: Tags, true: Tags) -> float:
    """Return the harmonic mean of precision and recall of the ends."""
    a, b = (np.fromiter(chain.from_iterable(tags), int) for tags in (found, true))
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def main(*, short: bool = False, seed: int = 0) -> tuple[float, float]:
    """Return F1 of the model and of the contexts."""
    names = sorted(topics)
    x, y = map(list, zip(*pieces([name for i, name in enumerate(names) if i % 6]), strict=True))
    judged, truth = map(list, zip(*pieces(names[::6]), strict=True))
    hidden, epochs, lr = (64, 3, 2e-2) if short else (128, 8, 1e-2)
    model = rf.ManyToMany(
        vocabulary=rf.text.Vocabulary("abcdefghijklmnopqrstuvwxyz"),
        output_size=2,
        cell="gru",
        embedding=16,
        hidden_size=hidden,
        bidirectional=True,
        output_dropout=0.1,
        seed=seed,
    )
    model.fit(x, y, epochs=epochs, batch_size=16, lr=rf.schedules.Cosine(lr), clip_norm=1.0, seed=seed)
    print("".join(letter + " " * tag for letter, tag in zip(SHOWN, model.predict(SHOWN), strict=True)))
    return f1(model.predict(judged), truth), f1(by_contexts(x, y, judged), truth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="train for seconds only")
    parser.add_argument("--seed", type=int, default=0)
    found, baseline = main(**vars(parser.parse_args()))
    print(f"F1 of ends of words {found:.3f}; most frequent tag between letters {baseline:.3f}")
    sys.exit(None if found > baseline else "the model does not beat its baseline")

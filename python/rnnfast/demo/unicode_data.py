"""Names and general categories of Unicode characters, some of them held out."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnfast.text import Vocabulary

LEAST = 100
"""A category with fewer members is left out."""

Ids = npt.NDArray[np.int64]


@dataclass
class Names:
    """Names as ids of letters, and categories as numbers; ``test`` are the places of the held-out names."""

    vocabulary: Vocabulary
    classes: list[str]
    x: list[Ids]
    y: Ids
    train: Ids
    test: Ids

    def part(self, which: Ids) -> tuple[list[Ids], Ids]:
        """Return x and y at these places."""
        return [self.x[i] for i in which], self.y[which]


def characters() -> tuple[list[str], list[str]]:
    """Return names and general categories of all characters whose name is neither algorithmic nor numbered.

    Algorithmic names are made by a rule: they end with the code point, or are Hangul syllables. Numbered names have a
    digit.
    """
    names, categories = [], []
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        name = unicodedata.name(character, "")
        if not name or name.startswith("HANGUL SYLLABLE ") or name.endswith(f"-{code:04X}"):
            continue
        if not any(c.isdigit() for c in name):
            names.append(name)
            categories.append(unicodedata.category(character))
    return names, categories


def held_out(y: Ids, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Choose ``share`` of every class at random: bool (N,)."""
    chosen = np.zeros(len(y), np.bool_)
    for k in np.unique(y):
        places = rng.permutation(np.flatnonzero(y == k))
        chosen[places[: round(share * len(places))]] = True
    return chosen


def load(largest: int, *, also: Sequence[str], rng: np.random.Generator) -> Names:
    """Return the names of this Python's Unicode, at most about ``largest``, a fifth of every category held out.

    The vocabulary also has the letters of the names ``also``.
    """
    names, categories = characters()
    counts = Counter(categories)
    classes = sorted(k for k, count in counts.items() if count >= LEAST)
    places = [i for i in range(len(names)) if categories[i] in classes]
    if len(places) > largest:
        kept = held_out(np.array([classes.index(categories[i]) for i in places]), largest / len(places), rng)
        places = [i for i, k in zip(places, kept, strict=True) if k]
    names, categories = [names[i] for i in places], [categories[i] for i in places]
    vocabulary = Vocabulary([*names, *also])
    number = {k: i for i, k in enumerate(classes)}
    y = np.array([number[k] for k in categories])
    chosen = held_out(y, 0.2, rng)
    x = [vocabulary.encode(name) for name in names]
    return Names(vocabulary, classes, x, y, np.flatnonzero(~chosen), np.flatnonzero(chosen))

"""Made data beyond those of ``rnnfast.data.synthetic``: Reber strings with an error, questions that differ."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from rnnfast.data.synthetic import REBER_SYMBOLS, reber_strings


def corrupted(letters: str, rng: np.random.Generator) -> str:
    """The string with another letter at one random place.

    It is never a string of the grammar: two strings of the same length differ in at least two letters, because what may
    follow one way out of a state may not follow the other.
    """
    at = rng.integers(len(letters))
    others = REBER_SYMBOLS.replace(letters[at], "")
    return letters[:at] + others[rng.integers(len(others))] + letters[at + 1 :]


def labelled_reber_strings(
    count: int, rng: np.random.Generator, *, without: Collection[str] = ()
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Strings of the embedded grammar (1) and corrupted ones (0), by turns, none of them one of ``without``."""
    strings = list[str]()
    while len(strings) < count:
        (letters,) = reber_strings(1, seed=rng)
        drawn = letters if len(strings) % 2 == 0 else corrupted(letters, rng)
        if drawn not in without:
            strings.append(drawn)
    return strings, 1 - np.arange(count) % 2


def additions(count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Different pairs of numbers of one or two digits; a + b and b + a count as one, in a random order."""
    pairs = np.array([(a, b) for a in range(100) for b in range(a + 1)])
    chosen = rng.permutation(len(pairs))[:count]
    return [(int(a), int(b)) for a, b in rng.permuted(pairs[chosen], axis=1)]

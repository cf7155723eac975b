"""Data that are made: two sines, embedded Reber strings, the adding problem, additions of two numbers."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
REBER = {
    0: (("B", 1),),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", 7),),
}
"""Reber's grammar (1967): the letters that may follow in each state, and the state after each; 7 is the end."""
REBER_LETTERS = "BEPSTVX"


def two_sines(count: int, steps: int, rng: np.random.RandomState) -> F32:
    """Series (count, steps) on [0, 1]: two sines of random frequency and phase, and noise.

    ``0.5 sin((10 a + 10)(t - b)) + 0.2 sin((20 c + 20)(t - d)) + 0.1 (u - 0.5)``, where a, c, b, d and, at each step, u
    are uniform on [0, 1), drawn in this order (Géron 2019, "Hands-on machine learning", chapter 15).
    """
    first, second, offset_1, offset_2 = rng.rand(4, count, 1)
    t = np.linspace(0.0, 1.0, steps)
    waves = 0.5 * np.sin((t - offset_1) * (first * 10 + 10)) + 0.2 * np.sin((t - offset_2) * (second * 20 + 20))
    series: F32 = (waves + 0.1 * (rng.rand(count, steps) - 0.5)).astype(np.float32)
    return series


def reber(rng: np.random.Generator) -> str:
    """A string of Reber's grammar; where two letters may follow, both are equally probable."""
    state, letters = 0, ""
    while state in REBER:
        ways = REBER[state]
        letter, state = ways[rng.integers(len(ways))]
        letters += letter
    return letters


def embedded_reber(rng: np.random.Generator) -> str:
    """``B`` t s t ``E``: a string s of Reber's grammar between two letters t, both ``T`` or both ``P``."""
    letter = "TP"[rng.integers(2)]
    return f"B{letter}{reber(rng)}{letter}E"


def is_reber(letters: str) -> bool:
    """Whether the grammar can make the string."""
    state = 0
    for letter in letters:
        following = dict(REBER.get(state, ()))
        if letter not in following:
            return False
        state = following[letter]
    return state not in REBER


def is_embedded_reber(letters: str) -> bool:
    """Whether the embedded grammar can make the string."""
    head, inside, tail = letters[:2], letters[2:-2], letters[-2:]
    return head in ("BT", "BP") and tail == f"{head[1]}E" and is_reber(inside)


def corrupted(letters: str, rng: np.random.Generator) -> str:
    """The string with another letter at one random place, which makes it wrong."""
    while True:
        at = rng.integers(len(letters))
        other = REBER_LETTERS.replace(letters[at], "")[rng.integers(len(REBER_LETTERS) - 1)]
        result = letters[:at] + other + letters[at + 1 :]
        if not is_embedded_reber(result):
            return result


def reber_strings(
    count: int, rng: np.random.Generator, *, without: Collection[str] = ()
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Strings of the embedded grammar (1) and corrupted ones (0), by turns, none of them one of ``without``."""
    strings = list[str]()
    while len(strings) < count:
        letters = embedded_reber(rng)
        drawn = letters if len(strings) % 2 == 0 else corrupted(letters, rng)
        if drawn not in without:
            strings.append(drawn)
    return strings, 1 - np.arange(count) % 2


def adding(count: int, steps: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """Sequences (count, steps, 2) of a number on [0, 1) and a mark, and the sums (count, 1) of the two marked numbers.

    One step of each half is marked by 1, the others by 0 (Hochreiter and Schmidhuber 1997; Le et al. 2015). A guess of
    1 has a mean squared error of 1/6.
    """
    x = np.zeros((count, steps, 2), np.float32)
    x[..., 0] = rng.random((count, steps), np.float32)
    rows, half = np.arange(count), steps // 2
    first, second = rng.integers(half, size=count), rng.integers(half, steps, size=count)
    x[rows, first, 1] = x[rows, second, 1] = 1.0
    return x, x[rows, first, :1] + x[rows, second, :1]


def additions(count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Different pairs of numbers of one or two digits; a + b and b + a count as one, in a random order."""
    pairs = np.array([(a, b) for a in range(100) for b in range(a + 1)])
    chosen = rng.permutation(len(pairs))[:count]
    return [(int(a), int(b)) for a, b in rng.permuted(pairs[chosen], axis=1)]

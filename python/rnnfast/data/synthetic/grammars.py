"""Strings of a finite-state grammar."""

from __future__ import annotations

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Int64
from rnnfast.checks import names_arguments
from rnnfast.data.synthetic.chance import generator

REBER_SYMBOLS = "BEPSTVX"
"""The symbols of Reber's grammar in the order of their ids, as ``rnnfast.text.Vocabulary`` orders them."""

# By state the symbols that may come, and the states to which they lead; the last state is the end.
_REBER = ({"B": 1}, {"T": 2, "P": 3}, {"S": 2, "X": 4}, {"T": 3, "V": 5}, {"X": 3, "S": 6}, {"P": 4, "V": 6}, {"E": 7})


@names_arguments
def reber_strings(count: int, *, embedded: bool = True, seed: int | np.random.Generator | None = None) -> list[str]:
    """Return strings of Reber's grammar.

    At each state that two edges leave, either is taken with probability 1/2. An embedded string is B, then T or P, a
    whole string of the grammar, the same T or P again, and E: its last but one symbol is that of the second step,
    however long ago that was.

    Parameters
    ----------
    count : int
        Strings N.
    embedded : bool
        Whether a string stands inside another one.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    list of str

    Notes
    -----
    Reber 1967; embedded: Smith and Zipser 1989, Fahlman 1991, Hochreiter and Schmidhuber 1997.

    Examples
    --------
    >>> reber_strings(2, embedded=False, seed=0), reber_strings(1, seed=0)
    (['BPVVE', 'BTSSSSSXSE'], ['BPBPVPXTTTTVVEPE'])
    """
    return [text for text, _ in _strings(count, embedded, seed)]


@names_arguments
def reber(
    count: int, *, embedded: bool = True, seed: int | np.random.Generator | None = None
) -> tuple[list[Int64], list[Int64]]:
    """Return Reber strings, and the symbols that may follow each step.

    Which symbol comes is chance; a network knows the grammar when it knows which ones can. Train with
    ``task="multilabel"``: a step is right where all 7 answers are.

    Parameters
    ----------
    count : int
        Strings N.
    embedded : bool
        Whether a string stands inside another one, see ``reber_strings``.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    x : list of N int64 (T_i,)
        Ids 0..6 of the symbols in ``REBER_SYMBOLS``, without the last one of the string.
    y : list of N int64 (T_i, 7)
        1 for each symbol that may come next, else 0.

    Notes
    -----
    Reber 1967; embedded: Smith and Zipser 1989, Fahlman 1991, Hochreiter and Schmidhuber 1997.

    Examples
    --------
    >>> x, y = reber(1, seed=0)
    >>> "".join(REBER_SYMBOLS[i] for i in x[0])
    'BPBPVPXTTTTVVEP'
    >>> ["".join(s for s, may in zip(REBER_SYMBOLS, step) if may) for step in y[0][:5]]
    ['PT', 'B', 'PT', 'TV', 'PV']
    """
    ids = {symbol: i for i, symbol in enumerate(REBER_SYMBOLS)}
    x, y = [], []
    for text, allowed in _strings(count, embedded, seed):
        x.append(np.array([ids[symbol] for symbol in text[:-1]], np.int64))
        y.append(np.array([[symbol in may for symbol in REBER_SYMBOLS] for may in allowed[1:]], np.int64))
    return x, y


def _strings(count: int, embedded: bool, seed: int | np.random.Generator | None) -> list[tuple[str, list[str]]]:
    """Return strings, and for each of their symbols those that might have stood in its place."""
    count, embedded, rng = checks.as_size("count", count), checks.as_flag("embedded", embedded), generator(seed)
    return [_embedded(rng) if embedded else _string(rng) for _ in range(count)]


def _string(rng: np.random.Generator) -> tuple[str, list[str]]:
    text, allowed, state = "", [], 0
    while state < len(_REBER):
        edges = _REBER[state]
        allowed.append("".join(edges))
        symbol = allowed[-1][rng.integers(len(edges))]
        text, state = text + symbol, edges[symbol]
    return text, allowed


def _embedded(rng: np.random.Generator) -> tuple[str, list[str]]:
    branch = "TP"[rng.integers(2)]
    text, allowed = _string(rng)
    return f"B{branch}{text}{branch}E", ["B", "TP", *allowed, branch, "E"]

"""The Python manual's topics, as ``help("topics")`` shows them: every paragraph once, some topics held out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

START = "\f"
"""Precedes every topic, so that a model can be asked to begin one."""
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""Replaces a character that occurs in held-out topics only."""


@dataclass(frozen=True)
class Split:
    """Text to learn from and text to be judged on.

    Attributes
    ----------
    train, test : str
        Topics, each behind a ``START``.
    held_out : list of str
        Names of the topics in ``test``.
    """

    train: str
    test: str
    held_out: list[str]


def load() -> dict[str, str]:
    """Return the topics of this Python's manual.

    Raises
    ------
    ModuleNotFoundError
        If this Python was installed without ``pydoc_data``.
    """
    try:
        from pydoc_data.topics import topics
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "manual: Python's own pydoc_data.topics is required; install Python's library"
        ) from error
    return dict(topics)


def without_duplicates(topics: Mapping[str, str]) -> dict[str, str]:
    r"""Keep every paragraph only in the first topic, by name, that has it; white space and case do not count.

    Examples
    --------
    >>> without_duplicates({"b": "two\n\nthree", "a": "One.\n\nTwo"})
    {'a': 'One.\n\nTwo\n', 'b': 'three\n'}
    """
    seen: set[str] = set()
    kept: dict[str, str] = {}
    for name in sorted(topics):
        paragraphs = []
        for paragraph in re.split(r"\n[ \t]*\n", topics[name]):
            key = " ".join(paragraph.split()).casefold()
            if key and key not in seen:
                seen.add(key)
                paragraphs.append(paragraph.strip("\n"))
        if paragraphs:
            kept[name] = "\n\n".join(paragraphs) + "\n"
    return kept


def split(topics: Mapping[str, str], *, share: float, rng: np.random.Generator) -> Split:
    """Hold out random topics until they are ``share`` of the text; no topic longer than that is chosen.

    Examples
    --------
    >>> s = split({str(i): "x" * 99 for i in range(10)}, share=0.2, rng=np.random.default_rng(0))
    >>> len(s.train), len(s.test), len(s.held_out)
    (800, 200, 2)
    """
    names = [list(topics)[i] for i in rng.permutation(len(topics))]
    wanted = share * sum(len(START + text) for text in topics.values())
    held_out: list[str] = []
    length = 0
    for name in names:
        if length < wanted and len(topics[name]) <= wanted:
            held_out.append(name)
            length += len(START + topics[name])
    train = "".join(START + topics[name] for name in names if name not in held_out)
    known = set(train)
    test = "".join(START + topics[name] for name in held_out)
    return Split(train, "".join(c if c in known else UNKNOWN for c in test), held_out)

"""Words as ids: rare ones are read as their endings, so that an unknown word is not unknown altogether."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

ENDINGS = (3, 2, 1)
"""Letters of the endings, the longest first."""


class Lexicon:
    """The ids of words that occur at least ``least`` times in a text, and of the endings of its other words.

    Examples
    --------
    >>> lexicon = Lexicon(["a", "a", "flying"], least=2)
    >>> lexicon["a"], lexicon["trying"] == lexicon["flying"], len(lexicon)
    (0, True, 5)
    """

    def __init__(self, words: Iterable[str], *, least: int) -> None:
        counts = Counter(words)
        known = sorted(word for word, count in counts.items() if count >= least)
        endings = {ending for word in counts if counts[word] < least for ending in _endings(word)}
        self._ids = {key: k for k, key in enumerate([*known, *sorted(endings | {"-"})])}

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, word: str) -> int:
        return next(self._ids[key] for key in (word, *_endings(word), "-") if key in self._ids)


def _endings(word: str) -> Iterator[str]:
    return (f"-{word[-size:]}" for size in ENDINGS)

"""Characters as ids."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.copies import CopiedWhole


class Vocabulary(CopiedWhole):
    """The characters that a model knows, each with an id: its place among them.

    Parameters
    ----------
    characters : str or iterable of str
        Any text; its distinct characters become the vocabulary, in the order of their code points.

    Attributes
    ----------
    characters : str
        The characters in the order of their ids.

    Raises
    ------
    TypeError
        If something else than text is given.

    Examples
    --------
    >>> v = Vocabulary("hello")
    >>> v.characters, v.encode("hole").tolist(), v.decode([1, 0])
    ('ehlo', [1, 3, 2, 0], 'he')
    """

    def __init__(self, characters: str | Iterable[str]) -> None:
        text = "".join(checks.as_text("characters", part) for part in checks.as_items("characters", characters))
        self.characters = "".join(sorted(set(text)))
        self._ids = {c: i for i, c in enumerate(self.characters)}

    def __len__(self) -> int:
        """Return the number of characters."""
        return len(self.characters)

    def __contains__(self, character: object) -> bool:
        """Return whether the character has an id."""
        return character in self._ids

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """Return the ids of the characters of a text.

        Parameters
        ----------
        text : str
            T characters of the vocabulary.

        Returns
        -------
        int64 array (T,)

        Raises
        ------
        ValueError
            If a character is not in the vocabulary.
        TypeError
            If ``text`` is not a string.
        """
        checks.as_text("text", text)
        try:
            return np.fromiter((self._ids[c] for c in text), np.int64, len(text))
        except KeyError as error:
            place = text.index(error.args[0])
            raise ValueError(
                f"text: characters of the vocabulary are required, got {error.args[0]!r} at place {place}"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids.

        Parameters
        ----------
        ids : iterable of int
            Each within 0..len(vocabulary)-1.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If an id is out of range.
        TypeError
            If an id is not an integer.
        """
        numbers = [checks.as_integer("ids", i) for i in checks.as_items("ids", ids)]
        for i in numbers:
            if not 0 <= i < len(self):
                raise ValueError(f"ids: each within 0..{len(self) - 1} is required, got {i}")
        return "".join(self.characters[i] for i in numbers)

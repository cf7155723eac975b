"""Texts as ids: vocabularies of characters, of words and of bytes."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, overload

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Int64
from rnnfast.copies import CopiedWhole

_WORDS = re.compile(r"\w+|[^\w\s]")


class AnyVocabulary(CopiedWhole):
    """Base of all vocabularies: tokens, each with an id, its place among them.

    Behind the tokens stand the id of everything unknown, if there is one, and that of padding, if there is one.

    Attributes
    ----------
    unknown, padding : int or None
        These ids.
    """

    kind: ClassVar[str]

    def __init__(self, tokens: Sequence[str], *, unknown: bool, padding: bool) -> None:
        self._tokens = tokens
        self._ids = {token: i for i, token in enumerate(tokens)}
        size = len(tokens)
        self.unknown: int | None = size if checks.as_flag("unknown", unknown) else None
        self.padding: int | None = size + unknown if checks.as_flag("padding", padding) else None

    def __len__(self) -> int:
        """Return the number of ids, those of the unknown and of padding included."""
        return self.written + (self.padding is not None)

    @property
    def written(self) -> int:
        """The number of ids that a text can have: all but that of padding."""
        return len(self._tokens) + (self.unknown is not None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} ids, unknown={self.unknown}, padding={self.padding}>"

    def __contains__(self, token: object) -> bool:
        """Return whether the token has an id of its own."""
        return token in self._ids

    @overload
    def encode(self, text: str) -> Int64: ...  # type: ignore[overload-overlap]  # a str is an iterable of str

    @overload
    def encode(self, text: Iterable[str]) -> list[Int64]: ...

    def encode(self, text: str | Iterable[str]) -> Int64 | list[Int64]:
        """Return the ids of the tokens of a text, or of several.

        Parameters
        ----------
        text : str, or iterable of str

        Returns
        -------
        int64 array (T,)
            For a text of T tokens.
        list of int64 arrays (T_i,)
            For several.

        Raises
        ------
        ValueError
            A token has no id, and there is none for the unknown.
        TypeError
            ``text`` is not text.
        """
        return self.encode_as("text", text)

    def encode_as(self, name: str, text: Any) -> Int64 | list[Int64]:
        """Return what ``encode`` does; messages call the text ``name``."""
        if isinstance(text, str) or not np.iterable(text):
            return self._encoded(name, checks.as_text(name, text))
        return [self._encoded(f"{name}[{n}]", checks.as_text(f"{name}[{n}]", each)) for n, each in enumerate(text)]

    @overload
    def decode(self, ids: Iterable[int]) -> str: ...

    @overload
    def decode(self, ids: Iterable[Iterable[int]]) -> list[str]: ...

    def decode(self, ids: Iterable[Any]) -> str | list[str]:
        """Return the text of ids, or several texts.

        Parameters
        ----------
        ids : iterable of int, or of several of these
            Each within 0..len(vocabulary)-1.

        Returns
        -------
        str, or list of str

        Raises
        ------
        ValueError
            If an id is out of range.
        TypeError
            If an id is not an integer.
        """
        items = list(checks.as_items("ids", ids))
        if any(np.iterable(item) for item in items):
            return [self._decoded(checks.as_items("ids", item)) for item in items]
        return self._decoded(items)

    def _decoded(self, ids: Iterable[Any]) -> str:
        numbers = [checks.as_integer("ids", i) for i in ids]
        for i in numbers:
            if not 0 <= i < len(self):
                raise ValueError(f"ids: each within 0..{len(self) - 1} is required, got {i}")
        return self._text([i for i in numbers if i != self.padding])

    def _looked_up(self, name: str, tokens: Sequence[str]) -> Int64:
        if self.unknown is not None:
            return np.fromiter((self._ids.get(t, self.unknown) for t in tokens), np.int64, len(tokens))
        try:
            return np.fromiter((self._ids[t] for t in tokens), np.int64, len(tokens))
        except KeyError as error:
            wanted = f"{self.kind} of the vocabulary are required"
            raise ValueError(
                f"{name}: {wanted}, got {error.args[0]!r} at place {tokens.index(error.args[0])}"
            ) from None

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return what ``as_vocabulary`` makes the vocabulary of again, as JSON can hold it."""

    @abstractmethod
    def _encoded(self, name: str, text: str) -> Int64:
        """Return the ids of the tokens of a text, which messages call ``name``."""

    @abstractmethod
    def _text(self, ids: list[int]) -> str:
        """Return the text of ids, none of which is padding."""


class Vocabulary(AnyVocabulary):
    """The characters that a model knows, each with an id: its place among them.

    Decoding what was encoded returns the same text, unless a character was unknown.

    Parameters
    ----------
    characters : str or iterable of str
        Any text; its distinct characters become the vocabulary, in the order of their code points.
    max_size : int or None
        Most characters to keep, the most frequent ones; among equals those with lower code points.
    min_count : int
        How often a character must occur to be kept.
    unknown : bool
        Whether characters without an id share one, behind those of the others. It is decoded as U+FFFD.
    padding : bool
        Whether the last id stands for no character at all.

    Attributes
    ----------
    characters : str
        The characters in the order of their ids.
    unknown, padding : int or None
        The ids of unknown characters and of padding.

    Raises
    ------
    TypeError
        If something else than text is given.
    ValueError
        If a number is below 1.

    Examples
    --------
    >>> v = Vocabulary("hello")
    >>> v.characters, v.encode("hole").tolist(), v.decode([1, 0])
    ('ehlo', [1, 3, 2, 0], 'he')
    >>> v = Vocabulary(["hello", "world"], min_count=2, unknown=True)
    >>> v.characters, [ids.tolist() for ids in v.encode(["low", "lo"])]
    ('lo', [[0, 1, 2], [0, 1]])
    """

    kind = "characters"

    def __init__(
        self,
        characters: str | Iterable[str],
        *,
        max_size: int | None = None,
        min_count: int = 1,
        unknown: bool = False,
        padding: bool = False,
    ) -> None:
        parts = checks.as_items("characters", characters)
        counts = Counter[str]()
        for part in [parts] if isinstance(parts, str) else parts:
            counts.update(checks.as_text("characters", part))
        self.characters = "".join(_chosen(counts, max_size, min_count))
        super().__init__(self.characters, unknown=unknown, padding=padding)

    def config(self) -> dict[str, Any]:
        """Return what ``as_vocabulary`` makes the vocabulary of again."""
        flags = {"unknown": self.unknown is not None, "padding": self.padding is not None}
        return {"kind": self.kind, "characters": self.characters, **flags}

    def _encoded(self, name: str, text: str) -> Int64:
        return self._looked_up(name, text)

    def _text(self, ids: list[int]) -> str:
        return "".join("\N{REPLACEMENT CHARACTER}" if i == self.unknown else self.characters[i] for i in ids)


class WordVocabulary(AnyVocabulary):
    r"""The words and punctuation marks that a model knows, each with an id: its place among them.

    A token is what the regular expression ``\w+|[^\w\s]`` finds: a run of letters, digits and underscores, or a single
    other character that is not white space. White space is not kept: decoding puts one space between two tokens.

    Parameters
    ----------
    texts : str or iterable of str
        Their distinct tokens become the vocabulary, in the order of their code points.
    max_size : int or None
        Most tokens to keep, the most frequent ones; among equals those that come first in that order.
    min_count : int
        How often a token must occur to be kept.
    unknown : bool
        Whether tokens without an id share one, behind those of the others. It is decoded as "<unk>".
    padding : bool
        Whether the last id stands for no token at all.
    lowercase : bool
        Whether upper and lower case are the same.

    Attributes
    ----------
    words : tuple of str
        The tokens in the order of their ids.
    unknown, padding : int or None
        The ids of unknown tokens and of padding.

    Raises
    ------
    TypeError
        If something else than text is given.
    ValueError
        If a number is below 1.

    Examples
    --------
    >>> v = WordVocabulary(["To be, or not to be?"], lowercase=True)
    >>> v.words
    (',', '?', 'be', 'not', 'or', 'to')
    >>> v.encode("To be is to do").tolist(), v.decode([5, 2, 1, 6])
    ([5, 2, 6, 5, 6], 'to be ? <unk>')
    """

    kind = "words"

    def __init__(
        self,
        texts: str | Iterable[str],
        *,
        max_size: int | None = None,
        min_count: int = 1,
        unknown: bool = True,
        padding: bool = False,
        lowercase: bool = False,
    ) -> None:
        self.lowercase = checks.as_flag("lowercase", lowercase)
        counts = Counter[str]()
        for text in [texts] if isinstance(texts, str) else checks.as_items("texts", texts):
            counts.update(self._split(checks.as_text("texts", text)))
        self.words = tuple(_chosen(counts, max_size, min_count))
        super().__init__(self.words, unknown=unknown, padding=padding)

    def config(self) -> dict[str, Any]:
        """Return what ``as_vocabulary`` makes the vocabulary of again."""
        flags = {"unknown": self.unknown is not None, "padding": self.padding is not None, "lowercase": self.lowercase}
        return {"kind": self.kind, "texts": " ".join(self.words), **flags}

    def _encoded(self, name: str, text: str) -> Int64:
        return self._looked_up(name, self._split(text))

    def _split(self, text: str) -> list[str]:
        return _WORDS.findall(text.lower() if self.lowercase else text)

    def _text(self, ids: list[int]) -> str:
        return " ".join("<unk>" if i == self.unknown else self.words[i] for i in ids)


class ByteVocabulary(AnyVocabulary):
    """The 256 bytes: a text is its UTF-8 form, so that nothing is unknown.

    Decoding what was encoded returns the same text. Of bytes that are no UTF-8, which a model may write, each becomes
    U+FFFD.

    Parameters
    ----------
    padding : bool
        Whether id 256 stands for no byte at all.

    Attributes
    ----------
    unknown : None
    padding : int or None
        The id of padding.

    Examples
    --------
    >>> v = ByteVocabulary()
    >>> v.encode("né").tolist(), v.decode([110, 195, 169])
    ([110, 195, 169], 'né')
    """

    kind = "bytes"

    def __init__(self, *, padding: bool = False) -> None:
        super().__init__([chr(i) for i in range(256)], unknown=False, padding=padding)

    def config(self) -> dict[str, Any]:
        """Return what ``as_vocabulary`` makes the vocabulary of again."""
        return {"kind": self.kind, "padding": self.padding is not None}

    def _encoded(self, name: str, text: str) -> Int64:
        try:
            return np.frombuffer(text.encode(), np.uint8).astype(np.int64)
        except UnicodeEncodeError as error:
            wanted = "text that UTF-8 can hold is required"
            raise ValueError(f"{name}: {wanted}, got {text[error.start]!r} at place {error.start}") from None

    def _text(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")


KINDS: dict[str, Any] = {each.kind: each for each in (Vocabulary, WordVocabulary, ByteVocabulary)}


def as_vocabulary(name: str, given: Any) -> AnyVocabulary | None:
    """Return the vocabulary that a user or a configuration means: an object, what its ``config`` returned, or None.

    Raises
    ------
    TypeError
        Anything else.
    ValueError
        A dict of another kind.

    Examples
    --------
    >>> as_vocabulary("vocabulary", {"kind": "bytes", "padding": True}).padding
    256
    """
    if given is None or (isinstance(given, AnyVocabulary) and given.kind in KINDS):
        return given
    if not isinstance(given, Mapping) or "kind" not in given:
        raise TypeError(f"{name}: a vocabulary of rnnfast.text, or None, is required, got {checks.shown(given)}")
    options = dict(given)
    found: AnyVocabulary = KINDS[checks.as_choice(f"{name}['kind']", options.pop("kind"), KINDS)](**options)
    return found


def is_text(x: Any) -> bool:
    """Return whether x is a text, or a list, array or column of pandas or polars of texts."""
    if isinstance(x, str):
        return True
    if not isinstance(x, list | tuple):
        kind = getattr(getattr(x, "dtype", None), "kind", "O" if hasattr(x, "null_count") else "")
        if kind not in ("U", "O", "T") or getattr(x, "ndim", 1) != 1:
            return False
    return len(x) > 0 and isinstance(next(iter(x)), str)


def as_ids(vocabulary: AnyVocabulary | None, x: Any, name: str) -> Any:
    """Return the ids of a text, or of several, in place of them; anything else as it is.

    Raises
    ------
    TypeError
        A text, and no vocabulary.
    """
    if not is_text(x):
        return x
    if vocabulary is None:
        raise TypeError(f"{name}: ids are required, since the model has no vocabulary; got the text {checks.shown(x)}")
    return vocabulary.encode_as(name, x)


def _chosen(counts: Counter[str], max_size: int | None, min_count: int) -> list[str]:
    """Return the tokens to keep, in the order of their code points."""
    least = checks.as_size("min_count", min_count)
    kept = sorted(token for token, count in counts.items() if count >= least)
    if max_size is None:
        return kept
    most = checks.as_size("max_size", max_size)
    return sorted(sorted(kept, key=lambda token: -counts[token])[:most])

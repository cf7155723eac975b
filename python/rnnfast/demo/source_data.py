"""Files of the standard library, each character with its syntax class, some files held out."""

from __future__ import annotations

import io
import keyword
import os
import token
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnnfast.text import Vocabulary

CLASSES = ("name", "keyword", "number", "string", "comment", "operator", "newline", "indentation", "space")
"""``space`` is white space between tokens, and the backslash of a continued line."""
NAME, KEYWORD, NUMBER, STRING, COMMENT, OPERATOR, NEWLINE, INDENTATION, SPACE = range(len(CLASSES))
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""Stands for every rare character."""
LEAST = 20
"""A character that occurs less often in the files to learn from is rare."""
SMALLEST, LARGEST = 2_000, 40_000
LEFT_OUT = {"__pycache__", "dist-packages", "encodings", "idle_test", "pydoc_data", "site-packages", "test", "tests"}
HELD_OUT = 0.15

Ids = npt.NDArray[np.int64]

_PARTS = {
    "NAME": NAME,
    "NUMBER": NUMBER,
    "STRING": STRING,
    "OP": OPERATOR,
    "COMMENT": COMMENT,
    "NEWLINE": NEWLINE,
    "NL": NEWLINE,
    "FSTRING_START": STRING,
    "FSTRING_MIDDLE": STRING,
    "FSTRING_END": STRING,
    "TSTRING_START": STRING,
    "TSTRING_MIDDLE": STRING,
    "TSTRING_END": STRING,
}


@dataclass
class File:
    """A file: its text, the text as ids (T,), and the classes of its characters (T,)."""

    name: str
    text: str
    ids: Ids
    classes: Ids


@dataclass
class Source:
    """Files to learn from, and files to be judged on."""

    vocabulary: Vocabulary
    train: list[File]
    test: list[File]

    def encode(self, text: str) -> Ids:
        """Return the ids of characters, rare ones included."""
        return _encoded(text, self.vocabulary)


def labels(text: str) -> Ids:
    r"""Return the class of every character of Python source, (T,).

    From Python 3.12 on, ``tokenize`` looks into the braces of an f-string, and the code there has its own classes;
    earlier, all of an f-string is string.

    Parameters
    ----------
    text : str
        The source, with ``\n`` at the ends of its lines.

    Raises
    ------
    SyntaxError, tokenize.TokenError
        If it cannot be cut into tokens.

    Examples
    --------
    >>> [CLASSES[k] for k in labels("if x:#y\n")]
    ['keyword', 'keyword', 'space', 'name', 'operator', 'comment', 'comment', 'newline']
    """
    lines = text.split("\n")
    starts = np.concatenate([[0], np.cumsum([len(line) + 1 for line in lines])])
    out = _between_tokens(lines)
    parts = {number: part for name, part in _PARTS.items() if (number := getattr(token, name, None)) is not None}
    for t in tokenize.generate_tokens(io.StringIO(text, newline="\n").readline):
        if t.type == token.ERRORTOKEN:
            raise SyntaxError(f"source: tokens are required, got {t.string!r} in line {t.start[0]}")
        part = parts.get(t.type)
        if part == NAME and keyword.iskeyword(t.string):
            part = KEYWORD
        if part is not None:
            start, end = (starts[min(row, len(lines)) - 1] + column for row, column in (t.start, t.end))
            out[start:end] = part
    return out[: len(text)]


def _between_tokens(lines: Sequence[str]) -> Ids:
    """Return the classes of what no token covers: white space, and the second braces of ``{{`` in an f-string."""
    codes = np.frombuffer("".join(line + "\n" for line in lines).encode("utf-32-le"), "<u4")
    out = np.where((codes == ord("{")) | (codes == ord("}")), STRING, SPACE).astype(np.int64)
    start = 0
    for line in lines:
        out[start : start + len(line) - len(line.lstrip())] = INDENTATION
        start += len(line) + 1
    return out


def files(root: Path) -> Iterator[Path]:
    """Yield Python files of moderate size below ``root``, in alphabetical order, without tests and tables."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for path in (Path(folder, name) for name in sorted(names) if name.endswith(".py")):
            try:
                if SMALLEST <= path.stat().st_size <= LARGEST:
                    yield path
            except OSError:
                continue


def load(characters: int, *, rng: np.random.Generator, root: Path | None = None) -> Source:
    """Draw files at random until they have about ``characters``, label them, and hold out a share ``HELD_OUT``.

    Copies, and files that cannot be read or cut into tokens, are left out. ``root`` is the standard library's folder
    unless it is given.

    Raises
    ------
    FileNotFoundError
        If there are fewer than two such files below ``root``.
    """
    root = Path(os.__file__).parent if root is None else root
    found = list(files(root))
    chosen: dict[str, tuple[str, Ids]] = {}
    total = 0
    for i in rng.permutation(len(found)):
        if total >= characters:
            break
        try:
            with tokenize.open(found[i]) as file:
                text = file.read()
            if text and text not in chosen:
                chosen[text] = found[i].relative_to(root).as_posix(), labels(text)
                total += len(text)
        except (OSError, ValueError, SyntaxError, tokenize.TokenError):
            continue
    if len(chosen) < 2:
        raise FileNotFoundError(f"source: two Python files are required below {root}, got {len(chosen)}")
    return _split(chosen)


def _split(chosen: Mapping[str, tuple[str, Ids]]) -> Source:
    """Hold out the first files; ``chosen`` maps texts to names and classes."""
    wanted, texts = HELD_OUT * sum(len(text) for text in chosen), list(chosen)
    first = 1
    while sum(len(text) for text in texts[:first]) < wanted and first < len(texts) - 1:
        first += 1
    counts = Counter("".join(texts[first:]))
    vocabulary = Vocabulary([UNKNOWN, *(c for c, count in counts.items() if count >= LEAST)])
    parts = [File(name, text, _encoded(text, vocabulary), classes) for text, (name, classes) in chosen.items()]
    return Source(vocabulary, parts[first:], parts[:first])


def _encoded(text: str, vocabulary: Vocabulary) -> Ids:
    return vocabulary.encode("".join(c if c in vocabulary else UNKNOWN for c in text))

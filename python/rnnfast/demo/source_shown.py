"""Python source with the predicted class of each character, for the terminal and for the page."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnnfast.demo.results import Colours, Sample
from rnnfast.demo.source_data import CLASSES, File

LINES, COLOURED = 14, 4000
"""Lines for the terminal, characters for the page."""
LETTERS = "nk0s#o\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}i_"
"""Letters of the classes."""

Ids = npt.NDArray[np.int64]


def marked(text: str, found: Ids, true: Ids) -> str:
    r"""Add a line below every line with errors, with the letter of the predicted class below each wrong character.

    Examples
    --------
    >>> print(marked("if 1:\n", np.array([0, 1, 8, 2, 5, 6]), np.array([1, 1, 8, 2, 5, 6])))
    if 1:
    n
    """
    lines, start = [], 0
    for line in text.removesuffix("\n").split("\n"):
        places = range(start, min(start + len(line) + 1, len(text)))
        marks = "".join(LETTERS[found[i]] if found[i] != true[i] else " " for i in places).rstrip()
        lines += [line, marks] if marks else [line]
        start += len(line) + 1
    return "\n".join(lines)


def sample(file: File, found: Ids) -> Sample:
    """Return some lines from the middle of a file, with errors marked."""
    middle = file.text.find("\n", len(file.text) // 2) + 1
    lines = file.text[middle:].split("\n")[:LINES]
    part = slice(middle, middle + sum(len(line) + 1 for line in lines))
    legend = ", ".join(f"{letter} {name}" for letter, name in zip(LETTERS, CLASSES, strict=True))
    return Sample(
        title=f"From {file.name}, held out; below wrong characters the class they were given ({legend})",
        text=marked(file.text[part], found[part], file.classes[part]),
    )


def colours(file: File, found: Ids) -> Colours:
    """Return some thousand characters from the middle of a file, with their predicted classes."""
    begin = max(0, file.text.rfind("\n", 0, max(0, len(file.text) // 2 - COLOURED // 2)) + 1)
    part = slice(begin, begin + COLOURED)
    return Colours(
        title=f"{file.name}, held out, coloured by the model",
        text=file.text[part],
        classes=CLASSES,
        found=found[part].tolist(),
        true=file.classes[part].tolist(),
    )


def visible(text: str) -> list[str]:
    """Return the characters, with visible signs for spaces and newlines."""
    signs = {" ": "\N{OPEN BOX}", "\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"}
    return [signs.get(c, c) for c in text]

"""Files of the UEA and UCR archives: a header, then one case a line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Float64
from rnnfast.atomic import StrPath
from rnnfast.checks import names_arguments
from rnnfast.data.dataset import Dataset, class_names, known_classes
from rnnfast.data.lines import misplaced, opened

MISSING = ("?", "NaN", "nan")
_FLAGS = ("timestamps", "missing", "univariate", "equallength", "classlabel", "targetlabel")
_COUNTS = ("dimensions", "dimension", "serieslength")


@names_arguments
def read_ts(path: StrPath, *, classes: Sequence[str] | None = None) -> Dataset:
    """Read a ``.ts`` file of the UEA and UCR archives (Bagnall et al. 2018), also one that ends in ``.gz``.

    A line is a case: dimensions, separated by ``:``, of values, separated by ``,``; a class label or a number stands
    last where the header says so. Cases may have different lengths, and ``?`` stands for a missing value.

    Parameters
    ----------
    path : str or path
        The file.
    classes : sequence of str, or None
        The labels in the order of their ids, as those of the training data. None: those of the header.

    Returns
    -------
    Dataset
        Its features are called "0", "1", ..., its sequences by their lines.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no such file; the message names the line and the column, from 1. Timestamps are not read.

    Examples
    --------
    >>> from pathlib import Path
    >>> lines = ["@dimensions 2", "@classLabel true no yes", "@data", "1,2,3:4,5,6:no", "7,?:8,9:yes"]
    >>> _ = Path("example.ts").write_text(chr(10).join(lines))
    >>> data = read_ts("example.ts")
    >>> data.y, data.classes
    (array([0, 1]), ['no', 'yes'])
    >>> data.x[1]
    array([[ 7.,  8.],
           [nan,  9.]])
    """
    name, chosen = os.fsdecode(checks.as_path("path", path)), known_classes(classes)
    header, cases = _Header(name), list[Array]()
    labels: list[str] = []
    places: list[str] = []
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            text, place = line.rstrip(), f"{name}, line {number}"
            if not text or text.startswith("#"):
                continue
            if not header.complete:
                header.read(text, place)
                continue
            parts = text.split(":")
            label, start = (parts.pop().strip(), len(":".join(parts)) + 2) if header.labelled else ("", 0)
            cases.append(_case(parts, header, place))
            labels.append(header.label(label, chosen, f"{place}, column {start}") if header.labelled else "")
            places.append(str(number))
    if not header.complete:
        raise misplaced(name, "a line @data, behind the header,", "none")
    if not cases:
        raise misplaced(name, "at least one case behind @data", "none")
    y: Any = None
    names = None
    if header.flags.get("classlabel"):
        names = chosen or header.classes or class_names(labels)
        ids = {label: i for i, label in enumerate(names)}
        y = np.array([ids[label] for label in labels], np.int64)
    elif header.labelled:
        y = np.array(labels, np.float64)[:, None]
    features = [str(i) for i in range(cases[0].shape[1])]
    return Dataset(x=cases, y=y, ids=places, features=features, classes=names)


@dataclass
class _Header:
    """What the lines that begin with @ say."""

    file: str
    flags: dict[str, bool] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    complete: bool = False

    @property
    def labelled(self) -> bool:
        return self.flags.get("classlabel", False) or self.flags.get("targetlabel", False)

    def read(self, text: str, place: str) -> None:
        """Take over one line; ValueError for what it cannot mean."""
        word, *values = text.split()
        key, column = word.removeprefix("@").lower(), f"{place}, column {len(word) + 2}"
        if not word.startswith("@"):
            raise misplaced(f"{place}, column 1", "a line of the header (@...), or @data before the cases,", text)
        if key == "data":
            self.complete = True
        elif key in _FLAGS:
            if not values or values[0].lower() not in ("true", "false"):
                raise misplaced(column, "true or false", " ".join(values))
            self.flags[key] = values[0].lower() == "true"
            if key == "classlabel":
                self.classes = values[1:]
            if key == "timestamps" and self.flags[key]:
                raise misplaced(column, "@timeStamps false", "true")
        elif key in _COUNTS:
            if len(values) != 1 or not values[0].isdecimal() or int(values[0]) < 1:
                raise misplaced(column, "a number of at least 1", " ".join(values))
            self.counts["dimensions" if key == "dimension" else key] = int(values[0])
        elif key != "problemname":
            raise misplaced(f"{place}, column 1", "a known word of the header", word)

    def label(self, text: str, chosen: list[str] | None, place: str) -> str:
        """Return a label that the header, or the user, knows; of a regression, any number."""
        if self.flags.get("classlabel"):
            known = chosen or self.classes
            if not text or (known and text not in known):
                raise misplaced(place, f"a class label, one of {', '.join(known)}," if known else "a class label", text)
        else:
            _number(text, place)
        return text


def _case(parts: list[str], header: _Header, place: str) -> Float64:
    """Return the dimensions (T, C) of one line."""
    wanted = 1 if header.flags.get("univariate") else header.counts.get("dimensions", len(parts))
    header.counts["dimensions"] = wanted
    if len(parts) != wanted:
        behind = " and a label" if header.labelled else ""
        column = len(":".join(parts[:wanted])) + 1
        raise ValueError(f"{place}, column {column}: {wanted} dimensions{behind} are required, got {len(parts)}")
    dimensions: list[Float64] = []
    column = 1
    for part in parts:
        cells = part.split(",")
        steps = len(dimensions[0]) if dimensions else _steps(header, len(cells))
        if len(cells) != steps:
            raise ValueError(f"{place}, column {column}: {steps} values are required in a dimension, got {len(cells)}")
        dimensions.append(_numbers(cells, place, column))
        column += len(part) + 1
    return np.stack(dimensions, axis=1)


def _steps(header: _Header, found: int) -> int:
    """Return how many values a case must have."""
    if header.flags.get("equallength"):
        return header.counts.setdefault("serieslength", found)
    return found


def _numbers(cells: list[str], place: str, column: int) -> Float64:
    """Return the values of one dimension, which begins at a column of its line."""
    try:
        return np.array(["nan" if cell.strip() in MISSING else cell for cell in cells], np.float64)
    except ValueError:
        for cell in cells:
            if cell.strip() not in MISSING:
                _number(cell.strip(), f"{place}, column {column}", " or ?")
            column += len(cell) + 1
        raise


def _number(text: str, place: str, other: str = "") -> float:
    try:
        return float(text)
    except ValueError:
        raise misplaced(place, f"a number{other}", text) from None

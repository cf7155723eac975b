"""Real data, read from the folder of ``RNNFAST_DATA``."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

VARIABLE = "RNNFAST_DATA"
Sentence = list[tuple[str, str]]


class DataMissing(FileNotFoundError):
    """The folder of real data is absent, or lacks a file."""


def folder() -> Path:
    """The folder that the environment names."""
    if VARIABLE not in os.environ:
        raise DataMissing(f"{VARIABLE}: the folder of the data is required, got none")
    return Path(os.environ[VARIABLE])


def found(*parts: str) -> Path:
    """The path of a file in the folder."""
    path = folder().joinpath(*parts)
    if not path.is_file():
        raise DataMissing(f"{path}: a file is required, got none")
    return path


def text(path: Path) -> str:
    """The characters of a file, unpacked where its name ends in ``.gz``; line ends stay as they are."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")


def tagged_sentences(path: Path) -> list[Sentence]:
    """Sentences of (word, tag): a line for a word, an empty line between sentences."""
    blocks = text(path).strip().split("\n\n")
    return [[(word, tag) for word, tag in (line.split("\t") for line in block.splitlines())] for block in blocks]


def table(path: Path) -> npt.NDArray[np.float64]:
    """The rows (T, C) of a CSV file behind its head; what is empty is NaN."""
    return np.genfromtxt(path, delimiter=",", skip_header=1, dtype=np.float64)


def months(path: Path) -> npt.NDArray[np.float64]:
    """The values (T,) of lines that hold a year and its twelve months; all other lines are notes."""
    lines = [line.replace("*", "").split() for line in text(path).splitlines()]
    return np.array([line[1:] for line in lines if len(line) == 13 and line[0].isdigit()], np.float64).reshape(-1)

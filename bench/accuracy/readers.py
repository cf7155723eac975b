"""Real data as arrays and lists, read from the folder of ``RNNFAST_DATA``."""

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


def text(path: Path) -> str:
    """The characters of a file, unpacked where its name ends in ``.gz``; line ends stay as they are."""
    if not path.is_file():
        raise DataMissing(f"{path}: a file is required, got none")
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")


def ts(path: Path) -> tuple[list[npt.NDArray[np.float64]], list[str]]:
    """Sequences (T, C) and classes of a file in the ``.ts`` format of the UEA and UCR archives.

    A case is a line: channels separated by ``:``, values by ``,``, the class last.
    """
    _, _, cases = text(path).partition("@data")
    x, y = list[npt.NDArray[np.float64]](), list[str]()
    for line in cases.split():
        *channels, label = line.split(":")
        x.append(np.array([channel.split(",") for channel in channels], np.float64).T)
        y.append(label)
    return x, y


def tagged_sentences(path: Path) -> list[Sentence]:
    """Sentences of (word, tag): a line for a word, an empty line between sentences."""
    blocks = text(path).strip().split("\n\n")
    return [[(word, tag) for word, tag in (line.split("\t") for line in block.splitlines())] for block in blocks]

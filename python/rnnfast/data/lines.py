"""Text files line by line, and errors that name the place in a file."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from rnnfast import checks
from rnnfast.atomic import StrPath, require_regular


@contextmanager
def opened(path: StrPath) -> Iterator[IO[str]]:
    """Open a text in UTF-8, also one that gzip has compressed (the name ends in .gz).

    A mark of the byte order at the beginning is left out.

    Raises
    ------
    OSError
        The file cannot be read, or is no regular file.
    ValueError
        It is no text in UTF-8, or no file of gzip.
    """
    name = os.fsdecode(checks.as_path("path", path))
    require_regular(os.stat(name), name)
    try:
        if name.endswith(".gz"):
            with gzip.open(name, "rt", encoding="utf-8-sig", newline="") as file:
                yield file
        else:
            with open(name, encoding="utf-8-sig", newline="") as file:
                yield file
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: text in UTF-8 is required, got {error.reason} in its bytes") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{name}: an undamaged file of gzip is required, got {error}") from None


def misplaced(place: str, required: str, got: object) -> ValueError:
    """Return the error of what stands at a place, such as "data.csv, line 3, column 'x'".

    Examples
    --------
    >>> misplaced("data.csv, line 3, column 'x'", "a number", "abc")
    ValueError("data.csv, line 3, column 'x': a number is required, got 'abc'")
    """
    return ValueError(f"{place}: {required} is required, got {checks.shown(got)}")

"""Tables: the columns of a CSV file or of a frame, with the place of every cell."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Float64
from rnnfast.data.lines import misplaced, opened

# Of files, and of frames the texts of None, NaN, pandas.NA and pandas.NaT.
MISSING = frozenset(("", "NA", "NaN", "nan", "null", "None", "?", "<NA>", "NaT"))


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of equal length.

    Attributes
    ----------
    name : str
        The file, or "source" for a frame.
    columns : dict of str to list of str
        Every cell as text; a missing one is "".
    rows : list of int
        The number of each row in the source: its first line in a file, or its place in a frame.
    unit : "line" or "row"
        What the numbers count.
    """

    name: str
    columns: dict[str, list[str]]
    rows: Sequence[int]
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, argument: str, name: Any) -> str:
        """Return the name of a column that a user gives as ``argument``, checked."""
        if not isinstance(name, str) or name not in self.columns:
            return checks.as_choice(argument, name, list(self.columns))
        return name

    def place(self, row: int, column: str) -> str:
        """Return where a cell stands."""
        return f"{self.name}, {self.unit} {self.rows[row]}, column {column!r}"

    def numbers(self, name: str) -> Float64:
        """Return a column of numbers, NaN where one is missing; ValueError for another cell, with its place."""
        cells = self.columns[name]
        try:
            return np.array([cell or "nan" for cell in cells], np.float64)
        except ValueError:
            for row, cell in enumerate(cells):
                if not is_number(cell):
                    raise misplaced(self.place(row, name), "a number", cell) from None
            raise

    def numeric(self, name: str) -> bool:
        """Return whether all cells of a column are numbers or missing, and one is a number."""
        return any(self.columns[name]) and all(is_number(cell) for cell in self.columns[name])


def is_number(cell: str) -> bool:
    """Return whether a cell is a number or missing."""
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def as_table(source: Any, delimiter: str | None = None) -> Table:
    """Return the table in a CSV file, given by its path, or in a frame of pandas or polars; a table as it is.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no CSV file with a header; the message names the line.
    TypeError
        Neither a path nor a frame.
    """
    if isinstance(source, Table):
        return source
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        named = [(str(name), source.iloc[:, i].tolist()) for i, name in enumerate(source.columns)]
        return _of_frame(named, len(source))
    if hasattr(source, "columns") and hasattr(source, "get_columns"):
        return _of_frame([(column.name, column.to_list()) for column in source.get_columns()], source.height)
    if not isinstance(source, str | bytes | os.PathLike):
        raise TypeError(f"source: a path, or a frame of pandas or polars, is required, got {checks.shown(source)}")
    return _of_file(os.fsdecode(source), delimiter)


def _of_frame(named: list[tuple[str, list[Any]]], count: int) -> Table:
    columns = {name: _stripped(map(_text, cells)) for name, cells in named}
    if not columns or count == 0:
        raise ValueError(f"source: a frame with columns and rows is required, got {len(columns)} and {count}")
    if len(columns) < len(named):
        raise ValueError(f"source: columns of different names are required, got {', '.join(name for name, _ in named)}")
    return Table(name="source", columns=columns, rows=range(count), unit="row")


def _text(cell: Any) -> str:
    """Return what a CSV file would have for a cell of a frame; numbers lose no bit."""
    whole = isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53
    return str(int(cell)) if whole else str(cell)


def _of_file(name: str, delimiter: str | None) -> Table:
    with opened(name) as file:
        separator = delimiter or ("\t" if name.removesuffix(".gz").endswith(".tsv") else ",")
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            header = [cell.strip() for cell in next(reader, [])]
            _check_header(header, name)
            rows, lines = [], []
            line = reader.line_num + 1
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(line)
                    if len(row) != len(header):
                        raise _uneven(row, header, f"{name}, line {line}")
                line = reader.line_num + 1
        except csv.Error as error:
            raise ValueError(f"{name}, line {reader.line_num}: a row of CSV is required, got {error}") from None
    if not rows:
        raise misplaced(f"{name}, line 2", "at least one row behind the header", "none")
    cells = zip(*rows, strict=True)
    columns = {title: _stripped(each) for title, each in zip(header, cells, strict=True)}
    return Table(name=name, columns=columns, rows=lines)


def _stripped(cells: Iterable[str]) -> list[str]:
    """Return cells without space around them, the missing ones empty."""
    return ["" if (text := cell.strip()) in MISSING else text for cell in cells]


def _check_header(header: Sequence[str], name: str) -> None:
    place = f"{name}, line 1"
    if not header:
        raise misplaced(place, "a header with the names of the columns", "none")
    for i, title in enumerate(header):
        if not title or title in header[:i]:
            got = f"{title!r} again" if title else "none"
            raise ValueError(f"{place}, column {i + 1}: a name of its own is required, got {got}")
    if all(is_number(title) for title in header):
        raise misplaced(f"{place}, column 1", "a header with the names of the columns", header[0])


def _uneven(row: list[str], header: list[str], place: str) -> ValueError:
    at = f"column {header[len(row)]!r}" if len(row) < len(header) else f"column {len(header) + 1}"
    return ValueError(f"{place}, {at}: {len(header)} cells, as in the header, are required, got {len(row)}")

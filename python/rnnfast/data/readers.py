"""Sequences in tables: a row a step, or a row a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, Float64, Int64
from rnnfast.checks import names_arguments
from rnnfast.data.dataset import Dataset, class_names, is_integer, known_classes
from rnnfast.data.lines import misplaced
from rnnfast.data.tables import Table, as_table

TASKS = ("classification", "regression")
MOST_CLASSES = 20  # a column of more integers than these is a quantity


@names_arguments
def read_long(
    source: Any,
    *,
    id: str | None = None,
    time: str | None = None,
    features: Sequence[str] | None = None,
    target: str | None = None,
    task: str | None = None,
    aligned: bool | None = None,
    classes: Sequence[str] | None = None,
    delimiter: str | None = None,
) -> Dataset:
    """Read a table in long form: a row is a step of a sequence.

    Parameters
    ----------
    source : path of a CSV file, or a frame of pandas or polars
        A file has the names of its columns in the first line; one that ends in ``.gz`` is unpacked. Empty cells, NA,
        NaN, null, None and ? are missing.
    id : str or None
        The column that says to which sequence a row belongs; rows of a sequence need not stand together. None: all
        rows are one sequence.
    time : str or None
        The column by which the steps of a sequence are sorted: numbers, or texts that sort by time (ISO 8601). None:
        the order of the rows.
    features : sequence of str, or None
        The columns of numbers that a model reads; None: all but the others.
    target : str or None
        The column to predict.
    task : {"classification", "regression"} or None
        None: a classification where the target has a text, or at most 20 different integers, each of them twice as a
        mean.
    aligned : bool or None
        Whether there is a target at every step; None: where it changes within a sequence.
    classes : sequence of str, or None
        The labels in the order of their ids, as those of the training data. None: all that occur, sorted.
    delimiter : str or None
        Between the cells of a file; None: a tab in files that end in ``.tsv``, else a comma.

    Returns
    -------
    Dataset
        Sequences are in the order of their first rows.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError, TypeError
        It is no such table; the message names file, line and column. A target that is missing, a label that is none of
        ``classes``, or two steps of a sequence with the same time.

    Examples
    --------
    >>> from pathlib import Path
    >>> lines = ["who,day,level,mood", "ann,1,0.5,good", "bob,1,0.1,bad", "ann,2,0.7,good"]
    >>> _ = Path("levels.csv").write_text(chr(10).join(lines))
    >>> data = read_long("levels.csv", id="who", time="day", target="mood")
    >>> data.x[0].tolist(), data.y.tolist(), data.ids, data.classes
    ([[0.5], [0.7]], [1, 0], ['ann', 'bob'], ['bad', 'good'])
    """
    table, known = as_table(source, _delimiter(delimiter)), known_classes(classes)
    roles = {"id": id, "time": time, "target": target}
    used = [table.column(role, name) for role, name in roles.items() if name is not None]
    chosen = _features(table, features, used)
    rows = _by_id(table, id)
    if time is not None:
        times = _times(table, time)
        rows = {name: _sorted(table, time, times, index) for name, index in rows.items()}
    read = np.stack([table.numbers(name) for name in chosen], axis=1)
    x = [read[index] for index in rows.values()]
    if target is None:
        return Dataset(x=x, y=None, ids=list(rows), features=chosen)
    every = _changes(table.columns[target], rows) if aligned is None else checks.as_flag("aligned", aligned)
    if every:
        values, names = _targets(table, target, task, known, range(len(table)))
        y: Any = [values[index] for index in rows.values()]
    else:
        _check_constant(table, target, rows)
        y, names = _targets(table, target, task, known, [int(index[0]) for index in rows.values()])
    return Dataset(x=x, y=y, ids=list(rows), features=chosen, classes=names)


@names_arguments
def read_wide(
    source: Any,
    *,
    id: str | None = None,
    features: Sequence[str] | None = None,
    target: str | None = None,
    task: str | None = None,
    classes: Sequence[str] | None = None,
    delimiter: str | None = None,
) -> Dataset:
    """Read a table in wide form: a row is a sequence of one feature, a column a step.

    Parameters
    ----------
    source : path of a CSV file, or a frame of pandas or polars
        A file has the names of its columns in the first line; one that ends in ``.gz`` is unpacked. Empty cells, NA,
        NaN, null, None and ? are missing.
    id : str or None
        The column that names the sequences; None numbers the rows from 0.
    features : sequence of str, or None
        The columns of the steps in their order; None: all but the others.
    target : str or None
        The column to predict.
    task : {"classification", "regression"} or None
        None: a classification where the target has a text, or at most 20 different integers, each of them twice as a
        mean.
    classes : sequence of str, or None
        The labels in the order of their ids, as those of the training data. None: all that occur, sorted.
    delimiter : str or None
        Between the cells of a file; None: a tab in files that end in ``.tsv``, else a comma.

    Returns
    -------
    Dataset
        A sequence ends with the last cell of its row that is not missing. Its feature is called "value".

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError, TypeError
        It is no such table; the message names file, line and column. A target that is missing, a label that is none of
        ``classes``, or a row without steps.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("beats.csv").write_text(chr(10).join(["t0,t1,t2,label", "1,2,3,sick", "4,5,,well"]))
    >>> data = read_wide("beats.csv", target="label")
    >>> [one[:, 0].tolist() for one in data.x], data.y.tolist(), data.classes
    ([[1.0, 2.0, 3.0], [4.0, 5.0]], [0, 1], ['sick', 'well'])
    """
    table, known = as_table(source, _delimiter(delimiter)), known_classes(classes)
    used = [table.column(role, name) for role, name in (("id", id), ("target", target)) if name is not None]
    chosen = _features(table, features, used)
    read = np.stack([table.numbers(name) for name in chosen], axis=1)
    exists = ~np.isnan(read)
    for row in np.flatnonzero(~exists.any(axis=1)):
        raise misplaced(table.place(int(row), chosen[0]), "a sequence of at least one step", "only missing cells")
    ends = len(chosen) - exists[:, ::-1].argmax(axis=1)
    x = [row[:end, None] for row, end in zip(read, ends, strict=True)]
    ids = [str(i) for i in range(len(table))] if id is None else table.columns[id]
    if target is None:
        return Dataset(x=x, y=None, ids=ids, features=["value"])
    y, names = _targets(table, target, task, known, range(len(table)))
    return Dataset(x=x, y=y, ids=ids, features=["value"], classes=names)


def is_classification(labels: Sequence[str]) -> bool:
    """Return whether targets are labels: texts, or few integers that occur often.

    Examples
    --------
    >>> is_classification(["up", "down"]), is_classification(["0", "1", "1", "0"]), is_classification(["0.5", "1"])
    (True, True, False)
    """
    distinct = set(labels)
    if all(is_integer(label) for label in distinct):
        return len(distinct) <= MOST_CLASSES and len(labels) >= 2 * len(distinct)
    return not all(_is_real(label) for label in distinct)


def _is_real(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _delimiter(given: Any) -> str | None:
    if given is not None and len(checks.as_text("delimiter", given)) != 1:
        raise ValueError(f"delimiter: one character is required, got {given!r}")
    return None if given is None else str(given)


def _features(table: Table, given: Any, used: list[str]) -> list[str]:
    if given is None:
        chosen = [name for name in table.columns if name not in used]
    elif isinstance(given, str):
        raise TypeError(f"features: a list of columns is required, got {given!r}")
    else:
        chosen = [table.column(f"features[{i}]", each) for i, each in enumerate(checks.as_items("features", given))]
    if not chosen:
        raise ValueError(f"features: at least one column is required beside {', '.join(used)}, got none")
    return chosen


def _by_id(table: Table, id: str | None) -> dict[str, Int64]:
    """Return the rows of each sequence, in the order of the table."""
    if id is None:
        return {"0": np.arange(len(table))}
    found: dict[str, list[int]] = {}
    for row, name in enumerate(table.columns[id]):
        if not name:
            raise misplaced(table.place(row, id), "the name of a sequence", "a missing one")
        found.setdefault(name, []).append(row)
    return {name: np.array(rows, np.int64) for name, rows in found.items()}


def _times(table: Table, time: str) -> Array:
    """Return the times of all rows: numbers where all of them are, else texts."""
    cells = table.columns[time]
    if "" in cells:
        raise misplaced(table.place(cells.index(""), time), "a time", "a missing one")
    return np.array(cells, np.float64) if table.numeric(time) else np.array(cells)


def _sorted(table: Table, time: str, times: Array, index: Int64) -> Int64:
    """Return rows of one sequence in the order of their times."""
    index = index[np.argsort(times[index], kind="stable")]
    again = np.flatnonzero(times[index][1:] == times[index][:-1])
    if len(again):
        row = int(index[again[0] + 1])
        raise misplaced(
            table.place(row, time), "a time of its own in the sequence", f"{table.columns[time][row]} again"
        )
    return index


def _changes(cells: list[str], rows: dict[str, Int64]) -> bool:
    return any(len({cells[row] for row in index}) > 1 for index in rows.values())


def _check_constant(table: Table, target: str, rows: dict[str, Int64]) -> None:
    cells = table.columns[target]
    for name, index in rows.items():
        for row in index:
            if cells[row] != cells[index[0]]:
                place = table.place(int(row), target)
                raise misplaced(place, f"{cells[index[0]]!r}, the target of sequence {name!r},", cells[row])


def _targets(
    table: Table, target: str, task: Any, classes: list[str] | None, rows: Sequence[int]
) -> tuple[Int64 | Float64, list[str] | None]:
    """Return class ids (M,) and their labels, or numbers (M, 1) and None, of the targets in some rows."""
    labels = [table.columns[target][row] for row in rows]
    for row, label in zip(rows, labels, strict=True):
        if not label:
            raise misplaced(table.place(row, target), "a target", "a missing one")
    if task is None:
        task = TASKS[0] if classes is not None or is_classification(labels) else TASKS[1]
    if checks.as_choice("task", task, TASKS) == "regression":
        return table.numbers(target)[list(rows), None], None
    names = class_names(labels) if classes is None else classes
    ids = {label: i for i, label in enumerate(names)}
    for row, label in zip(rows, labels, strict=True):
        if label not in ids:
            raise misplaced(table.place(row, target), f"a class label, one of {', '.join(names)},", label)
    return np.array([ids[label] for label in labels], np.int64), names

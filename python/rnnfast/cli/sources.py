"""Files that users name: what they hold is inferred, said, and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rnnfast.arrays import Array, Int64
from rnnfast.cli.command import names
from rnnfast.cli.npz_files import read_npz
from rnnfast.cli.recipes import FORMATS, Recipe
from rnnfast.data import Dataset, read_long, read_ts, read_wide, windows
from rnnfast.data.dataset import counted
from rnnfast.data.lines import opened
from rnnfast.data.tables import Table, as_table, is_number
from rnnfast.text import Vocabulary

ENDINGS = {"csv": "table", "tsv": "table", "ts": "ts", "npz": "npz", "txt": "text", "text": "text", "md": "text"}
# What a column is for, by its name; of several that fit the first in this order.
ROLES = {
    "id": ("id", "series", "sequence", "case", "sample", "subject", "unique_id"),
    "time": ("time", "t", "step", "date", "datetime", "timestamp", "ds", "year", "month", "week", "day", "hour"),
    "target": ("label", "target", "class", "category", "y"),
}

Say = Callable[[str], None]


def kind_of(path: str) -> str:
    """Return "table", "ts", "npz" or "text" by the ending of a file; ValueError for another one."""
    ending = Path(path.removesuffix(".gz")).suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        known = ", ".join(f".{each}" for each in ENDINGS)
        raise ValueError(f"{path}: a file that ends in one of {known} is required (--format says it otherwise)")
    return ENDINGS[ending]


def inferred(path: str, given: Any, say: Say) -> tuple[Recipe, Dataset | None]:
    """Return how a file is read, and what it holds; None for a text.

    ``given`` has the user's options, which go before what is inferred.
    """
    kind = given.format or kind_of(path)
    if kind in ("text", "ts", "npz"):
        _refuse_columns(path, kind, given)
    if kind == "text":
        return Recipe(format="text"), None
    if kind in ("ts", "npz"):
        recipe = Recipe(format=kind, task=given.task)
        data = read(path, recipe, labelled=True)
    else:
        with naming(path):
            table = as_table(path, given.delimiter)
            recipe = _roles(table, given, say)
            data = _of_table(table, recipe, labelled=True)
    say(f"{path}: {data.summary()}")
    recipe.classes, recipe.aligned = data.classes, data.aligned
    if recipe.task != "multilabel":
        recipe.task = data.task
    elif recipe.labels is None:
        recipe.labels = [str(k) for k in range(data.y[0].shape[-1])]
    if recipe.format == "long":
        recipe.features = data.features
    say(_described(recipe))
    if data.x[0].dtype.kind == "i":
        say(f"{path}: x holds ids, each with a learned vector")
    missing = sum(int(np.isnan(one).sum()) for one in data.x if one.dtype.kind == "f")
    if missing:
        say(f"{path}: {counted(missing, 'missing number')}, each read as the mean of its column")
    return recipe, data


def read(path: str, recipe: Recipe, *, labelled: bool) -> Dataset:
    """Read a file as a recipe says, with its targets where it is ``labelled``."""
    with naming(path):
        if recipe.format == "ts":
            data = read_ts(path, classes=recipe.classes)
        elif recipe.format == "npz":
            data = read_npz(path, recipe, labelled=labelled)
        else:
            data = _of_table(as_table(path, recipe.delimiter), recipe, labelled=labelled)
    if labelled and data.y is None and not recipe.window:
        raise ValueError(f"{path}: a class label or a number to predict for each sequence is required, got none")
    wanted = "regression" if recipe.task == "multilabel" else recipe.task  # its targets are the numbers 0 and 1
    if wanted not in (None, data.task) and data.y is not None:
        raise ValueError(f"{path}: targets of a {recipe.task} are required, got those of a {data.task}")
    return data


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Put the name of a file before the error of what was read from it, where it is not there yet."""
    try:
        yield
    except (ValueError, TypeError) as error:
        said = str(error)
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(said if said.startswith(path) else f"{path}: {said}") from error


def read_text(path: str) -> str:
    """Return the text in a file, which is not empty."""
    with opened(path) as file:
        text = file.read().replace("\r\n", "\n")
    if not text:
        raise ValueError(f"{path}: at least one character is required, got an empty file")
    return text


def encoded(name: str, text: str, vocabulary: Vocabulary) -> Int64:
    """Return the ids of a text; ValueError with line and column for a character that the model does not know."""
    wrong = next((i for i, character in enumerate(text) if character not in vocabulary), None)
    if wrong is None:
        return vocabulary.encode(text)
    line, column = text.count("\n", 0, wrong) + 1, wrong - text.rfind("\n", 0, wrong)
    wanted = "a character that the model knows is required"
    raise ValueError(f"{name}, line {line}, column {column}: {wanted}, got {text[wrong]!r}")


def forecasts(x: list[Array], recipe: Recipe) -> tuple[Array, Array]:
    """Return windows of series (T, C), and the steps of the target behind each."""
    assert recipe.window is not None
    column = (recipe.features or []).index(str(recipe.target))
    return windows(x, recipe.window, horizon=recipe.horizon or 1, target=column)


def to_judge(path: str, recipe: Recipe) -> tuple[Any, Any, Dataset | None]:
    """Return inputs and targets of a file in the units of the data, and what they are made of; of a text its ids."""
    if recipe.vocabulary is not None:
        return encoded(path, read_text(path), recipe.vocabulary), None, None
    data = read(path, recipe, labelled=True)
    return (*(forecasts(data.x, recipe) if recipe.window else (data.x, data.y)), data)


def _roles(table: Table, given: Any, say: Say) -> Recipe:
    """Return what each column of a table is for."""
    spelled = {name.lower(): name for name in reversed(list(table.columns))}
    found = {role: next((spelled[n] for n in known if n in spelled), None) for role, known in ROLES.items()}
    id, time = (
        table.column(f"--{role}", own) if (own := getattr(given, role)) else found[role] for role in ("id", "time")
    )
    repeats = id is not None and len(set(table.columns[id])) < len(table)
    form = given.format if given.format in FORMATS else "long" if repeats or time or given.window else "wide"
    if form == "wide":
        time = given.time
    targets = _targets(table, given, found["target"], (id, time))
    if form == "long":
        rows = f"sequences by column {id!r}" if id else "all rows are one sequence"
        say(f"{table.name}: a row is a step; {rows}, {f'sorted by column {time!r}' if time else 'in their order'}")
    else:
        say(f"{table.name}: a row is a sequence" + (f", named by column {id!r}" if id else ""))
    recipe = Recipe(format=form, id=id, time=time, delimiter=given.delimiter, features=given.features)
    recipe.task = given.task
    if given.task == "multilabel":
        recipe.labels = targets
    else:
        recipe.target = targets[0]
    if given.features is None:
        others = (id, time, *([] if given.window else targets))
        rest = [name for name in table.columns if name not in others]
        if not rest:
            shown = " and ".join(map(repr, targets))
            raise ValueError(
                f"{table.name}: a column to read beside {shown} is required, got none; --window STEPS forecasts "
                f"{shown} from its own past"
            )
        recipe.features = _without_texts(table, rest, say)
    if given.window:
        if form != "long":
            wanted = "--format long, a row a step, is required for --window"
            raise ValueError(f"{table.name}: {wanted}, got a row a sequence")
        recipe.window, recipe.horizon = given.window, given.horizon
    return recipe


def _targets(table: Table, given: Any, usual: str | None, taken: tuple[str | None, ...]) -> list[str]:
    """Return the column to predict, or those of a multilabel: the user's, the ``usual`` one, or the last."""
    if given.task == "multilabel":
        found: list[str | None] = [table.column("--target", name) for name in names(given.target or "")]
    elif given.target:
        found = [table.column("--target", given.target)]
    else:
        found = [usual or next((name for name in reversed(table.columns) if name not in taken), None)]
    for target in found:
        if target is None or target in taken:
            beside = " and ".join(repr(name) for name in taken if name)
            raise ValueError(f"{table.name}: --target: a column beside {beside} is required, got {target or 'none'}")
    return [str(target) for target in found]


def _refuse_columns(path: str, kind: str, given: Any) -> None:
    """Raise ValueError where an option of tables is given for another file."""
    for name in ("target", "id", "time", "features", "delimiter", "window"):
        if getattr(given, name) is not None:
            raise ValueError(f"{path}: a table is required for --{name}, got a file of the format {kind}")


def _without_texts(table: Table, names: list[str], say: Say) -> list[str] | None:
    """Return the columns that hold numbers, after saying which do not; None where all of them do."""
    texts = [n for n in names if any(table.columns[n]) and not any(c and is_number(c) for c in table.columns[n])]
    if not texts:
        return None
    say(f"{table.name}: left out, for they hold no numbers: {', '.join(texts)}")
    return [name for name in names if name not in texts]


def _of_table(table: Table, recipe: Recipe, *, labelled: bool) -> Dataset:
    """Return the sequences in a table, with their targets where it is ``labelled``."""
    target = recipe.target if labelled and not recipe.window else None
    labels = recipe.labels or []
    others = (recipe.id, recipe.time, None if recipe.window else recipe.target, *labels)
    features = recipe.features
    if features is None:
        features = [name for name in table.columns if name not in others]
    if labels and labelled:
        features = [*labels, *features]
    if recipe.window and recipe.target not in features:
        features = [*features, str(recipe.target)]
    common: dict[str, Any] = {"id": recipe.id, "features": features}
    if not labels:
        common |= {"target": target, "task": recipe.task, "classes": recipe.classes}
    if recipe.format == "wide":
        data = read_wide(table, **common)
    else:
        data = read_long(table, time=recipe.time, aligned=recipe.aligned, **common)
    return _with_labels(table.name, data, recipe) if labels and labelled else data


def _with_labels(name: str, data: Dataset, recipe: Recipe) -> Dataset:
    """Return data whose first features, or steps of a table in wide form, become the labels of a multilabel."""
    K = len(recipe.labels or ())
    if recipe.format == "wide":
        if min(map(len, data.x)) <= K:
            raise ValueError(f"{name}: sequences of at least one step beside the labels are required, got one without")
        return replace(data, x=[one[K:] for one in data.x], y=np.stack([one[:K, 0] for one in data.x]))
    y: Any = [one[:, :K] for one in data.x]
    steady = [np.array_equal(one, one[:1].repeat(len(one), axis=0), equal_nan=True) for one in y]
    if recipe.aligned is False and not all(steady):
        wrong = data.ids[steady.index(False)]
        raise ValueError(f"{name}: sequence {wrong!r}: the same labels in all of its rows are required, got others")
    if not (recipe.aligned or (recipe.aligned is None and not all(steady))):
        y = np.stack([one[0] for one in y])
    return replace(data, x=[one[:, K:] for one in data.x], y=y, features=data.features[K:])


def _described(recipe: Recipe) -> str:
    """Say what is learned."""
    named = "the targets have" if recipe.target is None else f"column {recipe.target!r} has"
    if recipe.window:
        ahead, read = counted(recipe.horizon or 1, "step"), counted(recipe.window, "step")
        return f"column {recipe.target!r}: the next {ahead} from {read} of all columns: forecast"
    where = ", at every step" if recipe.aligned else ""
    if recipe.labels:
        return f"{counted(len(recipe.labels), 'label')}, each 0 or 1 ({', '.join(recipe.labels)}): multilabel{where}"
    if recipe.classes is None:
        return f"{named} numbers: regression{where}"
    shown = ", ".join(recipe.classes[:10]) + (", ..." if len(recipe.classes) > 10 else "")
    return f"{named} {counted(len(recipe.classes), 'class')} ({shown}): classification{where}"

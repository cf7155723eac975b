"""Files and frames become sequences; what is wrong in one is named with its file, line and column."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.data import Dataset, read_long, read_ts, read_wide

Write = Callable[..., Path]
HEADER = "@problemName Small\n@timeStamps false\n@univariate false\n@dimensions 2\n@equalLength false\n"
LABELLED = HEADER + "@classLabel true no yes\n@data\n"
MEASURED = HEADER + "@targetLabel true\n@data\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def writing(text: str | bytes, name: str) -> Path:
        path = tmp_path / name
        content = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") and isinstance(text, str) else content)
        return path

    return writing


def numbers(x: list[Any]) -> list[Any]:
    return [one.tolist() for one in x]


@pytest.mark.parametrize("name", ["small.ts", "small.ts.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_ts_file_with_classes(name: str, end: str, write: Write) -> None:
    text = "#a comment\n\n" + LABELLED + "1,2,3:4,5,6:yes\n7.5,?:-8e-1,NaN:no\n\n"
    data = read_ts(write(text.replace("\n", end), name))
    np.testing.assert_equal(numbers(data.x), [[[1, 4], [2, 5], [3, 6]], [[7.5, -0.8], [np.nan, np.nan]]])
    assert (data.y.tolist(), data.classes, data.ids) == ([1, 0], ["no", "yes"], ["10", "11"])
    assert (data.task, data.aligned) == ("classification", False)
    assert read_ts(write(text, name), classes=["yes", "no"]).y.tolist() == [0, 1]


def test_a_ts_file_with_numbers_to_predict(write: Write) -> None:
    data = read_ts(write(MEASURED + "1,2:3,4:0.5\n1:3:-2\n", "small.ts"))
    assert (data.y.tolist(), data.classes, data.task) == ([[0.5], [-2.0]], None, "regression")


def test_a_ts_file_without_labels_or_without_their_names(write: Write) -> None:
    data = read_ts(write("@univariate true\n@classLabel false\n@data\n1,2\n3\n", "small.ts"))
    assert (numbers(data.x), data.y) == ([[[1], [2]], [[3]]], None)
    assert read_ts(write("@classLabel true\n@data\n1:10\n1:9\n", "small.ts")).classes == ["9", "10"]


TS_ERRORS = {
    "a value": (LABELLED + "1,2:3,4:no\n1,x2:3,4:no\n", "line 9, column 3: a number or \\? is required, got 'x2'"),
    "a later dimension": (LABELLED + "1,2:3,:no\n", "line 8, column 7: a number or \\? is required, got ''"),
    "a label": (LABELLED + "1,2:3,4:maybe\n", "line 8, column 9: a class label, one of no, yes, is required, got 'may"),
    "no label": (LABELLED + "1,2:3,4:\n", "line 8, column 9: a class label, one of no, yes, is required, got ''"),
    "a target": (MEASURED + "1,2:3,4:no\n", "line 8, column 9: a number is required, got 'no'"),
    "too few dimensions": (LABELLED + "1,2:no\n", "line 8, column 4: 2 dimensions and a label are required, got 1"),
    "too many": (LABELLED + "1:2:3:no\n", "line 8, column 4: 2 dimensions and a label are required, got 3"),
    "dimensions of two lengths": (LABELLED + "1,2:3:no\n", "line 8, column 5: 2 values are required in a dim.*, got 1"),
    "cases of two lengths": (
        LABELLED.replace("equalLength false", "equalLength true") + "1,2:3,4:no\n1:2:no\n",
        "line 9, column 1: 2 values are required in a dimension, got 1",
    ),
    "another length than the header's": (
        LABELLED.replace("equalLength false", "equalLength true\n@seriesLength 3") + "1,2:3,4:no\n",
        "line 9, column 1: 3 values are required in a dimension, got 2",
    ),
    "times": ("@timeStamps true\n@data\n(0,1):a\n", "line 1, column 13: @timeStamps false is required, got 'true'"),
    "a flag": ("@equalLength maybe\n@data\n", "line 1, column 14: true or false is required, got 'maybe'"),
    "a count": ("@dimensions two\n@data\n", "line 1, column 13: a number of at least 1 is required, got 'two'"),
    "a word": ("@dimension 1\n@colour red\n", "line 2, column 1: a known word of the header is required, got '@col"),
    "no header": ("1,2,3:a\n", r"line 1, column 1: a line of the header \(@\.\.\.\), or @data"),
    "no data": (HEADER, "a line @data, behind the header, is required, got 'none'"),
    "no case": (LABELLED, "at least one case behind @data is required, got 'none'"),
    "bytes": (b"@data\n\xff\xfe", "text in UTF-8 is required"),
    "an empty file": ("", "a line @data"),
}


@pytest.mark.parametrize(("text", "message"), TS_ERRORS.values(), ids=TS_ERRORS)
def test_what_is_wrong_in_a_ts_file_is_named(text: str | bytes, message: str, write: Write) -> None:
    path = write(text, "small.ts")
    with pytest.raises(ValueError, match=f"^{path}.*{message}"):
        read_ts(path)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"@data\n" + b"1\n" * 99, mtime=0)[:-12]])
def test_a_damaged_gzip_file(content: bytes, write: Write) -> None:
    path = write(content, "small.ts.gz")
    with pytest.raises(ValueError, match=f"{path}: an undamaged file of gzip is required"):
        read_ts(path)


@pytest.mark.parametrize("read", [read_ts, read_long, read_wide])
def test_files_that_are_none(read: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.csv")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


@pytest.mark.parametrize(("part", "count"), [("TRAIN", 270), ("TEST", 370)])
def test_japanese_vowels(part: str, count: int, data_folder: Path) -> None:
    path = data_folder / "japanese_vowels" / f"JapaneseVowels_{part}.ts.gz"
    data = read_ts(path)
    lengths = [len(one) for one in data.x]
    assert (len(data), len(data.features), len(data.classes or ())) == (count, 12, 9)
    assert min(lengths) >= 7
    assert max(lengths) <= 29
    assert {one.shape[1] for one in data.x} == {12}
    with gzip.open(path, "rt") as file:
        first = next(line for line in file if line[0] not in "#@").split(":")
    np.testing.assert_array_equal(data.x[0], np.array([part.split(",") for part in first[:-1]], float).T)
    assert np.unique(data.y).tolist() == list(range(9))


LONG = """who,day,level,weight,mood
ann,2,0.7,61,good
bob,1,0.1,80.5,bad
ann,1,,60,good
bob,3,0.3,81,bad
ann,10,0.9,62,good
"""


def test_long_form(write: Write) -> None:
    data = read_long(write(LONG, "levels.csv"), id="who", time="day", target="mood")
    np.testing.assert_equal(numbers(data.x), [[[np.nan, 60], [0.7, 61], [0.9, 62]], [[0.1, 80.5], [0.3, 81]]])
    assert (data.ids, data.features) == (["ann", "bob"], ["level", "weight"])
    assert (data.y.tolist(), data.classes, data.aligned) == ([1, 0], ["bad", "good"], False)


def test_long_form_without_times_keeps_the_order_of_rows(write: Write) -> None:
    data = read_long(write(LONG, "levels.csv"), id="who", features=["weight"])
    assert numbers(data.x) == [[[61], [60], [62]], [[80.5], [81]]]
    assert data.y is None


def test_long_form_of_one_sequence_with_a_target_at_every_step(write: Write) -> None:
    data = read_long(write(LONG, "levels.csv"), features=["day"], target="weight")
    assert numbers(data.x) == [[[2], [1], [1], [3], [10]]]
    assert (data.aligned, data.task, numbers(data.y)) == (True, "regression", [[[61], [80.5], [60], [81], [62]]])
    labels = read_long(write(LONG, "levels.csv"), id="who", features=["day"], target="weight", task="classification")
    assert labels.classes == ["60", "61", "62", "80.5", "81"]
    assert numbers(labels.y) == [[1, 0, 2], [3, 4]]


def test_times_are_sorted_as_numbers_or_as_texts(write: Write) -> None:
    rows = ["t,v", "10,1", "9,2"]
    assert numbers(read_long(write("\n".join(rows), "a.csv"), time="t").x) == [[[2], [1]]]
    rows = ["t,v", "2024-02-01,1", "2023-12-31,2"]
    assert numbers(read_long(write("\n".join(rows), "a.csv"), time="t").x) == [[[2], [1]]]


WIDE = """name,t0,t1,t2,label
a,1,2,3,0
b,4,,,1
c,NA,6,,1
d,1,1,1,0
"""


def test_wide_form(write: Write) -> None:
    data = read_wide(write(WIDE, "beats.csv"), id="name", target="label")
    np.testing.assert_equal(numbers(data.x), [[[1], [2], [3]], [[4]], [[np.nan], [6]], [[1], [1], [1]]])
    assert (data.ids, data.y.tolist(), data.classes) == (["a", "b", "c", "d"], [0, 1, 1, 0], ["0", "1"])
    some = read_wide(write(WIDE, "beats.csv"), features=["t1", "t0"], target="label", task="regression")
    assert numbers(some.x)[0] == [[2], [1]]
    assert some.y.tolist() == [[0], [1], [1], [0]]


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (["a", "b"], "classification"),
        (["0", "1", "1", "0"], "classification"),
        (["1", "2", "3", "4"], "regression"),
        (["0.5", "0.5"], "regression"),
        (["1", "x", "2", "2"], "classification"),
        ([str(i) for i in range(21)] * 2, "regression"),
        ([str(i) for i in range(20)] * 2, "classification"),
    ],
)
def test_labels_are_told_from_numbers(labels: list[str], task: str, write: Write) -> None:
    path = write("\n".join(["v,y", *(f"1,{label}" for label in labels)]), "a.csv")
    assert read_wide(path, target="y").task == task
    assert read_wide(path, target="y", task="classification").classes is not None
    if all(label.replace(".", "").isdecimal() for label in labels):
        assert read_wide(path, target="y", task="regression").y[:, 0].tolist() == [float(label) for label in labels]
    else:
        with pytest.raises(ValueError, match="a number is required"):
            read_wide(path, target="y", task="regression")


def test_what_a_csv_file_may_look_like(write: Write) -> None:
    text = '\ufeff"v;1"; label\r\n 1 ;"two\nlines"\r\n\r\n2;x\r\n'
    data = read_wide(write(text, "a.csv"), target="label", delimiter=";")
    assert (numbers(data.x), data.classes) == ([[[1]], [[2]]], ["two\nlines", "x"])
    assert numbers(read_wide(write("a\tb\n1\t2\n", "a.tsv")).x) == [[[1], [2]]]
    assert numbers(read_wide(write("a,b\n1,2\n", "a.csv.gz")).x) == [[[1], [2]]]


LONG_ROLES: dict[str, Any] = {"id": "who", "time": "day", "target": "mood"}
TABLE_ERRORS: dict[str, tuple[Any, str, dict[str, Any], str]] = {
    "a number": (read_long, LONG.replace("0.3", "high"), LONG_ROLES, "line 5, column 'level': a number .*got 'high'"),
    "in wide form": (read_wide, WIDE.replace("6", "six"), {"id": "name"}, "line 4, column 't1': a number .* got 'six'"),
    "too few cells": (read_long, LONG.replace(",80.5", ""), LONG_ROLES, "line 3, column 'mood': 5 cells,.* got 4"),
    "too many cells": (read_long, LONG.replace("61", "6,1"), LONG_ROLES, "line 2, column 6: 5 cells,.* got 6"),
    "no id": (read_long, LONG.replace("bob,3", ",3"), LONG_ROLES, "line 5, column 'who': the name of a sequence"),
    "no time": (read_long, LONG.replace("ann,1,", "ann,,"), LONG_ROLES, "line 4, column 'day': a time is required"),
    "a time again": (
        read_long,
        LONG.replace("ann,10", "ann,2"),
        LONG_ROLES,
        "line 6, column 'day': a time of its own in the sequence is required, got '2 again'",
    ),
    "no target": (read_long, LONG.replace("81,bad", "81,?"), {"id": "who", "target": "mood"}, "line 5, column 'mood'"),
    "a target that changes": (
        read_long,
        LONG.replace("62,good", "62,bad"),
        {**LONG_ROLES, "aligned": False},
        "line 6, column 'mood': 'good', the target of sequence 'ann', is required, got 'bad'",
    ),
    "another label": (
        read_long,
        LONG,
        {**LONG_ROLES, "classes": ["good", "ill"]},
        "line 3, column 'mood': a class label, one of good, ill, is required, got 'bad'",
    ),
    "no steps": (read_wide, WIDE.replace("b,4", "b,"), {"id": "name", "target": "label"}, "line 3, column 't0': a seq"),
    "an empty file": (read_wide, "", {}, "line 1: a header with the names of the columns is required, got 'none'"),
    "no rows": (read_wide, "a,b\n", {}, "line 2: at least one row behind the header is required"),
    "no header": (read_wide, "1,2\n3,4\n", {}, "line 1, column 1: a header with the names of the columns"),
    "a name twice": (read_wide, "a,b,a\n1,2,3\n", {}, "line 1, column 3: a name of its own is required, got 'a' again"),
    "no name": (read_wide, "a,,c\n1,2,3\n", {}, "line 1, column 2: a name of its own is required, got none"),
    "an open quote": (read_wide, 'a,b\n1,"2\n', {}, "line 2: a row of CSV is required"),
    "bytes": (read_wide, "a,b\n1,\udcff", {}, "text in UTF-8 is required"),
    "in a row of two lines": (read_wide, 'a,b\n"x\ny",2\n', {}, "line 2, column 'a': a number is required"),
    "behind a quoted line": (read_wide, 'a,b\n"1\n",2\nx,2\n', {}, "line 4, column 'a': a number is required, got 'x'"),
}


@pytest.mark.parametrize(("read", "text", "options", "message"), TABLE_ERRORS.values(), ids=TABLE_ERRORS)
def test_what_is_wrong_in_a_table_is_named(
    read: Any, text: str, options: dict[str, Any], message: str, write: Write
) -> None:
    path = write(text.encode("utf-8", "surrogateescape"), "table.csv")
    with pytest.raises(ValueError, match=f"^{path}.*{message}"):
        read(path, **options)


def test_unknown_columns_are_named() -> None:
    frame = pytest.importorskip("pandas").DataFrame({"level": [1.0], "mood": ["good"]})
    for name in ("id", "time", "target"):
        given: dict[str, Any] = {name: "levle"}
        with pytest.raises(ValueError, match=f"{name}: one of level, mood is required, got 'levle'; did you mean"):
            read_long(frame, **given)
    with pytest.raises(ValueError, match=r"features\[0\]: one of level, mood is required"):
        read_wide(frame, features=["x"])
    with pytest.raises(ValueError, match="features: at least one column is required beside level, mood, got none"):
        read_long(frame, id="level", target="mood")
    with pytest.raises(ValueError, match="source, row 0, column 'mood': a number is required, got 'good'"):
        read_wide(frame)


def same(one: Dataset, other: Dataset) -> None:
    np.testing.assert_equal(numbers(one.x), numbers(other.x))
    np.testing.assert_equal(one.y, other.y)
    assert (one.ids, one.features, one.classes) == (other.ids, other.features, other.classes)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("form", ["long", "wide"])
def test_frames_read_as_the_files_they_are_written_to(library: str, form: str, tmp_path: Path) -> None:
    """What a library reads from a file, and what it writes to one, give the same sequences bit for bit."""
    frames = pytest.importorskip(library, reason=f"{library} is not installed")
    path, again = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text(LONG if form == "long" else WIDE)
    read: Any = read_long if form == "long" else read_wide
    roles = LONG_ROLES if form == "long" else {"id": "name", "target": "label"}
    frame = frames.read_csv(path) if library == "pandas" else frames.read_csv(path, null_values=["NA"])
    frame.to_csv(again, index=False) if library == "pandas" else frame.write_csv(again)
    same(read(frame, **roles), read(path, **roles))
    same(read(again, **roles), read(path, **roles))


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_numbers_of_frames_lose_no_bit(library: str, dtype: str, rng: np.random.Generator) -> None:
    frames = pytest.importorskip(library, reason=f"{library} is not installed")
    values = (rng.normal(size=20) * 1e3).astype(dtype)
    frame = frames.DataFrame({"v": values, "y": values > 0})
    data = read_long(frame, features=["v"], target="y", aligned=True)
    np.testing.assert_array_equal(data.x[0][:, 0], values.astype(np.float64))
    assert data.classes == ["False", "True"]
    np.testing.assert_array_equal(data.y[0], values > 0)


def test_what_is_missing_in_frames() -> None:
    pd, pl = (pytest.importorskip(name, reason=f"{name} is not installed") for name in ("pandas", "polars"))
    frames = [
        pd.DataFrame({"v": pd.array([1, None, 3], "Int64"), "w": pd.array([1, None, 0], "Float64")}),
        pd.DataFrame({"v": [1.0, np.nan, 3], "w": [1.0, None, 0.0]}),
        pl.DataFrame({"v": [1, None, 3], "w": [1.0, float("nan"), 0.0]}),
    ]
    for frame in frames:
        np.testing.assert_equal(numbers(read_long(frame).x), [[[1, 1], [np.nan, np.nan], [3, 0]]])
    times = pd.to_datetime(["2024-01-02", "2023-05-01"])
    days = pd.DataFrame({"day": times, "v": [1, 2], "y": pd.Categorical(["a", "b"])})
    data = read_long(days, time="day", features=["v"], target="y")
    assert (numbers(data.x), numbers(data.y), data.classes) == ([[[2], [1]]], [[1, 0]], ["a", "b"])
    days.loc[0, "day"] = pd.NaT
    with pytest.raises(ValueError, match="source, row 0, column 'day': a time is required"):
        read_long(days, time="day", features=["v"])
    with pytest.raises(ValueError, match="columns of different names are required, got v, v"):
        read_wide(pd.DataFrame([[1, 2]], columns=["v", "v"]))
    with pytest.raises(ValueError, match="a frame with columns and rows is required, got 1 and 0"):
        read_wide(pl.DataFrame({"v": []}))


def test_a_dataset_trains_a_model(write: Write) -> None:
    data = read_long(write(LONG.replace(",,", ",0.5,"), "levels.csv"), **LONG_ROLES)
    scaler = rf.data.Scaler.fit(data.x)
    model = rf.ManyToOne(len(data.features), len(data.classes or ()), hidden_size=4, seed=0)
    model.fit(scaler.transform(data.x), data.y, epochs=60, lr=2e-2, progress=False)
    assert [(data.classes or [])[k] for k in model.predict(scaler.transform(data.x))] == ["good", "bad"]

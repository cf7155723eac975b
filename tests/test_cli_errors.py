"""What fails on the command line: one line that names the place, and an exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import rnnfast as rf
from rnnfast import cli
from tests.support.command_line import FAST, Run, long_form, runner

run = pytest.fixture(runner)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "none.csv"], "none.csv: No such file or directory"),
        (["train", "d.xlsx"], r"d.xlsx: a file that ends in one of .csv, .tsv, .ts, .npz"),
        (
            ["train", "d.csv", "--target", "lable"],
            "d.csv: --target: one of id, .* is required, got 'lable'; did you mean",
        ),
        (["train", "d.csv", "--target", "id", "--id", "id"], "d.csv: --target: a column beside 'id' and 'time' is"),
        (["train", "d.csv", "--task", "multilabel"], "d.csv: --target: one of id, .* is required, got ''"),
        (["train", "d.csv", "--task", "multilabel", "--target", "height,id"], "a column beside 'id' and 'time' is req"),
        (["train", "d.csv", "--task", "multilabel", "--target", "label"], "column 'label': a number"),
        (
            ["train", "d.csv", "--task", "multilabel", "--target", "height", "--features", "height"],
            r"y: values in \[0, 1\] are",
        ),
        (["train", "d.csv", "--output", "no/m.safetensors"], "--output: a file in a folder that exists is required"),
        (["train", "d.csv", "--task", "regression"], "d.csv, line 2, column 'label': a number is required"),
        (["train", "d.csv", "--window", "99", "--target", "height"], "at least length . horizon = 100 steps"),
        (["train", "broken.csv"], "broken.csv, line 3, column 'height': a number is required, got 'tall'"),
        (["train", "broken.npz"], "broken.npz: an .npz file of plain arrays is required"),
        (["train", "empty.txt"], "empty.txt: at least one character is required"),
        (["train", "d.csv", "--resume"], "model.safetensors: No such file or directory"),
        (["evaluate", "d.csv", "d.csv"], "d.csv: an undamaged .* model file required"),
        (["predict", "m.safetensors", "broken.csv"], "broken.csv, line 3, column 'height': a number"),
        (["predict", "m.safetensors", "other.csv"], "other.csv: id: one of a, b is required, got 'id'"),
        (["evaluate", "m.safetensors", "bare.csv"], "bare.csv: target: one of .* is required, got 'label'"),
        (["predict", "plain.safetensors", "d.csv"], "plain.safetensors: a model that rnnfast train wrote is required"),
        (["train", "empty.txt", "--window", "3"], "empty.txt: a table is required for --window, got .* format text"),
        (
            ["train", "broken.npz", "--id", "a"],
            "broken.npz: a table is required for --id, got a file of the format npz",
        ),
        (["train", "keys.csv"], "keys.csv: --target: a column beside 'id' and 'time' is required, got none"),
        (
            ["train", "series.csv"],
            "a column to read beside 'level' is required, got none; --window STEPS fore",
        ),
        (["train", "d.csv", "--delimiter", "tab"], "d.csv: a column to read beside 'id,time,height,label' is required"),
        (["generate", "m.safetensors"], "m.safetensors: a model of a text is required"),
        (["info", "none.safetensors"], "none.safetensors: No such file or directory"),
    ],
)
def test_a_failure_is_one_line_that_names_the_place(arguments: list[str], message: str, run: Run) -> None:
    long_form("d.csv", 20, 0)
    Path("broken.csv").write_text("id,time,height,label\na,1,2.0,up\na,2,tall,up\nb,1,0,down\n")
    Path("broken.npz").write_text("no zip")
    Path("empty.txt").write_text("")
    Path("keys.csv").write_text("id,time\na,1\n")
    Path("series.csv").write_text("date,level\n2024-01-01,1\n2024-01-02,2\n")
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("bare.csv").write_text("id,time,height\na,1,2\n")
    if "m.safetensors" in arguments:
        run("train", "d.csv", *FAST, "--epochs", "0", "--output", "m.safetensors")
    rf.ManyToOne(1, 2, hidden_size=2).save("plain.safetensors")
    said = run(*arguments, code=1)
    assert re.search(message, said), said
    assert said.count("\n") == 1
    assert said.startswith(f"rnnfast {arguments[0]}: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "required: DATA"),
        (["train", "d.csv", "--cell", "mlp"], "invalid choice: 'mlp'"),
        (["train", "d.csv", "--epochs", "-1"], "a number >= 0 required, got '-1'"),
        (["train", "d.csv", "--hidden-size", "0"], "a number >= 1 required, got '0'"),
        (["train", "d.csv", "--delimiter", ",,"], "one character, or tab, required, got ',,'"),
        (["train", "d.csv", "--lr", "nan"], "a number above 0 required, got 'nan'"),
        (["train", "d.csv", "--validation", "1"], r"a share within [0, 1) required, got '1'"),
        (["predict", "m.safetensors"], "required: DATA"),
        (["train", "d.csv", "--resume", "--lr", "0.1"], "--resume: no --lr is required"),
        (["train", "d.csv", "--resume", "--hidden-size", "4"], "--resume: no --hidden-size is required"),
        (["train", "d.csv", "--resume", "--target", "label"], "--resume: no --target is required beside it"),
        (["train", "d.csv", "--resume", "--patience", "4"], "--resume: no --patience is required beside it"),
        (["train", "d.csv", "--window", "4", "--task", "multilabel"], "--window: a --task other than multilabel is"),
        (["train", "d.csv", "--horizon", "4"], "--horizon: --window, the steps that are read, is required beside it"),
        (["generate", "m.safetensors", "--temperature", "cold"], "a number above 0 required, got 'cold'"),
    ],
)
def test_wrong_options_end_with_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err

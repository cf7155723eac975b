"""Commands in an empty folder, and files of rising and falling walks in every format."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import cli

Run = Callable[..., str]
FAST = ("--no-progress", "--hidden-size", "16", "--lr", "0.02")


def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty folder; what it prints, after its exit code was the expected one."""
    monkeypatch.chdir(tmp_path)

    def running(*arguments: str, code: int = 0) -> str:
        assert cli.main(arguments) == code
        said = capsys.readouterr()
        assert (said.err != "") == (code == 1)
        return said.err if code else said.out

    return running


def write(name: str, header: str, rows: Any) -> None:
    with open(name, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def walks(count: int, seed: int) -> tuple[list[Any], list[str]]:
    """Sequences that rise or fall, and which of both."""
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, count) * 2 - 1
    x = [
        s * np.arange(n) + rng.normal(size=n) * 0.3 + 100 for s, n in zip(signs, rng.integers(4, 9, count), strict=True)
    ]
    return x, ["up" if s > 0 else "down" for s in signs]


def long_form(name: str, count: int, seed: int) -> list[str]:
    x, labels = walks(count, seed)
    rows = [(f"w{n}", t, f"{v:.4f}", labels[n]) for n, one in enumerate(x) for t, v in enumerate(one)]
    write(name, "id,time,height,label", rows)
    return labels


def wide_form(name: str, count: int, seed: int) -> list[str]:
    x, labels = walks(count, seed)
    rows = [[*one, *[""] * (8 - len(one)), y] for one, y in zip(x, labels, strict=True)]
    write(name, "t0,t1,t2,t3,t4,t5,t6,t7,trend", rows)
    return labels


def ts_form(name: str, count: int, seed: int) -> list[str]:
    x, labels = walks(count, seed)
    lines = ["@univariate true", "@classLabel true down up", "@data"]
    lines += [",".join(f"{v:.4f}" for v in one) + f":{y}" for one, y in zip(x, labels, strict=True)]
    Path(name).write_text("\n".join(lines))
    return labels


def npz_form(name: str, count: int, seed: int) -> list[str]:
    x, labels = walks(count, seed)
    padded, lengths = rf.data.pad(x)
    np.savez(name, x=padded, y=np.array(labels), lengths=lengths)
    return labels

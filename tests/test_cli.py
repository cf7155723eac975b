"""``python -m rnnfast``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rnnfast as rf
from rnnfast import cli, demo


def test_info_shows_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    assert rf.__version__ in out
    assert rf.cpu.isa() in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == rf.__version__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["demo", "--task", "sums"], "invalid choice: 'sums'"),
        (["demo", "--seed", "-1"], "a number >= 0 required, got '-1'"),
        (["info", "model", "more"], "unrecognized arguments: more"),
    ],
)
def test_wrong_arguments_end_with_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_demo_passes_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def fake(settings: Any, **options: Any) -> list[Any]:
        calls.append((settings, options))
        return [type("Result", (), {"beats_all": False})]

    monkeypatch.setattr(demo, "main", fake)
    arguments = ["demo", "--task", "manual", "--seed", "7", "--output", "there", "--no-progress"]
    assert cli.main(arguments) == 1
    assert cli.main([*arguments, "--quick"]) == 0
    assert calls[0] == (demo.Settings(seed=7, progress=False), {"tasks": ["manual"], "output": "there"})
    assert calls[1][0].quick


def test_an_interrupt_ends_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(settings: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "main", interrupted)
    assert cli.main(["demo"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_module_runs_the_demo(tmp_path: Path) -> None:
    """From the outside, with an encoding that lacks most characters."""
    command = [sys.executable, "-m", "rnnfast", "demo", "--quick", "--task", "manual"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stderr
    assert "one-to-many" in done.stdout
    assert "100%" in done.stderr
    written = json.loads((tmp_path / "rnnfast-demo" / "report.json").read_text(encoding="utf-8"))
    assert [task["mode"] for task in written["tasks"]] == ["one-to-many"]
    assert (tmp_path / "rnnfast-demo" / "report.html").stat().st_size > 1000

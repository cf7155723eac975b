"""The programs in ``examples`` succeed where they beat their baselines, and do so after a short training."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import needs_limits, not_sanitized
from tests.support.sources import ROOT

FOLDER = ROOT / "examples"
SHORT = {
    "amplifier": ("numpy", "same bits as one call: True"),
    "classify": ("sklearn", "the network's answers"),
    "dates": ("matplotlib", "picture: dates.png"),
    "decision": ("matplotlib", "of 3 fixed points are stable"),
    "forecast": ("statsmodels", "59 of 2284 weeks are missing"),
    "larger_than_memory": ("numpy", "as a whole: MemoryError"),
    "million_steps": ("numpy", "whole back-propagation would keep 64 MB"),
    "tagging": ("numpy", "the value may be"),
    "writer": ("numpy", "to judge"),
}
"""By name of a program with ``--short``, the library that it needs, and what it says beside its figures."""

pytestmark = [not_sanitized, pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the checkout")]


def run(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    one_thread = {"RNNFAST_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *arguments],
        env=os.environ | one_thread,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@needs_limits
@pytest.mark.parametrize("name", SHORT)
def test_short_trainings_beat_the_baselines(name: str, tmp_path: Path) -> None:
    library, said = SHORT[name]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    done = run(name, "--short", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout
    assert re.search(r" \d+\.\d+\D*; [a-z].* \d+\.\d+$", done.stdout), "the model's figure, then the baseline's"
    assert all(path.stat().st_size for path in tmp_path.iterdir())


def test_an_untrained_agent_is_an_error(tmp_path: Path) -> None:
    done = run("a2c_memory", "--steps", "0", "--length", "1", "--seed", "1", folder=tmp_path)
    assert (done.returncode, done.stderr.strip()) == (1, "the agent does not beat chance")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_programs_judge_themselves_and_are_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r'    sys\.exit\(None if .* [<>] .* else "[^"]+"\)', lines[-1])
    assert len(lines) <= 150


def test_the_index_has_every_program() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.py\) \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M)
    assert all(name == file for name, file in listed)
    assert sorted(name for name, _ in listed) == sorted(path.stem for path in FOLDER.glob("*.py"))

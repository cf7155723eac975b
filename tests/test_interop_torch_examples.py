"""The programs in ``examples`` learn the same with PyTorch's layers and with ours."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.support.sources import ROOT

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = [
    pytest.mark.torch,
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.skipif(not (ROOT / "examples").is_dir(), reason="needs the checkout"),
]
NAMES = ("torch_tagger", "torch_char_rnn", "torch_ppo")


def program(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-9), ("float32", 1e-3)])
@pytest.mark.parametrize("name", NAMES)
def test_losses_are_the_same(name: str, dtype: str, bound: float) -> None:
    main = program(name).main
    plain, fast = (main(steps=50, hidden=16, fast=fast, dtype=getattr(torch, dtype)) for fast in (False, True))
    assert len(fast) == 50
    assert fast == pytest.approx(plain, rel=bound)
    if name != "torch_ppo":  # its losses are of ever new rollouts
        assert fast[-1] < fast[0]


@pytest.mark.parametrize("name", NAMES)
def test_programs_run(name: str) -> None:
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr
    assert re.search("^loss .* after 2 ", done.stdout, re.MULTILINE), done.stderr

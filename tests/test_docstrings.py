"""The examples in the docstrings run, and public things have them."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from typing import Any

import pytest

import rnnfast as rf

MODULES = [
    info.name
    for info in pkgutil.walk_packages(rf.__path__, "rnnfast.")
    if not info.name.startswith(("rnnfast._core", "rnnfast.__main__", "rnnfast.demo"))
]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(recurse=True)
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    report: list[str] = []
    names = {"np": importlib.import_module("numpy"), "rf": rf, **vars(module)}
    for test in finder.find(module, globs=names):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


PUBLIC = {name: getattr(rf, name) for name in dir(rf) if not name.startswith("_") and callable(getattr(rf, name))}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_things_are_documented(name: str) -> None:
    """A purpose in one line; of a class, an example too."""
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert text, f"{name} has no docstring"
    assert len(text.splitlines()[0]) <= 120
    assert ">>>" in text or not inspect.isclass(PUBLIC[name]), f"{name} has no example"

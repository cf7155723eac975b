"""The examples in the docstrings run, and public things have them."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import pkgutil
import re
from typing import Any

import pytest

import rnnfast as rf

MODULES = [
    info.name
    for info in pkgutil.walk_packages(rf.__path__, "rnnfast.")
    if not info.name.startswith(("rnnfast._core", "rnnfast.__main__", "rnnfast.demo"))
]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def needed_by(module: str) -> str | None:
    """The library that a bridge leads to, or that examples use."""
    parts = module.split(".")
    if parts[1] == "interop":
        return parts[2] if len(parts) > 2 else None
    return {"sklearn": "sklearn", "plot": "matplotlib", "data": "pandas" if parts[-1] == "panels" else None}.get(
        parts[1]
    )


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    library = needed_by(name)
    if library is not None:
        pytest.importorskip(library, reason="the library is not installed")
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(recurse=True)
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    report: list[str] = []
    names = {"np": importlib.import_module("numpy"), "rf": rf, **vars(module)}
    for test in finder.find(module, globs=names):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def described(cls: type) -> dict[str, str]:
    """The arguments in the section Parameters of a class's docstring, each with its type and description."""
    section = (inspect.getdoc(cls) or "").partition("Parameters\n----------\n")[2]
    section = re.split(r"\n\n\S.*\n-{3,}", section)[0]
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", section):
        head, _, text = entry.partition("\n")
        names, _, kind = head.partition(" : ")
        found |= {name: f"{kind}\n{text}".rstrip() for name in names.split(", ")}
    return found


def public(module: Any) -> dict[str, Any]:
    return {name: item for name, item in vars(module).items() if not name.startswith("_") and callable(item)}


PUBLIC = public(rf)
ESTIMATORS: tuple[str, ...] = ()
if importlib.util.find_spec("sklearn"):
    ESTIMATORS = ("SequenceClassifier", "SequenceRegressor", "SequenceTagger")
    PUBLIC |= {
        name: item for name, item in public(importlib.import_module("rnnfast.sklearn")).items() if "Sequence" in name
    }


CLASSES = [
    name
    for name, item in PUBLIC.items()
    if inspect.isclass(item) and name not in ("Callback", "History", "Metric", "Task")
]


@pytest.mark.parametrize("name", CLASSES)
def test_every_constructor_argument_is_described(name: str) -> None:
    """In the class's own docstring, which also describes nothing else."""
    arguments = [p.name for p in inspect.signature(PUBLIC[name]).parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert sorted(described(PUBLIC[name])) == sorted(arguments if name != "CustomCell" else [""])


# Classes whose arguments of one name mean the same, but for the arguments named.
ALIKE = {
    "layers": (
        ("RNN", "LSTM", "GRU", "CustomLayer"),
        {("LSTM", "zoneout"), ("LSTM", "layer_norm"), ("LSTM", "activations")},
    ),
    "blocks": (("Linear", "Embedding", "Dropout"), {("Embedding", "dtype")}),
    "models": (
        ("ManyToOne", "ManyToMany", "OneToMany", "EncoderDecoder"),
        {
            *(("OneToMany", name) for name in ("input_size", "output_size", "bidirectional", "task", "embedding")),
            *(("EncoderDecoder", name) for name in ("bidirectional", "task")),
        },
    ),
    "estimators": (ESTIMATORS, {("SequenceClassifier", "validation_fraction")} if ESTIMATORS else set()),
    "optimisers": (("SGD", "RMSprop", "Adam", "AdamW", "NAdam"), {("AdamW", "weight_decay")}),
}


@pytest.mark.parametrize("group", ALIKE)
def test_arguments_of_one_name_are_described_alike(group: str) -> None:
    """In full, without reference to another class."""
    names, differ = ALIKE[group]
    texts: dict[str, dict[str, str]] = {}
    for name in names:
        for argument, text in described(PUBLIC[name]).items():
            assert "\n" in text, f"{name}: {argument} has no description"
            assert not re.search(r"\b[Aa]s (of|for|in) ``", text), f"{name}: {argument} is described elsewhere"
            if (name, argument) not in differ:
                texts.setdefault(argument, {})[name] = text
    for argument, found in texts.items():
        assert len(set(found.values())) == 1, f"{argument} is described in several ways: {found}"
    for name, argument in differ:
        assert described(PUBLIC[name])[argument] not in texts[argument].values(), f"{name}: {argument} is no exception"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_things_are_documented(name: str) -> None:
    """A purpose in one line; of a class, an example too."""
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert text, f"{name} has no docstring"
    assert len(text.splitlines()[0]) <= 120
    assert ">>>" in text or not inspect.isclass(PUBLIC[name]), f"{name} has no example"

"""Documents tell the truth: examples print what they promise, links resolve, figures are those of the tables."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import re
import shlex
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from bench import picture, shapes
from rnnfast import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("examples/*.md")])
SKLEARN = importlib.util.find_spec("sklearn") is not None
PANDAS = importlib.util.find_spec("pandas") is not None
MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
if SKLEARN:
    importlib.import_module("sklearn.pipeline")  # before a test, because it changes variables of the environment
UNITS = {"µs": 1.0, "ms": 1e3}


def promised_output(block: str) -> list[str]:
    """Return the comments behind the block's top-level print statements."""
    prints = [node for node in ast.parse(block).body if ast.unparse(node).startswith("print(")]
    last_lines = [block.splitlines()[(node.end_lineno or 0) - 1][node.end_col_offset :] for node in prints]
    return [tail.partition("#")[2].strip() for tail in last_lines]


@pytest.mark.parametrize("name", ["README.md", "docs/guide.md", "docs/interop.md", "docs/interop-torch.md"])
def test_examples_run_and_print_what_they_promise(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of Python, and in the guide the commands of rnnfast, in their order."""
    languages = "python|sh" if name == "docs/guide.md" else "python"
    page = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```({languages})\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    if "torch" in name:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    blocks = [block for block in blocks if SKLEARN or "sklearn" not in block]
    blocks = [block for block in blocks if MATPLOTLIB or "rnnfast import plot" not in block[1]]
    blocks = [block for block in blocks if PANDAS or "import pandas" not in block[1]]
    assert blocks
    namespace: dict[str, object] = {}
    for number, (language, block) in enumerate(blocks, start=1):
        printed = io.StringIO()
        if language == "sh":
            with contextlib.redirect_stdout(printed):
                assert [cli.main(shlex.split(line)[1:]) for line in block.splitlines()] == [0] * block.count("\n")
            continue
        with contextlib.redirect_stdout(printed):
            exec(compile(block, f"{name}, example {number}", "exec"), namespace)
        assert printed.getvalue().splitlines() == promised_output(block)


def prose(page: Path) -> str:
    """Return a page without its blocks and pieces of code."""
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return what a link to a heading of the page may name, spelled as GitHub does."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page)):
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_every_decision_is_in_the_index() -> None:
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (DOCS / "decisions").glob("*.md")} - {"README.md"}
    assert sorted(re.findall(r"\]\((\d{3}-[\w-]+\.md)\)", index)) == sorted(pages)


def test_make_targets_the_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    documents = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^)(?:\w+=\S+ )*make ([a-z]+)", documents, flags=re.MULTILINE))
    assert {"demo", "test", "bench", "weekly"} <= named <= targets


def test_speeds_of_the_readme_are_those_of_the_tables() -> None:
    figures = picture.figures((DOCS / "benchmarks.md").read_text(encoding="utf-8"))
    line = r"^\| .* \| `(.+?)` \| ([\d.]+) (.s) \| (.+), ([\d.]+) (.s) \| ([\d.]+) \|$"
    rows = re.findall(line, README, re.MULTILINE)
    assert {row[0] for row in rows} <= {case.name for case in shapes.cases()}
    assert len(rows) >= 5
    for name, ours, our_unit, peer, theirs, their_unit, ratio in rows:
        figure = figures[name]
        assert float(ours) * UNITS[our_unit] == pytest.approx(figure.ours, rel=0.01)
        assert float(theirs) * UNITS[their_unit] == pytest.approx(figure.theirs, rel=0.01)
        assert (peer, ratio) == (picture.NAMES[figure.peer], f"{figure.ratio:.3g}")


def test_the_picture_shows_the_tables() -> None:
    drawn = picture.draw((DOCS / "benchmarks.md").read_text(encoding="utf-8"))
    assert (DOCS / "speed.svg").read_text(encoding="utf-8") == drawn

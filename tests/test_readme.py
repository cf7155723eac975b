"""Every Python example of the README runs, in order, and prints what its comments say."""

import ast
import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def promised_output(block: str) -> list[str]:
    """Return the comments behind the block's top-level print statements."""
    prints = [node for node in ast.parse(block).body if ast.unparse(node).startswith("print(")]
    last_lines = [block.splitlines()[(node.end_lineno or 0) - 1][node.end_col_offset :] for node in prints]
    return [tail.partition("#")[2].strip() for tail in last_lines]


def test_examples_run_and_print_what_they_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert BLOCKS
    namespace: dict[str, object] = {}
    for number, block in enumerate(BLOCKS, start=1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, f"README.md, example {number}", "exec"), namespace)
        assert printed.getvalue().splitlines() == promised_output(block)


def test_files_the_readme_links_to_exist() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_make_targets_the_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    documents = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`make ([a-z]+)", documents)) <= targets

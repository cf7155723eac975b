"""The demo's third task: what the characters of Python source are, and how it is shown."""

from __future__ import annotations

import re
import sys
import time
import tokenize
from pathlib import Path

import numpy as np
import pytest

from rnnfast.demo import report, source_data, source_syntax
from rnnfast.demo.numpy_models import NumpyGruModel
from rnnfast.demo.results import Colours, Result, Settings
from rnnfast.demo.source_data import CLASSES, File, labels
from rnnfast.demo.source_shown import colours, marked, sample
from rnnfast.demo.training import Trainer
from rnnfast.models import ManyToMany

LETTER = dict(zip(CLASSES, "nk0s#o$i_", strict=True))


def as_letters(text: str) -> str:
    return "".join(LETTER[CLASSES[k]] for k in labels(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if  y:\n\tz = 1_0 # h\n", "kk__no$in_o_000_###$"),
        ("\n# a\nx=b'c'\n", "$###$nossss$"),
        ("del x, \\\n  y", "kkk_no___iin"),
        ('"""a\n  b"""\n', "sssssssssss$"),
        ("f(\n\n  é)\n", "no$$iino$"),
        ("if x:\n  y\nz\n", "kk_no$iin$n$"),
        ("d={}\n\f\nTrue\n", "nooo$i$kkkk$"),
        ("", ""),
    ],
)
def test_labels_checked_by_hand(text: str, expected: str) -> None:
    assert as_letters(text) == expected


def test_formatted_strings_are_strings() -> None:
    inside = "ono_o" if sys.version_info >= (3, 12) else "sssss"
    assert as_letters('f"a{{b}}"\n') == "sssssssss$"
    assert as_letters('f"{x}"\n') == f"ss{inside[:3]}s$"
    assert as_letters('f"""\n{x}\n"""\n') == f"sssss{inside[:3]}ssss$"


@pytest.mark.parametrize("text", ["x = (\n", '"""open', "if x:\n    y\n  z\n"])
def test_what_is_not_python_has_no_labels(text: str) -> None:
    with pytest.raises((SyntaxError, tokenize.TokenError)):
        labels(text)


def test_files_are_split_and_bad_ones_passed_over(tmp_path: Path) -> None:
    good = {f"m{i}.py": f"x = {i}  # good\n" * 200 for i in range(10)}
    bad = {"open.py": "(\n" * 2000, "small.py": "x = 1\n", "note.txt": "x = 1\n" * 500}
    for name, text in {**good, **bad, "copy.py": good["m3.py"]}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n" * 500)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "m.py").write_text("y = 1\n" * 500, encoding="utf-8")
    data = source_data.load(10**6, rng=np.random.default_rng(0), root=tmp_path)
    names = [f.name for f in data.train + data.test]
    assert {name.replace("copy", "m3") for name in names} == set(good)
    assert len(names) == len(good)
    assert len(data.test) == 2
    for f in data.train + data.test:
        assert len(f.ids) == len(f.classes) == len(f.text)
        assert f.text == (tmp_path / f.name).read_text(encoding="utf-8")


def test_rare_characters_share_an_id(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 'é'\n" + "x = 1\n" * 500, encoding="utf-8")
    (tmp_path / "b.py").write_text("x = 'ü'\n" + "x = 1\n" * 500, encoding="utf-8")
    data = source_data.load(10**6, rng=np.random.default_rng(0), root=tmp_path)
    unknown = data.encode(source_data.UNKNOWN)[0]
    assert data.vocabulary.decode(data.test[0].ids[5:6]) == source_data.UNKNOWN
    assert data.encode("xé☃1").tolist()[1:3] == [unknown, unknown]
    assert unknown not in data.encode("x =1\n")


def test_without_sources_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"source: two Python files are required below .*, got 0"):
        source_data.load(100, rng=np.random.default_rng(0), root=tmp_path)


def test_the_standard_library_has_no_code_between_tokens() -> None:
    data = source_data.load(50_000, rng=np.random.default_rng(1))
    assert not {f.name for f in data.train} & {f.name for f in data.test}
    for f in data.train + data.test:
        between = {c for c, k in zip(f.text, f.classes, strict=True) if CLASSES[k] in ("space", "indentation")}
        assert between <= set(" \t\f\n\\")


def a_file(text: str) -> File:
    return File("m.py", text, np.arange(len(text)), labels(text))


def test_the_yardstick_is_the_most_frequent_class_of_an_id() -> None:
    ids, classes = np.array([0, 0, 0, 1, 3]), np.array([4, 2, 2, 5, 2])
    assert source_syntax.most_frequent([File("", "", ids, classes)], 5).tolist() == [2, 5, 2, 2, 2]


def test_errors_are_marked() -> None:
    f = a_file("if x:\n    y = 1\n\nz\n")
    assert marked(f.text, f.classes, f.classes) == f.text[:-1]
    found = f.classes.copy()
    found[[0, 1, 12, 15]] = source_data.NAME, source_data.NAME, source_data.STRING, source_data.SPACE
    assert marked(f.text, found, f.classes).split("\n") == ["if x:", "nn", "    y = 1", "      s  _", "", "z"]


def test_excerpts_come_from_the_middle() -> None:
    f = a_file("".join(f"x = {i}\n" for i in range(1000, 2000)))
    lines = sample(f, f.classes).text.split("\n")
    assert len(lines) == 14
    assert lines[0] == "x = 1501"
    c = colours(f, f.classes)
    assert c.text in f.text
    assert len(c.text) == len(c.found) == len(c.true) == 4000
    assert sample(a_file("x"), np.zeros(1, np.int64)).text == "x"


def test_the_page_colours_source(tmp_path: Path) -> None:
    text = "if <x>\n"
    c = Colours(title="c & d", text=text, classes=CLASSES, found=[1, 1, 8, 5, 0, 5, 6], true=[1, 1, 8, 5, 3, 5, 6])
    result = Result(
        mode="m",
        task="t",
        metric="a",
        higher_is_better=True,
        value=1.0,
        yardsticks={"y": 0.5},
        seconds=1.0,
        sequences_per_second=1.0,
        speedup_vs_numpy=1.0,
        colours=[c],
    )
    report.write(tmp_path, [result], seed=0, start=time.perf_counter())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "c &amp; d" in page
    assert '<span class="c1">if</span><span class="c8"> </span><span class="c5">&lt;</span>' in page
    assert '<span class="c0 wrong" title="name, is string">x</span>' in page
    assert all(re.search(rf"\.c{k}\b", page) for k in range(len(CLASSES)))


def test_the_numpy_model_trains_as_a_many_to_many_model(rng: np.random.Generator) -> None:
    model = ManyToMany(7, 4, cell="gru", hidden_size=10, embedding=5, seed=1)
    values = {name: p.value for name, p in model.parameters().items()}
    numpy_model = NumpyGruModel(values, every_step=True, lr=0.01, clip_norm=0.1)
    trainer = Trainer(model, lr=0.01, clip_norm=0.1)
    for _ in range(10):
        x, y = ([rng.integers(k, size=n) for n in (9, 4, 6, 1)] for k in (7, 4))
        assert trainer.step(x, y) == pytest.approx(numpy_model.step(x, y), rel=1e-4)


def test_a_quick_run_shows_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    result = source_syntax.run(Settings(seed=5, quick=True, progress=False))
    assert set(result.yardsticks) == {"most frequent class", "half its errors"}
    level = result.yardsticks["most frequent class"]
    assert result.yardsticks["half its errors"] == pytest.approx((1 + level) / 2)
    assert 0 <= result.value <= 1
    assert result.colours[0].text
    assert "characters to learn from" in capsys.readouterr().out

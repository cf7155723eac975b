"""Pages about models: their figures are right, they stand alone, and everybody can read them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.report.page import MISSING, Html, Section, document, paragraph, table
from tests.support.command_line import FAST, long_form, runner, write
from tests.support.pages import Page, check
from tests.support.reported import LETTERS, MADE, WORDS, Pages, made, writing

MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
every_model = pytest.mark.parametrize("name", MADE)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return writing(tmp_path_factory)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """Pages without pictures, which are written fast."""
    written = writing(tmp_path_factory)

    def without(name: str) -> str:
        with patch("rnnfast.report.page.available", return_value=False):
            return written(name)

    return without


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if matplotlib were not installed."""
    monkeypatch.setattr("rnnfast.report.page.available", lambda: False)


@every_model
def test_pages_stand_alone_and_can_be_read_by_everybody(name: str, pages: Pages) -> None:
    page = check(pages(name))
    sections = [said.partition(":")[0] for level, said in page.headings if level == 2]
    expected = ["How good it is", "What is right and wrong", "Worst cases"] * (2 if name == "many_to_many" else 1)
    expected += ["What it writes alone"] * (name == "translator")
    assert sections == [*expected, "What goes on inside", "How it learned", "Configuration", "Versions"]
    assert len(page.having("img")) >= (3 if MATPLOTLIB else 0)
    assert (MISSING[:20] in pages(name)) != MATPLOTLIB


@every_model
def test_every_option_is_told(name: str, plain: Pages) -> None:
    model, *_ = made(name)
    rows = {row[0]: row[1:] for row in Page(plain(name)).table("Every option")}
    assert set(rows) == set(model.config)
    assert rows["hidden_size"] == ["8", "set"]
    assert rows["bidirectional"] == ["False", "default"]
    assert rows["num_layers"] == (["2", "set"] if name == "writer" else ["1", "default"])
    names = [row[0] for row in Page(plain(name)).table("The parameters")]
    assert names == list(model.parameters())


def scores(page: Page) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in page.table("Model and baselines")}


def test_metrics_are_those_of_evaluate_beside_the_most_frequent_class(plain: Pages) -> None:
    model, x, y, _ = made("many_to_one")
    judged = model.evaluate(x, y, metrics="balanced_accuracy")
    share = max(y.mean(), 1 - y.mean())
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    found = scores(Page(plain("many_to_one")))
    assert found == {
        "loss": [f"{judged['loss']:.4g}", f"{entropy:.4g}"],
        "accuracy": [f"{judged['accuracy']:.4g}", f"{share:.4g}"],
        "balanced_accuracy": [f"{judged['balanced_accuracy']:.4g}", "0.5"],
    }
    better = "is better" if judged["accuracy"] > share else "is not better"
    assert f"The model {better} than every baseline" in plain("many_to_one")


def test_forecasts_are_judged_in_the_units_of_the_data(plain: Pages) -> None:
    model, x, y, more = made("windows")
    scaler, past = more["target_scaler"], np.array([p[-1] for p in more["past"]])[:, None]
    true, said = scaler.inverse_transform(y), scaler.inverse_transform(model.predict(x))
    answers = [said, np.broadcast_to(true.mean(axis=0), true.shape), past, np.full(true.shape, 20.0)]
    errors = [answer - true for answer in answers]
    found = scores(Page(plain("windows")))
    spread = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    assert found["mae"] == [f"{np.abs(e).mean():.4g}" for e in errors]
    assert found["rmse"] == [f"{np.sqrt((e**2).mean(axis=0)).mean():.4g}" for e in errors]
    np.testing.assert_allclose(
        [float(v) for v in found["r2"]], [(1 - (e**2).sum(axis=0) / spread).mean() for e in errors], atol=1e-3
    )
    assert found["loss"][0] == f"{model.evaluate(x, y)['loss']:.4g}"


def test_the_last_value_of_a_series_is_a_baseline(plain: Pages) -> None:
    _, x, _, _ = made("series")
    steps = np.concatenate([np.diff(s[:, 0]) for s in x])
    assert scores(Page(plain("series")))["mae"][2] == f"{np.abs(steps).mean():.4g}"


def test_labels_are_judged_beside_their_most_frequent_answers(plain: Pages) -> None:
    model, x, y, _ = made("labels")
    often = np.broadcast_to(y.mean(axis=0) > 0.5, y.shape)
    found = scores(Page(plain("labels")))
    assert found["accuracy"] == [f"{model.evaluate(x, y)['accuracy']:.4g}", f"{(often == y).mean():.4g}"]
    each = Page(plain("labels")).table("Each label")
    assert [row[1] for row in each] == [str(n) for n in y.sum(axis=0)]


def test_the_worst_cases_are_the_most_surprising(plain: Pages) -> None:
    model, x, y, _ = made("many_to_one")
    p = model.predict_proba(x)
    surprise = -np.log(p[np.arange(len(x)), y])
    order = np.argsort(-surprise, kind="stable")[:10]
    rows = Page(plain("many_to_one")).table("The sequences with the worst answers")
    assert [row[0] for row in rows] == [f"sequence {n}" for n in order]
    assert [row[-1] for row in rows] == [f"{s:.4g}" for s in surprise[order]]
    assert [row[2] for row in rows] == [WORDS[y[n]] for n in order]
    assert rows[0][3] == f"{WORDS[p[order[0]].argmax()]} ({100 * p[order[0]].max():.0f} % sure)"


def test_of_each_sequence_the_worst_target_is_told(plain: Pages) -> None:
    model, x, _, _ = made("series")
    spread = np.concatenate([s[1:] for s in x]).std()
    off = [np.abs(model.predict(s[:-1]) - s[1:])[:, 0] / spread for s in x]
    rows = Page(plain("series")).table("The sequences with the worst answers")
    order = np.argsort([-o.mean() for o in off], kind="stable")
    assert [row[0] for row in rows] == [f"sequence {n}" for n in order]
    assert [row[2] for row in rows] == [f"{off[n].argmax() + 1} of 29" for n in order]
    assert [float(row[3]) for row in rows] == pytest.approx([x[n][1 + off[n].argmax(), 0] for n in order], rel=1e-3)
    headings = [said for level, said in Page(plain("series")).headings if level == 3]
    assert headings == [f"Typical sequence: sequence {order[3]}", f"Worst sequence: sequence {order[0]}"]


def test_of_one_sequence_the_worst_steps_are_told(plain: Pages) -> None:
    model, text, _, _ = made("writer")
    ids = LETTERS.encode(text)
    surprise = -np.log(model.predict_proba(ids[:-1])[np.arange(len(ids) - 1), ids[1:]])
    rows = Page(plain("writer")).table("The targets with the worst answers")
    assert rows[0][0] == f"step {surprise.argmax() + 1}"
    assert float(rows[0][-1]) == pytest.approx(surprise.max(), rel=1e-3)
    before = text[max(0, surprise.argmax() - 30) : surprise.argmax() + 1]
    assert rows[0][1] == before.replace(" ", "\N{OPEN BOX}").replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}")


def test_what_is_written_alone_is_judged(plain: Pages) -> None:
    model, x, y, _ = made("translator")
    said = model.predict(x)
    distance = sum(rf.metrics.edit_distance(a, b) for a, b in zip(said, y, strict=True)) / sum(map(len, y))
    rows = {row[0]: row[1] for row in Page(plain("translator")).table("What is written")}
    assert rows["exact matches"] == f"{np.mean([a == b for a, b in zip(said, y, strict=True)]):.4g}"
    assert rows["edit distance"] == f"{distance:.4g}"


def test_confusions_are_counted(plain: Pages) -> None:
    model, x, y, _ = made("many_to_one")
    said = model.predict(x)
    page = Page(plain("many_to_one"))
    wrong = {(t, s): int(((y == t) & (said == s)).sum()) for t, s in ((0, 1), (1, 0))}
    assert {(WORDS.index(t), WORDS.index(s)): int(n) for t, s, n in page.table("The most frequent mistakes")} == {
        pair: n for pair, n in wrong.items() if n
    }
    found = {row[0]: row[1:] for row in page.table("Each class")}
    for k, name in enumerate(WORDS):
        own, right = int((y == k).sum()), int(((y == k) & (said == k)).sum())
        assert found[name][:2] == [str(own), f"{100 * right / own:.1f} %"]


def test_the_history_is_told(plain: Pages, tmp_path: Path, no_pictures: None) -> None:
    model, x, y, _ = made("many_to_one")
    rows = {row[0]: row[1:3] for row in Page(plain("many_to_one")).table("6 epochs")}
    assert list(rows) == ["loss", "val_loss", "val_accuracy"]
    assert rows["val_loss"] == [f"{model.history['val_loss'][i]:.4g}" for i in (0, -1)]
    model.save(tmp_path / "model")
    rf.load(tmp_path / "model").report(x, y, tmp_path / "page")
    assert "Nothing is known of the training" in (tmp_path / "page").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["many_to_one", "translator"])
def test_the_same_model_writes_the_same_page_and_stays_the_same(name: str, plain: Pages, tmp_path: Path) -> None:
    model, x, y, more = made(name)
    model.zero_grad()
    before = model.state_dict(), model.random_state()
    with patch("rnnfast.report.page.available", return_value=False):
        model.report(x, y, tmp_path / "again.html", **more)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == plain(name)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[0][key])
    assert model.random_state() == before[1]
    assert not any(p.grad.any() for p in model.parameters().values())


def test_what_does_not_count_is_left_out(tmp_path: Path, no_pictures: None) -> None:
    """A gap, a weight of 0 and a missing number: only what is left is judged."""
    x = np.random.default_rng(0).normal(size=(5, 6, 2))
    y = x[..., :1].copy()
    y[0, 2], mask, weights = np.nan, np.ones((5, 6), bool), np.ones(5)
    mask[1, 3], weights[4] = False, 0
    model = rf.ManyToMany(2, 1, task="regression", hidden_size=4, seed=0)
    given: dict[str, Any] = {"mask": mask, "sample_weight": weights}
    model.report(x, y, tmp_path / "page", **given)
    page = check((tmp_path / "page").read_text(encoding="utf-8"))
    ((caption, _),) = [item for item in page.tables.items() if item[0].startswith("Model and")]
    assert caption.startswith("Model and baselines on 22 targets")
    assert scores(page)["mae"][0] == f"{model.evaluate(x, y, **given)['mae']:.4g}"


def test_resets_and_contexts_are_read(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 8, 2))
    resets = np.zeros((3, 8), bool)
    resets[:, 4] = True
    tagger = rf.ManyToMany(2, 2, hidden_size=4, seed=0)
    tagger.report(x, (x[..., 0] > 0).astype(int), tmp_path / "page", resets=resets)
    check((tmp_path / "page").read_text(encoding="utf-8"))
    told = rf.OneToMany(5, context_size=2, hidden_size=4, seed=0)
    told.report([[0, 1, 2], [3, 4]], None, tmp_path / "page", context=np.ones((2, 2)))
    check((tmp_path / "page").read_text(encoding="utf-8"))


def test_long_sequences_are_cut_where_they_are_shown(tmp_path: Path) -> None:
    """Pictures of some steps do not need the states of all."""
    text = "ab" * 4000 + "f" + "ab" * 100
    model = rf.OneToMany(vocabulary=LETTERS, hidden_size=4, seed=0)
    model.fit(text, epochs=1, progress=False, seed=0)
    model.report(text, None, tmp_path / "page")
    page = check((tmp_path / "page").read_text(encoding="utf-8"))
    alts = [image["alt"] for image in page.having("img") if image["alt"].startswith("Heat map")]
    assert all("over 60 steps" in alt and "f" in alt for alt in alts)


class Half(rf.Task):
    """A task without probabilities or a loss that learns."""

    name = "half of two"
    element = "id"

    def targets(self, y: Any, size: int, dtype: Any, *, name: str = "y") -> Any:
        return np.asarray(y)

    def loss(self, outputs: Any, targets: Any, weights: Any) -> tuple[float, Any]:
        return 0.5, np.zeros_like(outputs)

    def decide(self, outputs: Any) -> Any:
        return outputs.argmax(axis=1)


X = np.random.default_rng(0).normal(size=(6, 5, 2))
SHARES = np.random.default_rng(1).random((6, 4, 3))
KINDS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "own task": lambda: (rf.ManyToOne(2, 2, task=Half(), hidden_size=4, seed=0), X, [0, 1, 0, 1, 1, 0]),
    "ids without texts": lambda: (
        rf.ManyToMany(4, 2, embedding=2, hidden_size=4, seed=0),
        [[0, 3], [1]],
        [[0, 1], [1]],
    ),
    "ignored": lambda: (
        rf.ManyToMany(4, 2, loss={"name": "cross_entropy", "ignore_index": -1}, embedding=2, hidden_size=4, seed=0),
        [[0, 3], [1]],
        [[0, -1], [-1]],
    ),
    "numbers": lambda: (rf.EncoderDecoder(2, 3, task="regression", hidden_size=4, seed=0), X, SHARES),
    "counts": lambda: (rf.ManyToOne(2, 1, task="poisson", hidden_size=4, seed=0), X, np.arange(6)[:, None]),
    "written labels": lambda: (
        rf.EncoderDecoder(2, 3, task="multilabel", attention="additive", hidden_size=4, seed=0),
        X,
        (SHARES > 0.5).astype(int),
    ),
    "words": lambda: (
        rf.ManyToOne(vocabulary=rf.text.WordVocabulary(["a cat ran"]), output_size=2, hidden_size=4, seed=0),
        ["a cat", "a cat ran"],
        [0, 1],
    ),
    "bytes": lambda: (rf.OneToMany(vocabulary=rf.text.ByteVocabulary(), hidden_size=4, seed=0), "Grüße $x$ 東京", None),
    "one sequence": lambda: (rf.ManyToOne(2, 1, task="regression", hidden_size=4, seed=0), X[:1], [[1.0]]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_has_a_page(kind: str, tmp_path: Path, no_pictures: None) -> None:
    model, x, y = KINDS[kind]()
    model.report(x, y, tmp_path / "page")
    assert scores(check((tmp_path / "page").read_text(encoding="utf-8")))


def test_a_page_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    model, x, y, _ = made("many_to_one")
    path = tmp_path / "page"
    path.write_text("old")
    for wrong, message in (
        ({"classes": ["one"]}, "classes: one name for each of K = 2 is required, got 1"),
        ({"names": ["one"]}, "names: one for each of N = 80 sequences is required, got 1"),
        ({"features": ["one"]}, "features: one name for each of C = 2 numbers is required, got 1"),
        ({"past": [np.zeros(2)]}, "past: one for each of N = 80 sequences is required, got 1"),
        ({"baselines": {"mine": [0, 1]}}, r"baselines\['mine'\]: as many numbers as targets"),
    ):
        with pytest.raises(ValueError, match=message):
            model.report(x, y, path, **wrong)
    with pytest.raises(TypeError, match=r"report: .*lenghts"):
        model.report(x, y, path, lenghts=[3])
    assert path.read_text() == "old"


def test_blocks_are_escaped_and_html_is_not() -> None:
    page = check(document("<T>", [paragraph("a < b")], [Section("<S>", [table("<C>", ["<H>"], [[Html("<b>c</b>")]])])]))
    assert page.title == "<T>"
    assert page.headings == [(1, "<T>"), (2, "<S>")]
    assert page.tables == {"<C>": [["<H>"], ["c"]]}


def test_without_matplotlib_the_page_says_so(tmp_path: Path, no_pictures: None) -> None:
    model, x, y, more = made("many_to_one")
    model.report(x, y, tmp_path / "page", **more)
    page = check((tmp_path / "page").read_text(encoding="utf-8"))
    assert "pip install 'rnnfast[plot]'" in page.html.replace("&#x27;", "'")
    assert not page.having("img")


def test_settings_of_matplotlib_neither_count_nor_change(pages: Pages, tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    model, x, y, more = made("many_to_one")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        model.report(x, y, tmp_path / "page", **more)
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "page").read_text(encoding="utf-8") == pages("many_to_one")


def test_the_command_writes_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_pictures: None
) -> None:
    run = runner(tmp_path, monkeypatch, capsys)
    long_form("walks.csv", 60, 0)
    run("train", "walks.csv", "--output", "m.safetensors", "--epochs", "3", *FAST)
    judged = dict(line.split(": ") for line in run("evaluate", "m.safetensors", "walks.csv").splitlines())
    assert run("report", "m.safetensors", "walks.csv") == "report.html: m.safetensors on walks.csv\n"
    page = check(Path("report.html").read_text(encoding="utf-8"))
    assert float(scores(page)["accuracy"][0]) == pytest.approx(float(judged["accuracy"]), rel=1e-3)
    assert page.table("3 epochs")
    assert all(re.fullmatch(r"w\d+", row[0]) for row in page.table("The sequences with the worst answers"))
    assert {row[0] for row in page.table("Each class")} == {"down", "up"}
    Path("m.state.safetensors").unlink()
    run("report", "m.safetensors", "walks.csv", "--output", "b.html", "--title", "Walks & more")
    page = check(Path("b.html").read_text(encoding="utf-8"))
    assert page.title == "Walks & more"
    assert "Nothing is known of the training" in page.html
    assert "no-such" in run("report", "m.safetensors", "no-such.csv", code=1)


def test_the_command_reports_forecasts_and_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_pictures: None
) -> None:
    run = runner(tmp_path, monkeypatch, capsys)
    wave = 50 + 10 * np.sin(np.arange(150) / 5)
    write("sales.csv", "month,sales", [(t, f"{v:.4f}") for t, v in enumerate(wave)])
    run("train", "sales.csv", "--target", "sales", "--window", "12", "--horizon", "3", "--epochs", "2", *FAST)
    judged = dict(line.split(": ") for line in run("evaluate", "model.safetensors", "sales.csv").splitlines())
    run("report", "model.safetensors", "sales.csv")
    found = scores(check(Path("report.html").read_text(encoding="utf-8")))
    assert float(found["mae"][0]) == pytest.approx(float(judged["mae"]), rel=1e-3)
    ahead = [np.abs(wave[11 + k : 147 + k] - wave[11:147]) for k in (1, 2, 3)]
    assert float(found["mae"][2]) == pytest.approx(np.mean(ahead), rel=1e-3)
    Path("text.txt").write_text("the cat sat. " * 60)
    run("train", "text.txt", "--output", "t.safetensors", "--epochs", "1", *FAST)
    run("report", "t.safetensors", "text.txt")
    page = check(Path("report.html").read_text(encoding="utf-8"))
    assert page.table("The targets with the worst answers")

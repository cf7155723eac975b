"""The accuracy benchmark: data as their definitions say, parts that share nothing, configurations that run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from bench.__main__ import main as bench
from bench.accuracy import __main__ as command
from bench.accuracy import floors, readers, synthetic, table
from bench.accuracy.agents import Practice
from bench.accuracy.metrics import Part, characters, exact_matches
from bench.accuracy.rows import ROWS, Row
from bench.accuracy.run import measure
from bench.accuracy.task import Data
from bench.accuracy.tasks import TASKS
from bench.accuracy.training import SHAPES, Configuration, Forecasting, Schedule, remember
from bench.accuracy.words import Lexicon
from rnnfast.rl import ActorCritic
from rnnfast.text import Vocabulary

ROOT = Path(__file__).parents[1]
REAL = ("japanese-vowels", "atis", "shakespeare", "names", "yearly-sunspots", "monthly-sunspots", "co2")
PACKAGES = {"japanese-vowels": "sklearn", "co2": "pandas", "cartpole": "gymnasium"}
OF_SEQUENCES = [name for name, task in TASKS.items() if task.model not in (rf.Forecaster, ActorCritic)]
FOURTH = "(?:XT*VP)*(?:S|XT*VV)"
REBER = re.compile(f"B([TP])B(?:TS*X{FOURTH}|PT*V(?:V|P{FOURTH}))E\\1E")
"""The embedded grammar as a regular expression, where FOURTH is what leads from the fourth state to the end."""


@pytest.fixture
def real(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(readers.VARIABLE, str(data_folder))
    return data_folder


def parameters_of(names: Any) -> list[Any]:
    """The names as parameters of a test, those of real data marked."""
    return [pytest.param(name, marks=[pytest.mark.data] if name in REAL else []) for name in names]


def load(name: str, request: pytest.FixtureRequest) -> Data:
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    if name in REAL:
        request.getfixturevalue("real")
    return TASKS[name].load()


def tiny(row: Row, data: Data) -> tuple[Row, Data]:
    """The row with a small model that reads few data once."""
    made = row.configuration
    if isinstance(made, Practice):
        few: dict[str, Any] = {
            name: Part(getattr(data, name).x[:2]) for name in ("train", "inner", "validation", "test")
        }
        return replace(row, configuration=Practice(model={"hidden": 4}, steps=1024)), replace(data, **few)
    if isinstance(made, Forecasting):
        model = {**made.model, "hidden_size": 2, "window": 14, "ensemble": 1}
        return replace(row, configuration=replace(made, model=model, epochs=1, batch_size=512)), few_series(data)
    count = 700 if row.task.name == "shakespeare" else 24
    parts = {name: getattr(data, name)[:count] for name in ("train", "inner", "validation", "test")}
    sizes = {key: 4 for key in ("hidden_size", "embedding", "source_embedding") if key in made.model}
    configuration = replace(made, model={**made.model, **sizes}, epochs=1)
    return replace(row, configuration=configuration), replace(data, **parts)


def few_series(data: Data) -> Data:
    """Ten series of many."""
    parts = {name: getattr(data, name) for name in ("train", "inner", "validation", "test")}
    return replace(data, **{name: replace(p, x=p.x[:10]) for name, p in parts.items() if isinstance(p.x, list)})


def judged_by(row: Row, score: Callable[[Any, Part], float]) -> Row:
    return replace(row, task=replace(row.task, metric=replace(row.task.metric, score=score)))


class Untouchable:
    """A part that nobody may read."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} of the test part is read")


# ----- rows


@pytest.mark.parametrize("name", parameters_of(TASKS))
def test_every_configuration_runs(name: str, request: pytest.FixtureRequest) -> None:
    data = load(name, request)
    for row, small in (tiny(row, data) for row in ROWS if row.task.name == name):
        record = measure(row, small, seeds=(0, 1))
        assert len(record.scores) == len(record.seconds) == 2
        assert all(math.isfinite(score) for score in record.scores)
        assert record.scores[0] == measure(row, small, seeds=(0,)).scores[0]
        assert min(record.seconds) > 0
        untouchable: Any = Untouchable()
        chosen = measure(row, replace(small, test=untouchable), seeds=(0,), choosing=True)
        assert chosen.floor is None


def test_every_task_has_a_row_and_goals_in_the_right_order() -> None:
    assert {row.task.name for row in ROWS} == set(TASKS)
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.task.metric.reached(row.aim, row.goal)
        assert not row.task.metric.reached(row.goal, row.aim)


def test_a_model_is_judged_by_the_test_part_alone_and_once_a_seed() -> None:
    row, data = tiny(ROWS[[row.name for row in ROWS].index("reber")], TASKS["reber"].load())
    judged = list[Part]()

    def score(model: Any, part: Part) -> float:
        judged.append(part)
        return 0.75

    watched = judged_by(row, score)
    record = measure(watched, data, seeds=(3, 4))
    assert judged == [data.test] * 2
    assert record.mean == 0.75
    assert record.floor == 0.5
    measure(watched, data, seeds=(5,), choosing=True)
    assert judged[2:] == [data.validation]


@pytest.mark.parametrize(("score", "verdict"), [(1.0, "aim"), (0.996, "goal"), (0.99, "missed")])
def test_what_a_row_has_reached(score: float, verdict: str) -> None:
    row, data = tiny(ROWS[[row.name for row in ROWS].index("reber")], TASKS["reber"].load())
    record = measure(judged_by(row, lambda model, part: score), data, seeds=(0,))
    assert record.verdict == verdict
    assert verdict in table.line(record)


# ----- parts


def identities(part: Part) -> list[bytes]:
    """The sequences as something that sets may hold."""
    return [np.asarray(s).tobytes() for s in part.x]


@pytest.mark.parametrize("name", parameters_of(sorted(set(OF_SEQUENCES) - {"shakespeare"})))
def test_parts_share_nothing(name: str, request: pytest.FixtureRequest) -> None:
    data = load(name, request)
    learned, judged = identities(data.train), identities(data.test)
    inner, validation = identities(data.inner), identities(data.validation)
    if name == "names":  # lines of the file, some of which are equal
        assert len(learned) + len(judged) == 32033
    else:
        assert not set(learned) & set(judged)
        assert not set(validation) & set(judged) or name == "atis"
    together = inner + validation
    assert together == learned or inner == learned
    for part in (data.train, data.inner, data.validation, data.test):
        assert part.y is None or len(part.x) == len(part.y)


@pytest.mark.data
def test_the_end_of_the_text_is_held_out(real: Path) -> None:
    data = TASKS["shakespeare"].load()
    assert [len(part) for part in (data.train, data.test)] == [1003854, 111540]
    np.testing.assert_array_equal(np.r_[data.inner.x, data.validation.x], data.train.x)


def test_days_and_questions_are_held_out() -> None:
    """No day is in both parts, in whatever style; no question, in whatever order."""
    dates = TASKS["dates"].load()
    days = [{tuple(ids) for ids in part.y} for part in (dates.inner, dates.validation, dates.test)]
    assert sum(map(len, days)) == len(set.union(*days)) == 36525
    addition = TASKS["addition"].load()
    digits = Vocabulary("+0123456789")
    questions = [
        {frozenset(digits.decode(ids)[::-1].split("+")) for ids in part.x}
        for part in (addition.inner, addition.validation, addition.test)
    ]
    assert [len(q) for q in questions] == [4050, 450, 500]
    assert len(set.union(*questions)) == 5000


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sizes", "floor"),
    [
        ("japanese-vowels", (270, 180, 90, 370), 0.962),
        ("atis", (4274, 4274, 572, 586), 0.960),
        ("shakespeare", (1003854, 903469, 100385, 111540), 1.669),
        ("names", (28830, 25947, 2883, 3203), 2.027),
    ],
)
def test_parts_and_floors_of_real_data(
    name: str, sizes: tuple[int, ...], floor: float, request: pytest.FixtureRequest
) -> None:
    """The floors are those that others report for the same parts."""
    data = load(name, request)
    assert tuple(len(part) for part in (data.train, data.inner, data.validation, data.test)) == sizes
    method = TASKS[name].floor
    assert method is not None
    assert method.score(data) == pytest.approx(floor, abs=6e-4)


# ----- readers


def test_a_file_of_tags(tmp_path: Path) -> None:
    path = tmp_path / "tags.tsv"
    path.write_text("show\tVERB\nme\tPRON\n\nnow\tADV\n\n")
    assert readers.tagged_sentences(path) == [[("show", "VERB"), ("me", "PRON")], [("now", "ADV")]]


def test_missing_data_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(readers.VARIABLE, str(tmp_path))
    with pytest.raises(readers.DataMissing, match=r"names.absent.txt: a file is required, got none"):
        readers.found("names", "absent.txt")
    monkeypatch.delenv(readers.VARIABLE, raising=False)
    with pytest.raises(readers.DataMissing, match="RNNFAST_DATA: the folder of the data is required, got none"):
        readers.folder()


def test_words_and_endings() -> None:
    lexicon = Lexicon(["to", "to", "flying", "x"], least=2)
    assert lexicon["to"] == 0
    assert lexicon["trying"] == lexicon["flying"]
    assert lexicon["g"] == lexicon["dog"] != lexicon["ring"]
    assert len({lexicon[word] for word in ("to", "flying", "dog", "x", "o", "kiwi")}) == 5
    assert max(lexicon[word] for word in ("to", "ing", "ng", "g", "x", "o")) < len(lexicon)


# ----- data that are made


def test_two_sines_are_those_of_the_book() -> None:
    """A linear model of the 7,000 series has the error that is reported for the 2,000 after them."""
    data = TASKS["two-sines"].load()
    found = floors.least_squares(*data.train.arguments, *data.validation.arguments)
    assert found == pytest.approx(0.00293, abs=5e-6)
    assert data.train.x.shape == (7000, 50, 1)
    assert data.train.y.shape == (7000, 1)


def test_strings_are_those_of_the_grammar(rng: np.random.Generator) -> None:
    strings, labels = synthetic.labelled_reber_strings(600, rng)
    assert [bool(REBER.fullmatch(s)) for s in strings] == labels.astype(bool).tolist()
    assert labels.mean() == 0.5
    others, _ = synthetic.labelled_reber_strings(100, rng, without=set(strings))
    assert not set(others) & set(strings)


def test_a_corrupted_string_differs_in_one_letter(rng: np.random.Generator) -> None:
    for _ in range(200):
        (good,) = rf.data.synthetic.reber_strings(1, seed=rng)
        bad = synthetic.corrupted(good, rng)
        assert sum(a != b for a, b in zip(good, bad, strict=True)) == 1
        assert not REBER.fullmatch(bad)


# ----- floors, scores, schedule


def test_least_squares_against_scikit_learn(rng: np.random.Generator) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    x, test_x = rng.normal(size=(40, 3, 2)), rng.normal(size=(9, 3, 2))
    y, test_y = rng.normal(size=(40, 1)), rng.normal(size=(9, 1))
    model = linear.LinearRegression().fit(x.reshape(40, 6), y)
    expected = np.mean((model.predict(test_x.reshape(9, 6)) - test_y) ** 2)
    assert floors.least_squares(x, y, test_x, test_y) == pytest.approx(expected)


def test_the_most_frequent_tag_by_hand() -> None:
    x, y = [[0, 1, 0], [0, 1]], [[5, 6, 5], [7, 6]]
    assert floors.most_frequent_tag(x, y, [[0, 1, 2]], [[5, 7, 5]]) == pytest.approx(2 / 3)


def test_ngrams_of_sequences_by_hand() -> None:
    """Bigrams with Witten-Bell smoothing; 2 begins a sequence and 1 ends it."""
    train, test = [np.array([2, 0, 1]), np.array([2, 0, 0, 1])], [np.array([2, 0, 1]), np.array([2, 1])]
    unigram = {0: (3 + 3 / 3) / (6 + 3), 1: (2 + 3 / 3) / (6 + 3)}  # after the first symbol: 0 1 2 0 0 1
    after_start = {0: (2 + 1 * unigram[0]) / (2 + 1), 1: (0 + 1 * unigram[1]) / (2 + 1)}
    after_0 = {1: (2 + 2 * unigram[1]) / (3 + 2)}
    expected = -np.mean(np.log([after_start[0], after_0[1], after_start[1]]))
    assert floors.ngrams_of_sequences(train, test, 3, 2) == pytest.approx(expected)


class Writer:
    """A model that has written this."""

    def __init__(self, *written: list[int]) -> None:
        self.written = [np.array(ids) for ids in written]

    def predict(self, x: Any, **options: Any) -> Any:
        return self.written


def test_scores_of_what_was_written() -> None:
    part = Part([0, 1, 2], [np.array([1, 2]), np.array([7]), np.array([1, 0, 8])])
    model = Writer([1, 2], [7, 7], [1, 9, 8])
    assert exact_matches(model, part) == pytest.approx(1 / 3)
    assert characters(model, part) == pytest.approx(7 / 9)


@pytest.mark.parametrize(
    ("fall", "expected"),
    [("linear", lambda k: 1 - k / 20), ("cosine", lambda k: (1 + math.cos(math.pi * k / 20)) / 2)],
)
def test_the_learning_rate_rises_and_falls(fall: str, expected: Callable[[int], float]) -> None:
    rates = list[float]()

    class Watch(rf.Callback):
        def on_gradient(self, run: Any) -> None:
            rates.append(run.optimizer.lr)

    c = Configuration(model={}, epochs=2, batch_size=1, lr=0.5, warm_up=0.1, fall=fall)
    model = rf.ManyToOne(1, 2, hidden_size=2, seed=0)
    optimizer = rf.Adam(lr=c.lr)
    x, y = np.zeros((10, 3, 1)), np.zeros(10, np.int64)
    model.fit(x, y, epochs=2, batch_size=1, optimizer=optimizer, callbacks=[Schedule(c), Watch()], progress=False)
    rising = [(k + 1) / 3 for k in range(20)]
    np.testing.assert_allclose(rates, [0.5 * min(1.0, rising[k]) * expected(k) for k in range(20)])
    assert SHAPES[fall](1.0) == pytest.approx(0.0)


def test_units_remember_one_to_t_steps_at_first(rng: np.random.Generator) -> None:
    """The forget gate's time constant 1 / (1 - f) lies in [2, T), and i = 1 - f; the other gates stay as they were."""
    layer, other = (rf.LSTM(2, 300, seed=0) for _ in range(2))
    remember(layer, 50, rng)
    bias, before = (
        np.sum([p.value for name, p in a.parameters().items() if "bias" in name], axis=0) for a in (layer, other)
    )
    i, f = 1 / (1 + np.exp(-bias[:600].reshape(2, 300)))
    steps = 1 / (1 - f)
    assert 2 <= steps.min() < 4 < 48 < steps.max() < 50
    np.testing.assert_allclose(i, 1 - f, rtol=1e-5)
    np.testing.assert_array_equal(bias[600:], before[600:])


def test_the_page_shows_the_recorded_configurations() -> None:
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    for row in ROWS:
        assert f"| {row.name} | `{table.arguments(row.configuration)}` |" in page


# ----- command line


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row, data = tiny(ROWS[[row.name for row in ROWS].index("reber")], TASKS["reber"].load())
    missing = replace(row, name="vowels", task=replace(row.task, load=TASKS["japanese-vowels"].load))
    monkeypatch.setattr(command, "ROWS", (replace(row, task=replace(row.task, load=lambda: data)), missing))
    monkeypatch.setenv(readers.VARIABLE, str(tmp_path))
    assert bench(["accuracy", "--seeds", "1", "2", "--json", str(tmp_path / "run.json")]) == 0
    printed = capsys.readouterr().out
    assert "left out: vowels" in printed
    document = json.loads((tmp_path / "run.json").read_text())
    (found,) = document["rows"]
    assert len(found["scores"]) == len(found["cpu_seconds"]) == 2
    assert f"| reber | many-to-one | accuracy | 0.5000 (chance) | {table.short(row.goal)}" in table.markdown(
        document["rows"]
    )
    assert "cell='gru', hidden_size=4, embedding=4, epochs=1" in table.markdown(document["rows"])
    with pytest.raises(SystemExit):
        bench(["accuracy", "nothing"])
    assert "ROW: one of reber, vowels is required, got nothing" in capsys.readouterr().err

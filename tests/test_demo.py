"""The demo: tasks end to end, the same training in NumPy, and what they leave behind."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnfast import demo
from rnnfast.demo import report
from rnnfast.demo.numpy_layers import Packed
from rnnfast.demo.numpy_models import NumpyEncoderDecoder, NumpyGruModel, time_side_by_side
from rnnfast.demo.results import Chart, Curve, HeatMap, Result, Sample, Settings
from rnnfast.demo.tasks import TASKS, task_named
from rnnfast.demo.training import Decay, Recorder, Trainer, check_same_loss, hidden_states
from rnnfast.models import EncoderDecoder, ManyToOne, OneToMany
from rnnfast.report.units import by_strongest_step, slowest_units

KEYS = [
    "mode",
    "task",
    "metric",
    "higher_is_better",
    "value",
    "yardsticks",
    "beats_all",
    "seconds",
    "speedup_vs_numpy",
]
QUICK = Settings(seed=3, quick=True, progress=False)


def a_result(**changes: Any) -> Result:
    values: dict[str, Any] = {
        "mode": "one-to-many",
        "task": "write <text>",
        "metric": "nats",
        "higher_is_better": False,
        "value": 1.25,
        "yardsticks": {"1-gram": 3.0, "2-gram": 2.0},
        "seconds": 12.0,
        "sequences_per_second": 1234.5,
        "speedup_vs_numpy": 4.0,
        "about": "a & b",
        "samples": [Sample(title="s", text="<b>bold</b>")],
        "charts": [Chart(title="c", x_label="x", y_label="y", curves=[Curve(name="m", x=[1, 2], y=[2.0, 1.0])])],
        "heat_maps": [HeatMap(title="h", values=np.zeros((2, 3)), columns="abc", rows=["u", "v"])],
    }
    return Result(**{**values, **changes})


@pytest.fixture(scope="module")
def quick_results() -> dict[str, Result]:
    return {name: task_named(name).run(QUICK) for name in TASKS}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_reports_all_that_is_asked(quick_results: dict[str, Result], name: str) -> None:
    result, entry = quick_results[name], quick_results[name].as_json()
    assert list(entry) == KEYS
    assert entry["mode"] == task_named(name).MODE
    assert entry["yardsticks"]
    assert entry["seconds"] > 0
    assert entry["speedup_vs_numpy"] > 0
    assert np.isfinite([entry["value"], *entry["yardsticks"].values(), result.sequences_per_second]).all()
    assert result.charts
    assert result.heat_maps
    assert result.samples
    json.dumps(entry, allow_nan=False)


@pytest.mark.parametrize("name", TASKS)
def test_a_seed_decides_everything_but_the_clock(quick_results: dict[str, Result], name: str) -> None:
    first, again = quick_results[name], task_named(name).run(QUICK)
    assert again.value == first.value
    assert again.yardsticks == first.yardsticks
    assert again.samples == first.samples
    assert again.charts == first.charts
    for a, b in zip(first.heat_maps, again.heat_maps, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
    other = task_named(name).run(dataclasses.replace(QUICK, seed=4))
    assert other.value != first.value


def test_unknown_tasks_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"task: one of unicode-names, source-syntax, dates, manual.* required, got 'sums'"
    ):
        task_named("sums")


def test_modes_are_not_repeated() -> None:
    modes = [task_named(name).MODE for name in TASKS]
    assert len(set(modes)) == len(modes)


@pytest.mark.parametrize(("value", "beats"), [(1.99, True), (2.0, False), (2.5, False), (float("nan"), False)])
def test_every_yardstick_must_be_beaten(value: float, beats: bool) -> None:
    assert a_result(value=value).beats_all is beats
    assert a_result(value=-value, yardsticks={"a": -3.0, "b": -2.0}, higher_is_better=True).beats_all is beats


def test_main_writes_both_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fake:
        MODE, TITLE = "one-to-many", "write <text>"

        def run(self, settings: Settings) -> Result:
            return a_result()

    monkeypatch.setattr("rnnfast.demo.runner.task_named", lambda name: Fake())
    results = demo.main(QUICK, output=tmp_path / "deep" / "folder")
    assert len(results) == len(TASKS)
    written = json.loads((tmp_path / "deep" / "folder" / "report.json").read_text(encoding="utf-8"))
    assert [list(task) for task in written["tasks"]] == [KEYS] * len(TASKS)
    assert {"rnnfast", "seed", "seconds", "threads", "instruction_set"} <= set(written)
    out = capsys.readouterr().out
    assert "x NumPy" in out
    assert "2-gram 2.000" in out
    assert "report.html" in out


def test_the_page_stands_alone_and_is_escaped(tmp_path: Path) -> None:
    report.write(tmp_path, [a_result()], seed=0, start=time.perf_counter())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|url\(|@import|<script|<link""", page)
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "write &lt;text&gt;" in page
    assert "a &amp; b" in page
    assert page.count("<h2 ") == 2


def test_pictures_are_in_the_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.write(tmp_path, [a_result()], seed=0, start=time.perf_counter())
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("data:image/png;base64,iVBOR") == 2


def test_without_matplotlib_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnfast.report.page.available", lambda: False)
    report.write(tmp_path, [a_result()], seed=0, start=time.perf_counter())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "matplotlib" in page
    assert "rnnfast[plot]" in page
    assert "data:image" not in page


def test_table_has_a_line_for_every_yardstick() -> None:
    lines = report.table([a_result(), a_result(value=9.0)]).splitlines()
    assert len(lines) == 2 + 2 + 2
    assert lines[2].endswith("yes")
    assert lines[4].endswith("NO")


def test_units_are_ordered_by_their_strongest_step() -> None:
    h = np.array([[0.1, -0.9, 0.2], [0.0, 0.5, 0.1], [-0.7, 0.1, 0.6]])
    np.testing.assert_array_equal(by_strongest_step(h), h.T[[1, 0, 2]])


def test_slow_units_are_found() -> None:
    t = np.arange(50.0)
    h = np.stack([np.cos(3 * t), np.sign(t - 25), np.zeros(50), np.cos(t / 9)], axis=1)
    np.testing.assert_array_equal(slowest_units(h, 2), h[:, [3, 1]])


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    class Optimizer:
        lr = 1.0

    class Run:
        optimizer, step = Optimizer(), 0

    run: Any = Run()
    decay, rates = Decay(0.1, 100), []
    decay.on_train_begin(run)
    for run.step in range(1, 101):
        rates.append(run.optimizer.lr)
        decay.on_step_end(run)
    assert 0 < rates[0] < rates[1] < rates[2] <= 0.1
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0.001)
    assert run.optimizer.lr == 0


def test_recorder_measures_at_the_end() -> None:
    class Run:
        step = 0

    run: Any = Run()
    recorder = Recorder(lambda: float(run.step), times=3, steps=10)
    for run.step in range(1, 11):
        recorder.on_step_end(run)
    assert recorder.values == [4, 8, 10]
    assert recorder.curve("c", 20).x == [8, 16, 20]


def sequences(rng: np.random.Generator, lengths: list[int], symbols: int) -> list[Any]:
    return [rng.integers(symbols, size=n) for n in lengths]


def values_of(model: Any) -> dict[str, Any]:
    return {name: p.value for name, p in model.parameters().items()}


def numpy_model_of(model: Any, **options: Any) -> NumpyGruModel:
    return NumpyGruModel(values_of(model), **options)


def test_packing_puts_steps_together() -> None:
    packed = Packed([np.array([1, 2]), np.array([3, 4, 5]), np.array([6])])
    assert packed.ids.tolist() == [3, 1, 6, 4, 2, 5]
    assert packed.counts == [3, 2, 1]
    assert packed.last.tolist() == [5, 4, 2]
    assert packed.order.tolist() == [1, 0, 2]


def test_the_numpy_model_trains_as_a_many_to_one_model(rng: np.random.Generator) -> None:
    """Losses and parameters stay together over ten steps, so it is the same work that is timed."""
    model = ManyToOne(7, 3, cell="gru", hidden_size=12, embedding=5, seed=1)
    numpy_model = numpy_model_of(model, every_step=False, lr=0.01, clip_norm=0.1)
    trainer = Trainer(model, lr=0.01, clip_norm=0.1)
    for _ in range(10):
        x, y, w = sequences(rng, [5, 1, 8, 8, 3], 7), rng.integers(3, size=5), rng.uniform(0.5, 2, 5).astype(np.float32)
        assert trainer.step(x, y, sample_weight=w) == pytest.approx(numpy_model.step(x, y, w), rel=1e-4)
    for name, p in model.parameters().items():
        np.testing.assert_allclose(p.value, numpy_model.p[name], atol=2e-4, err_msg=name)


def test_the_numpy_model_trains_as_a_one_to_many_model(rng: np.random.Generator) -> None:
    model = OneToMany(6, cell="gru", hidden_size=10, embedding=4, seed=1)
    numpy_model = numpy_model_of(model, every_step=True, lr=0.01, clip_norm=0.1)
    trainer = Trainer(model, lr=0.01, clip_norm=0.1)
    for _ in range(10):
        x = sequences(rng, [9, 4, 6], 6)
        ours = trainer.step(x)
        assert ours == pytest.approx(numpy_model.step([s[:-1] for s in x], [s[1:] for s in x]), rel=1e-4)
    for name, p in model.parameters().items():
        np.testing.assert_allclose(p.value, numpy_model.p[name], atol=2e-4, err_msg=name)


def test_the_numpy_model_trains_as_an_encoder_decoder(rng: np.random.Generator) -> None:
    """Sources of several lengths, targets of one, as ISO dates are; and of several."""
    options: dict[str, Any] = {"cell": "gru", "source_embedding": 4, "target_embedding": 3, "attention": "additive"}
    model = EncoderDecoder(7, 6, hidden_size=10, seed=1, **options)
    numpy_model = NumpyEncoderDecoder(values_of(model), lr=0.01, clip_norm=0.1)
    trainer = Trainer(model, lr=0.01, clip_norm=0.1)
    for lengths in ([4, 4, 4], [2, 5, 3]) * 5:
        x, y = sequences(rng, [9, 4, 6], 7), sequences(rng, lengths, 6)
        ours = trainer.step(x, y)
        assert ours == pytest.approx(numpy_model.step(x, [np.r_[7, s] for s in y], [np.r_[s, 6] for s in y]), rel=1e-4)
    for name, p in model.parameters().items():
        np.testing.assert_allclose(p.value, numpy_model.p[name], atol=2e-4, err_msg=name)


def test_a_wrong_numpy_model_is_not_timed() -> None:
    check_same_loss(1.0, 1.0005)
    for wrong in (1.01, float("nan")):
        with pytest.raises(ArithmeticError, match=r"^NumPy's loss: that of the model = 1 is required"):
            check_same_loss(1.0, wrong)


def test_the_best_times_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The faster of two runs is chosen, even if one of its calls is disturbed."""
    clock, calls = [0.0], []
    monkeypatch.setattr("rnnfast.demo.numpy_models.time.perf_counter", lambda: clock[0])

    def taking(seconds: float) -> Any:
        def step(batch: int) -> None:
            calls.append(batch)
            clock[0] += seconds * batch + (100.0 if len(calls) == 5 else 0.0)

        return step

    assert time_side_by_side(taking(1.0), taking(2.0), rounds=20) == pytest.approx(2.0)
    assert calls[:8] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert set(calls) == set(range(6))


def test_hidden_states_are_the_models_own(rng: np.random.Generator) -> None:
    model = OneToMany(6, cell="gru", hidden_size=10, embedding=4, seed=1)
    ids = rng.integers(6, size=8)
    z = hidden_states(model, ids) @ model.parameters()["head.weight"].value.T + model.parameters()["head.bias"].value
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, model.predict_proba(ids), atol=1e-6)

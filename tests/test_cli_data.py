"""A person's way with the command line: train on a file, evaluate, predict, generate."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import cli
from rnnfast.cli import training
from rnnfast.cli.recipes import Recipe
from tests.support.command_line import FAST, Run, long_form, npz_form, read, runner, ts_form, wide_form, write

run = pytest.fixture(runner)


@pytest.mark.parametrize(
    ("make", "ending", "said"),
    [
        (long_form, "csv", "column 'label' has 2 classes (down, up): classification"),
        (wide_form, "csv", "column 'trend' has 2 classes (down, up): classification"),
        (ts_form, "ts", "the targets have 2 classes (down, up): classification"),
        (npz_form, "npz", "the targets have 2 classes (down, up): classification"),
    ],
)
def test_a_classifier_from_a_file(make: Any, ending: str, said: str, run: Run) -> None:
    make(f"train.{ending}", 80, 0)
    labels = make(f"test.{ending}", 40, 1)
    out = run("train", f"train.{ending}", *FAST, "--epochs", "12")
    assert said in out
    assert "80 sequences of 4 to 8 steps, 1 feature, 2 classes" in out
    scores = dict(line.split(": ") for line in run("evaluate", "model.safetensors", f"test.{ending}").splitlines())
    assert float(scores["accuracy"]) > 0.9
    printed = run("predict", "model.safetensors", f"test.{ending}", "--probabilities")
    rows = read(printed)
    title = {"long_form": "label", "wide_form": "trend"}.get(make.__name__, "prediction")
    right = [row[title] == label for row, label in zip(rows, labels, strict=True)]
    assert np.mean(right) == pytest.approx(float(scores["accuracy"]), abs=1e-6)
    for row in rows:
        assert float(row["p(up)"]) + float(row["p(down)"]) == pytest.approx(1, abs=1e-5)
        assert (float(row["p(up)"]) > 0.5) == (row[title] == "up")
    run("predict", "model.safetensors", f"test.{ending}", "--output", "answers.csv")
    assert [row[title] for row in read(Path("answers.csv").read_text())] == [row[title] for row in rows]


def test_what_predict_needs_is_in_the_models_file(run: Run) -> None:
    """Columns in another order, others beside them, no labels; and from Python with the model's file alone."""
    long_form("train.csv", 60, 0)
    run("train", "train.csv", *FAST, "--epochs", "6")
    rows = read(Path("train.csv").read_text())
    write("bare.csv", "height,colour,time,id", [(r["height"], "red", r["time"], r["id"]) for r in reversed(rows)])
    expected = read(run("predict", "model.safetensors", "train.csv"))
    found = read(run("predict", "model.safetensors", "bare.csv"))
    assert {r["id"]: r["label"] for r in found} == {r["id"]: r["label"] for r in expected}
    model = rf.load("model.safetensors")
    data = rf.data.read_long("train.csv", id="id", time="time", features=["height"])
    scaler = rf.data.Scaler.from_json(model.metadata["scaler"])
    classes = json.loads(model.metadata["classes"])
    assert [classes[k] for k in model.predict(scaler.transform(data.x))] == [r["label"] for r in expected]
    assert "target: label" in run("info", "model.safetensors")


def test_a_regression_speaks_in_the_units_of_the_file(run: Run) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 6)) * 3 + 50
    write("sums.csv", "a,b,c,d,e,f,total", [[*row, 1000 * row.mean()] for row in x])
    out = run("train", "sums.csv", *FAST, "--epochs", "40")
    assert "column 'total' has numbers: regression" in out
    scores = dict(line.split(": ") for line in run("evaluate", "model.safetensors", "sums.csv").splitlines())
    predicted = np.array([float(row["total"]) for row in read(run("predict", "model.safetensors", "sums.csv"))])
    errors = predicted - 1000 * x.mean(axis=1)
    assert float(scores["mae"]) == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert float(scores["rmse"]) == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-4)
    assert float(scores["rmse"]) < 0.5 * 1000 * x.mean(axis=1).std()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_answer_at_every_step(task: str, run: Run) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 7))
    y = np.cumsum(x, axis=1)

    def answer(v: float) -> str:
        return f"{v:.5f}" if task == "regression" else "high" if v > 0 else "low"

    write("steps.csv", "id,step,v,y", [(n, t, x[n, t], answer(y[n, t])) for n in range(30) for t in range(7)])
    out = run("train", "steps.csv", *FAST, "--epochs", "25")
    assert f"{task}, at every step" in out
    rows = read(run("predict", "model.safetensors", "steps.csv"))
    assert [(row["id"], row["step"]) for row in rows] == [(str(n), str(t + 1)) for n in range(30) for t in range(7)]
    if task == "classification":
        right = [row["y"] == answer(v) for row, v in zip(rows, y.ravel(), strict=True)]
        assert np.mean(right) > 0.85
    else:
        assert np.abs(np.array([float(row["y"]) for row in rows]) - y.ravel()).mean() < 0.5


def test_one_sequence_is_judged_by_its_end(run: Run) -> None:
    rng = np.random.default_rng(0)
    v = rng.normal(size=400)
    write("one.csv", "time,v,sign", [(t, v[t], "plus" if v[t] > 0 else "minus") for t in range(400)])
    out = run("train", "one.csv", *FAST, "--epochs", "60", "--validation", "0.25")
    assert float(out.partition("held-out accuracy: ")[2].split()[0]) > 0.9


def test_a_forecast_from_windows(run: Run) -> None:
    t = np.arange(240)
    waves = {"a": 5 + np.sin(t / 4), "b": 5 + np.cos(t / 4)}
    write("waves.csv", "id,time,other,level", [(k, i, -v, v) for k, wave in waves.items() for i, v in enumerate(wave)])
    out = run("train", "waves.csv", "--window", "12", "--horizon", "3", "--target", "level", *FAST, "--epochs", "12")
    assert "column 'level': the next 3 steps from 12 steps of all columns: forecast" in out
    assert float(out.partition("held-out mae: ")[2].split()[0]) < 0.2
    rows = read(run("predict", "model.safetensors", "waves.csv"))
    assert [(row["id"], row["step"]) for row in rows] == [(k, str(i)) for k in "ab" for i in (1, 2, 3)]
    for k, wave in (("a", np.sin), ("b", np.cos)):
        ahead = [float(row["level"]) for row in rows if row["id"] == k]
        np.testing.assert_allclose(ahead, 5 + wave(np.arange(240, 243) / 4), atol=0.25)
    assert "mae: " in run("evaluate", "model.safetensors", "waves.csv")


def test_held_out_windows_forecast_the_future_only() -> None:
    """The last share of the steps, each forecast once, by windows that begin before it; none is trained on."""
    series = np.arange(50.0)[:, None]
    data = rf.data.Dataset(x=[series], y=None, ids=["0"], features=["v"])
    recipe = Recipe(format="long", target="v", features=["v"], window=5, horizon=1, task="regression")
    recipe.training = {"validation": 0.2, "seed": 0}
    _, y, x_test, y_test = training._of_sequences(data, recipe, learns=True)
    assert y.ravel().tolist() == list(range(5, 40))
    assert y_test.ravel().tolist() == list(range(40, 50))
    assert x_test[0].ravel().tolist() == [35, 36, 37, 38, 39]
    assert recipe.scaler == rf.data.Scaler.fit(series[:40])


@pytest.mark.parametrize("aligned", [False, True])
def test_ids_of_an_npz_file_are_embedded(aligned: bool, run: Run) -> None:
    x, y = rf.data.synthetic.parity(120, 5, seed=0)
    np.savez("bits.npz", x=x, y=y if aligned else y[:, -1])
    run("train", "bits.npz", *FAST, "--epochs", "40", "--validation", "0")
    scores = dict(line.split(": ") for line in run("evaluate", "model.safetensors", "bits.npz").splitlines())
    assert float(scores["accuracy"]) > 0.9
    assert isinstance(rf.load("model.safetensors"), rf.ManyToMany if aligned else rf.ManyToOne)


def test_targets_at_the_steps_of_an_npz_file_end_with_their_sequences(run: Run) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 7, 60)
    x = rng.normal(size=(60, 6))
    np.savez("steps.npz", x=x, y=(x > 0).astype(int), lengths=lengths)
    run("train", "steps.npz", *FAST, "--epochs", "15")
    rows = read(run("predict", "model.safetensors", "steps.npz"))
    assert [row["sequence"] for row in rows] == np.repeat(np.arange(60), lengths).astype(str).tolist()
    right = [row["prediction"] == str(int(x[int(row["sequence"]), int(row["step"]) - 1] > 0)) for row in rows]
    assert np.mean(right) > 0.9


def test_numbers_are_no_ids(run: Run) -> None:
    bits, y = rf.data.synthetic.parity(20, 5, seed=0)
    np.savez("ids.npz", x=bits, y=y)
    np.savez("numbers.npz", x=bits[..., None] / 2, y=y)
    run("train", "ids.npz", *FAST, "--epochs", "0")
    message = run("predict", "model.safetensors", "numbers.npz", code=1)
    assert re.match(r"rnnfast predict: numbers.npz: x\[0\]: integer ids are required, got dtype float64", message)


def test_the_command_is_what_one_would_write_in_python(run: Run) -> None:
    """Split, scales, missing numbers, model and training: the same parameters, bit for bit."""
    long_form("d.csv", 40, 0)
    lines = Path("d.csv").read_text().splitlines()
    lines[7] = ",".join([*lines[7].split(",")[:2], "", lines[7].split(",")[3]])
    Path("d.csv").write_text("\n".join(lines))
    run("train", "d.csv", *FAST, "--epochs", "3", "--seed", "5", "--validation", "0.25", "--batch-size", "8")
    data = rf.data.read_long("d.csv", id="id", time="time", target="label")
    x, x_test, y, y_test = rf.data.split_sequences(data.x, data.y, test=0.25, seed=5)
    scaler = rf.data.Scaler.fit(x)
    x, x_test = ([np.nan_to_num(one) for one in scaler.transform(part)] for part in (x, x_test))
    model = rf.ManyToOne(1, 2, cell="gru", hidden_size=16, seed=5)
    history = model.fit(
        x, y, epochs=3, batch_size=8, lr=0.02, clip_norm=1.0, validation_data=(x_test, y_test), progress=False, seed=5
    )
    np.testing.assert_equal(rf.load("model.safetensors").state_dict(), model.state_dict())
    assert rf.TrainingState.read("model.state.safetensors").history == history.history


def test_a_text_is_learned_and_continued(run: Run) -> None:
    Path("rain.txt").write_text("the rain in spain stays mainly in the plain.\n" * 40)
    out = run("train", "rain.txt", *FAST, "--epochs", "25", "--batch-size", "8")
    assert "1,800 characters, 15 different ones: a model that writes" in out
    written = run("generate", "model.safetensors", "--prompt", "the rain", "--length", "30", "--greedy")
    assert written == "the rain in spain stays mainly in the \n"
    drawn = [run("generate", "model.safetensors", "--seed", "1", "--temperature", "2") for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 401
    assert float(run("evaluate", "model.safetensors", "rain.txt").split()[1]) < 0.5
    Path("snow.txt").write_text("the rain\nin snow Zone")
    for arguments in (
        ("evaluate", "model.safetensors", "snow.txt"),
        ("generate", "model.safetensors", "--prompt", "Z"),
    ):
        message = run(*arguments, code=1)
        where = "snow.txt, line 2, column 6" if arguments[0] == "evaluate" else "--prompt, line 1, column 1"
        assert f"{where}: a character that the model knows is required" in message


@pytest.mark.parametrize("make", [long_form, npz_form, "text"])
def test_a_training_goes_on_as_if_it_had_not_ended(make: Any, run: Run) -> None:
    name = {"long_form": "d.csv", "npz_form": "d.npz"}.get(getattr(make, "__name__", ""), "d.txt")
    if make == "text":
        Path(name).write_text("a rose is a rose is a rose. " * 40)
    else:
        make(name, 40, 0)
    whole = run("train", name, *FAST, "--epochs", "4", "--output", "whole.safetensors", "--seed", "3")
    run("train", name, *FAST, "--epochs", "2", "--seed", "3")
    resumed = run("train", name, "--resume", "--epochs", "4", "--no-progress")
    assert resumed.splitlines()[-2:-1] == whole.splitlines()[-2:-1]
    found, expected = rf.load("model.safetensors"), rf.load("whole.safetensors")
    np.testing.assert_equal(found.state_dict(), expected.state_dict())
    assert found.metadata == expected.metadata


def test_an_interrupted_training_leaves_the_last_epoch(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long_form("d.csv", 40, 0)
    run("train", "d.csv", *FAST, "--epochs", "2", "--output", "two.safetensors")
    saved = rf.Checkpoint.on_state

    def stop(self: Any, of: Any) -> None:
        saved(self, of)
        if of.epoch == 2 and of.batch == 0 and self.training:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rf.Checkpoint, "on_state", stop)
        assert cli.main(["train", "d.csv", *FAST, "--epochs", "9"]) == 130
    np.testing.assert_equal(rf.load("model.safetensors").state_dict(), rf.load("two.safetensors").state_dict())
    capsys.readouterr()
    run("train", "d.csv", "--resume", "--epochs", "3", "--no-progress")
    run("train", "d.csv", *FAST, "--epochs", "3", "--output", "three.safetensors")
    np.testing.assert_equal(rf.load("model.safetensors").state_dict(), rf.load("three.safetensors").state_dict())


def test_patience_keeps_the_best_epoch(run: Run) -> None:
    """It is counted on where a training goes on, and the file has the model of the best epoch, not of the last."""
    long_form("d.csv", 40, 0)
    options = (*FAST, "--lr", "0.3", "--seed", "1", "--patience", "3")
    run("train", "d.csv", *options, "--epochs", "60", "--output", "whole.safetensors")
    state = rf.TrainingState.read("whole.state.safetensors")
    losses = state.history["val_loss"]
    assert len(losses) == 1 + int(np.argmin(losses)) + 3 < 60
    run("train", "d.csv", *options, "--epochs", str(len(losses) - 2))
    run("train", "d.csv", "--resume", "--epochs", "60", "--no-progress")
    whole, resumed = rf.load("whole.safetensors"), rf.load("model.safetensors")
    np.testing.assert_equal(resumed.state_dict(), whole.state_dict())
    assert rf.TrainingState.read("model.state.safetensors").history == state.history
    run("train", "d.csv", *options, "--epochs", str(1 + int(np.argmin(losses))), "--output", "best.safetensors")
    np.testing.assert_equal(rf.load("best.safetensors").state_dict(), whole.state_dict())
    out = run("train", "d.csv", *FAST, "--patience", "1", "--validation", "0", "--epochs", "2")
    assert "training loss" in out


LABELS = {"long": False, "steps": True, "wide": False, "npz": False, "npz steps": True}


@pytest.mark.parametrize("form", LABELS)
def test_several_labels(form: str, run: Run) -> None:
    """Is a sequence, or a step, high, and is it even higher? A label that is missing does not count."""
    rng, aligned, table = np.random.default_rng(0), LABELS[form], "npz" not in form
    x = rng.normal(size=(90, 1, 1)) + rng.normal(size=(90, 4, 1)) * 0.1
    levels = np.concatenate([x, x - 0.5], axis=2)
    y = levels > 0 if aligned else levels.mean(axis=1) > 0
    each = np.broadcast_to(y if aligned else y[:, None], (90, 4, 2)).astype(int)
    name, labels = ("d.csv", ["high", "higher"]) if table else ("d.npz", ["0", "1"])
    if not table:
        np.savez(name, x=x, y=y)
    elif form == "wide":
        write(name, "a,b,high,higher,c,d", [[*v[:2, 0], *own, *v[2:, 0]] for v, own in zip(x, each[:, 0], strict=True)])
    else:
        cells = each.astype(object)
        cells[1] = ""
        write(
            name, "id,step,high,higher,value", [[n, t, *cells[n, t], x[n, t, 0]] for n in range(90) for t in range(4)]
        )
    target = ("--target", ",".join(labels)) if table else ()
    out = run("train", name, "--task", "multilabel", *target, *FAST, "--epochs", "25", "--patience", "9")
    assert f"2 labels, each 0 or 1 ({', '.join(labels)}): multilabel" in out
    assert ("at every step" in out) == aligned
    model = rf.load("model.safetensors")
    assert (type(model), model.config["task"]) == (rf.ManyToMany if aligned else rf.ManyToOne, "multilabel")
    rows = read(run("predict", "model.safetensors", name, "--probabilities"))
    found = np.array([[int(row[label]) for label in labels] for row in rows])
    sure = np.array([[float(row[f"p({label})"]) for label in labels] for row in rows])
    np.testing.assert_array_equal(found, sure > 0.5)
    assert np.mean(found == y.reshape(-1, 2)) > 0.9
    assert "loss: " in run("evaluate", "model.safetensors", name)
    assert f"labels: {', '.join(labels)}" in run("info", "model.safetensors")
    run("train", name, "--resume", "--epochs", "26", "--no-progress")


def test_columns_of_text_and_missing_numbers_are_said(run: Run) -> None:
    write("a.csv", "id,time,name,v,label", [(n // 3, n % 3, "x", "" if n == 4 else n, n // 3 % 2) for n in range(36)])
    out = run("train", "a.csv", *FAST, "--epochs", "1")
    assert "a.csv: left out, for they hold no numbers: name" in out
    assert "a.csv: 1 missing number, each read as the mean of its column" in out
    assert len(read(run("predict", "model.safetensors", "a.csv"))) == 12


def test_roles_can_be_given(run: Run) -> None:
    write("a.csv", "when,who,u,v,w", [(t, n, n + t, t, n % 2) for n in range(12) for t in range(4)])
    said = run(
        "train", "a.csv", *FAST, "--epochs", "1", "--format", "long", "--id", "who", "--time", "when", "--target", "u",
        "--features", "v,w", "--task", "classification", "--cell", "lstm", "--num-layers", "2", "--bidirectional",
        "--dropout", "0.1",
    )  # fmt: skip
    assert "sequences by column 'who', sorted by column 'when'" in said
    assert "column 'u' has 15 classes" in said
    model = rf.load("model.safetensors")
    assert (model.config["cell"], model.config["num_layers"], model.config["bidirectional"]) == ("lstm", 2, True)
    assert model.config["input_size"] == 2


def test_from_the_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    long_form("d.csv", 30, 0)
    for arguments, code in ((["train", "d.csv", "--epochs", "2"], 0), (["predict", "model.safetensors", "e.csv"], 1)):
        command = [sys.executable, "-m", "rnnfast", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
    assert done.stderr == "rnnfast predict: e.csv: No such file or directory\n"


def test_japanese_vowels_from_the_command_line(data_folder: Path, run: Run) -> None:
    files = [str(data_folder / "japanese_vowels" / f"JapaneseVowels_{part}.ts.gz") for part in ("TRAIN", "TEST")]
    run("train", files[0], "--epochs", "12", "--no-progress")
    scores = dict(line.split(": ") for line in run("evaluate", "model.safetensors", files[1]).splitlines())
    assert float(scores["accuracy"]) > 0.9

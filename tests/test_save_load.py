"""Model files: whole after a round trip, refused when damaged, never half written."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import checkpoint

MODELS: dict[str, Any] = {
    "classes": lambda: rf.ManyToOne(3, 4, hidden_size=5, num_layers=2, dropout=0.1, seed=1),
    "labels": lambda: rf.ManyToOne(6, 2, cell="gru", embedding=3, hidden_size=2, task="multilabel", dtype="float64"),
    "relu": lambda: rf.ManyToOne(2, 1, cell="rnn", cell_options={"activation": "relu"}, task="regression"),
    "writer": lambda: rf.OneToMany(4, 3, hidden_size=2, cell_options={"forget_bias": 1.0}, context_size=3, seed=2),
    "translator": lambda: rf.EncoderDecoder(
        4, 3, hidden_size=2, num_layers=2, source_embedding=5, target_embedding=2, attention="additive", stop=1, seed=4
    ),
    "both ways": lambda: rf.ManyToOne(3, 4, hidden_size=5, num_layers=2, bidirectional=True, seed=1),
    "tagger": lambda: rf.ManyToMany(3, 4, cell="gru", hidden_size=5, bidirectional=True, seed=1),
    "reader": lambda: rf.EncoderDecoder(4, 3, hidden_size=2, num_layers=2, bidirectional=True, seed=4),
    "waves": lambda: rf.EncoderDecoder(2, 3, cell="gru", hidden_size=3, task="regression", attention="dot"),
    "numbers": lambda: rf.OneToMany(2, cell="gru", hidden_size=3, task="regression", dtype="float64"),
}


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    model.metadata["alphabet"] = "äöü\n"
    model.save(tmp_path / "m.safetensors")
    loaded = rf.load(str(tmp_path / "m.safetensors"))
    assert type(loaded) is type(model)
    assert loaded.config == model.config
    assert loaded.metadata == {"alphabet": "äöü\n"}
    assert loaded.dtype == model.dtype
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[key], value)
        assert loaded.state_dict()[key].dtype == value.dtype


def test_a_loaded_model_predicts_and_learns_alike(tmp_path: Path, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(20, 6, 3)), rng.integers(0, 4, 20)
    model = MODELS["classes"]()
    model.fit(x, y, epochs=1, progress=False, seed=0)
    model.save(tmp_path / "m")
    loaded = rf.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict_proba(x), model.predict_proba(x))
    assert loaded.loss(x, y) == model.loss(x, y)


def test_safetensors_reads_the_file(tmp_path: Path) -> None:
    from safetensors import safe_open

    model = MODELS["writer"]()
    model.save(tmp_path / "m")
    with safe_open(tmp_path / "m", framework="np") as file:
        assert set(file.keys()) == set(model.parameters())
        assert json.loads(file.metadata()["config"])["config"]["hidden_size"] == 2


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = rf.ManyToOne(3, 2, cell="rnn", hidden_size=2, seed=0)
    model.save(tmp_path / "good")
    return tmp_path / "good"


def test_truncated_files_are_refused(saved: Path) -> None:
    data = saved.read_bytes()
    for size in [*range(0, len(data), 5), len(data) - 1]:
        saved.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"good: an undamaged rnnfast 1 model file required, got"):
            rf.load(saved)


def test_every_changed_byte_is_refused_or_harmless(saved: Path, rng: np.random.Generator) -> None:
    """A blank in the header may become another one without harm."""
    data, expected = saved.read_bytes(), rf.load(saved).state_dict()
    harmless = 0
    for place in range(len(data)):
        byte = data[place] ^ int(rng.integers(1, 256))
        saved.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
        try:
            found = rf.load(saved).state_dict()
        except ValueError:
            continue
        harmless += 1
        assert all(np.array_equal(found[key], expected[key]) for key in expected)
    assert harmless < 10


def test_other_bytes_are_refused(saved: Path, rng: np.random.Generator) -> None:
    data = saved.read_bytes()
    cases = [b"", b"\0" * 8, b"\xff" * 64, b"PK\x03\x04" + data, data + b"\0", data[8:], data * 2]
    cases += [rng.bytes(int(n)) for n in rng.integers(1, 4000, 50)]
    nested = b"[" * 50_000
    cases.append(len(nested).to_bytes(8, "little") + nested)
    for case in cases:
        saved.write_bytes(case)
        with pytest.raises(ValueError, match="an undamaged"):
            rf.load(saved)


def rewritten(path: Path, change: Any) -> None:
    """Write the file again with a changed configuration and a right checksum."""
    tensors, saved = checkpoint.read(path)
    change(saved, tensors)
    checkpoint.write(path, tensors, saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda saved, tensors: saved.update({"class": "Pickle"}),
        lambda saved, tensors: saved.pop("config"),
        lambda saved, tensors: saved.update(config=[1, 2]),
        lambda saved, tensors: saved.update(metadata=3),
        lambda saved, tensors: saved["config"].update(hidden_size=10**9),
        lambda saved, tensors: saved["config"].update(num_layers=10**9),
        lambda saved, tensors: saved["config"].update(input_size=10**12),
        lambda saved, tensors: saved["config"].update(output_size=10**12),
        lambda saved, tensors: saved["config"].update(embedding=10**12),
        lambda saved, tensors: saved["config"].update(hidden_size=2.0),
        lambda saved, tensors: saved["config"].update(cell="gru"),
        lambda saved, tensors: saved["config"].update(bidirectional=True),
        lambda saved, tensors: saved["config"].update(dtype="float64"),
        lambda saved, tensors: saved["config"].update(unknown=1),
        lambda saved, tensors: saved["config"].pop("task"),
        lambda saved, tensors: tensors.pop("head.bias"),
        lambda saved, tensors: tensors.update({"head.bias": np.zeros(3, np.float32)}),
        lambda saved, tensors: tensors.update({"extra": np.zeros(3, np.float32)}),
        lambda saved, tensors: tensors.update({"head.bias": np.zeros(2, np.int8)}),
    ],
)
def test_contradictions_are_refused_before_memory_is_claimed(saved: Path, change: Any) -> None:
    rewritten(saved, change)
    with pytest.raises(ValueError, match=r"good: a file of a known model required, got"):
        rf.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"source_size": 10**12},
        {"target_size": 10**12},
        {"hidden_size": 10**9},
        {"num_layers": 10**9},
        {"source_embedding": 10**12},
        {"target_embedding": 10**12},
        {"source_embedding": None},
        {"target_embedding": None},
        {"attention": None},
        {"attention": "dot"},
        {"start": 2},
        {"start": 7},
        {"stop": None},
        {"stop": 10**12},
        {"task": "regression"},
        {"bidirectional": True},
        {"cell": "gru"},
    ],
    ids=str,
)
def test_contradictions_of_two_stacks_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    MODELS["translator"]().save(tmp_path / "good")
    rewritten(tmp_path / "good", lambda saved, tensors: saved["config"].update(changes))
    with pytest.raises(ValueError, match=r"good: a file of a known model required, got"):
        rf.load(tmp_path / "good")


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rf.load(tmp_path / "nowhere")


def test_a_failed_save_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        rf.ManyToOne(9, 9).save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ["good"]


def test_a_file_has_the_usual_permissions(saved: Path) -> None:
    usual = saved.parent / "usual"
    usual.touch()
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)

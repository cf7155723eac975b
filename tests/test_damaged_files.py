"""Damaged files are refused with a ValueError, before they claim memory; ``support/fuzz_files.py`` makes more."""

from __future__ import annotations

import collections
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import checkpoint
from tests.support.fuzz_files import DAMAGES, ModelFile, Sum, damaged, outcome
from tests.support.processes import not_sanitized

pytestmark = [
    not_sanitized,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures memory as Linux does"),
]


def test_a_sample_of_damaged_files(tmp_path: Path) -> None:
    counts: collections.Counter[str] = collections.Counter()
    for (name, file), _ in zip(damaged(0), range(400), strict=False):
        counts[name] += outcome(tmp_path / "m", file, math.inf) == "refused"
    assert set(counts) == {damage.__name__ for damage in DAMAGES}
    assert min(counts.values()) > 10


def small() -> ModelFile:
    return taken_apart(rf.ManyToOne(3, 2, cell="rnn", hidden_size=2, seed=0))


def taken_apart(model: Any) -> ModelFile:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "m"))
        return ModelFile.of(Path(folder, "m").read_bytes())


def refused(path: Path, parts: ModelFile | bytes, limit: float = math.inf) -> str:
    """Return the message of the error."""
    file = parts if isinstance(parts, bytes) else parts.joined()
    assert outcome(path, file, limit) == "refused"
    with pytest.raises(
        ValueError, match=r"^.*m: (an undamaged rnnfast 1|a file of a known) model( file)? required"
    ) as error:
        rf.load(path)
    assert len(str(error.value)) < 5000
    return str(error.value)


def set_config(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda saved: saved["config"].update(changes)


@pytest.mark.parametrize(
    "model",
    [
        lambda: rf.ManyToOne(3, 2, hidden_size=2),
        lambda: rf.ManyToOne(3, 2, cell="gru", hidden_size=2, embedding=2),
        lambda: rf.ManyToMany(3, 2, cell=Sum, hidden_size=2),
        lambda: rf.ManyToMany(3, 2, cell=Sum, hidden_size=2, cell_options={"bias": False}),
        lambda: rf.OneToMany(3, 2, cell="rnn", hidden_size=2, context_size=2),
        lambda: rf.OneToMany(3, 2, cell=Sum, hidden_size=2),
        lambda: rf.EncoderDecoder(3, 2, hidden_size=2, source_embedding=2, target_embedding=2, attention="additive"),
        lambda: rf.EncoderDecoder(3, 2, cell=Sum, hidden_size=2, bidirectional=True),
    ],
)
def test_a_size_that_no_tensor_bears_out_claims_no_memory(model: Callable[[], Any], tmp_path: Path) -> None:
    names = [name for name, value in model().config.items() if type(value) is int] + ["embedding", "context_size"]
    for name in set(names) & set(model().config):
        for size in (10**5, 2**31, 2**62, 10**30):
            parts = taken_apart(model())
            parts.configure(set_config(**{name: size}))
            try:
                refused(tmp_path / "m", parts)
            except AssertionError:
                # A cell that reads no number of its input with a weight of its own may have any number of them.
                assert name == "input_size"
                assert model().config["cell_options"] == {"bias": False}


@pytest.mark.parametrize("axis", [0, 1])
def test_tensors_without_elements_are_refused(axis: int, tmp_path: Path) -> None:
    parts = small()
    tensors = {name: (entry["dtype"], list(entry["shape"])) for name, entry in parts.entries.items()}
    tensors["rnn.weight_ih_l0"] = ("F32", [0, 10**8] if axis == 0 else [10**8, 0])
    parts.rearrange(tensors)
    parts.configure(set_config(input_size=10**8))
    assert "rnn.weight_ih_l0 without elements" in refused(tmp_path / "m", parts)


@pytest.mark.parametrize("where", ["overlap", "hole", "behind", "before"])
def test_tensors_fill_the_file_without_a_gap(where: str, tmp_path: Path) -> None:
    parts = small()
    entries = sorted(parts.entries.values(), key=lambda entry: entry["data_offsets"])
    shift = {"overlap": -4, "hole": 4, "behind": 0, "before": 4}[where]
    parts.data += bytes(0 if where == "overlap" else 4)
    for entry in entries if where == "before" else entries[2:]:
        entry["data_offsets"] = [place + shift for place in entry["data_offsets"]]
    if where == "overlap":
        parts.data = parts.data[:-4]
    assert " at byte " in (found := refused(tmp_path / "m", parts)) or where == "behind"
    assert "tensors of" in found or where != "behind"


def test_a_cell_with_a_parameter_without_elements_is_not_saved(tmp_path: Path) -> None:
    before = dict(rf.CustomCell.known)

    class Empty(Sum, name="empty"):
        def shapes(self, inputs: int, hidden: int) -> Any:
            return {"W": (0, inputs)}

    try:
        with pytest.raises(ValueError, match=r"rnn.W_l0: at least one element is required, got shape \(0, 3\)"):
            rf.ManyToOne(3, 2, cell=Empty, hidden_size=2).save(tmp_path / "m")
    finally:
        rf.CustomCell.known.clear()
        rf.CustomCell.known.update(before)


def test_a_stack_without_parameters_may_be_deep_but_not_endless(tmp_path: Path) -> None:
    model = rf.ManyToOne(2, 1, cell=Sum, hidden_size=2, num_layers=1000, cell_options={"bias": False})
    model.save(tmp_path / "m")
    assert rf.load(tmp_path / "m").config["num_layers"] == 1000
    with pytest.raises(ValueError, match="num_layers: as many layers as there are parameters for are required"):
        rf.ManyToOne(2, 1, cell=Sum, hidden_size=2, num_layers=2000, cell_options={"bias": False}).save(tmp_path / "m")


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a class of Python": (lambda saved: saved.update({"class": "dict"}), "KeyError"),
    "a base class": (lambda saved: saved.update({"class": "Model"}), "KeyError"),
    "an unknown cell": (set_config(cell="transformer"), "cell"),
    "a cell by its path": (set_config(cell="tests.support.fuzz_files.Sum"), "cell"),
    "an unknown option": (set_config(more=1), "more"),
    "self": (set_config(self=1), "self"),
    "an unknown option of a cell": (set_config(cell_options={"more": 1}), "more"),
    "a private option of a cell": (set_config(cell_options={"cell": 1}), "cell"),
    "a size among the options of a cell": (set_config(cell_options={"hidden_size": 2}), "hidden_size"),
    "an option of another cell": (set_config(cell_options={"proj_size": 1}), "proj_size"),
    "a missing option": (lambda saved: saved["config"].pop("task"), "config"),
    "another form of a number": (set_config(dropout=0), "config"),
    "text for a number": (set_config(dropout="0.0"), "dropout"),
    "metadata of no form": (lambda saved: saved.update(metadata=["a"]), "AttributeError"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_file_may_name_is_listed(name: str, tmp_path: Path) -> None:
    change, said = CHANGES[name]
    parts = small()
    parts.configure(change)
    assert said in refused(tmp_path / "m", parts)


def test_options_of_a_custom_cell_are_checked_by_the_cell(tmp_path: Path) -> None:
    for options in ({"bias": 3}, {"more": 1}):
        parts = taken_apart(rf.ManyToOne(3, 2, cell=Sum, hidden_size=2))
        parts.configure(set_config(cell_options=options))
        assert "bias" in (found := refused(tmp_path / "m", parts)) or "more" in found


def large(size: int) -> ModelFile:
    """An undamaged file of ``size`` bytes, most of them in one tensor."""
    return taken_apart(rf.ManyToOne(size // 64, 2, cell="gru", embedding=16, hidden_size=2, num_layers=2))


def with_checksum(change: Callable[[ModelFile], Any]) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        parts = large(size)
        change(parts)
        return parts.joined()

    return make


def renamed(parts: ModelFile) -> None:
    parts.entries["embedding.weigth"] = parts.entries.pop("embedding.weight")


def header(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


def configured(text: str) -> bytes:
    parts = small()
    parts.metadata["config"] = text
    return parts.joined()


LARGE: dict[str, Callable[[int], bytes]] = {
    "last byte": lambda size: large(size).joined()[:-1] + b"\xff",
    "cut": lambda size: large(size).joined()[:-1],
    "longer": lambda size: large(size).joined() + b"\0",
    "renamed": with_checksum(renamed),
    "another size": with_checksum(lambda parts: parts.configure(set_config(num_layers=3))),
    "another dtype": with_checksum(lambda parts: parts.configure(set_config(dtype="float64"))),
    "another option": with_checksum(lambda parts: parts.configure(set_config(cell_options={"layer_norm": True}))),
    "a bad option": with_checksum(lambda parts: parts.configure(set_config(cell_options={"clip": -1}))),
    "no object": lambda size: header(b"[1]"),
    "a header of 17 MB": lambda size: header(b" " * (17 << 20)),
    "a long header": lambda size: header(b" " * size),
    "nested": lambda size: header(b"[" * (1 << 24)),
    "lists": lambda size: header(b'{"a":[' + b"[]," * (5 << 20) + b"0]}"),
    "few lists": lambda size: header(b'{"a":[' + b"[]," * (1 << 16) + b"0]}"),
    "quotes": lambda size: header(b'{"a":[' + b'"",' * (5 << 20) + b"0]}"),
    "escapes": lambda size: header(b'{"a":"' + b'\\"' * (7 << 20) + b'"}'),
    "large characters": lambda size: header(('{"a":"' + "\U0001f600" * (3 << 20) + '"}').encode()),
    "large characters of the configuration": lambda size: configured("x" * (15 << 20) + "\U0001f600"),
    "objects of the configuration": lambda size: configured('{"a":[' + '{"":0},' * (1 << 16) + "0]}"),
    "many objects of the configuration": lambda size: configured('{"a":[' + '{"":0},' * (1 << 20) + "0]}"),
    "many tensors": lambda size: (
        header(
            json.dumps(
                {str(i): {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(100_000)}
            ).encode()
        )
        + bytes(100_000)
    ),
}


# Refused for what they might cost, before that is spent.
REASONS = {
    "no object": "a header that is no object",
    "a header of 17 MB": "a header of 17825792 bytes, more than 16777216",
    "lists": "elements",
    "few lists": "another format",
    "quotes": "elements",
    "large characters": "a header of 50331",
    "large characters of the configuration": "a configuration of 62914",
    "many objects of the configuration": "elements",
    "many tensors": "elements",
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("size", [4_000_000, pytest.param(99_000_000, marks=pytest.mark.slow)])
def test_large_damaged_files(name: str, size: int, tmp_path: Path) -> None:
    file = LARGE[name](size)
    assert len(file) <= 100_000_000
    said = refused(tmp_path / "m", file)
    assert REASONS.get(name, "") in said


def test_more_text_than_a_file_may_hold_is_not_saved(tmp_path: Path) -> None:
    model = rf.ManyToOne(3, 2, cell="rnn", hidden_size=2)
    for metadata in ({"a": "x" * (1 << 24)}, {"a": '"' * (5 << 20)}, {str(i): "" for i in range(200_000)}):
        model.metadata = metadata
        with pytest.raises(ValueError, match=r"a (header|configuration) of"):
            model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
    model.metadata = {"words": json.dumps([f"слово {i}" for i in range(200_000)])}
    model.save(tmp_path / "m")
    assert rf.load(tmp_path / "m").metadata == model.metadata


def test_files_of_other_writers(tmp_path: Path) -> None:
    """A header is accepted in any order of entries, with any blanks and any letters, as the safetensors reader does."""
    from safetensors.numpy import load, save

    model = rf.ManyToOne(3, 2, hidden_size=2, seed=0)
    model.save(tmp_path / "m")
    file = (tmp_path / "m").read_bytes()
    tensors = load(file)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(tensors[name], value)
    (tmp_path / "m").write_bytes(save(tensors, ModelFile.of(file).metadata))
    assert rf.load(tmp_path / "m").config == model.config


@pytest.mark.parametrize("dtype", checkpoint.DTYPES)
def test_every_dtype_and_shape_returns(dtype: str, tmp_path: Path, rng: np.random.Generator) -> None:
    code = np.dtype(checkpoint.DTYPES[dtype])
    tensors = {
        name: (rng.random(shape) * 100).astype(code)
        for name, shape in {"scalar": (), "row": (3,), "ä": (1, 2, 3), "long": (5, 1, 1, 1, 2)}.items()
    }
    tensors["turned"] = tensors["ä"].T
    tensors["big-endian"] = tensors["row"].astype(code.newbyteorder(">"))
    checkpoint.write(tmp_path / "m", tensors, {"a": [1, None]})
    found, config = checkpoint.read(tmp_path / "m")
    assert config == {"a": [1, None]}
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name], value)
        assert (found[name].dtype, found[name].shape) == (code, value.shape)

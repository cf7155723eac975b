"""Damages model files and loads them: ``python -m tests.support.fuzz_files [COUNT [SEED]]``.

Only ValueError may come of it, or a model; within a second and 64 MB beyond twice the size of the file. The first
file that does more is written to the working folder.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import math
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast.checkpoint import DTYPES

SECONDS, SPARE_BYTES = 1.0, 64 << 20
HANG = 10  # seconds of the processor: the clock also counts what other processes take


class Sum(rf.CustomCell, name="fuzz_sum"):
    """A cell with an option and, without bias, no parameters."""

    def __init__(self, bias: bool = True) -> None:
        if not isinstance(bias, bool):
            raise TypeError("bias: a bool is required")
        self.bias = bias

    def shapes(self, inputs: int, hidden: int) -> Any:
        return {"b": (hidden,), "W": (hidden, inputs)} if self.bias else {}

    def forward(self, p: Any, x: Any, state: Any) -> Any:
        raise NotImplementedError

    def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
        raise NotImplementedError


MODELS: list[Callable[[], Any]] = [
    lambda: rf.ManyToOne(3, 2, hidden_size=2, num_layers=2, bidirectional=True, seed=1),
    lambda: rf.ManyToOne(3, 2, cell="fuzz_sum", hidden_size=2, seed=1),
    lambda: rf.ManyToOne(2, 1, cell="fuzz_sum", hidden_size=2, num_layers=3, cell_options={"bias": False}),
    lambda: rf.ManyToMany(
        5, 2, cell="gru", embedding=2, hidden_size=2, dtype="float64", cell_options={"layer_norm": True}
    ),
    lambda: rf.OneToMany(4, 3, cell="rnn", hidden_size=2, context_size=2, cell_options={"activation": ("elu", 0.5)}),
    lambda: rf.OneToMany(3, hidden_size=3, cell_options={"zoneout": (0.1, 0.2), "learn_initial_state": True}),
    lambda: rf.OneToMany(2, hidden_size=3, cell_options={"proj_size": 2, "peephole": True}, task="regression"),
    lambda: rf.EncoderDecoder(
        4, 3, hidden_size=2, source_embedding=3, target_embedding=2, attention="additive", stop=1, bidirectional=True
    ),
    lambda: rf.EncoderDecoder(2, 3, cell="gru", hidden_size=2, task="multilabel", attention="dot"),
]

HOSTILE: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    2,
    3,
    -1,
    7,
    2**31,
    2**63,
    2**64,
    10**12,
    10**30,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "lstm",
    "rnn",
    "gru",
    "fuzz_sum",
    "tanh",
    "float64",
    "regression",
    "dot",
    "0",
    "x" * 1000,
    "\ud800",
    "\0",
    "__class__",
    "self",
    [],
    [1],
    [0.1, 0.05],
    [[]],
    ["elu", 0.5],
    {},
    {"a": 1},
    {"zoneout": [0.5, 0.5]},
    {"layer_norm": True},
    {"proj_size": 10**9},
    {"time_major": True},
    {"dtype": "float64"},
    {"seed": 3},
    {"num_layers": 9},
    {"learn_initial_state": True},
    {"forget_bias": "x"},
    {"bias": 10**9},
    {"": 0},
]
SIZES = [0, 1, 2, 3, 5, 8, 2**31, 2**40, 2**62, 2**63, -1, 1.0, True, None, "2", [2], 10**25]


@dataclass
class ModelFile:
    """A file taken apart: what its header says of the tensors, its metadata, its bytes."""

    entries: dict[str, Any]
    metadata: dict[str, Any]
    data: bytes

    @classmethod
    def of(cls, file: bytes) -> ModelFile:
        length = int.from_bytes(file[:8], "little")
        entries = json.loads(file[8 : 8 + length])
        return cls(entries, entries.pop("__metadata__"), file[8 + length :])

    def joined(self) -> bytes:
        """Return a file whose checksum is right, if there can be one."""
        with contextlib.suppress(TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError):
            self.metadata["sha256"] = self._checksum()
        text = json.dumps({"__metadata__": self.metadata, **self.entries}).encode()
        return len(text).to_bytes(8, "little") + text + self.data

    def _checksum(self) -> str:
        digest = hashlib.sha256(self.metadata["config"].encode())
        for name in sorted(self.entries):
            entry = self.entries[name]
            start, end = entry["data_offsets"]
            digest.update(f"{name} {DTYPES[entry['dtype']]} {tuple(entry['shape'])}".encode())
            digest.update(self.data[start:end])
        return digest.hexdigest()

    def configure(self, change: Callable[[dict[str, Any]], None]) -> None:
        saved = json.loads(self.metadata["config"])
        change(saved)
        self.metadata["config"] = json.dumps(saved, sort_keys=True)

    def rearrange(self, tensors: dict[str, tuple[str, Any]]) -> None:
        """Give every tensor a dtype and a shape, and as many bytes as these take."""
        data = b""
        for name, (dtype, shape) in tensors.items():
            size = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
            self.entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]}
            data += bytes(size)
        self.entries = {name: self.entries[name] for name in tensors}
        self.data = data


def flip_bits(file: bytes, chance: random.Random) -> bytes:
    found = bytearray(file)
    for _ in range(chance.choice([1, 1, 2, 8])):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def cut(file: bytes, chance: random.Random) -> bytes:
    a, b = sorted(chance.randrange(len(file) + 1) for _ in range(2))
    return chance.choice(
        [file[:a], file[a:], file[:a] + file[b:], file[:b] + file[a:], file[:a] + bytes(b - a) + file[b:]]
    )


def change_length(file: bytes, chance: random.Random) -> bytes:
    length = int.from_bytes(file[:8], "little") + chance.choice([-8, -1, 1, 8, 1000, 2**24, 2**32, 2**63 - 1])
    return (length % 2**64).to_bytes(8, "little") + file[8:]


def change_text(file: bytes, chance: random.Random) -> bytes:
    """Put a piece of JSON somewhere into the header, whose length stays right."""
    length = int.from_bytes(file[:8], "little")
    header, place = file[8 : 8 + length], chance.randrange(length + 1)
    pieces = [
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"1e999",
        b"NaN",
        b"-",
        b"9" * 5000,
        b"\xff",
        b"\0",
    ]
    piece = chance.choice(pieces) * chance.choice([1, 1, 2, 3000])
    header = header[:place] + piece + header[place + chance.choice([0, 1, len(piece)]) :]
    return len(header).to_bytes(8, "little") + header + file[8 + length :]


def change_entry(file: bytes, chance: random.Random) -> bytes:
    parts = ModelFile.of(file)
    name = chance.choice(list(parts.entries))
    entry = parts.entries[name]
    kind = chance.choice(
        ["dtype", "shape", "axis", "axes", "data_offsets", "drop", "whole", "add", "rename", "metadata"]
    )
    if kind == "dtype":
        entry["dtype"] = chance.choice([*DTYPES, "BF16", "F8_E4M3", "", None, 3, ["F32"]])
    elif kind == "axis" and entry["shape"]:
        entry["shape"][chance.randrange(len(entry["shape"]))] = chance.choice(SIZES)
    elif kind == "axes":
        entry["shape"] = chance.choice([entry["shape"][::-1], [1, *entry["shape"]], [1] * 40, [2**31] * 3, []])
    elif kind in ("shape", "data_offsets"):
        entry[kind] = chance.choice([*HOSTILE, [chance.choice(SIZES), chance.choice(SIZES)]])
    elif kind == "drop":
        chance.choice([entry, parts.entries, parts.metadata]).popitem()
    elif kind == "whole":
        parts.entries[name] = chance.choice(HOSTILE)
    elif kind == "add":
        parts.entries["more"] = {"dtype": "F32", "shape": [0, chance.choice(SIZES)], "data_offsets": [0, 0]}
    elif kind == "rename":
        parts.entries[chance.choice(["", "x", "__metadata__", name[::-1], "\ud800"])] = parts.entries.pop(name)
    else:
        parts.metadata[chance.choice(["format", "config", "sha256", "more"])] = chance.choice(HOSTILE)
    return parts.joined()


def change_shapes(file: bytes, chance: random.Random) -> bytes:
    """Swap, empty, retype or lengthen tensors; the file stays whole."""
    parts = ModelFile.of(file)
    tensors = {name: (entry["dtype"], list(entry["shape"])) for name, entry in parts.entries.items()}
    a, b = chance.choice(list(tensors)), chance.choice(list(tensors))
    kind = chance.choice(["swap", "turn", "empty", "long", "dtype", "drop", "double", "names"])
    dtype, shape = tensors[a]
    if kind == "swap":
        tensors[a], tensors[b] = tensors[b], tensors[a]
    elif kind == "turn":
        tensors[a] = (dtype, shape[::-1])
    elif kind == "empty":
        axis = chance.randrange(len(shape))
        tensors[a] = (dtype, [0 if i == axis else chance.choice([n, 2**40]) for i, n in enumerate(shape)])
    elif kind == "long":
        tensors[a] = (dtype, [n + chance.choice([0, 1, 64]) for n in shape])
    elif kind == "dtype":
        other = chance.choice(list(DTYPES))
        tensors = {name: (other, own[1]) for name, own in tensors.items() if chance.random() < 0.9 or name == a}
    elif kind == "drop":
        del tensors[a]
    elif kind == "names":
        tensors = dict(zip(chance.sample(list(tensors), len(tensors)), tensors.values(), strict=True))
    else:
        tensors[a + "_l1"] = tensors[a]
    parts.rearrange(tensors)
    if chance.random() < 0.5:
        parts.configure(lambda saved: change_config(saved, chance))
    return parts.joined()


def change_config(saved: dict[str, Any], chance: random.Random) -> None:
    config = saved["config"]
    kind = chance.choice(["value", "value", "value", "option", "options", "drop", "class", "metadata", "key"])
    if kind == "value":
        config[chance.choice(list(config))] = chance.choice(HOSTILE)
    elif kind == "option":
        names = [*config["cell_options"], "zoneout", "clip", "forget_bias", "activations", "bias", "proj_size", "leak"]
        config["cell_options"][chance.choice(names)] = chance.choice(HOSTILE)
    elif kind == "options":
        config["cell_options"] = chance.choice(HOSTILE)
    elif kind == "drop":
        chance.choice([config, saved]).popitem()
    elif kind == "class":
        saved["class"] = chance.choice(["ManyToOne", "ManyToMany", "OneToMany", "EncoderDecoder", "Model", *HOSTILE])
    elif kind == "metadata":
        saved["metadata"] = chance.choice([*HOSTILE, {"a": chance.choice(HOSTILE)}])
    else:
        config[chance.choice(["more", "self", "", "output_dropout", "cell_options"])] = chance.choice(HOSTILE)


def change_configuration(file: bytes, chance: random.Random) -> bytes:
    parts = ModelFile.of(file)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        try:
            parts.configure(lambda saved: change_config(saved, chance))
        except (KeyError, TypeError, AttributeError, IndexError):  # of what the change before has left
            break
    return parts.joined()


DAMAGES = [flip_bits, cut, change_length, change_text, change_entry, change_shapes, change_configuration]


def damaged(seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield damaged files and what was done to them, for ever the same for a seed."""
    chance = random.Random(seed)
    files = list(whole_files())
    while True:
        damage = chance.choice(DAMAGES)
        yield damage.__name__, damage(chance.choice(files), chance)


def whole_files() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        for make in MODELS:
            model = make()
            model.metadata["letters"] = 'ä"\\'
            model.save(Path(folder, "m"))
            yield Path(folder, "m").read_bytes()


def resident(name: str) -> int:
    """Return VmRSS or VmHWM, its peak, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) << 10


def outcome(path: Path, file: bytes, limit: float = SECONDS) -> str:
    """Load a file; AssertionError if that takes too long, too much memory, or raises another error.

    What else lives in the process may return memory and take it again meanwhile: what is claimed every time counts.
    """
    path.write_bytes(file)
    for _ in range(3):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, start = resident("VmRSS"), time.process_time()
        found = _loaded(path)
        seconds, claimed = time.process_time() - start, resident("VmHWM") - before
        assert seconds < limit, f"{seconds:.2f} s"
        if claimed <= 2 * len(file) + SPARE_BYTES:
            return found
    raise AssertionError(f"{claimed >> 20} MB for {len(file)} bytes")


def _loaded(path: Path) -> str:
    try:
        rf.load(path)
    except ValueError:
        return "refused"
    except BaseException as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error
    return "loaded"


def _hung(*_: Any) -> None:
    raise AssertionError(f"no end within {HANG} s")


def main(count: int, seed: int) -> None:
    signal.signal(signal.SIGPROF, _hung)
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, file) in zip(range(count), damaged(seed), strict=False):
            signal.setitimer(signal.ITIMER_PROF, HANG)
            try:
                counts[name, outcome(Path(folder, "m"), file)] += 1
            except AssertionError:
                Path(f"damaged-{seed}-{number}.safetensors").write_bytes(file)
                raise
            if number % 10_000 == 9_999:
                print(number + 1, "files", flush=True)
    for (name, found), times in sorted(counts.items()):
        print(f"{name:<22}{found:<9}{times:>8}")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*given, *(300_000, 0)[len(given) :])

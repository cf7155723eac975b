"""Files that exporters of other libraries wrote, which ``tests/support/onnx_files.py`` makes, run and become models."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.interop.onnx import from_onnx, prepare
from tests.support.onnx_cases import error

pytest.importorskip("onnx", reason="onnx is not installed")

DATA = Path(__file__).parent / "data"
FILES = sorted(path.name.removeprefix("onnx_").removesuffix(".onnx") for path in DATA.glob("onnx_*.onnx"))
BOUND = 1e-5
# The kind of model or layer that each file becomes; the files that are not here have no counterpart.
KINDS: dict[str, Any] = {
    "torch_lstm": rf.LSTM,
    "torch_gru_tagger": rf.ManyToMany,
    "torch_rnn_relu": rf.RNN,
    "torch_lstm_last": rf.ManyToOne,
    "torch_gru_packed": rf.GRU,
    "tf2onnx_lstm": rf.ManyToOne,
    "tf2onnx_gru": rf.ManyToMany,
    "tf2onnx_both_ways": rf.ManyToOne,
}


@cache
def answers(name: str) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """What a file was given, and what the library that wrote it computed."""
    library, _, own = name.partition("_")
    with np.load(DATA / f"onnx_{library}.npz") as archive:
        of = {key.removeprefix(f"{own}/"): archive[key] for key in archive.files if key.startswith(f"{own}/")}
    outputs = [of.pop(key) for key in sorted(of) if key.isdigit()]
    return of, outputs


def test_there_are_files_of_all_exporters() -> None:
    for ending in ("torchscript", "dynamo"):
        assert any(name.endswith(ending) for name in FILES)
    assert len([name for name in FILES if name.startswith("tf2onnx")]) == 5


@pytest.mark.parametrize("name", FILES)
def test_files_run(name: str) -> None:
    given, wanted = answers(name)
    assert error(prepare(DATA / f"onnx_{name}.onnx").run(list(given.values())), wanted) <= BOUND


@pytest.mark.parametrize("name", FILES)
def test_files_become_layers_and_models(name: str) -> None:
    given, wanted = answers(name)
    own = name.removesuffix("_torchscript").removesuffix("_dynamo")
    path = DATA / f"onnx_{name}.onnx"
    if own not in KINDS:
        with pytest.raises(
            ValueError, match=r"graph: recurrent layers and one affine map|outputs: what a layer returns"
        ):
            from_onnx(path)
        return
    found: Any = from_onnx(path)
    assert type(found) is KINDS[own]
    if isinstance(found, (rf.ManyToOne, rf.ManyToMany)):
        p = found.predict_proba if found.task.name == "classification" else found.predict
        assert error([p(given["x"])], wanted) <= BOUND
    else:
        y, state = found(given["x"], lengths=given.get("lengths"))
        assert error([y, *(state if isinstance(state, tuple) else (state,))], wanted) <= BOUND

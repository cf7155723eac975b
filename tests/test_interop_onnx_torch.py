"""Models that PyTorch's two exporters wrote run, and agree with PyTorch."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.interop.onnx import from_onnx, prepare
from tests.support.onnx_cases import error

pytest.importorskip("onnx", reason="onnx is not installed")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
Module: Any = torch.nn.Module

pytestmark = [pytest.mark.torch, pytest.mark.onnx, pytest.mark.usefixtures("one_torch_thread")]

BOUND = 1e-5
# The newer exporter takes ten seconds a model; files that it wrote once are read in test_interop_onnx_files.py.
EXPORTERS = ["torchscript", pytest.param("dynamo", marks=pytest.mark.slow)]
T, N, C, H, K = 5, 3, 4, 6, 2


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The exporters print, log and warn of what concerns their own implementation."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
    logging.disable(disabled)


def export(module: Any, arguments: tuple[Any, ...], path: Path, exporter: str, free: dict[int, str]) -> None:
    """Write a module; the axes ``free`` of its first argument have no fixed size."""
    if exporter == "dynamo":
        pytest.importorskip("onnxscript", reason="PyTorch's newer exporter needs onnxscript")
        shapes = ({axis: torch.export.Dim(name) for axis, name in free.items()}, *(None for _ in arguments[1:]))
        options = {"dynamo": True, "dynamic_shapes": shapes, "verbose": False, "external_data": False}
    else:
        names = ["x", "second"][: len(arguments)]
        options = {"dynamo": False, "input_names": names, "dynamic_axes": {"x": free}}
    torch.onnx.export(module, arguments, str(path), **options)


def answer(module: Any, *arguments: Any) -> list[np.ndarray]:
    """What PyTorch computes, nested tuples laid flat."""
    with torch.no_grad():
        found = module(*(torch.as_tensor(a) for a in arguments))
    flat: list[Any] = []
    for each in found if isinstance(found, tuple) else (found,):
        flat += each if isinstance(each, tuple) else (each,)
    return [each.numpy() for each in flat]


class Classifier(Module):
    """The last h of both directions, or the last output, through an affine map."""

    def __init__(self, kind: str, layers: int, bidirectional: bool) -> None:
        super().__init__()
        both = {"bidirectional": bidirectional, "batch_first": True}
        self.rnn = getattr(torch.nn, kind)(C, H, layers, **both)
        self.head = torch.nn.Linear(2 * H if bidirectional else H, K)

    def forward(self, x: Any) -> Any:
        y, state = self.rnn(x)
        h = state[0] if isinstance(state, tuple) else state
        last = torch.cat([h[-2], h[-1]], 1) if self.rnn.bidirectional else y[:, -1]
        return torch.log_softmax(self.head(last), 1)


class Packed(Module):
    """Sequences of several lengths."""

    def __init__(self, kind: str, layers: int) -> None:
        super().__init__()
        self.rnn = getattr(torch.nn, kind)(C, H, layers, bidirectional=True, batch_first=True)

    def forward(self, x: Any, lengths: Any) -> Any:
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, state = self.rnn(packed)
        return torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0], state


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_layers(
    kind: str, layers: int, bidirectional: bool, exporter: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    torch.manual_seed(0)
    options = {"nonlinearity": "relu"} if kind == "RNN" and layers == 2 else {}
    first = layers != 2
    module = getattr(torch.nn, kind)(C, H, layers, bidirectional=bidirectional, batch_first=first, **options).eval()
    path = tmp_path / "layer.onnx"
    export(module, (torch.zeros((N, T, C) if first else (T, N, C)),), path, exporter, {0: "a", 1: "b"})
    prepared = prepare(path)
    # The newer exporter writes an RNN as its T steps, and fixes T of a stack that is time-major.
    fixed = exporter == "dynamo" and (kind == "RNN" or not first)
    sizes = [(N, T), (7, T if fixed else 9)]
    for size in sizes if first else [pair[::-1] for pair in sizes]:
        x = rng.normal(size=(*size, C)).astype(np.float32)
        assert error(prepared.run(x), answer(module, x)) <= BOUND
    if fixed:
        return
    layer = from_onnx(path)
    assert (layer.num_layers, layer.bidirectional, layer.time_major) == (layers, bidirectional, not first)
    weights = {name: p.detach().numpy() for name, p in module.named_parameters()}
    assert weights.keys() == layer.state_dict().keys()
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, weights[name], err_msg=name)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_classifiers(kind: str, bidirectional: bool, exporter: str, tmp_path: Path, rng: np.random.Generator) -> None:
    torch.manual_seed(1)
    module = Classifier(kind, 2, bidirectional).eval()
    path = tmp_path / "classifier.onnx"
    export(module, (torch.zeros(N, T, C),), path, exporter, {0: "N", 1: "T"})
    unrolled = exporter == "dynamo" and kind == "RNN"
    x = rng.normal(size=(7, T if unrolled else 9, C)).astype(np.float32)
    (log_p,) = answer(module, x)
    assert error(prepare(path).run([x]), [log_p]) <= BOUND
    if unrolled:
        with pytest.raises(ValueError, match="graph: recurrent layers and one affine map are required, got a node"):
            from_onnx(path)
        return
    model = from_onnx(path)
    assert isinstance(model, rf.ManyToOne)
    assert error([model.predict_proba(x)], [np.exp(log_p)]) <= BOUND
    np.testing.assert_array_equal(model.head.weight.value, module.head.weight.detach().numpy())


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_packed_sequences(kind: str, layers: int, tmp_path: Path, rng: np.random.Generator) -> None:
    """Only the older exporter writes them."""
    torch.manual_seed(2)
    module = Packed(kind, layers).eval()
    path = tmp_path / "packed.onnx"
    export(module, (torch.zeros(N, T, C), torch.tensor([5, 3, 1])), path, "torchscript", {1: "T"})
    x = rng.normal(size=(N, T, C)).astype(np.float32)
    for lengths in ([5, 3, 1], [2, 5, 4], [1, 1, 5]):
        given = np.array(lengths, np.int64)
        assert error(prepare(path).run([x, given]), answer(module, x, given)) <= BOUND
    layer = from_onnx(path)
    y, state = layer(x, lengths=[2, 5, 4])
    states = state if isinstance(state, tuple) else (state,)
    assert error([y, *states], answer(module, x, np.array([2, 5, 4]))) <= BOUND

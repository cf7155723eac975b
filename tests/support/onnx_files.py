"""Makes the small ONNX files of ``tests/data`` with the exporters of other libraries, and what these compute.

``python -m tests.support.onnx_files torch`` needs torch and onnxscript; ``... tf2onnx`` needs tensorflow, tf_keras and
tf2onnx. Each writes its files ``onnx_<library>_<name>.onnx`` and one archive ``onnx_<library>.npz``, which holds the
inputs ``<name>/x`` (and ``<name>/lengths``) and the outputs ``<name>/0``, ``<name>/1`` and so on.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[1] / "data"
N, T, C, H, K = 4, 6, 3, 4, 2


def stripped(path: Path) -> None:
    """Remove what tells where a file came from: paths and traces of the machine that made it."""
    onnx: Any = import_module("onnx")
    model = onnx.load(path)
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, path)


def flat(values: Any) -> list[Any]:
    """Nested tuples laid flat."""
    return [one for each in values for one in flat(each)] if isinstance(values, (tuple, list)) else [values]


def torch_modules(torch: Any) -> dict[str, Any]:
    """Modules by the names of their files."""
    nn = torch.nn
    Module: Any = nn.Module

    class Tagger(Module):
        """An affine map at every step, or of the last one."""

        def __init__(self, rnn: Any, *, last: bool) -> None:
            super().__init__()
            self.rnn, self.last = rnn, last
            self.head = nn.Linear(rnn.hidden_size * (2 if rnn.bidirectional else 1), K)

        def forward(self, x: Any) -> Any:
            y = self.rnn(x)[0]
            return self.head(y[:, -1] if self.last else y)

    class Packed(Module):
        """Sequences of several lengths."""

        def __init__(self, rnn: Any) -> None:
            super().__init__()
            self.rnn = rnn

        def forward(self, x: Any, lengths: Any) -> Any:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, state = self.rnn(packed)
            return nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0], state

    torch.manual_seed(0)
    return {
        "lstm": nn.LSTM(C, H, 2, bidirectional=True, batch_first=True),
        "gru_tagger": Tagger(nn.GRU(C, H, 2, batch_first=True), last=False),
        "rnn_relu": nn.RNN(C, H, 1, nonlinearity="relu", batch_first=True),
        "lstm_last": Tagger(nn.LSTM(C, H, 1, batch_first=True), last=True),
        "gru_packed": Packed(nn.GRU(C, H, 2, bidirectional=True, batch_first=True)),
    }


def make_torch() -> dict[str, np.ndarray]:
    torch: Any = import_module("torch")
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for name, module in torch_modules(torch).items():
        arguments = {"x": rng.normal(size=(N, T, C)).astype(np.float32)}
        if name.endswith("packed"):
            arguments["lengths"] = np.array([3, 6, 1, 4], np.int64)
        given = tuple(torch.tensor(a) for a in arguments.values())
        with torch.no_grad():
            outputs = flat(module.eval()(*given))
        for newer in (False, True):
            if newer and name in ("gru_packed", "rnn_relu"):
                continue  # it does not write the one, and unrolls the other
            own = f"{name}_{'dynamo' if newer else 'torchscript'}"
            path = DATA / f"onnx_torch_{own}.onnx"
            if newer:
                dims = ({0: torch.export.Dim("N"), 1: torch.export.Dim("T")},)
                options: dict[str, Any] = {"dynamic_shapes": dims, "external_data": False}
            else:
                free = {0: "N", 1: "T"} if len(given) == 1 else {1: "T"}
                options = {"input_names": list(arguments), "dynamic_axes": {"x": free}}
            torch.onnx.export(module, given, str(path), dynamo=newer, **options)
            stripped(path)
            found |= {f"{own}/{key}": value for key, value in arguments.items()}
            found |= {f"{own}/{i}": value.numpy() for i, value in enumerate(outputs)}
    return found


def make_tf2onnx() -> dict[str, np.ndarray]:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    keras, convert = import_module("tf_keras"), import_module("tf2onnx.convert")
    layers = keras.layers
    stacks = {
        "lstm": [layers.LSTM(H), layers.Dense(K, activation="softmax")],
        "gru": [layers.GRU(H, return_sequences=True), layers.GRU(H, return_sequences=True), layers.Dense(K)],
        "both_ways": [
            layers.Bidirectional(layers.LSTM(H, return_sequences=True)),
            layers.Bidirectional(layers.LSTM(H)),
            layers.Dense(K),
        ],
        "hard_sigmoid": [layers.LSTM(H, activation="relu", recurrent_activation="hard_sigmoid")],
        "loop": [layers.GRU(H, reset_after=False)],
    }
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for name, stack in stacks.items():
        model = keras.Sequential([keras.Input((None, C)), *stack])
        model.set_weights([0.5 * rng.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
        path = DATA / f"onnx_tf2onnx_{name}.onnx"
        convert.from_keras(model, opset=15, output_path=str(path))
        stripped(path)
        x = rng.normal(size=(N, T, C)).astype(np.float32)
        found |= {f"{name}/x": x, f"{name}/0": model(x).numpy()}
    return found


MAKERS = {"torch": make_torch, "tf2onnx": make_tf2onnx}

if __name__ == "__main__":
    for library in sys.argv[1:]:
        arrays: dict[str, Any] = MAKERS[library]()
        np.savez_compressed(DATA / f"onnx_{library}.npz", **arrays)

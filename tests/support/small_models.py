"""Every cell and every model once, small: what ``make valgrind`` runs. Results are compared elsewhere.

Run: ``python -m tests.support.small_models``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import rnnfast as rf
from tests.support.comparison import KINDS, make_problem, run_engine
from tests.support.matrix import DTYPES, LAYERS

MODELS: list[dict[str, Any]] = [
    {"cell": "lstm", "num_layers": 2, "dropout": 0.2},
    {"cell": "gru", "bidirectional": True},
    {"cell": "rnn", "cell_options": {"recurrent_dropout": 0.2, "noise": 0.1}},
    {"cell": "lstm", "cell_options": {"proj_size": 3}},
    {"cell": "lstm", "cell_options": {"layer_norm": True, "learn_initial_state": True}},
    {"cell": "gru", "cell_options": {"zoneout": 0.2, "reset_after": False}, "dtype": "float64"},
]
LENGTHS = (3, 2, 6, 5, 2, 4, 6)


def layers() -> None:
    """Forward, backward, streams and traces of every cell; more threads than one where units and rows are shared."""
    for kind in KINDS:
        for dtype in DTYPES:
            for sizes in ({"L": 2, "H": 9, "resets": True}, {"bidirectional": True, "N": 9, "H": 17}, {"T": 1, "N": 1}):
                run_engine(make_problem(kind, **sizes), dtype)
    for make in LAYERS.values():
        layer = make(5, 19, num_layers=2, seed=0)
        x = np.ones((2, 7, 5), np.float32)
        layer.trace(x)
        y, _, tape = layer.forward(x, save="recompute", lengths=[7, 3])
        layer.backward(tape, y)
        stream = layer.stream(2)
        stream.process(x)
        stream.step(x[:, 0], out=np.empty((2, 19), np.float32))
        stream.reset([True, False])
        stream.state = stream.state
    wide = rf.LSTM(16, 150, seed=0)
    y, _, tape = wide.forward(np.ones((1, 3, 16), np.float32))
    wide.backward(tape, y)


def trained(model: Any, *data: Any, **options: Any) -> Any:
    """Train for an epoch, save and load."""
    model.fit(*data, epochs=1, batch_size=3, progress=False, clip_norm=1.0, seed=0, **options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        return rf.load(path)


def models() -> None:
    rng = np.random.default_rng(0)
    for options in MODELS:
        dtype = options.get("dtype", "float32")
        x = [rng.normal(size=(n, 4)).astype(dtype) for n in LENGTHS]
        ids = [rng.integers(0, 6, n) for n in LENGTHS]
        sizes = {"hidden_size": 8, "seed": 0, **options}
        one = trained(rf.ManyToOne(4, 3, **sizes), x, np.arange(len(x)) % 3)
        one.predict_proba(x)
        many = trained(rf.ManyToMany(6, 2, embedding=5, **sizes), ids, [i % 2 for i in ids], optimizer="rmsprop")
        many.evaluate(ids, [i % 2 for i in ids])
        for attention in (None, "additive", "dot"):
            pairs = trained(
                rf.EncoderDecoder(4, 6, attention=attention, start=0, stop=5, **sizes), x, [1 + i % 4 for i in ids]
            )
            pairs.predict(x, max_length=5, beams=2)
            pairs.predict(x, max_length=5, beams=2, num_sequences=2)
            pairs.predict(x, max_length=5)
        if "bidirectional" in sizes:
            continue
        written = trained(rf.OneToMany(6, embedding=5, **sizes), ids, optimizer="sgd", lr=0.1)
        written.generate([1, 2], 8, top_k=3, top_p=0.9, num_sequences=2, seed=0)
        written.generate([1, 2], 8, beams=3, stop=0)
        written.predict(ids, chunk=2, mask=[i % 2 == 0 for i in ids])
        forecast = trained(rf.OneToMany(4, task="regression", context_size=2, **sizes), x, context=np.ones((len(x), 2)))
        forecast.generate(x[0], 5, context=np.ones(2))
        stream = written.stream()
        stream.step(3)


if __name__ == "__main__":
    with rf.threads(2):
        layers()
        models()
    print(f"{len(KINDS)} cells and {len(MODELS)} kinds of each model were run")

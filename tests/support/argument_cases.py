"""Every public callable with one valid call, and the hostile values that an argument may legitimately take."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast.data import (
    as_id_sequences,
    as_real_sequences,
    batch_indices,
    from_left_padded,
    from_multiindex,
    from_nested,
    from_numpy3d,
)
from rnnfast.text import ByteVocabulary, Vocabulary, WordVocabulary

HOSTILE: dict[str, Any] = {
    "None": None,
    "text": "text",
    "nan": float("nan"),
    "inf": float("inf"),
    "-1": -1,
    "0": 0,
    "2**63": 2**63,
    "shape": np.zeros((3, 1, 2, 1)),
    "object": object(),
}

# By argument, wherever it stands: hostile values that have a meaning.
ACCEPTED = {
    "seed": "None 0 2**63", "dropout": "0", "input_dropout": "0", "recurrent_dropout": "0",
    "output_dropout": "0", "noise": "0 2**63", "zoneout": "0",
    "proj_size": "0",
    "clip": "None inf 2**63", "forget_bias": "None -1 0 2**63", "lengths": "None", "resets": "None", "state": "None",
    "dstate": "None", "dy": "None", "sample_weight": "None", "context": "None", "cell_options": "None",
    "embedding": "None", "source_embedding": "None", "target_embedding": "None", "context_size": "None",
    "attention": "None", "start": "None 0", "stop": "None 0", "tbptt": "None", "burn_in": "0", "epochs": "0",
    "lr": "None 0 2**63", "clip_norm": "None inf 2**63", "clip_value": "None inf 2**63", "ema": "None 0",
    "teacher_forcing": "0", "momentum_decay": "0 2**63", "decay": "0", "cooldown": "0", "min_lr": "0 2**63",
    "validation_data": "None", "validation_split": "0",
    "max_length": "None 0", "beams": "None", "length_penalty": "0", "temperature": "2**63", "top_k": "None",
    "top_p": "None", "length": "0", "prefix": "None 0", "source": "None", "params": "None", "momentum": "0 2**63",
    "dampening": "-1 0 2**63", "weight_decay": "0 2**63", "eps": "0 2**63", "alpha": "0 2**63", "patience": "0",
    "min_delta": "0 2**63", "monitor": "text", "mode": "None", "max_norm": "2**63 inf", "characters": "text",
    "sign": "None -1 0", "limit": "None 0 inf 2**63", "mask": "None", "out": "None",
    "outputs": "None", "loss_weights": "None", "resume": "None", "activity_l2": "0 2**63", "task": "None",
    "loss": "None", "class_weight": "None", "quantiles": "None", "class_weights": "None", "label_smoothing": "0",
    "ignore_index": "None -1 0", "delta": "2**63",
    "initial_epoch": "0", "steps_per_epoch": "None", "progress": "None", "every_steps": "None",
    "chunk": "None", "samples": "None", "vocabulary": "None", "source_vocabulary": "None",
    "target_vocabulary": "None", "max_size": "None", "texts": "text", "shards": "None", "communicator": "None",
    "numbers": "None", "client": "None",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """A callable and arguments with which it succeeds; ``make`` returns what is called, fresh.

    ``accepted`` replaces entries of ``ACCEPTED``; ``signature``: names of the arguments where Python knows none.
    """

    make: Callable[[], Callable[..., Any]]
    valid: Callable[[], dict[str, Any]]
    accepted: dict[str, str] = field(default_factory=dict)
    signature: tuple[str, ...] = ()

    def accepts(self, argument: str) -> set[str]:
        return set(self.accepted.get(argument, ACCEPTED.get(argument, "")).split())


KEPT: dict[str, Any] = {"max_size": 2, "min_count": 1, "unknown": True, "padding": True}
X32 = np.ones((2, 3, 3), np.float32)
X, IDS = np.ones((4, 3, 3)), np.array([[0, 1, 2, 1]] * 4)
LENGTHS = [3, 2, 3, 1]
SIZES: dict[str, Any] = {"input_size": 3, "hidden_size": 5}
LAYER: dict[str, Any] = {
    **SIZES, "num_layers": 2, "bidirectional": False, "dropout": 0.1, "time_major": False, "dtype": "float32", "seed": 0
}  # fmt: skip
OWN: dict[str, Any] = {
    **LAYER,
    "bias": True,
    "clip": 1.0,
    "input_dropout": 0.1,
    "recurrent_dropout": 0.1,
    "learn_initial_state": True,
}


class Sum(rf.CustomCell, name="sum of arguments"):
    def shapes(self, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {"b": (hidden,)}

    def forward(self, p: Any, x: Any, state: Any) -> Any:
        return (state[0] + x.sum(axis=1, keepdims=True) + p["b"],), None

    def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
        d = dstate[0]
        return np.repeat(d.sum(axis=1, keepdims=True), 3, axis=1).astype(d.dtype), dstate, {"b": d.sum(axis=0)}


def gru() -> Any:
    return rf.GRU(3, 5, seed=0)


def custom() -> Any:
    return rf.CustomLayer(Sum(), 3, 5, seed=0)


def state() -> Any:
    return np.zeros((1, 2, 5), np.float32)


def run() -> dict[str, Any]:
    return {"x": X32, "state": state(), "lengths": [3, 2], "resets": np.zeros((2, 3), bool), "mask": None}


def run_rows() -> dict[str, Any]:
    batch = {"values": X32[0], "offsets": [1, 0], "lengths": [2, 3]}
    return {**batch, "state": state(), "resets": np.zeros(5, bool)}


def layer_cases(name: str, make: Callable[[], Any], *, saves: bool) -> dict[str, Case]:
    def backward() -> Callable[..., Any]:
        layer = make()
        tape = layer.forward(X32)[2]
        return lambda tape=tape, **options: layer.backward(tape, **options)

    kept = {"training": True, **({"save": "all"} if saves else {})}
    found = {
        f"{name}.__call__": Case(make=make, valid=run),
        f"{name}.trace": Case(make=lambda: make().trace, valid=run),
        f"{name}.forward": Case(make=lambda: make().forward, valid=lambda: {**run(), **kept}),
        f"{name}.call_rows": Case(make=lambda: make().call_rows, valid=run_rows, accepted={"lengths": ""}),
        f"{name}.forward_rows": Case(
            make=lambda: make().forward_rows, valid=lambda: {**run_rows(), **kept}, accepted={"lengths": ""}
        ),
        f"{name}.backward": Case(
            make=backward,
            valid=lambda: {
                "dy": np.ones((2, 3, 5), np.float32),
                "dstate": state(),
                "need_dx": True,
                "gradient_norms": False,
            },
            signature=("tape", "dy", "dstate", "need_dx", "gradient_norms"),
        ),
        f"{name}.load_state_dict": Case(
            make=lambda: make().load_state_dict,
            valid=lambda: {"state": make().state_dict(), "strict": True},
            accepted={"state": ""},
        ),
    }
    return found


def stream() -> Any:
    return gru().stream(2)


LAYERS: dict[str, Case] = {
    "RNN": Case(
        make=lambda: rf.RNN, valid=lambda: {**OWN, "activation": "elu", "leak": 0.5, "noise": 0.1, "zoneout": 0.1}
    ),
    "GRU": Case(
        make=lambda: rf.GRU,
        valid=lambda: {
            **OWN,
            "reset_after": True,
            "activations": ("sigmoid", "tanh"),
            "zoneout": 0.1,
            "layer_norm": False,
        },
    ),
    "LSTM": Case(
        make=lambda: rf.LSTM,
        valid=lambda: {
            **OWN,
            "proj_size": 0,
            "peephole": False,
            "forget_bias": 1.0,
            "coupled": False,
            "zoneout": 0.1,
            "activations": ("sigmoid", "tanh", "tanh"),
            "layer_norm": False,
        },
    ),
    "CustomLayer": Case(make=lambda: rf.CustomLayer, valid=lambda: {**LAYER, "cell": Sum()}),
    "CustomCell.gradient_error": Case(
        make=lambda: Sum().gradient_error,
        valid=lambda: {"inputs": 3, "hidden": 4, "sequences": 2, "seed": 0},
        accepted={"seed": "0 None 2**63"},
    ),
    **layer_cases("GRU", gru, saves=True),
    **layer_cases("CustomLayer", custom, saves=False),
    "GRU.stream": Case(make=lambda: gru().stream, valid=lambda: {"batch_size": 2, "state": state()}),
    "Stream.step": Case(
        make=lambda: stream().step,
        valid=lambda: {"x": X32[:, 0], "out": np.empty((2, 5), np.float32)},
        signature=("x", "out"),
    ),
    "Stream.process": Case(make=lambda: stream().process, valid=lambda: {"block": X32}),
    "Stream.reset": Case(make=lambda: stream().reset, valid=lambda: {"mask": [True, False]}),
    "Stream.state": Case(
        make=lambda: lambda state: setattr(stream(), "state", state),
        valid=lambda: {"state": state()},
    ),
}


def block_cases(make: Callable[[], Any], x: Any, y: Any, *, accepted: str = "", **own: Any) -> dict[str, Case]:
    """The methods of a layer without a recurrence; ``accepted``: hostile values that are an x; ``own``: of forward."""
    name = type(make()).__name__

    def backward() -> Callable[..., Any]:
        block = make()
        tape = block.forward(x)[1]
        return lambda tape=tape, **options: block.backward(tape, **options)

    return {
        f"{name}.__call__": Case(make=make, valid=lambda: {"x": x}, accepted={"x": accepted}),
        f"{name}.forward": Case(
            make=lambda: make().forward, valid=lambda: {"x": x, "training": True, **own}, accepted={"x": accepted}
        ),
        f"{name}.backward": Case(make=backward, valid=lambda: {"dy": y}, accepted={"dy": ""}, signature=("tape", "dy")),
        f"{name}.load_state_dict": Case(
            make=lambda: make().load_state_dict,
            valid=lambda: {"state": make().state_dict(), "strict": True},
            accepted={"state": ""},
        ),
    }


BLOCKS: dict[str, Case] = {
    "Linear": Case(
        make=lambda: rf.Linear,
        valid=lambda: {"input_size": 3, "output_size": 5, "bias": True, "dtype": "float32", "seed": 0},
    ),
    "Embedding": Case(
        make=lambda: rf.Embedding,
        valid=lambda: {"num_embeddings": 3, "embedding_dim": 5, "dtype": "float32", "seed": 0},
    ),
    "Dropout": Case(make=lambda: rf.Dropout, valid=lambda: {"p": 0.1, "seed": 0}, accepted={"p": "0"}),
    **block_cases(lambda: rf.Linear(3, 5, seed=0), X32, np.ones((2, 3, 5), np.float32)),
    **block_cases(lambda: rf.Embedding(3, 5, seed=0), IDS, np.ones((4, 4, 5), np.float32), accepted="0"),
    **block_cases(lambda: rf.Dropout(0.5, seed=0), X32, X32, accepted="shape", numbers=None),
}


def parameter() -> Any:
    return rf.Parameter(np.ones((2, 2)))


def with_threads(n: Any) -> None:
    with rf.threads(n):
        pass


def nested_frame() -> dict[str, Any]:
    pandas = importlib.import_module("pandas")
    return {"frame": pandas.DataFrame({"u": [[1.0, 2.0], [3.0]]})}


def long_frame() -> dict[str, Any]:
    pandas = importlib.import_module("pandas")
    return {"frame": pandas.DataFrame({"u": [1.0, 2.0]}, index=pandas.MultiIndex.from_tuples([(0, 0), (0, 1)]))}


FRAMES: dict[str, Case] = {}
if importlib.util.find_spec("pandas"):
    FRAMES = {
        "from_nested": Case(make=lambda: from_nested, valid=nested_frame),
        "from_multiindex": Case(make=lambda: from_multiindex, valid=long_frame),
    }

OTHERS: dict[str, Case] = {
    "check_gradient": Case(
        make=lambda: rf.check_gradient,
        valid=lambda: {
            "f": lambda: 1.0,
            "params": [rf.Parameter(np.zeros(2))],
            "epsilon": 1e-5,
            "tolerance": 0.1,
            "samples": 3,
            "seed": 0,
        },
        accepted={"epsilon": "None", "samples": "None", "params": ""},
    ),
    "EarlyStopping": Case(
        make=lambda: rf.EarlyStopping,
        valid=lambda: {"monitor": "loss", "patience": 3, "min_delta": 0.0, "restore_best": True, "mode": "min"},
    ),
    "Checkpoint": Case(
        make=lambda: rf.Checkpoint,
        valid=lambda: {"path": "model", "monitor": None, "mode": "min", "every_steps": 2, "training": True},
        accepted={"path": "text", "monitor": "None"},
    ),
    "CSVLogger": Case(make=lambda: rf.CSVLogger, valid=lambda: {"path": "log.csv"}, accepted={"path": "text"}),
    "TensorBoard": Case(make=lambda: rf.TensorBoard, valid=lambda: {"folder": "runs"}, accepted={"folder": "text"}),
    "Parameter": Case(
        make=lambda: rf.Parameter, valid=lambda: {"value": np.ones(3)}, accepted={"value": "nan inf shape"}
    ),
    "Parameter.assign": Case(make=lambda: parameter().assign, valid=lambda: {"array": np.ones((2, 2))}),
    "Parameter.constrain": Case(
        make=lambda: parameter().constrain,
        valid=lambda: {"mask": np.ones((2, 2), bool), "sign": np.ones((2, 2)), "limit": 1.0},
    ),
    "set_num_threads": Case(make=lambda: rf.set_num_threads, valid=lambda: {"n": rf.get_num_threads()}),
    "threads": Case(make=lambda: with_threads, valid=lambda: {"n": 1}),
    "from_left_padded": Case(
        make=lambda: from_left_padded, valid=lambda: {"x": X, "mask": np.ones((4, 3), bool)}, accepted={"mask": ""}
    ),
    "from_numpy3d": Case(make=lambda: from_numpy3d, valid=lambda: {"x": X}),
    **FRAMES,
    "as_id_sequences": Case(
        make=lambda: as_id_sequences,
        valid=lambda: {"x": IDS, "vocabulary": 3, "lengths": [4, 2, 1, 0], "name": "x", "size": "input_size"},
        accepted={"name": "text", "size": "text", "vocabulary": ""},
    ),
    "as_real_sequences": Case(
        make=lambda: as_real_sequences,
        valid=lambda: {
            "x": X,
            "features": 3,
            "dtype": np.dtype("float32"),
            "lengths": LENGTHS,
            "name": "x",
            "size": "input_size",
        },
        accepted={"name": "text", "size": "text"},
    ),
    "batch_indices": Case(
        make=lambda: batch_indices,
        valid=lambda: {"lengths": np.array([3, 1, 2]), "batch_size": 2, "rng": np.random.default_rng(0)},
        accepted={"lengths": "", "rng": "None"},
    ),
    "Vocabulary": Case(make=lambda: Vocabulary, valid=lambda: {"characters": "abc", **KEPT}),
    "WordVocabulary": Case(make=lambda: WordVocabulary, valid=lambda: {"texts": "a b", "lowercase": True, **KEPT}),
    "ByteVocabulary": Case(make=lambda: ByteVocabulary, valid=lambda: {"padding": True}),
    "Vocabulary.encode": Case(make=lambda: Vocabulary("abc").encode, valid=lambda: {"text": "ab"}),
    "Vocabulary.decode": Case(make=lambda: Vocabulary("abc").decode, valid=lambda: {"ids": [0, 2]}),
}

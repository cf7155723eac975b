"""The cases of models and their methods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np

import rnnfast as rf
from rnnfast.text import Vocabulary
from tests.support.argument_cases import IDS, LENGTHS, Case, X

WEIGHTS, RESETS, MASK = np.ones(4), np.zeros((4, 3), bool), np.ones((4, 3), bool)
PREDICTION: dict[str, Any] = {"state": None, "return_state": True, "chunk": 2, "samples": None, "seed": None}
CERTAIN = {"seed": "None"}  # without samples nothing is drawn
LETTERS = Vocabulary("abc")
MODEL: dict[str, Any] = {
    "vocabulary": LETTERS,
    "input_size": 3,
    "output_size": 2,
    "cell": "gru",
    "hidden_size": 4,
    "num_layers": 2,
    "bidirectional": False,
    "dropout": 0.1,
    "output_dropout": 0.1,
    "activity_l2": 0.1,
    "task": "classification",
    "loss": "cross_entropy",
    "embedding": 2,
    "cell_options": {"bias": True},
    "dtype": "float32",
    "seed": 0,
}
HEADED: dict[str, Any] = {**MODEL, "outputs": None, "loss_weights": None}
HEADS: dict[str, Any] = {
    **HEADED,
    "output_size": None,
    "outputs": {"a": 2, "b": 1},
    "task": {"a": "classification", "b": "regression"},
    "loss": {"b": "huber"},
    "loss_weights": {"a": 0.5},
}
PAIR: dict[str, Any] = {
    **{k: v for k, v in MODEL.items() if k not in ("input_size", "output_size", "embedding", "vocabulary")},
    "source_size": 3,
    "target_size": 4,
    "source_embedding": 2,
    "target_embedding": 2,
    "source_vocabulary": LETTERS,
    "target_vocabulary": None,
    "attention": "dot",
    "start": 1,
    "stop": 2,
}
TRAIN: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 2,
    "optimizer": "sgd",
    "lr": 1e-3,
    "clip_norm": 1.0,
    "clip_value": 1.0,
    "accumulate": 2,
    "ema": 0.9,
    "validation_data": None,
    "validation_split": 0.25,
    "lengths": None,
    "mask": None,
    "sample_weight": WEIGHTS,
    "class_weight": "balanced",
    "metrics": [],
    "callbacks": [],
    "progress": False,
    "shuffle": True,
    "seed": 0,
    "initial_epoch": 0,
    "steps_per_epoch": None,
    "resume": None,
}


def many_to_one() -> Any:
    return rf.ManyToOne(3, 2, hidden_size=4, seed=0)


def many_to_many() -> Any:
    return rf.ManyToMany(3, 2, hidden_size=4, seed=0)


def writer(**options: Any) -> Any:
    return rf.OneToMany(3, hidden_size=4, seed=0, **options)


CONTEXT = {"context": ""}


def translator() -> Any:
    return rf.EncoderDecoder(3, 4, hidden_size=4, seed=0)


def supervised(name: str, make: Callable[[], Any], y: Any, *, tbptt: bool = True, **own: Any) -> dict[str, Case]:
    """``own``: the arguments that accompany x and y in this model only; ``tbptt``: whether it has that one."""
    data: dict[str, Any] = {"x": X, "y": y, "lengths": None, "mask": MASK, "sample_weight": WEIGHTS, **own}
    pieces = {"tbptt": 2} if tbptt else {}
    return {
        f"{name}.fit": Case(make=lambda: make().fit, valid=lambda: {**TRAIN, **data, **pieces}),
        f"{name}.loss": Case(make=lambda: make().loss, valid=lambda: data),
        f"{name}.loss_and_grad": Case(make=lambda: make().loss_and_grad, valid=lambda: data),
        f"{name}.evaluate": Case(
            make=lambda: make().evaluate, valid=lambda: {**data, **pieces, "batch_size": 2, "metrics": []}
        ),
        f"{name}.load_state_dict": Case(
            make=lambda: make().load_state_dict,
            valid=lambda: {"state": make().state_dict(), "strict": True},
            accepted={"state": ""},
        ),
    }


def forecasting(
    name: str, make: Callable[[str], Any], data: dict[str, Any], accepted: dict[str, str] | None = None
) -> dict[str, Case]:
    return {
        f"{name}.predict_quantiles": Case(
            make=lambda: make("quantile").predict_quantiles,
            valid=lambda: {**data, "batch_size": 2, "quantiles": [0.5]},
            accepted=accepted or {},
        ),
        f"{name}.predict_distribution": Case(
            make=lambda: make("gaussian").predict_distribution,
            valid=lambda: {**data, "batch_size": 2},
            accepted=accepted or {},
        ),
    }


def reading(
    name: str, make: Callable[[], Any], forecasts: Callable[[str], Any] | None = None, **own: Any
) -> dict[str, Case]:
    data = {"x": X, "lengths": LENGTHS, "mask": None, **own}
    options = {"batch_size": 2, **PREDICTION}
    return {
        f"{name}.predict": Case(make=lambda: make().predict, valid=lambda: {**data, **options}, accepted=CERTAIN),
        f"{name}.predict_proba": Case(
            make=lambda: make().predict_proba, valid=lambda: {**data, **options}, accepted=CERTAIN
        ),
        **({} if forecasts is None else forecasting(name, forecasts, data)),
        f"{name}.trace": Case(make=lambda: make().trace, valid=lambda: data),
        f"{name}.stream": Case(
            make=lambda: make().stream, valid=lambda: {"batch_size": 2, "state": (np.zeros((1, 2, 4), np.float32),) * 2}
        ),
    }


def reporting(name: str, make: Callable[[], Any], x: Any, y: Any, **own: Any) -> dict[str, Case]:
    """``own``: further arguments of ``evaluate``. Pages are written without pictures, and thrown away."""

    def report(**given: Any) -> None:
        without = patch("rnnfast.report.page.available", return_value=False)
        with without, TemporaryDirectory() as folder:
            make().report(path=Path(folder, "report.html"), **given)

    words: dict[str, Any] = {"title": "page", "names": "abcd", "features": "efg", "classes": "uv"}
    words |= {"vocabulary": None, "baselines": None, "past": None, "history": None, "target_scaler": None}
    named = {"title": "None text", "names": "None text", "features": "None shape"}
    named["classes"] = {2: "None", 3: "None shape", 4: "None text"}[len(own.get("classes", "uv"))]
    none = dict.fromkeys(("vocabulary", "baselines", "past", "history", "target_scaler"), "None")
    valid = {"x": x, "y": y, "lengths": None, "mask": None, "sample_weight": WEIGHTS, **words, **own}
    accepted = {**named, **none} | ({"y": "None", **CONTEXT} if y is None else {})
    case = Case(make=lambda: report, valid=lambda: valid, accepted=accepted, signature=tuple(valid))
    return {f"{name}.report": case}


WRITTEN: dict[str, Any] = {
    "lengths": None,
    "mask": None,
    "sample_weight": WEIGHTS,
    "context": np.ones((4, 2)),
    "burn_in": 0,
}
READ: dict[str, Any] = {"x": [0, 2, 1], "lengths": None, "mask": None, "context": np.ones((1, 2))}
READING = {**CONTEXT, "x": "0"}
SIZED = {"input_size": "None"}  # beside a vocabulary
MODELS: dict[str, Case] = {
    "ManyToOne": Case(make=lambda: rf.ManyToOne, valid=lambda: HEADED, accepted=SIZED),
    "ManyToMany": Case(make=lambda: rf.ManyToMany, valid=lambda: HEADED, accepted=SIZED),
    "ManyToOne with heads": Case(
        make=lambda: rf.ManyToOne, valid=lambda: HEADS, accepted={**SIZED, "output_size": "None", "outputs": ""}
    ),
    "OneToMany": Case(
        make=lambda: rf.OneToMany, valid=lambda: {**MODEL, "context_size": 2}, accepted={**SIZED, "output_size": "None"}
    ),
    "EncoderDecoder": Case(make=lambda: rf.EncoderDecoder, valid=lambda: PAIR, accepted={"source_size": "None"}),
    **supervised("ManyToOne", many_to_one, [0, 1, 1, 0]),
    **supervised("ManyToMany", many_to_many, IDS[:, :3] // 2, resets=RESETS, burn_in=1),
    **supervised("EncoderDecoder", translator, IDS, tbptt=False),
    "EncoderDecoder.fit": Case(
        make=lambda: translator().fit,
        valid=lambda: {**TRAIN, "x": X, "y": IDS, "lengths": None, "sample_weight": WEIGHTS, "teacher_forcing": 0.5},
    ),
    **reporting("ManyToOne", many_to_one, X, [0, 1, 1, 0]),
    **reporting("ManyToMany", many_to_many, X, IDS[:, :3] // 2, resets=RESETS),
    **reporting("EncoderDecoder", translator, X, IDS, classes="abcd"),
    **reporting(
        "OneToMany",
        lambda: writer(context_size=2),
        IDS,
        None,
        context=np.ones((4, 2)),
        features=None,
        names=None,
        classes="abc",
    ),
    **reading("ManyToOne", many_to_one, lambda task: rf.ManyToOne(3, 1, task=task, hidden_size=4, seed=0)),
    **reading(
        "ManyToMany", many_to_many, lambda task: rf.ManyToMany(3, 1, task=task, hidden_size=4, seed=0), resets=RESETS
    ),
    "OneToMany.fit": Case(
        make=lambda: writer(context_size=2).fit,
        valid=lambda: {**TRAIN, **WRITTEN, "sequences": IDS, "tbptt": 2},
        accepted=CONTEXT,
    ),
    "OneToMany.loss": Case(
        make=lambda: writer(context_size=2).loss, valid=lambda: {**WRITTEN, "sequences": IDS}, accepted=CONTEXT
    ),
    "OneToMany.loss_and_grad": Case(
        make=lambda: writer(context_size=2).loss_and_grad, valid=lambda: {**WRITTEN, "sequences": IDS}, accepted=CONTEXT
    ),
    "OneToMany.evaluate": Case(
        make=lambda: writer(context_size=2).evaluate,
        valid=lambda: {**WRITTEN, "sequences": IDS, "tbptt": 2, "batch_size": 2, "metrics": []},
        accepted={**CONTEXT, "batch_size": "None"},
    ),
    "OneToMany.predict": Case(
        make=lambda: writer(context_size=2).predict,
        valid=lambda: {**READ, "batch_size": 2, **PREDICTION},
        accepted={**READING, **CERTAIN},
    ),
    "OneToMany.predict_proba": Case(
        make=lambda: writer(context_size=2).predict_proba,
        valid=lambda: {**READ, "batch_size": 2, **PREDICTION},
        accepted={**READING, **CERTAIN},
    ),
    **forecasting(
        "OneToMany",
        lambda task: rf.OneToMany(3, task=task, context_size=2, hidden_size=4, seed=0),
        {"x": X, "lengths": LENGTHS, "mask": None, "context": np.ones((4, 2))},
        CONTEXT,
    ),
    **forecasting(
        "EncoderDecoder",
        lambda task: rf.EncoderDecoder(3, 2, task=task, hidden_size=4, seed=0),
        {"x": X, "lengths": LENGTHS, "mask": None, "max_length": 3},
        {"max_length": "0"},
    ),
    "OneToMany.trace": Case(make=lambda: writer(context_size=2).trace, valid=lambda: READ, accepted=READING),
    "OneToMany.load_state_dict": Case(
        make=lambda: writer().load_state_dict,
        valid=lambda: {"state": writer().state_dict(), "strict": True},
        accepted={"state": ""},
    ),
    "OneToMany.generate": Case(
        make=lambda: writer(context_size=2).generate,
        valid=lambda: {
            "prompt": [0, 1],
            "length": 3,
            "context": np.ones(2),
            "temperature": 1.0,
            "top_k": 2,
            "top_p": 0.5,
            "greedy": False,
            "beams": None,
            "length_penalty": 0.0,
            "stop": 2,
            "prefix": [1],
            "num_sequences": 1,
            "return_log_probs": False,
            "seed": 0,
        },
        accepted={**CONTEXT, "prompt": "0", "length": ""},
    ),
    "OneToMany.stream": Case(
        make=lambda: writer(context_size=2).stream,
        valid=lambda: {"batch_size": 2, "state": (np.zeros((1, 2, 4), np.float32),) * 2, "context": np.ones((2, 2))},
        accepted=CONTEXT,
    ),
    "EncoderDecoder.predict": Case(
        make=lambda: rf.EncoderDecoder(3, 4, hidden_size=4, attention="dot", seed=0).predict,
        valid=lambda: {
            "x": X,
            "max_length": 3,
            "beams": 2,
            "length_penalty": 0.5,
            "num_sequences": 1,
            "return_log_probs": True,
            "return_attention": True,
            "lengths": LENGTHS,
            "mask": None,
            "batch_size": 2,
        },
        accepted={"length_penalty": "0 -1 2**63", "beams": ""},
    ),
    "EncoderDecoder.predict_proba": Case(
        make=lambda: translator().predict_proba,
        valid=lambda: {
            "x": X,
            "max_length": 3,
            "lengths": LENGTHS,
            "mask": None,
            "batch_size": 2,
            "samples": None,
            "seed": None,
        },
        accepted=CERTAIN,
    ),
    "EncoderDecoder.trace": Case(
        make=lambda: translator().trace,
        valid=lambda: {"x": X, "y": IDS, "lengths": LENGTHS, "mask": None},
        accepted={"y": "None"},
    ),
    "EncoderDecoder.stream": Case(
        make=lambda: translator().stream, valid=lambda: {"batch_size": 4, "state": None, "source": X}
    ),
}

"""The rows of the table: a task, the configuration that was chosen for it, what it must reach, and what it should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bench.accuracy.agents import Practice
from bench.accuracy.task import Task
from bench.accuracy.tasks import TASKS
from bench.accuracy.training import Configuration, Forecasting

Recipe: TypeAlias = Configuration | Practice
"""How a model is made and trained."""


@dataclass(frozen=True)
class Row:
    """A row: ``goal`` is what the score must reach, ``aim`` what it should."""

    name: str
    task: Task
    goal: float
    aim: float
    configuration: Recipe


ROWS: Sequence[Row] = (
    Row(
        "vowels",
        TASKS["japanese-vowels"],
        0.965,
        0.98,
        Configuration(
            model={
                "cell": "gru",
                "hidden_size": 128,
                "output_dropout": 0.5,
                "cell_options": {"recurrent_dropout": 0.6},
            },
            epochs=80,
            batch_size=16,
            lr=1e-2,
        ),
    ),
    Row(
        "vowels-both",
        TASKS["japanese-vowels"],
        0.97,
        0.98,
        Configuration(
            model={
                "cell": "gru",
                "hidden_size": 128,
                "bidirectional": True,
                "output_dropout": 0.5,
                "cell_options": {"recurrent_dropout": 0.6},
            },
            epochs=80,
            batch_size=16,
            lr=3e-3,
        ),
    ),
    Row(
        "sines",
        TASKS["two-sines"],
        0.0029,
        0.0026,
        Configuration(
            model={"cell": "gru", "hidden_size": 32, "task": "regression"},
            epochs=20,
            batch_size=32,
            lr=1e-2,
        ),
    ),
    Row(
        "reber",
        TASKS["reber"],
        0.995,
        1.0,
        Configuration(
            model={"cell": "gru", "hidden_size": 30, "embedding": 5},
            epochs=15,
            batch_size=32,
            lr=1e-2,
        ),
    ),
    Row(
        "atis",
        TASKS["atis"],
        0.975,
        0.985,
        Configuration(
            model={
                "cell": "gru",
                "hidden_size": 64,
                "embedding": 64,
                "bidirectional": True,
                "output_dropout": 0.5,
                "cell_options": {"input_dropout": 0.3},
            },
            epochs=12,
            batch_size=32,
            lr=5e-3,
        ),
    ),
    Row(
        "dates",
        TASKS["dates"],
        0.99,
        1.0,
        Configuration(
            model={
                "cell": "gru",
                "hidden_size": 128,
                "source_embedding": 32,
                "target_embedding": 32,
                "attention": "additive",
            },
            epochs=2,
            batch_size=32,
            lr=5e-3,
        ),
    ),
    Row(
        "addition",
        TASKS["addition"],
        0.985,
        0.99,
        Configuration(
            model={"cell": "lstm", "hidden_size": 128, "source_embedding": 16, "target_embedding": 16},
            epochs=55,
            batch_size=32,
            lr=5e-3,
        ),
    ),
    Row(
        "shakespeare",
        TASKS["shakespeare"],
        1.56,
        1.48,
        Configuration(
            model={"cell": "gru", "hidden_size": 384, "embedding": 64, "output_dropout": 0.2},
            epochs=3,
            batch_size=32,
            lr=4e-3,
            fit={"tbptt": 64},
        ),
    ),
    Row(
        "names",
        TASKS["names"],
        2.01,
        1.95,
        Configuration(
            model={"cell": "gru", "hidden_size": 256, "embedding": 32, "output_dropout": 0.3},
            epochs=10,
            batch_size=64,
            lr=4e-3,
        ),
    ),
    Row(
        "adding-gru",
        TASKS["adding"],
        0.005,
        0.001,
        Configuration(
            model={"cell": "gru", "hidden_size": 64, "task": "regression"},
            epochs=1,
            batch_size=32,
            lr=5e-3,
        ),
    ),
    Row(
        "adding-lstm",
        TASKS["adding"],
        0.005,
        0.001,
        Configuration(
            model={"cell": "lstm", "hidden_size": 64, "task": "regression"},
            epochs=1,
            batch_size=32,
            lr=1e-2,
            memory=200,
        ),
    ),
    Row(
        "sunspots-yearly",
        TASKS["yearly-sunspots"],
        16.95,
        15.5,
        Forecasting(
            model={
                "window": 24,
                "hidden_size": 16,
                "likelihood": "gaussian",
                "transform": "sqrt",
                "scale": "window",
                "linear": False,
                "ensemble": 5,
                "cell_options": {"recurrent_dropout": 0.2},
            },
            epochs=60,
            batch_size=32,
            lr=1e-2,
        ),
    ),
    Row(
        "sunspots-monthly",
        TASKS["monthly-sunspots"],
        16.0,
        15.5,
        Forecasting(
            model={
                "window": 132,
                "horizon": 12,
                "hidden_size": 32,
                "transform": "sqrt",
                "scale": "window",
                "linear": False,
                "cell_options": {"recurrent_dropout": 0.3},
            },
            epochs=30,
            batch_size=32,
            lr=5e-3,
        ),
    ),
    Row(
        "co2",
        TASKS["co2"],
        0.5,
        0.42,
        Forecasting(
            model={
                "window": 52,
                "horizon": 12,
                "hidden_size": 32,
                "scale": "window",
                "linear": False,
                "calendar": "day_of_year",
            },
            epochs=30,
            batch_size=32,
            lr=5e-3,
        ),
    ),
    Row(
        "many-series",
        TASKS["many-series"],
        0.8,
        0.7,
        Forecasting(
            model={
                "window": 48,
                "horizon": 12,
                "hidden_size": 64,
                "scale": "window",
                "cell_options": {"recurrent_dropout": 0.4},
            },
            epochs=20,
            batch_size=128,
            lr=3e-3,
        ),
    ),
    Row("cartpole", TASKS["cartpole"], 450, 490, Practice(model={"hidden": 64}, steps=400_000)),
)

"""Sections about the model itself: how it learned, its configuration, and the versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast import plot
from rnnfast._ops import __version__
from rnnfast.describe import changed_options, required_arguments
from rnnfast.models import Model
from rnnfast.report.page import Html, figures, folded, paragraph, table
from rnnfast.report.pictures import Picture
from rnnfast.train import History

NO_HISTORY = (
    "Nothing is known of the training: a model's file does not keep its history. The state of the training, which "
    "rnnfast train writes beside it, does."
)


def learning(history: History) -> list[Html]:
    """Return curves of what a training reported after every epoch."""
    kept = {name: values for name, values in history.history.items() if len(values)}
    if not kept:
        return [paragraph(NO_HISTORY)]
    losses = [name for name in kept if name.endswith("loss")]
    groups: dict[str, list[str]] = {"": losses} if losses else {}
    for name in kept:
        if name not in losses:
            groups.setdefault(name.removeprefix("val_"), []).append(name)
    pictures = [_curves(history, names) for names in groups.values()]
    rows = [[name, f"{v[0]:.4g}", f"{v[-1]:.4g}", f"{min(v):.4g}", f"{max(v):.4g}"] for name, v in kept.items()]
    epochs = max(map(len, kept.values()))
    caption = f"{epochs} epochs; names with val_ are of the validation data"
    numbers = table(caption, ["quantity", "first", "last", "least", "largest"], rows, numbers=[1, 2, 3, 4])
    return [*figures(pictures), numbers]


def configuration(model: Model) -> list[Html]:
    """Return every option of a model with its value, and its parameters."""
    constructor = model._known_class() or type(model)
    given = {name: None if value == {} else value for name, value in model.config.items()}
    changed = {*changed_options(constructor, given), *required_arguments(constructor)}
    rows = [[name, _value(value), "set" if name in changed else "default"] for name, value in given.items()]
    parameters = model.parameters()
    shapes = [
        [name, " x ".join(map(str, p.value.shape)), f"{p.value.size:,}", f"{np.abs(p.value).max(initial=0):.3g}"]
        for name, p in parameters.items()
    ]
    head = ["parameter", "shape", "numbers", "largest magnitude"]
    every = table("The parameters", head, shapes, numbers=[2, 3])
    return [
        table("Every option of the model", ["option", "value", "set or default"], rows),
        folded(f"{len(parameters)} parameters, {sum(p.value.size for p in parameters.values()):,} numbers", every),
    ]


def versions(facts: Mapping[str, Any] | None = None) -> list[Html]:
    """Return the versions of what made the page, and further facts."""
    rows = {"rnnfast": __version__, "Python": platform.python_version(), "NumPy": np.__version__} | dict(facts or {})
    return [table("What made this page", ["name", "value"], [[name, str(value)] for name, value in rows.items()])]


def _curves(history: History, names: Sequence[str]) -> Picture:
    said = [f"{n} from {history[n][0]:.3g} to {history[n][-1]:.3g}" for n in names]
    return Picture(
        title=f"Learning curves: {', '.join(names)}",
        alt=f"Over {len(history[names[0]])} epochs {'; '.join(said)}.",
        draw=lambda ax: plot.learning_curves(history, list(names), ax=ax),
    )


def _value(value: Any) -> str:
    """Return a value in few words."""
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else f"{text[:199]}\N{HORIZONTAL ELLIPSIS}"

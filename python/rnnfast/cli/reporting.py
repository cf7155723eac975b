"""The command ``report``: a model's file and a file of data in, a page about both out."""

from __future__ import annotations

import argparse
import os
from typing import Any

from rnnfast.cli.command import Command
from rnnfast.cli.recipes import Recipe
from rnnfast.cli.sources import naming, to_judge
from rnnfast.cli.training import state_path
from rnnfast.data import Dataset
from rnnfast.models import load
from rnnfast.train import History
from rnnfast.training_state import TrainingState


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a file that rnnfast train wrote")
    parser.add_argument("data", metavar="DATA", help="a file like the one trained on, with targets")
    parser.add_argument("--output", default="report.html", metavar="FILE", help="the page (%(default)s)")
    parser.add_argument("--title", metavar="TEXT", help="of the page (by default the names of both files)")


def _run(options: argparse.Namespace) -> int:
    model = load(options.model)
    recipe = Recipe.of(model, options.model)
    names = (os.path.basename(path) for path in (options.model, options.data))
    title = " on ".join(names) if options.title is None else options.title
    with naming(options.data):
        x, y, data = to_judge(options.data, recipe)
        common = {"title": title, "history": _history(options.model)}
        if data is None:
            model.report(x, None, options.output, vocabulary=recipe.vocabulary, **common)
        else:
            own = _words(x, recipe, data)
            model.report(recipe.inputs(x), recipe.targets(y), options.output, **own, **common)
    print(f"{options.output}: {title}")
    return 0


def _words(x: Any, recipe: Recipe, data: Dataset) -> dict[str, Any]:
    """Return what the data call things, and the scale of the targets."""
    numbers = data.x[0].dtype.kind == "f"
    found: dict[str, Any] = {"classes": recipe.classes or recipe.labels, "target_scaler": recipe.target_scaler}
    found["features"] = data.features if numbers else None
    if not recipe.window:
        return found | {"names": data.ids}
    column = (recipe.features or []).index(str(recipe.target))
    return found | {"past": [one[:, column] for one in x]}


def _history(path: str) -> History | None:
    """Return the history of a model's training, where its state stands beside it."""
    state = state_path(path)
    if not os.path.isfile(state):
        return None
    kept = TrainingState.read(state)
    return History(kept.history, kept.initial_epoch)


REPORT = Command("write a page about a model and a file of data", _arguments, _run)

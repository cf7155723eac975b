"""The commands ``evaluate`` and ``predict``: a model's file and a file of data."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from rnnfast.atomic import replacing
from rnnfast.cli.command import Command
from rnnfast.cli.recipes import Recipe
from rnnfast.cli.sources import naming, read, to_judge
from rnnfast.data import Dataset
from rnnfast.models import load


def scores(model: Any, recipe: Recipe, x: Any, y: Any) -> dict[str, float]:
    """Return how good a model is on data in their own units.

    Of labels the loss, in nats, and the metrics of the task; of numbers the mean absolute error "mae" and the root of
    the mean squared error "rmse", in the units of the target; of a text the loss in nats a character.
    """
    if recipe.vocabulary is not None:
        found: dict[str, float] = model.evaluate(x)
        return found
    if recipe.task != "regression":
        found = model.evaluate(recipe.inputs(x), y)
        return found
    predicted = recipe.answers(model.predict(recipe.inputs(x)))
    errors = np.concatenate([np.asarray(each) for each in predicted]) - np.concatenate([np.asarray(each) for each in y])
    return {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt((errors**2).mean()))}


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a file that rnnfast train wrote")
    parser.add_argument("data", metavar="DATA", help="a file like the one trained on, with targets")


def _evaluate(options: argparse.Namespace) -> int:
    model = load(options.model)
    recipe = Recipe.of(model, options.model)
    with naming(options.data):
        found = scores(model, recipe, *to_judge(options.data, recipe)[:2])
    for name, value in found.items():
        print(f"{name}: {value:.6g}")
    return 0


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a file that rnnfast train wrote")
    parser.add_argument("data", metavar="DATA", help="a file like the one trained on; targets are not read")
    parser.add_argument("--output", metavar="FILE", help="a CSV file of predictions (by default standard output)")
    parser.add_argument("--probabilities", action="store_true", help="also those of all classes")


def _predict(options: argparse.Namespace) -> int:
    model = load(options.model)
    recipe = Recipe.of(model, options.model)
    if recipe.vocabulary is not None:
        raise ValueError(f"{options.model}: a model that predicts is required, got one that writes: rnnfast generate")
    if options.probabilities and recipe.task == "regression":
        raise ValueError(f"{options.model}: a classification is required for --probabilities, got a {recipe.task}")
    text = io.StringIO()
    with naming(options.data):
        data = read(options.data, recipe, labelled=False)
        csv.writer(text, lineterminator="\n").writerows(_rows(model, recipe, data, options))
    if options.output is None:
        sys.stdout.write(text.getvalue())
    else:
        with replacing(options.output) as file:
            file.write(text.getvalue().encode())
        print(f"{options.output}: predictions of {options.data}")
    return 0


def _rows(model: Any, recipe: Recipe, data: Dataset, options: argparse.Namespace) -> Iterator[list[Any]]:
    """Yield the header and the rows: sequence, step where there are several, prediction, probabilities."""
    x = _last_windows(data, recipe, options.data) if recipe.window else data.x
    inputs = recipe.inputs(x)
    found = recipe.answers(model.predict(inputs))
    sure = model.predict_proba(inputs) if options.probabilities else None
    several = recipe.aligned or bool(recipe.window)
    width = 1 if recipe.classes is not None or recipe.window else int(np.shape(found[0])[-1])
    title = recipe.target or "prediction"
    titles = recipe.labels or ([title] if width == 1 else [f"{title}_{k}" for k in range(width)])
    more = [f"p({label})" for label in recipe.labels or recipe.classes or ()] if sure is not None else []
    yield [recipe.id or "sequence", *(["step"] if several else []), *titles, *more]
    for n, name in enumerate(data.ids):
        one = np.asarray(found[n]).reshape(-1, width) if several else np.asarray(found[n]).reshape(1, width)
        each = None if sure is None else np.asarray(sure[n]).reshape(len(one), -1)
        for step, values in enumerate(one):
            answer = [recipe.classes[int(values[0])]] if recipe.classes is not None else [f"{v:.9g}" for v in values]
            probabilities = [] if each is None else [f"{p:.6g}" for p in each[step]]
            yield [name, *([step + 1] if several else []), *answer, *probabilities]


def _last_windows(data: Dataset, recipe: Recipe, path: str) -> list[Any]:
    """Return the last window of each series: what comes behind it is not known."""
    assert recipe.window is not None
    for name, one in zip(data.ids, data.x, strict=True):
        if len(one) < recipe.window:
            wanted = f"at least {recipe.window} steps, those of the window, are required"
            raise ValueError(f"{path}: sequence {name!r}: {wanted}, got {len(one)}")
    return [one[-recipe.window :] for one in data.x]


EVALUATE = Command("judge a model by a file of data", _evaluate_arguments, _evaluate)
PREDICT = Command("write a model's predictions for a file of data as CSV", _predict_arguments, _predict)

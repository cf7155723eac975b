"""The command ``train``: a file of data in, a file of a model out."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from rnnfast.callbacks import Checkpoint, EarlyStopping
from rnnfast.cli.command import Command, above_0, at_least_0, at_least_1, character, names, share
from rnnfast.cli.judging import scores
from rnnfast.cli.recipes import FORMATS, TASKS, Recipe
from rnnfast.cli.sources import encoded, forecasts, inferred, naming, read, read_text
from rnnfast.data import Dataset, split_by_time, split_sequences
from rnnfast.models import ManyToMany, ManyToOne, OneToMany, load
from rnnfast.models.config import CELLS
from rnnfast.text import Vocabulary
from rnnfast.train import Callback

DATA = ("format", "task", "target", "id", "time", "features", "delimiter", "window", "horizon")
MODEL = {"cell": "gru", "hidden_size": 64, "num_layers": 1, "bidirectional": False, "dropout": 0.0}
TRAINING = {"batch_size": 32, "lr": 3e-3, "clip_norm": 1.0, "validation": 0.1, "seed": 0, "patience": None}


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data", metavar="DATA", help="a .csv, .tsv, .ts or text file, also as .gz, or an .npz file")
    add("--output", default="model.safetensors", metavar="FILE", help="the model's file (%(default)s)")
    add("--resume", action="store_true", help="go on with the training of the model's file, with its options")
    columns = parser.add_argument_group("what the data are; by default it is inferred, and said")
    add = columns.add_argument
    add("--format", choices=FORMATS, help="long: a row a step; wide: a row a sequence")
    add("--task", choices=TASKS, help="what is predicted: a label, several labels (0 or 1 each), or a number")
    add("--target", metavar="COLUMN", help="what to predict; of a multilabel A,B,...")
    add("--id", metavar="COLUMN", help="names the sequence of a row")
    add("--time", metavar="COLUMN", help="sorts the steps of a sequence")
    add("--features", type=names, metavar="A,B,...", help="the columns that the model reads")
    add("--delimiter", type=character, metavar="C", help="between the cells of a table")
    add("--window", type=at_least_1, metavar="STEPS", help="forecast the target from so many steps")
    add("--horizon", type=at_least_1, metavar="STEPS", help="so many steps ahead (1)")
    model = parser.add_argument_group("the model")
    add = model.add_argument
    add("--cell", choices=list(CELLS), help=_default("", "cell"))
    add("--hidden-size", type=at_least_1, metavar="H", help=_default("units of a layer", "hidden_size"))
    add("--num-layers", type=at_least_1, metavar="L", help=_default("layers", "num_layers"))
    add("--bidirectional", action="store_true", default=None, help="read each sequence from its end, too")
    add("--dropout", type=share, metavar="P", help=_default("between layers, and of what the head reads", "dropout"))
    training = parser.add_argument_group("the training")
    add = training.add_argument
    add("--epochs", type=at_least_0, default=20, help="passes over the data (%(default)s)")
    add("--batch-size", type=at_least_1, metavar="N", help=_default("sequences in a step", "batch_size"))
    add("--lr", type=above_0, help=_default("learning rate of Adam", "lr"))
    add("--clip-norm", type=above_0, metavar="NORM", help=_default("largest norm of the gradient", "clip_norm"))
    add("--validation", type=share, metavar="SHARE", help=_default("held out to judge with", "validation"))
    add("--patience", type=at_least_1, metavar="EPOCHS", help="stop after so many without a lower loss; keep the best")
    add("--seed", type=at_least_0, help=_default("of initial values, split and shuffling", "seed"))
    add("--no-progress", action="store_true", help="without a progress bar")


def _default(text: str, name: str) -> str:
    return f"{text} ({(MODEL | TRAINING)[name]})".strip()


def _complete(options: argparse.Namespace) -> None:
    """Give options that a new training has their defaults; refuse them where a training goes on."""
    for name in (*DATA, *MODEL, *TRAINING) if options.resume else ():
        if getattr(options, name) is not None:
            options.refuse(f"--resume: no --{name.replace('_', '-')} is required beside it: the model's file has it")
    for name, default in (MODEL | TRAINING).items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    if options.horizon and not options.window:
        options.refuse("--horizon: --window, the steps that are read, is required beside it")
    if options.window and options.task == "multilabel":
        options.refuse("--window: a --task other than multilabel is required beside it: a forecast is a number")
    options.horizon = options.horizon or 1


def _run(options: argparse.Namespace) -> int:
    _complete(options)
    state = state_path(options.output)
    if not os.path.isdir(os.path.dirname(options.output) or "."):
        raise ValueError(f"--output: a file in a folder that exists is required, got {options.output}")
    if options.resume:
        model = load(options.output)
        recipe, data = Recipe.of(model, options.output), None
        if recipe.format != "text":
            data = read(options.data, recipe, labelled=True)
    else:
        recipe, data = inferred(options.data, options, print)
        recipe.training = {name: getattr(options, name) for name in TRAINING}
        model = None
    with naming(options.data):
        parts = _of_text(options.data, recipe) if data is None else _of_sequences(data, recipe, learns=model is None)
        if model is None:
            model = _model(recipe, parts, options)
            recipe.keep_in(model)
        title, *_, size = model.summary().splitlines()
        print(f"{title}, {size}")
        _fit(model, recipe, parts, options, state)
    print(f"model: {options.output}; training state: {state}")
    return 0


def state_path(output: str) -> str:
    """Return the file beside the model's in which the state of its training stands."""
    path = Path(output)
    return os.fspath(path.with_name(f"{path.stem}.state{path.suffix}"))


def _callbacks(output: str, state: str, patience: int | None, *, judged: bool) -> list[Callback]:
    """Return what writes the model after every epoch, or every best one, and the state of the training beside it."""
    if patience is None:
        return [Checkpoint(output, training=False), Checkpoint(state)]
    watched = "val_loss" if judged else "loss"
    best = Checkpoint(output, monitor=watched, training=False)
    return [best, EarlyStopping(watched, patience=patience), Checkpoint(state)]


Parts = tuple[Any, Any, Any, Any]
"""Inputs and targets to train on, and to judge with, in the units of the data; None where there are none."""


def _of_text(path: str, recipe: Recipe) -> Parts:
    """Return the ids of a text; the model learns its characters."""
    text = read_text(path)
    if recipe.vocabulary is None:
        recipe.vocabulary = Vocabulary(text)
        print(f"{path}: {len(text):,} characters, {len(recipe.vocabulary)} different ones: a model that writes")
    ids = encoded(path, text, recipe.vocabulary)
    kept = len(ids) - round(len(ids) * recipe.training["validation"])
    if min(kept, len(ids)) < 2:
        raise ValueError(f"{path}: at least 2 characters to train on are required, got {kept}")
    return ids[:kept], None, ids[kept:] if len(ids) - kept > 1 else None, None


def _of_sequences(data: Dataset, recipe: Recipe, *, learns: bool) -> Parts:
    """Return sequences and targets; a new recipe learns the scales of what is trained on."""
    held = recipe.training["validation"]
    if recipe.window:
        return _of_series(data, recipe, held, learns=learns)
    x, y, x_test, y_test = data.x, data.y, None, None
    if held and len(x) == 1 and recipe.aligned:
        (x, x_test), (y, y_test) = (split_by_time(each, test=held) for each in (x, y))
    elif held and len(x) > 1:
        x, x_test, y, y_test = split_sequences(x, y, test=held, seed=recipe.training["seed"])
    if learns:
        recipe.learn_scales(x, y)
    return x, y, x_test, y_test


def _of_series(data: Dataset, recipe: Recipe, held: float, *, learns: bool) -> Parts:
    """Return windows of the past, and windows whose targets are the future."""
    assert recipe.window is not None
    past, future = split_by_time(data.x, test=held) if held else (data.x, None)
    if future is not None:
        # The windows of the first steps to judge with begin in the past.
        future = [whole[max(len(one) - recipe.window, 0) :] for whole, one in zip(data.x, past, strict=True)]
    (x, y), (x_test, y_test) = forecasts(past, recipe), forecasts(future, recipe) if future else (None, None)
    if learns:
        recipe.learn_scales(past, None)
    return x, y, x_test, y_test


def _model(recipe: Recipe, parts: Parts, options: argparse.Namespace) -> Any:
    """Return a new model that fits the data."""
    common: dict[str, Any] = {
        "cell": options.cell,
        "hidden_size": options.hidden_size,
        "num_layers": options.num_layers,
        "dropout": options.dropout if options.num_layers > 1 else 0.0,
        "output_dropout": options.dropout,
        "seed": options.seed,
    }
    if recipe.vocabulary is not None:
        if options.bidirectional:
            raise ValueError(f"{options.data}: a model that writes cannot read from the end: no --bidirectional")
        return OneToMany(len(recipe.vocabulary), **common)
    x, y, x_test, _ = parts
    ids = x[0].dtype.kind == "i"
    inputs = 1 + max(int(one.max(initial=0)) for one in (*x, *(x_test or ()))) if ids else x[0].shape[1]
    outputs = len(recipe.classes) if recipe.classes is not None else y[0].shape[-1]
    kind = ManyToMany if recipe.aligned else ManyToOne
    embedding = min(options.hidden_size, 32) if ids else None
    chosen = {"task": recipe.task, "embedding": embedding, "bidirectional": options.bidirectional}
    return kind(inputs, outputs, **chosen, **common)


def _fit(model: Any, recipe: Recipe, parts: Parts, options: argparse.Namespace, state: str) -> None:
    """Train, and print how good the model is."""
    x, y, x_test, y_test = parts
    kept = recipe.training
    more: dict[str, Any] = {"batch_size": kept["batch_size"], "lr": kept["lr"], "clip_norm": kept["clip_norm"]}
    more |= {"seed": kept["seed"], "epochs": options.epochs, "progress": not options.no_progress}
    more["callbacks"] = _callbacks(options.output, state, kept["patience"], judged=x_test is not None)
    more["resume"] = state if options.resume else None
    if recipe.vocabulary is not None:
        more["batch_size"] = max(1, min(kept["batch_size"], (len(x) - 1) // 64))
        history = model.fit(x, validation_data=x_test, **more)
    else:
        judged = None if x_test is None else (recipe.inputs(x_test), recipe.targets(y_test))
        history = model.fit(recipe.inputs(x), recipe.targets(y), validation_data=judged, **more)
    if not options.epochs:
        model.save(options.output)
    losses = history.history.get("loss")
    if losses:
        print(f"training loss: {losses[0]:.4g} in the first epoch, {losses[-1]:.4g} in the last")
    if x_test is not None:
        for name, value in scores(model, recipe, x_test, y_test).items():
            print(f"held-out {name}: {value:.4g}")


TRAIN = Command("train a model on a file of sequences or a text", _arguments, _run)

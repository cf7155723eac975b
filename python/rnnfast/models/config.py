"""The configuration that models of one layer stack share, and what is built from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.losses import TASKS
from rnnfast.models.attention import KINDS
from rnnfast.models.parts import Head
from rnnfast.models.stem import CELLS, Stem, cell_class, cell_name

DType = np.dtype[Any]
Config = dict[str, Any]

SIZES = {"input_size", "output_size", "source_size", "target_size", "hidden_size", "num_layers"}
OPTIONAL_SIZES = {"embedding", "context_size", "source_embedding", "target_embedding"}
# What JSON holds, with NumPy's forms of it; bool before int, of which it is a kind.
PLAIN: dict[type, tuple[type, ...]] = {bool: (np.bool_,), int: (np.integer,), float: (np.floating,), str: ()}

# Options of a layer that a model chooses, and what stands for them.
OWNED = {
    "input_size": "the model's own argument input_size or embedding",
    **{
        name: f"the model's own argument {name}"
        for name in ("hidden_size", "num_layers", "bidirectional", "dropout", "dtype", "seed")
    },
    "time_major": "a model reads arrays batch-first, (N, T, C)",
}


def checked(config: Mapping[str, Any]) -> Config:
    """Return a constructor's arguments as JSON can hold them, sizes and dtype checked."""
    known = dict(config)
    for name in sorted(SIZES & known.keys()):
        known[name] = checks.as_size(name, known[name])
    for name in sorted(OPTIONAL_SIZES & known.keys()):
        known[name] = None if known[name] is None else checks.as_size(name, known[name])
    for name in ("start", "stop"):
        if known.get(name) is not None:
            known[name] = checks.as_integer(name, known[name])
    if known.get("attention") is not None:
        known["attention"] = checks.as_choice("attention", known["attention"], KINDS, others=" or None")
    known["bidirectional"] = checks.as_flag("bidirectional", known["bidirectional"])
    known["cell"] = cell_name(known["cell"])
    for name in ("dropout", "output_dropout"):
        known[name] = checks.as_probability(name, known[name])
    known["task"] = checks.as_choice("task", known["task"], TASKS)
    known["dtype"] = checks.as_dtype(known["dtype"]).name
    known["seed"] = checks.as_seed(known["seed"])
    known["cell_options"] = checked_cell_options(known)
    return {name: plain(name, value) for name, value in known.items()}


def plain(name: str, value: Any) -> Any:
    """Return an option in the form that it has after a model's file, or TypeError where a file cannot hold it.

    NumPy's scalars become Python's, and lists become tuples.

    Examples
    --------
    >>> plain("zoneout", [np.float32(0.5), 0])
    (0.5, 0)
    """
    if value is None:
        return None
    for kind, others in PLAIN.items():
        if isinstance(value, (kind, *others)):
            return kind(value)
    if isinstance(value, list | tuple):
        return tuple([plain(f"{name}[{i}]", each) for i, each in enumerate(value)])
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {str(key): plain(f"{name}[{key!r}]", each) for key, each in value.items()}
    kinds = "None, bool, int, float, str, and lists or dicts by str of them"
    raise TypeError(f"{name}: what a model's file can hold is required ({kinds}), got {type(value).__name__}")


def checked_cell_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the cell, of which none may be the model's own and all must be the cell's."""
    given = config["cell_options"]
    if given is None:
        return {}
    given = checks.as_mapping("cell_options", given)
    cls = cell_class(config["cell"])
    accepted = inspect.signature(cls).parameters
    for name in given:
        if cls in CELLS.values() and name in OWNED:
            wanted = f"options of the layer alone are required ({name}: {OWNED[name]})"
            raise ValueError(f"cell_options: {wanted}, got {name!r}")
        if name not in accepted and not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
            near = checks.suggestion(name, set(accepted) - OWNED.keys())
            raise TypeError(f"cell_options: an option of {cls.__name__} is required, got {name!r}{near}")
    return dict(given)


def build(config: Config, *, one_hot: bool = False) -> tuple[Stem, Head, np.random.Generator]:
    """Return stem, head and the generator for what else has initial values."""
    rng = np.random.default_rng(config["seed"])
    stem = build_stem(
        config, config["input_size"], rng, embedding=config["embedding"], one_hot=one_hot,
        bidirectional=config["bidirectional"],
    )  # fmt: skip
    head = Head(stem.size, config["output_size"], stem.dtype, rng, dropout=config["output_dropout"])
    return stem, head, rng


def build_stem(
    config: Config,
    input_size: int,
    rng: np.random.Generator,
    *,
    embedding: int | None,
    one_hot: bool,
    bidirectional: bool,
    named: str = "input_size",
) -> Stem:
    """Return the stem whose layers the configuration describes."""
    return Stem(
        input_size,
        cell=config["cell"],
        hidden_size=config["hidden_size"],
        num_layers=config["num_layers"],
        bidirectional=bidirectional,
        dropout=config["dropout"],
        cell_options=config["cell_options"],
        embedding=embedding,
        one_hot=one_hot,
        dtype=np.dtype(config["dtype"]),
        rng=rng,
        named=named,
    )

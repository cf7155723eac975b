"""The configuration that models of one layer stack share, and what is built from it."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rnnfast.models.parts import Affine, as_int, as_size
from rnnfast.models.stem import Stem, cell_name

DType = np.dtype[Any]
Config = dict[str, Any]
H = TypeVar("H", bound=Affine)

SIZES = {"input_size", "output_size", "source_size", "target_size", "hidden_size", "num_layers"}
OPTIONAL_SIZES = {"embedding", "context_size", "source_embedding", "target_embedding"}
# What JSON holds, with NumPy's forms of it; bool before int, of which it is a kind.
PLAIN: dict[type, tuple[type, ...]] = {bool: (np.bool_,), int: (np.integer,), float: (np.floating,), str: ()}


def checked(config: Mapping[str, Any]) -> Config:
    """Return a constructor's arguments as JSON can hold them, sizes and dtype checked."""
    known = dict(config)
    for name in sorted(SIZES & known.keys()):
        known[name] = as_size(name, known[name])
    for name in sorted(OPTIONAL_SIZES & known.keys()):
        known[name] = None if known[name] is None else as_size(name, known[name])
    for name in ("start", "stop"):
        if known.get(name) is not None:
            known[name] = as_int(name, known[name])
    if not isinstance(known["bidirectional"], bool | np.bool_):
        raise TypeError(f"bidirectional: True or False required, got {known['bidirectional']!r}")
    known["bidirectional"] = bool(known["bidirectional"])
    known["cell"] = cell_name(known["cell"])
    known["dropout"] = float(known["dropout"])
    known["dtype"] = as_dtype(known["dtype"]).name
    known["seed"] = None if known["seed"] is None else operator.index(known["seed"])
    known["cell_options"] = known["cell_options"] or {}
    if not isinstance(known["cell_options"], Mapping):
        raise TypeError(f"cell_options: a dict is required, got {type(known['cell_options']).__name__}")
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


def as_dtype(dtype: npt.DTypeLike) -> DType:
    """Return float32 or float64; TypeError for another one."""
    found = np.dtype(dtype)
    if found not in (np.float32, np.float64):
        raise TypeError(f"dtype: float32 or float64 required, got {found}")
    return found


def build(config: Config, head: type[H], *, one_hot: bool = False) -> tuple[Stem, H, np.random.Generator]:
    """Return stem, head and the generator for what else has initial values."""
    rng = np.random.default_rng(config["seed"])
    stem = build_stem(
        config, config["input_size"], rng, embedding=config["embedding"], one_hot=one_hot,
        bidirectional=config["bidirectional"],
    )  # fmt: skip
    return stem, head(stem.size, config["output_size"], stem.dtype, rng), rng


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

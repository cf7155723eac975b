"""The configuration that models of one layer stack share, and what is built from it."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rnnfast.models.parts import Affine, as_size
from rnnfast.models.stem import Stem

DType = np.dtype[Any]
Config = dict[str, Any]
H = TypeVar("H", bound=Affine)


def checked(config: Mapping[str, Any]) -> Config:
    """Return a constructor's arguments as JSON can hold them, sizes and dtype checked."""
    known = dict(config)
    for name in ("input_size", "output_size", "hidden_size", "num_layers"):
        known[name] = as_size(name, known[name])
    for name in ("embedding", "context_size"):
        if known.get(name) is not None:
            known[name] = as_size(name, known[name])
    if not isinstance(known["bidirectional"], bool | np.bool_):
        raise TypeError(f"bidirectional: True or False required, got {known['bidirectional']!r}")
    known["bidirectional"] = bool(known["bidirectional"])
    known["dropout"] = float(known["dropout"])
    known["dtype"] = as_dtype(known["dtype"]).name
    known["seed"] = None if known["seed"] is None else operator.index(known["seed"])
    known["cell_options"] = dict(known["cell_options"] or {})
    try:
        json.dumps(known)
    except TypeError as error:
        raise TypeError(f"cell_options: what JSON can hold required, got another thing: {error}") from None
    return known


def as_dtype(dtype: npt.DTypeLike) -> DType:
    """Return float32 or float64; TypeError for another one."""
    found = np.dtype(dtype)
    if found not in (np.float32, np.float64):
        raise TypeError(f"dtype: float32 or float64 required, got {found}")
    return found


def build(config: Config, head: type[H], *, one_hot: bool = False) -> tuple[Stem, H, np.random.Generator]:
    """Return stem, head and the generator for what else has initial values."""
    rng, dtype = np.random.default_rng(config["seed"]), np.dtype(config["dtype"])
    stem = Stem(
        config["input_size"],
        cell=config["cell"],
        hidden_size=config["hidden_size"],
        num_layers=config["num_layers"],
        bidirectional=config["bidirectional"],
        dropout=config["dropout"],
        cell_options=config["cell_options"],
        embedding=config["embedding"],
        one_hot=one_hot,
        dtype=dtype,
        rng=rng,
    )
    return stem, head(stem.size, config["output_size"], dtype, rng), rng

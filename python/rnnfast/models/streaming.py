"""Streams of models: copies that are fed step by step."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.arrays import Array, DType
from rnnfast.layers import State, StateLike, Stream, Surroundings
from rnnfast.models.backbone import Backbone, Input, unit_vectors
from rnnfast.models.base import Heads


def stream_of(
    backbone: Backbone, heads: Heads, batch_size: int, state: StateLike, start: State | None = None
) -> Stream:
    """Return a stream of a backbone and its heads.

    Parameters
    ----------
    backbone, heads
        ``step(x)`` returns ``W h(t) + b``, those of several heads side by side.
    batch_size : int
        Sequences N, which advance together.
    state
        Where they begin.
    start
        Where they begin instead, also after every reset.
    """
    if backbone.custom:
        raise ValueError("stream: a built-in cell is required, a custom one has no stream")
    part = backbone.input
    table = part.table.copy() if isinstance(part.table, np.ndarray) else part.table
    step = partial(_step, batch=batch_size, width=part.size, dtype=backbone.dtype)
    weight, bias = heads.side_by_side()
    return Stream(
        backbone.rnn,
        batch_size,
        state,
        start=start,
        surroundings=Surroundings(
            step=step if table is None else partial(_step_ids, batch=batch_size),
            block=partial(_block, batch=batch_size, part=part, table=table, dtype=backbone.dtype),
            table=table,
            head=weight,
            bias=bias,
        ),
    )


def _block(block: npt.ArrayLike, batch: int, part: Input, table: Array | int | None, dtype: DType) -> Array:
    """Return the layer's input (N, T, C) of a block of reals or ids."""
    given = checks.as_array("block", block)
    values = part.sequences(given, None, "block").padded()
    if len(values) != batch:
        axes = f"(N, T, C) with N = {batch}, C = {part.size}" if table is None else f"(N, T) with N = {batch}"
        raise ValueError(f"block: shape {axes} is required, got {given.shape}")
    if isinstance(table, int):
        return unit_vectors(values, table, dtype)
    return values if table is None else table[values]


def _step(x: Any, batch: int, width: int, dtype: DType) -> Array:
    return _ops.step_array(checks.as_reals("x", x, dtype), sequences=batch, width=width, dtype=dtype)


def _step_ids(x: Any, batch: int) -> Array:
    ids = checks.as_array("x", x)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"x: integer ids are required, got dtype {ids.dtype}")
    if ids.shape != (batch,) and (ids.shape != () or batch != 1):
        one = ", or one integer," if batch == 1 else ""
        raise ValueError(f"x: ids (N,) = ({batch},){one} is required, got shape {ids.shape}")
    return ids.astype(np.int64)

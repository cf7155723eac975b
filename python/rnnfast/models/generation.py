"""Sequences written by a model that reads its own elements: one call of the engine for all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops
from rnnfast.data import as_one
from rnnfast.losses import Task
from rnnfast.models.parts import Affine
from rnnfast.models.stem import Stem
from rnnfast.models.stepping import write_by_steps
from rnnfast.sampling import WritingOptions

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

ELEMENTS = {"classification": "id", "multilabel": "labels", "regression": "vector"}


def write_on(
    stem: Stem,
    head: Affine,
    task: Task,
    state: Any,
    options: WritingOptions,
    prefix: Int64 | None = None,
    attention: Any = None,
) -> tuple[Array, Int64, Float64]:
    """Let a model run on its own elements from the states that prompts have left.

    Parameters
    ----------
    stem, head, task
        ``outputs (R, K) = head(last h of stem)``, and what they mean.
    state
        Of R sequences.
    options : WritingOptions
    prefix : int64 (R, P) or None
        Ids forced at the start; below 0 they are free.
    attention : WriterAttention, function or None
        What stands between h and the head; of a custom cell a function of h (R, 1, H).

    Returns
    -------
    elements : ndarray (R, length) or (R, length, K)
    counts : int64 (R,)
        Elements of each sequence before its stop.
    log_p : float64 (R, length)
        Of ids: the model's own, before temperature and restrictions.
    """
    if stem.custom:
        return write_by_steps(stem, head, task, state, options, prefix, attention)
    writer = _ops.Writer(
        layers=stem.rnn.packed(), table=stem.input.table, head=head.weight.value, bias=head.bias.value,
        attention=attention,
    )  # fmt: skip
    if options.beams is not None:
        return _search(stem, writer, state, options, prefix)
    return _ops.generate(
        writer, state, element=ELEMENTS[task.name], length=options.length, stop=options.stop,
        temperature=options.temperature, top_k=options.top_k, top_p=options.top_p, greedy=options.greedy,
        seed=options.key(), prefix=prefix, log_probs=options.return_log_probs,
    )  # fmt: skip


def _search(
    stem: Stem, writer: _ops.Writer, state: Any, options: WritingOptions, prefix: Int64 | None
) -> tuple[Int64, Int64, Float64]:
    """Search behind the prefix, which is read as a part of the prompt."""
    assert options.beams is not None
    start, forced = state, 0 if prefix is None else prefix.shape[1]
    if prefix is not None and forced:
        _, start = stem.infer(prefix, state, None)
    ids, counts, _ = _ops.beam_search(
        writer, start, length=options.length - forced, beams=options.beams, stop=options.stop,
        length_penalty=options.length_penalty,
    )  # fmt: skip
    if prefix is not None:
        ids = np.concatenate([prefix, ids], axis=1)
    log_p = np.zeros(ids.shape)
    if options.return_log_probs:
        _, _, log_p = _ops.generate(writer, state, element="id", length=options.length, prefix=ids, log_probs=True)
    return ids, counts + forced, log_p


def as_prefix(prefix: Any, rows: int, stem: Stem, task: Task, size: int, options: WritingOptions) -> Int64 | None:
    """Return forced ids (rows, P), -1 behind the end of a short one, after checking them.

    ``prefix`` is one sequence of ids 0..size-1 for all rows, or one for each.
    """
    if prefix is None:
        return None
    if task.name != "classification":
        raise ValueError(f"prefix: None is required for task={task.name!r}, got one")
    one = as_one(prefix, None, "prefix")
    given = stem.input.sequences(prefix if one is None else one[None], None, "prefix")
    if len(given) == 0:
        return None
    if one is None and len(given) != rows:
        raise ValueError(f"prefix: one sequence of ids or N = {rows} of them is required, got {len(given)}")
    index = np.arange(rows, dtype=np.int64) if one is None else np.zeros(rows, np.int64)
    ids, lengths = given.take(index)
    if ids.max(initial=0) >= size:
        raise ValueError(f"prefix: ids 0..{size - 1} (output_size = {size}) are required, got {ids.max()}")
    if ids.shape[1] > options.length:
        raise ValueError(f"prefix: at most length = {options.length} ids are required, got {ids.shape[1]}")
    if lengths is not None:
        if options.beams is not None:
            raise ValueError(
                f"prefix: ids of one length are required with beams, got {lengths.min()} and {lengths.max()}"
            )
        ids = np.where(np.arange(ids.shape[1]) < lengths[:, None], ids, -1)
    if options.stop is not None and (ids == options.stop).any():
        raise ValueError(f"prefix: ids other than stop = {options.stop} are required, got it")
    return ids


def repeat_state(state: Any, copies: int) -> Any:
    """Return the states (L, N, H) of N sequences with each of them ``copies`` times."""
    if isinstance(state, tuple):
        return tuple(np.repeat(part, copies, axis=1) for part in state)
    return np.repeat(state, copies, axis=1)

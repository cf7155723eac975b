"""Sequences written by a model whose cell the engine does not know: step by step, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.losses import Task
from rnnfast.models.parts import Affine
from rnnfast.models.stem import Stem
from rnnfast.sampling import WritingOptions

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


def write_by_steps(
    stem: Stem,
    head: Affine,
    task: Task,
    state: Any,
    options: WritingOptions,
    prefix: Int64 | None,
    attend: Callable[[Array], Array] | None,
) -> tuple[Array, Int64, Float64]:
    """Do what ``write_on`` does; ``attend`` makes of h (R, 1, H) what the head reads.

    Raises
    ------
    ValueError
        With ``beams``.
    """
    if options.beams is not None:
        raise ValueError(f"beams: None is required with a custom cell, got {options.beams}")
    ids, length = task.name == "classification", options.length
    h = stem.last_h(state)[:, None]
    R, K = len(h), head.weight.shape[0]
    key = options.key()
    u = np.stack([np.random.default_rng([key, r]).random((length, 1 if ids else K)) for r in range(R)], axis=1)
    elements = np.zeros((R, length) if ids else (R, length, K), np.int64 if ids else stem.dtype)
    counts, log_p = np.full(R, length), np.zeros((R, length if options.return_log_probs else 0))
    for t in range(length):
        read = h if attend is None else attend(h)
        outputs = head.forward(np.ascontiguousarray(read[:, 0]))
        elements[:, t] = _chosen(task, outputs, options, u[t])
        if prefix is not None and t < prefix.shape[1]:
            elements[:, t] = np.where(prefix[:, t] >= 0, prefix[:, t], elements[:, t])
        if options.return_log_probs:
            log_p[:, t] = np.log(task.probabilities(outputs)[np.arange(R), elements[:, t]])
        if options.stop is not None:
            counts = np.where((counts == length) & (elements[:, t] == options.stop), t, counts)
            if (counts < length).all():
                break
        h, state = stem.infer(elements[:, t : t + 1], state, None)
    return elements, counts, log_p


def _chosen(task: Task, outputs: Array, options: WritingOptions, u: Float64) -> Array:
    """Return the next element of every row: ids (R,), or labels or numbers (R, K); u is (R, 1) or (R, K)."""
    if options.greedy or task.name == "regression":
        return task.decide(outputs)
    p = task.probabilities(outputs / outputs.dtype.type(options.temperature)).astype(np.float64)
    if task.name == "multilabel":
        return u < p
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    if options.top_k is not None:
        ranked[:, options.top_k :] = 0
    if options.top_p is not None:
        ahead = np.cumsum(ranked, axis=1) - ranked
        ranked[ahead >= options.top_p * ranked.sum(axis=1, keepdims=True)] = 0
    sums = np.cumsum(ranked, axis=1)
    place = np.argmax(sums > u * sums[:, -1:], axis=1)
    return np.take_along_axis(order, place[:, None], axis=1)[:, 0]

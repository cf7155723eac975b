"""The loop that writes: predict the next element, append it, repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.losses import Task
from rnnfast.models.parts import Affine
from rnnfast.models.stem import Stem
from rnnfast.sampling import Sampler

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]
Chooser = Callable[[Array], Array]


def chooser(task: Task, sampler: Sampler, seed: int | None) -> Chooser:
    """Return what makes next elements of outputs (R, K).

    Ids are drawn by ``sampler``; labels one by one, with probability ``sigmoid(output / temperature)``; real
    vectors are the outputs themselves.
    """
    rng = np.random.default_rng(seed)
    if task.name == "classification":
        return lambda outputs: sampler(outputs, rng)
    for option in ("top_k", "top_p"):
        if getattr(sampler, option) is not None:
            raise ValueError(f"{option}: None required for task={task.name!r}, got {getattr(sampler, option)}")
    if task.name == "regression" or sampler.greedy:
        return task.decide
    return lambda outputs: rng.random(outputs.shape) < task.probabilities(outputs / sampler.temperature)


def roll_out(
    stem: Stem,
    head: Affine,
    choose: Chooser,
    inputs: Array,
    lengths: Array | None,
    state: Any,
    *,
    length: int,
    stop: int | None = None,
) -> tuple[Array, Int64]:
    """Read prompts, then let the model run on its own elements.

    Parameters
    ----------
    stem, head
        ``outputs (R, K) = head(last h of stem)``.
    choose : callable
        Outputs (R, K) to the next elements, ids (R,) or vectors (R, C).
    inputs, lengths, state
        R prompts, padded to one array, and the states they start from.
    length : int
        Elements to add.
    stop : int or None
        The id that ends a sequence; the loop ends with the last sequence.

    Returns
    -------
    elements : ndarray (R, length) or (R, length, C)
    counts : int64 (R,)
        Elements of each sequence before its stop.
    """
    rows = len(inputs)
    elements = np.zeros((rows, length, *inputs.shape[2:]), inputs.dtype)
    counts = np.full(rows, length, np.int64)
    _, state = stem.infer(inputs, state, lengths)
    for t in range(length):
        new = choose(head.forward(stem.last_h(state)))
        elements[:, t] = new
        if stop is not None:
            counts[(new == stop) & (counts == length)] = t
            if (counts <= t).all():
                break
        if t + 1 < length:
            _, state = stem.infer(np.ascontiguousarray(elements[:, t : t + 1]), state, None)
    return elements, counts

"""Weights of target elements: those of users, of classes, and 0 for what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array, DType
from rnnfast.data.batches import AlignedData, VectorData, shared
from rnnfast.data.container import Sequences
from rnnfast.data.sequences import as_one, step_values
from rnnfast.data.sources import BatchSource

D = TypeVar("D", bound=VectorData | AlignedData | BatchSource)
BALANCED = "balanced"


class Weighed(Protocol):
    """The part of a task that knows which targets count."""

    name: ClassVar[str]
    weighs: bool
    weighs_elements: bool
    ignores: bool

    @property
    def ids(self) -> bool: ...  # noqa: D102

    def counted(  # noqa: D102
        self, targets: Array, weights: Array | None, dtype: DType, *, finite: bool, name: str
    ) -> tuple[Array, Array | None]: ...


def weights_by_head(given: Any, heads: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Return what messages call the weights of each head, and the weights: those of a dict, or the same for all.

    Raises
    ------
    TypeError
        A dict for a single head.
    ValueError
        A dict with another name than those of the heads.
    """
    if given is None or not isinstance(given, Mapping):
        return {head: ("sample_weight", given) for head in heads}
    if list(heads) == [""]:
        raise TypeError("sample_weight: an array is required for a model with one head, got a dict")
    for head in given:
        if head not in heads:
            raise ValueError(f"sample_weight: names of heads ({', '.join(heads)}) are required, got {head!r}")
    return {head: (f"sample_weight[{head!r}]", given.get(head)) for head in heads}


def as_weights(
    weights: Any, count: int, dtype: DType, *, width: int | None = None, name: str = "sample_weight"
) -> Array | None:
    """Return weights (N,), or (N, K) where K is the ``width``, in the model's dtype after checking them."""
    if weights is None:
        return None
    values = checks.as_reals(name, weights, dtype)
    if values.shape != (count,) and (width is None or values.shape != (count, width)):
        each = "" if width is None else f" or (N, K) = ({count}, {width})"
        raise ValueError(f"{name}: shape (N,) = ({count},){each} is required, got {values.shape}")
    if not (np.isfinite(values) & (values >= 0)).all():
        wrong = np.argwhere(~(np.isfinite(values) & (values >= 0)))[0]
        place = f"{values[tuple(wrong)]} at index {', '.join(map(str, wrong))}"
        raise ValueError(f"{name}: finite numbers >= 0 are required, got {place}")
    return values


def as_step_weights(
    weights: Any,
    inputs: Sequences,
    steps: int,
    dtype: DType,
    *,
    width: int | None = None,
    name: str = "sample_weight",
) -> Array | Sequences | None:
    """Return weights of the sequences (N,), or of all their steps, or of the ``width`` numbers K of each step.

    ``steps`` is T of an array.
    """
    if weights is None or as_one(weights, None, name) is not None:
        return as_weights(weights, len(inputs), dtype, name=name)
    given = checks.array_or_items(name, weights)
    axes = given.ndim if isinstance(given, np.ndarray) else 1 + max(map(np.ndim, given), default=0)
    each = step_values(given, inputs, steps, width=width if axes == 3 else None, name=name)
    checked = as_weights(each, len(each), dtype, width=width, name=name)
    return None if checked is None else inputs.like(checked)


def step_weights(weights: Array | Sequences, inputs: Sequences) -> Array:
    """Return the weights of all steps (R,), or of their numbers (R, K)."""
    return weights.flat() if isinstance(weights, Sequences) else np.repeat(weights, inputs.lengths)


def without_unread(targets: Array, weights: Array | Sequences | None, inputs: Sequences) -> Array:
    """Return the targets of all steps, with zeros in place of numbers of weight 0, which nothing reads."""
    if weights is None or targets.dtype.kind != "f":
        return targets
    read = step_weights(weights, inputs) > 0
    return np.where(read.reshape(*read.shape, *[1] * (targets.ndim - read.ndim)), targets, targets.dtype.type(0))


def counted_steps(
    task: Weighed, targets: Sequences, weights: Array | Sequences | None, dtype: DType, *, finite: bool, name: str
) -> tuple[Sequences, Array | Sequences | None]:
    """Return what the task's ``counted`` does, of sequences of targets and of weights of sequences or of steps."""
    if weights is None and finite and not task.ignores:
        return targets, None
    values, own = targets.flat(), None if weights is None else step_weights(weights, targets)
    changed, found = task.counted(values, own, dtype, finite=finite, name=name)
    if found is own:
        return targets if changed is values else targets.like(changed), weights
    assert found is not None
    return targets.like(changed), targets.like(found)


def class_weighted(data: D, heads: Mapping[str, tuple[Weighed, int]], dtype: DType, given: Any) -> D:
    """Return data whose weights are multiplied by those of the targets' classes.

    Parameters
    ----------
    data : VectorData or AlignedData
    heads : dict of str to (Task, int)
        Task and classes K of each head.
    dtype : numpy dtype
        Of the weights.
    given
        What users call ``class_weight``; None changes nothing.
    """
    if given is None:
        return data
    if isinstance(data, BatchSource):
        raise ValueError("class_weight: None is required of batches, whose classes are not known, got some")
    chosen: dict[str, tuple[str, Any]] = {"": ("class_weight", given)}
    if list(heads) != [""]:
        chosen = {
            head: (f"class_weight[{head!r}]", own) for head, own in checks.as_mapping("class_weight", given).items()
        }
        for head in chosen:
            if head not in heads:
                raise ValueError(f"class_weight: names of heads ({', '.join(heads)}) are required, got {head!r}")
    given_weights: Any = data.weights
    weights = {head: given_weights.get(head) if isinstance(given_weights, dict) else given_weights for head in heads}
    for head, (name, own) in chosen.items():
        task, size = heads[head]
        if not task.ids or not task.weighs:
            raise ValueError(f"{name}: None is required for task={task.name!r}, whose loss has no weights of classes")
        weights[head] = _class_weighted(name, own, data.targets[head], weights[head], size, dtype)
    return replace(data, weights=shared(weights))


def _class_weighted(
    name: str, given: Any, targets: Array | Sequences, weights: Any, size: int, dtype: DType
) -> Array | Sequences:
    """Return the weights of a head's targets, multiplied by those of their classes."""
    ids: Array = targets.flat() if isinstance(targets, Sequences) else targets
    before: Array = np.ones(len(ids))
    if weights is not None:
        before = step_weights(weights, targets) if isinstance(targets, Sequences) else weights
    after = before * _class_weights(name, given, ids[before > 0], size)[ids]
    if not after.any():
        raise ValueError(f"{name}: a weight above 0 for a class among the targets is required, got none")
    after = after.astype(dtype)
    return targets.like(after) if isinstance(targets, Sequences) else after


def _class_weights(name: str, given: Any, ids: Array, size: int) -> Array:
    """Return the weight of each class (K,); ``ids`` are the targets that count."""
    if isinstance(given, str):
        if given != BALANCED:
            raise ValueError(f"{name}: {BALANCED!r}, a dict or an array is required, got {given!r}")
        counts = np.bincount(ids, minlength=size)
        return np.where(counts > 0, len(ids) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 0.0)
    if isinstance(given, Mapping):
        found = np.ones(size)
        for each, weight in given.items():
            found[checks.as_integer(f"{name}: a class", each, least=0, most=size - 1)] = checks.at_least_zero(
                f"{name}[{each!r}]", weight
            )
        return found
    found = checks.as_reals(name, given, np.dtype(np.float64))
    if found.shape != (size,):
        raise ValueError(f"{name}: a weight for each class, shape (K,) = ({size},), is required, got {found.shape}")
    if not (np.isfinite(found) & (found >= 0)).all():
        raise ValueError(f"{name}: finite numbers >= 0 are required, got others")
    return found

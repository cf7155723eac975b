"""Labelled sequences, as readers of files and tables return them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.copies import CopiedWhole


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(CopiedWhole):
    """N sequences of numbers, and what is known of each.

    Attributes
    ----------
    x : list of N float64 (T_i, C)
        NaN stands for a missing value.
    y : None, int64 (N,), float64 (N, 1), or list of N int64 (T_i,) or float64 (T_i, 1)
        Class ids or numbers, of each sequence or, in a list, of each step. None where there are no targets.
    ids : list of N str
        What the source calls the sequences.
    features : list of C str
        What the source calls the features.
    classes : list of str, or None
        The label of each class id; None for numbers.

    Examples
    --------
    >>> import numpy as np
    >>> data = Dataset(x=[np.zeros((3, 1))], y=np.array([1]), ids=["a"], features=["level"], classes=["no", "yes"])
    >>> data
    Dataset(1 sequence of 3 steps, 1 feature, 2 classes)
    """

    x: list[Array]
    y: Any
    ids: list[str]
    features: list[str]
    classes: list[str] | None = None

    @property
    def aligned(self) -> bool:
        """Whether there is a target at every step."""
        return isinstance(self.y, list)

    @property
    def task(self) -> str:
        """What a model learns: "classification" or "regression"."""
        return "regression" if self.classes is None else "classification"

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.x)

    def summary(self) -> str:
        """Return how many sequences, steps, features and classes there are."""
        lengths = [len(one) for one in self.x]
        low, high = min(lengths, default=0), max(lengths, default=0)
        steps = counted(high, "step") if low == high else f"{low} to {high} steps"
        found = [f"{counted(len(self), 'sequence')} of {steps}", counted(len(self.features), "feature")]
        if self.y is not None:
            found.append("numbers to predict" if self.classes is None else counted(len(self.classes), "class"))
        return ", ".join(found)

    def __repr__(self) -> str:
        return f"Dataset({self.summary()})"


def counted(count: int, noun: str) -> str:
    """Return "1 step", "2 steps" or "2 classes"."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def class_names(labels: Sequence[str]) -> list[str]:
    """Return the distinct labels: in the order of their numbers where all are integers, else of their texts.

    Examples
    --------
    >>> class_names(["10", "9", "10"]), class_names(["b", "a", "9"])
    (['9', '10'], ['9', 'a', 'b'])
    """
    distinct = sorted(set(labels))
    return sorted(distinct, key=int) if all(is_integer(label) for label in distinct) else distinct


def is_integer(text: str) -> bool:
    """Return whether a text is a whole number."""
    return text.removeprefix("-").isdecimal()


def known_classes(given: Any) -> list[str] | None:
    """Return the labels that a user gives in the order of their ids, checked."""
    if given is None:
        return None
    found = [checks.as_text(f"classes[{i}]", label) for i, label in enumerate(checks.as_items("classes", given))]
    if isinstance(given, str) or len(set(found)) != len(found) or not found:
        raise ValueError(f"classes: a list of different labels is required, got {checks.shown(given)}")
    return found

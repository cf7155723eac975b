"""Names and numbers of activations, as users give them and as the engine reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rnnfast import _ops, checks

Activation = str | Sequence[str | float]
Known = tuple[str, float, float]
_ALPHA: dict[str, Callable[[float], bool]] = {"alpha >= 0": lambda a: a >= 0, "alpha other than 0": lambda a: a != 0}


def known_activation(name: str, given: Activation) -> Known:
    """Return (name, alpha, beta) of ``"elu"`` or ``("elu", 0.5)``; the engine's form.

    Raises
    ------
    ValueError
        On an unknown activation, too many numbers, or numbers it cannot have.
    TypeError
        On anything but a name, alone or followed by numbers.

    Examples
    --------
    >>> known_activation("activation", ("hard_sigmoid", 0.25))
    ('hard_sigmoid', 0.25, 0.5)
    """
    kind, *numbers = given if isinstance(given, list | tuple) and given else (given,)
    if not isinstance(kind, str) or any(isinstance(n, str) for n in numbers):
        wanted = "a name, or a tuple of a name and numbers, is required"
        raise TypeError(f"{name}: {wanted}, got {checks.shown(given)}")
    activation = _ops.ACTIVATIONS[checks.as_choice(name, kind, _ops.ACTIVATIONS)]
    defaults = activation.numbers
    if len(numbers) > len(defaults):
        raise ValueError(f"{name}: at most {len(defaults)} numbers after {kind!r} are required, got {len(numbers)}")
    values = [checks.as_number(name, n, "a name followed by finite numbers") for n in numbers] + list(
        defaults[len(numbers) :]
    )
    alpha, beta, *_ = (*values, 0.0, 0.0)
    if activation.required and not _ALPHA[activation.required](alpha):
        raise ValueError(f"{name}: {activation.required} is required for {kind}, got {alpha}")
    return kind, alpha, beta


def known_activations(given: Any, default: Sequence[str]) -> tuple[Known, ...]:
    """Return the engine's form of a cell's activations, as many as ``default`` has."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != len(default):
        error = ValueError if isinstance(given, Sequence) else TypeError
        raise error(f"activations: {len(default)}, as in {tuple(default)}, are required, got {checks.shown(given)}")
    return tuple([known_activation(f"activations[{i}]", each) for i, each in enumerate(given)])


def known_clip(clip: float | None) -> float:
    """Return the bound of the pre-activations; infinity for None."""
    return math.inf if clip is None else checks.above_zero("clip", clip)

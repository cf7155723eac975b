"""Options of recurrent layers, checked: activations, clip, layer normalisation, dropout and noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rnnfast import _ops, checks

Activation = str | Sequence[str | float]
Known = tuple[str, float, float]
_ALPHA: dict[str, Callable[[float], bool]] = {"alpha >= 0": lambda a: a >= 0, "alpha other than 0": lambda a: a != 0}


def known_activation(name: str, given: Activation) -> Known:
    """Return an activation, ``"elu"`` or ``("elu", 0.5)``, as the engine takes it: (name, alpha, beta).

    Raises
    ------
    ValueError
        If the activation is unknown, or its numbers are too many or out of their range.
    TypeError
        If it is not a name, alone or followed by numbers.

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


def known_activations(given: object, default: Sequence[str]) -> tuple[Known, ...]:
    """Return a cell's activations as the engine takes them; as many are required as ``default`` has."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != len(default):
        error = ValueError if isinstance(given, Sequence) else TypeError
        raise error(f"activations: {len(default)}, as in {tuple(default)}, are required, got {checks.shown(given)}")
    return tuple([known_activation(f"activations[{i}]", each) for i, each in enumerate(given)])


def known_clip(clip: float | None) -> float:
    """Return the bound of the pre-activations, infinity for None."""
    return math.inf if clip is None else checks.above_zero("clip", clip)


def plain_norm(chosen: bool, **others: object) -> bool:
    """Return whether a layer is normalised; ValueError where one of the ``others``, which exclude it, is chosen."""
    for other, value in others.items():
        if checks.as_flag("layer_norm", chosen) and value:
            raise ValueError(f"layer_norm: a layer without {other} is required, got {other}={value}")
    return checks.as_flag("layer_norm", chosen)


@dataclass(frozen=True, kw_only=True)
class Randomness:
    """What is random in training; checked.

    Attributes
    ----------
    dropout : float
        Probability of dropping an output on its way to the next layer, drawn anew at every step.
    input : float
        Probability of dropping a feature of a layer's input, one mask for all steps of a sequence.
    recurrent : float
        Probability of dropping an h on its way to the recurrent weights, one mask for all steps of a sequence.
    noise : float
        Standard deviation of the noise that is added to the pre-activations.
    zoneout : tuple of two floats
        Probabilities that h and c keep their previous value.
    """

    dropout: float = 0.0
    input: float = 0.0
    recurrent: float = 0.0
    noise: float = 0.0
    zoneout: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        of_h, of_c = (checks.as_probability("zoneout", p) for p in self.zoneout)
        checked = {
            "dropout": checks.as_probability("dropout", self.dropout),
            "input": checks.as_probability("input_dropout", self.input),
            "recurrent": checks.as_probability("recurrent_dropout", self.recurrent),
            "noise": checks.at_least_zero("noise", self.noise),
            "zoneout": (of_h, of_c),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def numbers(self, num_layers: int) -> tuple[float, ...]:
        """Return the numbers in the engine's order, for a stack of ``num_layers``."""
        if self.dropout and num_layers == 1:
            checks.warn(
                "dropout: two or more layers are required, between which it acts; "
                f"got dropout={self.dropout} with num_layers=1, where it does nothing (a model has output_dropout)"
            )
        dropout = self.dropout if num_layers > 1 else 0.0
        return (dropout, self.input, self.recurrent, self.noise, *self.zoneout)

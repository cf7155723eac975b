"""What is random in a layer's training calls."""

from __future__ import annotations

from dataclasses import dataclass

from rnnfast import checks


@dataclass(frozen=True, kw_only=True)
class Randomness:
    """Probabilities of dropout, and the standard deviation of noise; checked.

    ``dropout``: between layers, anew at every step. ``input``: of what every layer reads, one mask for all steps of a
    sequence. ``recurrent``: of what the recurrent weights read, one mask for
    all steps of a sequence. ``noise``: added to the pre-activations. ``zoneout``: of h and c keeping what they were.
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
        """Return all as the engine reads them, for a stack of so many layers."""
        if self.dropout and num_layers == 1:
            checks.warn(
                "dropout: two or more layers are required, between which it acts; "
                f"got dropout={self.dropout} with num_layers=1, where it does nothing (a model has output_dropout)"
            )
        dropout = self.dropout if num_layers > 1 else 0.0
        return (dropout, self.input, self.recurrent, self.noise, *self.zoneout)

"""What is random in a layer's training calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Randomness:
    """Probabilities of dropout, and the standard deviation of noise; checked.

    ``dropout``: between layers, anew at every step. ``recurrent``: of what the recurrent weights read, one mask for
    all steps of a sequence. ``noise``: added to the pre-activations. ``zoneout``: of h and c keeping what they were.
    """

    dropout: float = 0.0
    recurrent: float = 0.0
    noise: float = 0.0
    zoneout: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        named = [("dropout", self.dropout), ("recurrent_dropout", self.recurrent)]
        for name, p in named + [("zoneout", p) for p in self.zoneout]:
            if not 0 <= p < 1:
                raise ValueError(f"{name}: a probability within [0, 1) is required, got {p}")
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"noise: a finite number of at least 0 is required, got {self.noise}")

    def numbers(self, num_layers: int) -> tuple[float, float, float, float, float]:
        """Return all as the engine reads them, for a stack of so many layers."""
        dropout = float(self.dropout) if num_layers > 1 else 0.0
        return (dropout, float(self.recurrent), float(self.noise), *self.zoneout)

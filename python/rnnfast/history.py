"""What a training has recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from rnnfast.copies import CopiedWhole


@dataclass
class History(CopiedWhole):
    """One value per epoch of every quantity.

    Attributes
    ----------
    history : dict
        ``history["loss"]``, ``history["val_loss"]``, ``history["val_accuracy"]``, ...
    initial_epoch : int
        The epochs before the first value: value i of each quantity belongs to epoch ``initial_epoch + i + 1``.

    Examples
    --------
    >>> h = History()
    >>> h.append({"loss": 0.5})
    >>> h.history, h["loss"]
    ({'loss': [0.5]}, [0.5])
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    initial_epoch: int = 0

    def __getitem__(self, name: str) -> list[float]:
        return self.history[name]

    def append(self, logs: dict[str, float]) -> None:
        """Add the values of an epoch."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def plot(self, names: str | Sequence[str] | None = None, *, ax: Any = None) -> Any:
        """Draw quantities over the epochs; see ``rnnfast.plot.learning_curves``, which has these arguments."""
        return import_module("rnnfast.plot").learning_curves(self, names, ax=ax)

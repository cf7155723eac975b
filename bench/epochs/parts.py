"""What an epoch is made of: seconds within each kind of call of the engine, and the rest, which is Python and NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from rnnfast import _core

PARTS: dict[str, tuple[str, ...]] = {
    "recurrence": ("forward", "backward"),
    "packing of its weights": ("Weights",),
    "embedding": ("embedding", "embedding_backward"),
    "linear maps": ("linear", "linear_backward"),
    "attention": ("attend", "attend_backward", "tanh"),
    "loss": ("mean_loss", "softmax"),
    "optimiser": ("update", "squared_norm", "scale_"),
}
"""Functions of the engine by what they are for; a linear map is the head, or one of attention's."""


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Add up the seconds within the engine's functions by part; the package calls them by name, and so meets these."""
    seconds = dict.fromkeys(PARTS, 0.0)
    before = {name: getattr(_core, name) for names in PARTS.values() for name in names}

    def watched(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            begin = perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                seconds[part] += perf_counter() - begin

        return call

    for part, names in PARTS.items():
        for name in names:
            setattr(_core, name, watched(part, before[name]))
    try:
        yield seconds
    finally:
        for name, function in before.items():
            setattr(_core, name, function)

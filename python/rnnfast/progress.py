"""The bar that shows how far a training is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rnnfast import checks


def as_shown(value: Any) -> bool:
    """Return whether to show a bar; None shows one where somebody watches: at a terminal and in a notebook."""
    if value is None:
        return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())
    try:
        return checks.as_flag("progress", value)
    except TypeError:
        raise TypeError(f"progress: True, False or None is required, got {checks.shown(value)}") from None


class Progress:
    """A bar of tqdm over all steps, with the current values, steps per second and the time left; or nothing.

    Parameters
    ----------
    total : int
        Steps of the whole training; 0 where nobody knows.
    epochs : int
        The last epoch's number.
    shown : bool

    Examples
    --------
    >>> with Progress(total=2, epochs=1, shown=False) as bar:
    ...     bar.show(1, {"loss": 0.5}, steps=1)
    """

    def __init__(self, *, total: int, epochs: int, shown: bool) -> None:
        self.epochs = epochs
        self._bar: Any = None
        if shown:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total or None, unit="step", dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def skip(self, steps: int) -> None:
        """Count the steps of an earlier training as done, which say nothing about the speed of this one."""
        if self._bar is not None:
            self._bar.initial = self._bar.n = self._bar.last_print_n = steps
            self._bar.refresh()

    def show(self, epoch: int, logs: Mapping[str, float], *, steps: int) -> None:
        """Move on by ``steps`` and show the current values."""
        if self._bar is not None:
            self._bar.set_description(f"epoch {epoch}/{self.epochs}", refresh=False)
            self._bar.set_postfix({name: f"{value:.4g}" for name, value in logs.items()}, refresh=steps == 0)
            self._bar.update(steps)

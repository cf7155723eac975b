"""Averages of parameters over the steps of a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from rnnfast.arrays import Array
from rnnfast.checks import as_array, as_flag, as_mapping, as_number, names_arguments
from rnnfast.copies import CopiedWhole
from rnnfast.optim.named import Params, named_params
from rnnfast.params import Parameter, write_all


class AveragedWeights(CopiedWhole):
    """The exponential moving average of parameters over the steps of an optimiser.

    For every parameter p, after step t = 1, 2, ...::

        a = decay a + (1 - decay) p    (t = 1: a = p)

    With ``bias_correction`` a is 0 before the first step, and the average is ``a / (1 - decay^t)``: a mean of all
    values so far with weights that fall with age, in which the first one has no larger share than its age gives it.

    ``fit`` takes one as ``ema=``. In a loop of your own call ``update`` after every step, and ``applied`` where the
    model shall have the averages.

    Parameters
    ----------
    decay : float
        Share of the average that a step keeps, within [0, 1).
    bias_correction : bool
        Whether the average begins with 0 and is corrected for it (Kingma, Ba 2015).

    Raises
    ------
    ValueError
        If ``decay`` is out of its range.
    TypeError
        If an argument has another type.

    References
    ----------
    B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
    Optimization 30 (1992).

    Examples
    --------
    >>> from rnnfast.params import Parameter
    >>> import numpy as np
    >>> p, average = Parameter(np.zeros(1)), AveragedWeights(decay=0.75)
    >>> for value in (0.0, 4.0):
    ...     p[...] = value
    ...     average.update([p])
    >>> with average.applied([p]):
    ...     p.value
    array([1.])
    >>> p.value
    array([4.])
    """

    @names_arguments
    def __init__(self, decay: float = 0.999, *, bias_correction: bool = False) -> None:
        self.decay = as_number("decay", decay, "a number within [0, 1)", lambda v: 0 <= v < 1)
        self.bias_correction = as_flag("bias_correction", bias_correction)
        self._kept: tuple[int, dict[str, Array]] = (0, {})

    @property
    def steps(self) -> int:
        """The number of steps averaged over."""
        return self._kept[0]

    def reset(self) -> None:
        """Forget all steps."""
        self._kept = (0, {})

    def update(self, params: Params) -> None:
        """Take the values after a step into the average.

        Parameters
        ----------
        params : dict or iterable of Parameter
            The same ones at every step.

        Raises
        ------
        ValueError
            If they are others than before.
        TypeError
            If something else than a parameter is given.
        """
        named, (steps, averages) = named_params(params), self._kept
        if steps:
            self._check(named)
            share = 1 - self.decay
            found = {n: averages[n] + (p.value - averages[n]) * p.dtype.type(share) for n, p in named.items()}
        else:
            first = 1 - self.decay if self.bias_correction else 1.0
            found = {name: p.value * p.dtype.type(first) for name, p in named.items()}
        self._kept = (steps + 1, found)

    def values(self) -> dict[str, Array]:
        """Return the average of every parameter by name; {} before the first step."""
        steps, averages = self._kept
        scale = 1 / (1 - self.decay**steps) if self.bias_correction and steps else 1.0
        return {name: a * a.dtype.type(scale) for name, a in averages.items()}

    @contextmanager
    def applied(self, params: Params) -> Iterator[None]:
        """Give parameters their averages within a block, and their own values after it.

        Parameters
        ----------
        params : dict or iterable of Parameter
            Those of ``update``.

        Raises
        ------
        ValueError
            If they are others, or there was no step yet.
        """
        named = named_params(params)
        self._check(named)
        own, values = [p.value.copy() for p in named.values()], self.values()
        write_all(named.values(), [values[name] for name in named])
        try:
            yield
        finally:
            write_all(named.values(), own)

    def state_dict(self) -> dict[str, Array]:
        """Return the number of steps and the sums a, before correction, as a flat dict of arrays."""
        steps, averages = self._kept
        return {"steps": np.array(steps, np.int64), **{f"average.{name}": a.copy() for name, a in averages.items()}}

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Replace steps and averages by those that ``state_dict`` returned.

        Parameters
        ----------
        state : mapping of str to array_like

        Raises
        ------
        ValueError
            If there is no number of steps, or an unexpected entry.
        """
        new = {str(name): as_array(str(name), value) for name, value in as_mapping("state", state).items()}
        unexpected = [name for name in new if name != "steps" and not name.startswith("average.")]
        if "steps" not in new or unexpected:
            wanted = "steps and averages are required, as state_dict returned them"
            raise ValueError(f"state: {wanted}, got {', '.join(new) or 'none'}")
        averages = {name.removeprefix("average."): np.array(a) for name, a in new.items() if name != "steps"}
        self._kept = (int(new["steps"]), averages)

    def _check(self, named: Mapping[str, Parameter]) -> None:
        known = {name: a.shape for name, a in self._kept[1].items()}
        given = {name: p.shape for name, p in named.items()}
        if known != given:
            raise ValueError(f"params: those of the average are required ({known}), got {given}")


def as_average(ema: float | AveragedWeights | None) -> AveragedWeights | None:
    """Return what ``fit`` is given as ``ema``, a decay or an object, as an object that has seen no step."""
    if ema is None:
        return None
    if isinstance(ema, AveragedWeights):
        ema.reset()
        return ema
    decay = as_number("ema", ema, "a decay within [0, 1), an AveragedWeights or None", lambda v: 0 <= v < 1)
    return AveragedWeights(decay)

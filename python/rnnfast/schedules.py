"""Schedules: numbers that follow the course of a training, such as the learning rate."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rnnfast import checks
from rnnfast.checks import names_arguments
from rnnfast.copies import CopiedWhole

S = TypeVar("S", bound="Schedule")
L = TypeVar("L", bound="_Lasting")
W = TypeVar("W", bound="WarmUp")

UNITS = ("step", "epoch")


class Schedule(CopiedWhole, ABC):
    """Base of all schedules: a function of the number t of steps, or of epochs, that a training has completed.

    ``lr=`` of optimisers and of ``fit`` takes schedules, and so does ``teacher_forcing=``. The first step, and the
    first epoch, have t = 0. With ``by="epoch"`` the number stays the same for all steps of an epoch. An optimiser that
    is given to ``fit`` again goes on counting its steps, and keeps the length of its first training.

    Parameters
    ----------
    by : {"step", "epoch"}
        What t counts: steps of the optimiser, or epochs.

    Examples
    --------
    >>> class InverseRoot(Schedule):
    ...     def __call__(self, t):
    ...         return 0.1 / (1 + t) ** 0.5
    >>> InverseRoot()(3)
    0.05
    """

    def __init__(self, *, by: str = "step") -> None:
        self.by = checks.as_choice("by", by, UNITS)

    @abstractmethod
    def __call__(self, t: int) -> float:
        """Return the number that belongs to t completed steps or epochs."""

    @property
    def complete(self) -> bool:
        """Whether the schedule can be called; else its length is that of a training, see ``lasting``."""
        return True

    def lasting(self: S, *, steps: int, epochs: int) -> S:
        """Return the schedule for a training of that many steps and epochs: it ends there where it had no length.

        0 stands for a number that nobody knows.
        """
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class _Lasting(Schedule):
    """A schedule with a length, which the training gives where the user does not."""

    def __init__(self, length: int | None, *, by: str) -> None:
        super().__init__(by=by)
        self.length = None if length is None else checks.as_size("length", length)

    @property
    def complete(self) -> bool:
        """Whether the length is known."""
        return self.length is not None

    def lasting(self: L, *, steps: int, epochs: int) -> L:
        """Return the schedule for a training of that many steps and epochs: it ends there where it had no length."""
        length = epochs if self.by == "epoch" else steps
        if self.complete or length == 0:
            return self
        found = copy.copy(self)
        found.length = length
        return found

    def _known_length(self) -> int:
        if self.length is None:
            wanted = f"a number of {self.by}s is required where that of the training is not known, as outside of fit"
            raise ValueError(f"length: {wanted}, got None")
        return self.length


class Function(Schedule):
    """A function of your own, of steps or of epochs.

    ``lr(t) = function(t)``. ``lr=function`` stands for ``lr=Function(function)``.

    Parameters
    ----------
    function : callable
        Returns the number for t completed steps or epochs. An optimiser with a lambda cannot be pickled.
    by : {"step", "epoch"}
        What t counts: steps of the optimiser, or epochs.

    Raises
    ------
    ValueError
        If ``by`` is unknown.
    TypeError
        If ``function`` cannot be called.

    Examples
    --------
    >>> Function(lambda epoch: 0.1 / (1 + epoch), by="epoch")(3)
    0.025
    """

    @names_arguments
    def __init__(self, function: Callable[[int], float], *, by: str = "step") -> None:
        super().__init__(by=by)
        if not callable(function):
            raise TypeError(f"function: a function of steps or epochs is required, got {checks.shown(function)}")
        self.function = function

    def __call__(self, t: int) -> float:
        """Return the number that belongs to t completed steps or epochs."""
        return self.function(t)


class StepDecay(Schedule):
    """A rate that falls by a factor at regular intervals.

    ``lr(t) = lr factor^floor(t / every)``.

    Parameters
    ----------
    lr : float
        The first value, at least 0.
    every : int
        Steps or epochs between two changes, at least 1.
    factor : float
        What each change multiplies with, at least 0.
    by : {"step", "epoch"}
        What t counts: steps of the optimiser, or epochs.

    Raises
    ------
    ValueError
        If a number is out of its range.
    TypeError
        If an argument has another type.

    Examples
    --------
    >>> schedule = StepDecay(0.1, every=10, factor=0.5, by="epoch")
    >>> [schedule(t) for t in (0, 9, 10, 20)]
    [0.1, 0.1, 0.05, 0.025]
    """

    @names_arguments
    def __init__(self, lr: float, *, every: int, factor: float = 0.1, by: str = "step") -> None:
        super().__init__(by=by)
        self.lr = checks.at_least_zero("lr", lr)
        self.every = checks.as_size("every", every)
        self.factor = checks.at_least_zero("factor", factor)

    def __call__(self, t: int) -> float:
        """Return the number that belongs to t completed steps or epochs."""
        return self.lr * self.factor ** (t // self.every)


class Exponential(Schedule):
    """A rate that falls by a factor each time.

    ``lr(t) = lr factor^t``.

    Parameters
    ----------
    lr : float
        The first value, at least 0.
    factor : float
        What each step or epoch multiplies with, at least 0.
    by : {"step", "epoch"}
        What t counts: steps of the optimiser, or epochs.

    Raises
    ------
    ValueError
        If a number is out of its range.
    TypeError
        If an argument has another type.

    Examples
    --------
    >>> Exponential(0.1, factor=0.5)(2)
    0.025
    """

    @names_arguments
    def __init__(self, lr: float, *, factor: float, by: str = "step") -> None:
        super().__init__(by=by)
        self.lr = checks.at_least_zero("lr", lr)
        self.factor = checks.at_least_zero("factor", factor)

    def __call__(self, t: int) -> float:
        """Return the number that belongs to t completed steps or epochs."""
        return self.lr * self.factor**t


class PiecewiseConstant(Schedule):
    """Given values, one after the other.

    ``lr(t) = values[i]``, where i is the number of boundaries that are at most t.

    Parameters
    ----------
    values : sequence of float
        The values, at least 0, one more than there are boundaries.
    boundaries : sequence of int
        Completed steps or epochs, in ascending order, from which the next value holds.
    by : {"step", "epoch"}
        What t counts: steps of the optimiser, or epochs.

    Raises
    ------
    ValueError
        If a number is out of its range, or the boundaries do not ascend.
    TypeError
        If an argument has another type.

    Examples
    --------
    >>> schedule = PiecewiseConstant([0.1, 0.01], boundaries=[5], by="epoch")
    >>> [schedule(t) for t in (0, 4, 5)]
    [0.1, 0.1, 0.01]
    """

    @names_arguments
    def __init__(self, values: Sequence[float], *, boundaries: Sequence[int], by: str = "step") -> None:
        super().__init__(by=by)
        self.values = [checks.at_least_zero("values", value) for value in checks.as_items("values", values)]
        given = checks.as_items("boundaries", boundaries)
        self.boundaries = [checks.as_integer("boundaries", boundary, least=1) for boundary in given]
        if self.boundaries != sorted(set(self.boundaries)):
            raise ValueError(f"boundaries: numbers that ascend are required, got {self.boundaries}")
        if len(self.values) != len(self.boundaries) + 1:
            wanted = f"one more than boundaries are required ({len(self.boundaries)} + 1)"
            raise ValueError(f"values: {wanted}, got {len(self.values)}")

    def __call__(self, t: int) -> float:
        """Return the number that belongs to t completed steps or epochs."""
        return self.values[sum(boundary <= t for boundary in self.boundaries)]


class Cosine(_Lasting):
    """A rate that falls along half a cosine, once or again and again.

    ``lr(t) = least + (lr - least) (1 + cos(pi t / length)) / 2`` up to t = length, and ``least`` after it. With
    ``growth`` the next fall begins there, and each takes ``growth`` times as long as the one before.

    Parameters
    ----------
    lr : float
        The first value, at least 0.
    length : int or None
        Steps or epochs of the first fall, at least 1; None: the whole training, which ``fit`` knows.
    least : float
        The last value, at least 0.
    growth : int or None
        How many times longer the next fall is, at least 1; None: there is only one.
    by : {"step", "epoch"}
        What t counts: steps of the optimiser, or epochs.

    Raises
    ------
    ValueError
        If a number is out of its range.
    TypeError
        If an argument has another type.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR (2017).

    Examples
    --------
    >>> schedule = Cosine(0.1, length=10, growth=2)
    >>> [round(schedule(t), 3) for t in (0, 5, 9, 10, 20, 30)]
    [0.1, 0.05, 0.002, 0.1, 0.05, 0.1]
    """

    @names_arguments
    def __init__(
        self,
        lr: float,
        *,
        length: int | None = None,
        least: float = 0.0,
        growth: int | None = None,
        by: str = "step",
    ) -> None:
        super().__init__(length, by=by)
        self.lr = checks.at_least_zero("lr", lr)
        self.least = checks.at_least_zero("least", least)
        self.growth = None if growth is None else checks.as_size("growth", growth)

    def __call__(self, t: int) -> float:
        """Return the number that belongs to t completed steps or epochs."""
        length = self._known_length()
        if self.growth is None:
            t = min(t, length)
        elif self.growth == 1:
            t %= length
        else:
            while t >= length:
                t, length = t - length, length * self.growth
        return self.least + (self.lr - self.least) * (1 + math.cos(math.pi * t / length)) / 2


class OneCycle(_Lasting):
    """A rate that rises to a peak and falls to almost nothing, within one training.

    The rate goes from ``peak / start_factor`` to ``peak`` at t = rise length - 1, and from there to
    ``peak / (start_factor end_factor)`` at t = length - 1, both times along half a cosine; after it stays there.

    Parameters
    ----------
    peak : float
        The largest value, at least 0.
    length : int or None
        Steps or epochs of the cycle, at least 1; None: the whole training, which ``fit`` knows.
    rise : float
        Share of the cycle, within (0, 1), in which the rate rises.
    start_factor : float
        The peak divided by the first value, above 0.
    end_factor : float
        The first value divided by the last one, above 0.
    by : {"step", "epoch"}
        What t counts: steps of the optimiser, or epochs.

    Raises
    ------
    ValueError
        If a number is out of its range.
    TypeError
        If an argument has another type.

    References
    ----------
    L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning rates",
    arXiv:1708.07120 (2017).

    Examples
    --------
    >>> schedule = OneCycle(0.1, length=11, rise=0.5)
    >>> [round(schedule(t), 4) for t in (0, 4, 5, 10, 100)]
    [0.004, 0.0971, 0.098, 0.0, 0.0]
    """

    @names_arguments
    def __init__(
        self,
        peak: float,
        *,
        length: int | None = None,
        rise: float = 0.3,
        start_factor: float = 25.0,
        end_factor: float = 1e4,
        by: str = "step",
    ) -> None:
        super().__init__(length, by=by)
        self.peak = checks.at_least_zero("peak", peak)
        self.rise = checks.as_number("rise", rise, "a share within (0, 1)", lambda v: 0 < v < 1)
        self.start_factor = checks.as_number("start_factor", start_factor, "a finite number above zero", _above_zero)
        self.end_factor = checks.as_number("end_factor", end_factor, "a finite number above zero", _above_zero)

    def __call__(self, t: int) -> float:
        """Return the number that belongs to t completed steps or epochs."""
        last = self._known_length() - 1
        top = min(max(self.rise * (last + 1) - 1, 0.0), last)
        first = self.peak / self.start_factor
        if t < top:
            return _between(first, self.peak, t / top)
        share = min((t - top) / (last - top), 1.0) if last > top else 1.0
        return _between(self.peak, first / self.end_factor, share)


class WarmUp(Schedule):
    """A rate that rises in proportion to time, and then follows another schedule.

    ``lr(t) = schedule(0) (start + (1 - start) t / length)`` for t < length, and ``schedule(t - length)`` after it.

    Parameters
    ----------
    schedule : Schedule or float
        What follows; a number stays as it is. One without a length lasts for the rest of the training.
    length : int
        Steps or epochs of the rise, at least 1.
    start : float
        Share, within [0, 1], of the schedule's first value with which the rise begins.
    by : {"step", "epoch"} or None
        What t counts: steps of the optimiser, or epochs; None: what the schedule counts, for a number steps.

    Raises
    ------
    ValueError
        If a number is out of its range, or the schedule counts something else.
    TypeError
        If an argument has another type.

    References
    ----------
    P. Goyal et al., "Accurate, large minibatch SGD", arXiv:1706.02677 (2017).

    Examples
    --------
    >>> schedule = WarmUp(Cosine(0.1, length=10), length=5)
    >>> [round(schedule(t), 3) for t in (0, 4, 5, 10, 15)]
    [0.01, 0.082, 0.1, 0.05, 0.0]
    """

    @names_arguments
    def __init__(self, schedule: Schedule | float, *, length: int, start: float = 0.1, by: str | None = None) -> None:
        follows = isinstance(schedule, Schedule)
        self.schedule = schedule if follows else checks.at_least_zero("schedule", schedule)
        own = schedule.by if isinstance(schedule, Schedule) else "step" if by is None else by
        super().__init__(by=own if by is None else by)
        if self.by != own:
            raise ValueError(f"by: what the schedule counts is required ({own!r}), got {by!r}")
        self.length = checks.as_size("length", length)
        self.start = checks.as_number("start", start, "a share within [0, 1]", lambda v: 0 <= v <= 1)

    def __call__(self, t: int) -> float:
        """Return the number that belongs to t completed steps or epochs."""
        if t < self.length:
            return self._following(0) * (self.start + (1 - self.start) * t / self.length)
        return self._following(t - self.length)

    @property
    def complete(self) -> bool:
        """Whether the length of what follows is known."""
        return not isinstance(self.schedule, Schedule) or self.schedule.complete

    def lasting(self: W, *, steps: int, epochs: int) -> W:
        """Return the schedule for a training of that many steps and epochs: what follows the rise ends with it."""
        if not isinstance(self.schedule, Schedule):
            return self
        found, known = copy.copy(self), {"steps": steps, "epochs": epochs}
        left = {unit: max(count - self.length, 1) if count else 0 for unit, count in known.items()}
        found.schedule = self.schedule.lasting(**left)
        return found

    def _following(self, t: int) -> float:
        return self.schedule(t) if isinstance(self.schedule, Schedule) else self.schedule


def _above_zero(value: float) -> bool:
    return 0 < value < math.inf


def _between(start: float, end: float, share: float) -> float:
    """Return what lies between two numbers along half a cosine, at a share within [0, 1]."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def as_schedule(value: Any) -> Schedule | None:
    """Return a schedule, or a function of steps, as a schedule; None for anything else."""
    if isinstance(value, Schedule):
        return value
    return Function(value) if callable(value) and not isinstance(value, type) else None


class Rate:
    """A rate as a training holds it: a number, or a schedule and its value of the latest step.

    The value is 0 where a schedule does not know its length yet.

    Parameters
    ----------
    name : str
        What messages call it.
    given : float, Schedule or function of steps
    check : function
        Returns a value after checking it.

    Examples
    --------
    >>> rate = Rate("lr", lambda step: 0.1 / (1 + step))
    >>> rate.move(step=4, epoch=0)
    >>> rate.value
    0.02
    """

    def __init__(self, name: str, given: Any, check: Callable[[str, Any], float] = checks.at_least_zero) -> None:
        self.name, self.check = name, check
        self.schedule = as_schedule(given)
        self.value = 0.0 if self.schedule is not None else check(name, given)
        self.move(step=0, epoch=0, only_complete=True)

    def move(self, *, step: int, epoch: int, only_complete: bool = False) -> None:
        """Take the value that belongs to that many completed steps and epochs."""
        schedule = self.schedule
        if schedule is not None and (schedule.complete or not only_complete):
            found = schedule(epoch if schedule.by == "epoch" else step)
            self.value = self.check(self.name, found)

    def end_with(self, *, steps: int, epochs: int) -> None:
        """Let a schedule without a length end with a training of that many steps and epochs."""
        if self.schedule is not None:
            self.schedule = self.schedule.lasting(steps=steps, epochs=epochs)

"""What many short rounds say: the median of the rounds' own ratios, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

TAIL = 0.025
"""The largest probability that the median lies beyond one end of an interval."""


@dataclass(frozen=True)
class Estimate:
    """A median, and the interval that holds it."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} [{self.low:.2f}, {self.high:.2f}]"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Two of the values, between which the median of their distribution lies with a probability of at least 95 %.

    They are order statistics (David and Nagaraja 2003, section 7.1), so that no distribution is assumed. Fewer than six
    values cannot be as sure; their least and largest are returned.

    >>> interval([5.0, 1.0, 3.0])
    (1.0, 5.0)
    >>> interval([float(n) for n in range(1, 16)])
    (4.0, 12.0)
    """
    ordered, n = sorted(values), len(values)
    cut, beyond = 0, comb(n, 0) + comb(n, 1)
    while beyond <= TAIL * 2**n:
        cut += 1
        beyond += comb(n, cut + 1)
    return ordered[cut], ordered[n - 1 - cut]


def estimate(values: Sequence[float]) -> Estimate:
    """The median and its interval."""
    return Estimate(median(values), *interval(values))

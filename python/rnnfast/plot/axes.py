"""What all pictures share: axes, colours of lines, and arrays from what users give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array

LETTERS = 9  # of labels across that an inch has room for, spaces between labels included

# From dark to light (Okabe and Ito 2008); each has dashes and a marker of its own.
STYLES = (
    ("#000000", "-", "o"),
    ("#0072B2", "--", "s"),
    ("#D55E00", "-.", "^"),
    ("#009E73", ":", "D"),
    ("#E69F00", (0, (5, 1, 1, 1, 1, 1)), "v"),
    ("#56B4E9", (0, (8, 2)), "P"),
)


def axes_of(ax: Any) -> Any:
    """Return the given axes, or those of a new figure that pyplot does not know."""
    try:
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("rnnfast.plot: matplotlib is required (pip install 'rnnfast[plot]')") from error
    if ax is None:
        return Figure(layout="constrained").add_subplot()
    if not isinstance(ax, Axes):
        raise TypeError(f"ax: axes of matplotlib or None are required, got {checks.shown(ax)}")
    return ax


def styles() -> Iterator[dict[str, Any]]:
    """Return the looks of line after line: colour, dashes and marker."""
    for color, linestyle, marker in cycle(STYLES):
        yield {"color": color, "linestyle": linestyle, "marker": marker, "markersize": 4}


def numbers(name: str, given: Any, *shape: str) -> Array:
    """Return real numbers with as many axes as letters are given; NaN is left out of pictures."""
    array = checks.as_array(name, given)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: real numbers are required, got dtype {array.dtype}")
    if array.ndim != len(shape) or array.size == 0:
        letters = "(" + ", ".join(shape) + ("," if len(shape) == 1 else "") + ")"
        raise ValueError(f"{name}: shape {letters} with at least one element is required, got {array.shape}")
    return array.astype(np.float64)


def texts(name: str, given: Any, count: int) -> list[str] | None:
    """Return as many labels as there are things to label, or None for None."""
    if given is None:
        return None
    labels = [str(each) for each in checks.as_items(name, given)]
    if len(labels) != count:
        raise ValueError(f"{name}: one label for each of {count} is required, got {len(labels)}")
    return labels


def index_of(name: str, value: Any, count: int) -> int:
    """Return an index within ``count``, where negative ones count from the end, as a non-negative one."""
    found = checks.as_integer(name, value, least=-count, most=count - 1)
    return found % count


def set_labels(axis: Any, places: Sequence[int], labels: Sequence[str]) -> None:
    """Put labels at places of an axis as they are, "$" included; across, they stand upright where room is short."""
    axis.set_ticks(places, labels, parse_math=False)
    if axis.axis_name != "x" or max(map(len, labels)) <= 1:
        return
    inches = axis.axes.get_position().width * axis.axes.figure.bbox.width / axis.axes.figure.dpi
    if sum(len(label) + 1 for label in labels) > LETTERS * inches:
        axis.set_tick_params(rotation=90)


def above(ax: Any) -> None:
    """Put the legend above the axes, where it hides nothing."""
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)


def whole_numbers(axis: Any) -> None:
    """Let an axis have ticks at integers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))

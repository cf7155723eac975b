"""Panels of sktime and aeon: many sequences in one array or one frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array


def from_numpy3d(x: Any) -> Array:
    """Return sequences (N, T, C) of a panel (case, channel, time), the "numpy3D" of sktime and aeon.

    ``sequences[n, t, c] = x[n, c, t]``. Both layouts are arrays of three axes, which is why this one has to be named.

    Parameters
    ----------
    x : array (N, C, T)
        N cases, C channels, T times.

    Returns
    -------
    ndarray (N, T, C)
        C-contiguous, a copy.

    Raises
    ------
    ValueError
        Another number of axes.
    TypeError
        Anything but an array.

    Examples
    --------
    >>> import numpy as np
    >>> from_numpy3d(np.zeros((5, 2, 9))).shape
    (5, 9, 2)
    """
    array = checks.as_array("x", x)
    if array.ndim != 3:
        raise ValueError(f"x: shape (N, C, T) is required, (case, channel, time), got {array.shape}")
    return np.ascontiguousarray(array.swapaxes(1, 2))


def from_nested(frame: Any) -> list[Array]:
    """Return the sequences of a nested frame, sktime's "nested_univ": a cell holds all times of a case and a channel.

    Parameters
    ----------
    frame : DataFrame (N, C)
        One row a case, one column a channel. A cell is a Series or an array (T_n,), as long as the others of its row.

    Returns
    -------
    list of ndarray (T_n, C)
        In the order of the rows.

    Raises
    ------
    ValueError
        Cells with more axes, or of several lengths in one row.
    TypeError
        No frame, or cells that hold no real numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"u": [pd.Series([1.0, 2.0]), pd.Series([3.0])], "v": [[5, 6], [7]]})
    >>> [sequence.tolist() for sequence in from_nested(frame)]
    [[[1.0, 5.0], [2.0, 6.0]], [[3.0, 7.0]]]
    """
    _check_frame(frame)
    columns = [list(frame.iloc[:, c]) for c in range(frame.shape[1])]
    return [
        _joined(
            n,
            [_cell(f"frame[{label!r}][{n}]", column[n]) for label, column in zip(frame.columns, columns, strict=True)],
        )
        for n in range(len(frame))
    ]


def from_multiindex(frame: Any) -> list[Array]:
    """Return the sequences of a frame with one row a time, sktime's "pd-multiindex".

    Parameters
    ----------
    frame : DataFrame (sum of T_n, C) with an index of several levels
        One column a channel. The last level of the index is the time, the others name the case.

    Returns
    -------
    list of ndarray (T_n, C)
        In the order in which the cases appear, that of ``frame.index.droplevel(-1).unique()``.

    Raises
    ------
    ValueError
        An index of one level, or times of a case that do not increase.
    TypeError
        No frame, or columns that hold no real numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.MultiIndex.from_tuples([("a", 0), ("a", 1), ("b", 0)], names=["case", "time"])
    >>> [sequence.tolist() for sequence in from_multiindex(pd.DataFrame({"u": [1, 2, 3]}, index=index))]
    [[[1], [2]], [[3]]]
    """
    _check_frame(frame)
    levels = frame.index.nlevels
    if levels < 2:
        raise ValueError(f"frame: an index of at least 2 levels, case and time, is required, got {levels}")
    values = checks.as_array("frame", frame)
    times = frame.index.get_level_values(-1)
    found = []
    for case, rows in frame.groupby(level=list(range(levels - 1)), dropna=False).indices.items():
        if not (times[rows].is_monotonic_increasing and times[rows].is_unique):
            wanted = "times that increase within each case are required (frame.sort_index() orders them)"
            raise ValueError(f"frame: {wanted}, got others in case {checks.shown(case)}")
        found.append((int(rows[0]), values[rows]))
    return [sequence for _, sequence in sorted(found, key=lambda pair: pair[0])]


def frame_sequences(x: Any) -> list[Array] | None:
    """Return the sequences of a nested or a multi-index frame; None for everything else, plain frames included.

    Examples
    --------
    >>> import pandas as pd
    >>> frame_sequences(pd.DataFrame({"u": [1.0, 2.0]})) is None
    True
    """
    if not _is_frame(x):
        return None
    if x.index.nlevels > 1:
        return from_multiindex(x)
    nested = len(x) > 0 and all(np.ndim(x.iloc[0, c]) > 0 for c in range(x.shape[1]))
    return from_nested(x) if nested and x.shape[1] else None


def _is_frame(x: Any) -> bool:
    return hasattr(x, "columns") and hasattr(x, "iloc") and hasattr(x, "index")


def _check_frame(frame: Any) -> None:
    if not _is_frame(frame):
        raise TypeError(f"frame: a DataFrame of pandas is required, got {checks.shown(frame)}")


def _cell(name: str, cell: Any) -> Array:
    array = checks.as_array(name, cell)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: real numbers are required, got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name}: a Series or an array (T,) is required, got shape {array.shape}")
    return array


def _joined(n: int, channels: list[Array]) -> Array:
    lengths = {len(channel) for channel in channels}
    if len(lengths) != 1:
        raise ValueError(f"frame: cells of one length in each row are required, got {sorted(lengths)} in row {n}")
    return np.stack(channels, axis=1)

"""Data to learn from and data to judge with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, Int64
from rnnfast.checks import names_arguments
from rnnfast.data.series import as_parts, in_form


@names_arguments
def split_by_time(series: Any, *, test: float = 0.2, gap: int = 0) -> tuple[Any, Any]:
    """Split series into their past and their future; nothing is shuffled.

    A model that forecasts is judged by a time that it has not seen. Split first and cut ``windows`` afterwards: windows
    of the whole series that lie beside the cut share steps.

    Parameters
    ----------
    series : array (T,) or (T, C), a frame of T rows, an array (N, T, C), or a list of (T_i,) or (T_i, C)
        One series, or N sequences, each of which is split by itself.
    test : float within (0, 1), or int
        The share of the last steps, rounded, or their number; at least one step is on either side.
    gap : int
        Steps before the future that belong to neither side.

    Returns
    -------
    past, future : as ``series``
        Views, but for an array (N, T, C).

    Raises
    ------
    ValueError
        A sequence that is too short to leave a step on either side.

    Examples
    --------
    >>> import numpy as np
    >>> past, future = split_by_time(np.arange(10), test=0.3, gap=2)
    >>> past.tolist(), future.tolist()
    ([0, 1, 2, 3, 4], [7, 8, 9])
    """
    parts, form = as_parts("series", series)
    gap = checks.as_integer("gap", gap, least=0)
    past, future = [], []
    for name, one in parts.items():
        count = _count("test", test, len(one))
        if len(one) - count - gap < 1:
            wanted = f"at least 1 + gap + test = {1 + gap + count} steps are required"
            raise ValueError(f"{name}: {wanted}, got {len(one)}")
        past.append(one[: len(one) - count - gap])
        future.append(one[len(one) - count :])
    return in_form(past, form), in_form(future, form)


@names_arguments
def split_sequences(
    *data: Any,
    test: float = 0.2,
    groups: npt.ArrayLike | None = None,
    shuffle: bool = True,
    seed: int | None = None,
) -> list[Any]:
    """Split independent sequences, and what belongs to them, in two.

    Parameters
    ----------
    *data : arrays (N, ...), frames of N rows, or lists of N
        Sequences, targets, weights, ...; all of N entries.
    test : float within (0, 1), or int
        The share of the sequences to judge with, rounded, or their number; of ``groups`` that of the groups. At least
        one is on either side.
    groups : array (N,) or None
        Sequences of equal values, such as those of one person, stay on one side.
    shuffle : bool
        Whether chance decides; else the last ones are judged with.
    seed : int or None
        Seed of the chance. None draws another one every time.

    Returns
    -------
    list
        ``[first_train, first_test, second_train, second_test, ...]``: of arrays arrays, of lists lists, in the order
        of the data.

    Raises
    ------
    ValueError
        Data of different N, or fewer than two sequences or groups.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = [np.ones((n, 1)) for n in (3, 1, 4, 1)], np.array([0, 1, 0, 1])
    >>> x_train, x_test, y_train, y_test = split_sequences(x, y, test=0.25, seed=0)
    >>> len(x_train), len(x_test), y_train.shape, y_test.shape
    (3, 1, (3,), (1,))
    """
    if not data:
        raise ValueError("data: at least one array or list is required, got none")
    entries = [checks.array_or_items(f"data[{i}]", each) for i, each in enumerate(data)]
    counts = [len(each) for each in entries]
    for i, count in enumerate(counts):
        if count != counts[0]:
            raise ValueError(f"data[{i}]: N = {counts[0]} entries, as in data[0], are required, got {count}")
    chosen = _chosen(counts[0], test, groups, shuffle=checks.as_flag("shuffle", shuffle), seed=checks.as_seed(seed))
    return [_taken(each, side) for each in entries for side in (np.flatnonzero(~chosen), np.flatnonzero(chosen))]


def _chosen(count: int, test: float, groups: Any, *, shuffle: bool, seed: int | None) -> npt.NDArray[np.bool_]:
    """Return which of N sequences are to judge with."""
    each = np.arange(count)
    if groups is not None:
        labels = checks.as_array("groups", groups)
        if labels.shape != (count,):
            raise ValueError(f"groups: shape (N,) = ({count},) is required, got {labels.shape}")
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        each = np.argsort(np.argsort(first))[inverse]  # groups are numbered in the order of the data
    units = int(each.max(initial=-1)) + 1
    if units < 2:
        raise ValueError(f"{'data' if groups is None else 'groups'}: at least 2 are required, got {units}")
    held = _count("test", test, units)
    if held >= units:
        raise ValueError(f"test: fewer than all {units} are required, got {held}")
    order = np.random.default_rng(seed).permutation(units) if shuffle else np.arange(units)
    chosen: npt.NDArray[np.bool_] = np.isin(each, order[units - held :])
    return chosen


def _taken(data: Array | list[Any], index: Int64) -> Any:
    return data[index] if isinstance(data, np.ndarray) else [data[i] for i in index]


def _count(name: str, share: Any, count: int) -> int:
    """Return how many of ``count`` a share, or a number, of them is; of a share one to all but one."""
    wanted = "a share within (0, 1), or a number of at least 1,"
    if isinstance(share, float | np.floating):
        share = checks.as_number(name, share, wanted, lambda f: 0 < f < 1)
        return min(max(round(count * float(share)), 1), max(count - 1, 1))
    try:
        return checks.as_size(name, share)
    except TypeError:
        raise TypeError(f"{name}: {wanted} is required, got {checks.shown(share)}") from None

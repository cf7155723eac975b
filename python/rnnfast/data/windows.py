"""Windows of a long series, and what follows each of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.checks import names_arguments
from rnnfast.data.series import as_series


@names_arguments
def windows(
    series: Any, length: int, *, horizon: int = 1, stride: int = 1, target: int | None = None
) -> tuple[Array, Array]:
    """Cut series into windows, each with the values that follow it: what a model of forecasts learns from.

    Window n of a series begins at its step ``n * stride``, and ``y[n]`` are the ``horizon`` steps behind it. A series
    of T steps has ``N = (T - length - horizon) // stride + 1`` windows; those of several series follow each other.

    Parameters
    ----------
    series : array (T,) or (T, C), a frame of T rows, or a list of these
        One series, or several of the same features.
    length : int
        Steps of a window.
    horizon : int
        Steps to forecast.
    stride : int
        Steps from one window to the next.
    target : int or None
        The feature to forecast; None stands for all of them.

    Returns
    -------
    x : ndarray (N, length, C)
        The windows of a single series are a read-only view of it.
    y : ndarray (N, horizon) where one feature is forecast, else (N, horizon, C)
        The former are the targets of a ``ManyToOne`` with ``output_size=horizon`` and ``task="regression"``.

    Raises
    ------
    ValueError
        A series with fewer than ``length + horizon`` steps, or with other features than the first.
    TypeError
        Values that are no real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = windows(np.arange(6.0), 3, horizon=2)
    >>> x[..., 0].tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    >>> y.tolist()
    [[3.0, 4.0], [4.0, 5.0]]
    """
    length, horizon = checks.as_size("length", length), checks.as_size("horizon", horizon)
    stride = checks.as_size("stride", stride)
    found = as_series("series", series)
    features = next(iter(found.values())).shape[1]
    chosen = None if target is None else checks.as_integer("target", target, least=0, most=features - 1)
    for name, one in found.items():
        if len(one) < length + horizon:
            wanted = f"at least length + horizon = {length + horizon} steps are required"
            raise ValueError(f"{name}: {wanted}, got {len(one)}")
    pairs = [_windows(one, length, horizon, stride) for one in found.values()]
    x, y = (parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*pairs, strict=True))
    if chosen is None and features > 1:
        return x, y
    return x, y[..., chosen or 0]


def _windows(series: Array, length: int, horizon: int, stride: int) -> tuple[Array, Array]:
    whole = np.lib.stride_tricks.sliding_window_view(series, length + horizon, axis=0)[::stride].transpose(0, 2, 1)
    return whole[:, :length], whole[:, length:]

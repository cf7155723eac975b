"""Curves: what training reported, how far gradients reach back, and forecasts with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.plot.axes import STYLES, above, axes_of, index_of, numbers, styles, whole_numbers

MOST_DOTS = 60  # that have room for a size of their own


def learning_curves(history: Any, names: str | Sequence[str] | None = None, *, ax: Any = None) -> Any:
    """Draw quantities of a training over its epochs.

    Parameters
    ----------
    history : History or dict of str to list of float
        What ``fit`` returned.
    names : str, several of them, or None
        The quantities to draw. None draws all losses, or everything where there is no loss.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there are no epochs, or a quantity is unknown.

    Examples
    --------
    >>> axes = learning_curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.8], "val_accuracy": [0.5, 0.7]})
    >>> [line.get_label() for line in axes.lines], axes.get_xlabel()
    (['loss', 'val_loss'], 'epoch')
    """
    values = checks.as_mapping("history", getattr(history, "history", history))
    if names is None:
        chosen = [name for name in values if name.endswith("loss")] or list(values)
    else:
        given = [names] if isinstance(names, str) else checks.as_items("names", names)
        chosen = [checks.as_choice("names", name, values) for name in given]
    if not chosen or not all(len(values[name]) for name in chosen):
        raise ValueError("history: at least one epoch is required, got none")
    ax, first = axes_of(ax), 1 + getattr(history, "initial_epoch", 0)
    for name, look in zip(chosen, styles(), strict=False):
        epochs = first + np.arange(len(values[name]))
        ax.plot(epochs, values[name], label=name, markevery=max(1, len(epochs) // 10), **look)
    losses = all(name.endswith("loss") for name in chosen)
    ax.set(xlabel="epoch", ylabel="loss" if losses else chosen[0] if len(chosen) == 1 else "value")
    whole_numbers(ax.xaxis)
    if len(chosen) > 1:
        above(ax)
    return ax


def gradient_norms(
    norms: npt.ArrayLike, *, sequence: int | None = None, bidirectional: bool = False, ax: Any = None
) -> Any:
    """Draw the gradient's norm |dL/dh(t)| of every layer and direction over the steps, on a logarithmic scale.

    A straight line that falls towards early steps is a gradient that vanishes by a factor at every step; one that
    rises towards them explodes (Bengio et al. 1994). Zeros, as past the lengths, are left out.

    Parameters
    ----------
    norms : array (L*D, N, T)
        ``tape.gradient_norms`` after ``backward(..., gradient_norms=True)``.
    sequence : int or None
        One of the N sequences. None draws the median over all of them.
    bidirectional : bool
        Whether the layers have two directions, which stand side by side in ``norms``.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the shape is another one, or there is no such sequence.

    References
    ----------
    Y. Bengio, P. Simard, P. Frasconi, "Learning long-term dependencies with gradient descent is difficult", IEEE
    Transactions on Neural Networks 5 (1994).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer = rf.RNN(3, 5, num_layers=2, seed=0)
    >>> y, state, tape = layer.forward(np.ones((4, 7, 3), np.float32))
    >>> dx, dstate = layer.backward(tape, None, state, gradient_norms=True)
    >>> axes = gradient_norms(tape.gradient_norms)
    >>> [line.get_label() for line in axes.lines], axes.get_yscale()
    (['layer 0', 'layer 1'], 'log')
    """
    given = numbers("norms", norms, "L*D", "N", "T")
    present = np.where(given > 0, given, np.nan)
    if sequence is not None:
        shown = present[:, index_of("sequence", sequence, present.shape[1])]
    else:
        shown = np.full((len(present), present.shape[2]), np.nan)
        some = (~np.isnan(present)).any(axis=1)
        shown[some] = np.nanmedian(present.transpose(0, 2, 1)[some], axis=1)
    ways = ("", ", reverse") if checks.as_flag("bidirectional", bidirectional) else ("",)
    ax = axes_of(ax)
    for index, (row, look) in enumerate(zip(shown, styles(), strict=False)):
        ax.plot(
            np.arange(len(row)),
            row,
            label=f"layer {index // len(ways)}{ways[index % len(ways)]}",
            markevery=max(1, len(row) // 10),
            **look,
        )
    median = "median of " if sequence is None and present.shape[1] > 1 else ""
    ax.set(xlabel="step t", ylabel=f"{median}|dL/dh(t)|", yscale="log")
    whole_numbers(ax.xaxis)
    if len(shown) > 1:
        above(ax)
    return ax


def forecast(
    past: npt.ArrayLike | None,
    quantiles: npt.ArrayLike,
    levels: npt.ArrayLike | None = None,
    *,
    actual: npt.ArrayLike | None = None,
    times: npt.ArrayLike | None = None,
    label: str = "value",
    ax: Any = None,
) -> Any:
    """Draw a forecast as a fan: its median over bands between pairs of quantiles, behind the past.

    Bands pair the outermost levels, then the next ones; the inner a band, the darker.

    Parameters
    ----------
    past : array (P,) or None
        What was known, up to the last step before the forecast. None, P = 0: there is nothing to draw of it.
    quantiles : array (F, Q) or (F,)
        Quantiles of the F steps that follow; without ``levels`` one number for each, which is drawn as a line.
    levels : array (Q,) or None
        Their levels, rising, within (0, 1), as (0.1, 0.5, 0.9); the middle one of an odd number is drawn as a line.
    actual : array (F,) or None
        What came.
    times : array (P + F,) or None
        Places of all steps; by default 0, 1, 2, ...
    label : str
        What the numbers are, with their unit.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If a shape does not fit, levels do not rise, or quantiles fall as levels rise.

    Examples
    --------
    >>> axes = forecast([1.0, 2.0], [[2.5, 3.0, 3.5], [2.0, 4.0, 6.0]], (0.1, 0.5, 0.9))
    >>> axes.lines[1].get_ydata(), [band.get_label() for band in axes.collections]
    (array([3., 4.]), ['10 % to 90 %'])
    """
    known = np.zeros(0) if past is None else numbers("past", past, "P")
    fan, p = _fan(quantiles, levels)
    P, F, Q = len(known), len(fan), len(p)
    came = None if actual is None else numbers("actual", actual, "F")
    if came is not None and len(came) != F:
        raise ValueError(f"actual: shape (F,) with F = {F} is required, got {came.shape}")
    places = np.arange(P + F) if times is None else checks.as_array("times", times)
    if places.shape != (P + F,):
        raise ValueError(f"times: shape (P + F,) = ({P + F},) is required, got {places.shape}")
    name, ax = checks.as_text("label", label), axes_of(ax)
    black, blue = STYLES[0][0], STYLES[1][0]
    if P:
        ax.plot(places[:P], known, color=black, label="past")
    if Q % 2:
        middle = "forecast" if levels is None else f"forecast, {100 * p[Q // 2]:g} %"
        alone = {"marker": "s", "markersize": 5} if F == 1 else {}
        ax.plot(places[P:], fan[:, Q // 2], color=blue, linestyle="--", label=middle, **alone)
    if came is not None:
        size = 6 if F <= MOST_DOTS else 2
        dots = {"linestyle": "none", "marker": "o", "markersize": size, "markeredgecolor": "white", "zorder": 3}
        ax.plot(places[P:], came, color=black, label="actual", **dots, markeredgewidth=1.0 if size > 2 else 0.0)
    for inner in range(Q // 2):
        band = f"{100 * p[inner]:g} % to {100 * p[-1 - inner]:g} %"
        shade = 0.6 * (inner + 1) / (Q // 2 + 1)
        ax.fill_between(places[P:], fan[:, inner], fan[:, -1 - inner], color=blue, alpha=shade, linewidth=0, label=band)
    ax.set(xlabel="step t" if times is None else "time", ylabel=name)
    if times is None:
        whole_numbers(ax.xaxis)
    above(ax)
    return ax


def predicted_against_true(
    true: npt.ArrayLike, predicted: npt.ArrayLike, *, label: str = "value", ax: Any = None
) -> Any:
    """Draw each prediction over what was true; right ones lie on the line.

    Parameters
    ----------
    true, predicted : array (N,)
        Numbers. Pairs with a NaN are left out.
    label : str
        What they are, with their unit.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the shapes differ, or there is no pair.

    Examples
    --------
    >>> axes = predicted_against_true([1.0, 2.0], [1.5, 2.0], label="height / m")
    >>> axes.lines[-1].get_xydata().tolist(), axes.get_xlabel()
    ([[1.0, 1.5], [2.0, 2.0]], 'true height / m')
    """
    x, y, name = numbers("true", true, "N"), numbers("predicted", predicted, "N"), checks.as_text("label", label)
    if x.shape != y.shape:
        raise ValueError(f"predicted: shape (N,) with N = {len(x)} is required, got {y.shape}")
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        raise ValueError("true: at least one pair of finite numbers is required, got none")
    x, y, ax = x[finite], y[finite], axes_of(ax)
    ax.axline((x[0], x[0]), slope=1, color=STYLES[0][0], linewidth=1, label="right")
    size = float(np.clip(60 / len(x) ** 0.5, 1.5, 6.0))  # the more dots, the smaller
    dots = {"linestyle": "none", "marker": "o", "markersize": size, "markeredgewidth": 0}
    ax.plot(x, y, color=STYLES[1][0], alpha=0.5, label="predictions", **dots)
    ax.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
    return ax


def _fan(quantiles: Any, levels: Any) -> tuple[Array, Array]:
    """Return quantiles (F, Q) and their levels (Q,); a forecast without levels is one column."""
    if levels is None and np.ndim(quantiles) == 2:
        raise ValueError(f"levels: one for each column of quantiles {np.shape(quantiles)} is required, got None")
    if levels is None:
        return numbers("quantiles", quantiles, "F")[:, None], np.array([0.5])
    fan, p = numbers("quantiles", quantiles, "F", "Q"), numbers("levels", levels, "Q")
    Q = fan.shape[1]
    if len(p) != Q or not ((p > 0) & (p < 1)).all() or not (np.diff(p) > 0).all():
        raise ValueError(f"levels: Q = {Q} that rise within (0, 1) are required, got {p.tolist()}")
    if (np.diff(fan, axis=1) < 0).any():
        raise ValueError("quantiles: rows that do not fall are required (Q levels that rise), got crossed ones")
    return fan, p

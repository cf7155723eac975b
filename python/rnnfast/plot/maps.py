"""Heat maps: states, gates, attention, saliency and confusion, with the labels of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.plot.axes import axes_of, index_of, numbers, set_labels, texts, whole_numbers

COLOURS = "cividis"  # its lightness rises evenly, also for colour-blind readers (Nunez et al. 2018)
MOST_LABELS = 100
MOST_CELLS_WITH_NUMBERS = 900
FEW_CLASSES = 10  # of more, a confusion matrix has no zeros written


def heat_map(
    values: npt.ArrayLike,
    *,
    rows: Sequence[Any] | None = None,
    columns: Sequence[Any] | None = None,
    low: float | None = None,
    high: float | None = None,
    xlabel: str = "step t",
    ylabel: str = "unit",
    label: str = "",
    ax: Any = None,
) -> Any:
    """Draw an array as colours, from dark (low) to light (high).

    Parameters
    ----------
    values : array (R, K)
        Row 0 is drawn at the top. NaN is left empty.
    rows, columns : sequence or None
        Labels of the R rows and the K columns; None numbers them.
    low, high : float or None
        The ends of the scale; None takes the least and the largest value.
    xlabel, ylabel, label : str
        What columns, rows and colours stand for, with their units.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If a shape or the number of labels does not fit, or ``low`` is above ``high``.

    Examples
    --------
    >>> axes = heat_map([[0.0, 1.0], [2.0, 3.0]], rows="ab")
    >>> axes.images[0].get_array().tolist(), [text.get_text() for text in axes.get_yticklabels()]
    ([[0.0, 1.0], [2.0, 3.0]], ['a', 'b'])
    """
    array = numbers("values", values, "R", "K")
    named = texts("rows", rows, array.shape[0]), texts("columns", columns, array.shape[1])
    least, most = _limits(array, low, high)
    said = [checks.as_text(n, text) for n, text in (("xlabel", xlabel), ("ylabel", ylabel), ("label", label))]
    ax = axes_of(ax)
    image = ax.imshow(array, aspect="auto", interpolation="nearest", cmap=COLOURS, vmin=least, vmax=most)
    for axis, labels in zip((ax.yaxis, ax.xaxis), named, strict=True):
        if labels is None:
            whole_numbers(axis)
            continue
        every = -(-len(labels) // MOST_LABELS)
        set_labels(axis, range(0, len(labels), every), labels[::every])
    ax.tick_params(length=0)
    ax.set(xlabel=said[0], ylabel=said[1])
    ax.figure.colorbar(image, ax=ax, label=said[2], pad=0.02)
    return ax


def hidden_states(
    trace: Any,
    *,
    layer: int = -1,
    sequence: int = 0,
    cell_state: bool = False,
    labels: Sequence[Any] | None = None,
    ax: Any = None,
) -> Any:
    """Draw the states of a layer's units over the steps of a sequence.

    Parameters
    ----------
    trace : Trace
        From ``trace(x)`` of a batch-first layer or of a model.
    layer, sequence : int
        Which layer and which sequence; negative ones count from the end.
    cell_state : bool
        Whether to draw c of an LSTM in place of h.
    labels : sequence or None
        What was read at each step: the characters or words themselves. As many as there are steps, or fewer: then the
        steps past them are left out.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        Light is high, dark is low; the middle of the scale is 0.

    Raises
    ------
    ValueError
        If there is no such layer, sequence or state, or there are more labels than steps.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> trace = rf.GRU(3, 5, seed=0).trace(np.ones((1, 4, 3), np.float32))
    >>> axes = hidden_states(trace, labels="abcd")
    >>> bool((axes.images[0].get_array() == trace.h[-1][0].T).all())
    True
    """
    name = "c" if checks.as_flag("cell_state", cell_state) else "h"
    values = _states(getattr(trace, name, None), name, layer, sequence, labels)
    bound = _bound(values)
    return heat_map(values.T, columns=labels, low=-bound, high=bound, xlabel=_x(labels), label=f"{name}(t)", ax=ax)


def gates(
    trace: Any,
    gate: str,
    *,
    layer: int = -1,
    sequence: int = 0,
    labels: Sequence[Any] | None = None,
    ax: Any = None,
) -> Any:
    """Draw how far a gate of a layer's units is open over the steps of a sequence.

    Parameters
    ----------
    trace : Trace
        From ``trace(x)`` of a batch-first LSTM or GRU, or of a model.
    gate : str
        One of ``trace.gates``: "i", "f", "g", "o" of an LSTM, "r", "z", "n" of a GRU.
    layer, sequence, labels, ax
        As for ``hidden_states``.

    Returns
    -------
    matplotlib Axes
        The scale goes from 0, closed, to 1, open; for g and n, and for activations beyond these bounds, it is that of
        ``hidden_states``.

    Raises
    ------
    ValueError
        If there is no such gate, layer or sequence, or there are more labels than steps.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> trace = rf.LSTM(3, 5, seed=0).trace(np.ones((1, 4, 3), np.float32))
    >>> axes = gates(trace, "f")
    >>> axes.images[0].get_clim()
    (0.0, 1.0)
    """
    known = checks.as_mapping("trace", getattr(trace, "gates", trace))
    values = _states(known[checks.as_choice("gate", gate, known)], gate, layer, sequence, labels)
    signed = gate in ("g", "n") or np.nanmin(values) < 0 or np.nanmax(values) > 1
    low, high = (-_bound(values), _bound(values)) if signed else (0.0, 1.0)
    return heat_map(values.T, columns=labels, low=low, high=high, xlabel=_x(labels), label=f"gate {gate}(t)", ax=ax)


def attention(
    weights: npt.ArrayLike,
    *,
    source: Sequence[Any] | None = None,
    written: Sequence[Any] | None = None,
    ax: Any = None,
) -> Any:
    """Draw what an ``EncoderDecoder`` attended to: a row for each element written, a column for each step read.

    Parameters
    ----------
    weights : array (T, S)
        One of those that ``predict(x, return_attention=True)`` returns.
    source, written : sequence or None
        Labels of the S steps of the source and the T elements written.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the shape or the number of labels does not fit.

    Examples
    --------
    >>> axes = attention([[0.9, 0.1], [0.2, 0.8]], source="ab", written="BA")
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('source', 'written')
    """
    array = numbers("weights", weights, "T", "S")
    texts("source", source, array.shape[1]), texts("written", written, array.shape[0])
    names = {"xlabel": "source", "ylabel": "written", "label": "attention weight"}
    return heat_map(array, rows=written, columns=source, low=0.0, high=1.0, **names, ax=ax)


def saliency(
    values: npt.ArrayLike,
    *,
    labels: Sequence[Any] | None = None,
    features: Sequence[Any] | None = None,
    label: str = "dy/dx",
    ax: Any = None,
) -> Any:
    """Draw how an output depends on the inputs of a sequence.

    Parameters
    ----------
    values : array (T, F) or (T,)
        Of one sequence: gradients or shares of each input, from ``rnnfast.analysis``; or one number for each step, as
        the sum of the shares over the F numbers of an embedded vector.
    labels : sequence or None
        What was read at each step; as many as there are steps, or fewer: then the steps past them are left out.
    features : sequence or None
        Names of the F features.
    label : str
        What the values are, with their unit.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        For (T, F) a heat map whose middle is 0, for (T,) bars.

    Raises
    ------
    ValueError
        If a shape or the number of labels does not fit.

    Examples
    --------
    >>> axes = saliency([0.5, -0.25], labels=["not", "bad"], label="share of the logit")
    >>> [float(bar.get_height()) for bar in axes.patches]
    [0.5, -0.25]
    """
    given = checks.as_array("values", values)
    array = numbers("values", given, "T") if given.ndim == 1 else numbers("values", given, "T", "F")
    array, bound = array[: _count(labels, len(array))], _bound(array)
    if features is not None and array.ndim == 1:
        raise ValueError(f"features: None is required beside one number for each step, got {checks.shown(features)}")
    if array.ndim == 2:
        texts("features", features, array.shape[1])
        low, high = -bound, bound
        return heat_map(
            array.T,
            rows=features,
            columns=labels,
            low=low,
            high=high,
            xlabel=_x(labels),
            ylabel="feature",
            label=label,
            ax=ax,
        )
    named, said, ax = texts("labels", labels, len(array)), checks.as_text("label", label), axes_of(ax)
    ax.bar(np.arange(len(array)), array, color=["#0072B2" if value < 0 else "#E69F00" for value in array])
    ax.axhline(0.0, color="#000000", linewidth=0.8)
    whole_numbers(ax.xaxis)
    if named is not None:
        every = -(-len(named) // MOST_LABELS)
        set_labels(ax.xaxis, range(0, len(named), every), named[::every])
    ax.set(xlabel=_x(labels), ylabel=said)
    return ax


def confusion_matrix(
    true: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    classes: Sequence[Any] | int | None = None,
    normalize: bool = False,
    ax: Any = None,
) -> Any:
    """Draw how often each class was predicted as each, with the counts.

    Parameters
    ----------
    true, predicted : integers (N,)
        Class ids 0..K-1.
    classes : sequence, int or None
        Names of the K classes, or K. None takes as many as occur.
    normalize : bool
        Whether to draw the share of each true class, which add up to 1 in a row, in place of counts.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If a shape or the number of classes does not fit.
    TypeError
        If the ids are no integers.

    Examples
    --------
    >>> axes = confusion_matrix([0, 0, 1], [0, 1, 1], classes=["cat", "dog"])
    >>> axes.images[0].get_array().tolist(), [text.get_text() for text in axes.texts]
    ([[1.0, 1.0], [0.0, 1.0]], ['1', '1', '0', '1'])
    """
    ids = [checks.as_array(name, given) for name, given in (("true", true), ("predicted", predicted))]
    for name, each in zip(("true", "predicted"), ids, strict=True):
        if each.ndim != 1 or each.shape != ids[0].shape or len(each) == 0:
            raise ValueError(f"{name}: shape (N,), N = {len(np.atleast_1d(ids[0]))} > 0, is required, got {each.shape}")
        if each.dtype.kind not in "iu":
            raise TypeError(f"{name}: integers are required, got dtype {each.dtype}")
    largest, least = max(int(each.max()) for each in ids), min(int(each.min()) for each in ids)
    labels = [str(each) for each in checks.as_items("classes", classes)] if np.iterable(classes) else None
    K = largest + 1 if classes is None else checks.as_size("classes", classes) if labels is None else len(labels)
    if least < 0 or largest >= K:
        raise ValueError(f"classes: as many as there are ids, 0..{K - 1}, are required, got ids {least}..{largest}")
    share = checks.as_flag("normalize", normalize)
    counts = np.zeros((K, K))
    np.add.at(counts, (ids[0].astype(np.int64), ids[1].astype(np.int64)), 1)
    shown = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) if share else counts
    names = {"xlabel": "predicted class", "ylabel": "true class", "label": "share of the true class"}
    names = names if share else names | {"label": "count"}
    high = 1.0 if share else float(counts.max())
    ax = heat_map(shown, rows=labels, columns=labels, low=0.0, high=high, **names, ax=ax)
    if K * K <= MOST_CELLS_WITH_NUMBERS:
        for (row, column), value in np.ndenumerate(shown):
            if not value and K > FEW_CLASSES:
                continue
            colour = "black" if value > high / 2 else "white"
            text = f"{value:.2f}" if share else f"{value:.0f}"
            ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    return ax


def _states(arrays: Any, name: str, layer: Any, sequence: Any, labels: Any) -> Array:
    """Return the values (T, units) of one layer and sequence, as many steps as there are labels."""
    if not arrays:
        raise ValueError(f"trace: one with {name} is required, got one without")
    chosen = arrays[index_of("layer", layer, len(arrays))]
    values = numbers("trace", chosen, "N", "T", "units")[index_of("sequence", sequence, len(chosen))]
    return np.asarray(values[: _count(labels, len(values))])


def _count(labels: Any, steps: int) -> int:
    """Return how many of the steps the labels name."""
    if labels is None:
        return steps
    count = len(list(checks.as_items("labels", labels)))
    if not 0 < count <= steps:
        raise ValueError(f"labels: 1..{steps} labels are required (T = {steps}), got {count}")
    return count


def _limits(values: Array, low: Any, high: Any) -> tuple[float, float]:
    """Return the ends of the scale; those that are not given are the least and the largest value."""
    finite = values[np.isfinite(values)]
    least = float(finite.min(initial=np.inf if finite.size else 0.0)) if low is None else checks.as_number("low", low)
    most = (
        float(finite.max(initial=-np.inf if finite.size else 1.0)) if high is None else checks.as_number("high", high)
    )
    if least > most:
        raise ValueError(f"low: at most high = {most:g} is required, got {least:g}")
    return least, most


def _bound(values: Array) -> float:
    return float(np.nanmax(np.abs(values), initial=0.0)) or 1.0


def _x(labels: Any) -> str:
    return "step t" if labels is None else "input at step t"

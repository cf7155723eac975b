"""Which inputs an output depends on: gradients with respect to the inputs, and their integrals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.analysis.steps import finite, in_double
from rnnfast.arrays import Array, Int64
from rnnfast.copies import CopiedWhole
from rnnfast.models import ManyToMany, ManyToOne

FIRST_NODES = 32
Gradient = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class IntegratedGradients(CopiedWhole):
    """What every input adds to an output, as ``integrated_gradients`` returns it.

    Attributes
    ----------
    values : float64 array (N, T, F)
        The share of each input, in units of the output; zero past the lengths.
    outputs, baseline_outputs : float64 array (N,)
        The output of the sequences, and that of the baseline.
    """

    values: Array
    outputs: Array
    baseline_outputs: Array

    @property
    def gaps(self) -> Array:
        """Error of the integral, (N,): the sum of the shares less ``outputs - baseline_outputs``."""
        return np.asarray(self.values.sum(axis=(1, 2)) - (self.outputs - self.baseline_outputs))


def saliency(
    model: Any,
    x: Any,
    *,
    target: npt.ArrayLike | None = None,
    step: int | None = None,
    head: str | None = None,
    lengths: npt.ArrayLike | None = None,
) -> Array:
    """Return the gradient ``dy_k / dx`` of an output with respect to all inputs of its sequence.

    y is what the head computes before the task decides: logits of classes, or numbers.

    Parameters
    ----------
    model : ManyToOne or ManyToMany
        Of any dtype and cell; computed without dropout.
    x : array (N, T, C), ids (N, T), or a list of (T_i, C) or of ids (T_i,)
        The sequences.
    target : int, integers (N,), or None
        The output k of each sequence. None takes its largest output.
    step : int or None
        The step whose output is taken of a ``ManyToMany``; negative ones count from the end of each sequence. None
        takes the last one. A ``ManyToOne`` has no other.
    head : str or None
        The head, of a model with several.
    lengths : integers (N,) or None
        Lengths of the sequences in an array x.

    Returns
    -------
    float64 array (N, T, F)
        Zero past the lengths. Of ids, the gradient is with respect to the F numbers of their embedded vectors.

    Raises
    ------
    ValueError
        If data do not fit the model, or an output, a step or a head does not exist.
    TypeError
        If the model is another one, or an argument has another type.

    References
    ----------
    K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks: visualising image classification models
    and saliency maps", ICLR workshop (2014).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> model = rf.ManyToOne(3, 2, hidden_size=4, seed=0)
    >>> saliency(model, np.ones((5, 7, 3)), target=1).shape
    (5, 7, 3)
    """
    rows, gradient, padded = _output(model, x, target, step, head, lengths)
    return padded(gradient(rows)[1])


def integrated_gradients(
    model: Any,
    x: Any,
    *,
    target: npt.ArrayLike | None = None,
    baseline: npt.ArrayLike = 0.0,
    tolerance: float = 1e-4,
    max_nodes: int = 1024,
    step: int | None = None,
    head: str | None = None,
    lengths: npt.ArrayLike | None = None,
) -> IntegratedGradients:
    """Share the difference between an output and that of a baseline among all inputs of its sequence.

    ``(x - x') * integral of dy_k / dx (x' + a (x - x')) da`` from a = 0 to 1, with the baseline x'. The shares add up
    to ``y_k(x) - y_k(x')`` but for the error of the integral, which ``gaps`` shows.

    Parameters
    ----------
    model, x, target, step, head, lengths
        As for ``saliency``.
    baseline : float, array (F,) or (N, T, F)
        x', which stands for the absence of information; of ids, an embedded vector.
    tolerance : float
        Largest error of a sum of shares, in units of the output. From 32 on, the nodes of the Gauss-Legendre quadrature
        are doubled until it is reached.
    max_nodes : int
        Most nodes, each of which takes a forward and a backward pass. Where they do not suffice, ``gaps`` shows it.

    Returns
    -------
    IntegratedGradients

    Raises
    ------
    ValueError, TypeError
        As from ``saliency``, or on a baseline of another shape.

    References
    ----------
    M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML (2017).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> model = rf.ManyToOne(3, 2, hidden_size=4, seed=0)
    >>> shares = integrated_gradients(model, np.ones((5, 7, 3)), target=1)
    >>> shares.values.shape, bool(np.abs(shares.gaps).max() < 1e-4)
    ((5, 7, 3), True)
    """
    tolerance, most = checks.at_least_zero("tolerance", tolerance), checks.as_size("max_nodes", max_nodes)
    rows, gradient, padded = _output(model, x, target, step, head, lengths)
    valid = padded(np.ones((len(rows), 1)))[..., 0] > 0
    start = finite("baseline", checks.as_array("baseline", baseline))
    shape = (*valid.shape, rows.shape[1])
    if start.shape not in ((), shape[2:], shape):
        raise ValueError(f"baseline: a number, shape (F,) or (N, T, F) = {shape} is required, got {start.shape}")
    first = np.broadcast_to(start, shape)[valid]
    ends = {"outputs": gradient(rows)[0], "baseline_outputs": gradient(first)[0]}
    nodes = min(FIRST_NODES, most)
    while True:
        mean = _mean(lambda a: gradient(first + a * (rows - first))[1], nodes)
        found = IntegratedGradients(values=padded((rows - first) * mean), **ends)
        if nodes == most or np.abs(found.gaps).max(initial=0) <= tolerance:
            return found
        nodes = min(2 * nodes, most)


def _mean(function: Callable[[float], Array], nodes: int) -> Array:
    """Return the mean of a function over 0 to 1, by Gauss-Legendre quadrature."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    terms = (weight * function(a) for a, weight in zip((points + 1) / 2, weights / 2, strict=True))
    return np.asarray(sum(terms, np.zeros(())))


def _output(
    model: Any, x: Any, target: Any, step: int | None, head: str | None, lengths: Any
) -> tuple[Array, Gradient, Callable[[Array], Array]]:
    """Return the rows (R, F) that the layers read; their function, outputs (N,) and gradient (R, F); and what pads."""
    if not isinstance(model, ManyToOne | ManyToMany):
        raise TypeError(f"model: a ManyToOne or ManyToMany is required, got {checks.shown(model)}")
    part = model.heads.parts[_head(head, list(model.heads.parts))]
    weight = part.weight.value.astype(np.float64)
    bias = np.zeros(len(weight)) if part.bias is None else part.bias.value.astype(np.float64)
    read = model.backbone.read(x, lengths)
    sequences, layer = model.backbone.input.vectors(read), in_double(model.rnn)
    if (sequences.lengths == 0).any():
        raise ValueError("x: sequences of at least one step are required, got an empty one")
    ends = isinstance(model, ManyToOne)
    if ends and step is not None:
        raise ValueError(f"step: None is required of a ManyToOne, got {checks.shown(step)}")
    steps = _steps(-1 if step is None else step, sequences.lengths)
    offsets = np.cumsum(sequences.lengths) - sequences.lengths

    def run(rows: Array) -> tuple[Array, Any]:
        y, last, tape = layer.forward_rows(rows, offsets, sequences.lengths, training=False)
        return (_last_h(layer, last) if ends else y[offsets + steps]), tape

    rows = np.asarray(sequences.flat(), np.float64)
    outputs = run(rows)[0] @ weight.T + bias
    chosen = outputs.argmax(axis=1) if target is None else _target(target, outputs.shape)

    def gradient(rows: Array) -> tuple[Array, Array]:
        h, tape = run(rows)
        outputs = (h * weight[chosen]).sum(axis=1) + bias[chosen]
        if ends:
            return outputs, layer.backward(tape, None, model.backbone.dstate_of_last_h(weight[chosen]))[0]
        dy = np.zeros((len(rows), h.shape[1]))
        dy[offsets + steps] = weight[chosen]
        return outputs, layer.backward(tape, dy)[0]

    return rows, gradient, lambda values: sequences.pad(values)


def _last_h(layer: Any, state: Any) -> Array:
    h = state[0] if isinstance(state, tuple) else state
    return np.concatenate(list(h[-layer.directions :]), axis=1)


def _head(head: str | None, known: list[str]) -> str:
    if known == [""]:
        if head is not None:
            raise ValueError(f"head: None is required of a model with one head, got {checks.shown(head)}")
        return ""
    return checks.as_choice("head", head, known)


def _steps(step: int, lengths: Int64) -> Int64:
    number = checks.as_integer("step", step)
    least = int(lengths.min())
    if not -least <= number < least:
        raise ValueError(f"step: one that all sequences have, -{least}..{least - 1}, is required, got {number}")
    return np.where(number < 0, lengths + number, number)


def _target(target: Any, shape: tuple[int, ...]) -> Int64:
    given = checks.as_array("target", target)
    if given.dtype.kind not in "iu":
        raise TypeError(f"target: integers are required, got dtype {given.dtype}")
    if given.shape not in ((), shape[:1]):
        raise ValueError(f"target: an integer, or shape (N,) = {shape[:1]} is required, got {given.shape}")
    if ((given < 0) | (given >= shape[1])).any():
        raise ValueError(f"target: outputs 0..{shape[1] - 1} are required, got {checks.shown(target)}")
    return np.broadcast_to(given.astype(np.int64), shape[:1])

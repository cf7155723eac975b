"""What every loss is: a mean over target elements and its gradient, with weights and missing values."""

from __future__ import annotations

import inspect
import math
from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, DType, Float64
from rnnfast.copies import CopiedWhole


class Loss(CopiedWhole, ABC):
    """A weighted mean over target elements, ``loss = sum(w l) / sum(w)``, and its gradient.

    A loss of your own is a subclass with a ``name``; models then accept the name as ``loss=``, and their files keep it.
    A loss of numbers implements ``values``, the loss of each number by itself; any other one implements ``mean``.

    Attributes
    ----------
    name : str
        The name by which ``loss=`` and a model's file refer to the class. A subclass with a name is known at once.
    element : "id", "labels" or "vector"
        What one target element is: a class id, labels in [0, 1], or real numbers.
    width : int
        P, the outputs of a head for each number: the parameters of its distribution, or its quantiles.
    direct : bool
        Whether the outputs themselves are the predicted numbers.
    weighs, weighs_elements : bool
        Whether ``mean`` takes weights, and weights (M, K), one for each number. NaN is a missing value then.

    Examples
    --------
    The squared error of logarithms:

    >>> import numpy as np
    >>> import rnnfast as rf
    >>> class SquaredLog(rf.losses.Loss):
    ...     name = "squared_log"
    ...
    ...     def values(self, outputs, targets):
    ...         error = outputs[:, 0] - np.log(targets)
    ...         return error**2, 2 * error[:, None]
    >>> loss, gradient = rf.losses.as_loss("loss", "squared_log")(np.array([[1.0], [2.0]]), np.array([[1.0], [np.nan]]))
    >>> loss, gradient.tolist()
    (1.0, [[2.0], [0.0]])
    >>> rf.ManyToOne(3, 1, loss="squared_log", hidden_size=4, seed=0).task.title
    'regression (squared_log)'
    """

    name: ClassVar[str]
    known: ClassVar[dict[str, type[Loss]]] = {}
    element: Literal["id", "labels", "vector"] | None = "vector"
    width: int = 1
    direct: bool = True
    weighs: bool = True
    weighs_elements: bool = True

    def __init_subclass__(cls, **options: Any) -> None:
        """Make the class known by its name."""
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            Loss.known[cls.name] = cls

    def options(self) -> dict[str, Any]:
        """Return the constructor's arguments that are not the defaults, which a model's file keeps."""
        return {}

    def __call__(
        self, outputs: npt.ArrayLike, y: npt.ArrayLike, weights: npt.ArrayLike | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its gradient, for a training loop of your own.

        Parameters
        ----------
        outputs : float32 or float64 array (..., K)
            What a head returns: logits, numbers, or P outputs for each number side by side, (..., K P).
        y : integers (...) of a loss of classes, else array (..., K)
            The targets. NaN is a missing value: it has no loss and no gradient.
        weights : array (...) or (..., K), optional
            The weight of each element, or of each of its numbers; finite and at least 0.

        Returns
        -------
        loss : float
        gradient : array like outputs

        Raises
        ------
        ValueError
            Shapes that do not fit, targets out of range, weights that are negative or not finite.
        TypeError
            Outputs of another dtype.
        """
        given = checks.as_array("outputs", outputs)
        if given.dtype not in (np.float32, np.float64):
            raise TypeError(f"outputs: float32 or float64 is required, got {given.dtype}")
        if given.ndim == 0:
            raise ValueError("outputs: shape (..., K) is required, got a number")
        rows = given.reshape(math.prod(given.shape[:-1]), given.shape[-1])
        targets = self._targets(checks.as_array("y", y), given)
        own = None if weights is None else _weights(weights, targets, given.shape[:-1])
        targets, own = without_missing(targets, own, self.missing(targets), given.dtype)
        self.check("y", targets)
        loss, gradient = self.mean(rows, targets, None if own is None else own.astype(given.dtype))
        return loss, gradient.reshape(given.shape)

    def _targets(self, y: Array, outputs: Array) -> Array:
        """Return targets (M, K) in the dtype of the outputs (..., K P)."""
        wanted = (*outputs.shape[:-1], outputs.shape[-1] // self.width)
        if outputs.shape[-1] % self.width or y.shape != wanted:
            each = f", {self.width} outputs for each number" if self.width > 1 else ""
            raise ValueError(f"y: shape {wanted} is required, as the outputs have{each}, got {y.shape}")
        values = checks.as_reals("y", y, outputs.dtype).reshape(-1, wanted[-1])
        if np.isinf(values).any():
            raise ValueError("y: finite numbers, or NaN for missing ones, are required, got inf")
        return values

    def check(self, name: str, targets: Array) -> None:
        """Raise ValueError for targets that the loss is not defined for; ``name`` is what messages call them."""

    def missing(self, targets: Array) -> npt.NDArray[np.bool_] | None:
        """Return which targets have no value, bool like ``targets``; None where all have one."""
        found = np.isnan(targets) if targets.dtype.kind == "f" else None
        return found if found is not None and found.any() else None

    def total(self, targets: Array, weights: Array | None) -> float:
        """Return the weight of all elements together, by which losses of batches are averaged."""
        return total_weight(targets, weights)

    def mean(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the weighted mean and its gradient (M, K P).

        ``outputs`` (M, K P), ``targets`` (M, K) and ``weights`` (M,), (M, K) or None are checked before. A number of
        weight 0 is not read; where all weights are 0, or M is, so are loss and gradient.
        """
        x = outputs.reshape(-1, self.width).astype(np.float64)
        t = targets.reshape(-1).astype(np.float64)
        w = np.ones(len(t)) if weights is None else _each(weights, targets.shape)
        gradient, total = np.zeros_like(x), w.sum()
        if not total:
            return 0.0, gradient.reshape(outputs.shape).astype(outputs.dtype)
        read = slice(None) if w.all() else np.flatnonzero(w)
        with np.errstate(over="ignore", invalid="ignore"):
            values, own = self.values(x[read], t[read])
            loss = float((values * w[read]).sum() / total)
            gradient[read] = own * (w[read] / total)[:, None]
            return loss, gradient.reshape(outputs.shape).astype(outputs.dtype)

    def values(self, outputs: Float64, targets: Float64) -> tuple[Float64, Float64]:
        """Return the losses (E,) of E numbers and their gradients (E, P), of outputs (E, P) and targets (E,)."""
        raise NotImplementedError(f"{type(self).__name__}: values, or mean, is required")

    def point(self, outputs: Array) -> Array:
        """Return the numbers (M, K) that outputs (M, K P) predict: the outputs themselves by default."""
        return outputs


class FunctionLoss(Loss):
    """A user's function ``(outputs, y) -> (loss, gradient)`` of a batch; one with an argument ``weights`` gets them.

    It has no name, so that no file can keep it. It fits every task, and its outputs are what the task says.
    """

    element = None

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        try:
            self.weighs = self.weighs_elements = "weights" in inspect.signature(function).parameters
        except (TypeError, ValueError):
            self.weighs = self.weighs_elements = False

    def mean(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return what the function returns, after checking it."""
        given = {"weights": weights} if self.weighs else {}
        found = self.function(outputs, targets, **given)
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(f"loss: a function that returns (loss, gradient) is required, got {checks.shown(found)}")
        gradient = np.asarray(found[1], outputs.dtype)
        if gradient.shape != outputs.shape:
            wanted = f"a gradient of the outputs' shape {outputs.shape}"
            raise ValueError(f"loss: {wanted} is required, got {gradient.shape}")
        return float(found[0]), gradient


def _weights(weights: npt.ArrayLike, targets: Array, rows: tuple[int, ...]) -> Array:
    """Return a user's weights (...) or (..., K) as (M,) or (M, K)."""
    own = checks.as_reals("weights", weights, np.dtype(np.float64))
    shapes = [rows] if targets.ndim == 1 else [rows, (*rows, targets.shape[1])]
    if own.shape not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise ValueError(f"weights: shape {wanted} is required, got {own.shape}")
    if not (np.isfinite(own) & (own >= 0)).all():
        raise ValueError("weights: finite numbers >= 0 are required, got others")
    return own.reshape(len(targets)) if own.shape == rows else own.reshape(targets.shape)


def _each(weights: Array, shape: tuple[int, ...]) -> Float64:
    """Return weights (M,) or (M, K) of every number, (M K,)."""
    own = weights if weights.ndim == len(shape) else weights.reshape(-1, *[1] * (len(shape) - 1))
    return np.broadcast_to(own, shape).reshape(-1).astype(np.float64)


def total_weight(targets: Array, weights: Array | None) -> float:
    """Return the sum of weights (M,) or (M, K) over the M elements: of (M, K) that of their means over K.

    Examples
    --------
    >>> import numpy as np
    >>> total_weight(np.zeros((2, 2)), None), total_weight(np.zeros((2, 2)), np.array([[1.0, 0.0], [2.0, 2.0]]))
    (2.0, 2.5)
    """
    if weights is None:
        return float(len(targets))
    return math.fsum(weights) if weights.ndim == 1 else math.fsum(weights.ravel()) / weights.shape[1]


def without_missing(
    targets: Array, weights: Array | None, missing: npt.NDArray[np.bool_] | None, dtype: DType
) -> tuple[Array, Array | None]:
    """Return targets with zeros in place of missing ones, and weights (M,) or (M, K) that are 0 there.

    Where they are 0 there already, they are the same object. ``dtype`` is that of new weights.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([[1.0, np.nan]])
    >>> without_missing(y, None, np.isnan(y), y.dtype)
    (array([[1., 0.]]), array([[1., 0.]]))
    """
    if missing is None:
        return targets, weights
    present = np.where(missing, targets.dtype.type(0), targets)
    if weights is None:
        weights = np.ones(1, dtype)
    own = weights.reshape(*weights.shape, *[1] * (missing.ndim - weights.ndim))
    if not (missing & (own > 0)).any():
        return present, weights
    return present, np.where(missing, own.dtype.type(0), own)


ALIASES = {"mean_squared_error": "mse", "mean_absolute_error": "mae", "pinball": "quantile", "normal": "gaussian"}


def as_loss(name: str, given: Any) -> Loss:
    """Return the loss that a user or a configuration means.

    Parameters
    ----------
    name : str
        What messages call it.
    given : Loss, str, dict of a name and options, or function
        A function takes (outputs, y), or also ``weights``, and returns (loss, gradient).

    Raises
    ------
    ValueError
        Another name; the message lists the known ones.
    TypeError
        Anything else.

    Examples
    --------
    >>> as_loss("loss", {"name": "huber", "delta": 2.0}).delta
    2.0
    """
    if isinstance(given, Loss):
        return given
    if isinstance(given, Mapping):
        options = dict(given)
        cls = Loss.known[_known(name, options.pop("name", None))]
        checks.known_arguments(f"{name}: {cls.name}", options, inspect.signature(cls).parameters)
        return cls(**options)
    if callable(given) and not isinstance(given, type):
        return FunctionLoss(given)
    return Loss.known[_known(name, given)]()


def _known(name: str, given: Any) -> str:
    known = ALIASES.get(given, given) if isinstance(given, str) else given
    return checks.as_choice(name, known, Loss.known, others=", a Loss or a function")


def loss_config(loss: Loss) -> Any:
    """Return what a model's configuration says of a loss: its name, or a dict of the name and its options.

    A function, which has no name, is returned as it is.
    """
    if isinstance(loss, FunctionLoss):
        return loss
    options = loss.options()
    return {"name": loss.name, **options} if options else loss.name

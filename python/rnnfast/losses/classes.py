"""Losses of classes and labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.arrays import Array
from rnnfast.losses.base import Loss, total_weight


class CrossEntropy(Loss):
    """The cross-entropy of classes, ``l = -log softmax(outputs)[y]``, in nats.

    With class weights v and label smoothing s, the weighted mean of PyTorch:
    ``loss = sum_m w_m ((1 - s) v[y_m] l_m + s / K sum_k v_k l_mk) / sum_m w_m v[y_m]``, where
    ``l_mk = -log softmax(outputs_m)[k]``.

    Parameters
    ----------
    class_weights : numbers (K,) or None
        The weight v of each class, finite and at least 0; None stands for ones.
    label_smoothing : float
        s within [0, 1]: the share of each target that is spread over all classes (Szegedy et al. 2016).
    ignore_index : int or None
        Targets of this value have no loss. It need not be a class.

    Raises
    ------
    ValueError, TypeError
        An argument outside its range or of another type.

    References
    ----------
    C. Szegedy et al., "Rethinking the inception architecture for computer vision", CVPR (2016).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> loss, gradient = rf.losses.CrossEntropy(ignore_index=-100)(np.zeros((2, 2)), np.array([0, -100]))
    >>> round(loss, 4), gradient.tolist()
    (0.6931, [[-0.5, 0.5], [0.0, 0.0]])
    """

    name = "cross_entropy"
    element = "id"

    def __init__(
        self,
        class_weights: npt.ArrayLike | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
    ) -> None:
        self.class_weights = None if class_weights is None else _class_weights(class_weights)
        self.label_smoothing = checks.as_number(
            "label_smoothing", label_smoothing, "a number within [0, 1]", lambda s: 0 <= s <= 1
        )
        self.ignore_index = None if ignore_index is None else checks.as_integer("ignore_index", ignore_index)
        self._plain = self.class_weights is None and self.ignore_index is None and not self.label_smoothing

    def options(self) -> dict[str, Any]:
        """Return the arguments that are not the defaults."""
        given = {
            "class_weights": None if self.class_weights is None else tuple(map(float, self.class_weights)),
            "label_smoothing": self.label_smoothing or None,
            "ignore_index": self.ignore_index,
        }
        return {name: value for name, value in given.items() if value is not None}

    def require_size(self, size: int) -> None:
        """Raise ValueError unless there is a weight for each of K classes."""
        if self.class_weights is not None and len(self.class_weights) != size:
            wanted = f"a weight for each class, shape (K,) = ({size},)"
            raise ValueError(f"class_weights: {wanted}, is required, got {self.class_weights.shape}")

    def _targets(self, y: Array, outputs: Array) -> Array:
        """Return class ids int64 (M,), after checking them."""
        K = outputs.shape[-1]
        self.require_size(K)
        if y.shape != outputs.shape[:-1]:
            raise ValueError(
                f"y: class ids of shape {outputs.shape[:-1]} are required, as the outputs have, got {y.shape}"
            )
        return class_ids(y.reshape(-1), K, f"y: integer class ids 0..K-1 (K = {K})", self.ignore_index)

    def missing(self, targets: Array) -> npt.NDArray[np.bool_] | None:
        """Return which targets are ignored; None where none are."""
        if self.ignore_index is None:
            return None
        found: npt.NDArray[np.bool_] = targets == self.ignore_index
        return found if found.any() else None

    def total(self, targets: Array, weights: Array | None) -> float:
        """Return the weight of all elements together, those of their classes included."""
        if self.class_weights is None:
            return total_weight(targets, weights)
        own = self.class_weights[targets]
        return math.fsum(own if weights is None else own * weights)

    def mean(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the weighted mean and its gradient (M, K)."""
        if self._plain or not (self.label_smoothing or self.class_weights is not None):
            return _ops.mean_loss("softmax_cross_entropy", outputs, targets, weights)
        if not self.label_smoothing:
            assert self.class_weights is not None
            own = self.class_weights[targets] * (1 if weights is None else weights)
            return _ops.mean_loss("softmax_cross_entropy", outputs, targets, own.astype(outputs.dtype))
        return self._smoothed(outputs, targets, weights)

    def _smoothed(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return what ``mean`` does, of targets that are distributions (M, K)."""
        K = outputs.shape[1]
        v = np.ones(K) if self.class_weights is None else self.class_weights
        w = np.ones(len(targets)) if weights is None else weights.astype(np.float64)
        gradient, total = np.zeros(outputs.shape), float((w * v[targets]).sum())
        if not total:
            return 0.0, gradient.astype(outputs.dtype)
        read = np.flatnonzero(w)
        x, t = outputs[read].astype(np.float64), targets[read]
        log_p = x - x.max(axis=1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        q = np.tile(v * (self.label_smoothing / K), (len(read), 1))
        q[np.arange(len(read)), t] += (1 - self.label_smoothing) * v[t]
        q *= (w[read] / total)[:, None]
        gradient[read] = np.exp(log_p) * q.sum(axis=1, keepdims=True) - q
        return float(-(q * log_p).sum()), gradient.astype(outputs.dtype)


def class_ids(ids: Array, size: int, wanted: str, ignored: int | None = None) -> Array:
    """Return ids (M,) as int64 after checking that each is 0..K-1, or ``ignored``; ``wanted``: that in words."""
    if ids.size == 0:
        return np.zeros(0, np.int64)
    if ids.dtype.kind not in "iub":
        raise ValueError(f"{wanted} is required, got dtype {ids.dtype}")
    read = ids if ignored is None else ids[ids != ignored]
    lowest, highest = int(read.min(initial=0)), int(read.max(initial=0))
    if lowest < 0 or highest >= size:
        raise ValueError(f"{wanted} is required, got {lowest if lowest < 0 else highest}")
    return ids.astype(np.int64)


def require_labels(name: str, targets: Array, task: str = "") -> None:
    """Raise ValueError for labels outside [0, 1]; ``task``: for which one, in words."""
    wrong = targets[(targets < 0) | (targets > 1)]
    if wrong.size:
        raise ValueError(
            f"{name}: values in [0, 1] are required{task}, got {wrong.max() if wrong.max() > 1 else wrong.min()}"
        )


def _class_weights(given: npt.ArrayLike) -> Array:
    values = checks.as_reals("class_weights", given, np.dtype(np.float64))
    if values.ndim != 1 or not len(values):
        raise ValueError(f"class_weights: shape (K,) is required, got {values.shape}")
    if not (np.isfinite(values) & (values >= 0)).all() or not values.any():
        raise ValueError("class_weights: finite numbers >= 0, not all 0, are required, got others")
    return values


class BinaryCrossEntropy(Loss):
    """The cross-entropy of labels, ``l = -y log p - (1 - y) log(1 - p)``, ``p = sigmoid(outputs)``, y within [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> loss, gradient = rf.losses.BinaryCrossEntropy()(np.zeros((1, 2)), np.array([[1.0, np.nan]]))
    >>> round(loss, 4), gradient.tolist()
    (0.6931, [[-0.5, 0.0]])
    """

    name = "binary_cross_entropy"
    element = "labels"

    def check(self, name: str, targets: Array) -> None:
        """Raise ValueError for targets outside [0, 1]."""
        require_labels(name, targets)

    def mean(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Return the weighted mean and its gradient (M, K)."""
        return engine_mean("binary_cross_entropy", outputs, targets, weights)


def engine_mean(loss: str, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
    """Return a loss of the engine; with weights (M, K) every number is a row of its own."""
    if weights is None or weights.ndim == 1:
        return _ops.mean_loss(loss, outputs, targets, weights)
    value, gradient = _ops.mean_loss(loss, outputs.reshape(-1, 1), targets.reshape(-1, 1), weights.reshape(-1))
    return value, gradient.reshape(outputs.shape)

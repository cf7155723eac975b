"""What the estimators of labels share: the weights of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.class_weight import compute_class_weight

from rnnfast.arrays import Array, Float64, Int64
from rnnfast.layers import CustomCell
from rnnfast.optim import Optimizer
from rnnfast.sklearn.base import SequenceEstimator
from rnnfast.train import Callback


class LabelEstimator(SequenceEstimator):
    """An estimator of labels; its parameters are described in ``SequenceClassifier``."""

    _task = "classification"
    classes_: Array

    def __init__(
        self,
        *,
        cell: str | type[CustomCell] = "lstm",
        hidden_size: int = 32,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        epochs: int = 50,
        batch_size: int = 32,
        optimizer: str | Optimizer = "adam",
        learning_rate: float = 0.01,
        clip_norm: float | None = 1.0,
        class_weight: Mapping[Any, float] | str | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        callbacks: Callback | tuple[Callback, ...] = (),
        threads: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | bool = 0,
    ) -> None:
        super().__init__(
            cell=cell,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            output_dropout=output_dropout,
            cell_options=cell_options,
            dtype=dtype,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            clip_norm=clip_norm,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            callbacks=callbacks,
            threads=threads,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def _weighted(self, labels: Array, weights: Array | None) -> Float64 | None:
        """Return the weights (M,) of labels: those given, times those of their classes; None where all are 1."""
        if self.class_weight is None:
            return weights
        of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=labels)
        product: Float64 = of_class[self._ids(labels)] * (1.0 if weights is None else weights)
        return product

    def _ids(self, labels: Array) -> Int64:
        """Return the places of labels among ``classes_``; ValueError where one is not among them."""
        ids: Int64 = np.searchsorted(self.classes_, labels)
        ids[ids == len(self.classes_)] = 0
        unknown = self.classes_[ids] != labels
        if unknown.any():
            raise ValueError(f"y: labels of classes_ {list(self.classes_)} are required, got {labels[unknown][0]!r}")
        return ids

    def _note_classes(self, classes: Any) -> bool:
        """Set ``classes_`` at the first ``partial_fit``, and return whether this is the first."""
        if hasattr(self, "model_"):
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(f"classes: those of the first call {list(self.classes_)} are required, got others")
            return False
        if classes is None:
            raise ValueError("classes: all labels are required at the first call of partial_fit, got None")
        self.classes_ = np.unique(classes)
        return True

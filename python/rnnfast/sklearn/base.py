"""What the estimators share: their parameters, and how they train and compute."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from rnnfast import checks
from rnnfast.arrays import Array, Int64
from rnnfast.callbacks import EarlyStopping
from rnnfast.data import as_weights
from rnnfast.layers import CustomCell
from rnnfast.limits import limited
from rnnfast.models import ManyToMany, ManyToOne
from rnnfast.optim import Optimizer, optimizer_for
from rnnfast.sklearn.inputs import Panel, read
from rnnfast.train import Callback, as_callbacks


class SequenceEstimator(BaseEstimator):
    """An estimator around a model; a subclass says which one, and what its targets are.

    Its parameters are described in ``SequenceClassifier``.
    """

    _kind: ClassVar[type[ManyToOne | ManyToMany]]
    _task: ClassVar[str]
    model_: Any

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
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        callbacks: Callback | tuple[Callback, ...] = (),
        threads: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | bool = 0,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.output_dropout = output_dropout
        self.cell_options = cell_options
        self.dtype = dtype
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags

    def _begin(self, x: Panel, output_size: int) -> None:
        """Make the model and its optimiser, anew."""
        self.model_ = self._kind(
            x[0].shape[-1],
            output_size,
            task=self._task,
            cell=self.cell,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            output_dropout=self.output_dropout,
            cell_options=self.cell_options,
            dtype=self.dtype,
            seed=self._seed(),
        )
        lr = self.learning_rate if isinstance(self.optimizer, str) else None
        if lr is not None and not callable(lr):
            lr = checks.at_least_zero("learning_rate", lr)
        self.optimizer_ = optimizer_for(copy.deepcopy(self.optimizer), self.model_.parameters(), lr)
        self.loss_curve_: list[float] = []
        self.n_iter_ = 0

    def _train(self, x: Panel, y: Any, weights: Any, *, epochs: int, strata: Int64 | None = None) -> None:
        """Go on training; with early stopping, ``strata`` (N,) are spread evenly over what is held out."""
        seed = self._seed()
        callbacks = as_callbacks(copy.deepcopy(self.callbacks))
        data, validation = {"x": x, "y": y, "sample_weight": weights}, None
        if self.early_stopping:
            data, validation = self._held_out(data, strata, seed)
            callbacks.append(EarlyStopping("val_loss", patience=self.patience))
        with limited(self.threads):
            history = self.model_.fit(
                **data,
                epochs=epochs,
                batch_size=self.batch_size,
                optimizer=self.optimizer_,
                clip_norm=self.clip_norm,
                validation_data=validation,
                callbacks=callbacks,
                progress=bool(self.verbose),
                seed=seed,
            )
        self.loss_curve_ += history.history.get("loss", [])
        self.n_iter_ = len(self.loss_curve_)

    def _held_out(self, data: dict[str, Any], strata: Int64 | None, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        wanted = "a number within (0, 1)"
        share = checks.as_number("validation_fraction", self.validation_fraction, wanted, lambda f: 0 < f < 1)
        parts = train_test_split(np.arange(len(data["x"])), test_size=share, random_state=seed, stratify=strata)
        learned, held = ({name: _selected(values, part) for name, values in data.items()} for part in parts)
        return learned, held

    def _seed(self) -> int:
        """Return ``random_state`` where it is an integer, else a number drawn from it."""
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _read(self, X: Any) -> Panel:
        check_is_fitted(self)
        return read(self, X, reset=False)

    def _of_model(self, method: str, X: Any) -> Any:
        """Return what a method of the model returns for X."""
        x = self._read(X)
        with limited(self.threads):
            return getattr(self.model_, method)(x)


def _selected(values: Any, index: Int64) -> Any:
    if values is None:
        return None
    return values[index] if isinstance(values, np.ndarray) else [values[i] for i in index]


def require_no_early_stopping(estimator: Any) -> None:
    """Raise ValueError where ``partial_fit`` would have to hold data out."""
    if estimator.early_stopping:
        raise ValueError("partial_fit: early_stopping=False is required, got True")


def checked_weights(sample_weight: Any, count: int) -> Array | None:
    """Return weights (N,) of the sequences, of which one at least is above zero."""
    weights = as_weights(sample_weight, count, np.dtype(np.float64))
    if weights is not None and not weights.any():
        raise ValueError("sample_weight: at least one weight above zero is required, got zeros only")
    return weights

"""Standardised features of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from rnnfast.sklearn.inputs import is_table, items_of, like, rank, read


class SequenceScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Features of zero mean and unit variance, over all steps of all sequences.

    ``z = (x - mean_) / scale_``, with the mean and standard deviation of each of the C features. An array (N, T) has
    one feature, and so one mean; scikit-learn's ``StandardScaler`` has one for each time.

    Parameters
    ----------
    with_mean : bool
        Whether to subtract the mean.
    with_std : bool
        Whether to divide by the standard deviation; a constant feature is not divided.

    Attributes
    ----------
    scaler_ : StandardScaler
        That of the steps, rows (sum of T_n, C).
    mean_, scale_ : ndarray (C,) or None
        Mean and standard deviation of the features; None where they are not computed.
    n_features_in_ : int
        Features C of a step; after data (N, T) their columns T.
    feature_names_in_ : ndarray of str (n_features_in_,)
        Names of the columns, where ``fit`` was given a frame with names.

    Notes
    -----
    X is that of ``SequenceClassifier``. Results are held as X is: an array of its shape, a list, or an object array;
    those of nested and multi-index frames are lists of (T_n, C).

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.sklearn import SequenceScaler
    >>> X = [np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([[5.0, 3.0]])]
    >>> scaler = SequenceScaler().fit(X)
    >>> scaler.mean_, scaler.scale_.round(3)
    (array([3., 1.]), array([1.633, 1.414]))
    >>> [sequence.round(2).tolist() for sequence in scaler.transform(X)]
    [[[-1.22, -0.71], [0.0, -0.71]], [[1.22, 1.41]]]
    """

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def mean_(self) -> Any:
        """The means (C,); None without ``with_mean`` and ``with_std``."""
        return self.scaler_.mean_

    @property
    def scale_(self) -> Any:
        """What features are divided by (C,)."""
        return self.scaler_.scale_

    def fit(self, X: Any, y: Any = None) -> SequenceScaler:
        """Compute mean and standard deviation."""
        return self._updated(X, reset=True)

    def partial_fit(self, X: Any, y: Any = None) -> SequenceScaler:
        """Take further sequences into account."""
        return self._updated(X, reset=not hasattr(self, "scaler_"))

    def transform(self, X: Any) -> Any:
        """Return the standardised sequences, held as X is."""
        return self._applied(X, "transform")

    def inverse_transform(self, X: Any) -> Any:
        """Return sequences in their own units, held as X is."""
        return self._applied(X, "inverse_transform")

    def _updated(self, X: Any, *, reset: bool) -> SequenceScaler:
        x = read(self, X, reset=reset)
        if reset:
            self.scaler_ = StandardScaler(with_mean=self.with_mean, with_std=self.with_std)
        self.scaler_.partial_fit(np.concatenate([*x]))
        return self

    def _applied(self, X: Any, method: str) -> Any:
        check_is_fitted(self)
        x = read(self, X, reset=False)
        rows = getattr(self.scaler_, method)(np.concatenate([*x]))
        if isinstance(x, np.ndarray):
            return rows.reshape(x.shape[: rank(X)])
        items, parts = items_of(X), np.split(rows, np.cumsum([len(each) for each in x])[:-1])
        if items is None:
            return parts
        shaped = [part.reshape(np.shape(item)) for part, item in zip(parts, items, strict=True)]
        return np.stack(shaped) if is_table(X) else like(X, shaped)

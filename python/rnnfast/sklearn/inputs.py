"""What estimators are given: arrays, lists and frames, as the sequences that models read, and back."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from rnnfast import checks
from rnnfast.arrays import Array, DType
from rnnfast.data import as_real_sequences, check_finite, frame_sequences

Panel: TypeAlias = "Array | list[Array]"  # (N, T, C), or N arrays (T_n, C)

FLOATS = [np.float64, np.float32]


def read(estimator: Any, X: Any, *, reset: bool) -> Panel:
    """Return X as sequences, and note or check ``n_features_in_`` and ``feature_names_in_``.

    A two-dimensional array has T columns, one time each. For such data ``n_features_in_`` is T, as scikit-learn's
    conventions want it; for sequences it is C.

    Parameters
    ----------
    estimator : estimator
        Gets or has ``n_features_in_``, and ``_of_columns``: whether it was fitted to a two-dimensional array.
    X : array (N, T) or (N, T, C), list or object array of (T_n,) or (T_n, C), nested or multi-index frame
        The sequences.
    reset : bool
        Whether X decides what is expected from now on.

    Raises
    ------
    ValueError
        Data that are not finite, that have another number of features than those of ``fit``, or none.
    TypeError
        Data that are no real numbers.
    """
    frame = frame_sequences(X)
    items = frame if frame is not None else items_of(X)
    if (items is None and rank(X) != 3) or (reset and is_table(X)):
        return _columns(estimator, X, reset=reset)
    if frame is not None:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    elif reset and hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    if reset:
        estimator._of_columns = False
    if items is None:
        x = check_array(X, dtype=FLOATS, allow_nd=True, estimator=estimator, input_name="X")
        _note_features(estimator, x.shape[2], reset=reset)
        return _sequences(x, _features(estimator), x.dtype)
    if not items:
        raise ValueError("X: at least one sequence is required, got none")
    first = checks.as_array("X[0]", items[0])
    _note_features(estimator, first.shape[-1] if first.ndim > 1 else 1, reset=reset)
    single = all(getattr(item, "dtype", None) == np.float32 for item in items)
    return _sequences(items, _features(estimator), np.dtype(np.float32 if single else np.float64))


def items_of(X: Any) -> list[Any] | None:
    """Return the items of a list, or of an object array or Series of arrays; None for another array.

    A list of arrays is always a list of sequences, also where they are equally long: what it means must not depend on
    which of them a fold of a cross-validation holds.
    """
    if isinstance(X, list | tuple):
        return list(X)
    return list(X) if getattr(X, "ndim", 0) == 1 and X.dtype == object else None


def like(X: Any, values: list[Array]) -> Any:
    """Return arrays that belong to the sequences X as X holds those: in an object array, else in a list.

    ``cross_val_predict`` joins object arrays, and cannot join lists.
    """
    if not isinstance(X, np.ndarray):
        return values
    result = np.empty(len(values), object)
    result[:] = values
    return result


def rank(X: Any) -> int:
    """Return the number of axes."""
    return len(X.shape) if hasattr(X, "shape") else np.asarray(X).ndim


def is_table(X: Any) -> bool:
    """Return whether X is a nested list of numbers, all of one length: to NumPy, an array (N, T)."""
    if not isinstance(X, list | tuple) or not all(isinstance(row, list | tuple) for row in X):
        return False
    return len({len(row) for row in X}) == 1 and all(np.ndim(value) == 0 for row in X for value in row)


def _columns(estimator: Any, X: Any, *, reset: bool) -> Array:
    """Return an array (N, T) as (N, T, 1)."""
    if reset:
        estimator._of_columns = True
    if reset or estimator._of_columns:
        x = validate_data(estimator, X, dtype=FLOATS, reset=reset)
    else:
        x = check_array(X, dtype=FLOATS, estimator=estimator, input_name="X")
    _check_expected(estimator, 1)
    columns: Array = x[..., None]
    return columns


def _features(estimator: Any) -> int:
    """Return the features C of a step."""
    return 1 if estimator._of_columns else int(estimator.n_features_in_)


def _note_features(estimator: Any, found: int, *, reset: bool) -> None:
    if reset:
        estimator.n_features_in_ = checks.as_size("X: features C", found)
    _check_expected(estimator, found)


def _check_expected(estimator: Any, found: int) -> None:
    expected = _features(estimator)
    if found != expected:
        name = type(estimator).__name__
        raise ValueError(f"X has {found} features, but {name} is expecting {expected} features as input.")


def _sequences(x: Any, features: int, dtype: DType) -> Panel:
    found = as_real_sequences(x, features, dtype, name="X", size="n_features_in_")
    check_finite("X", found, dtype)
    return found.split(found.values)

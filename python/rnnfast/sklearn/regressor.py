"""Numbers for each sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_consistent_length, validate_data

from rnnfast.arrays import Array
from rnnfast.models import ManyToOne
from rnnfast.sklearn.base import SequenceEstimator, checked_weights, require_no_early_stopping
from rnnfast.sklearn.inputs import Panel, read


class SequenceRegressor(RegressorMixin, SequenceEstimator):
    """Numbers for each sequence, from the top layer's last h: ``rf.ManyToOne`` as a scikit-learn regressor.

    The loss is the mean squared error. Targets far from zero, or much larger or smaller than 1, are learned faster
    standardised: ``sklearn.compose.TransformedTargetRegressor`` does so.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn"}, or a CustomCell by its class or name
        The recurrent cell.
    hidden_size : int
        Units H of a layer.
    num_layers : int
        Layers L of the stack.
    bidirectional : bool
        Whether a second direction reads each sequence from its end.
    dropout : float
        Probability that an output of a layer is dropped before the next layer reads it, in training.
    output_dropout : float
        Probability that an element of what the head reads is dropped, in training.
    cell_options : dict or None
        Further options of the layer, as ``{"activation": "relu"}``; see ``rf.RNN``, ``rf.LSTM`` and ``rf.GRU``.
    dtype : {"float32", "float64"}
        Dtype of the parameters; data are converted to it.
    epochs : int
        Passes over the data in ``fit``; the largest number of them with ``early_stopping``.
    batch_size : int
        Sequences in a step of the optimiser.
    optimizer : {"adam", "adamw", "rmsprop", "sgd"} or Optimizer
        An object is copied, and has its own learning rate.
    learning_rate : float
        Learning rate of an optimiser given by name.
    clip_norm : float or None
        Largest norm of the gradient; None does not clip.
    early_stopping : bool
        Whether to hold out a part of the data, to stop when its loss has not improved for ``patience`` epochs, and to
        return to the best parameters.
    validation_fraction : float
        Share of the sequences that is held out for that.
    patience : int
        Epochs without improvement that are borne.
    callbacks : Callback or tuple of Callback
        Called at every event of the training; each ``fit`` gets copies.
    threads : int or None
        Largest number of threads of the engine, in ``fit`` and in predictions; None leaves the process's limit. While
        several estimators compute at once, the smallest number holds for all of them. Results do not depend on it.
    random_state : int, RandomState or None
        Source of the initial parameters, of dropout and of the order of the data. An integer is the ``seed`` of the
        model and of its ``fit``; from a RandomState, or from NumPy's global one for None, such numbers are drawn.
    verbose : int or bool
        Whether to show a bar.

    Attributes
    ----------
    n_features_in_ : int
        Features C of a step; after data (N, T) their columns T.
    feature_names_in_ : ndarray of str (n_features_in_,)
        Names of the columns, where ``fit`` was given a frame with names.
    model_ : ManyToOne
        The model: ``model_.save`` writes it, ``model_.stream`` feeds it step by step.
    optimizer_ : Optimizer
        What ``partial_fit`` goes on with.
    loss_curve_ : list of float
        Mean loss of every epoch.
    n_iter_ : int
        Epochs of training.

    Notes
    -----
    X is that of ``SequenceClassifier``. y is (N,) or (N, K).

    Examples
    --------
    The mean of a sequence:

    >>> import numpy as np
    >>> from rnnfast.sklearn import SequenceRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=length) for length in rng.integers(2, 10, size=200)]
    >>> y = [sequence.mean() for sequence in X]
    >>> regressor = SequenceRegressor(hidden_size=16, random_state=0).fit(X[:150], y[:150])
    >>> bool(regressor.score(X[150:], y[150:]) > 0.9)
    True
    """

    _kind = ManyToOne
    _task = "regression"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SequenceRegressor:
        """Train anew.

        Parameters
        ----------
        X : array (N, T) or (N, T, C), list or object array of (T_n,) or (T_n, C), nested or multi-index frame
            The sequences.
        y : numbers (N,) or (N, K)
            The targets.
        sample_weight : array (N,) or None
            Weights of the sequences in the loss.

        Raises
        ------
        ValueError, TypeError
            A parameter, or data, that the model cannot have.
        FloatingPointError
            The loss is not finite.
        """
        x, targets, weights = self._checked(X, y, sample_weight, reset=True)
        self._begin(x, targets[0].size)
        self._train(x, targets, weights, epochs=self.epochs)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> SequenceRegressor:
        """Train for one epoch, and go on where the last call of ``fit`` or ``partial_fit`` ended.

        Parameters
        ----------
        X : array (N, T) or (N, T, C), list or object array of (T_n,) or (T_n, C), nested or multi-index frame
            The sequences.
        y : numbers (N,) or (N, K)
            The targets.
        sample_weight : array (N,) or None
            Weights of the sequences in the loss.

        Raises
        ------
        ValueError, TypeError
            A parameter, or data, that the model cannot have; ``early_stopping``, which needs all of the data.
        FloatingPointError
            The loss is not finite.
        """
        require_no_early_stopping(self)
        first = not hasattr(self, "model_")
        x, targets, weights = self._checked(X, y, sample_weight, reset=first)
        if first:
            self._begin(x, targets[0].size)
        self._train(x, targets, weights, epochs=1)
        return self

    def predict(self, X: Any) -> Array:
        """Return the predictions, (N,) or (N, K) as y was."""
        numbers: Array = self._of_model("predict", X).astype(np.float64)
        return numbers[:, 0] if self._flat else numbers

    def _checked(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> tuple[Panel, Array, Array | None]:
        targets = np.asarray(validate_data(self, y=y, multi_output=True, y_numeric=True))
        x = read(self, X, reset=reset)
        check_consistent_length(x, targets)
        if reset:
            self._flat = targets.ndim == 1
        return x, targets, checked_weights(sample_weight, len(targets))

"""One label for each step."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets

from rnnfast import checks
from rnnfast.arrays import Array, Int64
from rnnfast.models import ManyToMany
from rnnfast.sklearn.base import checked_weights, require_no_early_stopping
from rnnfast.sklearn.inputs import Panel, items_of, like, rank, read
from rnnfast.sklearn.labels import LabelEstimator


class SequenceTagger(LabelEstimator):
    """One label for each step, from the top layer's h: ``rf.ManyToMany`` as a scikit-learn estimator.

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
    class_weight : dict of label to float, "balanced" or None
        Weights of the classes in the loss. "balanced" makes all classes weigh the same: ``M / (K * count of a label)``
        for K classes and M labels. They multiply ``sample_weight``.
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
    classes_ : ndarray (K,)
        The labels, sorted.
    n_features_in_ : int
        Features C of a step; after data (N, T) their columns T.
    feature_names_in_ : ndarray of str (n_features_in_,)
        Names of the columns, where ``fit`` was given a frame with names.
    model_ : ManyToMany
        The model: ``model_.save`` writes it, ``model_.stream`` feeds it step by step.
    optimizer_ : Optimizer
        What ``partial_fit`` goes on with.
    loss_curve_ : list of float
        Mean loss of every epoch.
    n_iter_ : int
        Epochs of training.

    Notes
    -----
    X is that of ``SequenceClassifier``. y is (N, T), or a list or object array of N arrays (T_n,). Predictions are
    (N, T), a list or an object array, as X is; ``cross_val_predict`` needs object arrays.

    To scikit-learn a tagger is no classifier, because classifiers have one label for each item of X. Folds are not
    stratified, and ``scoring="accuracy"`` does not apply; ``score`` is the accuracy.

    Examples
    --------
    Is a step the highest one so far?

    >>> import numpy as np
    >>> from rnnfast.sklearn import SequenceTagger
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=length).cumsum() for length in rng.integers(2, 20, size=200)]
    >>> y = [np.where(walk == np.maximum.accumulate(walk), "top", "below") for walk in X]
    >>> tagger = SequenceTagger(cell="gru", hidden_size=16, epochs=30, random_state=0).fit(X[:150], y[:150])
    >>> tagger.score(X[150:], y[150:]) > 0.95
    True
    >>> tagger.predict([np.array([1.0, 3.0, 2.0, 4.0])])
    [array(['top', 'top', 'below', 'top'], dtype='<U5')]
    """

    _kind = ManyToMany

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # else scikit-learn's common checks run, which give a row one target
        tags.target_tags.one_d_labels = False
        tags.target_tags.two_d_labels = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SequenceTagger:
        """Train anew.

        Parameters
        ----------
        X : array (N, T) or (N, T, C), list or object array of (T_n,) or (T_n, C), nested or multi-index frame
            The sequences.
        y : labels (N, T), or a list or object array of (T_n,)
            Numbers or strings.
        sample_weight : array (N,), (N, T), list or object array of (T_n,), or None
            Weights of the sequences, or of all steps, in the loss.

        Raises
        ------
        ValueError, TypeError
            A parameter, or data, that the model cannot have.
        FloatingPointError
            The loss is not finite.
        """
        x, labels = self._checked(X, y, reset=True)
        self.classes_ = np.unique(labels)
        self._begin(x, len(self.classes_))
        self._train_on(x, labels, sample_weight, self.epochs)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> SequenceTagger:
        """Train for one epoch, and go on where the last call of ``fit`` or ``partial_fit`` ended.

        Parameters
        ----------
        X : array (N, T) or (N, T, C), list or object array of (T_n,) or (T_n, C), nested or multi-index frame
            The sequences.
        y : labels (N, T), or a list or object array of (T_n,)
            Numbers or strings.
        classes : labels (K,) or None
            All labels that will ever occur; needed at the first call.
        sample_weight : array (N,), (N, T), list or object array of (T_n,), or None
            Weights of the sequences, or of all steps, in the loss.

        Raises
        ------
        ValueError, TypeError
            A parameter, or data, that the model cannot have; ``early_stopping``, which needs all of the data.
        FloatingPointError
            The loss is not finite.
        """
        require_no_early_stopping(self)
        first = self._note_classes(classes)
        x, labels = self._checked(X, y, reset=first)
        if first:
            self._begin(x, len(self.classes_))
        self._train_on(x, labels, sample_weight, 1)
        return self

    def predict(self, X: Any) -> Any:
        """Return the most probable label of every step: (N, T), a list or an object array, as X is."""
        ids = self._of_model("predict", X)
        return self.classes_[ids] if isinstance(ids, np.ndarray) else like(X, [self.classes_[each] for each in ids])

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the labels at every step: (N, T, K), or N arrays (T_n, K), held as X is."""
        found = self._of_model("predict_proba", X)
        return found if isinstance(found, np.ndarray) else like(X, found)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy: the share of right labels among all steps of all sequences.

        Parameters
        ----------
        X : array (N, T) or (N, T, C), list or object array of (T_n,) or (T_n, C), nested or multi-index frame
            The sequences.
        y : labels (N, T), or a list or object array of (T_n,)
            The right labels.
        sample_weight : array (N,), (N, T), list or object array of (T_n,), or None
            Weights of the sequences, or of all steps.

        Raises
        ------
        ValueError, TypeError
            Data that do not fit those of ``fit``.
        """
        x = self._read(X)
        labels, lengths = flat_labels(y)
        _check_lengths(x, lengths)
        weights = flat_weights(sample_weight, lengths)
        found, _ = flat_labels(self.predict(X))
        return float(accuracy_score(labels, found, sample_weight=weights))

    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[Panel, Array]:
        if y is None:
            name = type(self).__name__
            raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
        x = read(self, X, reset=reset)
        labels, lengths = flat_labels(y)
        check_classification_targets(labels)
        _check_lengths(x, lengths)
        return x, labels

    def _train_on(self, x: Panel, labels: Array, sample_weight: Any, epochs: int) -> None:
        lengths = np.array([len(each) for each in x])
        weights = self._weighted(labels, flat_weights(sample_weight, lengths))
        ends = np.cumsum(lengths)[:-1]
        steps = None if weights is None else np.split(weights, ends)
        self._train(x, np.split(self._ids(labels), ends), steps, epochs=epochs)


def flat_labels(y: Any) -> tuple[Array, Int64]:
    """Return the labels of all steps, sequence after sequence, and the steps of each sequence."""
    items = items_of(y)
    rows = checks.as_array("y", y) if items is None else items
    if isinstance(rows, np.ndarray) and rows.ndim != 2:
        raise ValueError(f"y: shape (N, T), or a list of N arrays (T_n,), is required, got {rows.shape}")
    arrays = [checks.as_array(f"y[{n}]", row) for n, row in enumerate(rows)]
    for n, array in enumerate(arrays):
        if array.ndim != 1:
            raise ValueError(f"y[{n}]: labels (T,) are required, got shape {array.shape}")
    lengths = np.array([len(array) for array in arrays], np.int64)
    filled = [array for array in arrays if len(array)]
    if not filled:
        raise ValueError("y: at least one step with a label is required, got none")
    return np.concatenate(filled), lengths


def flat_weights(sample_weight: Any, lengths: Int64) -> Array | None:
    """Return the weights of all steps; those given belong to the sequences (N,) or, like labels, to their steps."""
    if sample_weight is None:
        return None
    items = items_of(sample_weight)
    axes = rank(sample_weight) if items is None else 1 + max(map(rank, items), default=0)
    if axes == 1:
        weights = checked_weights(sample_weight, len(lengths))
        return None if weights is None else np.repeat(weights, lengths)
    values, found = flat_labels(sample_weight)
    if not np.array_equal(found, lengths):
        raise ValueError("sample_weight: a weight for every sequence, or for every step, is required, got others")
    return checked_weights(values, len(values))


def _check_lengths(x: Panel, lengths: Int64) -> None:
    if len(x) != len(lengths):
        raise ValueError(f"y: labels of every sequence are required (N = {len(x)}), got {len(lengths)}")
    for n, (sequence, length) in enumerate(zip(x, lengths, strict=True)):
        if len(sequence) != length:
            raise ValueError(f"y[{n}]: a label for every step is required (T = {len(sequence)}), got {length}")

"""One label for each sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, validate_data

from rnnfast.arrays import Array
from rnnfast.limits import limited
from rnnfast.metrics import Metric
from rnnfast.models import ManyToOne
from rnnfast.sklearn.base import checked_weights, require_no_early_stopping
from rnnfast.sklearn.inputs import Panel, read
from rnnfast.sklearn.labels import LabelEstimator


class _Outputs(Metric):
    """The outputs before the decision, batch by batch, in the order of the sequences; the value is none."""

    higher_is_better = True

    def reset(self) -> None:
        self.batches: list[Array] = []

    def update(self, outputs: Array, targets: Array, weights: Array | None) -> None:
        self.batches.append(outputs)

    def result(self) -> float:
        return 0.0


class SequenceClassifier(ClassifierMixin, LabelEstimator):
    """One label for each sequence, from the top layer's last h: ``rf.ManyToOne`` as a scikit-learn classifier.

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
    optimizer : {"adam", "adamw", "nadam", "rmsprop", "sgd"} or Optimizer
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
        Share of the sequences that is held out for that, of every label alike.
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
    X holds N sequences: an array (N, T), one feature over time; an array (N, T, C); where lengths differ, a list or an
    object array of (T_n,) or (T_n, C); or a nested or multi-index frame, see ``rnnfast.data.from_nested`` and
    ``from_multiindex``. Panels (case, channel, time) have to be named as such: ``rnnfast.data.from_numpy3d``.

    Examples
    --------
    Does a walk end above its start?

    >>> import numpy as np
    >>> from rnnfast.sklearn import SequenceClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=length).cumsum() for length in rng.integers(2, 20, size=300)]
    >>> y = ["rose" if walk[-1] > walk[0] else "fell" for walk in X]
    >>> classifier = SequenceClassifier(cell="gru", hidden_size=16, random_state=0).fit(X[:250], y[:250])
    >>> bool(classifier.score(X[250:], y[250:]) > 0.9)
    True
    >>> classifier.predict([np.array([0.0, 1.0, 3.0])])
    array(['rose'], dtype='<U4')
    """

    _kind = ManyToOne

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SequenceClassifier:
        """Train anew.

        Parameters
        ----------
        X : array (N, T) or (N, T, C), list or object array of (T_n,) or (T_n, C), nested or multi-index frame
            The sequences.
        y : labels (N,)
            Numbers or strings.
        sample_weight : array (N,) or None
            Weights of the sequences in the loss.

        Raises
        ------
        ValueError, TypeError
            A parameter, or data, that the model cannot have.
        FloatingPointError
            The loss is not finite.
        """
        labels, x, weights = self._checked(X, y, sample_weight, reset=True)
        self.classes_ = np.unique(labels)
        self._begin(x, len(self.classes_))
        ids = self._ids(labels)
        self._train(x, ids, self._weighted(labels, weights), epochs=self.epochs, strata=ids)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> SequenceClassifier:
        """Train for one epoch, and go on where the last call of ``fit`` or ``partial_fit`` ended.

        Parameters
        ----------
        X : array (N, T) or (N, T, C), list or object array of (T_n,) or (T_n, C), nested or multi-index frame
            The sequences.
        y : labels (N,)
            Numbers or strings.
        classes : labels (K,) or None
            All labels that will ever occur; needed at the first call.
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
        first = self._note_classes(classes)
        labels, x, weights = self._checked(X, y, sample_weight, reset=first)
        if first:
            self._begin(x, len(self.classes_))
        self._train(x, self._ids(labels), self._weighted(labels, weights), epochs=1)
        return self

    def predict(self, X: Any) -> Array:
        """Return the most probable label of every sequence, (N,)."""
        ids = self._of_model("predict", X)
        labels: Array = self.classes_[ids]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities (N, K) of the labels, in the order of ``classes_``."""
        probabilities: Array = self._of_model("predict_proba", X)
        return probabilities

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms (N, K) of the probabilities, exact also where those are 0 in their dtype."""
        logarithms: Array = log_softmax(self._logits(X), axis=1)
        return logarithms

    def decision_function(self, X: Any) -> Array:
        """Return ``W_head h(T) + b_head``, (N, K); of two classes the second minus the first, (N,)."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def _logits(self, X: Any) -> Array:
        x, kept = self._read(X), _Outputs()
        with limited(self.threads):
            self.model_.evaluate(x, np.zeros(len(x), np.int64), metrics=kept)
        return np.concatenate(kept.batches)

    def _checked(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> tuple[Array, Panel, Array | None]:
        labels = validate_data(self, y=y)
        check_classification_targets(labels)
        x = read(self, X, reset=reset)
        check_consistent_length(x, labels)
        return labels, x, checked_weights(sample_weight, len(labels))

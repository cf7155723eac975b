"""Sequence in, sequence out, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import train
from rnnfast.arrays import Array
from rnnfast.atomic import StrPath
from rnnfast.checks import names_arguments
from rnnfast.data import (
    AlignedData,
    Batch,
    Sequences,
    StoredSequences,
    as_pieces,
    as_resets,
    as_step_weights,
    check_finite,
    counted_steps,
    evaluated,
    shared,
    step_count,
    step_values,
    stored_targets,
    training_and_validation,
    weights_by_head,
    without_unread,
)
from rnnfast.layers import CustomCell, State, StateLike, Stream, Trace
from rnnfast.metrics import Metric
from rnnfast.models.backbone import Backbone, BackboneTape
from rnnfast.models.base import Heads, HeadsTape, Model, by_head, only
from rnnfast.models.config import checked, heads_of
from rnnfast.models.prediction import PredictionOptions, Reader, predict
from rnnfast.models.streaming import stream_of
from rnnfast.optim import AveragedWeights, LearningRate, Optimizer
from rnnfast.tasks import Task
from rnnfast.text import AnyVocabulary, as_vocabulary
from rnnfast.train import Callback, History, TrainingOptions
from rnnfast.training_state import TrainingState

READ = ("x", "y", "lengths", "mask", "sample_weight", "resets", "tbptt", "burn_in")  # what data are made of


@dataclass(frozen=True, eq=False)
class _Tape:
    """What ``_backward`` needs."""

    backbone: BackboneTape
    heads: HeadsTape

    @property
    def backbones(self) -> tuple[BackboneTape, ...]:
        """Tapes of what may have a penalty."""
        return (self.backbone,)


class ManyToMany(Model):
    """A sequence in, an output at every step: ``outputs(t) = W_head h(t) + b_head`` of the top layer's h.

    Use it to tag the words of a sentence, to estimate a quantity at every instant, or to answer yes-no questions all
    the way. The output of a step depends on the steps up to it, and in a bidirectional model on all of them.

    Parameters
    ----------
    input_size : int or None
        Features C of a step; with ``embedding``, the number of ids. None stands for the size of ``vocabulary``.
    output_size : int or None
        Classes, numbers or labels K. None beside ``outputs``.
    outputs : dict of str to int, or None
        Several heads in place of ``output_size``: the K of each by its name, as ``{"policy": 2, "value": 1}``. Targets,
        predictions and tasks are then dicts with the same keys.
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
        Probability that an element of what the heads read is dropped, in training.
    activity_l2 : float
        Penalty on the outputs h of the top layer, in training: ``activity_l2 / N * sum h^2`` over all N sequences of a
        batch, steps and units, is added to the loss; of an encoder-decoder that of both stacks.
    task : {"classification", "regression", "multilabel"}, Task, name of a loss, a dict of these by head, or None
        Softmax cross-entropy, mean squared error, or binary cross-entropy; or a task of your own. The name of a loss,
        as "quantile" or "gaussian", stands for the task that learns by it, and a dict of a name and options, as
        ``{"name": "quantile", "quantiles": [0.1, 0.9]}``, sets its options. None: the task of ``loss``, or
        classification. The loss is the mean over all elements of targets; NaN among numbers is a missing value.
    loss : str, dict, Loss or function, of several heads a dict of these, or None
        What the task learns by, instead of its own loss: a name such as "huber", a dict of a name and options, an
        object of ``rf.losses``, or a function (outputs, y) -> (loss, gradient), which no file can keep.
    loss_weights : dict of str to float, or None
        Weight of each head's loss in the sum; 1 for heads that are not named.
    embedding : int or None
        Size of a learned vector for each id. x then holds integer ids.
    vocabulary : Vocabulary, WordVocabulary, ByteVocabulary, or None
        What makes ids of texts, see ``rnnfast.text``. x then holds texts, or ids; the model's file keeps it.
    cell_options : dict or None
        Further options of the layer, as ``{"activation": "relu"}``; see ``rf.RNN``, ``rf.LSTM`` and ``rf.GRU``.
    dtype : {"float32", "float64"}
        Dtype of the parameters; data are converted to it.
    seed : int or None
        Source of the initial parameters and of dropout. None draws other ones every time.

    Raises
    ------
    ValueError, TypeError
        An argument outside its range or of another type.

    Notes
    -----
    x is (N, T, C), or (N, T) ids, with ``lengths`` where sequences are shorter; or a list of (T_i, C) arrays, of 1-D
    arrays of ids, or of texts. y is (N, T) class ids 0..K-1 or (N, T, K) numbers, of which nothing past a length is
    read; or a list of (T_i,) or (T_i, K) arrays. Predictions are (N, T) or (N, T, K), or a list of N arrays for a list
    or with ``lengths``. The parameters are ``embedding.weight``,
    ``rnn.*``, ``head.weight (K, D*H)`` and ``head.bias (K,)``; of several heads ``heads.<name>.weight`` and
    ``heads.<name>.bias``.

    Examples
    --------
    Is the sum of the steps so far positive?

    >>> import numpy as np
    >>> import rnnfast as rf
    >>> rng = np.random.default_rng(0)
    >>> x = [rng.normal(size=(length, 1)) for length in rng.integers(1, 20, 200)]
    >>> y = [(s.cumsum() > 0).astype(int) for s in x]
    >>> model = rf.ManyToMany(1, 2, cell="gru", hidden_size=8, seed=0)
    >>> history = model.fit(x, y, epochs=20, lr=0.02, progress=False, seed=0)
    >>> model.evaluate(x, y)["accuracy"] > 0.95
    True
    >>> [p.shape for p in model.predict(x)[:2]] == [s.shape for s in y[:2]]
    True
    """

    @names_arguments
    def __init__(
        self,
        input_size: int | None = None,
        output_size: int | None = None,
        *,
        outputs: Mapping[str, int] | None = None,
        cell: str | type[CustomCell] = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        activity_l2: float = 0.0,
        task: str | Task | Mapping[str, Any] | None = None,
        loss: Any = None,
        loss_weights: Mapping[str, float] | None = None,
        embedding: int | None = None,
        vocabulary: AnyVocabulary | None = None,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        config = checked(locals())
        rng = np.random.default_rng(config["seed"])
        self.backbone = Backbone(
            config,
            config["input_size"],
            rng,
            embedding=config["embedding"],
            one_hot=False,
            bidirectional=config["bidirectional"],
            vocabulary=as_vocabulary("vocabulary", config["vocabulary"]),
        )
        heads = Heads(heads_of(config), self.backbone.size, self.backbone.dtype, rng, dropout=config["output_dropout"])
        super().__init__(config, {"": self.backbone}, heads)

    @property
    def rnn(self) -> Any:
        """The recurrent layers: an ``RNN``, ``LSTM``, ``GRU`` or ``CustomLayer``."""
        return self.backbone.rnn

    @property
    def vocabulary(self) -> AnyVocabulary | None:
        """What makes ids of texts; None where the model has none."""
        return self.backbone.input.vocabulary

    @names_arguments
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int,
        batch_size: int = 32,
        optimizer: str | Optimizer = "adam",
        lr: LearningRate | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        ema: float | AveragedWeights | None = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        resets: Any = None,
        tbptt: int | None = None,
        burn_in: int = 0,
        metrics: str | Metric | Sequence[str | Metric] | Mapping[str, Any] = (),
        callbacks: Callback | Sequence[Callback] = (),
        progress: bool | None = None,
        shuffle: bool = True,
        seed: int | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        resume: TrainingState | StrPath | None = None,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array (N, T, C), ids (N, T), or a list of (T_i, C), of ids (T_i,) or of texts
            The sequences; memory maps are read batch by batch. Or batches, see Notes.
        y : ids (N, T), array (N, T, K), or a list of (T_i,) or (T_i, K); of several heads a dict of them; or None
            The targets. None where x brings batches.
        epochs : int
            Passes over the data.
        batch_size : int
            Sequences in a step of the optimiser.
        optimizer : {"adam", "adamw", "nadam", "rmsprop", "sgd"} or Optimizer
            An object has its own learning rate.
        lr : float, Schedule, function of steps, or None
            Learning rate of an optimiser given by name: a number, a schedule of ``rf.schedules``, or a function that
            returns the rate of the step that has ``n`` steps before it; None stands for 1e-3.
        clip_norm : float or None
            Largest norm of the gradient; None does not clip.
        clip_value : float or None
            Largest magnitude of an element of the gradient, clipped before the norm; None does not clip.
        accumulate : int
            Batches of one step: it uses the gradient of these batches joined to one, so that every target element of a
            head counts the same. The last step of an epoch may have fewer. Batches without a target do not count.
        ema : float, AveragedWeights or None
            Decay of an exponential moving average of the parameters over the steps, or the object that makes it. The
            model has the averages in the validation, when an epoch ends, and at the end, also where an exception is the
            end. None averages nothing.
        validation_data : (x, y), dict of arguments of ``evaluate``, batches, or None
            Data to evaluate after every epoch.
        validation_split : float
            Share of the sequences, the last ones, that is held out for that instead.
        lengths : integers (N,) or None
            Lengths of the sequences in an array x.
        mask : bool (N, T), list of (T_i,) or None
            Whether a step exists, in place of ``lengths``. Where it is False the state waits, and nothing is read of x,
            y, ``sample_weight`` and ``resets``: the step might as well be left out.
        sample_weight : array (N,), (N, T) or (N, T, K), list of (T_i,) or (T_i, K), a dict of these by head, or None
            Weights in the loss: of the sequences, of all steps, or of each of K numbers.
        class_weight : "balanced", dict of class to weight, array (K,), a dict of these by head, or None
            Weights of the classes among the targets, by which those of ``sample_weight`` are multiplied; not in
            validation. "balanced": the number of targets / (number of classes among them * targets of the class), as
            scikit-learn's. A class that a dict does not name has weight 1.
        resets : bool (N, T), list of (T_i,) or None
            Where one is True the state becomes the layer's initial one before the step: the learned one with
            ``learn_initial_state``, else zero. No gradient crosses.
        tbptt : int or None
            Truncated back-propagation (Williams and Peng 1990): sequences are cut into pieces of this many steps, each
            of them a step of the optimiser. The state passes on, the gradient does not, and memory does not grow
            with T. Not for bidirectional models.
        burn_in : int
            Steps at the start of a sequence, where the state is cold, that get no loss.
        metrics : name or Metric, several of them, or a dict of these by head
            Further quantities to report of the validation data: yours, "accuracy", "balanced_accuracy",
            "top_k_accuracy", "f1", "f1_macro", "f1_micro", "f1_weighted", "auc", "perplexity", "edit_distance", "mae",
            "rmse" or "r2"; see ``rf.metrics``.
        callbacks : Callback or several of them
            Called at every event of the training.
        progress : bool or None
            Whether to show a bar. None shows one where stderr is a terminal, and in a notebook.
        shuffle : bool
            Whether to shuffle in every epoch; sequences of similar length then share a batch.
        seed : int or None
            Seed of the shuffling. None draws another one every time.
        initial_epoch : int
            The epochs that an earlier ``fit`` has trained: this one trains and numbers those from ``initial_epoch + 1``
            to ``epochs``. 0 beside ``resume``, which knows its epoch.
        steps_per_epoch : int or None
            Batches in an epoch, where the data are batches. None: all that there are; an iterator needs a number.
        resume : TrainingState, path or None
            Where an earlier training stood: a state, or a file of ``rf.Checkpoint`` or ``state.save``. This one goes on
            from there to the same bits, with the same data, batch size and callbacks; the learning rate and the random
            numbers are those of the state, and ``epochs`` may be larger.

        Returns
        -------
        History
            ``history["loss"]`` and, with validation, ``history["val_loss"]``, ...

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        FloatingPointError
            The loss is not finite; the parameters are those before that step.

        Notes
        -----
        Batches come from an object with ``len(x)`` and ``x[i]`` (as keras.utils.Sequence), whose order is shuffled;
        from a callable that returns a new iterator, or an iterable, which begins again in every epoch; or from an
        iterator, which goes on with ``steps_per_epoch`` batches in every epoch and cannot be resumed.

        A batch is (x, y), (x, y, sample_weight) or a dict of these, ``lengths``, ``mask`` and ``resets``. It is checked
        when its turn comes. ``batch_size`` has no effect.
        """
        options = TrainingOptions.of(locals())
        data, validation = training_and_validation(
            self._read_data,
            x,
            y,
            batch_size=batch_size,
            validation_data=validation_data,
            validation_split=validation_split,
            known=READ,
            steps_per_epoch=steps_per_epoch,
            tbptt=tbptt,
            **{"lengths": lengths, "mask": mask, "sample_weight": sample_weight, "resets": resets, "burn_in": burn_in},
        )
        data = self._class_weighted(data, class_weight)
        return train.fit(self, data, options, validation)

    @names_arguments
    def loss(
        self,
        x: Any,
        y: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
        resets: Any = None,
        burn_in: int = 0,
    ) -> float:
        """Return the mean loss over all target elements, without dropout.

        Parameters
        ----------
        x, y, lengths, mask, sample_weight, resets, burn_in
            The data, see ``fit``.

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        """
        own = {"lengths": lengths, "mask": mask, "sample_weight": sample_weight, "resets": resets, "burn_in": burn_in}
        data = self._read_data(x, y, batch_size=1, **own)
        return self.batch_loss(data.whole()).loss

    @names_arguments
    def loss_and_grad(
        self,
        x: Any,
        y: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
        resets: Any = None,
        burn_in: int = 0,
    ) -> float:
        """Return the loss, with dropout, and add its gradient to every parameter's ``grad``.

        Arguments and errors are those of ``loss``.
        """
        own = {"lengths": lengths, "mask": mask, "sample_weight": sample_weight, "resets": resets, "burn_in": burn_in}
        data = self._read_data(x, y, batch_size=1, **own)
        return self.batch_loss(data.whole(), gradient=True).loss

    @names_arguments
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
        resets: Any = None,
        tbptt: int | None = None,
        burn_in: int = 0,
        metrics: str | Metric | Sequence[str | Metric] | Mapping[str, Any] = (),
    ) -> dict[str, float]:
        """Return the loss, the task's metrics (accuracy, or the mean absolute error "mae") and further ones.

        Parameters
        ----------
        x, y, lengths, mask, sample_weight, resets, tbptt, burn_in, metrics
            See ``fit``, batches included. ``tbptt`` returns the same numbers in little memory.
        batch_size : int
            Sequences at once.

        Returns
        -------
        dict of str to float
            Those of several heads have the head's name before theirs, as "policy_loss" and "policy_accuracy".

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        """
        accompanying = {
            "lengths": lengths,
            "mask": mask,
            "sample_weight": sample_weight,
            "resets": resets,
            "burn_in": burn_in,
        }
        data = evaluated(self._read_data, x, y, batch_size=batch_size, known=READ, tbptt=tbptt, **accompanying)
        return train.evaluate(self, data, metrics)

    @names_arguments
    def predict(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        resets: Any = None,
        state: StateLike = None,
        return_state: bool = False,
        chunk: int | None = None,
        samples: int | None = None,
        seed: int | None = None,
    ) -> Any:
        """Return the prediction at every step.

        Data that are not finite are a warning: other sequences' predictions do not depend on them.

        Parameters
        ----------
        x, lengths, mask, resets
            The sequences, see ``fit``. Predictions at gaps are 0.
        batch_size : int
            Sequences at once; predictions do not depend on it, unless ``samples`` are drawn.
        state : array (L, N, H), for LSTM a tuple (h, c) of them, optional
            Where the sequences begin, as a call with ``return_state`` left them; zeros by default. Two calls return the
            bits of one over the joined sequences. Not for bidirectional models.
        return_state : bool
            Whether to return also the states in which the sequences end.
        chunk : int or None
            Steps at once: the same bits in memory that, beyond x and the result, does not grow with T. Not for
            bidirectional models.
        samples : int or None
            Number of passes with the random numbers of training, dropout above all, each with masks of its own. The
            mean over them is the prediction of a model that averages over its weights, the standard deviation says how
            sure it is (Gal and Ghahramani 2016).
        seed : int or None
            Seed of these. None draws another one every time.

        Returns
        -------
        int64 array (N, T)
            Class ids of a classification.
        array (N, T, K)
            Numbers of a regression, or 0 and 1 of labels.
        list of N arrays
            For a list, or with ``lengths``.
        array (T,) or (T, K)
            For a single text.
        dict of str to these
            The predictions of several heads.
        array (samples, N, T, ...), or list of N arrays (samples, T_i, ...)
            In place of each array, with ``samples``.
        state : array (L, N, H), for LSTM a tuple (h, c) of them
            Beside the predictions, with ``return_state``.

        Raises
        ------
        ValueError
            An option that excludes another one, or that the model cannot fulfil.

        Examples
        --------
        >>> import numpy as np
        >>> import rnnfast as rf
        >>> model, x = rf.ManyToMany(3, 1, task="regression", output_dropout=0.5, seed=0), np.ones((2, 7, 3))
        >>> first, state = model.predict(x[:, :4], return_state=True)
        >>> both = np.concatenate([first, model.predict(x[:, 4:], state=state)], axis=1)
        >>> np.array_equal(both, model.predict(x))
        True
        >>> passes = model.predict(x, samples=50, seed=0)
        >>> passes.mean(axis=0).shape, passes.std(axis=0).shape
        ((2, 7, 1), (2, 7, 1))
        """
        options = PredictionOptions(state=state, return_state=return_state, chunk=chunk, samples=samples, seed=seed)
        return self._predicted(self.heads.decide, options, x, lengths, mask, resets, batch_size)

    @names_arguments
    def predict_proba(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        resets: Any = None,
        state: StateLike = None,
        return_state: bool = False,
        chunk: int | None = None,
        samples: int | None = None,
        seed: int | None = None,
    ) -> Any:
        """Return the probabilities (N, T, K) of the classes or labels at every step.

        Of several heads it returns a dict of those whose task has probabilities.

        Parameters
        ----------
        x, lengths, mask, resets, batch_size, state, return_state, chunk, samples, seed
            As for ``predict``.

        Raises
        ------
        ValueError
            A task without probabilities, such as a regression; options as for ``predict``.
        """
        options = PredictionOptions(state=state, return_state=return_state, chunk=chunk, samples=samples, seed=seed)
        return self._predicted(self.heads.probabilities, options, x, lengths, mask, resets, batch_size)

    @names_arguments
    def predict_quantiles(
        self,
        x: Any,
        quantiles: npt.ArrayLike | None = None,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        resets: Any = None,
    ) -> Any:
        """Return the quantiles (N, T, K, Q) of every predicted number, in ascending order of their levels.

        Of several heads it returns a dict of those that predict some.

        Parameters
        ----------
        x, lengths, mask, resets, batch_size
            As for ``predict``.
        quantiles : numbers (Q,) or None
            Levels within (0, 1). Of ``task="quantile"`` they are some of those that are learned, by default all; of a
            distribution they are any, by default 0.1, 0.5 and 0.9.

        Raises
        ------
        ValueError
            A task without quantiles, such as a classification; levels that are not learned.

        Examples
        --------
        >>> import numpy as np
        >>> import rnnfast as rf
        >>> model = rf.ManyToMany(3, 1, task="quantile", hidden_size=4, seed=0)
        >>> model.predict_quantiles(np.zeros((5, 7, 3))).shape
        (5, 7, 1, 3)
        """

        def read(outputs: dict[str, Array]) -> dict[str, Array]:
            return self.heads.quantiles(outputs, quantiles)

        return self._predicted(read, PredictionOptions(), x, lengths, mask, resets, batch_size)

    @names_arguments
    def predict_distribution(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        resets: Any = None,
    ) -> Any:
        """Return the parameters of the predicted distributions, a dict of arrays (N, T, K) by name.

        They are ``loc`` and ``scale`` of a Gaussian, also ``df`` of a Student-t, ``rate`` of a Poisson, ``mean`` and
        ``dispersion`` of a negative binomial distribution. Of several heads it returns a dict of such dicts.

        Parameters
        ----------
        x, lengths, mask, resets, batch_size
            As for ``predict``.

        Raises
        ------
        ValueError
            A task without a distribution.
        """
        data = self._unlabelled(x, lengths, mask, resets, batch_size=batch_size)
        found = self.heads.distributions(self._all_outputs(data))
        return only(
            {head: {name: data.inputs.split(rows) for name, rows in own.items()} for head, own in found.items()}
        )

    @names_arguments
    def trace(self, x: Any, *, lengths: npt.ArrayLike | None = None, mask: Any = None, resets: Any = None) -> Trace:
        """Return all states and gates of the layers, arrays (N, T, D*H) of all N sequences at once.

        T is the longest sequence's; past a length and at gaps there are zeros.

        Parameters
        ----------
        x, lengths, mask, resets
            As for ``predict``.
        """
        data = self._unlabelled(x, lengths, mask, resets, batch_size=1)
        batch = data.whole()
        return self.backbone.trace(batch.inputs, None, batch.resets, gaps=data.inputs.gaps)

    @names_arguments
    def stream(self, batch_size: int = 1, state: StateLike = None) -> Stream:
        """Return a copy of the model that is fed step by step.

        ``step(x)`` returns ``W_head h(t) + b_head`` after the sequence up to x(t): logits or numbers, from which the
        caller decides (softmax, the largest). Those of several heads stand side by side, in alphabetical order;
        ``split_outputs`` tells them apart.

        Parameters
        ----------
        batch_size : int
            Sequences N, which advance together.
        state : array (L, N, H), for LSTM a tuple (h, c) of them, optional
            Where they begin; zeros by default.

        Returns
        -------
        Stream
            Its ``step`` takes x (N, C), or integers (N,) where the model takes ids, and returns (N, K); where N is 1
            also x (C,), or an integer, and then (K,). ``process`` takes (N, T, C) or ids (N, T). Real numbers of
            another dtype than the model's are converted, at the price of a copy.

        Raises
        ------
        ValueError
            A bidirectional model, which reads from the end too, or a custom cell.

        Examples
        --------
        >>> import numpy as np
        >>> import rnnfast as rf
        >>> model = rf.ManyToMany(4, 3, embedding=2, hidden_size=5, seed=0)
        >>> s = model.stream()
        >>> outputs = np.stack([s.step(i) for i in [3, 0, 1]])
        >>> s.reset()
        >>> np.array_equal(s.process([[3, 0, 1]])[0], outputs)
        True
        """
        return stream_of(self.backbone, self.heads, batch_size, state)

    def _read_data(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int,
        name: str = "x",
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
        resets: Any = None,
        tbptt: int | None = None,
        burn_in: int = 0,
    ) -> AlignedData:
        """Check and convert the user's data, of which at least one target counts; messages call them ``name``."""
        tbptt, burn_in = as_pieces(tbptt, burn_in, bidirectional=self.config["bidirectional"])
        inputs = self.backbone.read(x, lengths, mask)
        steps = step_count(x, inputs)
        given = by_head(y, list(self.heads.configs))
        called_weights = weights_by_head(sample_weight, list(given))
        targets: dict[str, Sequences] = {}
        weights: dict[str, Array | Sequences | None] = {}
        for head, (called, values) in given.items():
            targets[head], weights[head] = self._targets(head, called, values, called_weights[head], inputs, steps)
        unread = [head for head, own in targets.items() if isinstance(own, StoredSequences)]
        data = AlignedData(
            inputs=inputs,
            targets=targets,
            weights=shared(weights),
            resets=as_resets(resets, inputs, steps),
            batch_size=batch_size,
            tbptt=tbptt,
            burn_in=burn_in,
            present={head: partial(self.tasks[head].present, dtype=self.dtype) for head in unread},
        )
        data.require_targets(name)
        return data

    def _targets(
        self, head: str, called: str, values: Any, weights: tuple[str, Any], inputs: Sequences, steps: int
    ) -> tuple[Sequences, Array | Sequences | None]:
        """Return the targets of a head, which messages call ``called``, and their weights, given with a name."""
        name, given = weights
        task, size = self.heads.configs[head].task, self.heads.configs[head].size
        own = as_step_weights(given, inputs, steps, self.dtype, width=size if task.weighs_elements else None, name=name)
        width = None if task.ids else size
        convert = partial(task.targets, size=size, dtype=self.dtype, name=called)
        if own is None and not task.ignores and inputs.gaps is None:
            missing = task.weighs_elements
            stored = stored_targets(values, inputs, steps, width=width, name=called, convert=convert, missing=missing)
            if stored is not None:
                return stored, None
        each = without_unread(step_values(values, inputs, steps, width=width, name=called), own, inputs)
        finite = check_finite(called, inputs.like(each), self.dtype, missing=task.weighs_elements)
        return counted_steps(task, inputs.like(convert(each)), own, self.dtype, finite=finite, name=called)

    def _unlabelled(
        self, x: Any, lengths: Any, mask: Any, resets: Any, *, batch_size: int, chunk: int | None = None
    ) -> AlignedData:
        inputs = self.backbone.read(x, lengths, mask, warns=True)
        own = as_resets(resets, inputs, step_count(x, inputs))
        return AlignedData(inputs=inputs, targets={}, resets=own, batch_size=batch_size, tbptt=chunk)

    def _predicted(
        self, read: Reader, options: PredictionOptions, x: Any, lengths: Any, mask: Any, resets: Any, batch_size: int
    ) -> Any:
        options.check_model(self)
        data = self._unlabelled(x, lengths, mask, resets, batch_size=batch_size, chunk=options.chunk)
        found, last = predict(self, data, read, options)
        split = (lambda rows: data.inputs.split(rows)[0]) if isinstance(x, str) else data.inputs.split
        arranged = only({name: options.arranged(rows, split) for name, rows in found.items()})
        return (arranged, last) if options.return_state else arranged

    def _outputs(self, batch: Batch, state: State | None, *, keep: bool) -> tuple[dict[str, Array], State, Any]:
        if not keep:
            y, last = self.backbone.infer(batch.inputs, state, batch.resets)
            return self.heads.infer(y, batch.target_rows), last, None
        y, last, backbone = self.backbone.forward(batch.inputs, state, batch.resets)
        outputs, heads = self.heads.forward(y, batch.target_rows)
        return outputs, last, _Tape(backbone, heads)

    def _backward(self, tape: _Tape, doutputs: dict[str, Array]) -> None:
        self.backbone.backward(tape.backbone, self.heads.backward(tape.heads, doutputs))

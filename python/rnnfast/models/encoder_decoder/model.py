"""The model: a sequence in, another of its own length out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks, train
from rnnfast.arrays import Array, Float64
from rnnfast.atomic import StrPath
from rnnfast.checks import names_arguments
from rnnfast.data import (
    PairBatch,
    PairData,
    Sequences,
    check_finite,
    evaluated,
    read_with_gaps,
    training_and_validation,
)
from rnnfast.layers import CustomCell, State, StateLike, Stream, Trace
from rnnfast.metrics import Metric
from rnnfast.models.base import Model
from rnnfast.models.config import checked
from rnnfast.models.encoder_decoder.network import EncoderDecoderNetwork, NetworkTape
from rnnfast.models.encoder_decoder.teacher_forcing import TeacherForcing
from rnnfast.models.prediction import PredictionOptions
from rnnfast.models.streaming import stream_of
from rnnfast.optim import AveragedWeights, LearningRate, Optimizer
from rnnfast.sampling import WritingOptions
from rnnfast.tasks import Task, as_task
from rnnfast.text import AnyVocabulary
from rnnfast.train import Callback, History, TrainingOptions
from rnnfast.training_state import TrainingState

READ = ("x", "y", "lengths", "mask", "sample_weight")  # what data are made of


class EncoderDecoder(Model):
    """A sequence in, another of its own length out: one stack of layers reads, a second one writes.

    The states in which the encoder ends are those in which the decoder begins (Sutskever et al. 2014). At every step
    the decoder reads the element before, ``start`` at first, and ``outputs(t) = W_head h(t) + b_head`` say what comes
    next, until that is ``stop``. It is trained on the true elements before, and predicts from its own. With attention
    the head reads ``tanh(W_combine [context; h] + b_combine)`` instead of h; the context is a mean of the encoder's
    outputs with weights that depend on h (Bahdanau et al. 2015, Luong et al. 2015).

    Parameters
    ----------
    source_size : int or None
        Features C of a source's step; with ``source_embedding``, the number of the sources' ids. None stands for the
        size of ``source_vocabulary``.
    target_size : int or None
        Number of ids that y may hold, or numbers K of each of its elements. None stands for the size of
        ``target_vocabulary``.
    cell : {"lstm", "gru", "rnn"}, or a CustomCell by its class or name
        The recurrent cell.
    hidden_size : int
        Units H of a layer.
    num_layers : int
        Layers L of the stack.
    bidirectional : bool
        Whether the encoder reads both ways. The decoder then begins with ``bridge.weight`` times both directions'
        states, side by side, of each layer and of h and c by a matrix of its own; attention sees the outputs of both.
    dropout : float
        Probability that an output of a layer is dropped before the next layer reads it, in training.
    output_dropout : float
        Probability that an element of what the heads read is dropped, in training.
    activity_l2 : float
        Penalty on the outputs h of the top layer, in training: ``activity_l2 / N * sum h^2`` over all N sequences of a
        batch, steps and units, is added to the loss; of an encoder-decoder that of both stacks.
    source_embedding : int or None
        Size of a learned vector for each id of a source. x then holds integer ids.
    target_embedding : int or None
        Size of a learned vector for each id that the decoder reads; None gives it unit vectors.
    task : {"classification", "regression", "multilabel"}, Task, the name of a loss, or None
        Elements of y are ids, real vectors, or vectors of 0 and 1. The loss is softmax cross-entropy, mean squared
        error, or binary cross-entropy, or that of a task of your own; it is the mean over all elements of targets,
        stops included. NaN among numbers is a missing value, which the decoder reads as 0. None: the task of ``loss``,
        or classification. A task of your own must have outputs that are the next element.
    loss : str, dict, Loss or function, of several heads a dict of these, or None
        What the task learns by, instead of its own loss: a name such as "huber", a dict of a name and options, an
        object of ``rf.losses``, or a function (outputs, y) -> (loss, gradient), which no file can keep.
    source_vocabulary, target_vocabulary : Vocabulary, WordVocabulary, ByteVocabulary, or None
        What makes ids of texts, see ``rnnfast.text``. Sources, or y, are then texts, or ids; predictions are texts. The
        model's file keeps them.
    attention : {"additive", "dot"} or None
        How the decoder looks at the encoder's outputs.
    start, stop : int or None
        Ids below ``target_size`` that the user reserves; None: the model has its own, beyond the vocabulary. y never
        contains them. Vectors have neither.
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
    x is (N, S, C), or (N, S) ids, with ``lengths`` where sources are shorter; or a list of (S_i, C) arrays, of 1-D
    arrays of ids, or of texts. y is (N, T) ids or (N, T, K) numbers; or a list of (T_i,) or (T_i, K) arrays, or of
    texts. The
    parameters are ``source_embedding.weight``,
    ``encoder.*``, ``bridge.weight (S*L*H, 2H)`` with rows by state (h, c), layer and unit, ``target_embedding.weight``,
    ``decoder.*``, ``attention.*``, ``head.weight (K, H)``, ``head.bias (K,)``, where K counts a stop of the model's
    own, and the decoder's inputs also its start, behind it.

    Examples
    --------
    Write a sequence backwards:

    >>> import numpy as np
    >>> import rnnfast as rf
    >>> rng = np.random.default_rng(0)
    >>> x = [rng.integers(0, 3, length) for length in rng.integers(1, 5, 300)]
    >>> y = [s[::-1] for s in x]
    >>> model = rf.EncoderDecoder(3, 3, cell="gru", hidden_size=32, source_embedding=8, seed=0)
    >>> history = model.fit(x, y, epochs=30, lr=0.01, progress=False, seed=0)
    >>> model.predict([[2, 0, 1], [1, 2]])
    [array([1, 0, 2]), array([2, 1])]
    """

    @names_arguments
    def __init__(
        self,
        source_size: int | None = None,
        target_size: int | None = None,
        *,
        cell: str | type[CustomCell] = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        activity_l2: float = 0.0,
        source_embedding: int | None = None,
        target_embedding: int | None = None,
        source_vocabulary: AnyVocabulary | None = None,
        target_vocabulary: AnyVocabulary | None = None,
        task: str | Task | Mapping[str, Any] | None = None,
        loss: Any = None,
        attention: str | None = None,
        start: int | None = None,
        stop: int | None = None,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        config = checked(locals())
        rng = np.random.default_rng(config["seed"])
        self.network = EncoderDecoderNetwork(config, as_task("task", config["task"]), rng)
        self.forcing = TeacherForcing(rng.spawn(1)[0])
        super().__init__(config, {**self.network.parts(), "teacher_forcing": self.forcing}, self.network.heads)

    @property
    def encoder(self) -> Any:
        """The recurrent layers that read: an ``RNN``, ``LSTM``, ``GRU`` or ``CustomLayer``."""
        return self.network.encoder.rnn

    @property
    def decoder(self) -> Any:
        """The recurrent layers that write."""
        return self.network.decoder.rnn

    @property
    def source_vocabulary(self) -> AnyVocabulary | None:
        """What makes ids of texts that are read; None where the model has none."""
        return self.network.encoder.input.vocabulary

    @property
    def target_vocabulary(self) -> AnyVocabulary | None:
        """What makes texts of ids that are written; None where the model has none."""
        return self.network.framing.vocabulary

    @property
    def start_id(self) -> int | None:
        """The id that the decoder reads first; None where it reads vectors, which begin with zeros."""
        return self.network.framing.start

    @property
    def stop_id(self) -> int | None:
        """The id that ends what the decoder writes; None where it writes vectors."""
        return self.network.framing.stop

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
        teacher_forcing: LearningRate = 1.0,
        validation_data: Any = None,
        validation_split: float = 0.0,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        metrics: str | Metric | Sequence[str | Metric] = (),
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
            The sources; memory maps are read batch by batch. Or batches, see Notes.
        y : ids (N, T), array (N, T, K), or a list of (T_i,), of (T_i, K) or of texts; or None
            What belongs to each source, without ``start`` and ``stop``. None where x brings batches.
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
        teacher_forcing : float, Schedule or function of steps
            Probability with which the decoder reads the true element before; else it reads its own prediction, the
            likeliest element, made of what it has read so far (scheduled sampling, Bengio et al. 2015). No gradient
            passes through a prediction. A schedule or a function gives that of every step. Evaluation is not changed.
        validation_data : (x, y), dict of arguments of ``evaluate``, batches, or None
            Data to evaluate after every epoch.
        validation_split : float
            Share of the sequences, the last ones, that is held out for that instead.
        lengths : integers (N,) or None
            Lengths of the sources in an array x.
        mask : bool (N, S), list of (S_i,) or None
            Whether a step of a source exists, in place of ``lengths``. Where it is False nothing is read: the step
            might as well be left out.
        sample_weight : array (N,), (N, T) or (N, T, K), list of (T_i,) or (T_i, K), or None
            Weights in the loss: of the pairs, of all elements of y, or of each of K numbers. A stop has the weight of
            the element before it, or 1 without one.
        class_weight : "balanced", dict of class to weight, array (K,), or None
            Weights of the classes among the targets, by which those of ``sample_weight`` are multiplied; not in
            validation. "balanced": the number of targets / (number of classes among them * targets of the class), as
            scikit-learn's. A class that a dict does not name has weight 1.
        metrics : name or Metric, or several of them
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

        A batch is (x, y), (x, y, sample_weight) or a dict of these, ``lengths`` and ``mask``. It is checked when
        its turn comes. ``batch_size`` has no effect.
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
            lengths=lengths,
            mask=mask,
            sample_weight=sample_weight,
        )
        data = self._class_weighted(data, class_weight)
        with self.forcing.following(teacher_forcing) as before_step:
            return train.fit(self, data, options, validation, before_step)

    @names_arguments
    def loss(
        self,
        x: Any,
        y: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
    ) -> float:
        """Return the mean loss over all target elements, without dropout.

        Parameters
        ----------
        x, y, lengths, mask, sample_weight
            The data, see ``fit``.

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        """
        data = self._read_data(x, y, batch_size=1, lengths=lengths, mask=mask, sample_weight=sample_weight)
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
    ) -> float:
        """Return the loss, with dropout, and add its gradient to every parameter's ``grad``.

        Arguments and errors are those of ``loss``.
        """
        data = self._read_data(x, y, batch_size=1, lengths=lengths, mask=mask, sample_weight=sample_weight)
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
        metrics: str | Metric | Sequence[str | Metric] = (),
    ) -> dict[str, float]:
        """Return the loss, the task's metrics (accuracy, or the mean absolute error "mae") and further ones.

        Parameters
        ----------
        x, y, lengths, mask, sample_weight, metrics
            See ``fit``, batches included.
        batch_size : int
            Sequences at once.

        Returns
        -------
        dict of str to float

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        """
        own: dict[str, Any] = {"lengths": lengths, "mask": mask, "sample_weight": sample_weight}
        data = evaluated(self._read_data, x, y, batch_size=batch_size, known=READ, **own)
        return train.evaluate(self, data, metrics)

    @names_arguments
    def predict(
        self,
        x: Any,
        *,
        max_length: int | None = None,
        beams: int | None = None,
        length_penalty: float = 0.0,
        num_sequences: int = 1,
        return_log_probs: bool = False,
        return_attention: bool = False,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        batch_size: int = 256,
    ) -> Any:
        """Write what belongs to each source, each element after those that were written before.

        Parameters
        ----------
        x, lengths, mask
            The sources, see ``fit``.
        max_length : int or None
            Most elements to write. None: twice the length of the source and 10; vectors, which nothing stops, need a
            number.
        beams : int or None
            Number of hypotheses of a search for the most probable sequence of ids; None takes the most probable id at
            every step.
        length_penalty : float
            The search wants the highest ``log p / ((5 + n) / 6)^length_penalty``, n ids with stop (Wu et al. 2016).
        num_sequences : int
            Number of sequences for each source, the best that the search finds, the best first; at most ``beams``.
        return_log_probs : bool
            Return also log p of each sequence, its stop included.
        return_attention : bool
            Return also what was attended to.
        batch_size : int
            Sources at once; predictions do not depend on it.

        Returns
        -------
        list of int64 arrays (T_i,)
            Ids without stop.
        list of str
            In place of ids, with a vocabulary of the targets.
        ndarray (N, max_length, K)
            Vectors: the predicted numbers, or for labels 0 and 1, int64.
        list of N lists of these
            Where ``num_sequences`` is above 1.
        str, or other item of these lists
            For a single source that is text.
        log_p : float64 array (N,), or (N, num_sequences)
            With ``return_log_probs``, behind the predictions.
        list of arrays (T_i, S_i)
            With ``return_attention``, behind these: the weight of every step of the source at every element.
        """
        several = checks.as_size("num_sequences", num_sequences) > 1
        if checks.as_flag("return_attention", return_attention):
            if self.network.attention is None:
                wanted = "a model with attention is required (attention='dot'), got attention=None"
                raise ValueError(f"return_attention: {wanted}")
            if several:
                raise ValueError(f"num_sequences: 1 is required beside return_attention, got {num_sequences}")
        sources = self._sources(x, lengths, mask, warns=True)
        found, log_p = self._written(
            sources,
            max_length,
            batch_size,
            beams=beams,
            length_penalty=length_penalty,
            num_sequences=num_sequences,
            return_log_probs=return_log_probs,
        )
        results = [self._arranged(found, max_length, num_sequences)]
        if return_log_probs:
            results.append(log_p.reshape(-1, num_sequences) if several else log_p)
        if return_attention:
            results.append(self.network.maps(sources, found, batch_size))
        if isinstance(x, str):
            results = [each[0] for each in results]
        return results[0] if len(results) == 1 else tuple(results)

    @names_arguments
    def predict_proba(
        self,
        x: Any,
        *,
        max_length: int | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        batch_size: int = 256,
        samples: int | None = None,
        seed: int | None = None,
    ) -> Any:
        """Return the probabilities of the K outputs at every element of the greedy prediction.

        K counts a stop of the model's own, the last one.

        Parameters
        ----------
        x, max_length, lengths, mask, batch_size
            As for ``predict``.
        samples : int or None
            Number of passes with the random numbers of training, dropout above all, each with masks of its own (Gal and
            Ghahramani 2016). All of them read the same prediction, which is written without. They depend on
            ``batch_size``.
        seed : int or None
            Seed of these. None draws another one every time.

        Returns
        -------
        list of arrays (T_i, K), or ndarray (N, max_length, K) for labels
        array (T, K)
            For a single source that is text.
        list of arrays (samples, T_i, K), and so on
            In place of each array, with ``samples``.

        Raises
        ------
        ValueError
            For a regression; ``samples`` of a model without dropout.
        """
        self.task.probabilities(self._no_outputs())

        def read(outputs: Array) -> dict[str, Array]:
            return {"": self.task.probabilities(outputs)}

        options = PredictionOptions(samples=samples, seed=seed)
        return self._at_predictions(read, options, x, max_length, lengths, mask, batch_size)[""]

    @names_arguments
    def predict_quantiles(
        self,
        x: Any,
        quantiles: npt.ArrayLike | None = None,
        *,
        max_length: int | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        batch_size: int = 256,
    ) -> Any:
        """Return the quantiles (N, max_length, K, Q) of every element, given the predictions before it.

        Parameters
        ----------
        x, max_length, lengths, mask, batch_size
            As for ``predict``.
        quantiles : numbers (Q,) or None
            Levels within (0, 1). Of ``task="quantile"`` they are some of those that are learned, by default all; of a
            distribution they are any, by default 0.1, 0.5 and 0.9.

        Raises
        ------
        ValueError
            A task without quantiles, such as a classification; levels that are not learned.
        """
        self.task.quantiles(self._no_outputs(), quantiles)

        def read(outputs: Array) -> dict[str, Array]:
            return {"": self.task.quantiles(outputs, quantiles)}

        return self._at_predictions(read, PredictionOptions(), x, max_length, lengths, mask, batch_size)[""]

    @names_arguments
    def predict_distribution(
        self,
        x: Any,
        *,
        max_length: int | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        batch_size: int = 256,
    ) -> Any:
        """Return the parameters of every element's distribution, given the predictions before it.

        They are a dict of arrays (N, max_length, K) by name: ``loc`` and ``scale`` of a Gaussian, also ``df`` of a
        Student-t, ``rate`` of a Poisson, ``mean`` and ``dispersion`` of a negative binomial distribution.

        Parameters
        ----------
        x, max_length, lengths, mask, batch_size
            As for ``predict``.

        Raises
        ------
        ValueError
            A task without a distribution.
        """
        self.task.distribution(self._no_outputs())
        read = self.task.distribution
        return self._at_predictions(read, PredictionOptions(), x, max_length, lengths, mask, batch_size)

    @names_arguments
    def trace(
        self, x: Any, y: Any = None, *, lengths: npt.ArrayLike | None = None, mask: Any = None
    ) -> dict[str, Trace]:
        """Return all states and gates under "encoder", arrays (N, S, D*H), and "decoder", (N, T, H).

        Parameters
        ----------
        x, lengths, mask
            As for ``predict``.
        y : as for ``fit``, optional
            What the decoder reads, after a start; by default the model's own greedy prediction. T is one above the
            longest; past a length and at gaps there are zeros.
        """
        if y is None:
            y = self._written(self._sources(x, lengths, mask, warns=True), None, 256)[0]
        data = self._read_data(x, y, batch_size=1, lengths=lengths, mask=mask)
        return self.network.trace(data.whole(), data.sources.gaps)

    @names_arguments
    def stream(self, batch_size: int = 1, state: StateLike = None, *, source: Any = None) -> Stream:
        """Return a copy of the decoder that is fed step by step.

        ``step(x)`` gives ``W_head h(t) + b_head`` after the elements up to x, the first of which is ``start_id`` or
        a vector of zeros.

        Parameters
        ----------
        batch_size : int
            Targets N, which advance together.
        state : array (L, N, H), for LSTM a tuple (h, c) of them, optional
            Where the decoder begins; zeros by default.
        source : as x for ``predict``, N sequences, optional
            Instead: it begins where the encoder ends these, again after every ``reset``.

        Returns
        -------
        Stream
            Its ``step`` takes integers (N,), or vectors (N, K), and returns (N, K).

        Raises
        ------
        ValueError
            For a model with attention, which looks at its whole source at every step; where both ``state`` and
            ``source`` are given, or another number of sources than N.

        Examples
        --------
        >>> import rnnfast as rf
        >>> model = rf.EncoderDecoder(3, 5, hidden_size=8, source_embedding=4, seed=0)
        >>> s = model.stream(source=[[2, 0, 1]])
        >>> x, written = model.start_id, []
        >>> while len(written) < 16 and (x := s.step(x).argmax()) != model.stop_id:
        ...     written.append(int(x))
        >>> written == model.predict([[2, 0, 1]])[0].tolist()
        True
        """
        if self.network.attention is not None:
            raise ValueError(
                "stream: a model without attention is required, which needs the whole source at every step"
            )
        if state is not None and source is not None:
            raise ValueError("state: None is required where source is given, got both")
        start = None
        if source is not None:
            sources = self.network.encoder.input.sequences(source, None, "source")
            check_finite("source", sources, self.dtype, warns=True)
            if len(sources) != checks.as_size("batch_size", batch_size):
                raise ValueError(f"source: N = batch_size = {batch_size} sequences are required, got {len(sources)}")
            start = self.network.read(sources)[1]
        return stream_of(self.network.decoder, self.heads, batch_size, state, start)

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
    ) -> PairData:
        """Check and convert the user's data, of which at least one target counts; messages call them ``name``."""
        sources = self._sources(x, lengths, mask)
        whole, weights = self.network.framing.read(y, len(sources), sample_weight)
        data = PairData(
            sources=sources,
            inputs=whole.without_last(),
            targets={"": whole.without_first()},
            weights=weights,
            batch_size=batch_size,
        )
        data.require_targets(name)
        return data

    def _sources(self, x: Any, lengths: npt.ArrayLike | None, mask: Any, *, warns: bool = False) -> Sequences:
        found = read_with_gaps(self.network.encoder.input.sequences, x, lengths, mask)
        check_finite("x", found, self.dtype, warns=warns)
        return found

    def _written(
        self, sources: Sequences, max_length: int | None, batch_size: int, *, beams: int | None = None, **options: Any
    ) -> tuple[list[Array], Float64]:
        """Return the predictions for each source, (T_n,) ids or (T_n, K) numbers, and log p of each."""
        checks.as_size("batch_size", batch_size)
        limits = self.network.framing.limits(sources, max_length)
        own = WritingOptions(
            length=int(limits.max(initial=0)),
            beams=beams,
            greedy=beams is None,
            stop=self.network.framing.stop,
            **options,
        )
        own.check_task(self.task.name, self.network.framing.outputs, ids=self.task.ids)
        if beams is None and own.num_sequences != 1:
            raise ValueError(f"num_sequences: 1 is required without beams, got {own.num_sequences}")
        return self.network.write(sources, limits, own, batch_size)

    def _arranged(self, found: list[Array], max_length: int | None, n: int) -> Any:
        vocabulary, framing = self.target_vocabulary, self.network.framing
        if vocabulary is not None:
            every: Any = [vocabulary.decode(ids) for ids in found]
        else:
            every = framing.arranged(found, max_length, framing.kind) if n == 1 else found
        return every if n == 1 else [every[i : i + n] for i in range(0, len(every), n)]

    def _at_predictions(
        self,
        read: Callable[[Array], dict[str, Array]],
        options: PredictionOptions,
        x: Any,
        max_length: int | None,
        lengths: npt.ArrayLike | None,
        mask: Any,
        batch_size: int,
    ) -> dict[str, Any]:
        """Return what is read of the outputs at every element of the greedy prediction, by name."""
        options.check_model(self)
        sources = self._sources(x, lengths, mask, warns=True)
        again = self.network.again(sources, self._written(sources, max_length, batch_size)[0], batch_size)
        ends = np.cumsum(again.inputs.lengths)
        if options.samples is None:
            found = read(self._all_outputs(again)[""])
        else:
            drawing = options.drawing(self)
            passes = [read(drawing._all_outputs(again, training=True)[""]) for _ in range(options.samples)]
            found = {name: np.stack([each[name] for each in passes]) for name in passes[0]}

        def arranged(rows: Array) -> Any:
            each = np.split(rows, ends)[:-1]
            return each[0] if isinstance(x, str) else self.network.framing.arranged(each, max_length, rows.dtype)

        return {name: options.arranged(rows, arranged) for name, rows in found.items()}

    def _outputs(
        self, batch: PairBatch, state: State | None, *, keep: bool
    ) -> tuple[dict[str, Array], State | None, Any]:
        if not keep:
            return self.network.infer(batch)[0], None, None
        outputs, tape = self.network.forward(self.forcing.mixed(self.network, batch))
        return outputs, None, tape

    def _backward(self, tape: NetworkTape, doutputs: dict[str, Array]) -> None:
        self.network.backward(tape, doutputs)

"""A seed in, a sequence out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks, train
from rnnfast.arrays import Array
from rnnfast.atomic import StrPath
from rnnfast.checks import names_arguments
from rnnfast.data import (
    BROUGHT,
    NO_SPLIT,
    AlignedData,
    Batch,
    BatchSource,
    NextElements,
    as_context,
    hold_out,
    without_brought,
)
from rnnfast.layers import BlockTape, CustomCell, State, StateLike, Stream, Trace
from rnnfast.metrics import Metric
from rnnfast.models.backbone import Backbone, BackboneTape, ContextToState
from rnnfast.models.base import Heads, HeadsTape, Model
from rnnfast.models.config import Config, checked, heads_of
from rnnfast.models.generation import as_prefix, repeat_state, write_on
from rnnfast.models.streaming import stream_of
from rnnfast.optim import AveragedWeights, LearningRate, Optimizer
from rnnfast.sampling import WritingOptions
from rnnfast.tasks import Task
from rnnfast.train import Callback, History, TrainingOptions
from rnnfast.training_state import TrainingState

TRAIN_STEPS = 64  # of a long array, in one gradient
EVALUATE_STEPS = 1024  # of a long array, in memory at once


@dataclass(frozen=True, eq=False)
class _Tape:
    """What ``_backward`` needs; ``context`` where the sequences begin with a learned state."""

    backbone: BackboneTape
    heads: HeadsTape
    context: BlockTape | None

    @property
    def backbones(self) -> tuple[BackboneTape, ...]:
        """Tapes of what may have a penalty."""
        return (self.backbone,)


class OneToMany(Model):
    """A seed in, a sequence out: predict the next element, append it, repeat.

    ``outputs(t) = W_head h(t) + b_head`` say what x(t+1) is; a context vector v starts the latent state,
    ``h(0) = W_context v + b_context`` (for an LSTM, c(0) likewise).

    Parameters
    ----------
    input_size : int
        Size of the vocabulary of ids, or features C of real elements.
    output_size : int or None
        Ids that the model may write; None stands for ``input_size``. It is smaller where the last ids occur in prompts
        only.
    cell : {"lstm", "gru", "rnn"}, or a CustomCell by its class or name
        The recurrent cell.
    hidden_size : int
        Units H of a layer.
    num_layers : int
        Layers L of the stack.
    bidirectional : bool
        False; a model that writes cannot read from the end.
    dropout : float
        Probability that an output of a layer is dropped before the next layer reads it, in training.
    output_dropout : float
        Probability that an element of what the heads read is dropped, in training.
    activity_l2 : float
        Penalty on the outputs h of the top layer, in training: ``activity_l2 / N * sum h^2`` over all N sequences of a
        batch, steps and units, is added to the loss; of an encoder-decoder that of both stacks.
    task : {"classification", "regression", "multilabel"}, Task, the name of a loss, or None
        Elements are ids, real vectors, or vectors of 0 and 1. The loss is softmax cross-entropy, mean squared error, or
        binary cross-entropy, or that of a task of your own; it is the mean over all elements but the first ones. None:
        the task of ``loss``, or classification. A task of your own must have outputs that are the next element.
    loss : str, dict, Loss or function, of several heads a dict of these, or None
        What the task learns by, instead of its own loss: a name such as "huber", a dict of a name and options, an
        object of ``rf.losses``, or a function (outputs, y) -> (loss, gradient), which no file can keep.
    embedding : int or None
        Size of a learned vector for each id; None gives the layer unit vectors.
    context_size : int or None
        Size K of the vector that starts a sequence.
    cell_options : dict or None
        Further options of the layer, as ``{"activation": "relu"}``; see ``rf.RNN``, ``rf.LSTM`` and ``rf.GRU``.
    dtype : {"float32", "float64"}
        Dtype of the parameters; data are converted to it.
    seed : int or None
        Source of the initial parameters and of dropout. None draws other ones every time.

    Notes
    -----
    Sequences are ids (N, T) or a list of 1-D arrays; real ones (N, T, C) or a list of (T_i, C); or a single long
    one, ids (T,) or (T, C). The parameters are ``embedding.weight``, ``rnn.*``, ``context.weight``, ``context.bias``,
    ``head.weight (K, H)`` and ``head.bias (K,)``.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> model = rf.OneToMany(4, cell="gru", hidden_size=16, seed=0)
    >>> history = model.fit([[0, 1, 2, 3] * 4], epochs=60, lr=0.02, progress=False)
    >>> model.generate([0, 1], 5, greedy=True).tolist()
    [2, 3, 0, 1, 2]
    """

    @names_arguments
    def __init__(
        self,
        input_size: int,
        output_size: int | None = None,
        *,
        cell: str | type[CustomCell] = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        activity_l2: float = 0.0,
        task: str | Task | Mapping[str, Any] | None = None,
        loss: Any = None,
        embedding: int | None = None,
        context_size: int | None = None,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        config = checked({**locals(), "output_size": input_size if output_size is None else output_size})
        heads = heads_of(config)
        _check_elements(config, heads[""].task)
        rng = np.random.default_rng(config["seed"])
        self.backbone = Backbone(
            config,
            config["input_size"],
            rng,
            embedding=config["embedding"],
            one_hot=heads[""].task.ids,
            bidirectional=False,
        )
        found = Heads(heads, self.backbone.size, self.backbone.dtype, rng, dropout=config["output_dropout"])
        parts: dict[str, Any] = {"": self.backbone}
        self.context: ContextToState | None = None
        if config["context_size"] is not None:
            sizes = self.rnn.state_sizes
            self.context = ContextToState(config["context_size"], self.rnn.num_layers, sizes, self.backbone.dtype, rng)
        super().__init__(config, parts, found)
        if self.context is not None:
            self._parts["context"] = self.context
        self.reader = NextElements(
            self.backbone.input, self.task, config["output_size"], config["context_size"], self.dtype
        )

    @property
    def rnn(self) -> Any:
        """The recurrent layers: an ``RNN``, ``LSTM``, ``GRU`` or ``CustomLayer``."""
        return self.backbone.rnn

    @names_arguments
    def fit(
        self,
        sequences: Any,
        *,
        epochs: int,
        batch_size: int = 32,
        tbptt: int | None = None,
        burn_in: int = 0,
        optimizer: str | Optimizer = "adam",
        lr: LearningRate | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        ema: float | AveragedWeights | None = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        lengths: npt.ArrayLike | None = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        context: npt.ArrayLike | None = None,
        metrics: str | Metric | Sequence[str | Metric] = (),
        callbacks: Callback | Sequence[Callback] = (),
        progress: bool | None = None,
        shuffle: bool = True,
        seed: int | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        resume: TrainingState | StrPath | None = None,
    ) -> History:
        """Train to predict the next element at every step.

        Parameters
        ----------
        sequences : ids (N, T), array (N, T, C), a list of (T_i,) or (T_i, C), or a single long one (T,) or (T, C)
            The data; memory maps are read batch by batch. A long sequence is cut into ``batch_size`` streams. Or
            batches, see Notes.
        epochs : int
            Passes over the data.
        batch_size : int
            Sequences, or streams, in a step of the optimiser.
        tbptt : int or None
            Truncated back-propagation (Williams and Peng 1990): sequences are cut into pieces of this many steps, each
            of them a step of the optimiser. The state passes on, the gradient does not. None: whole sequences, but 64
            steps of a long one.
        burn_in : int
            Steps at the start of a sequence or stream, where the state is cold, that get no loss.
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
        validation_data : sequences, dict of arguments of ``evaluate``, callable that returns batches, or None
            Data to evaluate after every epoch. A long sequence is read in one go, as ``evaluate`` does.
        validation_split : float
            Share of the sequences, the last ones, or the end of a long one, that is held out for that instead.
        lengths : integers (N,) or None
            Lengths of the sequences in an array.
        sample_weight : array (N,), (N, T) or (N, T, C), list of (T_i,) or (T_i, C), or None
            Weights in the loss: of the sequences or streams, or of all elements, or of each of C numbers; of a long
            sequence also (T,) or (T, C). The weight of an element counts where it is the one to predict.
        class_weight : "balanced", dict of class to weight, array (K,), or None
            Weights of the classes among the targets, by which those of ``sample_weight`` are multiplied; not in
            validation. "balanced": the number of targets / (number of classes among them * targets of the class), as
            scikit-learn's. A class that a dict does not name has weight 1.
        context : array (N, K) or None
            The vectors that start the sequences or streams.
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
        Batches come from a callable that returns a new iterator, which begins again in every epoch; and, with
        ``steps_per_epoch``, from an object with ``len(x)`` and ``x[i]`` (as keras.utils.Sequence), whose order is
        shuffled, or from an iterator, which goes on in every epoch and cannot be resumed.

        A batch is sequences, or a dict of ``sequences``, ``lengths``, ``sample_weight`` and ``context``. It is checked
        when its turn comes. ``batch_size`` has no effect.
        """
        options = TrainingOptions.of(locals())
        own = {"tbptt": tbptt, "burn_in": burn_in, "lengths": lengths}
        own |= {"sample_weight": sample_weight, "context": context}
        data, validation = self._split(
            sequences, own, validation_data, validation_split, batch_size, steps=steps_per_epoch
        )
        data = self._class_weighted(data, class_weight)
        return train.fit(self, data, options, validation)

    @names_arguments
    def loss(
        self,
        sequences: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        sample_weight: Any = None,
        context: npt.ArrayLike | None = None,
        burn_in: int = 0,
    ) -> float:
        """Return the mean loss over all elements but the first ones, without dropout.

        Parameters
        ----------
        sequences, lengths, sample_weight, context, burn_in
            The data, see ``fit``.

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        """
        options = {"lengths": lengths, "sample_weight": sample_weight, "context": context, "burn_in": burn_in}
        return self.batch_loss(self._one_batch(sequences, options)).loss

    @names_arguments
    def loss_and_grad(
        self,
        sequences: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        sample_weight: Any = None,
        context: npt.ArrayLike | None = None,
        burn_in: int = 0,
    ) -> float:
        """Return the loss, with dropout, and add its gradient to every parameter's ``grad``.

        Arguments and errors are those of ``loss``.
        """
        options = {"lengths": lengths, "sample_weight": sample_weight, "context": context, "burn_in": burn_in}
        return self.batch_loss(self._one_batch(sequences, options), gradient=True).loss

    @names_arguments
    def evaluate(
        self,
        sequences: Any,
        *,
        batch_size: int | None = None,
        tbptt: int | None = None,
        lengths: npt.ArrayLike | None = None,
        sample_weight: Any = None,
        context: npt.ArrayLike | None = None,
        burn_in: int = 0,
        metrics: str | Metric | Sequence[str | Metric] = (),
    ) -> dict[str, float]:
        """Return the loss (for ids: nats per element), the task's metrics and further ones.

        Parameters
        ----------
        sequences, tbptt, lengths, sample_weight, context, burn_in, metrics
            See ``fit``; of batches a callable only.
        batch_size : int or None
            Sequences at once. A long sequence is read in one go without it; with it, it is cut into this many streams,
            which is faster but starts each of them cold.

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        """
        options: dict[str, Any] = {"tbptt": tbptt, "burn_in": burn_in, "lengths": lengths}
        options |= {"sample_weight": sample_weight, "context": context}
        if callable(sequences):
            return train.evaluate(self, self._batches("sequences", sequences, options), metrics)
        return train.evaluate(self, self._judged(sequences, batch_size=batch_size, **options), metrics)

    @names_arguments
    def predict(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
    ) -> Any:
        """Return the prediction of the next element at every step of x.

        Data that are not finite are a warning: other sequences' predictions do not depend on them.

        Parameters
        ----------
        x, lengths, context
            The sequences, see ``fit``.
        batch_size : int
            Sequences at once; predictions do not depend on it.

        Returns
        -------
        int64 array (N, T)
            Ids.
        array (N, T, K)
            Vectors.
        list of N arrays
            For a list, or with ``lengths``.
        array (T,) or (T, K)
            For a single sequence.
        """
        return self._stepwise(self.task.decide, x, batch_size=batch_size, lengths=lengths, context=context)

    @names_arguments
    def predict_proba(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
    ) -> Any:
        """Return the probabilities (N, T, K) of the next element at every step; arguments are those of ``predict``."""
        return self._stepwise(self.task.probabilities, x, batch_size=batch_size, lengths=lengths, context=context)

    @names_arguments
    def predict_quantiles(
        self,
        x: Any,
        quantiles: npt.ArrayLike | None = None,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
    ) -> Any:
        """Return the quantiles (N, T, K, Q) of the next element at every step, in the order of their levels.

        Parameters
        ----------
        x, lengths, context, batch_size
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

        def read(outputs: Array) -> Array:
            return self.task.quantiles(outputs, quantiles)

        return self._stepwise(read, x, batch_size=batch_size, lengths=lengths, context=context)

    @names_arguments
    def predict_distribution(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
    ) -> Any:
        """Return the parameters of the next element's distribution at every step, a dict of arrays (N, T, K) by name.

        They are ``loc`` and ``scale`` of a Gaussian, also ``df`` of a Student-t, ``rate`` of a Poisson, ``mean`` and
        ``dispersion`` of a negative binomial distribution.

        Parameters
        ----------
        x, lengths, context, batch_size
            As for ``predict``.

        Raises
        ------
        ValueError
            A task without a distribution.
        """
        self.task.distribution(self._no_outputs())
        return self._stepwise(self.task.distribution, x, batch_size=batch_size, lengths=lengths, context=context)

    @names_arguments
    def trace(self, x: Any, *, lengths: npt.ArrayLike | None = None, context: npt.ArrayLike | None = None) -> Trace:
        """Return all states and gates of the layers over x, arrays (N, T, H), N = 1 for a single sequence.

        T is the longest sequence's; past a length there are zeros.

        Parameters
        ----------
        x, lengths, context
            As for ``predict``.
        """
        data, _ = self.reader.inputs_only(x, batch_size=1, lengths=lengths, context=context)
        batch = data.whole()
        return self.backbone.trace(batch.inputs, self._start(batch.context))

    @names_arguments
    def generate(
        self,
        prompt: Any,
        length: int,
        *,
        context: npt.ArrayLike | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        beams: int | None = None,
        length_penalty: float = 0.0,
        stop: int | None = None,
        prefix: Any = None,
        num_sequences: int = 1,
        return_log_probs: bool = False,
        seed: int | None = None,
    ) -> Any:
        """Write on from a prompt.

        Parameters
        ----------
        prompt
            One sequence or several, of at least one element each.
        length : int
            Number of elements to write.
        context : (K,) or (N, K)
            Starts the latent state; N contexts share a single prompt.
        temperature, top_k, top_p, greedy
            How elements are drawn, see ``rnnfast.sampling.WritingOptions``. Real elements are the predictions, so a
            forecast goes on from itself; those of a distribution are drawn from it, unless ``greedy``.
        beams : int or None
            Instead of drawing, search for the most probable ids with so many hypotheses.
        length_penalty : float
            The search wants the highest ``log p / ((5 + n) / 6)^length_penalty``, n ids behind the prefix with stop.
        stop : int or None
            The id that ends a sequence; it is not part of the result.
        prefix
            Ids that the result begins with: one sequence for all prompts, or one for each.
        num_sequences : int
            Sequences from each prompt.
        return_log_probs : bool
            Return also the log-probabilities of the ids, as ``predict_proba`` has them: temperature 1, all ids.
        seed : int or None
            Of the drawing; None draws a fresh one. Sequence r of R is a function of its prompt, the seed and r:
            neither threads nor the other sequences change it.

        Returns
        -------
        ndarray (length,) or (length, C)
            For a single prompt, context and sequence; shorter where ``stop`` came.
        ndarray (R, length, ...), or with ``stop`` a list of R arrays
            Else; the ``num_sequences`` of a prompt stand together.
        log_p : float64
            With ``return_log_probs``, beside the ids and like them.
        """
        options = WritingOptions(
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            greedy=greedy,
            beams=beams,
            length_penalty=length_penalty,
            stop=stop,
            num_sequences=num_sequences,
            return_log_probs=return_log_probs,
            seed=seed,
        )
        size = self.config["output_size"]
        options.check_task(self.task.name, size, ids=self.task.ids)
        state, rows, single = self._read(prompt, context)
        forced = as_prefix(prefix, rows, self.backbone, self.task, size, options)
        if num_sequences > 1:
            state, single = repeat_state(state, num_sequences), False
            forced = None if forced is None else np.repeat(forced, num_sequences, axis=0)
        elements, counts, log_p = write_on(self.backbone, self.head, self.task, state, options, forced)

        def result(values: Array) -> Any:
            if single:
                return values[0, : counts[0]]
            return values if stop is None else [v[:n] for v, n in zip(values, counts, strict=True)]

        return (result(elements), result(log_p)) if return_log_probs else result(elements)

    @names_arguments
    def stream(self, batch_size: int = 1, state: StateLike = None, *, context: npt.ArrayLike | None = None) -> Stream:
        """Return a copy of the model that is fed step by step.

        ``step(x)`` returns the outputs (N, K) that say what comes after x(t): logits or numbers, from which the caller
        decides (softmax, the largest).

        Parameters
        ----------
        batch_size : int
            Sequences N, which advance together.
        state : array (L, N, H), for LSTM a tuple (h, c) of them, optional
            Where they begin; zeros by default.
        context : array (K,) or (N, K), optional
            Where the model has one: it starts the sequences, unless ``state`` does, and again at every ``reset``.

        Returns
        -------
        Stream
            Its ``step`` takes x (N, C), or integers (N,) where the model takes ids, and returns (N, K); where N is 1
            also x (C,), or an integer, and then (K,). ``process`` takes (N, T, C) or ids (N, T).
        """
        given = None if context is None else np.atleast_2d(checks.as_array("context", context))
        N = checks.as_size("batch_size", batch_size)
        start = as_context(given, self.config["context_size"], N, self.dtype, warns=True)
        return stream_of(self.backbone, self.heads, N, state, self._start(start))

    def _split(
        self, sequences: Any, own: dict[str, Any], given: Any, fraction: float, batch_size: int, *, steps: int | None
    ) -> tuple[AlignedData | BatchSource, AlignedData | BatchSource | None]:
        """Return the data to train on and those to validate with."""
        size = checks.as_size("batch_size", batch_size)
        steps = None if steps is None else checks.as_size("steps_per_epoch", steps)
        cut: dict[str, Any] = {"batch_size": size, "streams": size, "steps": TRAIN_STEPS}
        fraction = checks.at_least_zero("validation_split", fraction)
        if callable(sequences) or steps is not None:
            source = self._batches("sequences", sequences, own, steps)
            if fraction:
                raise ValueError(NO_SPLIT.format(fraction))
            return source, self._validated(given)
        parts = None
        if fraction and given is None:
            parts = self.reader.hold_out_end(sequences, own["sample_weight"], fraction)
        if parts is not None:
            (sequences, own["sample_weight"]), (end, weights) = parts
            own_end = {"sequences": end, "sample_weight": weights, "context": own["context"]}
            return self.reader.data(sequences, **own, **cut), self._judged(
                **own_end, name="validation_split: the held-out end"
            )
        data = self.reader.data(sequences, **own, **cut)
        if given is None and fraction:
            return hold_out(data, fraction)
        return data, self._validated(given)

    def _validated(self, given: Any) -> AlignedData | BatchSource | None:
        """Return what ``validation_data`` stand for."""
        if given is None:
            return None
        if callable(given):
            return self._batches("validation_data", given, {})
        known = ("sequences", *(name for name in BROUGHT if name != "resets"), "burn_in", "tbptt", "batch_size")
        return self._judged(**_arguments("validation_data", given, known), name="validation_data")

    def _batches(self, name: str, source: Any, own: dict[str, Any], steps: int | None = None) -> BatchSource:
        """Return what trains on, or is validated with, batches that the user brings."""
        known = ("sequences", *(name for name in BROUGHT if name != "resets"))
        options = without_brought(own)
        read = partial(self.reader.data, batch_size=checks.LARGEST, streams=1, steps=None, **options)
        arguments = partial(_arguments, "batch", known=known)
        return BatchSource(source, read, arguments, name=name, steps=steps, pieces=options.get("tbptt") is not None)

    def _judged(self, sequences: Any, *, batch_size: int | None = None, **options: Any) -> AlignedData:
        """Return what ``evaluate`` and validation read, alike."""
        streams, size = (1, 256) if batch_size is None else (checks.as_size("batch_size", batch_size),) * 2
        return self.reader.data(sequences, batch_size=size, streams=streams, steps=EVALUATE_STEPS, **options)

    def _one_batch(self, sequences: Any, options: dict[str, Any]) -> Any:
        return self.reader.data(sequences, batch_size=1, streams=1, steps=None, **options).whole()

    def _stepwise(
        self,
        read: Callable[[Array], Array | dict[str, Array]],
        x: Any,
        *,
        batch_size: int,
        lengths: npt.ArrayLike | None,
        context: npt.ArrayLike | None,
    ) -> Any:
        data, single = self.reader.inputs_only(x, batch_size=batch_size, lengths=lengths, context=context)
        found = read(self._all_outputs(data)[""])

        def arranged(rows: Array) -> Any:
            split = data.inputs.split(rows)
            return split[0] if single else split

        return {name: arranged(rows) for name, rows in found.items()} if isinstance(found, dict) else arranged(found)

    def _read(self, prompt: Any, context: npt.ArrayLike | None) -> tuple[State, int, bool]:
        """Return the states that N prompts leave, N, and whether the user gave just one."""
        prompts, single = self.reader.read(prompt, None, "prompt", warns=True)
        rows = np.arange(len(prompts), dtype=np.int64)
        start = None if context is None else checks.as_array("context", context)
        if start is not None:
            if single and start.ndim == 2:
                rows, single = np.zeros(len(start), np.int64), False
            start = np.atleast_2d(start)
        start = as_context(start, self.config["context_size"], len(rows), self.dtype, warns=True)
        if len(prompts) == 0 or prompts.lengths.min() < 1:
            raise ValueError("prompt: at least one element each is required, got none")
        return self.backbone.infer(prompts.select(rows), self._start(start))[1], len(rows), single

    def _start(self, context: Array | None) -> State | None:
        """Return the states in which sequences with these contexts (N, K) begin; None without a context."""
        return None if self.context is None or context is None else self.context(context)

    def _outputs(self, batch: Batch, state: State | None, *, keep: bool) -> tuple[dict[str, Array], State, Any]:
        context = None
        if not batch.continues:
            state = None
            if self.context is not None and batch.context is not None:
                state, context = self.context.forward(batch.context)
        if not keep:
            y, last = self.backbone.infer(batch.inputs, state)
            return self.heads.infer(y, batch.target_rows), last, None
        y, last, backbone = self.backbone.forward(batch.inputs, state)
        outputs, heads = self.heads.forward(y, batch.target_rows)
        return outputs, last, _Tape(backbone, heads, context)

    def _backward(self, tape: _Tape, doutputs: dict[str, Array]) -> None:
        dstate = self.backbone.backward(tape.backbone, self.heads.backward(tape.heads, doutputs))
        if self.context is not None and tape.context is not None:
            self.context.backward(tape.context, dstate)


def _arguments(name: str, given: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return sequences, or a dict, as arguments of the model's data."""
    arguments = dict(given) if isinstance(given, Mapping) else {"sequences": given}
    checks.known_arguments(name, arguments, known)
    if "sequences" not in arguments:
        raise ValueError(f"{name}: sequences are required, got {', '.join(arguments) or 'an empty dict'}")
    return arguments


def _check_elements(config: Config, task: Task) -> None:
    """Raise ValueError unless the model can read what it writes."""
    if config["bidirectional"]:
        raise ValueError("bidirectional: False is required, a model that writes cannot see the future; got True")
    given, written = config["input_size"], config["output_size"]
    if not task.writes or (task.direct and task.outputs(written) != written):
        raise ValueError(f"task: one whose outputs are the next element is required, got {task.title!r}")
    if task.ids:
        if written > given:
            raise ValueError(f"output_size: at most input_size = {given} is required, got {written}")
        return
    if written != given:
        raise ValueError(f"output_size: input_size = {given} is required for task={task.name!r}, got {written}")
    if config["embedding"] is not None:
        raise ValueError(f"embedding: None is required for task={task.name!r}, got {config['embedding']}")

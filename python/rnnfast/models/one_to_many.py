"""A seed in, a sequence out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks, train
from rnnfast.arrays import Array
from rnnfast.atomic import StrPath
from rnnfast.checks import names_arguments
from rnnfast.data import (
    Batch,
    NextElements,
    as_context,
    batches_of_elements,
    judged_elements,
    one_batch,
    split_elements,
)
from rnnfast.layers import BlockTape, CustomCell, State, StateLike, Stream, Trace
from rnnfast.metrics import Metric
from rnnfast.models.backbone import Backbone, BackboneTape, ContextToState
from rnnfast.models.base import Heads, HeadsTape, Model, only
from rnnfast.models.config import Config, checked, heads_of
from rnnfast.models.generation import as_stop, generated
from rnnfast.models.prediction import PredictionOptions, Reader, predict
from rnnfast.models.streaming import stream_of
from rnnfast.optim import AveragedWeights, LearningRate, Optimizer
from rnnfast.processes import ends_all
from rnnfast.sampling import WritingOptions
from rnnfast.tasks import Task
from rnnfast.text import AnyVocabulary, as_vocabulary
from rnnfast.train import Callback, History, TrainingOptions
from rnnfast.training_state import TrainingState


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
    input_size : int or None
        Number of ids, or features C of real elements. None stands for the size of ``vocabulary``.
    output_size : int or None
        Ids that the model may write; None stands for ``input_size``, of a vocabulary without its padding. It is smaller
        where the last ids occur in prompts only.
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
    vocabulary : Vocabulary, WordVocabulary, ByteVocabulary, or None
        What makes ids of texts, see ``rnnfast.text``. x then holds texts, or ids; the model's file keeps it.
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
    Sequences are ids (N, T) or a list of 1-D arrays; real ones (N, T, C) or a list of (T_i, C); texts; or a single long
    one, ids (T,), (T, C) or a text. The parameters are ``embedding.weight``, ``rnn.*``, ``context.weight``,
    ``context.bias``, ``head.weight (K, H)`` and ``head.bias (K,)``.

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
        input_size: int | None = None,
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
        vocabulary: AnyVocabulary | None = None,
        context_size: int | None = None,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        config = checked({**locals(), "output_size": _written_size(input_size, output_size, vocabulary)})
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
            vocabulary=as_vocabulary("vocabulary", config["vocabulary"]),
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

    @property
    def vocabulary(self) -> AnyVocabulary | None:
        """What makes ids of texts; None where the model has none."""
        return self.backbone.input.vocabulary

    @names_arguments
    @ends_all
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
        mask: Any = None,
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
        shards: int | None = None,
        communicator: Any = None,
    ) -> History:
        """Train to predict the next element at every step.

        Parameters
        ----------
        sequences : ids (N, T), array (N, T, C), a list of (T_i,) or (T_i, C) or texts, or a single (T,), (T, C) or text
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
        mask : bool (N, T), list of (T_i,), (T,) of a single sequence, or None
            Whether an element exists, in place of ``lengths``. Where it is False nothing is read: the element might as
            well be left out.
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
        shards : int or None
            Parts into which every batch is cut by its own content. Their gradients are added in one order, so that the
            bits of the result do not depend on the number of processes. None: 8 beside a communicator, else batches
            are whole.
        communicator : communicator of mpi4py, or None
            The processes that train this model together, at most as many as ``shards``. All call ``fit`` with the same
            arguments and data. The first one alone has callbacks and a bar, and an exception in one ends all.

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

        A batch is sequences, or a dict of ``sequences``, ``lengths``, ``mask``, ``sample_weight`` and ``context``. It
        is checked when its turn comes. ``batch_size`` has no effect.
        """
        options = TrainingOptions.of(locals())
        own = {"tbptt": tbptt, "burn_in": burn_in, "lengths": lengths, "mask": mask}
        own |= {"sample_weight": sample_weight, "context": context}
        data, validation = split_elements(
            self.reader, sequences, own, validation_data, validation_split, batch_size, steps=steps_per_epoch
        )
        data = self._class_weighted(data, class_weight)
        return train.fit(self, data, options, validation)

    @names_arguments
    def loss(
        self,
        sequences: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
        context: npt.ArrayLike | None = None,
        burn_in: int = 0,
    ) -> float:
        """Return the mean loss over all elements but the first ones, without dropout.

        Parameters
        ----------
        sequences, lengths, mask, sample_weight, context, burn_in
            The data, see ``fit``.

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        """
        options = {"lengths": lengths, "mask": mask, "burn_in": burn_in}
        options |= {"sample_weight": sample_weight, "context": context}
        return self.batch_loss(one_batch(self.reader, sequences, options)).loss

    @names_arguments
    def loss_and_grad(
        self,
        sequences: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
        context: npt.ArrayLike | None = None,
        burn_in: int = 0,
    ) -> float:
        """Return the loss, with dropout, and add its gradient to every parameter's ``grad``.

        Arguments and errors are those of ``loss``.
        """
        options = {"lengths": lengths, "mask": mask, "burn_in": burn_in}
        options |= {"sample_weight": sample_weight, "context": context}
        return self.batch_loss(one_batch(self.reader, sequences, options), gradient=True).loss

    @names_arguments
    def evaluate(
        self,
        sequences: Any,
        *,
        batch_size: int | None = None,
        tbptt: int | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        sample_weight: Any = None,
        context: npt.ArrayLike | None = None,
        burn_in: int = 0,
        metrics: str | Metric | Sequence[str | Metric] = (),
    ) -> dict[str, float]:
        """Return the loss (for ids: nats per element), the task's metrics and further ones.

        Parameters
        ----------
        sequences, tbptt, lengths, mask, sample_weight, context, burn_in, metrics
            See ``fit``; of batches a callable only.
        batch_size : int or None
            Sequences at once. A long sequence is read in one go without it; with it, it is cut into this many streams,
            which is faster but starts each of them cold.

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        """
        options: dict[str, Any] = {"tbptt": tbptt, "burn_in": burn_in, "lengths": lengths, "mask": mask}
        options |= {"sample_weight": sample_weight, "context": context}
        if callable(sequences):
            return train.evaluate(self, batches_of_elements(self.reader, "sequences", sequences, options), metrics)
        return train.evaluate(self, judged_elements(self.reader, sequences, batch_size=batch_size, **options), metrics)

    @names_arguments
    def predict(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        context: npt.ArrayLike | None = None,
        state: StateLike = None,
        return_state: bool = False,
        chunk: int | None = None,
        samples: int | None = None,
        seed: int | None = None,
    ) -> Any:
        """Return the prediction of the next element at every step of x.

        Data that are not finite are a warning: other sequences' predictions do not depend on them.

        Parameters
        ----------
        x, lengths, mask, context
            The sequences, see ``fit``. Predictions at gaps are 0.
        batch_size : int
            Sequences at once; predictions do not depend on it, unless ``samples`` are drawn.
        state : array (L, N, H), for LSTM a tuple (h, c) of them, optional
            Where the sequences begin, as a call with ``return_state`` left them; by default where the context starts
            them, or zeros. Two calls return the bits of one over the joined sequences.
        return_state : bool
            Whether to return also the states in which the sequences end.
        chunk : int or None
            Steps at once: the same bits in memory that, beyond x and the result, does not grow with T.
        samples : int or None
            Number of passes with the random numbers of training, dropout above all, each with masks of its own. The
            mean over them is the prediction of a model that averages over its weights, the standard deviation says how
            sure it is (Gal and Ghahramani 2016).
        seed : int or None
            Seed of these. None draws another one every time.

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
        array (samples, N, T, ...), or list of N arrays (samples, T_i, ...)
            In place of each array, with ``samples``.
        state : array (L, N, H), for LSTM a tuple (h, c) of them
            Beside the predictions, with ``return_state``.

        Raises
        ------
        ValueError
            An option that excludes another one, or that the model cannot fulfil.
        """
        options = PredictionOptions(state=state, return_state=return_state, chunk=chunk, samples=samples, seed=seed)
        return self._stepwise(self.heads.decide, options, x, lengths, mask, context, batch_size)

    @names_arguments
    def predict_proba(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        context: npt.ArrayLike | None = None,
        state: StateLike = None,
        return_state: bool = False,
        chunk: int | None = None,
        samples: int | None = None,
        seed: int | None = None,
    ) -> Any:
        """Return the probabilities (N, T, K) of the next element at every step; arguments are those of ``predict``."""
        options = PredictionOptions(state=state, return_state=return_state, chunk=chunk, samples=samples, seed=seed)
        return self._stepwise(self.heads.probabilities, options, x, lengths, mask, context, batch_size)

    @names_arguments
    def predict_quantiles(
        self,
        x: Any,
        quantiles: npt.ArrayLike | None = None,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        context: npt.ArrayLike | None = None,
    ) -> Any:
        """Return the quantiles (N, T, K, Q) of the next element at every step, in the order of their levels.

        Parameters
        ----------
        x, lengths, mask, context, batch_size
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

        def read(outputs: dict[str, Array]) -> dict[str, Array]:
            return {"": self.task.quantiles(outputs[""], quantiles)}

        return self._stepwise(read, PredictionOptions(), x, lengths, mask, context, batch_size)

    @names_arguments
    def predict_distribution(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        context: npt.ArrayLike | None = None,
    ) -> Any:
        """Return the parameters of the next element's distribution at every step, a dict of arrays (N, T, K) by name.

        They are ``loc`` and ``scale`` of a Gaussian, also ``df`` of a Student-t, ``rate`` of a Poisson, ``mean`` and
        ``dispersion`` of a negative binomial distribution.

        Parameters
        ----------
        x, lengths, mask, context, batch_size
            As for ``predict``.

        Raises
        ------
        ValueError
            A task without a distribution.
        """
        self.task.distribution(self._no_outputs())

        def read(outputs: dict[str, Array]) -> dict[str, Array]:
            return self.task.distribution(outputs[""])

        return self._stepwise(read, PredictionOptions(), x, lengths, mask, context, batch_size)

    @names_arguments
    def trace(
        self,
        x: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: Any = None,
        context: npt.ArrayLike | None = None,
    ) -> Trace:
        """Return all states and gates of the layers over x, arrays (N, T, H), N = 1 for a single sequence.

        T is the longest sequence's; past a length and at gaps there are zeros.

        Parameters
        ----------
        x, lengths, mask, context
            As for ``predict``.
        """
        data, _ = self.reader.inputs_only(x, batch_size=1, lengths=lengths, mask=mask, context=context)
        batch = data.whole()
        return self.backbone.trace(batch.inputs, self.first_state(batch.context), gaps=data.inputs.gaps)

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
        stop: int | str | None = None,
        prefix: Any = None,
        num_sequences: int = 1,
        return_log_probs: bool = False,
        seed: int | None = None,
    ) -> Any:
        """Write on from a prompt.

        Parameters
        ----------
        prompt
            One sequence or several, of at least one element each; of any lengths, as a list of arrays or of texts.
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
        stop : int, str or None
            The id, or the text of the one id, that ends a sequence; it is not part of the result.
        prefix
            Ids or text that the result begins with: one sequence for all prompts, or one for each.
        num_sequences : int
            Sequences from each prompt: with ``beams``, of which there are as many at least, the best ones, the best
            first.
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
        str, or list of str
            In place of ids, for a prompt that is text.
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
            stop=as_stop(self.vocabulary, stop),
            num_sequences=num_sequences,
            return_log_probs=return_log_probs,
            seed=seed,
        )
        return generated(self, prompt, context, prefix, options)

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
        return stream_of(self.backbone, self.heads, N, state, self.first_state(start))

    def _stepwise(
        self,
        read: Reader,
        options: PredictionOptions,
        x: Any,
        lengths: Any,
        mask: Any,
        context: Any,
        batch_size: int,
    ) -> Any:
        options.check_model(self)
        given = {"lengths": lengths, "mask": mask, "context": context, "goes_on": options.state is not None}
        data, single = self.reader.inputs_only(x, batch_size=batch_size, chunk=options.chunk, **given)
        found, last = predict(self, data, read, options)
        split = data.inputs.split
        each = (lambda rows: split(rows)[0]) if single else split
        arranged = only({name: options.arranged(rows, each) for name, rows in found.items()})
        return (arranged, last) if options.return_state else arranged

    def first_state(self, context: Array | None) -> State | None:
        """Return the states in which sequences with these contexts (N, K) begin; None without a context."""
        return None if self.context is None or context is None else self.context(context)

    def _outputs(self, batch: Batch, state: State | None, *, keep: bool) -> tuple[dict[str, Array], State, Any]:
        context = None
        if state is None and self.context is not None and batch.context is not None:
            state, context = self.context.forward(batch.context)
        if not keep:
            y, last = self.backbone.infer(batch.inputs, state)
            return self.heads.infer(y, batch.target_rows), last, None
        y, last, backbone = self.backbone.forward(batch.inputs, state)
        outputs, heads = self.heads.forward(y, batch.target_rows, batch.place)
        return outputs, last, _Tape(backbone, heads, context)

    def _backward(self, tape: _Tape, doutputs: dict[str, Array]) -> None:
        dstate = self.backbone.backward(tape.backbone, self.heads.backward(tape.heads, doutputs))
        if self.context is not None and tape.context is not None:
            self.context.backward(tape.context, dstate)


def _written_size(input_size: int | None, output_size: int | None, vocabulary: Any) -> int | None:
    """Return how many ids the model may write."""
    if output_size is not None:
        return output_size
    found = as_vocabulary("vocabulary", vocabulary)
    return input_size if found is None else found.written


def _check_elements(config: Config, task: Task) -> None:
    """Raise ValueError unless the model can read what it writes."""
    if config["bidirectional"]:
        raise ValueError("bidirectional: False is required, a model that writes cannot see the future; got True")
    given, written = config["input_size"], config["output_size"]
    if not task.writes or (task.direct and task.outputs(written) != written):
        raise ValueError(f"task: one whose outputs are the next element is required, got {task.title!r}")
    if config["vocabulary"] is not None and not task.ids:
        raise ValueError(f"vocabulary: None is required for task={task.title!r}, got one")
    if task.ids:
        if written > given:
            raise ValueError(f"output_size: at most input_size = {given} is required, got {written}")
        return
    if written != given:
        raise ValueError(f"output_size: input_size = {given} is required for task={task.name!r}, got {written}")
    if config["embedding"] is not None:
        raise ValueError(f"embedding: None is required for task={task.name!r}, got {config['embedding']}")

"""Sequence in, another sequence out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.checks import names_arguments
from rnnfast.data import PairBatch, PairData, Sequences, check_finite
from rnnfast.layers import CustomCell
from rnnfast.losses import task_named
from rnnfast.models.config import checked
from rnnfast.models.parts import as_weights
from rnnfast.models.streaming import DecoderStreaming
from rnnfast.models.transducer import Transducer
from rnnfast.sampling import WritingOptions

Array = npt.NDArray[Any]


class EncoderDecoder(DecoderStreaming):
    """A sequence in, another of its own length out: one stack of layers reads, a second one writes.

    The states in which the encoder ends are those in which the decoder begins (Sutskever et al. 2014). At every step
    the decoder reads the element before, ``start`` at first, and ``outputs(t) = W_head h(t) + b_head`` say what comes
    next, until that is ``stop``. It is trained on the true elements before, and predicts from its own. With attention
    the head reads ``tanh(W_combine [context; h] + b_combine)`` instead of h; the context is a mean of the encoder's
    outputs with weights that depend on h (Bahdanau et al. 2015, Luong et al. 2015; see ``rnnfast.models.attention``).

    Parameters
    ----------
    source_size : int
        Features C of a source's step; with ``source_embedding``, the size of the sources' vocabulary.
    target_size : int
        Ids that y may hold, or numbers K of each of its elements.
    task : "classification", "regression" or "multilabel"
        Elements of y are ids, real vectors, or vectors of 0 and 1.
    source_embedding : int or None
        Then x holds integer ids, and each stands for a learned vector of this size.
    target_embedding : int or None
        Size of the learned vectors of the decoder's ids; None gives it unit vectors.
    attention : "additive", "dot" or None
    start, stop : int or None
        Ids below ``target_size`` that the user reserves; None: the model has its own, beyond the vocabulary. y never
        contains them. Vectors have neither.
    cell, hidden_size, num_layers, dropout, output_dropout, cell_options, dtype, seed
        As of ``ManyToOne``, of encoder and decoder alike.
    bidirectional : bool
        Whether the encoder reads both ways. The decoder then begins with ``bridge.weight`` times both directions'
        states, side by side, of each layer and of h and c by a matrix of its own; attention sees the outputs of both.

    Notes
    -----
    x is (N, S, C), or (N, S) ids, with ``lengths`` where sources are shorter; or a list of (S_i, C) arrays, or of 1-D
    arrays of ids. y is (N, T) ids or (N, T, K) numbers; or a list of (T_i,) or (T_i, K) arrays. The loss is the mean
    over all elements of targets, stops included; ``sample_weight`` is (N,). Parameters: ``source_embedding.weight``,
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
        source_size: int,
        target_size: int,
        *,
        cell: str | type[CustomCell] = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        source_embedding: int | None = None,
        target_embedding: int | None = None,
        task: str = "classification",
        attention: str | None = None,
        start: int | None = None,
        stop: int | None = None,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        config = checked(
            {
                "source_size": source_size, "target_size": target_size, "cell": cell, "hidden_size": hidden_size,
                "num_layers": num_layers, "bidirectional": bidirectional, "dropout": dropout,
                "output_dropout": output_dropout, "source_embedding": source_embedding,
                "target_embedding": target_embedding, "task": task,
                "attention": attention, "start": start, "stop": stop, "cell_options": cell_options, "dtype": dtype,
                "seed": seed,
            }
        )  # fmt: skip
        found = task_named(task)
        self.net = Transducer(config, found, np.random.default_rng(config["seed"]))
        super().__init__(config, self.net.parts(), found, np.dtype(config["dtype"]))

    @names_arguments
    def predict(
        self,
        x: Any,
        *,
        max_length: int | None = None,
        beams: int | None = None,
        length_penalty: float = 0.0,
        return_attention: bool = False,
        lengths: npt.ArrayLike | None = None,
        batch_size: int = 256,
    ) -> Any:
        """Write what belongs to each source, each element after those that were written before.

        Parameters
        ----------
        x, lengths
            Sources, as of ``fit``.
        max_length : int or None
            Most elements to write. None: twice the length of the source and 10; vectors, which nothing stops, need a
            number.
        beams : int or None
            Of ids: instead of the most probable one at every step, search for the most probable sequence with so many
            hypotheses.
        length_penalty : float
            The search wants the highest ``log p / ((5 + n) / 6)^length_penalty``, n ids with stop (Wu et al. 2016).
        return_attention : bool
            Return also what was attended to.
        batch_size : int
            Sources at once; predictions do not depend on it.

        Returns
        -------
        list of int64 arrays (T_i,)
            Ids without stop.
        ndarray (N, max_length, K)
            Vectors: the outputs themselves, or for labels 0 and 1, int64.
        list of arrays (T_i, S_i)
            With ``return_attention``, beside the predictions: the weight of every step of the source at every element.
        """
        if checks.as_flag("return_attention", return_attention) and self.net.attention is None:
            raise ValueError(
                "return_attention: a model with attention is required (attention='dot'), got attention=None"
            )
        sources = self._sources(x, lengths, warns=True)
        found = self._written(sources, max_length, batch_size, beams, length_penalty)
        arranged = self.net.targets.arranged(found, max_length, self.net.targets.kind)
        return (arranged, self.net.maps(sources, found, batch_size)) if return_attention else arranged

    @names_arguments
    def predict_proba(
        self,
        x: Any,
        *,
        max_length: int | None = None,
        lengths: npt.ArrayLike | None = None,
        batch_size: int = 256,
    ) -> Any:
        """Return the probabilities of the K outputs at every element of the greedy prediction.

        Arguments are as of ``predict``; K counts a stop of the model's own, the last one.

        Returns
        -------
        list of arrays (T_i, K), or ndarray (N, max_length, K) for labels

        Raises
        ------
        ValueError
            For a regression.
        """
        self.task.probabilities(np.zeros((0, self.net.targets.outputs), self.dtype))  # raises where there are none
        sources = self._sources(x, lengths, warns=True)
        again = self.net.again(sources, self._written(sources, max_length, batch_size), batch_size)
        p = self.task.probabilities(self._all_outputs(again))
        return self.net.targets.arranged(np.split(p, np.cumsum(again.targets.lengths))[:-1], max_length, p.dtype)

    def _data(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
    ) -> PairData:
        if context is not None:
            raise ValueError("context: None is required, EncoderDecoder has no context; got one")
        sources = self._sources(x, lengths)
        weights = as_weights(sample_weight, len(sources), self.dtype)
        whole = self.net.targets.read(y, len(sources), weights)
        return PairData(
            sources=sources,
            inputs=whole.without_last(),
            targets=whole.without_first(),
            weights=weights,
            batch_size=batch_size,
        )

    def _sources(self, x: Any, lengths: npt.ArrayLike | None, *, warns: bool = False) -> Sequences:
        found = self.net.encoder.input.sequences(x, lengths, "x")
        check_finite("x", found, self.dtype, warns=warns)
        return found

    def _written(
        self,
        sources: Sequences,
        max_length: int | None,
        batch_size: int,
        beams: int | None = None,
        length_penalty: float = 0.0,
    ) -> list[Array]:
        """Return the prediction for each source, (T_n,) ids or (T_n, K) numbers."""
        checks.as_size("batch_size", batch_size)
        limits = self.net.targets.limits(sources, max_length)
        options = WritingOptions(
            length=int(limits.max(initial=0)), beams=beams, greedy=beams is None, length_penalty=length_penalty,
            stop=self.net.targets.stop,
        )  # fmt: skip
        options.check_task(self.task.name, self.net.targets.outputs)
        return self.net.write(sources, limits, options, batch_size)

    def _outputs(self, batch: PairBatch, state: Any, *, keep: bool) -> tuple[Array, Any, Any]:
        outputs, tape = self.net.forward(batch) if keep else (self.net.infer(batch)[0], None)
        return outputs, None, tape

    def _backward(self, tape: Any, doutputs: Array) -> None:
        self.net.backward(tape, doutputs)

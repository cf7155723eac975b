"""A seed in, a sequence out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.checks import names_arguments
from rnnfast.data import Batch
from rnnfast.layers import CustomCell, Stream
from rnnfast.losses import task_named
from rnnfast.models.config import build, checked
from rnnfast.models.generation import as_prefix, repeat_state, write_on
from rnnfast.models.next_element import NextElements
from rnnfast.models.self_supervised import SelfSupervisedModel
from rnnfast.models.state_map import StateMap, as_context
from rnnfast.models.streaming import stream_of
from rnnfast.sampling import WritingOptions

Array = npt.NDArray[Any]


class OneToMany(SelfSupervisedModel):
    """A seed in, a sequence out: predict the next element, append it, repeat.

    ``outputs(t) = W_head h(t) + b_head`` say what x(t+1) is; a context vector v starts the latent state,
    ``h(0) = W_context v + b_context`` (for an LSTM, c(0) likewise).

    Parameters
    ----------
    input_size : int
        Size of the vocabulary of ids, or features C of real elements.
    output_size : int or None
        None: ``input_size``. Fewer classes are possible when the last ids occur in prompts only.
    task : "classification", "regression" or "multilabel"
        Elements are ids, real vectors, or vectors of 0 and 1.
    embedding : int or None
        Size of the learned vectors of ids; None gives the layer unit vectors.
    context_size : int or None
        Size K of the vector that starts a sequence.
    cell, hidden_size, num_layers, bidirectional, dropout, output_dropout, cell_options, dtype, seed
        As of ``ManyToOne``; a model that writes cannot be bidirectional.

    Notes
    -----
    Sequences are ids (N, T) or a list of 1-D arrays; real ones (N, T, C) or a list of (T_i, C); or a single long
    one, ids (T,) or (T, C). Parameters: ``embedding.weight``, ``rnn.*``, ``context.weight``, ``context.bias``,
    ``head.weight (K, H)``, ``head.bias (K,)``.

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
        task: str = "classification",
        embedding: int | None = None,
        context_size: int | None = None,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        config = checked(
            {
                "input_size": input_size, "output_size": input_size if output_size is None else output_size,
                "cell": cell, "hidden_size": hidden_size, "num_layers": num_layers,
                "bidirectional": bidirectional, "dropout": dropout, "output_dropout": output_dropout, "task": task,
                "embedding": embedding, "context_size": context_size, "cell_options": cell_options, "dtype": dtype,
                "seed": seed,
            }
        )  # fmt: skip
        _check_kind(config)
        found = task_named(task)
        self.stem, self.head, rng = build(config, one_hot=task == "classification")
        parts: dict[str, Any] = {"": self.stem, "head": self.head}
        self.context: StateMap | None = None
        if context_size is not None:
            rnn = self.stem.rnn
            self.context = StateMap(context_size, rnn.num_layers, rnn.state_sizes, self.stem.dtype, rng)
            parts["context"] = self.context
        self.reader = NextElements(self.stem, found, config["output_size"], config["context_size"])
        super().__init__(config, parts, found, self.stem.dtype)

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
            Elements to write.
        context : (K,) or (N, K)
            Starts the latent state; N contexts share a single prompt.
        temperature, top_k, top_p, greedy
            How elements are drawn, see ``rnnfast.sampling.WritingOptions``. Real elements are not: the outputs are
            the elements, so a forecast goes on from itself.
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
            length=length, temperature=temperature, top_k=top_k, top_p=top_p, greedy=greedy, beams=beams,
            length_penalty=length_penalty, stop=stop, num_sequences=num_sequences, return_log_probs=return_log_probs,
            seed=seed,
        )  # fmt: skip
        size = self.config["output_size"]
        options.check_task(self.task.name, size)
        state, rows, single = self._read(prompt, context)
        forced = as_prefix(prefix, rows, self.stem, self.task, size, options)
        if num_sequences > 1:
            state, single = repeat_state(state, num_sequences), False
            forced = None if forced is None else np.repeat(forced, num_sequences, axis=0)
        elements, counts, log_p = write_on(self.stem, self.head, self.task, state, options, forced)

        def result(values: Array) -> Any:
            if single:
                return values[0, : counts[0]]
            return values if stop is None else [v[:n] for v, n in zip(values, counts, strict=True)]

        return (result(elements), result(log_p)) if return_log_probs else result(elements)

    @names_arguments
    def stream(self, batch_size: int = 1, state: Any = None, *, context: npt.ArrayLike | None = None) -> Stream:
        """Return a copy of the model that is fed step by step, as ``ManyToMany.stream`` does.

        Parameters
        ----------
        batch_size, state
            As there.
        context : (K,) or (N, K)
            Where the model has one: it starts the sequences, unless ``state`` does, and again at every ``reset``.

        Returns
        -------
        Stream
            ``step(x)``: the outputs (N, K) that say what comes next.
        """
        given = None if context is None else np.atleast_2d(checks.as_array("context", context))
        N = checks.as_size("batch_size", batch_size)
        start = as_context(given, self.config["context_size"], N, self.dtype, warns=True)
        first = None if self.context is None or start is None else self.context.start(start)
        return stream_of(self.stem, self.head, N, state, first)

    def _read(self, prompt: Any, context: npt.ArrayLike | None) -> tuple[Any, int, bool]:
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
        inputs, lengths = prompts.take(rows)
        initial = None if self.context is None or start is None else self.context.start(start)
        return self.stem.infer(inputs, initial, lengths)[1], len(rows), single

    def _initial(self, batch: Batch) -> Any:
        return None if self.context is None or batch.context is None else self.context.start(batch.context)

    def _pull_initial(self, dstate: Any, batch: Batch) -> None:
        if self.context is not None and batch.context is not None:
            self.context.pull(dstate, batch.context)


def _check_kind(config: Mapping[str, Any]) -> None:
    """Check what only a model that writes asks for."""
    if config["bidirectional"]:
        raise ValueError("bidirectional: False is required, a model that writes cannot see the future; got True")
    given, written, task = config["input_size"], config["output_size"], config["task"]
    if task == "classification":
        if written > given:
            raise ValueError(f"output_size: at most input_size = {given} is required, got {written}")
        return
    if written != given:
        raise ValueError(f"output_size: input_size = {given} is required for task={task!r}, got {written}")
    if config["embedding"] is not None:
        raise ValueError(f"embedding: None is required for task={task!r}, got {config['embedding']}")

"""Sequence in, sequence out, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.checks import names_arguments
from rnnfast.data import AlignedData, Sequences, as_one, check_finite, step_count, step_values
from rnnfast.layers import CustomCell
from rnnfast.losses import task_named
from rnnfast.models.config import build, checked
from rnnfast.models.parts import as_pieces, as_weights
from rnnfast.models.stepwise import StepwiseModel
from rnnfast.models.supervised import ReadingModel

Array = npt.NDArray[Any]


class ManyToMany(StepwiseModel, ReadingModel):
    """A sequence in, an output at every step: ``outputs(t) = W_head h(t) + b_head`` of the top layer's h.

    Tag the words of a sentence, estimate a quantity at every instant, or answer yes-no questions all the way.
    What a step says rests on the steps up to it, and in a bidirectional model on all of them.

    Parameters
    ----------
    input_size : int
        Features C of a step; with ``embedding``, the size of the vocabulary.
    output_size : int
        Classes, numbers or labels K of a step.
    task : "classification", "regression" or "multilabel"
        Softmax cross-entropy, mean squared error, or binary cross-entropy; the loss is the mean over all
        elements of targets at steps that exist.
    embedding : int or None
        Then x holds integer ids, and each stands for a learned vector of this size.
    cell, hidden_size, num_layers, bidirectional, dropout, output_dropout, cell_options, dtype, seed
        As of ``ManyToOne``.

    Notes
    -----
    x is (N, T, C), or (N, T) ids, with ``lengths`` where sequences are shorter; or a list of (T_i, C) arrays, or
    of 1-D arrays of ids. y is (N, T) class ids 0..K-1 or (N, T, K) numbers, of which nothing past a length is
    read; or a list of (T_i,) or (T_i, K) arrays. ``sample_weight`` is (N,), or (N, T) or a list of (T_i,)
    arrays: a weight for every step. ``resets``, bool (N, T) or a list of (T_i,) arrays, cut sequences: where one is
    True the state is the layer's initial one, the learned one with ``learn_initial_state`` and else zero, and what was
    before has no part in it. Predictions are (N, T) or (N, T, K), or
    a list of N arrays for a list or with ``lengths``. Parameters: ``embedding.weight``, ``rnn.*``,
    ``head.weight (K, D*H)``, ``head.bias (K,)``.

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

    takes = ("resets", "tbptt", "burn_in")

    @names_arguments
    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        cell: str | type[CustomCell] = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        task: str = "classification",
        embedding: int | None = None,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        config = checked(
            {
                "input_size": input_size, "output_size": output_size, "cell": cell, "hidden_size": hidden_size,
                "num_layers": num_layers, "bidirectional": bidirectional, "dropout": dropout,
                "output_dropout": output_dropout, "task": task, "embedding": embedding,
                "cell_options": cell_options, "dtype": dtype, "seed": seed,
            }
        )  # fmt: skip
        found = task_named(task)
        self.stem, self.head, _ = build(config)
        super().__init__(config, {"": self.stem, "head": self.head}, found, self.stem.dtype)

    def _data(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int,
        lengths: npt.ArrayLike | None = None,
        sample_weight: Any = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
        tbptt: int | None = None,
        burn_in: int = 0,
    ) -> AlignedData:
        tbptt, burn_in = as_pieces(tbptt, burn_in, bidirectional=self.config["bidirectional"])
        inputs, size = self._inputs(x, lengths, context), self.config["output_size"]
        steps = step_count(x, inputs)
        width = None if self.task.name == "classification" else size
        weights = self._weights(sample_weight, inputs, steps)
        each = _read(step_values(y, inputs, steps, width=width, name="y"), weights, inputs)
        check_finite("y", _like(inputs, each), self.dtype)
        targets = self.task.targets(each, size, self.dtype)
        return AlignedData(
            inputs=inputs,
            targets=_like(inputs, targets),
            weights=weights,
            resets=_resets(resets, inputs, steps),
            batch_size=batch_size,
            tbptt=tbptt,
            burn_in=burn_in,
        )

    def _weights(self, weights: Any, inputs: Sequences, steps: int) -> Array | Sequences | None:
        """Return weights of the sequences, (N,), or of their steps."""
        if weights is None or as_one(weights, None, "sample_weight") is not None:
            return as_weights(weights, len(inputs), self.dtype)
        each = step_values(weights, inputs, steps, width=None, name="sample_weight")
        checked_each = as_weights(each, len(each), self.dtype)
        return None if checked_each is None else _like(inputs, checked_each)

    def _unlabelled(
        self,
        x: Any,
        *,
        batch_size: int,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
    ) -> AlignedData:
        inputs = self._inputs(x, lengths, context, warns=True)
        own = _resets(resets, inputs, step_count(x, inputs))
        return AlignedData(inputs=inputs, targets=inputs, resets=own, batch_size=batch_size)

    def _arranged(self, data: AlignedData, values: Array) -> Any:
        return data.inputs.split(values)


def _read(targets: Array, weights: Array | Sequences | None, inputs: Sequences) -> Array:
    """Return the targets of all steps with zeros for numbers of weight 0, which nothing reads."""
    if weights is None or targets.dtype.kind != "f":
        return targets
    each = weights.values if isinstance(weights, Sequences) else np.repeat(weights, inputs.lengths)
    return np.where((each > 0).reshape(-1, *[1] * (targets.ndim - 1)), targets, targets.dtype.type(0))


def _resets(resets: Any, inputs: Sequences, steps: int) -> Sequences | None:
    if resets is None:
        return None
    each = step_values(resets, inputs, steps, width=None, name="resets")
    if each.dtype != bool and len(each):
        raise TypeError(f"resets: dtype bool is required, got {each.dtype}")
    return _like(inputs, each.astype(bool))


def _like(inputs: Sequences, values: Array) -> Sequences:
    """Return values of all existing steps, sequence after sequence, as sequences."""
    offsets = np.cumsum(inputs.lengths) - inputs.lengths
    return Sequences(values, offsets, inputs.lengths, ragged=inputs.ragged)

"""Sequence in, vector out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.checks import names_arguments
from rnnfast.data import Batch, VectorData, check_finite_rows
from rnnfast.layers import CustomCell
from rnnfast.losses import task_named
from rnnfast.models.config import build, checked
from rnnfast.models.parts import as_pieces, as_weights
from rnnfast.models.streaming import Streaming
from rnnfast.models.supervised import ReadingModel

Array = npt.NDArray[Any]


class ManyToOne(Streaming, ReadingModel):
    """A sequence in, a vector out: ``outputs = W_head h(T) + b_head`` of the top layer's last h.

    With two directions the head reads both last h side by side; the reverse one's is that after the first step.
    Classify a sequence, regress numbers from it, or answer several yes-no questions about it.

    Parameters
    ----------
    input_size : int
        Features C of a step; with ``embedding``, the size of the vocabulary.
    output_size : int
        Classes, numbers or labels K.
    cell : "lstm", "gru", "rnn", or a CustomCell by its class or name
    hidden_size, num_layers : int
    bidirectional : bool
    dropout : float
        Between layers.
    output_dropout : float
        Of what the head reads, in training.
    task : "classification", "regression" or "multilabel"
        Softmax cross-entropy, mean squared error, or binary cross-entropy.
    embedding : int or None
        Then x holds integer ids, and each stands for a learned vector of this size.
    cell_options : dict or None
        Further options of the layer, as ``{"activation": "relu"}``.
    dtype : "float32" or "float64"
    seed : int or None
        Of initial parameters and dropout.

    Notes
    -----
    x is (N, T, C), or (N, T) ids, with ``lengths`` where sequences are shorter; or a list of (T_i, C) arrays, or
    of 1-D arrays of ids. y is (N,) class ids 0..K-1 or (N, K) numbers. Parameters: ``embedding.weight``,
    ``rnn.*``, ``head.weight (K, D*H)``, ``head.bias (K,)``.

    Examples
    --------
    Is the sum of a sequence positive?

    >>> import numpy as np
    >>> import rnnfast as rf
    >>> rng = np.random.default_rng(0)
    >>> x = [rng.normal(size=(length, 1)) for length in rng.integers(1, 9, 200)]
    >>> y = np.array([int(s.sum() > 0) for s in x])
    >>> model = rf.ManyToOne(1, 2, cell="gru", hidden_size=8, seed=0)
    >>> history = model.fit(x, y, epochs=30, lr=0.02, progress=False, seed=0)
    >>> model.evaluate(x, y)["accuracy"] > 0.9
    True
    """

    takes = ("tbptt",)

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
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        tbptt: int | None = None,
    ) -> VectorData:
        steps, _ = as_pieces(tbptt, 0, bidirectional=self.config["bidirectional"])
        inputs = self._inputs(x, lengths, context)
        targets = self.task.targets(y, self.config["output_size"], self.dtype)
        if len(targets) != len(inputs):
            raise ValueError(f"y: one target a sequence is required (N = {len(inputs)}), got {len(targets)}")
        weights = as_weights(sample_weight, len(inputs), self.dtype)
        check_finite_rows("y", targets, weights=weights)
        return VectorData(inputs=inputs, targets=targets, weights=weights, batch_size=batch_size, tbptt=steps)

    def _unlabelled(
        self,
        x: Any,
        *,
        batch_size: int,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
    ) -> VectorData:
        inputs = self._inputs(x, lengths, context, warns=True)
        return VectorData(inputs=inputs, targets=np.zeros(len(inputs)), batch_size=batch_size)

    def _arranged(self, data: VectorData, values: Array) -> Array:
        return values

    def _outputs(self, batch: Batch, state: Any, *, keep: bool) -> tuple[Array, Any, Any]:
        if keep:
            _, last, tape = self.stem.forward(batch.inputs, state, batch.lengths)
        else:
            (_, last), tape = self.stem.infer(batch.inputs, state, batch.lengths), None
        h = self.stem.last_h(last)
        outputs, read = self.head.read(h, batch.rows, training=keep)
        return outputs, last, (tape, read, batch.rows, h.shape)

    def _backward(self, tape: Any, doutputs: Array) -> None:
        stem_tape, read, rows, shape = tape
        dh = self.head.pull(doutputs, read, rows, shape)
        self.stem.backward(stem_tape, None, self.stem.dstate_of_last_h(dh))

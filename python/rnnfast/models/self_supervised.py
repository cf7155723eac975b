"""Models that learn from sequences alone: the target of an element is the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks, train
from rnnfast.callbacks import Callback
from rnnfast.checks import names_arguments
from rnnfast.data import AlignedData, hold_out
from rnnfast.layers import Trace
from rnnfast.models.next_element import EVALUATE_STEPS, TRAIN_STEPS, NextElements
from rnnfast.models.stepwise import StepwiseModel
from rnnfast.optim import Optimizer
from rnnfast.train import History

Array = npt.NDArray[Any]


class SelfSupervisedModel(StepwiseModel):
    """``fit``, ``predict``, ``evaluate`` and ``loss`` in terms of sequences.

    Attributes
    ----------
    reader : NextElements
        Turns sequences into data; set by the subclass.
    """

    reader: NextElements

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
        lr: float | None = None,
        clip_norm: float | None = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        callbacks: Callback | Sequence[Callback] = (),
        progress: bool = True,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> History:
        """Train to predict the next element at every step; a long sequence is cut into ``batch_size`` streams.

        ``tbptt`` cuts sequences into pieces of so many steps, over which the state is carried and the gradient
        is not (None: whole sequences, but 64 steps of a long one). The first ``burn_in`` steps of a sequence or
        stream, while its state is cold, get no loss. ``validation_data`` are sequences or a dict of arguments of
        ``evaluate``; ``validation_split`` holds out the last sequences, or the end of a long one. A long sequence is
        validated in one go, as ``evaluate`` reads it.
        ``sample_weight`` (N,) and ``context`` (N, K) belong to sequences or streams. For the other arguments
        and the errors see ``rnnfast.train.fit``.
        """
        own = {"tbptt": tbptt, "burn_in": burn_in, "lengths": lengths}
        own |= {"sample_weight": sample_weight, "context": context}
        data, validation = self._split(sequences, own, validation_data, validation_split, batch_size)
        return train.fit(
            self, data, epochs=epochs, optimizer=optimizer, lr=lr, clip_norm=clip_norm, validation=validation,
            callbacks=callbacks, progress=progress, shuffle=shuffle, seed=seed,
        )  # fmt: skip

    @names_arguments
    def loss(
        self,
        sequences: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        burn_in: int = 0,
    ) -> float:
        """Return the mean loss over all elements but the first ones, without dropout.

        Options are as of ``fit``.

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
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        burn_in: int = 0,
    ) -> float:
        """Return the loss, with dropout, and add its gradient to every parameter's ``grad``.

        Arguments are those of ``loss``.
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
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        burn_in: int = 0,
    ) -> dict[str, float]:
        """Return the loss (for ids: nats an element) and the task's metrics.

        A single long sequence is read in one go; a ``batch_size`` cuts it into so many streams, which is faster
        but starts each of them cold. Options and errors are those of ``loss``; ``tbptt`` is as of ``fit``.
        """
        options: dict[str, Any] = {"tbptt": tbptt, "burn_in": burn_in, "lengths": lengths}
        options |= {"sample_weight": sample_weight, "context": context}
        return train.evaluate(self, self._judged(sequences, batch_size=batch_size, **options))

    @names_arguments
    def predict(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
    ) -> Any:
        """Return the prediction of the next element at every step of x: ids (N, T), or vectors (N, T, K).

        A list of N arrays for a list or with ``lengths``; one array, (T,) or (T, K), for a single sequence. Data that
        are not finite are a warning: other sequences' predictions do not depend on them.
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
        """Return the probabilities (N, T, K) of the next element at every step; arguments as of ``predict``."""
        return self._stepwise(self.task.probabilities, x, batch_size=batch_size, lengths=lengths, context=context)

    @names_arguments
    def trace(self, x: Any, *, lengths: npt.ArrayLike | None = None, context: npt.ArrayLike | None = None) -> Trace:
        """Return all states and gates of the layers over x, arrays (N, T, H), N = 1 for a single sequence.

        T is the longest sequence's, past a length there are zeros.
        """
        data, _ = self.reader.inputs_only(x, batch_size=1, lengths=lengths, context=context)
        batch = data.batch(np.arange(len(data.inputs), dtype=np.int64))
        return self.stem.trace(batch.inputs, self._initial(batch), batch.lengths)

    def _split(
        self, sequences: Any, own: dict[str, Any], given: Any, fraction: float, batch_size: int
    ) -> tuple[AlignedData, AlignedData | None]:
        """Return the data to train on and those to validate with."""
        size = checks.as_size("batch_size", batch_size)
        cut: dict[str, Any] = {"batch_size": size, "streams": size, "steps": TRAIN_STEPS}
        fraction = checks.at_least_zero("validation_split", fraction)
        parts = self.reader.hold_out_end(sequences, fraction) if fraction and given is None else None
        if parts is not None:
            sequences, end = parts
            given = {"sequences": end, "context": own["context"]}
        data = self.reader.data(sequences, **own, **cut)
        if given is None:
            return hold_out(data, fraction) if fraction else (data, None)
        options = dict(given) if isinstance(given, Mapping) else {"sequences": given}
        known = ("sequences", "lengths", "sample_weight", "context", "burn_in", "tbptt", "batch_size")
        checks.known_arguments("validation_data", options, known)
        if "sequences" not in options:
            raise ValueError(f"validation_data: sequences are required, got {', '.join(options) or 'an empty dict'}")
        name = "validation_data" if parts is None else "validation_split: the held-out end"
        return data, self._judged(**options, name=name)

    def _judged(self, sequences: Any, *, batch_size: int | None = None, **options: Any) -> AlignedData:
        """Return what ``evaluate`` and validation read, alike."""
        streams, size = (1, 256) if batch_size is None else (checks.as_size("batch_size", batch_size),) * 2
        return self.reader.data(sequences, batch_size=size, streams=streams, steps=EVALUATE_STEPS, **options)

    def _one_batch(self, sequences: Any, options: dict[str, Any]) -> Any:
        data = self.reader.data(sequences, batch_size=1, streams=1, steps=None, **options)
        return data.batch(np.arange(len(data.inputs), dtype=np.int64))

    def _stepwise(
        self,
        read: Callable[[Array], Array],
        x: Any,
        *,
        batch_size: int,
        lengths: npt.ArrayLike | None,
        context: npt.ArrayLike | None,
    ) -> Any:
        data, single = self.reader.inputs_only(x, batch_size=batch_size, lengths=lengths, context=context)
        arranged = data.inputs.split(read(self._all_outputs(data)))
        return arranged[0] if single else arranged

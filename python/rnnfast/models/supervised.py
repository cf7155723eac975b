"""Models that learn from pairs: x and what belongs to it, y."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnnfast import train
from rnnfast.callbacks import Callback
from rnnfast.data import hold_out
from rnnfast.models.base import Model
from rnnfast.optim import Optimizer
from rnnfast.train import History

Array = npt.NDArray[Any]


class SupervisedModel(Model):
    """``fit``, ``evaluate`` and ``loss`` in terms of x and y; a subclass says what its data are (``_data``)."""

    takes_resets: ClassVar[bool] = False

    @abstractmethod
    def _data(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
    ) -> Any:
        """Check and convert the user's data."""

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int,
        batch_size: int = 32,
        optimizer: str | Optimizer = "adam",
        lr: float = 1e-3,
        clip_norm: float | None = None,
        validation_data: tuple[Any, Any] | Mapping[str, Any] | None = None,
        validation_split: float = 0.0,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> History:
        """Train.

        Parameters
        ----------
        x, y
            As ``loss`` takes them.
        epochs, batch_size : int
        optimizer : str or Optimizer
            "adam", "adamw", "rmsprop", "sgd", or an object, which has its own learning rate.
        lr : float
            Learning rate of an optimiser given by name.
        clip_norm : float or None
            Largest norm of the gradient.
        validation_data : (x, y), or a dict of arguments of ``loss``, or None
        validation_split : float
            Share of the sequences, the last ones, that is held out instead.
        lengths : int (N,) or None
            Lengths of the sequences in an array x.
        sample_weight : (N,) or None
            Weights of the sequences; of a model with an output at every step also (N, T), of the steps.
        resets : bool (N, T), list of (T_i,) or None
            Of ``ManyToMany``: before which steps the state becomes zero.
        callbacks : sequence of Callback
        progress : bool
            Show a bar.
        shuffle : bool
            Shuffle in every epoch; sequences of similar length then share a batch.
        seed : int or None
            Of the shuffling.

        Returns
        -------
        History
            ``history["loss"]`` and, with validation, ``history["val_loss"]``, ...

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model.
        FloatingPointError
            The loss is not finite; the parameters are those before that step.
        """
        options = {"lengths": lengths, "sample_weight": sample_weight, "context": context}
        if self.takes_resets:
            options["resets"] = resets
        elif resets is not None:
            raise ValueError(f"resets: None required, {type(self).__name__} has no resets; got some")
        data = self._data(x, y, batch_size=batch_size, **options)
        validation = None
        if validation_data is not None:
            validation = self._data(**_named(validation_data), batch_size=batch_size)
        elif validation_split:
            data, validation = hold_out(data, validation_split)
        return train.fit(
            self, data, epochs=epochs, optimizer=optimizer, lr=lr, clip_norm=clip_norm, validation=validation,
            callbacks=callbacks, progress=progress, shuffle=shuffle, seed=seed,
        )  # fmt: skip

    def loss(self, x: Any, y: Any, **options: Any) -> float:
        """Return the mean loss over all target elements, without dropout.

        Options are ``lengths``, ``sample_weight``, ``context`` and, of ``ManyToMany``, ``resets``, as of ``fit``.
        """
        return self.batch_loss(self._one_batch(x, y, options)).loss

    def loss_and_grad(self, x: Any, y: Any, **options: Any) -> float:
        """Return the loss, with dropout, and add its gradient to every parameter's ``grad``."""
        return self.batch_loss(self._one_batch(x, y, options), gradient=True).loss

    def evaluate(self, x: Any, y: Any, *, batch_size: int = 256, **options: Any) -> dict[str, float]:
        """Return the loss and the task's metrics: accuracy, or the mean absolute error (mae)."""
        return train.evaluate(self, self._data(x, y, batch_size=batch_size, **options))

    def _one_batch(self, x: Any, y: Any, options: dict[str, Any]) -> Any:
        data = self._data(x, y, batch_size=1, **options)
        return data.batch(np.arange(len(data.inputs), dtype=np.int64))


class ReadingModel(SupervisedModel):
    """A supervised model whose predictions are read off the outputs of a batch.

    A subclass says what data without targets are (``_unlabelled``), and what arrays its outputs become
    (``_arranged``).
    """

    @abstractmethod
    def _unlabelled(
        self,
        x: Any,
        *,
        batch_size: int,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
    ) -> Any:
        """Check and convert x; the targets are left empty of meaning."""

    @abstractmethod
    def _arranged(self, data: Any, values: Array) -> Any:
        """Give values that belong to all outputs, one below the other, the shape the user expects."""

    def predict(self, x: Any, *, batch_size: int = 256, **options: Any) -> Any:
        """Return the prediction for every output: a class id, numbers, or 0 and 1 for each label."""
        data = self._unlabelled(x, batch_size=batch_size, **options)
        return self._arranged(data, self.task.decide(self._all_outputs(data)))

    def predict_proba(self, x: Any, *, batch_size: int = 256, **options: Any) -> Any:
        """Return the probabilities of the K classes or labels; ValueError for a regression."""
        data = self._unlabelled(x, batch_size=batch_size, **options)
        return self._arranged(data, self.task.probabilities(self._all_outputs(data)))


def _named(validation_data: tuple[Any, Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Return validation data as arguments of ``loss``."""
    if isinstance(validation_data, Mapping):
        return dict(validation_data)
    pair = tuple(validation_data)
    if len(pair) != 2:
        raise ValueError(f"validation_data: a pair (x, y) or a dict required, got {len(pair)} things")
    return {"x": pair[0], "y": pair[1]}

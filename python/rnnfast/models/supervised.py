"""Models that learn from pairs: x and what belongs to it, y."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnnfast import checks, train
from rnnfast.callbacks import Callback
from rnnfast.checks import names_arguments
from rnnfast.data import Sequences, check_finite, check_steps, hold_out
from rnnfast.layers import Trace
from rnnfast.models.base import Model
from rnnfast.models.stem import Stem
from rnnfast.optim import Optimizer
from rnnfast.train import History

Array = npt.NDArray[Any]


class SupervisedModel(Model):
    """``fit``, ``evaluate`` and ``loss`` in terms of x and y; a subclass says what its data are (``_data``)."""

    takes: ClassVar[tuple[str, ...]] = ()  # of the options that not every model has

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

    @names_arguments
    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int,
        batch_size: int = 32,
        optimizer: str | Optimizer = "adam",
        lr: float | None = None,
        clip_norm: float | None = None,
        validation_data: tuple[Any, Any] | Mapping[str, Any] | None = None,
        validation_split: float = 0.0,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
        tbptt: int | None = None,
        burn_in: int = 0,
        callbacks: Callback | Sequence[Callback] = (),
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
        lr : float or None
            Learning rate of an optimiser given by name; None: 1e-3. An object has its own.
        clip_norm : float or None
            Largest norm of the gradient.
        validation_data : (x, y), or a dict of arguments of ``evaluate``, or None
        validation_split : float
            Share of the sequences, the last ones, that is held out instead.
        lengths : int (N,) or None
            Lengths of the sequences in an array x.
        sample_weight : (N,) or None
            Weights of the sequences; of a model with an output at every step also (N, T), of the steps.
        resets : bool (N, T), list of (T_i,) or None
            Of ``ManyToMany``: before which steps the state becomes the layer's initial one, learned or zero.
        tbptt : int or None
            Truncated back-propagation (Williams and Peng 1990), in memory that does not grow with T. ``ManyToMany``
            cuts sequences into pieces of so many steps: the state passes on, the gradient does not, and each piece is
            a step of the optimiser. In ``ManyToOne`` the gradient goes back over so many steps, the last ones of each
            sequence; those before them are run without dropout. Not of bidirectional models.
        burn_in : int
            Of ``ManyToMany``: so many steps at the start of a sequence, where the state is cold, get no loss.
        callbacks : Callback or sequence of Callback
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
            Data that do not fit the model, that are not finite, or without any target.
        FloatingPointError
            The loss is not finite; the parameters are those before that step.
        """
        options = {"lengths": lengths, "sample_weight": sample_weight, "context": context}
        pieces = self._taken(tbptt=tbptt)
        options |= pieces | self._taken(resets=resets, burn_in=_some(burn_in))
        data = self._labelled(x, y, batch_size=batch_size, **options)
        validation = None
        if validation_data is not None:
            given = {**pieces, **self._named(validation_data)}
            validation = self._data(**given, batch_size=batch_size)
            validation.require_targets("validation_data")
        elif checks.at_least_zero("validation_split", validation_split):
            data, validation = hold_out(data, validation_split)
        return train.fit(
            self, data, epochs=epochs, optimizer=optimizer, lr=lr, clip_norm=clip_norm, validation=validation,
            callbacks=callbacks, progress=progress, shuffle=shuffle, seed=seed,
        )  # fmt: skip

    @names_arguments
    def loss(
        self,
        x: Any,
        y: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
        burn_in: int = 0,
    ) -> float:
        """Return the mean loss over all target elements, without dropout.

        Options are as of ``fit``.

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the model, that are not finite, or without any target.
        """
        own = self._taken(resets=resets, burn_in=_some(burn_in))
        batch = self._one_batch(x, y, lengths=lengths, sample_weight=sample_weight, context=context, **own)
        return self.batch_loss(batch).loss

    @names_arguments
    def loss_and_grad(
        self,
        x: Any,
        y: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
        burn_in: int = 0,
    ) -> float:
        """Return the loss, with dropout, and add its gradient to every parameter's ``grad``.

        Arguments are those of ``loss``.
        """
        own = self._taken(resets=resets, burn_in=_some(burn_in))
        batch = self._one_batch(x, y, lengths=lengths, sample_weight=sample_weight, context=context, **own)
        return self.batch_loss(batch, gradient=True).loss

    @names_arguments
    def evaluate(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
        tbptt: int | None = None,
        burn_in: int = 0,
    ) -> dict[str, float]:
        """Return the loss and the task's metrics: accuracy, or the mean absolute error (mae).

        Options are those of ``loss``, and ``tbptt`` where ``fit`` has it: the same in little memory. Errors are those
        of ``loss``.
        """
        own = self._taken(resets=resets, tbptt=tbptt, burn_in=_some(burn_in))
        own |= {"lengths": lengths, "sample_weight": sample_weight, "context": context}
        return train.evaluate(self, self._labelled(x, y, batch_size=batch_size, **own))

    def _labelled(self, x: Any, y: Any, **options: Any) -> Any:
        """Check and convert data of which at least one target counts."""
        data = self._data(x, y, **options)
        data.require_targets("x")
        return data

    def _taken(self, **options: Any) -> dict[str, Any]:
        """Return the options that are given; ValueError for one that this model has not."""
        given = {name: value for name, value in options.items() if value is not None}
        for name in given.keys() - set(self.takes):
            raise ValueError(f"{name}: None is required, {type(self).__name__} has no {name}; got {given[name]!r:.40}")
        return given

    def _named(self, given: Any) -> dict[str, Any]:
        """Return validation data as arguments of ``evaluate``."""
        if isinstance(given, Mapping):
            known = ("x", "y", "lengths", "sample_weight", "context", *self.takes)
            checks.known_arguments("validation_data", given, known)
            if not {"x", "y"} <= given.keys():
                raise ValueError(f"validation_data: x and y are required, got {', '.join(given) or 'an empty dict'}")
            return dict(given)
        if not isinstance(given, list | tuple) or len(given) != 2:
            error = ValueError if isinstance(given, list | tuple) else TypeError
            got = f"{len(given)} things" if isinstance(given, list | tuple) else checks.shown(given)
            raise error(f"validation_data: a pair (x, y) or a dict is required, got {got}")
        return {"x": given[0], "y": given[1]}

    def _one_batch(self, x: Any, y: Any, **options: Any) -> Any:
        data = self._labelled(x, y, batch_size=1, **options)
        return data.batch(np.arange(len(data.inputs), dtype=np.int64))


class ReadingModel(SupervisedModel):
    """A supervised model whose predictions are read off the outputs of a batch.

    A subclass says what data without targets are (``_unlabelled``), and what arrays its outputs become
    (``_arranged``).
    """

    stem: Stem

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

    def _inputs(self, x: Any, lengths: Any, context: Any, *, warns: bool = False) -> Sequences:
        """Check and convert x; data that are not finite are an error, or a warning."""
        if context is not None:
            raise ValueError(f"context: None is required, {type(self).__name__} has no context; got one")
        found = self.stem.input.sequences(x, lengths, "x")
        check_finite("x", found, self.dtype, warns=warns)
        check_steps("x", found)
        return found

    @abstractmethod
    def _arranged(self, data: Any, values: Array) -> Any:
        """Give values that belong to all outputs, one below the other, the shape the user expects."""

    @names_arguments
    def predict(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
    ) -> Any:
        """Return the prediction for every output: a class id, numbers, or 0 and 1 for each label.

        Data that are not finite are a warning: other sequences' predictions do not depend on them.
        """
        own = self._taken(resets=resets)
        data = self._unlabelled(x, batch_size=batch_size, lengths=lengths, context=context, **own)
        return self._arranged(data, self.task.decide(self._all_outputs(data)))

    @names_arguments
    def predict_proba(
        self,
        x: Any,
        *,
        batch_size: int = 256,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
    ) -> Any:
        """Return the probabilities of the K classes or labels; ValueError for a regression.

        Arguments are those of ``predict``.
        """
        own = self._taken(resets=resets)
        data = self._unlabelled(x, batch_size=batch_size, lengths=lengths, context=context, **own)
        return self._arranged(data, self.task.probabilities(self._all_outputs(data)))

    @names_arguments
    def trace(
        self,
        x: Any,
        *,
        lengths: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        resets: Any = None,
    ) -> Trace:
        """Return all states and gates of the layers, arrays (N, T, D*H) of all N sequences at once.

        Options are those of ``predict`` but the batch size; T is the longest sequence's, past a length there are zeros.
        """
        own = self._taken(resets=resets)
        data = self._unlabelled(x, batch_size=1, lengths=lengths, context=context, **own)
        batch = data.batch(np.arange(len(data.inputs), dtype=np.int64))
        return self.stem.trace(batch.inputs, None, batch.lengths, batch.resets)


def _some(burn_in: Any) -> int | None:
    """Return the steps of a burn-in, None for none."""
    return checks.as_integer("burn_in", burn_in, least=0) or None

"""What every model has: parts with parameters, a task, loss and gradient of a batch, a file."""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rnnfast import checkpoint
from rnnfast.losses import Task
from rnnfast.params import Module, Parameter
from rnnfast.train import BatchLoss, History

Array = npt.NDArray[Any]
M = TypeVar("M", bound="Model")


class Model(Module):
    """A composition of parts, with a task at its end.

    A subclass says how outputs come from a batch (``_outputs``) and how gradients go back (``_backward``); it
    offers ``fit`` and its kin in terms of its own data.

    Attributes
    ----------
    config : dict
        The constructor's arguments.
    history : History
        Of the last ``fit``, also of one that an exception ended; not saved.
    metadata : dict of str
        Kept in the model's file; free for the user (a vocabulary, the names of classes).
    """

    def __init__(self, config: dict[str, Any], parts: dict[str, Any], task: Task, dtype: np.dtype[Any]) -> None:
        self.config = config
        self.metadata: dict[str, str] = {}
        self.history = History()
        self.task = task
        self.dtype = dtype
        self._parts = parts

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters under their names, ``part.name``."""
        return {
            f"{prefix}.{name}" if prefix else name: p
            for prefix, part in self._parts.items()
            for name, p in part.parameters().items()
        }

    @abstractmethod
    def _outputs(self, batch: Any, state: Any, *, keep: bool) -> tuple[Array, Any, Any]:
        """Return outputs (M, K), the final state and, if ``keep``, what ``_backward`` needs."""

    @abstractmethod
    def _backward(self, tape: Any, doutputs: Array) -> None:
        """Add the gradients of all parameters, given those of the outputs (M, K)."""

    def batch_loss(self, batch: Any, state: Any = None, *, gradient: bool = False) -> BatchLoss:
        """Return the loss of a batch; with ``gradient``, use dropout and add the parameters' gradients.

        A batch without any target only moves the state on.
        """
        keep = gradient and len(batch.targets) > 0
        outputs, last, tape = self._outputs(batch, state, keep=keep)
        loss, doutputs = self.task.loss(outputs, batch.targets, batch.weights)
        if keep:
            self._backward(tape, doutputs)
        weight = float(len(batch.targets)) if batch.weights is None else math.fsum(batch.weights)
        return BatchLoss(loss=loss, weight=weight, outputs=outputs, state=last)

    def batch_metrics(self, batch: Any, outputs: Array) -> dict[str, float]:
        """Return the task's metrics of a batch."""
        return self.task.metrics(outputs, batch.targets, batch.weights)

    def _all_outputs(self, data: Any) -> Array:
        """Return the outputs of all batches, one below the other."""
        found = [self._outputs(batch, None, keep=False)[0] for batch in data.batches()]
        return np.concatenate(found) if found else np.zeros((0, self._parts["head"].weight.shape[0]), self.dtype)

    def summary(self) -> str:
        """Return a table of the parameters.

        Examples
        --------
        >>> import rnnfast as rf
        >>> print(rf.ManyToOne(3, 2, cell="rnn", hidden_size=4).summary())
        ManyToOne: cell=rnn, task=classification, dtype=float32
        rnn.weight_ih_l0  (4, 3)  12
        rnn.weight_hh_l0  (4, 4)  16
        rnn.bias_ih_l0    (4,)     4
        rnn.bias_hh_l0    (4,)     4
        head.weight       (2, 4)   8
        head.bias         (2,)     2
        46 parameters, 184 bytes
        """
        params = self.parameters()
        rows = [(name, str(p.shape), f"{p.value.size:,}") for name, p in params.items()]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        total = sum(p.value.size for p in params.values())
        first = f"{type(self).__name__}: cell={self.config['cell']}, task={self.task.name}, dtype={self.dtype}"
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        last = f"{total:,} parameters, {total * self.dtype.itemsize:,} bytes"
        return "\n".join([first, *lines, last])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, configuration and metadata to a safetensors file, completely or not at all."""
        config = {"class": type(self).__name__, "config": self.config, "metadata": self.metadata}
        checkpoint.write(path, self.state_dict(), config)

    @classmethod
    def restored(cls: type[M], config: dict[str, Any], metadata: dict[str, str], tensors: Mapping[str, Array]) -> M:
        """Build a model from what ``save`` wrote; any contradiction raises.

        The sizes are compared with the tensors first: a damaged size must not claim memory.
        """
        for name, size in cls._sizes_in(tensors, config).items():
            if config[name] != size:
                raise ValueError(f"{name} = {config[name]!r} where its tensors say {size}")
        model = cls(**config)
        if model.config != config:
            raise ValueError(f"configuration {config} where {model.config} is meant")
        for name, array in tensors.items():
            if array.dtype != model.dtype:
                raise ValueError(f"{name} of dtype {array.dtype} where dtype = {model.dtype}")
        model.load_state_dict(tensors)
        model.metadata = {str(name): str(value) for name, value in metadata.items()}
        return model

    @classmethod
    @abstractmethod
    def _sizes_in(cls, tensors: Mapping[str, Array], config: Mapping[str, Any]) -> dict[str, int]:
        """Return the sizes of the configuration, as read from the tensors."""

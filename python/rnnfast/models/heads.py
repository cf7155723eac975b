"""The heads of a model: affine maps that read h, and the tasks that say what their outputs mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.layers import BlockTape, Dropout, Linear
from rnnfast.models.config import HeadConfig
from rnnfast.params import Module, Parameter

Array = npt.NDArray[Any]
Outputs = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class HeadsTape:
    """What ``Heads.backward`` needs: the tapes of all parts, and where the rows of h came from."""

    dropout: BlockTape | None
    heads: dict[str, BlockTape]
    rows: Array | None
    count: int


class Heads(Module):
    """``outputs = W h + b`` for every head, under dropout of h in training.

    Parameters
    ----------
    heads : dict of str to HeadConfig
        Task, size and loss weight by name; a single head has the name "".
    features : int
        F, the numbers of h.
    dtype : numpy dtype
    rng : numpy.random.Generator
        Draws the initial values.
    dropout : float
        Probability that an element of h is dropped in training; the others are scaled by 1 / (1 - p) (Srivastava et
        al. 2014). All heads read the same h.
    """

    def __init__(
        self,
        heads: Mapping[str, HeadConfig],
        features: int,
        dtype: np.dtype[Any],
        rng: np.random.Generator,
        *,
        dropout: float,
    ) -> None:
        self.configs = dict(heads)
        self.dtype = dtype
        self.parts = {
            name: Linear(features, head.task.outputs(head.size), dtype=dtype, seed=rng) for name, head in heads.items()
        }
        self.dropout = Dropout(dropout, seed=rng.spawn(1)[0])

    @property
    def prefix(self) -> str:
        """What stands before the parameters' names: head, or heads where there are several."""
        return "head" if list(self.parts) == [""] else "heads"

    def parameters(self) -> dict[str, Parameter]:
        """Return weight and bias, of several heads ``<name>.weight`` and ``<name>.bias``."""
        return {
            f"{head}.{name}" if head else name: p
            for head, part in self.parts.items()
            for name, p in part.parameters().items()
        }

    def random_state(self) -> dict[str, Any]:
        """Return the state of the dropout's random numbers."""
        return self.dropout.random_state()

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the state of the dropout's random numbers."""
        self.dropout.set_random_state(state)

    def infer(self, h: Array, rows: Array | None = None) -> dict[str, Array]:
        """Return the outputs (M, K) of h (R, F) at ``rows`` (M,), or at all."""
        read = h if rows is None else h[rows]
        return {name: part(read) for name, part in self.parts.items()}

    def forward(self, h: Array, rows: Array | None = None) -> tuple[dict[str, Array], HeadsTape]:
        """Return what ``infer`` does, under dropout, and the tape for ``backward``."""
        read = h if rows is None else h[rows]
        dropped = None
        if self.dropout.p:
            read, dropped = self.dropout.forward(read)
        found = {name: part.forward(read) for name, part in self.parts.items()}
        tape = HeadsTape(dropped, {name: tape for name, (_, tape) in found.items()}, rows, len(h))
        return {name: outputs for name, (outputs, _) in found.items()}, tape

    def backward(self, tape: HeadsTape, doutputs: Outputs) -> Array:
        """Add the gradients of all parameters; return that of h (R, F), zero at rows that were not read."""
        each = [part.backward(tape.heads[name], doutputs[name]) for name, part in self.parts.items()]
        dread: Array = sum(each[1:], each[0])
        if tape.dropout is not None:
            dread = self.dropout.backward(tape.dropout, dread)
        if tape.rows is None:
            return dread
        dh = np.zeros((tape.count, dread.shape[1]), dread.dtype)
        dh[tape.rows] = dread
        return dh

    def loss(
        self, outputs: Outputs, targets: Outputs, weights: Array | None
    ) -> tuple[float, dict[str, float], dict[str, Array]]:
        """Return the weighted sum of the heads' losses, each by itself, and the gradients of the outputs."""
        losses, gradients = {}, {}
        for name, head in self.configs.items():
            loss, gradient = head.task.loss(outputs[name], targets[name], weights)
            losses[name] = loss
            gradients[name] = gradient if head.loss_weight == 1 else gradient * gradient.dtype.type(head.loss_weight)
        total = sum(loss * self.configs[name].loss_weight for name, loss in losses.items())
        return float(total), losses, gradients

    def decide(self, outputs: Outputs) -> dict[str, Array]:
        """Return the predictions of all heads."""
        return {name: head.task.decide(outputs[name]) for name, head in self.configs.items()}

    def probabilities(self, outputs: Outputs) -> dict[str, Array]:
        """Return the probabilities of all heads; ValueError where a task has none."""
        return {name: head.task.probabilities(outputs[name]) for name, head in self.configs.items()}

    def side_by_side(self) -> tuple[Array, Array]:
        """Return weight (K, F) and bias (K,) of all heads in one, as a stream reads them."""
        biases = [part.bias.value for part in self.parts.values() if part.bias is not None]
        weights = [part.weight.value for part in self.parts.values()]
        return (weights[0], biases[0]) if len(weights) == 1 else (np.concatenate(weights), np.concatenate(biases))

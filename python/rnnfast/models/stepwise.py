"""Outputs at every step."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from rnnfast.data import Batch
from rnnfast.models.parts import Head
from rnnfast.models.stem import Stem
from rnnfast.models.streaming import Streaming

Array = npt.NDArray[Any]


class StepwiseModel(Streaming):
    """``outputs(t) = W_head h(t) + b_head`` of the top layer, at every step that has a target.

    A subclass may give its sequences a start of their own (``_initial``, ``_pull_initial``).

    Attributes
    ----------
    stem : Stem
    head : Head
    """

    stem: Stem
    head: Head

    def _initial(self, batch: Batch) -> Any:
        """Return the states in which the batch's sequences begin; None for zeros."""
        return None

    def _pull_initial(self, dstate: Any, batch: Batch) -> None:
        """Take the gradient of what ``_initial`` returned."""

    def _outputs(self, batch: Batch, state: Any, *, keep: bool) -> tuple[Array, Any, Any]:
        if not batch.continues:
            state = self._initial(batch)
        if keep:
            y, last, tape = self.stem.forward(batch.inputs, state, batch.lengths, batch.resets)
        else:
            (y, last), tape = self.stem.infer(batch.inputs, state, batch.lengths, batch.resets), None
        outputs, read = self.head.read(y, batch.rows, training=keep)
        return outputs, last, (tape, read, y.shape, batch)

    def _backward(self, tape: Any, doutputs: Array) -> None:
        stem_tape, read, shape, batch = tape
        dstate = self.stem.backward(stem_tape, self.head.pull(doutputs, read, batch.rows, shape))
        if not batch.continues:
            self._pull_initial(dstate, batch)

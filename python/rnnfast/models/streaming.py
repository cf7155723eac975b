"""Models that are fed step by step."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops
from rnnfast.layers import Stream, Surroundings
from rnnfast.models.base import Model
from rnnfast.models.parts import Affine
from rnnfast.models.stem import Stem

Array = npt.NDArray[Any]


class Streaming(Model):
    """What a model of one layer stack and a head adds: ``stream()``."""

    stem: Stem
    head: Affine

    def stream(self, batch_size: int = 1, state: Any = None) -> Stream:
        """Return a copy of the model that is fed step by step.

        ``step(x)`` gives ``W_head h(t) + b_head`` after the sequence up to x(t): logits or numbers; what the task
        would decide by them (softmax, the largest) is left to the caller.

        Parameters
        ----------
        batch_size : int
            Sequences N, which advance together.
        state : array (L, N, H), for LSTM a tuple (h, c) of them, optional
            Where they begin; zeros by default.

        Returns
        -------
        Stream
            Its ``step`` takes x (N, C), or integers (N,) where the model takes ids, and returns (N, K); where N is 1
            also x (C,), or an integer, and then (K,). ``process`` takes (N, T, C) or ids (N, T). Real numbers of
            another dtype than the model's are converted, at the price of a copy.

        Examples
        --------
        >>> import numpy as np
        >>> import rnnfast as rf
        >>> model = rf.ManyToMany(4, 3, embedding=2, hidden_size=5, seed=0)
        >>> s = model.stream()
        >>> outputs = np.stack([s.step(i) for i in [3, 0, 1]])
        >>> s.reset()
        >>> np.array_equal(s.process([[3, 0, 1]])[0], outputs)
        True
        """
        return self._stream(batch_size, state, None)

    def _stream(self, batch_size: int, state: Any, start: Any) -> Stream:
        part = self.stem.input
        table = None if part.table is None else np.array(part.table)
        block = partial(_block, part=part, table=table)
        step = partial(_step, batch=batch_size, width=part.size, dtype=self.dtype)
        return Stream(
            self.stem.rnn,
            batch_size,
            state,
            start=start,
            surroundings=Surroundings(
                step=step if table is None else partial(_step_ids, batch=batch_size),
                block=block,
                table=table,
                head=self.head.weight.value,
                bias=self.head.bias.value,
            ),
        )


def _block(block: npt.ArrayLike, part: Any, table: Array | None) -> Array:
    """Return the layer's input (N, T, C) of a block of reals or ids."""
    found = part.sequences(np.asarray(block), None, "block")
    values: Array = found.take(np.arange(len(found), dtype=np.int64))[0]
    return values if table is None else table[values]


def _step(x: Any, batch: int, width: int, dtype: np.dtype[Any]) -> Array:
    values = np.asarray(x)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"x: real numbers required, got dtype {values.dtype}")
    return _ops.step_array(values.astype(dtype, copy=False), sequences=batch, width=width, dtype=dtype)


def _step_ids(x: Any, batch: int) -> Array:
    ids = np.asarray(x)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"x: integer ids required, got dtype {ids.dtype}")
    if ids.shape != (batch,) and (ids.shape != () or batch != 1):
        one = ", or one integer," if batch == 1 else ""
        raise ValueError(f"x: ids (N,) = ({batch},){one} required, got shape {ids.shape}")
    return ids.astype(np.int64)

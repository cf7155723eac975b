"""Data whose targets are the inputs, one step later."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.data import AlignedData, Sequences, as_one, as_streams, check_finite, check_fraction
from rnnfast.losses import Task
from rnnfast.models.parts import as_pieces, as_weights
from rnnfast.models.state_map import as_context
from rnnfast.models.stem import Stem

Array = npt.NDArray[Any]

TRAIN_STEPS = 64  # of a long array, in one gradient
EVALUATE_STEPS = 1024  # of a long array, in memory at once


class NextElements:
    """Turns the user's sequences into inputs and targets for one model.

    Parameters
    ----------
    stem : Stem
    task : Task
    output_size, context_size
        As of the model.
    """

    def __init__(self, stem: Stem, task: Task, output_size: int, context_size: int | None) -> None:
        self.input = stem.input
        self.dtype = stem.dtype
        self.task = task
        self.output_size = output_size
        self.context_size = context_size
        self.features = None if task.name == "classification" else stem.input.size

    def read(self, x: Any, lengths: npt.ArrayLike | None, name: str, *, warns: bool = False) -> tuple[Sequences, bool]:
        """Return the sequences in ``x``, and whether it is a single one instead of several.

        Numbers that are not finite are an error or, where it ``warns``, a warning.
        """
        one = as_one(x, self.features, name)
        if one is not None and lengths is not None:
            raise ValueError(f"lengths: None is required where {name} is a single sequence, got some")
        found = self.input.sequences(x if one is None else one[None], lengths, name)
        check_finite(name, found, self.dtype, warns=warns)
        return found, one is not None

    def inputs_only(
        self, x: Any, *, batch_size: int, lengths: npt.ArrayLike | None, context: npt.ArrayLike | None
    ) -> tuple[AlignedData, bool]:
        """Return data without targets, and whether they are a single sequence."""
        inputs, single = self.read(x, lengths, "x", warns=True)
        start = as_context(context, self.context_size, len(inputs), self.dtype, warns=True)
        return AlignedData(inputs=inputs, targets=inputs, context=start, batch_size=batch_size), single

    def data(
        self,
        sequences: Any,
        *,
        batch_size: int,
        streams: int,
        steps: int | None,
        tbptt: int | None = None,
        burn_in: int = 0,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        name: str = "sequences",
    ) -> AlignedData:
        """Return inputs and targets; ``name`` is what messages call the sequences.

        A single long sequence is cut into ``streams`` and, without ``tbptt``, into pieces of ``steps``.
        """
        tbptt, burn_in = as_pieces(tbptt, burn_in, bidirectional=False)
        whole, single = self.read(sequences, lengths, name)
        shortest = int(whole.lengths.min(initial=2))
        if shortest < 2:
            raise ValueError(
                f"{name}: at least 2 elements each are required (an element's target is the next one), got {shortest}"
            )
        if single:
            whole, tbptt = as_streams(whole, streams, name), tbptt or steps
        self._check_targets(whole)
        data = AlignedData(
            inputs=whole.without_last(),
            targets=whole.without_first(),
            weights=as_weights(sample_weight, len(whole), self.dtype),
            context=as_context(context, self.context_size, len(whole), self.dtype),
            batch_size=max(batch_size, streams) if single else batch_size,
            tbptt=tbptt,
            burn_in=burn_in,
        )
        data.require_targets("sequences")
        return data

    def hold_out_end(self, sequences: Any, fraction: float) -> tuple[Array, Array] | None:
        """Split a single long sequence in two, the last ``fraction`` behind; None when there are several."""
        one = as_one(sequences, self.features, "sequences")
        if one is None:
            return None
        check_fraction(fraction)
        kept = len(one) - round(len(one) * fraction)
        return one[:kept], one[kept:]

    def _check_targets(self, whole: Sequences) -> None:
        """Check what the inputs' own check has not: the values that are targets."""
        targets = whole.without_first().flat(np.arange(len(whole), dtype=np.int64))
        self.task.targets(targets, self.output_size, self.dtype, name="sequences")

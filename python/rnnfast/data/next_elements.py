"""Data whose targets are the inputs, one step later."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, DType
from rnnfast.data.batches import AlignedData, check_fraction
from rnnfast.data.container import Sequences
from rnnfast.data.gaps import read_with_gaps
from rnnfast.data.sequences import (
    as_context,
    as_one,
    as_pieces,
    as_streams,
    check_finite,
    step_count,
)
from rnnfast.data.weights import Weighed, as_step_weights, as_weights, counted_steps
from rnnfast.text import AnyVocabulary, as_ids


class Reader(Protocol):
    """The part of a model that reads what users give as x."""

    size: int
    vocabulary: AnyVocabulary | None

    def sequences(self, x: Any, lengths: npt.ArrayLike | None, name: str) -> Sequences: ...  # noqa: D102


class Targets(Weighed, Protocol):
    """The part of a task that checks targets."""

    def targets(self, y: npt.ArrayLike, size: int, dtype: DType, *, name: str) -> Array: ...  # noqa: D102


class NextElements:
    """Turns the user's sequences into inputs and targets for one model.

    Parameters
    ----------
    reader : the model's input
    task : Task
    output_size, context_size
        The model's arguments.
    dtype : numpy dtype
        The model's.
    """

    def __init__(self, reader: Reader, task: Targets, output_size: int, context_size: int | None, dtype: DType) -> None:
        self.reader = reader
        self.task = task
        self.output_size = output_size
        self.context_size = context_size
        self.dtype = dtype
        self.features = None if task.ids else reader.size

    def read(
        self, x: Any, lengths: npt.ArrayLike | None, name: str, *, mask: Any = None, warns: bool = False
    ) -> tuple[Sequences, bool]:
        """Return the sequences in ``x``, and whether it is a single one instead of several.

        Numbers that are not finite are an error or, where it ``warns``, a warning.
        """
        x = as_ids(self.reader.vocabulary, x, name)
        one = as_one(x, self.features, name)
        if one is not None and lengths is not None:
            raise ValueError(f"lengths: None is required where {name} is a single sequence, got some")
        if one is not None:
            x, mask = one[None], None if mask is None else checks.as_array("mask", mask)[None]
        found = read_with_gaps(self.reader.sequences, x, lengths, mask, name)
        check_finite(name, found, self.dtype, warns=warns)
        return found, one is not None

    def inputs_only(
        self,
        x: Any,
        *,
        batch_size: int,
        lengths: npt.ArrayLike | None,
        context: npt.ArrayLike | None,
        mask: Any = None,
        chunk: int | None = None,
        goes_on: bool = False,
    ) -> tuple[AlignedData, bool]:
        """Return data without targets, and whether they are a single sequence.

        Sequences that go on from a given state have no context.
        """
        inputs, single = self.read(x, lengths, "x", mask=mask, warns=True)
        if goes_on and context is not None:
            raise ValueError("context: None is required beside state, which a context started; got both")
        size = None if goes_on else self.context_size
        start = as_context(context, size, len(inputs), self.dtype, warns=True)
        return AlignedData(inputs=inputs, targets={}, context=start, batch_size=batch_size, tbptt=chunk), single

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
        mask: Any = None,
        sample_weight: Any = None,
        context: npt.ArrayLike | None = None,
        name: str = "sequences",
    ) -> AlignedData:
        """Return inputs and targets; ``name`` is what messages call the sequences.

        A single long sequence is cut into ``streams`` and, without ``tbptt``, into pieces of ``steps``.
        """
        tbptt, burn_in = as_pieces(tbptt, burn_in, bidirectional=False)
        whole, single = self.read(sequences, lengths, name, mask=mask)
        shortest = int(whole.lengths.min(initial=2))
        if shortest < 2:
            raise ValueError(
                f"{name}: at least 2 elements each are required (an element's target is the next one), got {shortest}"
            )
        longest = 0 if single else step_count(sequences, whole)
        if single:
            whole, tbptt = as_streams(whole, streams, name), tbptt or steps
        weights = self._weights(sample_weight, whole, longest)
        # The inputs' own check knows the ids that may be read, not those that may be written.
        check = partial(self.task.targets, size=self.output_size, dtype=self.dtype, name="sequences")
        targets = whole.without_first().checked(check)
        targets, weights = counted_steps(self.task, targets, weights, self.dtype, finite=True, name=name)
        data = AlignedData(
            inputs=whole.without_last(),
            targets={"": targets},
            weights=weights,
            context=as_context(context, self.context_size, len(whole), self.dtype),
            batch_size=max(batch_size, streams) if single else batch_size,
            tbptt=tbptt,
            burn_in=burn_in,
        )
        data.require_targets("sequences")
        return data

    def _weights(self, given: Any, whole: Sequences, steps: int) -> Array | Sequences | None:
        """Return weights of the sequences, or of their elements but the first; ``steps`` is 0 for streams of one."""
        width = self.features if self.task.weighs_elements else None
        if steps:
            found = as_step_weights(given, whole, steps, self.dtype, width=width)
            return found.without_first() if isinstance(found, Sequences) else found
        if given is None or np.shape(given)[:1] != (len(whole.values),):
            return as_weights(given, len(whole), self.dtype)
        each = as_weights(given, len(whole.values), self.dtype, width=width)
        return None if each is None else Sequences(each, whole.offsets, whole.lengths, ragged=False).without_first()

    def hold_out_end(
        self, sequences: Any, sample_weight: Any, fraction: float
    ) -> tuple[tuple[Array, Any], tuple[Array, Any]] | None:
        """Split a single long sequence in two, the last ``fraction`` behind; None when there are several.

        Weights of its elements are split with it; others stay with the first part.
        """
        one = as_one(as_ids(self.reader.vocabulary, sequences, "sequences"), self.features, "sequences")
        if one is None:
            return None
        check_fraction(fraction)
        kept = len(one) - round(len(one) * fraction)
        if sample_weight is None or np.shape(sample_weight)[:1] != (len(one),):
            return (one[:kept], sample_weight), (one[kept:], None)
        each = checks.as_array("sample_weight", sample_weight)
        return (one[:kept], each[:kept]), (one[kept:], each[kept:])

"""Graphs run on random inputs, so that what they compute can be compared with what a layer computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.interop.onnx.backend import evaluator_class

Array = npt.NDArray[Any]

_FREE = 4  # steps and sequences of the first trial, where the graph leaves them open


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A run of the graph.

    Attributes
    ----------
    x : array
        As the graph wants it.
    lengths : array or None
    state : tuple of arrays
        Initial states, where they are inputs of the graph.
    values : dict of str to array
        Every value of the graph by name.
    """

    x: Array
    lengths: Array | None
    state: tuple[Array, ...]
    values: dict[str, Any]


class TrialGraph:
    """A graph whose inputs are sequences, and maybe their lengths and initial states.

    Parameters
    ----------
    model : ModelProto

    Raises
    ------
    ValueError
        The graph has an input that a layer and a model lack.
    """

    def __init__(self, model: Any) -> None:
        from onnx import helper

        self._evaluator = evaluator_class()(model)
        stored = {each.name for each in model.graph.initializer}
        made = [name for node in model.graph.node for name in node.output if name]
        self._names = [*(each.name for each in model.graph.input), *stored, *made]
        self._x: Any = None
        self._lengths: Any = None
        self._state: list[Any] = []
        for each in model.graph.input:
            if each.name in stored:
                continue
            kind = np.dtype(helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type))
            rank = len(each.type.tensor_type.shape.dim)
            if self._x is None and (kind.kind, rank) in (("f", 3), ("i", 2)):
                self._x, self._kind = each, kind
            elif self._lengths is None and (kind.kind, rank) == ("i", 1):
                self._lengths, self._lengths_kind = each, kind
            elif self._x is not None and (kind.kind, rank) == ("f", 3) and len(self._state) < 2:
                self._state.append(each)
            else:
                wanted = "x (N, T, C) or ids (N, T), lengths (N,) and initial states (L*D, N, H)"
                raise ValueError(f"inputs: {wanted} are required, got {each.name!r}, {kind} of {rank} axes")
        if self._x is None:
            raise ValueError("inputs: an input of sequences, (N, T, C) or ids (N, T), is required, got none")

    @property
    def ids(self) -> bool:
        """Whether the sequences are of ids."""
        return bool(self._kind.kind == "i")

    def run(
        self,
        rng: np.random.Generator,
        vocabulary: int,
        *,
        batch_axis: int,
        sizes: tuple[int, int],
        longest_first: bool = False,
    ) -> Trial:
        """Run the graph on ``sizes = (N, T)``, as far as it leaves them open."""
        open_sizes = (self._sequences() or sizes[0], sizes[1])
        open_sizes = open_sizes if batch_axis == 0 else open_sizes[::-1]
        dims = [d.dim_value for d in self._x.type.tensor_type.shape.dim]
        shape = tuple(d or size for d, size in zip(dims, (*open_sizes, _FREE)[: len(dims)], strict=True))
        N, T = shape[batch_axis], shape[1 - batch_axis]
        if self.ids:
            x: Array = rng.integers(0, vocabulary, shape).astype(self._kind)
        else:
            x = rng.normal(size=shape).astype(self._kind)
        feeds: dict[str, Array] = {self._x.name: x}
        lengths = None
        if self._lengths is not None:
            lengths = np.maximum(T - np.arange(N), 1).astype(self._lengths_kind)
            lengths = lengths if longest_first else np.roll(lengths, 1)
            feeds[self._lengths.name] = lengths
        for each in self._state:
            rows, _, size = (d.dim_value for d in each.type.tensor_type.shape.dim)
            feeds[each.name] = rng.normal(size=(rows, N, size)).astype(self._kind)
        try:
            values = dict(zip(self._names, self._evaluator.run(self._names, feeds), strict=True))
        except Exception as error:
            raise ValueError(f"graph: one that runs on x of shape {shape} is required, got {error!r}") from error
        state = tuple(feeds[each.name] for each in self._state)
        return Trial(x=x, lengths=lengths, state=state, values=values)

    def first(self, rng: np.random.Generator, vocabulary: int) -> Trial:
        """Run the graph on as many sequences as steps, so that the order of its axes does not matter.

        The longest sequence is the first, so that a graph which sorts them, as PyTorch's packing does, changes nothing.
        """
        size = self._sequences() or _FREE
        return self.run(rng, vocabulary, batch_axis=0, sizes=(size, size), longest_first=True)

    def _sequences(self) -> int:
        """Return N as the lengths or the initial states fix it; 0 where they leave it open."""
        own = [] if self._lengths is None else [self._lengths.type.tensor_type.shape.dim[0]]
        return next((d.dim_value for d in [*own, *(s.type.tensor_type.shape.dim[1] for s in self._state)]), 0)

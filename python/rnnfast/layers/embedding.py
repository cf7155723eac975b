"""Learned vectors of ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks, init
from rnnfast.checks import names_arguments
from rnnfast.layers.block import Block, BlockTape, Seed, generator_of
from rnnfast.params import Parameter

Array = npt.NDArray[Any]


class Embedding(Block):
    """A learned vector for each id, ``y = E[id]``.

    First vectors are drawn from N(0, 1), as in PyTorch.

    Parameters
    ----------
    num_embeddings : int
        V; ids are 0..V-1.
    embedding_dim : int
        D, the numbers of a vector.
    dtype : {"float32", "float64"}
        Dtype of parameters and outputs.
    seed : int, numpy.random.Generator or None
        Seed of the first values and of everything random in training. None takes a new one every time; a generator is
        advanced.

    Attributes
    ----------
    weight : Parameter (V, D)
        E.

    Raises
    ------
    ValueError
        If a size is below 1.
    TypeError
        If the dtype is another one.

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer = rf.Embedding(5, 2, seed=0)
    >>> y, tape = layer.forward([[3, 0, 3]])
    >>> layer.backward(tape, np.ones_like(y))
    >>> y.shape, layer.weight.grad[:, 0].tolist()
    ((1, 3, 2), [1.0, 0.0, 0.0, 2.0, 0.0])
    """

    @names_arguments
    def __init__(
        self, num_embeddings: int, embedding_dim: int, *, dtype: npt.DTypeLike = "float32", seed: Seed = None
    ) -> None:
        self.num_embeddings = checks.as_size("num_embeddings", num_embeddings)
        self.embedding_dim = checks.as_size("embedding_dim", embedding_dim)
        self.dtype = checks.as_dtype(dtype)
        shape = self.num_embeddings, self.embedding_dim
        self.weight = Parameter(init.normal(shape, rng=generator_of(seed), dtype=self.dtype))

    def parameters(self) -> dict[str, Parameter]:
        """Return weight."""
        return {"weight": self.weight}

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return the vectors of ids; nothing is kept.

        Parameters
        ----------
        x : integers (...)
            Ids, each within 0..V-1, of any shape.

        Returns
        -------
        array (..., D)

        Raises
        ------
        ValueError
            If an id is outside 0..V-1.
        TypeError
            If x holds no integers.
        """
        ids = self._read(x)
        return _ops.embedding(ids.reshape(-1), self.weight.value).reshape(*ids.shape, self.embedding_dim)

    def forward(self, x: npt.ArrayLike, *, training: bool = True) -> tuple[Array, BlockTape]:
        """Return the vectors of ids and the tape for ``backward``.

        Parameters
        ----------
        x : integers (...)
            As for ``__call__``; not to be modified until ``backward``.
        training : bool
            Without effect here: nothing is random.

        Returns
        -------
        y : array (..., D)
            The bits of ``__call__``.
        tape : BlockTape
            To be passed to ``backward``, once.
        """
        checks.as_flag("training", training)
        ids, versions = self._read(x), self._versions()
        rows = ids.reshape(-1)
        y = _ops.embedding(rows, self.weight.value).reshape(*ids.shape, self.embedding_dim)
        return y, BlockTape(self, versions, rows, y.shape, self.dtype)

    def backward(self, tape: BlockTape, dy: npt.ArrayLike) -> None:
        """Add ``dE[id] = sum dy`` over all places of the id to the gradient; ids have none.

        Parameters
        ----------
        tape : BlockTape
            From ``forward``; used up.
        dy : array (..., D)
            dL/dy.

        Raises
        ------
        RuntimeError
            If the tape was used before, comes from another layer, or the parameter changed since ``forward``.
        ValueError
            If dy has another shape than y.
        TypeError
            If dy has another dtype than y.
        """
        with self._adding:
            rows = self._use(tape, dy)
            assert tape.rows is not None
            _ops.embedding_backward(tape.rows, rows, self.weight.grad)

    def _read(self, x: npt.ArrayLike) -> Array:
        ids = checks.as_array("x", x)
        if ids.dtype.kind not in "iu" and ids.size:
            raise TypeError(f"x: integer ids are required, got dtype {ids.dtype}")
        V = self.num_embeddings
        if ids.size and not (ids.min() >= 0 and ids.max() < V):
            index = tuple(map(int, np.argwhere((ids < 0) | (ids >= V))[0]))
            raise ValueError(f"x: ids 0..V-1 (V = {V}) are required, got {ids[index]} at index {index}")
        return ids.astype(np.int64, copy=False)

    def __repr__(self) -> str:
        return f"Embedding({self.num_embeddings}, {self.embedding_dim}, dtype={self.dtype})"

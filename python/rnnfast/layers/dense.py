"""Layers without a recurrence: affine map, embedding and dropout, each a function of the rows of x by themselves."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks, init
from rnnfast.arrays import Array, DType
from rnnfast.checks import names_arguments
from rnnfast.layers.call import SingleUseTape
from rnnfast.params import Module, Parameter

Seed: TypeAlias = int | np.random.Generator | None


@dataclass(eq=False, slots=True)
class BlockTape(SingleUseTape):
    """What ``forward`` of a ``Linear``, ``Embedding`` or ``Dropout`` keeps for one ``backward``.

    It refers to the call's x, which must not be modified until then.

    Attributes
    ----------
    x : array (M, F), int64 array (M,) or None
        The x of a ``Linear``, the ids of an ``Embedding``, with all leading axes in one; None for a ``Dropout``.
    shape : tuple of int
        Shape of y.
    dtype : dtype
        Dtype of y.
    call : int
        Number of the call, which makes the masks of a ``Dropout``; 0 where nothing is dropped.
    numbers : int64 array (M,) or None
        The numbers of the rows, which these masks are a function of too; None for 0, 1, 2, ...
    """

    layer: object
    versions: tuple[int, ...]
    x: Array | None
    shape: tuple[int, ...]
    dtype: DType
    call: int = 0
    numbers: Array | None = None
    used: bool = False

    def read_gradient(self, dy: npt.ArrayLike) -> Array:
        """Return dL/dy (M, K), all leading axes in one; an error where its shape or dtype is not that of y."""
        given = checks.as_array("dy", dy)
        if given.dtype != self.dtype:
            raise TypeError(f"dy: dtype {self.dtype} is required, got {given.dtype}")
        if given.shape != self.shape:
            raise ValueError(f"dy: the shape of y = {self.shape} is required, got {given.shape}")
        return as_rows(given)


class Block(Module):
    """Base of the layers without a recurrence: a function of each row of x by itself."""

    @abstractmethod
    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return y of x (..., F), without dropout; nothing is kept."""

    @abstractmethod
    def forward(self, x: npt.ArrayLike, *, training: bool = True) -> tuple[Array, BlockTape]:
        """Return y of x (..., F), and what ``backward`` needs."""

    @abstractmethod
    def backward(self, tape: BlockTape, dy: npt.ArrayLike) -> Array | None:
        """Add dL/dp to the ``grad`` of every parameter; return dL/dx, or None where x are ids."""

    def _versions(self) -> tuple[int, ...]:
        return tuple([p.version for p in self.parameters().values()])

    def _use(self, tape: BlockTape, dy: npt.ArrayLike) -> Array:
        """Check the tape and return dL/dy (M, K); the tape is used from then on."""
        if not isinstance(tape, BlockTape):
            raise TypeError(f"tape: what forward returned is required, got {checks.shown(tape)}")
        tape.require(self, self._versions())
        rows = tape.read_gradient(dy)
        tape.used = True
        return rows


def as_rows(array: Array) -> Array:
    """Return an array (..., F) as (M, F)."""
    return array if array.ndim == 2 else array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _row_numbers(given: npt.ArrayLike, rows: int) -> Array:
    numbers = checks.as_array("numbers", given)
    if numbers.dtype.kind not in "iu" and numbers.size:
        raise TypeError(f"numbers: integers are required, got dtype {numbers.dtype}")
    if numbers.shape != (rows,) or (rows and numbers.min() < 0):
        least = f", of at least {numbers.min()}" if numbers.size else ""
        raise ValueError(f"numbers: M = {rows} of at least 0 are required, got shape {numbers.shape}{least}")
    return numbers.astype(np.int64, copy=False)


def generator_of(seed: Seed) -> np.random.Generator:
    """Return the generator of a seed, or ``seed`` where it is a generator."""
    return seed if isinstance(seed, np.random.Generator) else np.random.default_rng(checks.as_seed(seed))


class Linear(Block):
    """Affine map of the last axis, ``y = W x + b``.

    First weights and biases are drawn from U(-1/sqrt(F), 1/sqrt(F)), as in PyTorch.

    Parameters
    ----------
    input_size : int
        F, the numbers of an x.
    output_size : int
        K, the numbers of a y.
    bias : bool
        Whether b is there.
    dtype : {"float32", "float64"}
        Dtype of parameters, inputs and outputs.
    seed : int, numpy.random.Generator or None
        Seed of the first values and of everything random in training. None takes a new one every time; a generator is
        advanced.

    Attributes
    ----------
    weight : Parameter (K, F)
        W.
    bias : Parameter (K,) or None
        b.

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
    >>> layer = rf.Linear(3, 2, seed=0)
    >>> x = np.ones((5, 7, 3), np.float32)
    >>> y, tape = layer.forward(x)
    >>> dx = layer.backward(tape, np.ones_like(y))
    >>> y.shape, dx.shape, layer.bias.grad
    ((5, 7, 2), (5, 7, 3), array([35., 35.], dtype=float32))
    """

    @names_arguments
    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        bias: bool = True,
        dtype: npt.DTypeLike = "float32",
        seed: Seed = None,
    ) -> None:
        self.input_size = checks.as_size("input_size", input_size)
        self.output_size = checks.as_size("output_size", output_size)
        self.dtype = checks.as_dtype(dtype)
        has_bias, rng, bound = checks.as_flag("bias", bias), generator_of(seed), self.input_size**-0.5
        shape = self.output_size, self.input_size
        self.weight = Parameter(init.uniform(shape, bound, rng=rng, dtype=self.dtype))
        self.bias = Parameter(init.uniform(shape[:1], bound, rng=rng, dtype=self.dtype)) if has_bias else None

    def parameters(self) -> dict[str, Parameter]:
        """Return weight and, where there is one, bias."""
        return {"weight": self.weight} if self.bias is None else {"weight": self.weight, "bias": self.bias}

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return ``y = W x + b``; nothing is kept.

        Parameters
        ----------
        x : array (..., F)
            The inputs, of the layer's dtype, with any number of leading axes.

        Returns
        -------
        array (..., K)
            Each row is a function of the same row of x alone, to the bit.

        Raises
        ------
        ValueError
            If the last axis is not F.
        TypeError
            If the dtype is not the layer's.
        """
        given = self._read(x)
        return self._map(as_rows(given)).reshape(*given.shape[:-1], self.output_size)

    def forward(self, x: npt.ArrayLike, *, training: bool = True) -> tuple[Array, BlockTape]:
        """Return ``y = W x + b`` and the tape for ``backward``.

        Parameters
        ----------
        x : array (..., F)
            As for ``__call__``; not to be modified until ``backward``.
        training : bool
            Without effect here: nothing is random.

        Returns
        -------
        y : array (..., K)
            The bits of ``__call__``.
        tape : BlockTape
            To be passed to ``backward``, once.
        """
        checks.as_flag("training", training)
        given, versions = self._read(x), self._versions()
        rows = as_rows(given)
        y = self._map(rows).reshape(*given.shape[:-1], self.output_size)
        return y, BlockTape(self, versions, rows, y.shape, self.dtype)

    def backward(self, tape: BlockTape, dy: npt.ArrayLike) -> Array:
        """Add ``dW = dy^T x`` and ``db = sum dy`` to the gradients; return ``dx = dy W``.

        Parameters
        ----------
        tape : BlockTape
            From ``forward``; used up.
        dy : array (..., K)
            dL/dy.

        Returns
        -------
        array (..., F)
            dL/dx.

        Raises
        ------
        RuntimeError
            If the tape was used before, comes from another layer, or a parameter changed since ``forward``.
        ValueError
            If dy has another shape than y.
        TypeError
            If dy has another dtype than y.
        """
        with self._adding:
            rows = self._use(tape, dy)
            assert tape.x is not None
            db = None if self.bias is None else self.bias.grad
            dx = _ops.linear_backward(rows, tape.x, self.weight.value, self.weight.grad, db)
        assert dx is not None
        return dx.reshape(*tape.shape[:-1], self.input_size)

    def _read(self, x: npt.ArrayLike) -> Array:
        given = checks.as_array("x", x)
        if given.dtype != self.dtype:
            raise TypeError(f"x: dtype {self.dtype} is required, got {given.dtype}")
        if given.shape[-1:] != (self.input_size,):
            raise ValueError(f"x: shape (..., F) with F = {self.input_size} is required, got {given.shape}")
        return given

    def _map(self, rows: Array) -> Array:
        return _ops.linear(rows, self.weight.value, None if self.bias is None else self.bias.value)

    def __repr__(self) -> str:
        none = ", bias=False" if self.bias is None else ""
        return f"Linear({self.input_size}, {self.output_size}{none}, dtype={self.dtype})"


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
            assert tape.x is not None
            _ops.embedding_backward(tape.x, rows, self.weight.grad)

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


class Dropout(Block):
    """Dropout: in training each number is set to zero with probability p, the others are scaled by 1 / (1 - p).

    ``y = m x / (1 - p)``, where m is 0 with probability p, else 1. Outside training y = x. Which numbers are dropped is
    a function of the seed, the number of the training call, the row and the unit; threads and dtype change nothing.

    Parameters
    ----------
    p : float
        Probability of being dropped, within [0, 1).
    seed : int, numpy.random.Generator or None
        Seed of the first values and of everything random in training. None takes a new one every time; a generator is
        advanced.

    Raises
    ------
    ValueError
        If p is not within [0, 1).

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", Journal of Machine
    Learning Research 15 (2014).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer = rf.Dropout(0.5, seed=0)
    >>> x = np.ones((4, 50))
    >>> y, tape = layer.forward(x)
    >>> np.unique(y).tolist(), np.array_equal(layer.backward(tape, x), y), np.array_equal(layer(x), x)
    ([0.0, 2.0], True, True)
    """

    @names_arguments
    def __init__(self, p: float = 0.5, *, seed: Seed = None) -> None:
        self.p = checks.as_probability("p", p)
        self._seed, self._calls = int(generator_of(seed).integers(2**63)), 0

    def parameters(self) -> dict[str, Parameter]:
        """Return nothing: dropout learns nothing."""
        return {}

    def random_state(self) -> dict[str, Any]:
        """Return the number of calls so far, of which random masks are functions."""
        return {"calls": self._calls}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the number of calls."""
        self._calls = int(state["calls"])

    @property
    def is_random(self) -> bool:
        """Whether numbers are dropped in training."""
        return self.p > 0

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw the seed of all masks anew."""
        self._seed, self._calls = int(rng.integers(2**63)), 0

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return x itself.

        Parameters
        ----------
        x : array (..., F) of float32 or float64

        Returns
        -------
        array (..., F)

        Raises
        ------
        ValueError
            If x has no axis.
        TypeError
            If the dtype is another one.
        """
        return self._read(x)

    def forward(
        self, x: npt.ArrayLike, *, training: bool = True, numbers: npt.ArrayLike | None = None
    ) -> tuple[Array, BlockTape]:
        """Return y and the tape for ``backward``.

        Parameters
        ----------
        x : array (..., F) of float32 or float64
        training : bool
            Whether numbers are dropped; else y is x itself.
        numbers : integers (M,) or None
            The number of each row of x, leading axes in one, in a larger x of which these are some rows; the mask is
            that of the larger x. None: 0, 1, 2, ...

        Returns
        -------
        y : array (..., F)
        tape : BlockTape
            To be passed to ``backward``, once.
        """
        drops = checks.as_flag("training", training) and self.p > 0
        y, call, chosen = self._read(x), 0, None
        if drops:
            self._calls += 1
            call = self._calls
            rows = as_rows(y)
            chosen = None if numbers is None else _row_numbers(numbers, len(rows))
            y = self._drop(rows, call, chosen).reshape(y.shape)
        return y, BlockTape(self, (), None, y.shape, y.dtype, call, chosen)

    def backward(self, tape: BlockTape, dy: npt.ArrayLike) -> Array:
        """Return ``dx = m dy / (1 - p)``, or dy where ``forward`` dropped nothing.

        Parameters
        ----------
        tape : BlockTape
            From ``forward``; used up.
        dy : array (..., F)
            dL/dy.

        Returns
        -------
        array (..., F)
            dL/dx.

        Raises
        ------
        RuntimeError
            If the tape was used before or comes from another layer.
        ValueError
            If dy has another shape than y.
        TypeError
            If dy has another dtype than y.
        """
        with self._adding:
            rows = self._use(tape, dy)
        return (self._drop(rows, tape.call, tape.numbers) if tape.call else rows).reshape(tape.shape)

    def _drop(self, rows: Array, call: int, numbers: Array | None) -> Array:
        if numbers is None:
            return _ops.dropout(rows, self.p, self._seed, call)
        whole = np.ones((int(numbers.max(initial=-1)) + 1, rows.shape[1]), rows.dtype)
        scales: Array = _ops.dropout(whole, self.p, self._seed, call)[numbers]
        return rows * scales

    def _read(self, x: npt.ArrayLike) -> Array:
        given = checks.as_array("x", x)
        if given.dtype not in (np.float32, np.float64):
            raise TypeError(f"x: float32 or float64 is required, got dtype {given.dtype}")
        if given.ndim == 0:
            raise ValueError("x: one axis or more, (..., F), is required, got none")
        return given

    def __repr__(self) -> str:
        return f"Dropout({self.p})"

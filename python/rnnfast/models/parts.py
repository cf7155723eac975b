"""The pieces around a recurrent layer: what makes its input, what reads its output."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks, init
from rnnfast.data import Sequences, as_id_sequences, as_real_sequences
from rnnfast.params import Module, Parameter

Array = npt.NDArray[Any]
DType = np.dtype[Any]


class Affine(Module):
    """``y = W x + b`` of rows x (M, F), y (M, K).

    Parameters ``weight (K, F)``, ``bias (K,)``, both from U(-1/sqrt(F), 1/sqrt(F)) as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> part = Affine(3, 2, np.dtype("float64"), np.random.default_rng(0))
    >>> part.forward(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(self, features: int, size: int, dtype: DType, rng: np.random.Generator) -> None:
        bound = features**-0.5
        self.weight = Parameter(init.uniform((size, features), bound, rng=rng, dtype=dtype))
        self.bias = Parameter(init.uniform((size,), bound, rng=rng, dtype=dtype))

    def parameters(self) -> dict[str, Parameter]:
        """Return weight and bias."""
        return {"weight": self.weight, "bias": self.bias}

    def forward(self, x: Array) -> Array:
        """Return y (M, K)."""
        return _ops.linear(x, self.weight.value, self.bias.value)

    def backward(self, dy: Array, x: Array) -> Array:
        """Add this call's gradients to those of weight and bias; return dx (M, F)."""
        with self._adding:
            dx = _ops.linear_backward(dy, x, self.weight.value, self.weight.grad, self.bias.grad)
        assert dx is not None
        return dx


class Head(Affine):
    """An affine map of a layer's outputs at chosen rows, under dropout in training (Srivastava et al. 2014).

    Which elements are dropped is a function of the seed, the number of the call, the row and the unit.

    Parameters
    ----------
    features, size, dtype, rng
        As of ``Affine``.
    dropout : float
        Probability of an element of h being dropped, the others being scaled by 1 / (1 - p).
    """

    def __init__(
        self, features: int, size: int, dtype: DType, rng: np.random.Generator, *, dropout: float = 0.0
    ) -> None:
        super().__init__(features, size, dtype, rng)
        self.dropout = dropout
        self._dropout_seed, self._calls = int(rng.spawn(1)[0].integers(2**63)), 0

    def read(self, y: Array, rows: Array | None, *, training: bool) -> tuple[Array, tuple[Array, int]]:
        """Return outputs (R, K) of y (..., F) at ``rows`` (R,) of y (M, F), None for all; and what ``pull`` needs."""
        h = y.reshape(-1, y.shape[-1])
        h = h if rows is None else h[rows]
        call = 0
        if training and self.dropout:
            self._calls += 1
            call = self._calls
            h = _ops.dropout(h, self.dropout, self._dropout_seed, call)
        return self.forward(h), (h, call)

    def pull(self, doutputs: Array, tape: tuple[Array, int], rows: Array | None, shape: tuple[int, ...]) -> Array:
        """Add the gradients of weight and bias; return that of y, of the given shape (..., F)."""
        h, call = tape
        dh = self.backward(doutputs, h)
        if call:
            dh = _ops.dropout(dh, self.dropout, self._dropout_seed, call)
        if rows is None:
            return dh.reshape(shape)
        dy = np.zeros(shape, dh.dtype)
        dy.reshape(-1, shape[-1])[rows] = dh
        return dy


class InputPart(Protocol):
    """Makes the layer's input (N, T, size) of what the user gives.

    Where that is ids, ``table`` holds the input of every one, (V, size), or is V where these are unit vectors.
    ``backward`` gets its dy only where there are parameters. ``named`` is what users call the number of features or
    ids.
    """

    size: int
    named: str

    @property
    def table(self) -> Array | int | None: ...  # noqa: D102

    def parameters(self) -> dict[str, Parameter]: ...  # noqa: D102

    def sequences(self, x: Any, lengths: npt.ArrayLike | None, name: str) -> Sequences: ...  # noqa: D102

    def forward(self, x: Array) -> Array: ...  # noqa: D102

    def backward(self, x: Array, dy: Array) -> None: ...  # noqa: D102


class Vectors(Module):
    """Real vectors (N, T, C), passed on as they are."""

    def __init__(self, size: int, dtype: DType, named: str) -> None:
        self.size = size
        self.dtype = dtype
        self.named = named
        self.table = None

    def parameters(self) -> dict[str, Parameter]:
        """Return nothing."""
        return {}

    def sequences(self, x: Any, lengths: npt.ArrayLike | None, name: str) -> Sequences:
        """Convert the user's sequences to the model's dtype."""
        return as_real_sequences(x, self.size, self.dtype, lengths=lengths, name=name, size=self.named)

    def forward(self, x: Array) -> Array:
        """Return x."""
        return x

    def backward(self, x: Array, dy: Array) -> None:
        """Do nothing: no parameter stands before the layer."""


class Embedding(Module):
    """A learned vector for each id: ids (N, T) to (N, T, D).

    Parameter ``weight (V, D)``, from N(0, 1) as in PyTorch.
    """

    def __init__(self, vocabulary: int, size: int, dtype: DType, rng: np.random.Generator, named: str) -> None:
        self.size = size
        self.named = named
        self.weight = Parameter(init.normal((vocabulary, size), rng=rng, dtype=dtype))

    @property
    def table(self) -> Array:
        """The vectors of all ids (V, D)."""
        return self.weight.value

    def parameters(self) -> dict[str, Parameter]:
        """Return weight."""
        return {"weight": self.weight}

    def sequences(self, x: Any, lengths: npt.ArrayLike | None, name: str) -> Sequences:
        """Check the user's ids."""
        return as_id_sequences(x, self.weight.shape[0], lengths=lengths, name=name, size=self.named)

    def forward(self, x: Array) -> Array:
        """Return the vectors of ids x."""
        return _ops.embedding(x.reshape(-1), self.weight.value).reshape(*x.shape, self.size)

    def backward(self, x: Array, dy: Array) -> None:
        """Add this call's gradient to that of weight."""
        with self._adding:
            _ops.embedding_backward(x.reshape(-1), dy.reshape(-1, self.size), self.weight.grad)


class OneHot(Module):
    """Ids (N, T) as unit vectors (N, T, V): an embedding that is not learned."""

    def __init__(self, vocabulary: int, dtype: DType, named: str) -> None:
        self.size = vocabulary
        self.dtype = dtype
        self.named = named

    @property
    def table(self) -> int:
        """The number of ids."""
        return self.size

    def parameters(self) -> dict[str, Parameter]:
        """Return nothing."""
        return {}

    def sequences(self, x: Any, lengths: npt.ArrayLike | None, name: str) -> Sequences:
        """Check the user's ids."""
        return as_id_sequences(x, self.size, lengths=lengths, name=name, size=self.named)

    def forward(self, x: Array) -> Array:
        """Return the unit vectors of ids x."""
        return unit_vectors(x, self.size, self.dtype)

    def backward(self, x: Array, dy: Array) -> None:
        """Do nothing: the vectors are fixed."""


def unit_vectors(ids: Array, size: int, dtype: DType) -> Array:
    """Return the unit vectors (..., V) of ids (...).

    Examples
    --------
    >>> unit_vectors(np.array([2, 0]), 3, np.dtype("float32"))
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    vectors = np.zeros((*ids.shape, size), dtype)
    np.put_along_axis(vectors, ids[..., None], 1, axis=-1)
    return vectors


def as_pieces(tbptt: Any, burn_in: Any, *, bidirectional: bool) -> tuple[int | None, int]:
    """Return the steps of a piece, None for whole sequences, and those at the start without a loss, checked."""
    steps = None if tbptt is None else checks.as_size("tbptt", tbptt)
    if steps is not None and bidirectional:
        raise ValueError(
            f"tbptt: None is required for a bidirectional model, which reads from the end too; got {tbptt}"
        )
    return steps, checks.as_integer("burn_in", burn_in, least=0)


def as_weights(weights: npt.ArrayLike | None, count: int, dtype: DType) -> Array | None:
    """Return sample weights (N,) in the model's dtype after checking them."""
    if weights is None:
        return None
    values = checks.as_reals("sample_weight", weights, dtype)
    if values.shape != (count,):
        raise ValueError(f"sample_weight: shape (N,) = ({count},) is required, got {values.shape}")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        place = f"{values[wrong[0]]} at index {wrong[0]}"
        raise ValueError(f"sample_weight: finite numbers >= 0 are required, got {place}")
    return values

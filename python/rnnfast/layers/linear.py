"""An affine map of the last axis."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from rnnfast import _ops, checks, init
from rnnfast.checks import names_arguments
from rnnfast.layers.block import Block, BlockTape, Seed, as_rows, generator_of
from rnnfast.params import Parameter

Array = npt.NDArray[Any]


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
            assert tape.rows is not None
            db = None if self.bias is None else self.bias.grad
            dx = _ops.linear_backward(rows, tape.rows, self.weight.value, self.weight.grad, db)
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

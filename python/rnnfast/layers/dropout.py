"""Dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.checks import names_arguments
from rnnfast.layers.block import Block, BlockTape, Seed, as_rows, generator_of
from rnnfast.params import Parameter

Array = npt.NDArray[Any]


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

    def forward(self, x: npt.ArrayLike, *, training: bool = True) -> tuple[Array, BlockTape]:
        """Return y and the tape for ``backward``.

        Parameters
        ----------
        x : array (..., F) of float32 or float64
        training : bool
            Whether numbers are dropped; else y is x itself.

        Returns
        -------
        y : array (..., F)
        tape : BlockTape
            To be passed to ``backward``, once.
        """
        drops = checks.as_flag("training", training) and self.p > 0
        y, call = self._read(x), 0
        if drops:
            self._calls += 1
            call = self._calls
            y = self._drop(as_rows(y), call).reshape(y.shape)
        return y, BlockTape(self, (), None, y.shape, y.dtype, call)

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
        return (self._drop(rows, tape.call) if tape.call else rows).reshape(tape.shape)

    def _drop(self, rows: Array, call: int) -> Array:
        return _ops.dropout(rows, self.p, self._seed, call)

    def _read(self, x: npt.ArrayLike) -> Array:
        given = checks.as_array("x", x)
        if given.dtype not in (np.float32, np.float64):
            raise TypeError(f"x: float32 or float64 is required, got dtype {given.dtype}")
        if given.ndim == 0:
            raise ValueError("x: one axis or more, (..., F), is required, got none")
        return given

    def __repr__(self) -> str:
        return f"Dropout({self.p})"

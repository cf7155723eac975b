"""Problems whose answer depends on elements far back in a sequence."""

from __future__ import annotations

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Float64, Int64
from rnnfast.checks import names_arguments
from rnnfast.data.synthetic.chance import generator


@names_arguments
def adding(count: int, length: int, *, seed: int | np.random.Generator | None = None) -> tuple[Float64, Float64]:
    """Return the adding problem: the sum of the two numbers that are marked.

    ``y = sum_t value(t) marker(t)``. Values are uniform in [0, 1); one step of the first half and one of the second
    half are marked. The mean error of the constant 1 is 1/6, a squared one.

    Parameters
    ----------
    count : int
        Sequences N.
    length : int
        Steps T, at least 2.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    x : float64 (N, T, 2)
        Value and marker of each step.
    y : float64 (N, 1)

    Notes
    -----
    Hochreiter and Schmidhuber 1997, in the form of Le, Jaitly and Hinton 2015.

    Examples
    --------
    >>> x, y = adding(3, 10, seed=0)
    >>> x.shape, x[..., 1].sum(axis=1).tolist(), y.shape
    ((3, 10, 2), [2.0, 2.0, 2.0], (3, 1))
    """
    N, T, rng = checks.as_size("count", count), checks.as_integer("length", length, least=2), generator(seed)
    x = np.zeros((N, T, 2))
    x[..., 0] = rng.random((N, T))
    marked = np.stack([rng.integers(0, T // 2, N), rng.integers(T // 2, T, N)], axis=1)
    np.put_along_axis(x[..., 1], marked, 1.0, axis=1)
    return x, (x[..., 0] * x[..., 1]).sum(axis=1, keepdims=True)


@names_arguments
def copy_memory(
    count: int, delay: int, *, symbols: int = 8, copied: int = 10, seed: int | np.random.Generator | None = None
) -> tuple[Int64, Int64]:
    """Return the copy problem: write symbols again after a long pause.

    A sequence is ``copied`` symbols, ``delay - 1`` blanks, a mark, and ``copied`` blanks, during which the symbols are
    to be written in their order; the target is a blank everywhere else. Whoever remembers nothing has the loss
    ``copied log(symbols) / T``.

    Parameters
    ----------
    count : int
        Sequences N.
    delay : int
        Steps from the last symbol to the mark.
    symbols : int
        Symbols K, the ids 1..K. 0 is the blank and K + 1 the mark.
    copied : int
        Symbols to remember.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    x : int64 (N, T), T = delay + 2 copied
        Ids 0..K + 1.
    y : int64 (N, T)
        Ids 0..K, at every step.

    Notes
    -----
    Hochreiter and Schmidhuber 1997, in the form of Arjovsky, Shah and Bengio 2016.

    Examples
    --------
    >>> x, y = copy_memory(1, 3, copied=2, seed=0)
    >>> x[0].tolist(), y[0].tolist()
    ([7, 6, 0, 0, 9, 0, 0], [0, 0, 0, 0, 0, 7, 6])
    """
    N, pause, K = checks.as_size("count", count), checks.as_size("delay", delay), checks.as_size("symbols", symbols)
    S, rng = checks.as_size("copied", copied), generator(seed)
    x, y = np.zeros((2, N, pause + 2 * S), np.int64)
    x[:, :S] = y[:, -S:] = rng.integers(1, K + 1, (N, S))
    x[:, S + pause - 1] = K + 1
    return x, y


@names_arguments
def parity(count: int, length: int, *, seed: int | np.random.Generator | None = None) -> tuple[Int64, Int64]:
    """Return the parity problem: whether the number of ones so far is odd.

    ``y(t) = x(1) xor ... xor x(t)``. One wrong step makes all later answers wrong; ``y[:, -1]`` alone are the targets
    of a ``ManyToOne``.

    Parameters
    ----------
    count : int
        Sequences N.
    length : int
        Steps T.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    x : int64 (N, T)
        0 and 1; ids, or with ``x[..., None]`` numbers.
    y : int64 (N, T)
        The class of each step, 1 where the number is odd.

    Notes
    -----
    Minsky and Papert 1969; for recurrent networks Bengio, Simard and Frasconi 1994 and Graves 2016.

    Examples
    --------
    >>> x, y = parity(1, 6, seed=0)
    >>> x[0].tolist(), y[0].tolist()
    ([1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 1, 1])
    """
    shape = checks.as_size("count", count), checks.as_size("length", length)
    x = generator(seed).integers(0, 2, shape)
    return x, np.bitwise_xor.accumulate(x, axis=1)


@names_arguments
def cumulative_sum(
    count: int, length: int, *, seed: int | np.random.Generator | None = None
) -> tuple[Float64, Float64]:
    """Return the running sum of numbers: ``y(t) = x(1) + ... + x(t)``, x uniform in [-1, 1).

    Parameters
    ----------
    count : int
        Sequences N.
    length : int
        Steps T.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    x, y : float64 (N, T, 1)

    Notes
    -----
    A linear network of one unit solves it: ``h(t) = x(t) + h(t-1)`` (Elman 1990 for networks of this kind).

    Examples
    --------
    >>> x, y = cumulative_sum(2, 5, seed=0)
    >>> bool(abs(y[:, -1] - x.sum(axis=1)).max() < 1e-12)
    True
    """
    shape = checks.as_size("count", count), checks.as_size("length", length), 1
    x = generator(seed).uniform(-1, 1, shape)
    return x, np.cumsum(x, axis=1)


@names_arguments
def temporal_order(count: int, length: int, *, seed: int | np.random.Generator | None = None) -> tuple[Int64, Int64]:
    """Return the temporal order problem: in which order X and Y came.

    A sequence has two symbols that matter, each X or Y: one at a step from T/10 to T/5, the other one from T/2 to 3T/5.
    The rest are distractors a, b, c and d, between a symbol for the start and one for the end. The class is the pair:
    XX, XY, YX or YY.

    Parameters
    ----------
    count : int
        Sequences N.
    length : int
        Steps T, at least 10.
    seed : int, Generator or None
        Source of the random numbers.

    Returns
    -------
    x : int64 (N, T)
        Ids: 0..3 are a..d, 4 is X, 5 is Y, 6 starts and 7 ends.
    y : int64 (N,)
        Class ids 0..3.

    Notes
    -----
    Hochreiter and Schmidhuber 1997, experiment 6a, with all lengths equal.

    Examples
    --------
    >>> x, y = temporal_order(2, 10, seed=1)
    >>> x.tolist(), y.tolist()
    ([[6, 5, 3, 3, 0, 5, 3, 3, 0, 7], [6, 5, 1, 3, 1, 5, 2, 2, 0, 7]], [3, 3])
    """
    N, T, rng = checks.as_size("count", count), checks.as_integer("length", length, least=10), generator(seed)
    x = rng.integers(0, 4, (N, T))
    places = np.stack([rng.integers(T // 10, T // 5, N), rng.integers(T // 2, T * 3 // 5, N)], axis=1)
    pairs = rng.integers(0, 2, (N, 2))
    np.put_along_axis(x, places, 4 + pairs, axis=1)
    x[:, 0], x[:, -1] = 6, 7
    return x, pairs @ np.array([2, 1])

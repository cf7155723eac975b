"""Which sequences stand together in a batch."""

from __future__ import annotations

import numpy as np

from rnnfast import checks
from rnnfast.data.sequences import Int64

WINDOW = 32  # batches whose sequences are sorted by length together: little padding, yet random batches


def batch_indices(lengths: Int64, batch_size: int, rng: np.random.Generator | None = None) -> list[Int64]:
    """Deal N sequences into batches of at most ``batch_size``.

    Without ``rng``, or in a single batch, the order is kept. Else the sequences are shuffled; when their lengths
    differ, those within a window of ``32 * batch_size`` are sorted by length before they are cut into batches,
    and the batches are shuffled, so that a batch holds little padding.

    Parameters
    ----------
    lengths : int64 (N,)
    batch_size : int
    rng : numpy Generator or None

    Returns
    -------
    list of int64 arrays
        Every number 0..N-1 once.

    Examples
    --------
    >>> import numpy as np

    from rnnfast import checks
    >>> [b.tolist() for b in batch_indices(np.array([5, 5, 5]), 2)]
    [[0, 1], [2]]
    """
    checks.as_size("batch_size", batch_size)
    if not isinstance(rng, np.random.Generator | None):
        raise TypeError(f"rng: a numpy Generator or None is required, got {checks.shown(rng)}")
    lengths = checks.as_array("lengths", lengths)
    if lengths.ndim != 1:
        raise ValueError(f"lengths: integers (N,) are required, got shape {lengths.shape}")
    count = len(lengths)
    if rng is None or count <= batch_size:
        return _chunks(np.arange(count, dtype=np.int64), batch_size)
    order = rng.permutation(count)
    if count == 0 or lengths.min() == lengths.max():
        return _chunks(order, batch_size)
    batches = []
    for window in _chunks(order, WINDOW * batch_size):
        batches += _chunks(window[np.argsort(lengths[window], kind="stable")], batch_size)
    return [batches[i] for i in rng.permutation(len(batches))]


def _chunks(index: Int64, size: int) -> list[Int64]:
    return [index[i : i + size] for i in range(0, len(index), size)]

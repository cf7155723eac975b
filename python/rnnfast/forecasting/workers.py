"""The networks of a forecaster, each trained by a worker: of a cluster of Dask, or of an executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from rnnfast import checkpoint, checks
from rnnfast.arrays import Array
from rnnfast.forecasting.fitted import Fitted, begun
from rnnfast.forecasting.saving import panel_read, panel_saved
from rnnfast.forecasting.series import Panel
from rnnfast.limits import limited
from rnnfast.train import Callback, History, as_callbacks


def fit(options: dict[str, Any], panel: Panel, callbacks: Callback | Sequence[Callback], client: Any) -> Fitted:
    """Fit scales, and let the workers of a client train the networks: the bits of ``fitted.fit``.

    Arrays and options travel to the workers, and the bytes of a file come back from each training.

    Raises
    ------
    TypeError
        Something else than a client.
    ValueError
        Callbacks, which would be called elsewhere.
    RuntimeError
        A training failed. The error names its network.
    """
    require_client(client)
    if as_callbacks(callbacks):
        raise ValueError(f"callbacks: none are required with a client, got {checks.shown(callbacks)}")
    found, _ = begun(options, panel)
    if options["seed"] is None:
        options = {**options, "seed": int(np.random.default_rng().integers(2**63))}
    files = results(client, partial(trained, options, *panel_saved(panel)), range(len(found.networks)))
    for n, network in enumerate(found.networks):
        try:
            state, history = checkpoint.from_bytes(f"networks[{n}]", next(files))
        except Exception as error:
            got = f"{error!r:.2000}"
            raise RuntimeError(f"networks[{n}]: a training without an error is required, got {got}") from error
        network.load_state_dict(state)
        found.histories.append(History(**history))
    return found


def trained(options: dict[str, Any], tensors: dict[str, Array], described: dict[str, Any], n: int) -> bytes:
    """Return the bytes of a file with the network number n and its history, trained with one thread."""
    with limited(1):
        found, learning = begun(options, panel_read(tensors, described), [n])
        (network,) = found.networks
        history = learning.train(network, n, [], progress=False)
    return checkpoint.to_bytes(network.state_dict(), asdict(history))


def require_client(client: Any) -> None:
    """Raise TypeError unless an object has ``map`` and ``gather``, or is an executor."""
    if not isinstance(client, Executor) and not all(hasattr(client, name) for name in ("map", "gather")):
        raise TypeError(f"client: a Client of Dask, an Executor or None is required, got {checks.shown(client)}")


def results(client: Any, function: Callable[[int], bytes], items: Sequence[int]) -> Iterator[bytes]:
    """Yield what a function returns for each item, in their order, while the workers compute all of them."""
    if isinstance(client, Executor):
        yield from client.map(function, items)
        return
    for future in client.map(function, items):
        yield client.gather([future])[0]

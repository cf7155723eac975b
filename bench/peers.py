"""The protocol that every library implements, and the registry of those that do."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

from bench.problem import Problem, Results


class Peer(Protocol):
    """One library in its own process. Constructed with the number of threads; only ``run`` is timed."""

    def load(self, problem: Problem) -> dict[str, Any]:
        """Take the weights, bring the arrays into the layout the library likes best; return notes for the report."""

    def run(self) -> None:
        """One operation: forward, or forward and backward with clean gradients, as ``problem.case.mode`` says."""

    def results(self) -> Results:
        """What the last run computed, in the conventions of ``Problem``; an empty dict is not compared.

        ``y (B, T, H)``, ``h``, for LSTM ``c (L, B, H)``; to train also ``dx``, ``dh``, ``dc`` and the gradient of each
        parameter by its name.
        """


BASELINE = "rnnfast"
YARDSTICK = "blas"
PEERS: dict[str, str] = {
    BASELINE: "bench.peer_rnnfast:RnnfastPeer",
    YARDSTICK: "bench.blas:BlasPeer",
    "numpy": "bench.twin:NumpyPeer",
    "numpy-plain": "bench.twin:PlainNumpyPeer",
}
"""Name to ``module:class``; a module is imported in the peer's own process only."""

RIVALS: tuple[str, ...] = tuple(name for name in PEERS if name not in (BASELINE, YARDSTICK))
"""What rnnfast can be compared with."""


def create(name: str, *, threads: int) -> Peer:
    """Import and construct a registered peer."""
    module, _, attribute = PEERS[name].partition(":")
    return cast(Peer, getattr(import_module(module), attribute)(threads))

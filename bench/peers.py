"""The protocol that every library implements, and the registry of those that do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np

from bench.problem import Problem, Results
from bench.shapes import Case


class Peer(Protocol):
    """One library in its own process. Constructed with the number of threads; only ``run`` is timed."""

    @property
    def run(self) -> Callable[[], Any]:
        """One operation: forward, forward and backward with clean gradients, or a step, as the mode says."""

    def load(self, problem: Problem) -> dict[str, Any]:
        """Take the weights, bring the arrays into the layout the library likes best; return notes for the report."""

    def results(self) -> Results:
        """What the last run computed, in the conventions of ``Problem``; an empty dict is not compared.

        ``y (B, T, H)``, ``h``, for LSTM ``c (L, B, H)``; to train also ``dx``, ``dh``, ``dc`` and the gradient of each
        parameter by its name. To stream: the results of all steps of ``problem.x`` from the given state.
        """


class StreamPeer(Protocol):
    """What a peer that streams has, so that ``stream_results`` can compare it."""

    def start(self) -> None:
        """Return to the state that the problem gives."""

    def step(self, t: int) -> Any:
        """One step on ``x[:, t]``; ``y (B, H)`` in some shape that holds as many numbers."""

    def states(self) -> Results:
        """``h`` and for LSTM ``c``."""


def stream_results(peer: StreamPeer, problem: Problem) -> Results:
    """Run all steps of a problem one by one; ``y (B, T, H)`` and the final state."""
    row = problem.case.row
    peer.start()
    outputs = [np.array(peer.step(t), np.float32).reshape(row.B, row.H) for t in range(problem.x.shape[1])]
    return {"y": np.stack(outputs, 1)} | peer.states()


@dataclass(frozen=True)
class Entry:
    """Where a peer is (``module:class``, imported in its own process only) and which cases it can run.

    ``plain``: of one direction and equal lengths only.
    """

    location: str
    cells: tuple[str, ...] = ("rnn", "lstm", "gru", "gru_before")
    modes: tuple[str, ...] = ("infer", "train")
    yardstick: bool = False
    plain: bool = True

    def can(self, case: Case) -> bool:
        """Whether the peer has this cell and mode, and both directions and raggedness where they are asked for."""
        plain = case.row.D == 1 and case.row.shortest is None
        return case.cell in self.cells and case.mode in self.modes and (plain or not self.plain)


STANDARD = ("rnn", "lstm", "gru")
EVERYTHING = ("infer", "train", "stream")
BASELINE = "rnnfast"
PEERS: dict[str, Entry] = {
    BASELINE: Entry("bench.peer_rnnfast:RnnfastPeer", modes=EVERYTHING, plain=False),
    "rnnfast-again": Entry("bench.peer_rnnfast:RnnfastPeer", modes=EVERYTHING, plain=False, yardstick=True),
    "torch": Entry("bench.peer_torch:TorchPeer", cells=STANDARD, modes=EVERYTHING, plain=False),
    "onnxruntime": Entry("bench.peer_onnxruntime:OnnxRuntimePeer", modes=("infer", "stream"), plain=False),
    "openvino": Entry("bench.peer_openvino:OpenvinoPeer", modes=("infer", "stream"), plain=False),
    "jax": Entry("bench.peer_jax:JaxPeer", modes=EVERYTHING, plain=False),
    "numpy": Entry("bench.peer_numpy:NumpyPeer"),
    "numpy-plain": Entry("bench.peer_numpy:PlainNumpyPeer"),
    "blas": Entry("bench.blas:BlasPeer", yardstick=True),
}
"""Every library by name. A yard-stick is never the best peer: it is rnnfast itself, or less than the whole work."""

RIVALS: tuple[str, ...] = tuple(name for name in PEERS if name != BASELINE)
"""What rnnfast can be compared with."""


def create(name: str, *, threads: int) -> Peer:
    """Import and construct a registered peer."""
    module, _, attribute = PEERS[name].location.partition(":")
    return cast(Peer, getattr(import_module(module), attribute)(threads))

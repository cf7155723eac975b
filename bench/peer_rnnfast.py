"""rnnfast behind the protocol of ``bench.peers``."""

from __future__ import annotations

from typing import Any

import rnnfast as rf
from bench.problem import Problem, Results
from bench.shapes import CELLS


class RnnfastPeer:
    """A layer called as users call it: batch-first arrays, public API, packed weights cached between calls."""

    def __init__(self, threads: int) -> None:
        rf.set_num_threads(threads)

    def load(self, problem: Problem) -> dict[str, Any]:
        """Build the layer and load its weights."""
        self.problem, row, cell = problem, problem.case.row, CELLS[problem.case.cell]
        options: dict[str, Any] = {} if cell.reset_after is None else {"reset_after": cell.reset_after}
        self.layer = getattr(rf, cell.layer)(row.I, row.H, num_layers=row.L, **options)
        self.layer.load_state_dict(problem.weights)
        self.lstm = problem.case.cell == "lstm"
        self.state = problem.h0 if problem.c0 is None else (problem.h0, problem.c0)
        self.dstate = (problem.dh, None) if self.lstm and problem.dh is not None else problem.dh
        self.training = problem.case.mode == "train"
        self.dx: Any = None
        self.dstart: Any = None
        return {"isa": rf.cpu.isa()}

    def run(self) -> None:
        """One timed operation."""
        if not self.training:
            self.y, self.last = self.layer(self.problem.x, self.state)
            return
        self.y, self.last, tape = self.layer.forward(self.problem.x, self.state, training=True)
        self.layer.zero_grad()
        self.dx, self.dstart = self.layer.backward(tape, self.problem.dy, self.dstate)

    def results(self) -> Results:
        """What the last run computed."""
        results: Results = {"y": self.y} | self._named(self.last, "h", "c")
        if self.training:
            results |= {"dx": self.dx} | self._named(self.dstart, "dh", "dc")
            results |= {name: parameter.grad for name, parameter in self.layer.parameters().items()}
        return results

    def _named(self, state: Any, *names: str) -> Results:
        return dict(zip(names, state if self.lstm else (state,), strict=False))

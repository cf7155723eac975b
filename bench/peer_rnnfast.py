"""rnnfast behind the protocol of ``bench.peers``."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import rnnfast as rf
from bench.limits import Constants, measure_constants, speed
from bench.peers import stream_results
from bench.problem import Problem, Results
from bench.shapes import CELLS


class RnnfastPeer:
    """A layer called as users call it: batch-first arrays, public API, packed weights cached between calls."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        rf.set_num_threads(threads)

    def load(self, problem: Problem) -> dict[str, Any]:
        """Build the layer and load its weights."""
        self.problem, row, cell = problem, problem.case.row, CELLS[problem.case.cell]
        options: dict[str, Any] = {} if cell.reset_after is None else {"reset_after": cell.reset_after}
        self.layer = getattr(rf, cell.layer)(row.I, row.H, num_layers=row.L, bidirectional=row.D == 2, **options)
        self.layer.load_state_dict(problem.weights)
        self.lstm = problem.case.cell == "lstm"
        self.state = problem.h0 if problem.c0 is None else (problem.h0, problem.c0)
        self.dstate = (problem.dh, None) if self.lstm and problem.dh is not None else problem.dh
        self.run = {"infer": self.infer, "train": self.train, "stream": None}[problem.case.mode]
        if problem.case.mode == "stream":
            self.start()
            self.run = partial(self.stream.step, self.steps[0], out=self.out)
        return {"isa": rf.cpu.isa()}

    def constants(self) -> Constants:
        """What the machine can do at most, on the threads that ``run`` uses."""
        return measure_constants(self.threads)

    def speed(self) -> float:
        """Multiply-adds a second on all threads."""
        return speed(self.threads)

    def infer(self) -> None:
        """Forward."""
        self.y, self.last = self.layer(self.problem.x, self.state, lengths=self.problem.lengths)

    def train(self) -> None:
        """Forward and backward."""
        problem = self.problem
        self.y, self.last, tape = self.layer.forward(problem.x, self.state, lengths=problem.lengths, training=True)
        self.layer.zero_grad()
        self.dx, self.dstart = self.layer.backward(tape, problem.dy, self.dstate)

    def start(self) -> None:
        """Open a stream at the given state."""
        x, row = self.problem.x, self.problem.case.row
        self.stream = self.layer.stream(batch_size=row.B, state=self.state)
        single = row.B == 1
        self.steps = [x[0, t] if single else np.ascontiguousarray(x[:, t]) for t in range(x.shape[1])]
        self.out = np.empty(row.H if single else (row.B, row.H), np.float32)

    def step(self, t: int) -> Any:
        """One step on ``x[:, t]``."""
        return self.stream.step(self.steps[t], out=self.out)

    def states(self) -> Results:
        """The state that the next step starts from."""
        return self._named(self.stream.state, "h", "c")

    def results(self) -> Results:
        """What the last run computed."""
        if self.problem.case.mode == "stream":
            return stream_results(self, self.problem)
        results: Results = {"y": self.y} | self._named(self.last, "h", "c")
        if self.problem.case.mode == "train":
            results |= {"dx": self.dx} | self._named(self.dstart, "dh", "dc")
            results |= {name: parameter.grad for name, parameter in self.layer.parameters().items()}
        return results

    def _named(self, state: Any, *names: str) -> Results:
        return dict(zip(names, state if self.lstm else (state,), strict=False))

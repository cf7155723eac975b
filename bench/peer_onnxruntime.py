"""ONNX Runtime behind the protocol of ``bench.peers``."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnxruntime

from bench.onnx_graph import make_model, state_feeds, state_results
from bench.peers import stream_results
from bench.problem import Problem, Results


class OnnxRuntimePeer:
    """An inference session on the CPU, inputs and outputs as NumPy arrays."""

    def __init__(self, threads: int) -> None:
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 3

    def load(self, problem: Problem) -> dict[str, Any]:
        """Build the session."""
        self.problem = problem
        self.session = onnxruntime.InferenceSession(
            make_model(problem), self.options, providers=["CPUExecutionProvider"]
        )
        self.names = [output.name for output in self.session.get_outputs()]
        self.x = np.ascontiguousarray(problem.x.transpose(1, 0, 2))
        self.start()
        self.run = self.infer
        if problem.case.mode == "stream":
            self.feeds["x"] = self.x[:1]
            self.run = partial(self.session.run, None, self.feeds)
        return {"layout": "time-major"}

    def start(self) -> None:
        """Feed the given state."""
        self.feeds = {"x": self.x} | state_feeds(self.problem)

    def infer(self) -> None:
        """Forward."""
        self.outputs = self.session.run(None, self.feeds)

    def step(self, t: int) -> Any:
        """One step on ``x[:, t]``."""
        self.feeds["x"] = self.x[t : t + 1]
        self.infer()
        named = zip(self.names[1:], self.outputs[1:], strict=True)
        self.feeds |= {f"{name[0]}0_{name[1:]}": state for name, state in named}
        return self.outputs[0]

    def states(self) -> Results:
        """The state after the last run."""
        return state_results(dict(zip(self.names, self.outputs, strict=True)))

    def results(self) -> Results:
        """What the last run computed."""
        if self.problem.case.mode == "stream":
            return stream_results(self, self.problem)
        return {"y": self.outputs[0].transpose(1, 0, 2)} | self.states()

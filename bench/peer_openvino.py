"""OpenVINO behind the protocol of ``bench.peers``."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino

from bench.onnx_graph import make_model, state_feeds, state_results
from bench.peers import stream_results
from bench.problem import Problem, Results


class OpenvinoPeer:
    """The ONNX model of a case compiled for the CPU in float32, inputs and outputs shared with NumPy."""

    def __init__(self, threads: int) -> None:
        self.core = openvino.Core()
        self.settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def load(self, problem: Problem) -> dict[str, Any]:
        """Compile the model."""
        self.problem = problem
        model = self.core.compile_model(self.core.read_model(make_model(problem)), "CPU", self.settings)
        self.request = model.create_infer_request()
        self.names = [port.any_name for port in model.outputs]
        self.x = np.ascontiguousarray(problem.x.transpose(1, 0, 2))
        self.start()
        self.run = self.infer
        if problem.case.mode == "stream":
            self.feeds["x"] = self.x[:1]
        return {"layout": "time-major", "precision": str(model.get_property("INFERENCE_PRECISION_HINT"))}

    def start(self) -> None:
        """Feed the given state."""
        self.feeds = {"x": self.x} | state_feeds(self.problem)

    def infer(self) -> None:
        """Forward."""
        self.request.infer(self.feeds, share_inputs=True, share_outputs=True)

    def outputs(self) -> dict[str, Any]:
        """Copies of the last outputs by name."""
        return {name: self.request.get_tensor(name).data.copy() for name in self.names}

    def step(self, t: int) -> Any:
        """One step on ``x[:, t]``."""
        self.feeds["x"] = self.x[t : t + 1]
        self.infer()
        outputs = self.outputs()
        self.feeds |= {f"{name[0]}0_{name[1:]}": state for name, state in outputs.items() if name != "y"}
        return outputs["y"]

    def states(self) -> Results:
        """The state after the last run."""
        return state_results(self.outputs())

    def results(self) -> Results:
        """What the last run computed."""
        if self.problem.case.mode == "stream":
            return stream_results(self, self.problem)
        return {"y": self.outputs()["y"].transpose(1, 0, 2)} | self.states()

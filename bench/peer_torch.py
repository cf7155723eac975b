"""PyTorch behind the protocol of ``bench.peers``."""

from __future__ import annotations

from typing import Any

import torch

from bench.peers import stream_results
from bench.problem import F32, Problem, Results
from bench.shapes import CELLS


def tensor(array: F32) -> torch.Tensor:
    """A contiguous copy."""
    return torch.tensor(array).contiguous()


class TorchPeer:
    """A layer of ``torch.nn`` on time-major tensors, the layout that spares it a transpose."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def load(self, problem: Problem) -> dict[str, Any]:
        """Build the layer and load its weights."""
        self.problem, case = problem, problem.case
        row = case.row
        self.lstm = case.cell == "lstm"
        shape = {"num_layers": row.L, "bidirectional": row.D == 2}
        self.layer: Any = getattr(torch.nn, CELLS[case.cell].layer)(row.I, row.H, **shape)
        self.layer.load_state_dict({name: torch.tensor(weight) for name, weight in problem.weights.items()})
        self.training = case.mode == "train"
        self.layer.train(self.training)
        self.x: Any = tensor(problem.x.transpose(1, 0, 2)).requires_grad_(self.training)
        self.dy = None if problem.dy is None else tensor(problem.dy.transpose(1, 0, 2))
        self.dh = None if problem.dh is None else tensor(problem.dh)
        self.start()
        self.run = {"infer": self.infer, "train": self.train, "stream": self.advance}[case.mode]
        self.lengths = None if problem.lengths is None else torch.tensor(problem.lengths)
        return {"layout": "time-major"}

    def start(self) -> None:
        """Make the initial state, zeros where the problem gives none."""
        row, problem = self.problem.case.row, self.problem
        given = [problem.h0, problem.c0] if self.lstm else [problem.h0]
        zeros = torch.zeros(row.L * row.D, row.B, row.H)
        self.given = [(zeros if a is None else tensor(a)).clone().requires_grad_(self.training) for a in given]
        self.state: Any = tuple(self.given) if self.lstm else self.given[0]
        self.first = self.x[:1]

    def forward(self) -> None:
        """Forward, of ragged sequences with packing and unpacking."""
        if self.lengths is None:
            self.y, self.last = self.layer(self.x, self.state)
            return
        packed = torch.nn.utils.rnn.pack_padded_sequence(self.x, self.lengths, enforce_sorted=False)
        y, self.last = self.layer(packed, self.state)
        self.y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=len(self.x))

    def infer(self) -> None:
        """Forward, no gradient wanted."""
        with torch.inference_mode():
            self.forward()

    def train(self) -> None:
        """Forward and backward."""
        for leaf in (self.x, *self.given, *self.layer.parameters()):
            leaf.grad = None
        self.forward()
        if self.dh is None:
            self.y.backward(self.dy)
        else:
            (self.last[0] if self.lstm else self.last).backward(self.dh)

    def advance(self) -> None:
        """One step on the first input."""
        with torch.inference_mode():
            self.y, self.state = self.layer(self.first, self.state)

    def step(self, t: int) -> Any:
        """One step on ``x[:, t]``."""
        with torch.inference_mode():
            y, self.state = self.layer(self.x[t : t + 1], self.state)
        return y.numpy()

    def states(self) -> Results:
        """The state that the next step starts from."""
        return self._named(self.state, "h", "c")

    def results(self) -> Results:
        """What the last run computed."""
        if self.problem.case.mode == "stream":
            return stream_results(self, self.problem)
        results: Results = {"y": self.y.detach().numpy().transpose(1, 0, 2)} | self._named(self.last, "h", "c")
        if self.training:
            results["dx"] = self.x.grad.numpy().transpose(1, 0, 2)
            start = [leaf.grad for leaf in self.given]
            results |= {name: g.numpy() for name, g in zip(("dh", "dc"), start, strict=False) if g is not None}
            results |= {name: parameter.grad.numpy() for name, parameter in self.layer.named_parameters()}
        return results

    def _named(self, state: Any, *names: str) -> Results:
        parts = state if self.lstm else (state,)
        return {name: part.detach().numpy() for name, part in zip(names, parts, strict=False)}

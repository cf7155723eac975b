"""A task of reinforcement learning: a pole is balanced by an agent that does not see how fast anything moves."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bench.accuracy.metrics import Metric, Part
from bench.accuracy.task import Data, Floor, Task
from rnnfast.rl import ActorCritic, play

EPISODES = 100


@dataclass(frozen=True, kw_only=True)
class Practice:
    """How an agent learns: the program ``examples/ppo_cartpole.py`` with the arguments ``model``, for some steps."""

    model: Mapping[str, Any]
    steps: int

    def trained(self, task: Task, data: Data, part: Part, *, seed: int) -> Any:
        """Return an agent that has learned from environments; what they do is drawn by the seed."""
        return program().train(**self.model, steps=self.steps, seed=seed)


def program() -> Any:
    """The example: the environment, the training and a simple rule."""
    return importlib.import_module("examples.ppo_cartpole")


def cartpole() -> Data:
    """Episodes, given by the seeds of their environments; x of what an agent learns from is empty."""
    learned, first = Part(range(0)), 10_000
    validation, test = (Part(range(start, start + EPISODES)) for start in (first, first + EPISODES))
    return Data(learned, learned, validation, test, ())


def steps_balanced(agent: ActorCritic, part: Part) -> float:
    """The mean number of steps of greedy episodes, which are cut off after 500."""
    return fmean(play(agent, program().make(len(part)), len(part), seed=part.x[0]))


TASKS = (
    Task(
        "cartpole",
        ActorCritic,
        cartpole,
        Metric("steps", steps_balanced, True),
        Floor("push where it leans", lambda data: program().leaning(len(data.test), data.test.x[0])),
    ),
)

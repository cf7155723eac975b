"""The registry of tasks: a new one is a file beside this one and a line in ``TASKS``."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from rnnfast.demo.results import Result, Settings

TASKS = {
    "unicode-names": "rnnfast.demo.unicode_names",
    "source-syntax": "rnnfast.demo.source_syntax",
    "dates": "rnnfast.demo.dates",
    "manual": "rnnfast.demo.manual",
}
"""The modules of the tasks by their names on the command line, in the order in which they run."""


class Task(Protocol):
    """The interface of a task's module.

    Attributes
    ----------
    MODE, TITLE : str
        The kind of task, as in the report, and one line that says what is learned.
    """

    MODE: str
    TITLE: str

    def run(self, settings: Settings) -> Result:
        """Train, judge and time a model."""


def task_named(name: str) -> Task:
    """Return the task's module.

    Raises
    ------
    ValueError
        If there is no such task.
    """
    if name not in TASKS:
        raise ValueError(f"task: one of {', '.join(TASKS)} is required, got {name!r}")
    module: Task = import_module(TASKS[name])
    return module

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
"""Names as the command line takes them, and modules; they run in this order."""


class Task(Protocol):
    """What a task's module offers.

    Attributes
    ----------
    MODE, TITLE : str
        ``MODE`` is that of the report, ``TITLE`` one line that says what is learned.
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
        No such task.
    """
    if name not in TASKS:
        raise ValueError(f"task: one of {', '.join(TASKS)} required, got {name!r}")
    module: Task = import_module(TASKS[name])
    return module

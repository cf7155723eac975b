"""Run the tasks one after the other, and report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rnnfast.demo import report
from rnnfast.demo.results import Result, Settings
from rnnfast.demo.tasks import TASKS, task_named
from rnnfast.report.page import MISSING
from rnnfast.report.pictures import available


def main(settings: Settings, *, tasks: Sequence[str] = (), output: str | Path = "rnnfast-demo") -> list[Result]:
    """Train and judge one model for each task; print a table and samples, write report.html and report.json.

    Parameters
    ----------
    settings : Settings
    tasks : sequence of str
        Names from ``TASKS``; by default all.
    output : path
        Folder that the reports are written to.

    Returns
    -------
    list of Result

    Raises
    ------
    ValueError
        If a task has no such name.
    """
    start = time.perf_counter()
    modules = [task_named(name) for name in tasks or TASKS]
    facts = report.system()
    print(
        f"rnnfast {facts['rnnfast']}: {facts['instruction_set']}, threads: {facts['threads']}, seed: {settings.seed}",
        flush=True,
    )
    results = []
    for i, module in enumerate(modules):
        print(f"\n[{i + 1}/{len(modules)}] {module.MODE}: {module.TITLE}", flush=True)
        results.append(module.run(settings))
    _show_samples(results)
    seconds = report.write(Path(output), results, seed=settings.seed, start=start)
    print(f"\n{report.table(results)}\n")
    if not available():
        print(MISSING)
    print(f"{seconds:.1f} seconds; see {Path(output) / 'report.html'}")
    return results


def _show_samples(results: Sequence[Result]) -> None:
    for r in results:
        for sample in r.samples:
            print(f"\n{r.mode}: {sample.title}")
            print("\n".join(f"    {line}" for line in sample.text.splitlines()))

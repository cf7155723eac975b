"""``python -m bench.accuracy.table RUN.json ...``: the tables of docs/accuracy.md from the files of runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from statistics import fmean
from typing import Any

from bench import machine
from bench.accuracy.rows import Recipe
from bench.accuracy.run import Record
from bench.accuracy.tasks import TASKS
from bench.markdown import table

Row = dict[str, Any]


def header() -> str:
    """The head of the table on the terminal."""
    names = f"{'row':<16} {'metric':<23} {'floor':>8} {'goal':>8} {'aim':>8} {'mean':>8}  {'reached':<7} {'seeds':<24}"
    return f"{names} {'CPU s':>6} {'parameters':>11}"


def line(record: Record) -> str:
    """One line of the table."""
    row = record.row
    numbers = " ".join(f"{short(value):>8}" for value in (record.floor, row.goal, row.aim, record.mean))
    seeds = " ".join(map(short, record.scores))
    cost = f"{sum(record.seconds):>6.0f} {record.parameters:>11,}"
    bounds = row.task.bounds
    bounded = "" if bounds is None else f"  {bounds.name} {short(fmean(record.bounded))}"
    return f"{row.name:<16} {row.task.metric.name:<23} {numbers}  {record.verdict:<7} {seeds:<24} {cost}{bounded}"


def short(value: float | None) -> str:
    """Four decimals, or three digits of a small number."""
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.3g}"


def arguments(configuration: Recipe) -> str:
    """The configuration as it is written in code."""
    return ", ".join(f"{key}={value!r}" for key, value in settings(configuration))


def settings(configuration: Recipe) -> Iterator[tuple[str, Any]]:
    """What the configuration says beside its defaults, by name."""
    for each in fields(configuration):
        value = getattr(configuration, each.name)
        if isinstance(value, Mapping):
            yield from value.items()
        elif each.default is MISSING or value != each.default:
            yield each.name, value.__name__ if isinstance(value, type) else value


def markdown(rows: Sequence[Row]) -> str:
    """The tables of docs/accuracy.md from the rows of documents: scores, and configurations."""
    head = ["row", "mode", "metric", "floor", "goal", "aim", "mean of seeds", "each seed", "bounded score"]
    head += ["CPU s", "parameters"]
    scores = [
        [
            r["row"],
            r["mode"],
            r["metric"],
            f"{short(r['floor'])}{beside(r['task'])}",
            *(short(r[name]) for name in ("goal", "aim")),
            f"**{short(r['mean'])}**",
            ", ".join(map(short, r["scores"])),
            within(r),
            f"{sum(r['cpu_seconds']):.0f}",
            f"{r['parameters']:,}",
        ]
        for r in rows
    ]
    chosen = [[r["row"], f"`{r['configuration']}`"] for r in rows]
    return f"{table(head, scores)}\n\n{table(['row', 'configuration'], chosen)}"


def within(row: Row) -> str:
    """The score that has bounds, its mean, and the bounds."""
    bounds = TASKS[row["task"]].bounds
    if bounds is None:
        return "-"
    return f"{bounds.name}: {short(fmean(row['bounded']))} ({bounds.least:g} to {bounds.most:g})"


def beside(task: str) -> str:
    """The name of a task's floor, in brackets."""
    floor = TASKS[task].floor
    return "" if floor is None else f" ({floor.name})"


def document(records: Sequence[Record]) -> dict[str, Any]:
    """Everything that was measured, in types that JSON knows."""
    rows = [
        {
            "row": r.row.name,
            "task": r.row.task.name,
            "mode": r.row.task.mode,
            "metric": r.row.task.metric.name,
            "floor": r.floor,
            "goal": r.row.goal,
            "aim": r.row.aim,
            "scores": list(r.scores),
            "mean": r.mean,
            "bounded": list(r.bounded),
            "reached": r.verdict,
            "cpu_seconds": list(r.seconds),
            "parameters": r.parameters,
            "configuration": arguments(r.row.configuration),
        }
        for r in records
    ]
    return {"machine": machine.facts(), "rows": rows}


if __name__ == "__main__":
    print(markdown([row for path in sys.argv[1:] for row in json.loads(Path(path).read_text())["rows"]]))

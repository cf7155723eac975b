"""The reports of a run: a table for the terminal, report.json, report.html."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from rnnfast.config import cpu, get_num_threads
from rnnfast.demo.pictures import of_chart, of_heat_map
from rnnfast.demo.results import Colours, Result
from rnnfast.report.page import (
    Cell,
    Html,
    Section,
    document,
    figures,
    folded,
    heading,
    paragraph,
    preformatted,
    safe,
    terms,
)
from rnnfast.report.page import (
    table as html_table,
)

HEADINGS = ("task", "metric", "model", "yard-sticks", "seconds", "sequences/s", "x NumPy", "beats all")
WORDS: dict[str, Cell] = {
    "yard-stick": "A simpler method on the same data. A model counts as good only if it is better than all of its "
    "yard-sticks.",
    "seconds": "The time of the whole task: data, yard-sticks, training and judging. The terminal shows the same.",
    "sequences a second": "Sequences that the model learns in a second of its training.",
    "times NumPy's speed": "The same model is also written with NumPy alone, and both compute the same steps of "
    "training on the same batches, in turns. A figure of 5 says that NumPy takes 5 times as long for a step.",
}
LONG = 120  # characters of a line of a sample, from which on it wraps
# Colours of classes, each with a contrast of at least 4.5 on the page, the panel and the mark, in light and in dark.
STYLE = """
.c0 { color: var(--quiet); } .c1 { color: #8a0a8a; font-weight: bold; } .c2 { color: #8a4100; } .c3 { color: #0b6123; }
.c4 { color: #50545a; font-style: italic; } .c5 { color: #0b4fb8; } .c6, .c7, .c8, .c9 { color: var(--text); }
.wrong { background: var(--mark); text-decoration: underline wavy; }
@media (prefers-color-scheme: dark) { .c1 { color: #f0a6f0; } .c2 { color: #ffb870; } .c3 { color: #86dd97; }
  .c4 { color: #bfc2c7; } .c5 { color: #a3c6ff; } }
"""


def table(results: Sequence[Result]) -> str:
    """Return a table with a row for each task, and a line for each of its yard-sticks."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for r in results:
        sticks = [f"{name} {value:.3f}" for name, value in r.yardsticks.items()] or ["-"]
        verdict = "yes" if r.beats_all else "NO"
        rows.append(
            (
                r.mode,
                r.metric,
                f"{r.value:.3f}",
                sticks[0],
                f"{r.seconds:.1f}",
                f"{r.sequences_per_second:,.0f}",
                f"{r.speedup_vs_numpy:.1f}",
                verdict,
            )
        )
        rows += [("", "", "", stick, "", "", "", "") for stick in sticks[1:]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = [
        "  ".join(_padded(cell, w, i) for i, (cell, w) in enumerate(zip(row, widths, strict=True))) for row in rows
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(line.rstrip() for line in lines)


def write(folder: Path, results: Sequence[Result], *, seed: int, start: float) -> float:
    """Write ``report.json`` and ``report.html`` to ``folder``, which is made where it does not exist.

    Return the seconds since ``start``, a time of ``perf_counter``, that stand in both; pictures are drawn by then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sections = [_section(r) for r in results]
    seconds = time.perf_counter() - start
    facts = {**system(), "seed": seed, "seconds": round(seconds, 3)}
    (folder / "report.json").write_text(_json(results, facts), encoding="utf-8")
    (folder / "report.html").write_text(_html(results, sections, facts), encoding="utf-8")
    return seconds


def system() -> dict[str, Any]:
    """Return the versions and the machine that the demo runs on."""
    from rnnfast import __version__

    return {
        "rnnfast": __version__,
        "instruction_set": cpu.isa(),
        "threads": get_num_threads(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _padded(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column in (2, 4, 5, 6) else cell.ljust(width)


def _json(results: Sequence[Result], facts: dict[str, Any]) -> str:
    details = {
        r.mode: {
            "sequences_per_second": round(r.sequences_per_second, 1),
            "curves": {c.title: {k.name: [list(k.x), list(k.y)] for k in c.curves if k.x} for c in r.charts},
            "samples": {s.title: s.text for s in r.samples},
        }
        for r in results
    }
    return json.dumps({"tasks": [r.as_json() for r in results], **facts, "details": details}, indent=2) + "\n"


def _html(results: Sequence[Result], sections: list[Section], facts: dict[str, Any]) -> str:
    better = sum(r.beats_all for r in results)
    lead = [
        paragraph(
            f"Models were trained and judged on data that every Python installation carries: {len(results)} tasks in "
            f"{facts['seconds']:.1f} seconds."
        ),
        paragraph(
            f"{better} of {len(results)} models are better than all of their yard-sticks.",
            "good" if better == len(results) else "bad",
        ),
        _overview(results),
        terms(WORDS),
    ]
    about = [[name.replace("_", " "), str(value)] for name, value in facts.items()]
    last = Section("This run", [html_table("What made this page", ["name", "value"], about)])
    return document("rnnfast demo", lead, [*sections, last], style=STYLE)


def _overview(results: Sequence[Result]) -> Html:
    head = [
        "task",
        "metric",
        "model",
        "best yard-stick",
        "better",
        "seconds",
        "sequences a second",
        "times NumPy's speed",
    ]
    rows = [
        [
            r.mode,
            r.metric,
            Html(f"<b>{r.value:.3f}</b>"),
            f"{r.hardest[1]:.3f}",
            _verdict(r),
            f"{r.seconds:.1f}",
            f"{r.sequences_per_second:,.0f}",
            f"{r.speedup_vs_numpy:.1f}",
        ]
        for r in results
    ]
    return html_table("All tasks", head, rows, numbers=[2, 3, 5, 6, 7])


def _verdict(r: Result) -> Html:
    return Html('<span class="good">yes</span>' if r.beats_all else '<span class="bad">no</span>')


def _section(r: Result) -> Section:
    better = "higher" if r.higher_is_better else "lower"
    rows: list[list[Cell]] = [["the model", Html(f"<b>{r.value:.3f}</b>")]]
    rows += [[name, f"{value:.3f}"] for name, value in r.yardsticks.items()]
    blocks = [paragraph(r.about)]
    blocks.append(html_table(f"{r.metric}: {better} is better", ["who", r.metric], rows, numbers=[1]))
    blocks += figures([*map(of_chart, r.charts), *map(of_heat_map, r.heat_maps), *r.pictures])
    for sample in r.samples:
        blocks += [
            heading(sample.title),
            preformatted(sample.text, wraps=max(map(len, sample.text.splitlines())) > LONG),
        ]
    for coloured in r.colours:
        blocks += _coloured(coloured)
    return Section(f"{r.mode}: {r.task}", [*blocks, folded("The model", preformatted(r.model))])


def _coloured(c: Colours) -> list[Html]:
    """Return a text with a span for every run of one class; wrong characters are marked."""
    legend = " ".join(f'<span class="c{k}">{safe(name)}</span>' for k, name in enumerate(c.classes))
    spans = []
    for (found, true), run in groupby(zip(c.found, c.true, c.text, strict=True), key=lambda item: item[:2]):
        text = safe("".join(item[2] for item in run))
        if found == true:
            spans.append(f'<span class="c{found}">{text}</span>')
        else:
            hint = safe(f"{c.classes[found]}, is {c.classes[true]}")
            spans.append(f'<span class="c{found} wrong" title="{hint}">{text}</span>')
    marks = paragraph(Html(f"{legend} <span class='wrong'>wrong</span>"))
    return [heading(c.title), marks, preformatted(Html("".join(spans)))]

"""The reports of a run: a table for the terminal, report.json, report.html."""

from __future__ import annotations

import html
import json
import platform
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from rnnfast.config import cpu, get_num_threads
from rnnfast.demo import pictures
from rnnfast.demo.results import Colours, Result

MISSING = (
    "Learning curves and heat maps are missing here: they need matplotlib, which is not installed. "
    "Install the extra, pip install 'rnnfast[plot]', and run the demo again."
)
HEADINGS = ("task", "metric", "model", "yard-sticks", "seconds", "sequences/s", "x NumPy", "beats all")
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.scroll { overflow-x: auto; }
img { max-width: 100%; background: white; }
pre { padding: .8rem; overflow-x: auto; background: #8881; white-space: pre-wrap; }
.c0 { color: #777; } .c1 { color: #a0a; font-weight: bold; } .c2 { color: #c60; } .c3 { color: #291; }
.c4 { color: #888; font-style: italic; } .c5 { color: #27d; } .c6, .c7, .c8, .c9 { color: inherit; }
.wrong { background: #f558; outline: 1px solid #f55; }
.yes { color: #080; } .no { color: #c00; font-weight: bold; } .quiet { opacity: .75; }
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


def write(folder: Path, results: Sequence[Result], *, seed: int, seconds: float) -> None:
    """Write ``report.json`` and ``report.html`` to ``folder``, which is made where it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {**system(), "seed": seed, "seconds": round(seconds, 3)}
    (folder / "report.json").write_text(_json(results, facts), encoding="utf-8")
    (folder / "report.html").write_text(_html(results, facts), encoding="utf-8")


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


def _html(results: Sequence[Result], facts: dict[str, Any]) -> str:
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
    drawn = pictures.available()
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>rnnfast demo</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<h1>rnnfast demo</h1>",
        f'<p class="quiet">{_(about)}</p>',
        _html_table(results),
    ]
    if not drawn:
        parts.append(f'<p class="no">{_(MISSING)}</p>')
    parts += [_section(r, drawn=drawn) for r in results]
    return "\n".join([*parts, "</body>", "</html>", ""])


def _html_table(results: Sequence[Result]) -> str:
    numeric = {"model", "seconds", "sequences/s", "x NumPy"}
    head = "".join(f'<th class="n">{_(h)}</th>' if h in numeric else f"<th>{_(h)}</th>" for h in HEADINGS)
    rows = []
    for r in results:
        sticks = "<br>".join(_(f"{name} {value:.3f}") for name, value in r.yardsticks.items())
        verdict = '<td class="yes">yes</td>' if r.beats_all else '<td class="no">no</td>'
        better = "higher" if r.higher_is_better else "lower"
        numbers = (f"{r.seconds:.1f}", f"{r.sequences_per_second:,.0f}", f"{r.speedup_vs_numpy:.1f}")
        cells = [f"<td>{_(r.mode)}<br><span class='quiet'>{_(r.task)}</span></td>"]
        cells += [f"<td>{_(r.metric)}<br><span class='quiet'>{better} is better</span></td>"]
        cells += [f'<td class="n"><b>{r.value:.3f}</b></td>', f"<td>{sticks}</td>"]
        cells += [f'<td class="n">{number}</td>' for number in numbers]
        rows.append(f"<tr>{''.join(cells)}{verdict}</tr>")
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n' + "\n".join(rows) + "\n</table></div>"


def _section(r: Result, *, drawn: bool) -> str:
    parts = [f"<h2>{_(r.mode)}: {_(r.task)}</h2>", f"<p>{_(r.about)}</p>"]
    if drawn:
        images = [(c.title, pictures.chart_png(c)) for c in r.charts]
        images += [(m.title, pictures.heat_map_png(m)) for m in r.heat_maps]
        parts += [f'<p><img alt="{_(title)}" src="data:image/png;base64,{image}"></p>' for title, image in images]
    parts += [f"<h3>{_(s.title)}</h3>\n<pre>{_(s.text)}</pre>" for s in r.samples]
    parts += [_coloured(c) for c in r.colours]
    parts.append(f"<details><summary>The model</summary><pre>{_(r.model)}</pre></details>")
    return "\n".join(parts)


def _coloured(c: Colours) -> str:
    """Return a text as HTML, with a span for every run of one class; wrong characters are marked."""
    legend = " ".join(f'<span class="c{k}">{_(name)}</span>' for k, name in enumerate(c.classes))
    spans = []
    for (found, true), run in groupby(zip(c.found, c.true, c.text, strict=True), key=lambda item: item[:2]):
        text = "".join(item[2] for item in run)
        if found == true:
            spans.append(f'<span class="c{found}">{_(text)}</span>')
        else:
            hint = _(f"{c.classes[found]}, is {c.classes[true]}")
            spans.append(f'<span class="c{found} wrong" title="{hint}">{_(text)}</span>')
    return f"<h3>{_(c.title)}</h3>\n<p>{legend} <span class='wrong'>wrong</span></p>\n<pre>{''.join(spans)}</pre>"


def _(text: str) -> str:
    return html.escape(text)

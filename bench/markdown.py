"""``python -m bench.markdown RUN.json ...``: the tables of docs/benchmarks.md from the files of one or more runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from statistics import median

from bench.limits import Constants
from bench.report import Row, key_of, microseconds, summary
from bench.rounds import Estimate


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, the first column left-aligned."""
    rules = [":--", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rules, *rows))


def shape(row: Row) -> str:
    """Layers if several, batch, steps, inputs, units."""
    sizes = "x".join(str(row[key]) for key in "BTIH")
    return sizes if row["L"] == 1 else f"{row['L']} layers, {sizes}"


def measured(row: Row) -> list[str]:
    """The cells of a row: times, rates, ratio."""
    ours, best = row["peers"]["rnnfast"], row["best"]
    cells = [f"{microseconds(ours['min'])} / {microseconds(ours['median'])}"]
    cells += [
        f"{row['flops'] / ours['median'] / 1e9:.0f}",
        f"{row['of_fma']:.0%}",
        f"{row['of_limit']:.0%} {row['bound']}",
    ]
    if best is None:
        return [*cells, "-", "-", "-"]
    peer = row["peers"][best]
    return [
        *cells,
        f"{best} {microseconds(peer['median'])} ({peer['of_fma']:.0%})",
        str(Estimate(row["ratio"][best], *row["interval"][best])),
        f"{row['ratio_of_least'][best]:.2f}",
    ]


def times_table(rows: Sequence[Row]) -> str:
    """One line a row: what it is, how fast, against what."""
    head = ["row", "B x T x I x H", "µs, min / median", "GFLOP/s", "of FMA", "of limit"]
    head += ["best peer, µs (of FMA)", "ratio [interval]", "by min"]
    return table(head, [[row["id"], shape(row), *measured(row)] for row in rows])


def means_table(rows: Sequence[Row]) -> str:
    """Geometric means of ratios by group, cell, mode and threads."""
    lines = []
    for (group, cell, mode, threads), facts in summary(rows).items():
        means = [f"{facts[name]:.2f}" for name in ("best", "best_of_least", "lowest")]
        below = ", ".join(f"{name.split()[0]} {ratio:.2f}" for name, ratio in facts["slower"].items())
        lines.append([f"{group}, {cell}, {mode}", f"{threads}", f"{facts['rows']}", *means, below or "none"])
    return table(["group, cell, mode", "threads", "rows", "ratio", "by min", "lowest", "below 1"], lines)


def products_table(products: Sequence[Row]) -> str:
    """Large products: best and median rate, and the fraction of multiply-adds."""
    lines = []
    for p in products:
        rates = [f"{p['best'] / 1e9:.0f}", f"{p['typical'] / 1e9:.0f}", f"{p['of_fma']:.0%}"]
        lines.append([f"{p['M']} x {p['N']} x {p['K']}", f"{p['threads']}", *rates])
    return table(["M x N x K", "threads", "best GFLOP/s", "median", "of FMA"], lines)


def machine_line(facts: Row) -> str:
    """Which machine, and which versions."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return f"{facts['cpu']}, {facts['processors']} processors, {facts['isa']}. {versions}."


def machine_table(rows: Sequence[Row]) -> str:
    """Medians of the constants by number of threads."""
    units = dict.fromkeys((field.name for field in fields(Constants)), 1e9) | {"barrier": 1e-6}
    lines = []
    for threads in sorted({row["threads"] for row in rows}):
        members = [row["constants"] for row in rows if row["threads"] == threads]
        values = {name: median(constants[name] for constants in members) / unit for name, unit in units.items()}
        values["fma"] *= threads
        lines.append([f"{threads}", *(f"{values[name]:.3g}" for name in units)])
    head = ["threads", "clock GHz", "additions 1e9/s a thread", "FMA alone GFLOP/s", "FMA all"]
    head += ["L1 GB/s a thread", "L2", "L3", "sigmoid 1e9/s", "tanh", "barrier µs"]
    return table(head, lines)


def render(documents: Sequence[Row]) -> str:
    """All tables, in the order of docs/benchmarks.md."""
    rows = [row for document in documents for row in document["rows"]]
    machines = dict.fromkeys(machine_line(document["machine"]) for document in documents if document["machine"])
    parts = ["### Machine", *machines, machine_table(rows), "### Geometric means", means_table(rows)] if rows else []
    for key in dict.fromkeys(map(key_of, rows)):
        group, cell, mode, threads = key
        members = sorted((row for row in rows if key_of(row) == key), key=lambda row: float(row["flops"]))
        parts += [f"### {group}: {cell}, {mode}, {threads} thread{'s' * (threads > 1)}", times_table(members)]
    products = [product for document in documents for product in document["gemm"]]
    if products:
        parts += ["### Large products", products_table(products)]
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(render([json.loads(Path(name).read_text()) for name in sys.argv[1:]]))

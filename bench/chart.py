"""Two pictures of one run: ratios to the best peer, and rates under the roofline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

COLOURS = {"infer": "#4878a8", "train": "#c8663a", "stream": "#5a9a5a"}
BYTES = 4


def intensity(row: dict[str, Any]) -> float:
    """Operations of the recurrent product for each byte of its weights in one step: ``2 B / 4``."""
    return 2.0 * float(row["B"]) / BYTES


def draw_ratios(axes: Any, rows: list[dict[str, Any]]) -> None:
    """One bar a row, on a logarithmic axis that starts at equality."""
    ratios = [row["ratio"][row["best"]] for row in rows]
    axes.barh(range(len(rows)), [r - 1 for r in ratios], left=1, color=[COLOURS[row["mode"]] for row in rows])
    axes.set_yticks(range(len(rows)), [label(row) for row in rows], fontsize=6)
    for k, (row, ratio) in enumerate(zip(rows, ratios, strict=True)):
        axes.text(max(ratio, 1.0) * 1.03, k, f"{ratio:.2f} {row['best']}", fontsize=5, va="center")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(min(0.8, *ratios) * 0.95, max(ratios) * 2.5)
    axes.invert_yaxis()
    axes.margins(y=0.005)
    axes.set_xlabel("times as fast as the best peer")


def label(row: dict[str, Any]) -> str:
    """A short name of the row."""
    return f"{row['id']} {row['cell']} {row['mode']} p{row['threads']}"


def draw_roofline(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Rates over operations for each byte of weights, below the rates of multiply-adds and of the caches."""
    threads = max(row["threads"] for row in rows)
    shown = [row for row in rows if row["threads"] == threads]
    machine = {key: np.median([row["constants"][key] for row in shown]) for key in shown[0]["constants"]}
    x = np.geomspace(0.4, 2e3, 200)
    for level in ("l1", "l2", "l3"):
        roof = threads * np.minimum(machine["fma"], machine[level] * x) / 1e9
        axes.plot(x, roof, color="grey", linewidth=0.8)
        axes.text(x[0], roof[0], level.upper(), fontsize=7, va="bottom")
    for mode, colour in COLOURS.items():
        of_mode = [row for row in shown if row["mode"] == mode]
        rates = [row["flops"] / row["peers"]["rnnfast"]["median"] / 1e9 for row in of_mode]
        axes.scatter([intensity(row) for row in of_mode], rates, color=colour, s=14, label=mode)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations a byte of recurrent weights, one step")
    axes.set_ylabel(f"GFLOP/s, {threads} threads")
    axes.legend(fontsize=7)


def draw(document: dict[str, Any], path: Path) -> None:
    """Write the chart of a document of ``bench.report`` as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in document["rows"] if row["best"]]
    if not rows:
        raise ValueError("chart: at least one row with a peer is required, got none")
    figure = Figure(figsize=(13, max(5.0, 0.11 * len(rows) + 1)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    draw_ratios(left, rows)
    draw_roofline(right, rows)
    figure.savefig(path, dpi=150)

"""Charts and heat maps as PNG; the only file of the demo that draws."""

from __future__ import annotations

import base64
import importlib.util
import io
from typing import Any

from rnnfast.demo.results import Chart, HeatMap
from rnnfast.plot import heat_map

LEVELS = ("--", ":", "-.")
WIDTH = 9.0  # inches
NAMED_ROWS = 40


def available() -> bool:
    """Return whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def chart_png(chart: Chart) -> str:
    """Draw curves; return the picture as base64 text."""
    figure, axes = _figure(3.2)
    levels = iter(LEVELS * len(chart.curves))
    for curve in chart.curves:
        if curve.x:
            axes.plot(curve.x, curve.y, marker="o", markersize=4, label=curve.name)
        else:
            axes.axhline(curve.y[0], color="black", linewidth=1, linestyle=next(levels), label=curve.name)
    axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
    axes.grid(alpha=0.3)
    axes.legend()
    return _png(figure)


def heat_map_png(picture: HeatMap) -> str:
    """Draw numbers as colours, a column a step; return the picture as base64 text."""
    rows = len(picture.values)
    figure, axes = _figure(0.9 + min(4.2, 0.18 * rows + 0.3))
    named = bool(picture.rows) and rows <= NAMED_ROWS
    heat_map(
        picture.values,
        rows=picture.rows if named else None,
        columns=picture.columns,
        low=picture.low,
        high=picture.high,
        xlabel="",
        ylabel="" if named else f"{rows} units",
        ax=axes,
    )
    axes.set_title(picture.title)
    axes.tick_params(axis="x", labelsize=7, labelfontfamily="monospace")
    axes.tick_params(axis="y", labelsize=8)
    return _png(figure)


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=110, layout="constrained")
    return figure, figure.add_subplot()


def _png(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")

"""What the page shows of the tasks as pictures, with what each shows in words."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from rnnfast import plot
from rnnfast.analysis import integrated_gradients
from rnnfast.demo.results import Array, Chart, HeatMap
from rnnfast.plot.axes import above, styles
from rnnfast.report.pictures import HEIGHT, WIDEST, WIDTH, Picture

LEVELS = (":", "-.", "--", (0, (1, 3)), (0, (6, 2, 1, 2, 1, 2)), (0, (8, 3)))
NAMED_ROWS = 40
MOST_LARGE = 60  # columns that have room for labels of the usual size


def of_chart(chart: Chart) -> Picture:
    """Return curves over a training, and the levels that they are compared with."""

    def draw(ax: Any) -> None:
        looks, dashes = styles(), cycle(LEVELS)
        for curve in chart.curves:
            if curve.x:
                ax.plot(curve.x, curve.y, label=curve.name, **next(looks))
            else:
                ax.axhline(curve.y[0], color="#8C4A00", linewidth=1.2, linestyle=next(dashes), label=curve.name)
        ax.set(xlabel=chart.x_label, ylabel=chart.y_label)
        ax.grid(alpha=0.3)
        above(ax)

    said = [
        f"{c.name} from {c.y[0]:.3g} to {c.y[-1]:.3g}" if c.x else f"the level of {c.name} at {c.y[0]:.3g}"
        for c in chart.curves
    ]
    return Picture(title=chart.title, alt=f"{chart.y_label} over {chart.x_label}: {'; '.join(said)}.", draw=draw)


def of_heat_map(shown: HeatMap) -> Picture:
    """Return numbers as colours, a column for each step."""
    rows, columns = shown.values.shape
    named = bool(shown.rows) and rows <= NAMED_ROWS

    def draw(ax: Any) -> None:
        plot.heat_map(
            shown.values,
            rows=shown.rows if named else None,
            columns=shown.columns,
            low=shown.low,
            high=shown.high,
            xlabel=shown.x_label,
            ylabel=shown.y_label if named else f"{rows} {shown.y_label}",
            label=shown.label,
            ax=ax,
        )
        if columns > MOST_LARGE:
            ax.tick_params(axis="x", labelsize=8)
        if not named:
            ax.set_yticks([])

    read = "".join(shown.columns)
    alt = f"Heat map of {rows} rows ({shown.y_label}) over {columns} steps, {read}: {shown.label}, "
    return Picture(
        title=shown.title,
        alt=f"{alt}from {shown.values.min():.2f} to {shown.values.max():.2f}.",
        draw=draw,
        width=_width(columns),
        height=max(HEIGHT if not named else 0.0, 1.0 + min(4.2, 0.2 * rows)),
    )


def of_gate(model: Any, ids: Array, columns: list[str]) -> Picture:
    """Return how far the update gate of a GRU of one layer lets each unit keep what it held, over the last steps."""
    trace = model.trace([ids]).mapped(lambda a: a[:, -len(columns) :])
    z = trace.gates["z"][-1]

    def draw(ax: Any) -> None:
        plot.gates(trace, "z", labels=columns, ax=ax)
        ax.set_yticks([])
        ax.set_ylabel(f"{z.shape[2]} hidden units")

    return Picture(
        title="Update gates: light where a unit keeps what it held",
        alt=f"Heat map of the update gate z of {z.shape[2]} units over {len(columns)} characters, {''.join(columns)}; "
        f"{z.mean():.2f} in the mean.",
        draw=draw,
        width=_width(len(columns)),
        height=4.5,
    )


def of_saliency(model: Any, ids: Array, columns: list[str], answer: str) -> Picture:
    """Return what each character adds to the answer of a ``ManyToOne``, by integrated gradients."""
    shares = integrated_gradients(model, [ids], max_nodes=128, tolerance=1e-2).values[0].sum(axis=1)
    largest = int(np.abs(shares).argmax())
    return Picture(
        title=f"Saliency: what each character adds to the answer {answer}",
        alt=f"Shares of {len(columns)} characters, {''.join(columns)}, in the output of {answer}; the largest, "
        f"{shares[largest]:.2f}, is that of character {largest + 1}, {columns[largest]}.",
        draw=lambda ax: plot.saliency(shares, labels=columns, label="share of the output", ax=ax),
        width=_width(len(columns)),
    )


def of_gradients(model: Any, ids: Array) -> Picture:
    """Return how far the gradient of the last answer of a model that reads ids reaches back."""
    vectors = model.parameters()["embedding.weight"].value[ids][None]
    y, _, tape = model.rnn.forward(vectors, training=False)
    outputs = y[:, -1] @ model.head.weight.value.T + model.head.bias.value
    dy = np.zeros_like(y)
    dy[:, -1] = model.head.weight.value[outputs.argmax(axis=1)]
    model.rnn.backward(tape, dy, gradient_norms=True)
    model.zero_grad()
    norms = tape.gradient_norms
    return Picture(
        title="How far the gradient of the last character's output reaches back",
        alt=f"Norm of the gradient over {len(ids)} steps, on a logarithmic scale: {norms[0, 0, 0]:.2g} at the first, "
        f"{norms[0, 0, -1]:.2g} at the last.",
        draw=lambda ax: plot.gradient_norms(norms, ax=ax),
    )


def _width(columns: int) -> float:
    return float(np.clip(1.6 + 0.16 * columns, WIDTH, WIDEST))

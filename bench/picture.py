"""``python -m bench.picture``: draw docs/speed.svg, the picture of README.md, from the tables of docs/benchmarks.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import log
from pathlib import Path
from xml.sax.saxutils import escape

DOCS = Path(__file__).parents[1] / "docs"
NAMES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "jax": "JAX"}
COLOURS = {"infer": "#4878a8", "train": "#c8663a", "stream": "#5a9a5a"}
MEANINGS = {"infer": "inference", "train": "training", "stream": "one step in one call"}
BARS: tuple[tuple[str, str], ...] = (
    ("step-8x16 lstm stream", "one step, LSTM of 16 units"),
    ("step-16x64 gru stream", "one step, GRU of 64 units"),
    ("ragged gru train", "GRU, lengths 10 to 200"),
    ("S32 gru infer", "GRU, lengths 10 to 2000"),
    ("S27 lstm train", "bidirectional LSTM, lengths 10 to 200"),
    ("S8 lstm train", "hydrology, one year of days"),
    ("S4 lstm train", "forecasting, darts' defaults"),
    ("S10 lstm infer", "guitar amplifier"),
    ("S5 lstm train", "forecasting, DeepAR's defaults"),
    ("S17 lstm train", "source separation, Open-Unmix"),
    ("S29 lstm train", "large layer, 512 units"),
    ("S29 lstm infer", "large layer, 512 units"),
)
"""What is drawn: a row, cell and mode of the tables on two threads, and its name for readers."""
MEASURED = "two threads, Intel Xeon, float32, logarithmic scale"
WIDTH, LEFT, RIGHT, TOP, STEP, THICK = 800, 270, 170, 92, 26, 17
LARGEST = 50.0


@dataclass(frozen=True)
class Figure:
    """One line of a table: shape, median times in microseconds, the fastest other library, the ratio of the medians."""

    shape: str
    ours: float
    peer: str
    theirs: float
    ratio: float


def figures(markdown: str, *, threads: int = 2) -> dict[str, Figure]:
    """The lines of all tables on that many threads by row, cell and mode, such as ``S27 lstm train``."""
    found = dict[str, Figure]()
    for section in re.split(r"^### ", markdown, flags=re.MULTILINE):
        head = re.match(r"\w+: (\w+), (\w+), (\d+) threads?\n", section)
        if head is None or int(head[3]) != threads:
            continue
        for line in re.findall(r"^\| (.*) \|$", section, flags=re.MULTILINE):
            cells = line.split(" | ")
            if best := re.fullmatch(r"(\w+) ([\d.]+) \(\d+%\)", cells[6 if len(cells) == 9 else 5]):
                ours = float(cells[2].split(" / ")[1])
                name = f"{cells[0]} {head[1]} {head[2]}"
                ratio = float(cells[-2].split()[0])
                found[name] = Figure(cells[1], ours, best[1], float(best[2]), ratio)
    return found


def across(ratio: float) -> float:
    """The place of a ratio on the logarithmic axis, which starts at equality."""
    return LEFT + (WIDTH - LEFT - RIGHT) * log(ratio) / log(LARGEST)


def text(x: float, y: float, words: str, **attributes: object) -> str:
    """A text element; an underscore in the name of an attribute stands for a hyphen."""
    given = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{given}>{escape(words)}</text>'


def axis(bottom: float) -> list[str]:
    """Grid lines with their ratios."""
    parts = []
    for ratio in (1, 2, 5, 10, 20, 50):
        x, colour = across(ratio), "#333" if ratio == 1 else "#ddd"
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="{colour}"/>')
        parts.append(text(x, bottom + 16, "equal" if ratio == 1 else f"{ratio} ×", text_anchor="middle", fill="#555"))
    return parts


def legend() -> list[str]:
    """The colours of the modes."""
    parts, x = [], float(LEFT)
    for mode, colour in COLOURS.items():
        parts.append(f'<rect x="{x:.1f}" y="58" width="12" height="12" fill="{colour}"/>')
        parts.append(text(x + 18, 69, MEANINGS[mode]))
        x += 40 + 7 * len(MEANINGS[mode])
    return parts


def draw(markdown: str) -> str:
    """The picture as SVG; KeyError where the tables lack a row."""
    rows = figures(markdown)
    height, bottom = TOP + STEP * len(BARS) + 34, TOP + STEP * len(BARS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        text(16, 24, "Times as fast as the fastest other library", font_size=17, font_weight="bold"),
        text(16, 44, f"of {', '.join(NAMES.values())}; {MEASURED}", fill="#555"),
        *legend(),
        *axis(bottom),
    ]
    for k, (name, label) in enumerate(BARS):
        row, y = rows[name], TOP + STEP * k
        width, colour = across(row.ratio) - LEFT, COLOURS[name.split()[-1]]
        parts.append(text(LEFT - 10, y + 13, label, text_anchor="end"))
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{THICK}" fill="{colour}"/>')
        parts.append(text(LEFT + width + 6, y + 13, f"{row.ratio:.3g} × {NAMES[row.peer]}", fill="#333"))
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    (DOCS / "speed.svg").write_text(draw((DOCS / "benchmarks.md").read_text(encoding="utf-8")), encoding="utf-8")

"""The table on the terminal and the JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import exp, log
from typing import Any

from bench.peers import BASELINE, YARDSTICK
from bench.run import Record, Settings
from bench.shapes import MODES

LABELS = {"forward": "forward", "train": "forward+backward"}


def milliseconds(seconds: float) -> str:
    """A time with three or four significant figures.

    >>> milliseconds(0.0123456)
    '12.35'
    """
    ms = seconds * 1e3
    return f"{ms:.{max(0, 3 - len(str(int(ms))) + (ms < 1))}f}" if ms >= 1 else f"{ms:.4f}"


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean.

    >>> geometric_mean([2.0, 8.0])
    4.0
    """
    return exp(sum(map(log, values)) / len(values))


def header(rivals: Sequence[str]) -> str:
    """The head of the table; times are min/median milliseconds."""
    columns = [f"{'shape':9}{'cell':11}{'LxBxTxIxH':19}{'mode':17}{BASELINE + ' ms':>16}"]
    columns += [f"{rival + ' ms':>16}" for rival in rivals]
    columns += [f"{'BLAS ms':>10}", *(f"{rival + '/' + BASELINE:>15}" for rival in rivals), f"{'GFLOP/s':>9}"]
    return "".join(columns)


def line(record: Record, rivals: Sequence[str]) -> str:
    """One line of the table."""
    case, row = record.case, record.case.row
    shape = "x".join(map(str, (row.L, row.B, row.T, row.I, row.H)))
    columns = [f"{row.id:9}{case.cell:11}{shape:19}{LABELS[case.mode]:17}"]
    for name in (BASELINE, *rivals):
        columns.append(f"{milliseconds(record.least(name)) + '/' + milliseconds(record.typical(name)):>16}")
    columns.append(f"{milliseconds(record.typical(YARDSTICK)):>10}")
    columns += [f"{record.ratio(rival):>15.2f}" for rival in rivals]
    columns.append(f"{case.flops / record.typical(BASELINE) / 1e9:>9.1f}")
    return "".join(columns)


def summary(records: Sequence[Record], rivals: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """By rival and mode: the number of rows, the geometric mean of ratios, which rows are slower, the lowest ratio."""
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for rival in rivals:
        result[rival] = {}
        for mode in MODES:
            ratios = {record.case.name: record.ratio(rival) for record in records if record.case.mode == mode}
            if ratios:
                result[rival][mode] = {
                    "rows": len(ratios),
                    "geometric_mean": geometric_mean(list(ratios.values())),
                    "lowest": min(ratios.values()),
                    "slower": [name for name, ratio in ratios.items() if ratio < 1.0],
                }
    return result


def closing(records: Sequence[Record], rivals: Sequence[str]) -> str:
    """The lines below the table."""
    lines = []
    for rival, modes in summary(records, rivals).items():
        for mode, facts in modes.items():
            lines.append(
                f"{BASELINE} against {rival}, {LABELS[mode]}: geometric mean {facts['geometric_mean']:.2f} over"
                f" {facts['rows']} rows, lowest {facts['lowest']:.2f}, slower in {len(facts['slower'])}"
                + "".join(f"\n  slower: {name}" for name in facts["slower"])
            )
    return "\n".join(lines)


def document(
    records: Sequence[Record], rivals: Sequence[str], settings: Settings, machine: dict[str, Any]
) -> dict[str, Any]:
    """Everything that was measured, for a JSON file; times in seconds."""
    rows = []
    for record in records:
        case, row = record.case, record.case.row
        peers = {
            name: {
                "min": record.least(name),
                "median": record.typical(name),
                "runs": len(record.times[name]),
                "notes": record.notes[name],
            }
            for name in record.times
        }
        entry = {"id": row.id, "cell": case.cell, "mode": case.mode, "flops": case.flops, "use": row.use}
        entry |= {key: getattr(row, key) for key in "LBTIH"} | {"target": row.target, "carried": row.carried}
        ratios = {rival: record.ratio(rival) for rival in rivals}
        rows.append(entry | {"peers": peers, "ratio": ratios, "difference": record.differences})
    return {"machine": machine, "settings": asdict(settings), "rows": rows, "summary": summary(records, rivals)}

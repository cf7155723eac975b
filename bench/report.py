"""The tables on the terminal and the JSON file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import exp, log
from statistics import median
from typing import Any

from bench.gemm import GemmRecord
from bench.limits import Constants, typical
from bench.peers import BASELINE, PEERS
from bench.run import Record, Settings

DISTURBED = 0.3
"""A row is marked where others took more of a processor than this, in the mean of turns."""


def microseconds(seconds: float) -> str:
    """A time with three significant figures and more where there is room.

    >>> microseconds(0.0123456), microseconds(2.3456e-6)
    ('12346', '2.35')
    """
    us = seconds * 1e6
    return f"{us:.{max(0, 3 - len(str(int(us))))}f}"


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean.

    >>> geometric_mean([2.0, 8.0])
    4.0
    """
    return exp(sum(map(log, values)) / len(values))


def header(rivals: Sequence[str]) -> str:
    """The head of the table; times are microseconds, of rnnfast min/median, of rivals medians."""
    columns = [f"{'shape':16}{'cell':11}{'mode':7}{'p':>2} {BASELINE + ' us':>17}"]
    columns += [f"{rival[:11]:>12}" for rival in rivals]
    return (
        "".join(columns)
        + f"{'GFLOP/s':>9}{'of fma':>7}{'of limit':>18}{'ratio [interval]':>18}{'by min':>8}  best peer (of fma)"
    )


def line(record: Record, rivals: Sequence[str]) -> str:
    """One line of the table."""
    case = record.case
    times = microseconds(record.least(BASELINE)) + "/" + microseconds(record.typical(BASELINE))
    columns = [f"{case.row.id:16}{case.cell:11}{case.mode:7}{record.threads:>2} {times:>17}"]
    columns += [f"{microseconds(record.typical(name)) if name in record.times else '-':>12}" for name in rivals]
    rate = case.flops / record.typical(BASELINE) / 1e9
    columns.append(f"{rate:>9.1f}{record.of_fma():>7.0%}{record.of_limit():>9.0%}{record.bound:>9}")
    if best := record.best:
        ratios = f"{record.ratio(best)!s:>18}{record.ratio_of_least(best):>8.2f}"
        columns.append(f"{ratios}  {best} ({record.of_fma(best):.0%})")
    if record.disturbed > DISTURBED:
        columns.append(f"  disturbed: {record.disturbed:.2f} processors taken by others")
    return "".join(columns)


def constants_line(machine: Constants, threads: int) -> str:
    """The machine's limits in words."""
    return (
        f"clock {machine.clock / 1e9:.2f} GHz, {machine.issue / machine.clock:.1f} additions a cycle,"
        f" multiply-adds {machine.fma_one / 1e9:.0f} GFLOP/s alone,"
        f" {machine.fma * threads / 1e9:.0f} on {threads} threads; reads a thread L1 {machine.l1 / 1e9:.0f},"
        f" L2 {machine.l2 / 1e9:.0f}, L3 {machine.l3 / 1e9:.0f} GB/s; barrier {machine.barrier * 1e6:.2f} us"
    )


Key = tuple[str, str, str, int]
Row = dict[str, Any]


def summary(rows: Iterable[Row]) -> dict[Key, dict[str, Any]]:
    """Summaries of the rows of a document by group, cell, mode and threads.

    Geometric means of the ratios to the best peer, by medians and by least times, and to each one; slower rows.
    """
    parts: dict[Key, list[Row]] = {}
    for row in rows:
        if row["best"]:
            parts.setdefault(key_of(row), []).append(row)
    result: dict[Key, dict[str, Any]] = {}
    for key, members in parts.items():
        best = {f"{row['id']} {row['cell']} {row['mode']}": row["ratio"][row["best"]] for row in members}
        names = sorted({name for row in members for name in row["ratio"]})
        result[key] = {
            "rows": len(members),
            "best": geometric_mean(list(best.values())),
            "best_of_least": geometric_mean([row["ratio_of_least"][row["best"]] for row in members]),
            "peers": {n: geometric_mean([row["ratio"][n] for row in members if n in row["ratio"]]) for n in names},
            "lowest": min(best.values()),
            "slower": {name: ratio for name, ratio in best.items() if ratio < 1.0},
        }
    return result


def key_of(row: Row) -> Key:
    """The part of the tables that a row belongs to."""
    return row["group"], row["cell"], row["mode"], row["threads"]


def closing(records: Sequence[Record]) -> str:
    """The lines below the table."""
    columns = f"{'rows':>6}{'best peer':>11}{'by min':>8}{'lowest':>8}  each peer"
    lines = [f"{'geometric means':16}{'cell':11}{'mode':7}{'p':>2}{columns}"]
    for (group, cell, mode, threads), facts in summary(map(entry, records)).items():
        each = ", ".join(f"{name} {ratio:.2f}" for name, ratio in facts["peers"].items())
        means = f"{facts['best']:>11.2f}{facts['best_of_least']:>8.2f}{facts['lowest']:>8.2f}"
        lines.append(f"{group:16}{cell:11}{mode:7}{threads:>2}{facts['rows']:>6}{means}  {each}")
        lines += [f"  slower: {name} {ratio:.2f}" for name, ratio in facts["slower"].items()]
    lines += [
        f"threads: {name} takes {ratio:.2f} of its time on one when given {threads}"
        for name, threads, ratio in scaling(records)
        if ratio > 1.0
    ]
    constants = [c for record in records for c in record.constants if record.threads == records[-1].threads]
    return "\n".join([*lines, constants_line(typical(constants), records[-1].threads)])


def scaling(records: Sequence[Record]) -> list[tuple[str, int, float]]:
    """Time on several threads as a fraction of the time on one, by medians, for each case measured on both."""
    single = {record.case: record.typical(BASELINE) for record in records if record.threads == 1}
    several = [record for record in records if record.threads > 1 and record.case in single]
    return [(r.case.name, r.threads, r.typical(BASELINE) / single[r.case]) for r in several]


def entry(record: Record) -> dict[str, Any]:
    """A record for the JSON file; times in seconds, samples left out."""
    case, row = record.case, record.case.row
    peers = {
        name: {
            "min": record.least(name),
            "median": record.typical(name),
            "rounds": [median(turn) for turn in record.times[name]],
            "of_fma": record.of_fma(name),
            "notes": record.notes.get(name, {}),
        }
        for name in record.times
    }
    shape = {key: getattr(row, key) for key in "LDBTIH"}
    shape |= {"target": row.target, "carried": row.carried, "shortest": row.shortest}
    facts = {"group": row.group, "id": row.id, "cell": case.cell, "mode": case.mode, "threads": record.threads}
    rates = {"flops": case.flops, "of_fma": record.of_fma(), "of_limit": record.of_limit(), "bound": record.bound}
    ratios = {name: record.ratio(name) for name in peers if name != BASELINE}
    return {
        **facts,
        **shape,
        "use": row.use,
        **rates,
        "best": record.best,
        "ratio": {name: ratio.middle for name, ratio in ratios.items()},
        "interval": {name: [ratio.low, ratio.high] for name, ratio in ratios.items()},
        "ratio_of_least": {name: record.ratio_of_least(name) for name in ratios},
        "peers": peers,
        "constants": asdict(record.machine),
        "difference": record.differences,
        "disturbed": record.disturbed,
    }


def document(
    records: Sequence[Record], products: Sequence[GemmRecord], settings: Settings, machine: dict[str, Any]
) -> dict[str, Any]:
    """Everything that was measured, for a JSON file."""
    names = ("group", "cell", "mode", "threads")
    rows = [entry(record) for record in records]
    return {
        "machine": machine,
        "settings": {"rounds": settings.rounds, "seconds": settings.seconds},
        "rows": rows,
        "summary": [dict(zip(names, key, strict=True)) | facts for key, facts in summary(rows).items()],
        "gemm": [asdict(product) for product in products],
        "yardsticks": [name for name, peer in PEERS.items() if peer.yardstick],
    }
